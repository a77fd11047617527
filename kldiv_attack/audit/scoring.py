"""One divergence per class for one victim and one auxiliary sample."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from kldiv import ConditionalKLScorer, KNNDivergence, PerClassReport
from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.content import ClassTable

Rows = NDArray[np.float64]

_EXPOSED_COVERAGE = 0.5
_PARTLY_COVERAGE = 0.1
_CHANCE = 0.05
_TRUST = ("good", "caution", "do not use")
# Files are often in the order of their sources, which makes intervals too short, and
# says nothing against the value.
_ORDER_ONLY = "dependent rows"


@dataclass(frozen=True, eq=False)
class ClassScore:
    """The score of one class.

    Attributes
    ----------
    report : PerClassReport
        Of this class alone.
    notes : dict of str to str
        Name of a check to what it says against the score.
    """

    report: PerClassReport
    notes: Mapping[str, str] = field(default_factory=dict)


def score(
    train: Rows,
    labels: NDArray[np.int64],
    aux: Rows,
    answers: Answers,
    class_names: Sequence[str],
    *,
    floor: Sequence[float | None],
    n_jobs: int | None,
    level: float = 0.95,
    bar: Any = None,
) -> list[ClassScore]:
    """Divergence of the training rows of every class from auxiliary rows called so.

    Parameters
    ----------
    train, aux : ndarray
        Features.
    labels : ndarray of int
        Classes of the training rows.
    answers : Answers
        The victim's answers to the auxiliary rows.
    class_names : sequence of str
        Names of the classes.
    floor : sequence of float or None
        What halves of the training rows of each class give, from
        :func:`kldiv_attack.audit.one_law.floors`.
    n_jobs : int or None
        Classes scored at a time.
    level : float, default=0.95
        Of the intervals.
    bar : progress bar, optional
        Told of every class that is done.

    Returns
    -------
    list of ClassScore
        One for each class that has training rows: one class that cannot be scored
        does not take the others along.
    """
    # Auxiliary rows stand in the order of their files, which is often sorted.
    order = np.random.default_rng(len(aux)).permutation(len(aux))
    aux, called = aux[order], answers.labels[order]
    jobs = [
        (str(class_names[c]), train[labels == c], aux[called == c], floor[c])
        for c in np.unique(labels)
    ]
    n_jobs = 1 if n_jobs is None else n_jobs
    scores = []
    with warnings.catch_warnings(), _one_level(n_jobs):
        warnings.filterwarnings("ignore", message=".*score")  # they are kept as notes
        done = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(
            delayed(_score_class)(*job, level) for job in jobs
        )
        for one in done:
            scores.append(one)
            if bar is not None:
                bar.update()
    return scores


def _one_level(n_jobs: int) -> AbstractContextManager[Any]:
    """Where classes are scored in parallel, nothing below them may start threads."""
    return nullcontext() if n_jobs == 1 else threadpool_limits(1, user_api="blas")


def _score_class(
    name: str, own: Rows, called: Rows, floor: float | None, level: float
) -> ClassScore:
    try:
        if len(called):
            scorer = ConditionalKLScorer(
                KNNDivergence(duplicates="drop"),
                transformer=None,
                confidence_level=level,
                floors={} if floor is None else {name: floor},
            )
            pair = [(rows, np.full(len(rows), name)) for rows in (own, called)]
            report = scorer.fit(*pair).report()
            results = scorer.results_.values()
            return _with_notes(report, [n for one in results for n in one.notes])
        reason = "the victim put no auxiliary row in this class"
    except ValueError as error:
        reason = " ".join(str(error).split()).removeprefix(f"class {name}: ")
    return ClassScore(
        PerClassReport(
            np.array([name]),
            {
                "kl": np.array([np.nan]),
                "n_train": np.array([len(own)]),
                "n_aux": np.array([len(called)]),
            },
            {name: reason},
        )
    )


def _with_notes(report: PerClassReport, notes: Sequence[Any]) -> ClassScore:
    """The report with the trust that its notes leave, in the words of an audit."""
    found, worst = {}, _TRUST[0]
    for note in notes:
        found[note.name] = _in_words(note)
        severity = "caution" if note.name == _ORDER_ONLY else note.severity
        worst = max(worst, severity, key=_TRUST.index)
    if notes:
        columns = {**report.columns, "trust": np.array([worst])}
        report = replace(report, columns=columns)
    return ClassScore(report, found)


def _in_words(note: str) -> str:
    """A note with the samples called by their names, and a capital letter."""
    note = re.sub(r"\ba (?=row of Y\b)", "an ", note)
    for sample, name in (("X", "training"), ("Y", "auxiliary")):
        note = re.sub(rf"\b(rows?) of {sample}\b", rf"{name} \1", note)
        note = re.sub(rf"\b(\d+) of {sample}\b", rf"\1 {name} rows", note)
        note = re.sub(rf"\b{sample}\b", f"the {name} rows", note)
    return note[0].upper() + note[1:]


def table_of(
    scores: Sequence[ClassScore],
    class_names: Sequence[str],
    *,
    victim: str,
    defence: str,
    aux: str,
) -> ClassTable:
    """The reports as one plain table in the order of the classes.

    Parameters
    ----------
    scores : sequence of ClassScore
        From :func:`score`; every column of their reports is kept.
    class_names : sequence of str
        All classes.
    victim, defence, aux : str
        Victim, defence and auxiliary sample of the table.

    Returns
    -------
    ClassTable
        Plain values only.
    """
    reports = [one.report for one in scores]
    places = {
        str(c): (report, i)
        for report in reports
        for i, c in enumerate(report.classes.tolist())
    }
    columns = list(dict.fromkeys(c for report in reports for c in report.columns))
    found: dict[str, list[Any]] = {name: [] for name in columns}
    for c in class_names:
        report, i = places.get(c, (None, 0))
        for name in columns:
            has = report is not None and name in report.columns
            value = report.columns[name][i] if report is not None and has else None
            found[name].append(_plain(name, value))
    reasons = {str(c): why for r in reports for c, why in r.reasons.items()}
    for c in class_names:
        if c not in places:
            reasons[c] = "no training row has this label"
    return ClassTable(
        classes=list(class_names),
        columns=found,
        reasons=reasons,
        notes=_notes_of(scores),
        victim=victim,
        defence=defence,
        aux=aux,
    )


def _notes_of(scores: Sequence[ClassScore]) -> dict[str, dict[str, str]]:
    """Class to checks to what they say; reports of others do not name their checks."""
    found = {
        str(c): {"judge": text}
        for one in scores
        for c, text in one.report.notes.items()
        if not one.notes
    }
    for one in scores:
        if one.notes:
            found |= {str(c): dict(one.notes) for c in one.report.classes.tolist()}
    return found


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, tuple | list | np.ndarray):
        return " ".join(map(str, value))
    number = float(value)
    if not np.isfinite(number):
        return None
    return int(number) if name.startswith("n_") else number


def digests(
    train: Rows,
    labels: NDArray[np.int64],
    aux: Rows,
    answers: Answers,
    n_classes: int,
) -> list[str]:
    """What identifies the rows that each class was scored on."""
    found = []
    for c in range(n_classes):
        digest = hashlib.sha256(train[labels == c].tobytes())
        digest.update(aux[answers.labels == c].tobytes())
        found.append(digest.hexdigest()[:16])
    return found


def verdict(table: ClassTable, c: int, leaked: int) -> str:
    """One word on a class, from its interval, trust and coverage.

    ``"leaked"``: its training rows are in the auxiliary data. ``"not evaluable"``: no
    score, or one that is not to be used. ``"exposed"``: most training rows have an
    auxiliary row as near as their own neighbours, or some have and nothing tells the
    samples apart: the interval holds the floor, and the p-value agrees.
    ``"partly exposed"``: one of the two; ``"apart"``: none.
    """
    if leaked:
        return "leaked"
    if not table.evaluable(c):
        return "not evaluable"
    low, floor = table.value("kl_low", c), table.value("floor", c)
    coverage = table.value("coverage", c) or 0.0
    floor = max(0.0, floor) if floor is not None else 0.0
    pvalue, some = table.value("pvalue", c), coverage >= _PARTLY_COVERAGE
    differ = pvalue is not None and pvalue <= _CHANCE
    at_floor = low is not None and low <= floor and not differ
    if coverage >= _EXPOSED_COVERAGE or (at_floor and some):
        return "exposed"
    return "partly exposed" if at_floor or some else "apart"
