"""The rule behind ``algorithm="auto"``: a cost model, and a probe in many dimensions.

The constants are nanoseconds of one thread, fitted on Gaussian samples and EMNIST on a
processor with AVX-512 (docs/benchmarks/neighbors.md). A wrong choice costs time, never
a digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import kldiv._kernels._isa as _isa
from kldiv._backends._filter import (
    Axes,
    bytes_available,
    far_rows,
    fit_axes,
    probe_int8,
    probe_pca,
    sampled_rows,
)
from kldiv._typing import FloatArray, UserMetric

PROBE_QUERIES = 48
PROBE_ROWS = 1024
PROBE_FAR_ROWS = 8  # of each sample: they decide the range of whole-number codes
PROBE_FROM_PAIRS = 2e7  # below, a probe costs more than it can save
BYTES_FROM_FEATURES = 16
AXES_FROM_FEATURES = 128  # with fewer, the axes are hardly fewer than the columns

# Tree: nanoseconds per query with 6000 rows, and the power of the rows, by features.
_TREE_FEATURES = (2, 3, 5, 8, 10, 15, 20, 30)
_TREE_FLOAT64 = (96, 177, 740, 2300, 3370, 5300, 7000, 11000)
_TREE_FLOAT32 = (100, 180, 760, 2050, 2600, 3570, 4390, 6350)
_TREE_POWER = (0.06, 0.12, 0.3, 0.65, 0.8, 0.9, 0.93, 1.0)

# Slowness of the vectors of each instruction set against AVX-512.
_WIDTH = {
    **{"baseline": 4.0, "dotprod": 4.0, "i8mm": 4.0, "avx2": 1.8, "avxvnni": 1.8},
    **{"avx512": 1.0, "vnni": 1.0, "amx": 1.0},
}
# Nanoseconds per pair and feature of a product of whole-number codes. arm64 was never
# timed: i8mm counts as no faster than dotprod.
_PRODUCT = {
    **{"dotprod": 0.016, "i8mm": 0.016, "avx2": 0.0095, "avxvnni": 0.006},
    **{"avx512": 0.007, "vnni": 0.004, "amx": 0.0005},
}


class Choice(NamedTuple):
    """An algorithm, the seconds that one thread is predicted to need, and its axes."""

    algorithm: str
    seconds: float | None = None
    axes: Axes | None = None


class Shape(NamedTuple):
    """What the cost model looks at."""

    queries: float  # rows that look for neighbours, over all blocks
    pairs: float  # pairs of rows, over all blocks
    symmetric: float  # the same, but a pair inside one sample counted once
    rows: float  # rows looked at by a query, on average
    d: int
    k: int
    itemsize: int


def _shape(
    X: FloatArray, Y: FloatArray, n_neighbors: int, blocks: Sequence[str]
) -> Shape:
    size = {"x": float(len(X)), "y": float(len(Y))}
    queries = sum(size[b[0]] for b in blocks)
    pairs = sum(size[b[0]] * size[b[1]] for b in blocks)
    symmetric = pairs - sum(size[b[0]] ** 2 / 2 for b in blocks if b[0] == b[1])
    if {"xy", "yx"} <= set(blocks):
        symmetric -= size["x"] * size["y"]
    rows = pairs / queries
    d = X.shape[1]
    return Shape(queries, pairs, symmetric, rows, d, n_neighbors, X.itemsize)


def tree_seconds(s: Shape) -> float:
    """Predicted cost of the k-d trees."""
    at = np.log(min(s.d, _TREE_FEATURES[-1]))
    known = np.log(_TREE_FEATURES)
    base = _TREE_FLOAT32 if s.itemsize == 4 else _TREE_FLOAT64
    query = float(np.exp(np.interp(at, known, np.log(base))))
    power = float(np.interp(at, known, _TREE_POWER))
    beyond = max(1.0, s.d / _TREE_FEATURES[-1])
    query *= (s.rows / 6000) ** power * beyond * max(1.0, s.k / 5) ** 0.5
    query *= _WIDTH[_isa.current_level()] ** 0.7
    return float(1e-9 * s.queries * query)


def gemm_seconds(s: Shape) -> float:
    """Predicted cost of the fused product."""
    width = _WIDTH[_isa.current_level()]
    tiles = s.symmetric * (0.0115 * s.d + 0.1) * width
    return 1e-9 * (tiles + s.queries * (450 + 30 * s.k + 2 * s.d) + 2e5)


def pca_seconds(s: Shape, candidates: float) -> float:
    """Predicted cost of the principal axes with that many measurements per query."""
    level = _isa.current_level()
    width = _WIDTH[level]
    bound = s.pairs * (0.8 if level in ("vnni", "amx") else 1.2 * width)
    measure = s.queries * candidates * (20 + 0.09 * s.d)
    return 1e-9 * (bound + measure + s.queries * 1.5 * s.d * width + 2e6)


def int8_seconds(s: Shape, candidates: float) -> float:
    """Predicted cost of the byte codes with that many measurements per query."""
    if not bytes_available(s.d):
        return float("inf")
    product = _PRODUCT[_isa.current_level()]
    measure = s.queries * candidates * (20 + 0.2 * s.d)
    return 1e-9 * (
        s.pairs * (product * s.d + 0.14) + measure + s.queries * (700 + 1.5 * s.d) + 2e5
    )


def choose_algorithm(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Sequence[str] = ("xx", "xy"),
    metric: str | UserMetric = "euclidean",
) -> Choice:
    """Algorithm that ``algorithm="auto"`` uses for these samples.

    Parameters
    ----------
    X, Y : ndarray of shape (n, d) and (m, d)
        The samples.
    n_neighbors : int
        Neighbours asked for.
    blocks : sequence of str
        Blocks asked for.
    metric : str or callable
        Metric.

    Returns
    -------
    Choice
    """
    if not isinstance(metric, str):
        return Choice("brute")
    s = _shape(X, Y, n_neighbors, blocks)
    if s.d == 1:
        return Choice("sorted", 1e-9 * 45 * s.queries)
    if metric != "euclidean":
        brute = 1e-9 * s.pairs * (2 + 0.5 * s.d)
        tree = 3 * tree_seconds(s)
        return Choice("tree", tree) if tree < brute else Choice("brute", brute)
    costs = {"tree": tree_seconds(s), "gemm": gemm_seconds(s)}
    axes = None
    probed = s.pairs >= PROBE_FROM_PAIRS
    if s.d >= BYTES_FROM_FEATURES and bytes_available(s.d):
        # Without a probe: bytes prune well unless a few outliers stretch their range.
        candidates = _candidates(X, Y, s, None) if probed else 2.0 * n_neighbors
        costs["int8"] = int8_seconds(s, candidates)
    # The axes cannot leave less than this; fitting them costs more than a probe.
    least = pca_seconds(s, 2.0 * n_neighbors)
    if probed and s.d >= AXES_FROM_FEATURES and least < min(costs.values()):
        axes = fit_axes(X, Y)
        costs["pca"] = pca_seconds(s, _candidates(X, Y, s, axes))
    best = min(costs, key=costs.__getitem__)
    return Choice(best, costs[best], axes if best == "pca" else None)


def _candidates(X: FloatArray, Y: FloatArray, s: Shape, axes: Axes | None) -> float:
    """Measurements per query that axes, or else bytes, would need on all rows."""
    rows = sampled_rows(X, Y, PROBE_ROWS)
    queries = np.ascontiguousarray(rows[:: max(1, len(rows) // PROBE_QUERIES)])
    rows = np.concatenate([rows, *(far_rows(of, PROBE_FAR_ROWS) for of in (X, Y))])
    # Rows added bring neighbours closer, and bounds rule out less: about a square root.
    growth = max(1.0, s.rows / len(rows)) ** 0.5
    k = min(s.k + 1, len(rows))
    if axes is None:
        count = probe_int8(queries, rows, k)
    else:
        count = probe_pca(queries, rows, k, axes)
    return float(min(s.rows, s.k + max(0.0, count - k) * growth))
