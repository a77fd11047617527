"""Intervals of paired differences."""

from __future__ import annotations

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
