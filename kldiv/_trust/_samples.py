"""What samples say against every estimate from them."""

from __future__ import annotations

import numpy as np

from kldiv._order import extremes, in_parts, next_row_correlation, quartiles
from kldiv._trust._outcome import Outcome
from kldiv._typing import FloatArray

_FEW_ROWS, _TOO_FEW_ROWS = 50, 20
_OTHER_SCALE = 100.0
# The outermost tenth of the rows spans this share of what the three tenths before it
# span where a density ends at an edge: 1/3 for a uniform one, 1.7 for a Gaussian.
_SHARP, _ROWS_FOR_EDGES = 0.55, 200
_BEYOND, _IN_GAPS, _ROWS_BEYOND = 0.02, 0.01, 10
_CORRELATED, _VERY_CORRELATED, _SURE, _SURE_IN_SERIES = 0.2, 0.5, 5.0, 3.0


def few_rows(outcome: Outcome) -> tuple[str, str] | None:
    n, m, d = len(outcome.X), len(outcome.Y), outcome.dimension
    if not (severity := _severity_of_few(min(n, m), d)):
        return None
    return severity, (
        f"{n} rows of X and {m} of Y in {d} columns are few: a divergence can hardly "
        "be told from chance. Bring more rows, or use fewer columns."
    )


def few_effective_rows(outcome: Outcome) -> tuple[str, str] | None:
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


def other_scale(outcome: Outcome) -> tuple[str, str] | None:
    """Columns whose middle halves are far apart, or of very different width."""
    if not outcome.X.shape[1]:  # all columns are discrete
        return None
    low, high = quartiles(outcome.X)
    other_low, other_high = quartiles(outcome.Y)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        width, other = high - low, other_high - other_low
        known = (width > 0) & (other > 0)
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


def beyond_support(outcome: Outcome) -> tuple[str, str] | None:
    """Rows of X beyond a sharp edge of Y, where the truth is infinite."""
    if not outcome.unbounded or len(outcome.Y) < _ROWS_FOR_EDGES:
        return None
    X, Y = outcome.X, outcome.Y
    least = max(_ROWS_BEYOND, _BEYOND * len(X))
    low, high = extremes(Y)
    above = np.sum([(high < part).sum(axis=0) for part in in_parts(X)], axis=0)
    below = np.sum([(low > part).sum(axis=0) for part in in_parts(X)], axis=0)
    for column in np.flatnonzero(np.maximum(above, below) >= least):
        for sign, beyond in ((1.0, above[column]), (-1.0, below[column])):
            if beyond < least:
                continue
            y, x = np.sort(sign * Y[:, column]), sign * X[:, column]
            surely = int((x > _end(y)).sum())
            if surely >= least and _sharp(y):
                return "do not use", (
                    f"{surely} rows of X lie beyond the edge at which Y ends in column "
                    f"{column} ({sign * y[-1]:.3g}): where Y has no rows at all the "
                    "divergence is infinite, and the value only says that it is large."
                )
    return _in_gaps(outcome)


def _in_gaps(outcome: Outcome) -> tuple[str, str] | None:
    """Rows of X where Y has a hole, or beyond an edge across the columns."""
    n, beyond = len(outcome.X), outcome.doubts.get("in gaps", 0)
    if beyond < max(_ROWS_BEYOND, _IN_GAPS * n):
        return None
    severity = "do not use" if beyond >= _BEYOND * n else "caution"
    return severity, (
        f"{beyond} of {n} rows of X lie where Y has no rows, past edges at which it "
        "lies densely: where Y has no rows at all the divergence is infinite, and the "
        "value only says that it is large."
    )


def _end(y: FloatArray) -> float:
    """How far the distribution of ascending values may reach beyond the largest one.

    As far again as the outermost rows lie apart: the edge itself is in no sample.
    """
    with np.errstate(over="ignore"):
        return float(2 * y[-1] - y[-1 - _ROWS_BEYOND])


def _sharp(y: FloatArray) -> bool:
    """Whether the largest values lie as dense as those before them."""
    tenth = len(y) // 10
    with np.errstate(over="ignore"):
        last, before = y[-1] - y[-1 - tenth], y[-1 - tenth] - y[-1 - 4 * tenth]
    return bool(before > 0 and last < _SHARP * before)


def dependent_rows(outcome: Outcome) -> tuple[str, str] | None:
    """Correlation of each row with the next one beyond the exclusion window, the
    largest over columns."""
    if not outcome.X.shape[1]:
        return None
    worst, name = 0.0, ""
    for label, sample in (("X", outcome.X), ("Y", outcome.Y)):
        if len(sample) - outcome.window < _FEW_ROWS:
            continue
        correlation = next_row_correlation(sample, outcome.window + 1)
        # rows of a series tell about its memory as rows that far apart would
        rows = len(sample) / (outcome.window + 1)
        errors = _SURE_IN_SERIES if outcome.window else _SURE
        sure = correlation * np.sqrt(rows) > errors
        if sure and correlation > worst:
            worst, name = correlation, label
    if worst <= _CORRELATED:
        return None
    severity = "do not use" if worst > _VERY_CORRELATED else "caution"
    if outcome.window:
        return severity, (
            f"rows of {name} depend on rows more than exclusion_window="
            f"{outcome.window} before them (correlation {worst:.2f}): widen it."
        )
    return severity, (
        f"rows of {name} depend on the row before them (correlation {worst:.2f}): the "
        "sample says less than its size, and intervals are too short. If the rows are "
        "only sorted, shuffle them; if they are a series, give as exclusion_window how "
        "many rows its memory lasts, or take rows further apart."
    )
