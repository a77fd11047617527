"""The audit from end to end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from kldiv_attack._files import checked_path
from kldiv_attack._locks import locked, refuse_if_locked
from kldiv_attack._rules import (
    SEED,
    VERBOSITY,
    Flag,
    Options,
    Rule,
    Whole,
    check_value,
    optional,
)
from kldiv_attack.audit.attacks import check_attack
from kldiv_attack.audit.content import Source
from kldiv_attack.audit.defences import parse_defences
from kldiv_attack.audit.demands import read_demands
from kldiv_attack.audit.folder import check_folder, open_folder
from kldiv_attack.audit.inputs import Inputs, check_jobs, read_inputs, sources_of
from kldiv_attack.audit.model_files import digest_of
from kldiv_attack.audit.result import AuditReport, as_plain
from kldiv_attack.audit.stages import Work

_RULES: dict[str, Rule] = {
    "random_state": SEED,
    "budget": optional(Whole()),
    "verbose": VERBOSITY,
    "attack_parameters": optional(Options()),
    "overall": Flag(),
    "show_private": Flag(),
    "any_scale": Flag(),
    "resume": Flag(),
    "restart": Flag(),
}


def audit(
    victim: Any,
    train: Any,
    aux: Any,
    folder: str | PathLike[str],
    *,
    held_out: Any = None,
    defences: Sequence[str] = (),
    attack: str | None = None,
    budget: int | None = None,
    attack_parameters: Mapping[str, Any] | None = None,
    label: str | None = None,
    data: str | None = None,
    fail_below: float | str | Sequence[float | str] | None = None,
    fail_above: float | str | Sequence[float | str] | None = None,
    fail_below_change: float | None = None,
    baseline: str | PathLike[str] | None = None,
    waivers: str | PathLike[str] | None = None,
    overall: bool = False,
    release: str | None = None,
    show_private: bool = False,
    any_scale: bool = False,
    resume: bool = False,
    restart: bool = False,
    random_state: int = 0,
    device: str = "auto",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> AuditReport:
    """Say which classes of a model are exposed to model inversion, and write it down.

    Parameters
    ----------
    victim : str, model, or mapping of names to either
        ``package.module:name``, a file (ONNX, ``torch.export``, TorchScript, skops,
        ``weights.safetensors@package.module:Class``), a table of its answers to the
        auxiliary rows, an estimator, a torch module or a function. Several are compared
        with the first one.
    train : path, name, pair (X, y) or LabelledImages
        What the model was trained on.
    aux : like train, or list of them
        What an attacker may own; labels are not used.
    folder : path
        Where report.html, report.md and report.json go.
    held_out : like train, optional
        Rows of the same classes that were not trained on.
    defences : sequence of str
        Wrappers of the victim's answers, ``NAME`` or ``NAME:VALUE``; see ``DEFENCES``.
    attack : str, optional
        Attack to run as well; images only.
    budget : int, optional
        Largest number of auxiliary rows that the victim is asked about, and of queries
        of an attack.
    attack_parameters : mapping, optional
        Parameters of the attack.
    label : str, optional
        Label column of tables.
    data : str, optional
        Folder of the files of named data sets.
    fail_below, fail_above : number, "METRIC=NUMBER" or list of them, optional
        Limits of the gate; a bare number is on the indicator, in nats.
    fail_below_change : float, optional
        Limit on the change of the indicator against `baseline`; negative allows a loss.
    baseline : path, optional
        Stored report.json.
    waivers : path, optional
        TOML file of exceptions.
    overall : bool, default=False
        Whether the gate looks at the mean over classes instead of each class.
    release : str, optional
        Victim, or ``"victim + defence"``, that the gate decides on; by default the
        first victim as it is.
    show_private : bool, default=False
        Whether the report may show private rows.
    any_scale : bool, default=False
        Whether auxiliary rows may be in other units than the training rows.
    resume, restart : bool, default=False
        Go on with an interrupted audit of this folder, or throw it away.
    random_state : int, default=0
        The one seed.
    device : str, default="auto"
        Where networks compute.
    n_jobs : int, optional
        Classes scored at a time.
    verbose : int, default=0
        1 shows progress bars.

    Returns
    -------
    AuditReport
        What was found; it has been written.

    Raises
    ------
    ValueError, OSError, RuntimeError
        For input that cannot be audited; cheap refusals come before anything is asked
        or trained.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.svm import SVC
    >>> from kldiv_attack import audit
    >>> X, y = load_iris(return_X_y=True)
    >>> model = SVC().fit(X[::2], y[::2])
    >>> with TemporaryDirectory() as folder:
    ...     report = audit(model, (X[::2], y[::2]), X[1::2], folder)
    >>> sorted(report.verdicts)
    ['0', '1', '2']
    """
    started = time.perf_counter()
    place = checked_path(folder, "folder")
    given = {
        "random_state": random_state, "budget": budget, "verbose": verbose,
        "attack_parameters": attack_parameters, "overall": overall,
        "show_private": show_private, "any_scale": any_scale, "resume": resume,
        "restart": restart,
    }  # fmt: skip
    for name, value in given.items():
        check_value(name, value, _RULES[name])
    wrappers = parse_defences(defences)
    settings = {
        "defences": list(defences),
        "attack": attack,
        "attack parameters": dict(attack_parameters or {}),
        "budget": budget,
        "seed": random_state,
        "label column": label,
        "gate looks at": "the mean over classes" if overall else "each class",
        "release": release,
        "private rows shown": show_private,
        "device": device,
        "n_jobs": n_jobs,
    }
    check_jobs(n_jobs)
    if attack is None and attack_parameters:
        raise ValueError(
            f"attack_parameters={dict(attack_parameters)}: expected an attack that "
            "has them, got none. Name it (--attack)."
        )
    if resume and restart:
        raise ValueError(
            "resume goes on with what a folder keeps and restart throws it away: "
            "expected one of them."
        )
    demands = read_demands(
        fail_below, fail_above, fail_below_change, baseline, overall=overall
    )
    inputs = read_inputs(
        victim, train, aux, held_out, wrappers,
        label=label, data=data, device=device, any_scale=any_scale,
        budget=budget, seed=random_state,
    )  # fmt: skip
    parameters = attack_parameters or {}
    if attack is not None:
        check_attack(attack, parameters, inputs.models, inputs.train)
    demands = demands.on(inputs, waivers=waivers, release=release)
    sources = sources_of(inputs)
    kept = _kept(inputs, sources, budget, random_state)
    refuse_if_locked(place)
    check_folder(place, kept, resume=resume, restart=restart)
    with locked(place):
        open_folder(place, kept, resume=resume, restart=restart)
        work = Work(inputs, place, random_state, n_jobs, verbose)
        work.ask()
        work.score()
        work.control()
        if attack is not None:
            work.attack(attack, parameters, budget, device)
        if show_private:
            work.show_nearest()
        texts = {key: as_plain(value) for key, value in settings.items()}
        report = work.report(texts, sources, time.perf_counter() - started)
        report = demands.decided(report)
        report.write(place)
    return report


def _kept(
    inputs: Inputs, sources: Sequence[Source], budget: int | None, seed: int
) -> dict[str, Any]:
    """What the answers in the folder depend on."""
    return {
        "victims": {m.name: [m.spec, digest_of(m.spec)] for m in inputs.models},
        "samples": {f"{s.role} {s.name}": s.digest for s in sources},
        "budget": budget,
        "seed": seed,
    }
