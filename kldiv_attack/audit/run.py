"""The audit from end to end."""

import datetime
import hashlib
import logging
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kldiv import __version__
from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.asking import answers_of_table, ask
from kldiv_attack.audit.attacks import NO_GRADIENT, Arena, check_attack
from kldiv_attack.audit.comparing import Scored, differences_of
from kldiv_attack.audit.content import Leak, Source, VictimFacts
from kldiv_attack.audit.curves import leakage_curves
from kldiv_attack.audit.defences import Defence, parse_defence
from kldiv_attack.audit.features import Space, check_scale, make_space
from kldiv_attack.audit.folder import open_folder
from kldiv_attack.audit.gate import Rule, Waiver, decide, parse_rule, read_waivers
from kldiv_attack.audit.held_out import held_out_control, wilson
from kldiv_attack.audit.membership import (
    calibration_error,
    losses,
    membership,
    usual_losses,
)
from kldiv_attack.audit.nearest import nearest_rows
from kldiv_attack.audit.paths import Sample, read_sample
from kldiv_attack.audit.result import AuditReport, as_plain
from kldiv_attack.audit.scoring import digests, score, table_of, verdict
from kldiv_attack.audit.specs import Model, VictimError, load_model

_LOG = logging.getLogger(__name__)
_MOST_MEMBERS = 5000


@dataclass(frozen=True)
class Demands:
    """What the gate asks for.

    Attributes
    ----------
    rules : list of Rule
        Limits.
    waivers : list of Waiver
        Exceptions.
    baseline : AuditReport or None
        Stored report.
    overall : bool
        Whether the mean over classes counts.
    """

    rules: list[Rule]
    waivers: list[Waiver] = field(default_factory=list)
    baseline: AuditReport | None = None
    overall: bool = False


@dataclass(frozen=True, eq=False)
class Inputs:
    """Everything that was read and found in order, before anything is asked."""

    train: Sample
    aux: list[Sample]
    held_out: Sample | None
    models: list[Model]
    defences: list[Defence]
    demands: Demands

    @property
    def others(self) -> list[Sample]:
        """Samples beside the training rows; held-out rows last."""
        return [*self.aux, *([self.held_out] if self.held_out is not None else [])]


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
    settings = {
        "defences": list(defences),
        "attack": attack,
        "attack parameters": dict(attack_parameters or {}),
        "budget": budget,
        "seed": random_state,
        "label column": label,
        "gate on": "the mean over classes" if overall else "each class",
        "private rows shown": show_private,
        "device": device,
        "n_jobs": n_jobs,
    }
    if budget is not None and budget < 1:
        raise ValueError(f"budget={budget}: expected at least 1.")
    rules = _rules(fail_below, fail_above, fail_below_change, baseline)
    stored = None if baseline is None else AuditReport.from_json(Path(baseline))
    inputs = _inputs(
        victim, train, aux, held_out, [parse_defence(d) for d in defences],
        label=label, data=data, device=device, any_scale=any_scale,
        budget=budget, seed=random_state,
    )  # fmt: skip
    if attack is not None:
        check_attack(attack, attack_parameters or {}, inputs.models, inputs.train)
    excused = []
    if waivers is not None:
        excused = read_waivers(Path(waivers), inputs.train.class_names)
    demands = Demands(rules, excused, stored, overall)
    inputs = replace(inputs, demands=demands)
    place = Path(folder)
    sources = _sources(inputs)
    open_folder(
        place,
        {
            "victims": {m.name: m.spec for m in inputs.models},
            "samples": {f"{s.role} {s.name}": s.digest for s in sources},
            "budget": budget,
            "seed": random_state,
        },
        resume=resume,
        restart=restart,
    )
    work = _Work(inputs, place, random_state, n_jobs, verbose)
    work.ask()
    work.score()
    work.control()
    if attack is not None:
        work.attack(attack, attack_parameters or {}, budget, device)
    if show_private:
        work.show_nearest()
    report = work.report(
        settings={k: as_plain(v) for k, v in settings.items()},
        sources=sources,
        seconds=time.perf_counter() - started,
    )
    if demands.rules:
        report = replace(
            report,
            gate=decide(
                report,
                demands.rules,
                waivers=demands.waivers,
                baseline=demands.baseline,
                overall=overall,
            ),
        )
    report.write(place)
    return report


def _rules(below: Any, above: Any, change: Any, baseline: Any) -> list[Rule]:
    rules = [parse_rule(text, below=True) for text in _listed(below)]
    rules += [parse_rule(text, below=False) for text in _listed(above)]
    if change is not None:
        rules.append(parse_rule(str(change), below=True, metric="change"))
    metrics = [rule.metric for rule in rules]
    if "change" in metrics and baseline is None:
        raise ValueError("gate: a limit on the change needs --baseline REPORT.json.")
    if "kl" in metrics and "leaked_rows" not in metrics:
        # The indicator is measured without shared rows, and would not see them.
        rules.append(Rule("leaked_rows", 0, below=False))
    return rules


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    many = isinstance(value, Sequence) and not isinstance(value, str)
    return [str(item) for item in (value if many else [value])]


def _inputs(
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
    common = {"label": label, "root": data}
    private = read_sample(train, role="train", **common)
    if len(private.class_names) < 2 or len(private) < 2:
        raise ValueError(
            f"train: {private.name} has {len(private)} rows of "
            f"{len(private.class_names)} class; a classifier needs at least 2 of both."
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
    many = victim if isinstance(victim, Mapping) else {None: victim}
    models = [
        load_model(spec, name, class_names=private.class_names, device=device)
        for name, spec in many.items()
    ]
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise ValueError(f"victim: two are called {max(names, key=names.count)!r}.")
    public = _probe(models, public, private, defences, budget, seed)
    return Inputs(private, public, outside, models, defences, Demands([]))


def _distinct_names(samples: list[Sample]) -> list[Sample]:
    names = [sample.name for sample in samples]
    return [
        replace(s, name=f"{s.name} ({i + 1})") if names.count(s.name) > 1 else s
        for i, s in enumerate(samples)
    ]


def _probe(
    models: list[Model],
    public: list[Sample],
    private: Sample,
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
            defence(answers, np.random.default_rng(0))
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


def _sources(inputs: Inputs) -> list[Source]:
    roles = ["train", *["aux"] * len(inputs.aux), "held-out"]
    samples = [inputs.train, *inputs.others]
    return [
        Source(role, s.name, len(s), [int(n) for n in s.rows.shape[1:]], _digest(s))
        for role, s in zip(roles, samples, strict=False)
    ]


def _digest(sample: Sample) -> str:
    rows = sample.rows
    if isinstance(rows, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(rows))
    else:
        digest = hashlib.sha256(rows.to_csv(index=False).encode())
    if sample.labels is not None:
        digest.update(sample.labels.tobytes())
    return digest.hexdigest()


class _Work:
    """The stages of an audit, each of which adds to what the report will hold."""

    def __init__(
        self, inputs: Inputs, folder: Path, seed: int, n_jobs: int | None, verbose: int
    ):
        self.inputs, self.folder = inputs, folder
        self.seed, self.n_jobs, self.verbose = seed, n_jobs, verbose
        self.names = list(inputs.train.class_names)
        self.facts: list[VictimFacts] = []
        self.scored: list[Scored] = []
        self.found: dict[str, list[Any]] = {
            name: []
            for name in ("leaks", "differences", "held_out", "membership", "curves",
                         "attacks", "pictures", "extras", "remarks")
        }  # fmt: skip
        if inputs.train.labels is None:
            raise ValueError("train: rows without labels.")
        self.labels = inputs.train.labels

    def ask(self) -> None:
        """Answers of every victim to every sample."""
        self.answers: dict[tuple[str, int], Answers] = {}
        self.on_train: dict[str, Answers] = {}
        self.on_held_out: dict[str, Answers] = {}
        for v, model in enumerate(self.inputs.models):
            start = 0
            for a, sample in enumerate(self.inputs.aux):
                self.answers[model.name, a] = self._asked(
                    model, sample, f"{v}-aux-{a}", slice(start, start + len(sample))
                )
                start += len(sample)
            if model.table is None:
                self.on_train[model.name] = self._asked(
                    model, self.inputs.train, f"{v}-train"
                )
                if self.inputs.held_out is not None:
                    self.on_held_out[model.name] = self._asked(
                        model, self.inputs.held_out, f"{v}-held-out"
                    )
            self.facts.append(self._facts(model))

    def _asked(
        self, model: Model, sample: Sample, name: str, rows: slice = slice(None)
    ) -> Answers:
        if model.table is not None:
            return answers_of_table(model, rows, len(sample))
        return ask(model, sample, self.folder / "answers" / name, verbose=self.verbose)

    def _facts(self, model: Model) -> VictimFacts:
        first = self.answers[model.name, 0]
        accuracy, calibration, asked = {}, None, 0
        told = {"train": (self.on_train, self.labels)}
        if self.inputs.held_out is not None and self.inputs.held_out.labels is not None:
            told["held-out"] = (self.on_held_out, self.inputs.held_out.labels)
        for role, (found, labels) in told.items():
            if model.name in found:
                share = found[model.name].accuracy(labels)
                accuracy[role] = [share, *wilson(share, len(labels))]
                calibration = calibration_error(found[model.name], labels)
                asked += len(labels)
        if model.table is None:
            asked += sum(len(sample) for sample in self.inputs.aux)
        if accuracy and accuracy["train"][0] < 2 / len(self.names):
            self.found["remarks"].append(
                f"{model.name} puts only {100 * accuracy['train'][0]:.0f} % of the "
                "training rows into their class: check the units of the rows and the "
                "order of its classes before anything else is read."
            )
        return VictimFacts(
            name=model.name,
            spec=model.spec,
            kind=model.kind,
            caution=model.caution,
            answers="labels" if first.probabilities is None else "probabilities",
            queries=asked,
            accuracy=accuracy,
            calibration=calibration,
        )

    def score(self) -> None:
        """Indicator per class of every victim, defence and auxiliary sample."""
        space = make_space(self.inputs.train, self.inputs.others, self.seed)
        self.space = space
        self.shared = [self._leak(a, space) for a in range(len(self.inputs.aux))]
        rng = np.random.default_rng(self.seed)
        for model in self.inputs.models:
            for a, sample in enumerate(self.inputs.aux):
                plain = self.answers[model.name, a]
                for defence in (None, *self.inputs.defences):
                    answers = plain if defence is None else defence(plain, rng)
                    self.scored.append(
                        self._scored(model, a, sample.name, defence, answers)
                    )
        self.found["differences"] = differences_of(
            self.scored, self._accuracy_under, self.names
        )

    def _scored(
        self, model: Model, a: int, aux: str, defence: Defence | None, answers: Answers
    ) -> Scored:
        reports = score(
            self.space.train,
            self.labels,
            self.space.others[a],
            answers,
            self.names,
            n_jobs=self.n_jobs,
        )
        where = {"victim": model.name, "aux": aux}
        where["defence"] = "" if defence is None else defence.name
        table = table_of(reports, self.names, **where)
        words = [verdict(table, c, n) for c, n in enumerate(self.shared[a])]
        marks = digests(
            self.space.train, self.labels, self.space.others[a], answers, len(words)
        )
        table = replace(table, verdicts=words, digests=marks)
        return Scored(table, reports, answers, defence, a)

    def _leak(self, a: int, space: Space) -> list[int]:
        """Training rows per class that are in an auxiliary sample."""
        train, aux = space.ids[0], space.ids[1 + a]
        shared = np.isin(train, aux)
        counts = np.bincount(self.labels[shared], minlength=len(self.names))
        times = np.bincount(train)[train]
        repeated = float((times > 1).mean())
        chance = bool(shared.any() and 2 * repeated >= shared.mean())
        first = {int(key): i for i, key in reversed(list(enumerate(aux)))}
        pairs = [
            [int(i), first[int(train[i])]] for i in np.flatnonzero(shared)[:20]
        ]
        leak = Leak(self.inputs.aux[a].name, counts.tolist(), pairs, chance)
        self.found["leaks"].append(leak)
        return [0] * len(self.names) if chance else [int(n) for n in counts]

    def _accuracy_under(
        self, name: str, defence: Defence | None
    ) -> tuple[float | None, str, float]:
        """Accuracy, rows it is measured on, and share of refused rows."""
        sample, found, role = self.inputs.train, self.on_train, "training rows"
        if self.inputs.held_out is not None:
            sample, found, role = self.inputs.held_out, self.on_held_out, "held-out rows"
        if name not in found or sample.labels is None:
            return None, "", 0.0
        answers = found[name]
        if defence is not None:
            answers = defence(answers, np.random.default_rng(self.seed))
        return (
            answers.accuracy(sample.labels),
            role,
            float((~answers.answered).mean()),
        )

    def control(self) -> None:
        """Held-out control, membership baseline and curves."""
        for model in self.inputs.models:
            for a, sample in enumerate(self.inputs.aux):
                answers = self.answers[model.name, a]
                if self.inputs.held_out is not None:
                    self._held_out(model, a, sample.name, answers)
                told = self.on_train.get(model.name)
                if model is self.inputs.models[0] and answers.answered.any():
                    self.found["curves"] += leakage_curves(
                        self.space.train,
                        self.labels,
                        None if told is None else told.labels,
                        self.space.others[a],
                        answers,
                        len(self.names),
                        victim=model.name,
                        aux_name=sample.name,
                        random_state=self.seed,
                    )
            if model.name in self.on_held_out:
                self._membership(model)

    def _held_out(self, model: Model, a: int, aux: str, answers: Answers) -> None:
        outside = self.inputs.held_out
        if outside is None or outside.labels is None:
            return
        self.found["held_out"].append(
            held_out_control(
                self.space.train,
                self.labels,
                self.space.others[-1],
                outside.labels,
                self.space.others[a],
                answers,
                self.names,
                victim=model.name,
                aux_name=aux,
                random_state=self.seed,
            )
        )

    def _membership(self, model: Model) -> None:
        outside = self.inputs.held_out
        if outside is None or outside.labels is None or len(outside) < 4:
            return
        n = len(self.names)
        rng = np.random.default_rng(self.seed)
        rows = np.sort(rng.permutation(len(self.labels))[:_MOST_MEMBERS])
        answers = self.on_train[model.name].take(rows)
        inside = losses(answers, self.labels[rows], n)
        other = losses(self.on_held_out[model.name], outside.labels, n)
        values = {"loss threshold": (inside, other)}
        known = self.answers[model.name, 0]
        if known.answered.any():
            public = self.space.others[0]
            usual = [
                usual_losses(x, y, public, known, n)
                for x, y in (
                    (self.space.train[rows], self.labels[rows]),
                    (self.space.others[-1], outside.labels),
                )
            ]
            values["loss minus usual loss"] = (inside - usual[0], other - usual[1])
        for attack, pair in values.items():
            self.found["membership"].append(
                membership(
                    *pair, victim=model.name, attack=attack, random_state=self.seed
                )
            )

    def attack(
        self,
        name: str,
        parameters: Mapping[str, Any],
        budget: int | None,
        device: str,
    ) -> None:
        """The attack on every victim and defence, and one that needs no gradient."""
        from kldiv_attack.attackers import ATTACKERS

        arena = Arena(self.inputs.train, self.seed, device, self.verbose)
        models = {model.name: model for model in self.inputs.models}
        for one in self.scored:
            attacks = {name: parameters}
            if ATTACKERS[name].access == "gradients":
                if one.defence is not None:
                    attacks = {}  # a wrapper of answers has no gradient to follow
                if self.inputs.defences:
                    attacks = {**attacks, NO_GRADIENT: {}}
            for chosen, options in attacks.items():
                outcome, picture = arena.run(
                    chosen,
                    options,
                    models[one.table.victim],
                    one.defence,
                    self.inputs.aux[one.aux],
                    one.answers,
                    budget,
                )
                self.found["attacks"].append(outcome)
                self.found["pictures"].append(picture)

    def show_nearest(self) -> None:
        """The nearest auxiliary row of training rows, beside each other."""
        for one in self.scored:
            if one.defence is None and one.table.victim == self.inputs.models[0].name:
                found = nearest_rows(
                    self.inputs.train,
                    self.inputs.aux[one.aux],
                    self.space.train,
                    self.space.others[one.aux],
                    one,
                )
                kind = "pictures" if self.inputs.train.is_images else "extras"
                self.found[kind].append(found)

    def report(
        self, settings: dict[str, str], sources: list[Source], seconds: float
    ) -> AuditReport:
        """Everything that was found."""
        settings = {**settings, "features": self.space.description}
        return AuditReport(
            created=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 1),
            versions=_versions(),
            settings=settings,
            classes=self.names,
            sources=sources,
            victims=self.facts,
            tables=[one.table for one in self.scored],
            **self.found,
        )


def _versions() -> dict[str, str]:
    found = {"kldiv": __version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "scikit-learn", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


__all__ = ["VictimError", "audit"]
