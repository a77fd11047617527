"""Rows that lie alone, far from all others of their sample: fill values, misprints.

A distribution with a heavy tail has rows far out too, but others on the way there.
Under a power tail the logs of the ratios of successive distances from the middle, each
times its rank, are independent exponential numbers of one mean (Renyi 1953), and under
a lighter tail they do not grow; a gap of many such means is none that the tail
explains.
"""

from __future__ import annotations

import numpy as np

from kldiv._typing import FloatArray, Floats, Mask

_FEWEST_ROWS = 50
# At most this share of the rows, or one, can be far; more are a part of the law.
_SHARE = 0.02
# A gap of so many mean gaps, of which the next ones are looked at. The mean is at least
# this, so that values on a grid, which repeat, do not make each gap a large one.
_GAPS, _NEXT, _LEAST_MEAN = 20.0, 30, 0.02
# And so many interquartile ranges from the median.
RANGES = 20.0


def far_rows(sample: FloatArray) -> Mask:
    """Which rows of a sample lie far from all others in some column, shape (n,)."""
    n = len(sample)
    far = np.zeros(n, dtype=bool)
    if n < _FEWEST_ROWS:
        return far
    middle = sample.shape[0] // 2
    ordered = np.partition(sample, (n // 4, middle, 3 * n // 4), axis=0)
    width = (ordered[3 * n // 4] - ordered[n // 4]).astype(np.float64)
    distances = np.abs(sample - ordered[middle])
    # most columns of most samples have no row so far out
    for column in np.flatnonzero(distances.max(axis=0) > RANGES * width):
        if width[column] > 0:
            limit = _beyond_a_gap(distances[:, column].astype(np.float64))
            far |= distances[:, column] >= max(limit, RANGES * width[column])
    return far


def _beyond_a_gap(distances: Floats) -> float:
    """Smallest distance of the few that lie beyond a gap; infinity without one."""
    most = max(1, int(_SHARE * distances.size))
    largest = np.sort(distances)[::-1][: most + _NEXT + 1]
    largest = np.maximum(largest, np.finfo(float).tiny)
    gaps = np.arange(1, largest.size) * -np.diff(np.log(largest))
    for rank in range(most, 0, -1):
        mean = max(float(gaps[rank : rank + _NEXT].mean()), _LEAST_MEAN)
        if gaps[rank - 1] > _GAPS * mean:
            return float(largest[rank - 1])
    return float("inf")
