"""Shares of rows, their differences, intervals of both, and means over strata."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

__all__ = ["difference_interval", "over_strata", "wilson"]


def difference_interval(
    first: float, n: int, second: float, m: int, level: float = 0.95
) -> tuple[float, float]:
    """Interval of the difference of two shares (Newcombe 1998, method 10).

    Parameters
    ----------
    first, second : float
        The shares.
    n, m : int
        Rows that they are taken of.
    level : float, default=0.95
        Of the interval.

    Returns
    -------
    tuple of float
        Lower and upper end of `first` minus `second`.

    Examples
    --------
    >>> low, high = difference_interval(56 / 70, 70, 48 / 80, 80)
    >>> round(low, 4), round(high, 4)
    (0.0524, 0.3339)
    """
    a, b = wilson(first, n, level), wilson(second, m, level)
    middle = first - second
    low = middle - np.hypot(first - a[0], b[1] - second)
    high = middle + np.hypot(a[1] - first, second - b[0])
    return float(low), float(high)


def wilson(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share of n rows.

    Parameters
    ----------
    share : float
        Between 0 and 1.
    n : int
        Rows.
    level : float, default=0.95
        Of the interval.

    Returns
    -------
    tuple of float
        Lower and upper end.
    """
    z = float(norm.ppf(0.5 + level / 2))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # The share itself is inside, which rounding forgets of 0 and 1.
    low, high = min(share, float(centre - reach)), max(share, float(centre + reach))
    return max(0.0, low), min(1.0, high)


def over_strata(weights: ArrayLike, found: ArrayLike) -> tuple[float, float, float]:
    """A weighted mean of independent values, with its interval.

    Parameters
    ----------
    weights : array-like of shape (n,)
        One for each value.
    found : array-like of shape (n, 3)
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
