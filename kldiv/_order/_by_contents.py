"""An order of rows and columns that their contents decide.

Folds, subsets, starts of fits and the last digits of sums hang on positions. In an
order that does not know how the rows came, the same rows give the same number. Ranks
within the columns decide, so that units and origins of columns do not; columns enter
alike, so that their order does not. Sums of integers are exact in every order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._order._once import of_rows
from kldiv._order._parts import NUMBERS_AT_A_TIME, in_columns
from kldiv._typing import FloatArray, Floats, Mask, Rows

_Words = NDArray[np.uint64]

# Multipliers of the 64-bit finaliser "splitmix64" (Steele, Lea and Flood 2014).
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def in_order(
    X: FloatArray, Y: FloatArray, *, columns: bool = True, kept: Mask | None = None
) -> tuple[FloatArray, FloatArray, tuple[Rows, Rows], Rows]:
    """Both samples in order; which of the rows given each row of X and of Y is, and
    which of the columns each column.

    Columns stay where they are if they must; those that are not `kept` are left out,
    and have no say in the order of rows if they hold one value.
    """
    order = row_order(X), row_order(Y)
    found = np.arange(X.shape[1])
    if columns:
        X, Y = X[order[0]], Y[order[1]]
        found = column_order(X, Y)
    if kept is not None:
        found = found[kept[found]]
    if columns:
        X, Y = X.take(found, axis=1), Y.take(found, axis=1)
    else:
        X, Y = taken(X, order[0], found), taken(Y, order[1], found)
    return X, Y, order, found


def taken(sample: FloatArray, order: Rows, columns: Rows) -> FloatArray:
    """Some columns of rows in an order, some rows at a time."""
    if columns.size == sample.shape[1]:
        return sample[order]
    found = np.empty((order.size, columns.size), dtype=sample.dtype)
    step = max(1, NUMBERS_AT_A_TIME // sample.shape[1])
    for first in range(0, order.size, step):
        rows = sample[order[first : first + step]]
        # modes other than "clip" write to a second array first
        np.take(rows, columns, axis=1, out=found[first : first + step], mode="clip")
    return found


def row_order(sample: FloatArray) -> Rows:
    """Rows of a sample in an order of their own.

    Parameters
    ----------
    sample : ndarray of shape (n, d)
        Other samples have no say, so that rows keep their order in every comparison,
        and columns of one value have none.

    Returns
    -------
    ndarray of shape (n,)
        Row numbers. It looks random; equal rows are next to each other.
    """
    keys, _ = _keys_and_products(sample)
    order = np.argsort(keys, kind="stable")
    if (keys[order[1:]] != keys[order[:-1]]).all():
        return order
    # rows of the same values in other columns: columns are told apart by their rows
    return np.argsort(_second_keys(sample, keys), kind="stable")


def next_row_correlation(sample: FloatArray, lag: int = 1) -> float:
    """Rank correlation of rows so far apart, the largest over columns.

    Equal values share the mean of their ranks. In units of the variance of ranks
    without ties, so that a column of nearly one value says as little as it shows.
    """
    n = len(sample)
    if lag == 1:
        _, largest = _keys_and_products(sample)
    else:
        largest = max(_products(ranks, lag) for _, ranks in _ranks_of(sample))
    return largest * 12 / (n * (n**2 - 1.0))


@of_rows
def quartiles(sample: FloatArray) -> Floats:
    """Both quartiles of each column, shape (2, d)."""
    found = np.empty((2, sample.shape[1]))
    for which, part in in_columns(sample):
        # so that differences are finite whatever the samples hold
        columns = np.ascontiguousarray(part.T) / 4
        columns.sort(axis=1)  # which is faster than to look for the quartiles
        found[:, which] = np.quantile(
            columns, [0.25, 0.75], axis=1, overwrite_input=True
        )
    return 4 * found


@of_rows
def _keys_and_products(sample: FloatArray) -> tuple[_Words, float]:
    """A number per row, the same in every order of rows and columns; `_products`.

    Both come from ranks, which cost most.
    """
    keys, largest = np.zeros(len(sample), dtype=np.uint64), -np.inf
    for exceeded, ranks in _ranks_of(sample):
        keys += _scattered(exceeded).sum(axis=0, dtype=np.uint64)
        largest = max(largest, _products(ranks, 1))
    return keys, largest


def _products(ranks: Floats, lag: int) -> float:
    """Sum of the products of centred ranks of rows so far apart, of a column."""
    return float(np.einsum("ij,ij->i", ranks[:, lag:], ranks[:, :-lag]).max())


def _second_keys(sample: FloatArray, known: _Words) -> _Words:
    """Keys of rows from those of a first look, and from the columns by these."""
    keys = np.zeros(len(sample), dtype=np.uint64)
    for ranks, _ in _ranks_of(sample):
        of_columns = _scattered(ranks * _FIRST + known).sum(axis=1, dtype=np.uint64)
        # a column of one value says nothing, whether it is there or not
        of_columns *= ranks.any(axis=1)
        words = _scattered(ranks) + of_columns[:, None]
        keys += _scattered(words).sum(axis=0, dtype=np.uint64)
    return keys


def _ranks_of(sample: FloatArray) -> Iterator[tuple[_Words, Floats]]:
    """Of some columns at a time, shape (some, n): how many values each value exceeds,
    and its rank from the mean rank, which equal values share."""
    n = len(sample)
    for _, part in in_columns(sample):
        columns = np.ascontiguousarray(part.T)
        order, ascending = _sorted(columns)
        starts, lengths = equal_runs(ascending)
        places = (order + n * np.arange(len(columns))[:, np.newaxis]).ravel()
        exceeded = np.empty(columns.size, dtype=np.uint64)
        ranks = np.empty(columns.size)
        exceeded[places] = np.repeat(starts.astype(np.uint64), lengths)
        ranks[places] = np.repeat(starts + (lengths - n) / 2, lengths)
        yield exceeded.reshape(columns.shape), ranks.reshape(columns.shape)


def _sorted(columns: FloatArray) -> tuple[Rows, NDArray[Any]]:
    """Where the values of each row are in ascending order, and numbers that ascend so.

    Values that single precision holds, such as pixels, are sorted together with their
    places, as the upper and lower halves of whole numbers: three times as fast.
    """
    with np.errstate(over="ignore", under="ignore"):
        single = columns.astype(np.float32) + np.float32(0)  # -0.0 becomes 0.0
    if (single != columns).any():
        order = np.argsort(columns, axis=1)
        return order, np.take_along_axis(columns, order, axis=1)
    bits = single.view(np.int32)
    # negative numbers descend as whole numbers
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)
    words = bits.astype(np.int64) << 32 | np.arange(columns.shape[1])
    words.sort(axis=1)
    return words & 0xFFFFFFFF, words >> 32


def equal_runs(ordered: NDArray[Any]) -> tuple[Rows, Rows]:
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
    step = max(1, NUMBERS_AT_A_TIME // X.shape[1])
    for sample in (X, Y):
        mean = sample.mean(axis=0, dtype=np.float64)
        numbers = rng.normal(size=len(sample))
        for first in range(0, len(sample), step):
            centred = sample[first : first + step] - mean
            products += numbers[first : first + step] @ centred
            squares += np.einsum("ij,ij->j", centred, centred)
    return np.argsort(products / np.sqrt(np.where(squares > 0, squares, 1.0)))
