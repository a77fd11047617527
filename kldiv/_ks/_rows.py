"""Kolmogorov-Smirnov of the coordinates of each row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import kldiv._kernels._ks as kernels
from kldiv._ks._pvalues import one_sample_pvalues, two_sample_pvalues
from kldiv._ks._relabellings import (
    LANES,
    Relabellings,
    permutation_pvalue,
    sorted_order,
)
from kldiv._ks._task import Task
from kldiv._results._ks_result import KSResult
from kldiv._typing import FloatArray

Array = NDArray[np.float64]


def rows(task: Task) -> KSResult:
    """The coordinates of each row of X against the distribution or all numbers in Y."""
    d = task.X.shape[1]
    if task.Y is None:
        probability = task.probabilities(task.X.astype(np.float64))
        gaps = one_sample_row_gaps(probability)
        pvalues, used = one_sample_pvalues(gaps, d, "two-sided", task.pvalue_method)
    else:
        gaps = two_sample_row_gaps(task.X, task.Y)
        pvalues, used = two_sample_pvalues(
            gaps, d, task.Y.size, "two-sided", task.pvalue_method
        )
    pvalue = float(pvalues.mean())
    overall = min(1.0, 2 * pvalue)
    if task.n_permutations and task.Y is not None:
        permuted = relabelled_row_gaps(
            np.concatenate([task.X, task.Y]), task.relabellings(task.m), task.threads
        )
        pvalue = overall = float(permutation_pvalue(permuted))
        used = "permutation"
    return task.result(
        statistic=float(gaps.mean()),
        pvalue=pvalue,
        global_statistic=float(gaps.mean()),
        global_pvalue=overall,
        pvalue_method=used,
        row_statistic=gaps,
        row_pvalue=pvalues,
    )


def one_sample_row_gaps(probability: Array) -> Array:
    """Gap of each row of probabilities to the uniform distribution."""
    ascending = np.sort(probability, axis=1)
    rank = np.arange(ascending.shape[1] + 1) / ascending.shape[1]
    above, below = rank[1:] - ascending, ascending - rank[:-1]
    return np.asarray(np.maximum(above.max(axis=1), below.max(axis=1)))


def two_sample_row_gaps(X: FloatArray, Y: FloatArray) -> Array:
    """Gap of the coordinates of each row of X to all coordinates in Y."""
    pooled, ascending = np.sort(Y, axis=None), np.sort(X, axis=1)
    rank = np.arange(X.shape[1] + 1) / X.shape[1]
    after = np.searchsorted(pooled, ascending.ravel(), side="right") / pooled.size
    before = np.searchsorted(pooled, ascending.ravel(), side="left") / pooled.size
    above = rank[1:] - after.reshape(X.shape)
    below = before.reshape(X.shape) - rank[:-1]
    return np.asarray(np.maximum(above.max(axis=1), below.max(axis=1)))


def relabelled_row_gaps(
    pooled: FloatArray, relabellings: Relabellings, threads: int
) -> NDArray[np.int64]:
    """Sum over the rows called X of their gap to the rows called Y, per relabelling.

    In units of 1 / (m * n_features); all coordinates are sorted once.
    """
    r = relabellings
    rows, width = pooled.shape
    order, last = sorted_order(pooled.reshape(1, -1))
    # Within-row ranks: how many coordinates of the row are below, and at or below.
    ascending = np.sort(pooled, axis=1)
    row = order[0] // width
    value = pooled.ravel()[order[0]]
    before, after = _ranks_within_rows(ascending, row, value)

    def work(_: int, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        gaps = np.zeros((rows, LANES), dtype=np.int64)
        kernels.row_gaps(row, before, after, last[0], labels, r.m, gaps)
        return np.asarray((gaps * labels).sum(axis=0))

    return r.collect(work, threads)


def _ranks_within_rows(
    ascending: FloatArray, row: NDArray[np.int32], value: FloatArray
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    before = np.empty(len(value), dtype=np.int32)
    after = np.empty(len(value), dtype=np.int32)
    by_row = np.argsort(row, kind="stable")
    width = ascending.shape[1]
    for start in range(0, len(value), width):
        mine = by_row[start : start + width]
        own = ascending[start // width]
        before[mine] = np.searchsorted(own, value[mine], side="left")
        after[mine] = np.searchsorted(own, value[mine], side="right")
    return before, after
