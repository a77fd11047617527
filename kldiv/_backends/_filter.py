"""Codes for the filter-and-refine search: principal axes and whole numbers.

The codes only decide which distances are measured; docs/user_guide/precision.rst
derives why no neighbour can be missed.
"""

from __future__ import annotations

from math import frexp, ldexp
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import kldiv._kernels._isa as _isa
import kldiv._kernels._knn as _knn
from kldiv._typing import FloatArray
from kldiv._validation import one_blas_thread

N_SAMPLED = 640  # rows that the axes are fitted on; any axes give the same distances
N_ITERATIONS = 2
N_AXES = 96
MAX_BYTE_WIDTH = 32000  # products of codes of this width fit 32 bits
_NUMBERS_AT_A_TIME = 1 << 16  # looked at together, in the cache
_BASIS_PADDING = 32  # widest pair of float32 vectors

Blocks = list[tuple[str, NDArray[np.float64], NDArray[np.int32] | None]]


class Axes(NamedTuple):
    """An almost orthonormal basis: ``skew`` bounds the norm of ``B.T @ B - 1``."""

    centre: NDArray[np.float64]
    scale: float
    basis: NDArray[np.float32]  # (d, n_axes), zero columns up to a multiple of 32
    n_axes: int
    skew: float


def sampled_rows(X: FloatArray, Y: FloatArray, n_rows: int) -> FloatArray:
    """About `n_rows` evenly spaced rows of both samples."""
    step = max(1, (len(X) + len(Y)) // n_rows)
    return np.concatenate([X[::step], Y[step // 2 :: step]])


def far_rows(rows: FloatArray, n_rows: int) -> FloatArray:
    """The few rows that are farthest from the mean of a sample."""
    mean = rows.mean(axis=0, dtype=np.float64).astype(rows.dtype)
    squares = np.empty(len(rows), dtype=rows.dtype)
    step = max(1, _NUMBERS_AT_A_TIME // rows.shape[1])
    for start in range(0, len(rows), step):
        centred = rows[start : start + step] - mean
        squares[start : start + step] = np.einsum("ij,ij->i", centred, centred)
    rank = len(rows) - min(n_rows, len(rows))
    return rows[np.argpartition(squares, rank)[rank:]]


def fit_axes(X: FloatArray, Y: FloatArray, n_axes: int = N_AXES) -> Axes:
    """Leading principal axes of a sample of the rows, by subspace iteration.

    One thread: the products are small, and the threads of a BLAS keep spinning after
    them, in the way of the search.
    """
    n_axes = min(n_axes, X.shape[1])
    rows = sampled_rows(X, Y, N_SAMPLED).astype(np.float64)
    centre = rows.mean(axis=0)
    largest = float(np.abs(rows - centre).max())
    scale = ldexp(1, -frexp(largest)[1]) if largest > 0 else 1.0
    centred = ((rows - centre) * scale).astype(np.float32)
    with one_blas_thread():
        basis = np.random.default_rng(0).standard_normal(
            (X.shape[1], n_axes), dtype=np.float32
        )
        for _ in range(N_ITERATIONS):
            basis = _orthonormal(centred.T @ (centred @ basis))
        basis = _orthonormal(basis)
        exact = basis.astype(np.float64)
        skew = float(np.linalg.norm(exact.T @ exact - np.eye(basis.shape[1])))
    padding = ((0, 0), (0, -n_axes % _BASIS_PADDING))
    basis = np.ascontiguousarray(np.pad(basis, padding))
    return Axes(centre, scale, basis, n_axes, skew * 1.01 + 1e-12)


def _orthonormal(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Orthonormal basis of the columns, by Cholesky: QR costs several times as much."""
    gram = columns.astype(np.float64)
    gram = gram.T @ gram
    try:
        factor = np.linalg.inv(np.linalg.cholesky(gram)).T
    except np.linalg.LinAlgError:  # fewer directions in the data than columns
        return np.linalg.qr(columns)[0]
    if not np.isfinite(factor).all() or np.abs(factor).max() > 1e6 * factor[0, 0]:
        return np.linalg.qr(columns)[0]
    return columns @ factor.astype(np.float32)


def curve_order(coordinates: NDArray[np.float32]) -> NDArray[np.int32]:
    """Rows along a Z-curve through their first four coordinates."""
    first = coordinates[:, :4]
    low, high = first.min(axis=0), first.max(axis=0)
    cells = ((first - low) * (15.999 / np.maximum(high - low, 1e-30))).astype(np.uint16)
    key = np.zeros(len(first), dtype=np.uint16)
    for bit in range(3, -1, -1):
        for column in range(first.shape[1]):
            key = (key << 1) | ((cells[:, column] >> bit) & 1)
    return np.argsort(key, kind="stable").astype(np.int32)


class Codes(NamedTuple):
    """Codes of both samples; radii are in units of the codes."""

    x: NDArray[Any]
    y: NDArray[Any]
    radius_x: NDArray[np.float32]
    radius_y: NDArray[np.float32]
    unit: float  # code units per unit of the data
    order_x: NDArray[np.int32] | None = None
    order_y: NDArray[np.int32] | None = None


def pca_codes(X: FloatArray, Y: FloatArray, axes: Axes, n_threads: int) -> Codes:
    """Coordinates on the axes and the norm of the rest, whole numbers if possible."""
    q = axes.n_axes
    arguments = (axes.centre, axes.scale, axes.basis, q, axes.skew, n_threads)
    x, radius_x = _knn.project(X, *arguments)
    y, radius_y = (x, radius_x) if Y is X else _knn.project(Y, *arguments)
    order_x, order_y = curve_order(x), curve_order(y)
    step = 1.0
    levels = _knn.code_levels(x.shape[1])
    if levels:
        low = np.minimum(x.min(axis=0), y.min(axis=0)).astype(np.float64)
        high = np.maximum(x.max(axis=0), y.max(axis=0))
        step = float((high - low).max()) / levels or 1.0
        radius_y = radius_y.copy()
        x = _knn.whole_codes(x, low, step, levels, radius_x, n_threads)
        y = _knn.whole_codes(y, low, step, levels, radius_y, n_threads)
    return Codes(x, y, radius_x, radius_y, axes.scale / step, order_x, order_y)


def bytes_available(width: int) -> bool:
    """Whether products of bytes or words of this width are at hand."""
    return bool(_knn.code_levels(width))


def _search(
    X: FloatArray, Y: FloatArray, k: int, blocks: Blocks, n_threads: int, codes: Codes
) -> list[int]:
    measured: list[int] = _knn.search_filtered(X, Y, k, blocks, n_threads, *codes)
    return measured


def search_pca(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Blocks,
    n_threads: int,
    axes: Axes | None = None,
) -> list[int]:
    """Search with bounds from principal axes; exact measurements of each block."""
    if axes is None:
        axes = fit_axes(X, Y)
    codes = pca_codes(X, Y, axes, n_threads)
    return _search(X, Y, n_neighbors, blocks, n_threads, codes)


def search_int8(
    X: FloatArray, Y: FloatArray, n_neighbors: int, blocks: Blocks, n_threads: int
) -> int:
    """Search with bounds from bytes; exact measurements made."""
    if not bytes_available(X.shape[1]):
        raise ValueError(
            "algorithm='int8' needs a processor and build with AVX2, or with the dot "
            f"products of arm64, and at most {MAX_BYTE_WIDTH} features; "
            f"kernels in use: {_isa.current_level()}, "
            f"features: {X.shape[1]}. Use algorithm='auto'."
        )
    measured: int = _knn.search(
        "int8", X, Y, n_neighbors, blocks, "euclidean", n_threads
    )
    return measured


def _candidates(queries: FloatArray, rows: FloatArray, k: int, codes: Codes) -> float:
    blocks: Blocks = [("xy", np.empty((len(queries), k)), None)]
    return _search(queries, rows, k, blocks, 1, codes)[0] / len(queries)


def probe_pca(queries: FloatArray, rows: FloatArray, k: int, axes: Axes) -> float:
    """Exact measurements per query that the axes leave on a few rows."""
    return _candidates(queries, rows, k, pca_codes(queries, rows, axes, 1))


def probe_int8(queries: FloatArray, rows: FloatArray, k: int) -> float:
    """Exact measurements per query that bytes leave on a few rows."""
    blocks: Blocks = [("xy", np.empty((len(queries), k)), None)]
    return search_int8(queries, rows, k, blocks, 1) / len(queries)
