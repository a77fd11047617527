"""Rows that are fewer than their columns, in as many columns as they span.

n + m rows span at most n + m - 1 dimensions. What is fitted there needs no matrix of
all columns by all columns, and distances between rows are the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.fft import dct
from scipy.linalg import svd

from kldiv._preparation import PreparedPair
from kldiv._ratio._coordinates import coordinates
from kldiv._typing import Floats

# Eigenvalues of products below this share of the largest have lost their digits.
_CLEAR = 1e-11


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


def principal_scores(centred: Floats) -> Floats:
    """Coordinates of rows that are fewer than columns along what they span."""
    values, left = np.linalg.eigh(centred @ centred.T)
    if values[1] > _CLEAR * values[-1]:  # the first one is that of the mean
        return np.asarray(left[:, 1:] * np.sqrt(values[1:]))
    triangle = np.asarray(np.linalg.qr(centred.T, mode="r"))
    left, sizes, _ = svd(triangle.T, full_matrices=False, lapack_driver="gesvd")
    spanned = sizes > len(centred) * np.finfo(float).eps * sizes[0]
    return np.asarray(left[:, spanned] * sizes[spanned])
