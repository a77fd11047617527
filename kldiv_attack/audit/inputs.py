"""Everything that an audit reads, checked before anything is asked or trained."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from numbers import Integral
from typing import Any

import numpy as np

from kldiv import __version__
from kldiv_attack.audit.asking import answers_of_table
from kldiv_attack.audit.content import Source
from kldiv_attack.audit.defences import Defence
from kldiv_attack.audit.features import check_scale
from kldiv_attack.audit.loading import load_model
from kldiv_attack.audit.paths import read_sample
from kldiv_attack.audit.samples import Sample
from kldiv_attack.audit.specs import Model


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything that was read and found in order, before anything is asked."""

    train: Sample
    aux: list[Sample]
    held_out: Sample | None
    models: list[Model]
    defences: list[Defence]

    @property
    def others(self) -> list[Sample]:
        """Samples beside the training rows; held-out rows last."""
        return [*self.aux, *([self.held_out] if self.held_out is not None else [])]


def read_inputs(
    victim: Any,
    train: Any,
    aux: Any,
    held_out: Any,
    defences: list[Defence],
    *,
    label: str | None,
    data: str | None,
    device: str,
    any_scale: bool,
    budget: int | None,
    seed: int,
) -> Inputs:
    _check_device(device)
    common: dict[str, Any] = {"label": label, "root": data}
    private, public, outside = _samples(train, aux, held_out, any_scale, common)
    many = victim if isinstance(victim, Mapping) else {None: victim}
    pairs = list(many.items())
    for name, _ in pairs:
        if name is not None and not (isinstance(name, str) and name.strip()):
            raise ValueError(f"victim: {name!r} is no name; expected some text.")
    if not pairs:
        raise ValueError("victim: expected at least one model, got none.")
    models = [
        load_model(spec, name, class_names=private.class_names, device=device)
        for name, spec in pairs
    ]
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise ValueError(
            f"victim: two are called {max(names, key=names.count)!r}; name them, as in "
            "--victim plain=SPEC --victim other=SPEC."
        )
    public = _probe(models, public, defences, budget, seed)
    return Inputs(private, public, outside, models, defences)


def check_jobs(n_jobs: Any) -> None:
    """Refuse what is no number of classes at a time."""
    whole = isinstance(n_jobs, Integral) and not isinstance(n_jobs, bool)
    if n_jobs is not None and not (whole and n_jobs != 0):
        raise ValueError(
            f"n_jobs={n_jobs!r}: expected a number of classes, -1 for all processors."
        )


def _check_device(device: str) -> None:
    """Refuse a device that this machine lacks before anything is read."""
    if device in ("auto", "cpu"):
        return
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        number = torch.cuda.device_count()
        raise ValueError(
            f"device={device!r}: expected auto, cpu or a device that torch finds here; "
            f"there are {number} CUDA devices."
        ) from error


def _samples(
    train: Any, aux: Any, held_out: Any, any_scale: bool, common: dict[str, Any]
) -> tuple[Sample, list[Sample], Sample | None]:
    """Training, auxiliary and held-out rows in one shape and one scale."""
    private = read_sample(train, role="train", **common)
    if len(private.class_names) < 2 or len(private) < 2:
        raise ValueError(
            f"train: {private.name} has {len(private)} rows of "
            f"{len(private.class_names)} class; a classifier needs at least 2 of both."
        )
    if len(private) < 2 * len(private.class_names):
        raise ValueError(
            f"train: {private.name} has {len(private.class_names)} classes for "
            f"{len(private)} rows; expected two rows a class or more. Name the label "
            "column with --label."
        )
    sources = aux if isinstance(aux, list) else [aux]
    if not sources:
        raise ValueError("aux: expected at least one auxiliary sample.")
    public = [read_sample(s, role="aux", like=private, **common) for s in sources]
    public = _distinct_names(public)
    outside = None
    if held_out is not None:
        outside = read_sample(held_out, role="held-out", like=private, **common)
    if not any_scale:
        for sample in [*public, *([outside] if outside is not None else [])]:
            check_scale(private, sample, "held-out" if sample is outside else "aux")
    return private, public, outside


def _distinct_names(samples: list[Sample]) -> list[Sample]:
    names = [sample.name for sample in samples]
    return [
        replace(s, name=f"{s.name} ({i + 1})") if names.count(s.name) > 1 else s
        for i, s in enumerate(samples)
    ]


def _probe(
    models: list[Model],
    public: list[Sample],
    defences: list[Defence],
    budget: int | None,
    seed: int,
) -> list[Sample]:
    """Ask every victim about two rows, and keep as many rows as the budget allows."""
    total = sum(len(sample) for sample in public)
    tables = [model for model in models if model.table is not None]
    for model in models:
        if model.table is None:
            answers = model.answer(public[0].take(np.arange(min(2, len(public[0])))))
        else:
            if len(model.table) != total:
                raise ValueError(
                    f"victim: {model.spec} holds {len(model.table)} answers, the "
                    f"auxiliary samples {total} rows; expected one answer for each."
                )
            answers = answers_of_table(model, slice(None), total)
        for defence in defences:
            try:
                defence(answers, np.random.default_rng(0))
            except ValueError as error:
                raise ValueError(f"victim {model.name}: {error}") from error
    if budget is None or budget >= total:
        return public
    if tables:
        raise ValueError("budget: a table of answers costs no query; leave it out.")
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.permutation(total)[:budget])
    ends = np.cumsum([0, *(len(sample) for sample in public)])
    cut = [
        sample.take(kept[(kept >= a) & (kept < b)] - a)
        for sample, a, b in zip(public, ends[:-1], ends[1:], strict=True)
    ]
    return [sample for sample in cut if len(sample)]


def sources_of(inputs: Inputs) -> list[Source]:
    roles = ["train", *["aux"] * len(inputs.aux), "held-out"]
    samples = [inputs.train, *inputs.others]
    return [
        Source(role, s.name, len(s), [int(n) for n in s.rows.shape[1:]], _digest(s))
        for role, s in zip(roles, samples, strict=False)
    ]


def _digest(sample: Sample) -> str:
    rows = sample.rows
    if isinstance(rows, np.ndarray):
        digest = hashlib.sha256(rows.tobytes())
    else:
        digest = hashlib.sha256(rows.to_csv(index=False).encode())
    if sample.labels is not None:
        digest.update(sample.labels.tobytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Programs that take part in an audit."""
    found = {"kldiv": __version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "scikit-learn", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
