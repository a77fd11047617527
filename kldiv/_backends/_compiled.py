"""Searches by the compiled kernels: buffers, ranges of numbers, and threads."""

from __future__ import annotations

from collections.abc import Sequence
from math import frexp, ldexp

import numpy as np

import kldiv._kernels._knn as _knn
from kldiv._backends._backend import too_far_apart
from kldiv._backends._filter import Axes, search_int8, search_pca
from kldiv._typing import BlockArrays, FloatArray
from kldiv._validation import check_choice

ALGORITHMS = ("sorted", "tree", "gemm", "pca", "int8", "brute")
# Powers of two between which squares and their sums are safe; see precision.rst.
_SAFE_EXPONENTS = {8: (-440, 480), 4: (-39, 56)}
# Without squares, differences must only not overflow.
_SAFE_DIFFERENCES = (-1074, 960)


def knn_distances(
    algorithm: str,
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Sequence[str],
    *,
    metric: str = "euclidean",
    n_threads: int = 1,
    return_indices: bool = False,
    axes: Axes | None = None,
) -> BlockArrays:
    """Search all `blocks` in one call on checked, C-contiguous arrays of one dtype.

    Parameters
    ----------
    algorithm : str
        One of `ALGORITHMS` that knows `metric`.
    X, Y : ndarray of shape (n, d) and (m, d), float32 or float64
        The samples; `Y` is not read unless a block names it.
    n_neighbors : int
        Columns of each block.
    blocks : sequence of {"xx", "xy", "yy", "yx"}
        Searches to make.
    metric : str
        Metric.
    n_threads : int
        Threads.
    return_indices : bool
        Whether to return row numbers as well.
    axes : Axes, optional
        Principal axes that a probe has fitted, for "pca".

    Returns
    -------
    dict of str to (ndarray of float64, ndarray of int32 or None)
        Distances, ascending, and row numbers of each block.
    """
    check_choice(algorithm, ALGORITHMS, "algorithm")
    arrays = _empty_arrays(X, Y, n_neighbors, blocks, return_indices)
    scale = 1.0
    if X.itemsize == 8 or (metric == "euclidean" and algorithm == "tree"):
        squares = metric == "euclidean" and algorithm != "sorted"
        X, Y, scale = _bring_into_range(X, Y, squares)
    if scale == 0:
        algorithm = "brute"
    elif scale != 1:
        X, Y = X * X.dtype.type(scale), Y * Y.dtype.type(scale)
    outputs = [(name, *pair) for name, pair in arrays.items()]
    if algorithm == "pca":
        search_pca(X, Y, n_neighbors, outputs, n_threads, axes)
    elif algorithm == "int8":
        search_int8(X, Y, n_neighbors, outputs, n_threads)
    else:
        _knn.search(
            algorithm, X, Y, n_neighbors, outputs, metric, n_threads, float(scale != 0)
        )
    if scale != 1:
        _undo_scale(arrays, X, Y, scale or 1.0)
    return arrays


def _empty_arrays(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Sequence[str],
    return_indices: bool,
) -> BlockArrays:
    n_rows = {"x": len(X), "y": len(Y)}
    arrays: BlockArrays = {}
    for block in blocks:
        shape = (n_rows[block[0]], n_neighbors)
        indices = np.empty(shape, dtype=np.int32) if return_indices else None
        arrays[block] = (np.empty(shape), indices)
    return arrays


def _undo_scale(
    arrays: BlockArrays, X: FloatArray, Y: FloatArray, scale: float
) -> None:
    """Bring distances to the unit of the samples; ValueError if they are too large."""
    with np.errstate(over="ignore"):
        for distances, _ in arrays.values():
            np.divide(distances, scale, out=distances)
    if all(np.isfinite(distances).all() for distances, _ in arrays.values()):
        return
    low, high = zip(_knn.value_range(X), _knn.value_range(Y), strict=True)
    raise too_far_apart(min(low) / scale, max(high) / scale)


def _bring_into_range(
    X: FloatArray, Y: FloatArray, squares: bool
) -> tuple[FloatArray, FloatArray, float]:
    """A power of two after which distances are safe; 0 if one factor cannot do it."""
    ranges = [_knn.value_range(X), _knn.value_range(Y)]
    smallest = min((low for low, high in ranges if high > 0), default=0.0)
    largest = max(high for _, high in ranges)
    least, most = _SAFE_EXPONENTS[X.itemsize] if squares else _SAFE_DIFFERENCES
    if largest == 0 or (smallest >= ldexp(1, least) and largest <= ldexp(1, most)):
        return X, Y, 1.0
    shift = min(most - frexp(largest)[1], 1000 if X.itemsize == 8 else 120)
    # the product must be normal: a number that vanishes would make rows equal
    least = max(least, -1022 if X.itemsize == 8 else -126)
    if smallest >= ldexp(1, max(least - shift, -1074)):
        return X, Y, ldexp(1, shift)
    if X.itemsize == 4:  # float64 holds every square of a float32
        return X.astype(np.float64), Y.astype(np.float64), 1.0
    return X, Y, 0.0
