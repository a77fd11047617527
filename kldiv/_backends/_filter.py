"""Codes for the filter-and-refine search: principal axes and bytes.

The codes only decide which distances are measured; docs/user_guide/precision.rst derives
why no neighbour can be missed.
"""

from __future__ import annotations

from functools import cache
from math import frexp, ldexp
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

import kldiv._kernels._knn as _knn
from kldiv._validation import FloatArray

N_SAMPLED = 1024  # rows that the axes are fitted on; any axes give the same distances
N_ITERATIONS = 2
N_AXES = 96
MAX_BYTE_WIDTH = 32000  # products of byte codes of this width fit 32 bits
_BASIS_PADDING = 32  # widest pair of float32 vectors

Blocks = list[tuple[str, NDArray[np.float64], NDArray[np.int32] | None]]


class Axes(NamedTuple):
    """An almost orthonormal basis: ``skew`` bounds the norm of ``B.T @ B - 1``."""

    centre: NDArray[np.float64]
    scale: float
    basis: NDArray[np.float32]
    skew: float


@cache
def _blas() -> Any:
    return ThreadpoolController()


def sampled_rows(X: FloatArray, Y: FloatArray, n_rows: int) -> FloatArray:
    """About `n_rows` evenly spaced rows of both samples."""
    step = max(1, (len(X) + len(Y)) // n_rows)
    return np.concatenate([X[::step], Y[step // 2 :: step]])


def fit_axes(X: FloatArray, Y: FloatArray, n_axes: int, n_threads: int) -> Axes:
    """Leading principal axes of a sample of the rows, by subspace iteration."""
    rows = sampled_rows(X, Y, N_SAMPLED).astype(np.float64)
    centre = rows.mean(axis=0)
    largest = float(np.abs(rows - centre).max())
    scale = ldexp(1, -frexp(largest)[1]) if largest > 0 else 1.0
    centred = ((rows - centre) * scale).astype(np.float32)
    with _blas().limit(limits=n_threads, user_api="blas"):
        basis = np.random.default_rng(0).standard_normal(
            (X.shape[1], min(n_axes, X.shape[1])), dtype=np.float32
        )
        for _ in range(N_ITERATIONS):
            basis = _orthonormal(centred.T @ (centred @ basis))
        basis = _orthonormal(basis)
        exact = basis.astype(np.float64)
        skew = float(np.linalg.norm(exact.T @ exact - np.eye(basis.shape[1])))
    padded = -(-basis.shape[1] // _BASIS_PADDING) * _BASIS_PADDING
    padding = ((0, 0), (0, padded - basis.shape[1]))
    return Axes(
        centre, scale, np.ascontiguousarray(np.pad(basis, padding)), skew * 1.01 + 1e-12
    )


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


def search_pca(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Blocks,
    n_threads: int,
    n_axes: int = N_AXES,
) -> list[int]:
    """Search with bounds from the leading principal axes and the norm of the rest."""
    n_axes = min(n_axes, X.shape[1])
    axes = fit_axes(X, Y, n_axes, n_threads)
    project = lambda rows: _knn.project(  # noqa: E731
        rows, axes.centre, axes.scale, axes.basis, n_axes, axes.skew, n_threads
    )
    used = {letter for name, *_ in blocks for letter in name}
    codes_x, radius_x = project(X)
    codes_y, radius_y = project(Y) if "y" in used else (codes_x[:1], radius_x[:1])
    order_x = curve_order(codes_x)
    order_y = curve_order(codes_y) if {"yy", "yx"} & {b[0] for b in blocks} else None
    step = 1.0
    if bytes_available(codes_x.shape[1]):
        low = np.minimum(codes_x.min(axis=0), codes_y.min(axis=0)).astype(np.float64)
        high = np.maximum(codes_x.max(axis=0), codes_y.max(axis=0))
        step = float((high - low).max()) / 255 or 1.0
        codes_x = _knn.byte_codes(codes_x, low, step, radius_x, n_threads)
        codes_y = _knn.byte_codes(codes_y, low, step, radius_y, n_threads)
    # Codes live in units scaled by a power of two: undo it in step and radii.
    factor = np.float32(1 / axes.scale)
    return _knn.search_filtered(
        X,
        Y,
        n_neighbors,
        blocks,
        n_threads,
        codes_x,
        codes_y,
        radius_x * factor,
        radius_y * factor,
        step / axes.scale,
        order_x,
        order_y,
    )


def bytes_available(width: int) -> bool:
    """Whether byte codes of this width can be used by this processor and build."""
    return _knn.current_level() == "vnni" and width <= MAX_BYTE_WIDTH


def search_int8(
    X: FloatArray, Y: FloatArray, n_neighbors: int, blocks: Blocks, n_threads: int
) -> list[int]:
    """Search with bounds from rows rounded to one byte per number."""
    low, high = float(min(X.min(), Y.min())), float(max(X.max(), Y.max()))
    step = (high - low) / 255 or 1.0
    lows = np.full(X.shape[1], low)
    radius_x = np.zeros(len(X), dtype=np.float32)
    radius_y = np.zeros(len(Y), dtype=np.float32)
    codes_x = _knn.byte_codes(X, lows, step, radius_x, n_threads)
    codes_y = _knn.byte_codes(Y, lows, step, radius_y, n_threads)
    return _knn.search_filtered(
        X, Y, n_neighbors, blocks, n_threads, codes_x, codes_y, radius_x, radius_y, step
    )
