"""Are training rows covered more than rows of the class that were not trained on?"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._coverage import Balls
from kldiv_attack._shares import difference_interval, differences

Rows = NDArray[np.float64]

COLUMNS = ("coverage_held_out", "excess", "excess_low", "excess_high")
_FEWEST = 10


def coverage_excess(
    private: Rows, held_out: Rows, made: Rows, n_neighbors: int, level: float
) -> tuple[dict[str, float], str]:
    """Coverage of training rows minus that of held-out rows, for one class.

    Parameters
    ----------
    private, held_out : ndarray of shape (n, n_features)
        Features of as many training rows as held-out rows.
    made : ndarray of shape (m, n_features)
        Features of the reconstructions.
    n_neighbors : int
        Neighbour that a ball reaches to.
    level : float
        Of the interval.

    Returns
    -------
    tuple
        The columns, and what is missing in them.

    Notes
    -----
    Both kinds meet the same reconstructions, and the balls reach to the k-th neighbour
    among both kinds together, so that rows of one law are exchangeable. The interval is
    Newcombe's (1998, method 10).
    """
    n = len(private)
    least = max(_FEWEST, n_neighbors + 1)
    if n < least:
        return {}, (
            f"the held-out control needs at least {least} rows of either kind, there "
            f"are {n}"
        )
    both = np.concatenate([private, held_out])
    covered = Balls.around(both, made, n_neighbors).covered
    inside, outside = float(covered[:n].mean()), float(covered[n:].mean())
    low, high = difference_interval(inside, n, outside, n, level)
    return {
        "compared": n,
        "coverage_train": inside,
        "coverage_held_out": outside,
        "excess": inside - outside,
        "excess_low": low,
        "excess_high": high,
    }, ""


def excess_of_all(found: Mapping[str, NDArray[Any]], level: float) -> str:
    """The excess over all classes, its interval and what it is taken of, in words."""
    columns = ("compared", "coverage_train", "coverage_held_out")
    shares = zip(*(found[name] for name in columns), strict=True)
    used = [(int(n), (a, b)) for n, a, b in shares if np.isfinite(a)]
    if not used:
        return "not measured"
    _, _, middle, low, high = differences(used, level)
    rows = sum(n for n, _ in used)
    return f"{middle:+.4f} ({low:+.4f} to {high:+.4f}), {rows} rows of either kind"
