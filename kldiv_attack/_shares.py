"""Shares of rows, their differences, and intervals of both."""

import numpy as np
from scipy.stats import norm

__all__ = ["difference_interval", "differences", "wilson"]


def differences(
    used: list[tuple[int, tuple[float, float]]], level: float = 0.95
) -> tuple[float, float, float, float, float]:
    """Two shares and their difference, over strata weighted by their rows.

    Parameters
    ----------
    used : list of (int, (float, float))
        Rows of either kind, and both shares of them.
    level : float, default=0.95
        Of the interval.

    Returns
    -------
    tuple of float
        Both shares, the first minus the second, and the ends of its interval.
    """
    weights = np.array([n for n, _ in used], dtype=np.float64)
    weights /= weights.sum()
    inside = float(weights @ [s[0] for _, s in used])
    outside = float(weights @ [s[1] for _, s in used])
    middle = inside - outside
    # What lies below and above the difference of each stratum adds up in squares.
    below, above = 0.0, 0.0
    for weight, (n, (a, b)) in zip(weights, used, strict=True):
        low, high = difference_interval(a, n, b, n, level)
        below += (weight * (a - b - low)) ** 2
        above += (weight * (high - (a - b))) ** 2
    return (
        inside,
        outside,
        middle,
        float(middle - np.sqrt(below)),
        float(middle + np.sqrt(above)),
    )


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
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))
