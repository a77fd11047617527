"""Defences and victims against the victim as it is: differences with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv import PerClassReport
from kldiv_attack._shares import over_strata
from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.attack_content import AttackChange, AttackOutcome
from kldiv_attack.audit.content import ClassTable, Difference
from kldiv_attack.audit.defences import Defence
from kldiv_attack.audit.held_out import ALL
from kldiv_attack.audit.intervals import paired_interval
from kldiv_attack.audit.scoring import ClassScore

AccuracyOf = Callable[[str, Defence | None], tuple[float | None, str, float]]


@dataclass(frozen=True, eq=False)
class Scored:
    """One table with the reports that it was made of.

    Attributes
    ----------
    table : ClassTable
        Plain values.
    scores : list of ClassScore
        For differences: their reports know which rows they share.
    answers : Answers
        Answers to the auxiliary rows.
    defence : Defence or None
        Wrapper of the victim.
    aux : int
        Number of the auxiliary sample.
    """

    table: ClassTable
    scores: list[ClassScore]
    answers: Answers
    defence: Defence | None
    aux: int


def differences_of(
    scored: Sequence[Scored], accuracy_of: AccuracyOf, class_names: Sequence[str]
) -> list[Difference]:
    """Every defence against its victim, and every other victim against the first.

    Parameters
    ----------
    scored : sequence of Scored
        All tables.
    accuracy_of : callable
        From victim and defence to accuracy, rows and share of refusals.
    class_names : sequence of str
        All classes.

    Returns
    -------
    list of Difference
        Positive: further from the training rows than before, hence less exposed.
    """
    found = []
    first = scored[0].table.victim
    plain = {(s.table.victim, s.aux): s for s in scored if s.defence is None}
    for one in scored:
        victim = one.table.victim
        if one.defence is None and victim == first:
            continue
        against = plain[victim if one.defence is not None else first, one.aux]
        accuracy, role, refused = accuracy_of(victim, one.defence)
        before, _, _ = accuracy_of(against.table.victim, None)
        columns = _columns(one, against, class_names)
        changed = float((one.answers.labels != against.answers.labels).mean())
        found.append(
            Difference(
                victim=victim,
                defence=one.table.defence,
                aux=one.table.aux,
                against=against.table.victim,
                classes=[*class_names, ALL],
                **columns,
                changed=changed,
                accuracy=accuracy,
                accuracy_before=before,
                measured_on=role,
                refused=refused,
            )
        )
    return found


def _columns(
    one: Scored, other: Scored, class_names: Sequence[str]
) -> dict[str, list[float | None]]:
    difference: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []
    for c, label in enumerate(class_names):
        values: Any = (None, None, None)
        if one.table.evaluable(c) and other.table.evaluable(c):
            mine, theirs = (_holding(s.scores, label) for s in (one, other))
            value, ends = mine.compare(theirs, label)
            values = (value, *ends)
            if one.table.digests[c] == other.table.digests[c]:
                values = (0.0, 0.0, 0.0)  # the same rows: the same number
        for column, number in zip((difference, low, high), values, strict=True):
            missing = number is None or np.isnan(number)
            column.append(None if missing else float(number))
    certain = [
        label for label, end in zip(class_names, low, strict=True) if end is not None
    ]
    overall = _overall(one, other, certain)
    for column, number in zip((difference, low, high), overall, strict=True):
        column.append(number)
    return {"difference": difference, "low": low, "high": high}


def _overall(
    one: Scored, other: Scored, labels: Sequence[str]
) -> tuple[float | None, float | None, float | None]:
    """Mean change over classes; errors of classes that exchange rows hang together."""
    if not labels:
        return None, None, None
    moved = [c for c in labels if _digest(one.table, c) != _digest(other.table, c)]
    if not moved:
        return 0.0, 0.0, 0.0
    mine, theirs = (
        _as_one([_holding(s.scores, label) for label in moved]) for s in (one, other)
    )
    value, (low, high) = mine.compare_means(theirs)
    share = len(moved) / len(labels)  # the others stay as they are
    return share * value, share * low, share * high


def _digest(table: ClassTable, label: str) -> str:
    return table.digests[table.classes.index(label)]


def _as_one(reports: Sequence[PerClassReport]) -> PerClassReport:
    """Reports of one class each as one report, as far as it is to be compared."""
    return PerClassReport(
        np.concatenate([report.classes for report in reports]),
        {
            name: np.concatenate([report.columns[name] for report in reports])
            for name in ("kl", "standard_error")
        },
        pairing={c: e for report in reports for c, e in report.pairing.items()},
    )


def _holding(scores: list[ClassScore], label: str) -> PerClassReport:
    return next(s.report for s in scores if label in s.report.classes.tolist())


#: Outcome of an attack, and per class whether each reconstruction was put into it.
Attacked = tuple[AttackOutcome, list[NDArray[np.bool_] | None]]


def attack_changes(
    attacked: Sequence[Attacked], class_names: Sequence[str]
) -> list[AttackChange]:
    """Every attack under a defence or on another victim against the same one before.

    Parameters
    ----------
    attacked : sequence of (AttackOutcome, list)
        Outcomes with what came of every reconstruction; None for classes that could
        not be reconstructed.
    class_names : sequence of str
        All classes.

    Returns
    -------
    list of AttackChange
        Negative: the attack is weaker than before.
    """
    if not attacked:
        return []
    first = attacked[0][0].victim
    plain = {(o.victim, o.aux, o.attack): h for o, h in attacked if not o.defence}
    found = []
    for outcome, hits in attacked:
        against = outcome.victim if outcome.defence else first
        before = plain.get((against, outcome.aux, outcome.attack))
        if before is None or (not outcome.defence and outcome.victim == first):
            continue
        names, rows = [], []
        for name, mine, theirs in zip(class_names, hits, before, strict=True):
            if mine is not None and theirs is not None:
                shares = float(mine.mean()), float(theirs.mean())
                ends = paired_interval(mine, theirs)
                names.append(name)
                rows.append((*shares, shares[0] - shares[1], *ends))
        if not rows:
            continue
        table = np.array(rows)
        changes = [(d, a, b) for *_, d, a, b in rows]
        overall = over_strata([1.0] * len(rows), changes)
        table = np.vstack([table, [*table[:, :2].mean(axis=0), *overall]])
        columns = [column.tolist() for column in table.T]
        found.append(
            AttackChange(
                outcome.victim, outcome.defence, outcome.aux, outcome.attack, against,
                [*names, ALL], *columns,
            )
        )  # fmt: skip
    return found
