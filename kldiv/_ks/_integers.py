"""Integers that float64 would round, as ranks, which hold all that a gap needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._results._ks_result import KSResult
from kldiv._typing import FloatArray

_EXACT = 2**53  # up to here float64 holds every integer


class Ranks:
    """Both samples as ranks in their columns, and the way back.

    Parameters
    ----------
    X, Y : ndarray of shape (n, d) and (m, d)
        Integers of 64 bits.
    """

    def __init__(self, X: NDArray[Any], Y: NDArray[Any]):
        self._values, ranks = [], []
        for x, y in zip(X.T, Y.T, strict=True):
            values, rank = np.unique(_pooled(x, y), return_inverse=True)
            self._values.append(values)
            ranks.append(rank)
        both = np.column_stack(ranks).astype(np.float64)
        self.X: FloatArray = np.ascontiguousarray(both[: len(X)])
        self.Y: FloatArray = np.ascontiguousarray(both[len(X) :])

    def undone(self, result: KSResult) -> KSResult:
        """The result with locations among the integers."""
        at = np.atleast_1d(result.statistic_location).astype(int)
        found = [values[i] for values, i in zip(self._values, at, strict=True)]
        scalar = np.ndim(result.statistic_location) == 0
        location: Any = found[0] if scalar else np.array(found)
        return replace(result, statistic_location=location)


def ranks_of(X: Any, Y: Any) -> Ranks | None:
    """Ranks of both samples if they hold integers that float64 would round."""
    samples = []
    for sample in (X, Y):
        known = isinstance(sample, np.ndarray) or hasattr(sample, "iloc")
        if np.ma.isMaskedArray(sample) or not (known or _all_integers(sample)):
            return None
        array = np.asarray(sample)
        if array.dtype.kind not in "iu" or not 0 < array.ndim <= 2 or not array.size:
            return None
        samples.append(array.reshape(len(array), -1))
    x, y = samples
    largest = max(max(abs(int(a.min())), abs(int(a.max()))) for a in samples)
    return None if largest <= _EXACT or x.shape[1] != y.shape[1] else Ranks(x, y)


def _all_integers(sample: Any) -> bool:
    """Whether a list holds Python's integers alone, or rows of one length of them."""
    if not isinstance(sample, list) or not sample:
        return False
    if all(isinstance(row, list) for row in sample):
        widths = {len(row) for row in sample}
        return len(widths) == 1 and all(map(_all_integers, sample))
    return all(type(value) is int for value in sample)


def _pooled(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """One column of both samples in a type that holds all of it."""
    if np.result_type(x, y).kind in "iu":
        return np.concatenate([x, y])
    return np.array([*x.tolist(), *y.tolist()], dtype=object)  # int64 and uint64
