"""Intervals of paired differences, and of means over strata."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from kldiv_attack._shares import wilson


def paired_interval(
    first: ArrayLike, second: ArrayLike, level: float = 0.95
) -> tuple[float, float]:
    """Interval of the difference of two shares of the same cases (Newcombe 1998).

    Parameters
    ----------
    first, second : array-like of bool
        What came of every case on either side, in the same order.
    level : float, default=0.95
        Of the interval.

    Returns
    -------
    tuple of float
        Lower and upper end of the share of `first` minus that of `second`.

    Notes
    -----
    Method 10 of Newcombe, "Improved confidence intervals for the difference between
    binomial proportions based on paired data", Statistics in Medicine 17: Wilson's
    intervals of both shares, put together with the correlation of the pairs.

    Examples
    --------
    >>> first = [1] * 36 + [1] * 12 + [0] * 2
    >>> second = [1] * 36 + [0] * 12 + [1] * 2
    >>> low, high = paired_interval(first, second)
    >>> round(low, 4), round(high, 4)
    (0.0569, 0.3404)
    """
    one, other = (np.asarray(hits, dtype=bool) for hits in (first, second))
    n = len(one)
    table = np.array(
        [[(one & other).sum(), (one & ~other).sum()],
         [(~one & other).sum(), (~one & ~other).sum()]],
        dtype=np.float64,
    )  # fmt: skip
    size = np.sqrt(table.sum(axis=0).prod() * table.sum(axis=1).prod())
    likeness = 0.0
    if size > 0:
        likeness = table[0, 0] * table[1, 1] - table[0, 1] * table[1, 0]
        if likeness > 0:  # a correction for continuity
            likeness = max(likeness - n / 2, 0.0)
        likeness /= size
    p, q = float(one.mean()), float(other.mean())
    (a, b), (c, d) = wilson(p, n, level), wilson(q, n, level)

    def reach(mine: float, theirs: float) -> float:
        square = mine**2 - 2 * likeness * mine * theirs + theirs**2
        return float(np.sqrt(max(square, 0.0)))

    return p - q - reach(p - a, d - q), p - q + reach(b - p, q - c)


def over_strata(
    weights: Sequence[float], found: Sequence[tuple[float, float, float]]
) -> tuple[float, float, float]:
    """A weighted mean of independent values, with its interval.

    Parameters
    ----------
    weights : sequence of float
        One for each value.
    found : sequence of (float, float, float)
        Values with the ends of their intervals.

    Returns
    -------
    tuple of float
        Mean and ends: what lies below and above each value adds up in squares.

    Examples
    --------
    >>> over_strata([1, 1], [(1.0, 0.7, 1.3), (2.0, 1.6, 2.4)])
    (1.5, 1.25, 1.75)
    """
    share = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    value, low, high = np.asarray(found, dtype=np.float64).T
    middle = float(share @ value)
    below = float(np.linalg.norm(share * (value - low)))
    above = float(np.linalg.norm(share * (high - value)))
    return middle, middle - below, middle + above
