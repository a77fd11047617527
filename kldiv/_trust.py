"""How far a result can be trusted: what is checked, and the verdict.

Every check is an entry of ``NOTES``: what it measures, its threshold, what it says, and
how bad that is. The verdict of a result is the worst of its notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kldiv._typing import FloatArray
from kldiv._warnings import Note, TrustWarning

#: Verdicts, from best to worst.
TRUST = ("good", "caution", "do not use")

_FEW_ROWS, _TOO_FEW_ROWS = 50, 20
_LOW_COVERAGE = 0.5
_OTHER_SCALE = 100.0
# The outermost tenth of the rows spans this share of what the three tenths before it
# span where a density ends at an edge: 1/3 for a uniform one, 1.7 for a Gaussian.
_SHARP, _ROWS_FOR_EDGES = 0.55, 200
_BEYOND, _ROWS_BEYOND = 0.02, 10
_CORRELATED, _VERY_CORRELATED, _SURE = 0.2, 0.5, 5.0
_APART, _RELATIVELY_APART, _CLAIMS_MORE = 0.1, 0.2, 1.0
_NO_DIFFERENCE = 0.1
_MISFIT, _RELATIVE_MISFIT = 0.25, 0.5
# Columns that are copied together, so that each of them is read in one piece.
_COLUMNS_AT_ONCE = 32


@dataclass(frozen=True)
class Outcome:
    """What a check has to look at.

    Attributes
    ----------
    X, Y : ndarray of shape (n, d) and (m, d)
        The samples.
    dimension : int
        Of the plane that holds their rows.
    candidates : sequence of (str, float, float)
        Name, weight and value of each estimate that was averaged.
    doubts : mapping of str to object
        "held", "misfit", "proven" and "claimed" of the `LogRatio`.
    facts : mapping of str to object
        Fields of the result so far.
    level_asked : bool
        Whether an interval was asked for.
    unbounded : bool
        Whether the divergence can be infinite.
    """

    X: FloatArray
    Y: FloatArray
    dimension: int
    candidates: Sequence[tuple[str, float, float]]
    doubts: Mapping[str, Any]
    facts: dict[str, Any]
    level_asked: bool
    unbounded: bool


@dataclass(frozen=True)
class Check:
    """One thing that can stand against a result.

    Attributes
    ----------
    measured : str
        What is measured, for the documentation.
    threshold : str
        From where on it is said, and how bad it is.
    look : callable
        Gives the severity and the words, or None.
    warns : bool
        Whether it is a `TrustWarning` as well, for those who only see the number.
    """

    measured: str
    threshold: str
    look: Callable[[Outcome], tuple[str, str] | None]
    warns: bool = False


def notes_of(outcome: Outcome, names: Sequence[str] | None = None) -> tuple[Note, ...]:
    """What stands against a result, in the order of ``NOTES``, or of some `names`."""
    notes = []
    told = any(note.category is not None for note in outcome.facts["notes"])
    for name in NOTES if names is None else names:
        check = NOTES[name]
        said = check.look(outcome)
        if said is not None:
            severity, text = said
            category = TrustWarning if check.warns and not told else None
            notes.append(Note(text, category, severity, name))
    return tuple(notes)


def verdict(notes: tuple[Note, ...]) -> str:
    """The worst that the notes say."""
    return max((note.severity for note in notes), key=TRUST.index, default=TRUST[0])


def _few_rows(outcome: Outcome) -> tuple[str, str] | None:
    n, m, d = len(outcome.X), len(outcome.Y), outcome.dimension
    if not (severity := _severity_of_few(min(n, m), d)):
        return None
    return severity, (
        f"{n} rows of X and {m} of Y in {d} columns are few: a divergence can hardly "
        "be told from chance. Bring more rows, or use fewer columns."
    )


def _few_effective_rows(outcome: Outcome) -> tuple[str, str] | None:
    n, m = (outcome.facts.get(name) for name in ("n_effective", "m_effective"))
    d = outcome.dimension
    if n is None or m is None or not (severity := _severity_of_few(min(n, m), d)):
        return None
    return severity, (
        f"the weights leave {n:.0f} effective rows of X and {m:.0f} of Y in {d} "
        "columns: a few heavy rows decide the value. Bring rows drawn closer to the "
        "distribution that they stand for."
    )


def _severity_of_few(least: float, dimension: int) -> str:
    """How bad so few rows of the smaller sample are; empty if they are enough."""
    if least >= max(_FEW_ROWS, dimension + 2):
        return ""
    return "do not use" if least < max(_TOO_FEW_ROWS, dimension + 2) else "caution"


def _low_coverage(outcome: Outcome) -> tuple[str, str] | None:
    coverage = outcome.facts["coverage"]
    if coverage >= _LOW_COVERAGE:
        return None
    return "caution", (
        f"only {coverage:.0%} of the rows of X have a row of Y among their own "
        "neighbours: where the samples do not overlap the value is an extrapolation."
    )


def _other_scale(outcome: Outcome) -> tuple[str, str] | None:
    """Columns whose middle halves are far apart, or of very different width."""
    if not outcome.X.shape[1]:  # all columns are discrete
        return None
    (low, high), (other_low, other_high) = (
        np.quantile(sample, [0.25, 0.75], axis=0) for sample in (outcome.X, outcome.Y)
    )
    width, other = high - low, other_high - other_low
    known = (width > 0) & (other > 0)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        times = np.where(known, np.maximum(width / other, other / width), 1.0)
        apart = np.abs(low + high - other_low - other_high) / 2
        far = np.where(known, apart / np.maximum(width, other), 0.0)
    worst = int(np.argmax(np.maximum(times, far)))
    if max(times[worst], far[worst]) <= _OTHER_SCALE:
        return None
    return "do not use", (
        f"the samples are on another scale: the middle half of column {worst} is from "
        f"{low[worst]:.3g} to {high[worst]:.3g} in X and from {other_low[worst]:.3g} "
        f"to {other_high[worst]:.3g} in Y. Bring both to the same units."
    )


def _beyond_support(outcome: Outcome) -> tuple[str, str] | None:
    """Rows of X beyond a sharp edge of Y, where the truth is infinite."""
    if not outcome.unbounded:
        return None
    X, Y = outcome.X, outcome.Y
    if len(Y) < _ROWS_FOR_EDGES:
        return None
    for column in range(X.shape[1]):
        for sign in (1.0, -1.0):
            y = np.sort(sign * Y[:, column])
            beyond = int((sign * X[:, column] > y[-1]).sum())
            if beyond >= max(_ROWS_BEYOND, _BEYOND * len(X)) and _sharp(y):
                return "do not use", (
                    f"{beyond} rows of X lie beyond the edge at which Y ends in column "
                    f"{column} ({sign * y[-1]:.3g}): where Y has no rows at all the "
                    "divergence is infinite, and the value only says that it is large."
                )
    return None


def _sharp(y: FloatArray) -> bool:
    """Whether the largest values lie as dense as those before them."""
    tenth = len(y) // 10
    last, before = y[-1] - y[-1 - tenth], y[-1 - tenth] - y[-1 - 4 * tenth]
    return bool(before > 0 and last < _SHARP * before)


def _dependent_rows(outcome: Outcome) -> tuple[str, str] | None:
    """Correlation of each row with the next one, the largest over columns."""
    if not outcome.X.shape[1]:
        return None
    worst, name = 0.0, ""
    for label, sample in (("X", outcome.X), ("Y", outcome.Y)):
        if len(sample) < _FEW_ROWS:
            continue
        correlation = _next_row_correlation(sample)
        if correlation * np.sqrt(len(sample)) > _SURE and correlation > worst:
            worst, name = correlation, label
    if worst <= _CORRELATED:
        return None
    severity = "do not use" if worst > _VERY_CORRELATED else "caution"
    return severity, (
        f"rows of {name} depend on the row before them (correlation {worst:.2f}): the "
        "sample says less than its size, and intervals are too short. If the rows are "
        "only sorted, shuffle them; if they are a series, take rows further apart."
    )


def _next_row_correlation(sample: FloatArray) -> float:
    n = len(sample)
    positions, ranks = np.arange(n) - (n - 1) / 2, np.empty(n)
    largest = -np.inf
    for start in range(0, sample.shape[1], _COLUMNS_AT_ONCE):
        some = slice(start, start + _COLUMNS_AT_ONCE)
        for column in np.ascontiguousarray(sample[:, some].T):
            order = np.argsort(column)
            ordered = column[order]
            if (ordered[1:] == ordered[:-1]).any():  # equal values stay in order
                order = np.argsort(column, kind="stable")
            ranks[order] = positions
            largest = max(largest, float(ranks[1:] @ ranks[:-1]))
    return largest / float(positions @ positions)


def _candidates_apart(outcome: Outcome) -> tuple[str, str] | None:
    """Candidates that evidence cannot tell apart, and that differ."""
    claimed, value = outcome.doubts.get("claimed", -np.inf), outcome.facts["value"]
    if claimed > value + max(_CLAIMS_MORE, abs(value)):
        return "caution", (
            f"another estimate, which rows unseen do not refute, says {claimed:.1f} "
            "nats: distributions that far apart can look like these samples."
        )
    if not outcome.candidates:
        return None
    names, weights, values = zip(*outcome.candidates, strict=True)
    centre = float(np.dot(weights, values))
    spread = float(np.sqrt(np.dot(weights, (np.array(values) - centre) ** 2)))
    if spread <= max(_APART, _RELATIVELY_APART * abs(centre)):
        return None
    each = ", ".join(f"{n} {value:.2f}" for n, value in zip(names, values, strict=True))
    return "caution", (
        f"the data do not say which of several estimates is right ({each} nats); the "
        "value is their mean, and the standard error holds their spread."
    )


def _single_rows(outcome: Outcome) -> tuple[str, str] | None:
    if not outcome.doubts.get("held"):
        return None
    return "caution", (
        "single rows of X lie so far out that each would decide the value, and were "
        "held back: in tails as heavy as these may be more of the divergence than the "
        "sample shows."
    )


def _misfit(outcome: Outcome) -> tuple[str, str] | None:
    """References that the rows in balls contradict (mean log masses about zero)."""
    misfit, value = outcome.doubts.get("misfit", 0.0), outcome.facts["value"]
    if misfit <= max(_MISFIT, _RELATIVE_MISFIT * abs(value)):
        return None
    return "caution", (
        f"the fitted references are off by {misfit:.2f} nats in the balls around the "
        "rows, which correct only part of it where columns are many."
    )


def _more_proven(outcome: Outcome) -> tuple[str, str] | None:
    interval = outcome.facts.get("confidence_interval")
    proven = outcome.doubts.get("proven", -np.inf)
    if interval is None or proven <= interval[1]:
        return None
    return "do not use", (
        f"rows that no fit has seen prove at least {proven:.2f} nats, and the interval "
        f"ends at {interval[1]:.2f}: the estimate is too small."
    )


def _beyond_evidence(outcome: Outcome) -> tuple[str, str] | None:
    most = float(np.log(len(outcome.Y)))
    value = outcome.facts["value"]
    if outcome.facts.get("correction") is None or not most < value < np.inf:
        return None
    return "caution", (
        f"{value:.1f} nats are more than {len(outcome.Y)} rows of Y can prove "
        f"(about {most:.1f}): beyond, the value is what a fitted model says."
    )


def _below_zero(outcome: Outcome) -> tuple[str, str] | None:
    interval = outcome.facts.get("confidence_interval")
    if interval is None or interval[1] >= 0:
        return None
    return "do not use", (
        f"the whole interval ({interval[0]:.2f}, {interval[1]:.2f}) lies below zero, "
        "which no divergence does: the estimate is biased here."
    )


def _contradicted(outcome: Outcome) -> tuple[str, str] | None:
    pvalue, interval = (
        outcome.facts.get(name) for name in ("pvalue", "confidence_interval")
    )
    if pvalue is None or interval is None:
        return None
    if pvalue <= _NO_DIFFERENCE or interval[0] <= _NO_DIFFERENCE:
        return None
    return "caution", (
        f"the interval begins at {interval[0]:.2f} nats, but a permutation test sees "
        f"no difference (p = {pvalue:.2f})."
    )


def _no_standard_error(outcome: Outcome) -> tuple[str, str] | None:
    if not outcome.level_asked or outcome.facts.get("standard_error") is not None:
        return None
    return "caution", (
        "there is no standard error: a sample has fewer than five groups of "
        "n_neighbors + 1 rows, or the divergence has none."
    )


#: What is checked of every result. The verdict is the worst of what they say.
NOTES: dict[str, Check] = {
    "few rows": Check(
        "rows of the smaller sample",
        "below 50: caution; below 20, or not two more than columns: do not use",
        _few_rows,
    ),
    "uneven weights": Check(
        "effective rows (Kish) of the smaller weighted sample",
        "below 50: caution; below 20, or not two more than columns: do not use",
        _few_effective_rows,
    ),
    "low coverage": Check("coverage", "below 0.5: caution", _low_coverage),
    "another scale": Check(
        "distance and ratio of the interquartile ranges of a column",
        "above 100: do not use",
        _other_scale,
        warns=True,
    ),
    "beyond the support": Check(
        "rows of X beyond an edge at which the rows of Y lie densely",
        "2 % of the rows of X, and at least 10: do not use",
        _beyond_support,
    ),
    "dependent rows": Check(
        "rank correlation of rows with the next row, largest over the columns",
        "above 0.2 and five standard errors: caution; above 0.5: do not use",
        _dependent_rows,
    ),
    "candidates apart": Check(
        "estimates that evidence leaves: spread, and largest at rows unseen",
        "above 0.1 nat and 20 % of the value; 1 nat and 100 % above it: caution",
        _candidates_apart,
    ),
    "single rows": Check(
        "log ratio of a row against those of the others",
        "20 interquartile ranges away, and 0.05 nat of the mean: caution",
        _single_rows,
    ),
    "misfit": Check(
        "log masses of references against rows in balls, both samples added up",
        "above 0.25 nat and half of the value: caution",
        _misfit,
    ),
    "more is proven": Check(
        "lower confidence limit from rows unseen against the interval",
        "above its upper end: do not use",
        _more_proven,
    ),
    "beyond the evidence": Check(
        "value against the log of the rows of Y",
        "above: caution",
        _beyond_evidence,
    ),
    "below zero": Check(
        "upper end of the interval", "below 0: do not use", _below_zero, warns=True
    ),
    "contradicted": Check(
        "interval against the permutation p-value",
        "interval above 0.1 nat although p is above 0.1: caution",
        _contradicted,
    ),
    "no standard error": Check(
        "whether the standard error that was asked for could be had",
        "if not: caution",
        _no_standard_error,
    ),
}
