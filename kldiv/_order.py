"""An order of rows and columns that their contents decide.

Folds, subsets, starts of fits and the last digits of sums hang on positions. In an
order that does not know how the rows came, the same rows give the same number. Ranks
within the columns decide, so that units and origins of columns do not; columns enter
alike, so that their order does not. Sums of integers are exact in every order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kldiv._typing import FloatArray, Rows

_Words = NDArray[np.uint64]

# Multipliers of the 64-bit finaliser "splitmix64" (Steele, Lea and Flood 2014).
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
# A few columns at a time, so that ranks need no second copy of wide samples.
_NUMBERS_AT_A_TIME = 1 << 22


def in_order(
    X: FloatArray, Y: FloatArray, *, columns: bool = True
) -> tuple[FloatArray, FloatArray, tuple[Rows, Rows]]:
    """Both samples in order, and which of the rows given each row of X and of Y is.

    Columns stay where they are if they must.
    """
    order = row_order(X), row_order(Y)
    X, Y = X[order[0]], Y[order[1]]
    if columns:
        found = column_order(X, Y)
        X, Y = (np.ascontiguousarray(sample[:, found]) for sample in (X, Y))
    return X, Y, order


def row_order(sample: FloatArray) -> Rows:
    """Rows of a sample in an order of their own.

    Parameters
    ----------
    sample : ndarray of shape (n, d)
        Other samples have no say, so that rows keep their order in every comparison.

    Returns
    -------
    ndarray of shape (n,)
        Row numbers. It looks random; equal rows are next to each other.
    """
    keys = _row_keys(sample, None)
    order = np.argsort(keys, kind="stable")
    if (keys[order[1:]] != keys[order[:-1]]).all():
        return order
    # rows of the same values in other columns: columns are told apart by their rows
    return np.argsort(_row_keys(sample, keys), kind="stable")


def _row_keys(sample: FloatArray, known: _Words | None) -> _Words:
    """A number per row, the same in every order of rows and columns."""
    n, d = sample.shape
    keys = np.zeros(n, dtype=np.uint64)
    step = max(1, _NUMBERS_AT_A_TIME // n)
    for first in range(0, d, step):
        ranks = _ranks(np.ascontiguousarray(sample[:, first : first + step].T))
        if known is not None:
            of_columns = _scattered(ranks * _FIRST + known).sum(axis=1, dtype=np.uint64)
            # a column of one value says nothing, whether it is there or not
            of_columns *= ranks.any(axis=1)
            ranks = _scattered(ranks) + of_columns[:, None]
        keys += _scattered(ranks).sum(axis=0, dtype=np.uint64)
    return keys


def _ranks(columns: FloatArray) -> _Words:
    """How many values of its column each value exceeds, shape (d, n)."""
    order = np.argsort(columns, axis=1)
    starts, lengths = equal_runs(np.take_along_axis(columns, order, axis=1))
    ranks = np.empty(columns.shape, dtype=np.uint64)
    within = np.repeat(starts, lengths).reshape(columns.shape).astype(np.uint64)
    np.put_along_axis(ranks, order, within, axis=1)
    return ranks


def equal_runs(ordered: FloatArray) -> tuple[Rows, Rows]:
    """Runs of equal values in rows of ascending ones, shape (d, n), row after row.

    Returns
    -------
    starts : ndarray of int
        Place of the first value of each run in its row.
    lengths : ndarray of int
        Values of each run.
    """
    first = np.ones(ordered.shape, dtype=bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=first[:, 1:])
    starts = np.flatnonzero(first)
    return starts % ordered.shape[1], np.diff(starts, append=first.size)


def _scattered(words: _Words) -> _Words:
    """A permutation of all 64-bit words that keeps zero and looks random."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    found: _Words = words ^ (words >> np.uint64(31))
    return found


def column_order(X: FloatArray, Y: FloatArray) -> Rows:
    """Columns of two samples, whose rows are in order, in an order of their own.

    By their products with fixed random numbers, in units of their own: only columns
    that are the same in other units share one, and their order does not matter.
    """
    rng = np.random.default_rng(0)
    products = np.zeros(X.shape[1])
    squares = np.zeros(X.shape[1])
    for sample in (X, Y):
        centred = sample - sample.mean(axis=0, dtype=np.float64)
        products += rng.normal(size=len(sample)) @ centred
        squares += (centred**2).sum(axis=0)
    return np.argsort(products / np.sqrt(np.where(squares > 0, squares, 1.0)))
