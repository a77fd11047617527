"""Rows of X where Y has none, beyond an edge at which the rows of Y lie densely.

An edge need not run along a column: a hole, a corner or a curve ends a support as well.
"""

from __future__ import annotations

import numpy as np

from kldiv._neighbors import search
from kldiv._order import quartiles
from kldiv._preparation import PreparedPair
from kldiv._ratio._coordinates import coordinates
from kldiv._typing import Floats, Mask, Rows

# In more columns every sample has gaps; fewer rows of Y show no edges.
_MOST_COLUMNS, _FEWEST_ROWS = 3, 200
# A ball around a row in a gap, up to the nearest row of Y, has this many times the
# volume of the ball around that row which holds so many other rows of Y.
_NEAR, _VOLUMES = 10, 2.0
# At an edge half of a ball is empty, so that two radii further in it holds twice as
# many rows. Gaussian tails hold five times as many, heavy tails more.
_INWARD, _DENSER = 2.0, 3.0
# An edge is met in many places, a gap on a line on both sides; few rows that lie far
# out are none.
_PLACES, _PLACES_ON_A_LINE = 5, 2


def rows_in_gaps(pair: PreparedPair, threads: int = 1) -> int:
    """How many rows of X lie in gaps of Y that begin at an edge; 0 in many columns."""
    d = pair.X.shape[1]
    if d > _MOST_COLUMNS or len(pair.Y) < _FEWEST_ROWS:
        return 0
    common = coordinates(pair.X, pair.Y, "standard")
    low, high = quartiles(common.Y)
    width = np.where(high > low, high - low, 1.0)  # few far rows set no unit
    X, Y = common.X / width, common.Y / width
    nearest = search(X, Y, 1, blocks=("xy",), threads=threads, return_indices=True)
    assert nearest.xy_indices is not None
    gap = nearest.block("xy")[:, 0]
    row = nearest.xy_indices[:, 0].astype(np.intp)
    met, of_met = np.unique(row, return_inverse=True)
    radius = _radii(Y[met], Y, _NEAR + 1, threads)[of_met]
    inside = (gap**d >= _VOLUMES * radius**d) & (radius > 0)
    if d == 1:  # the ends are looked at column by column
        first, last = Y.min(), Y.max()
        inside &= ((first < X) & (last > X))[:, 0]
    places = np.unique(row[inside]).size
    if places < (_PLACES if d > 1 else _PLACES_ON_A_LINE):
        return 0
    return int(inside.sum()) if _edge(X, Y, inside, row, radius, threads) else 0


def _edge(
    X: Floats, Y: Floats, inside: Mask, row: Rows, radius: Floats, threads: int
) -> bool:
    """Whether Y lies as densely where gaps begin as further in."""
    start, radius = Y[row[inside]], radius[inside]
    inward = start - X[inside]
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    further = start + _INWARD * radius[:, np.newaxis] * inward
    denser = (radius / _radii(further, Y, _NEAR, threads)) ** Y.shape[1]
    return bool(np.median(denser) <= _DENSER)


def _radii(places: Floats, Y: Floats, k: int, threads: int) -> Floats:
    """Distance from each place to the k-th nearest row of Y."""
    found = search(places, Y, k, blocks=("xy",), threads=threads)
    return found.block("xy")[:, -1]
