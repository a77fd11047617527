"""Rows that are fewer than their columns, in as many columns as they span.

n + m rows span at most n + m - 1 dimensions. What is fitted there needs no matrix of
all columns by all columns, and distances between rows are the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.fft import dct

from kldiv._preparation import PreparedPair
from kldiv._ranges import principal_scores
from kldiv._ratio._coordinates import coordinates


def in_spanned_columns(pair: PreparedPair, scale: str | None) -> PreparedPair:
    """The pair in an orthonormal basis of what its rows span, if they are so few.

    Columns are brought to the scale asked for before. Principal directions are mixed
    evenly afterwards: each alone would be another unit, and standardising them would
    put all rows at the same distance from each other.
    """
    n_rows, d = len(pair.X) + len(pair.Y), pair.X.shape[1]
    if d < n_rows or scale == "whiten":
        return pair
    given = coordinates(pair.X, pair.Y, None if scale is None else "standard")
    rows = np.concatenate([given.X, given.Y])
    scores = principal_scores(rows - rows.mean(axis=0))
    scores *= np.where((scores**3).sum(axis=0) < 0, -1.0, 1.0)
    mixed = np.ascontiguousarray(dct(scores, axis=1, norm="ortho"))
    return replace(pair, X=mixed[: len(pair.X)], Y=mixed[len(pair.X) :])
