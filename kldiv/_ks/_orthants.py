"""Fasano-Franceschini: Kolmogorov-Smirnov with orthants around every observation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import kldiv._kernels._ks as kernels
from kldiv._ks._relabellings import LANES, Relabellings, dense_ranks, sorted_order
from kldiv._ks._task import Task
from kldiv._results._ks_result import KSResult
from kldiv._typing import FloatArray

LARGEST_DIMENSION = 5


def fasano_franceschini(task: Task) -> KSResult:
    """Largest difference of the shares in an orthant around a row."""
    check_dimension(task.X.shape[1])
    Y = task.reference()
    pooled, relabellings = np.concatenate([task.X, Y]), task.relabellings(len(Y))
    gaps = orthant_gaps(pooled, relabellings, task.threads)
    return task.one_number(len(Y), gaps, 1 / (2 * relabellings.multiple))


def check_dimension(n_features: int) -> None:
    """Raise ValueError where orthants no longer say anything."""
    if n_features > LARGEST_DIMENSION:
        raise ValueError(
            "method='fasano-franceschini' takes at most "
            f"{LARGEST_DIMENSION} columns, got {n_features}: it counts rows in 2^d "
            f"orthants around every row, {2.0**n_features:.3g} here, nearly all of "
            "them empty, and no way is known to do so much faster than one by one. "
            "Use method='max-sliced' or 'columns', or reduce the columns first."
        )


def orthant_gaps(
    pooled: FloatArray, relabellings: Relabellings, threads: int
) -> NDArray[np.int64]:
    """D_X + D_Y under every relabelling, in units of 1 / lcm(n, m).

    D_X is the largest difference of orthant shares over centres that are rows of X.
    """
    if pooled.shape[1] == 1:
        pooled = np.hstack([pooled, np.zeros_like(pooled)])
    if pooled.shape[1] == 2:
        return _plane(pooled, relabellings, threads)
    return _orthants(pooled, relabellings, threads)


def _plane(
    pooled: FloatArray, relabellings: Relabellings, threads: int
) -> NDArray[np.int64]:
    """Two dimensions in O(N log N): one sweep with a tree of partial sums."""
    r = relabellings
    order, last = sorted_order(np.ascontiguousarray(pooled[:, :1].T))
    second, ranks = dense_ranks(pooled[:, 1])
    integer = np.int32 if r.multiple < 2**31 - 1 else np.int64

    def work(_: int, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        tree = np.zeros((ranks + 1, LANES), dtype=integer)
        below = np.zeros((ranks, LANES), dtype=integer)
        on_x, on_y = np.empty((2, LANES), dtype=np.int64)
        kernels.plane(
            order[0], last[0], second, ranks, labels, r.up, r.down, tree, below,
            on_x, on_y,
        )  # fmt: skip
        return on_x + on_y

    return r.collect(work, threads)


def _orthants(
    pooled: FloatArray, relabellings: Relabellings, threads: int
) -> NDArray[np.int64]:
    """Three to five dimensions in O(N^2 2^d / 64): sets of rows as bits."""
    r = relabellings
    d = pooled.shape[1]
    ranks = np.array([dense_ranks(column)[0] for column in pooled.T])
    words = -(-len(pooled) // 64)

    def work(block: int, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        lanes = r.lanes(block)
        bits = np.zeros((lanes, 8 * words), dtype=np.uint8)
        packed = np.packbits(labels[:, :lanes], axis=0, bitorder="little")
        bits[:, : len(packed)] = packed.T
        label = bits.view("<u8").astype(np.uint64)
        scratch = np.empty((2**d, words), dtype=np.uint64)
        flag = np.empty(64 * words, dtype=np.uint8)
        on_x, on_y = np.zeros((2, lanes), dtype=np.int64)
        kernels.orthants(ranks, label, r.up, r.down, scratch, flag, on_x, on_y)
        return on_x + on_y

    return r.collect(work, threads)
