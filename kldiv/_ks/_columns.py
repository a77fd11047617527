"""Kolmogorov-Smirnov of each column."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kldiv._kernels._ks as kernels
from kldiv._ks._pvalues import ADJUSTMENTS, one_sample_pvalues, two_sample_pvalues
from kldiv._ks._relabellings import parallel, permutation_pvalue, relabelled_gaps
from kldiv._ks._task import Task
from kldiv._ks._weighted import weighted_column_gaps
from kldiv._results._ks_result import KSResult
from kldiv._typing import FloatArray

Array = NDArray[np.float64]

ALTERNATIVES = {"two-sided": 0, "greater": 1, "less": -1}


def columns(task: Task) -> KSResult:
    """One gap per column, with p-values adjusted for the number of columns."""
    side = ALTERNATIVES[task.alternative]
    if task.Y is None:
        statistic, location, sign = law_gaps(task, side)
        pvalue, used = one_sample_pvalues(
            statistic, round(task.sizes[0]), task.alternative, task.pvalue_method
        )
    else:
        if task.weights is None:
            statistic, location, sign = column_gaps(task.X, task.Y, side, task.threads)
        else:
            statistic, location, sign = weighted_column_gaps(
                task.X, task.Y, task.weights, side
            )
        if not task.n_permutations:
            pvalue, used = two_sample_pvalues(
                statistic, *task.sizes, task.alternative, task.pvalue_method
            )
    if task.n_permutations and task.Y is not None:
        pooled = np.concatenate([task.X, task.Y])
        gaps = relabelled_gaps(pooled, task.relabellings(task.m), task.threads, side)
        pvalue, used = permutation_pvalue(gaps), "permutation"
        overall = float(permutation_pvalue(gaps.max(axis=0)))
    else:
        overall = min(1.0, float(pvalue.min()) * len(pvalue))
    adjusted = {f"pvalue_{name}": f(pvalue) for name, f in ADJUSTMENTS.items()}

    def shaped(values: NDArray[Any]) -> Any:
        return values[0].item() if task.scalar else values

    return task.result(
        statistic=shaped(statistic),
        pvalue=shaped(pvalue),
        global_statistic=float(statistic.max()),
        global_pvalue=overall,
        pvalue_method=used,
        statistic_location=shaped(location),
        statistic_sign=shaped(sign),
        **adjusted,
    )


def column_gaps(
    X: FloatArray, Y: FloatArray, side: int, threads: int
) -> tuple[Array, Array, NDArray[np.int8]]:
    """Statistic, location and sign of every column."""
    d = X.shape[1]
    high, high_at, low, low_at = np.empty((4, d))
    edges = np.linspace(0, d, min(threads, d) + 1).astype(int)

    def work(part: slice) -> None:
        kernels.column_gaps(
            X[:, part],
            Y[:, part],
            side >= 0,
            side <= 0,
            *(out[part] for out in (high, high_at, low, low_at)),
        )

    parallel(work, [slice(*pair) for pair in pairwise(edges)], threads)
    minus = (side < 0) | ((side == 0) & (-low > high))
    statistic = np.where(minus, np.clip(-low, 0, 1), high)
    sign = np.where(minus, -1, 1).astype(np.int8)
    return statistic, np.where(minus, low_at, high_at), sign


def law_gaps(task: Task, side: int) -> tuple[Array, Array, NDArray[np.int8]]:
    """The same against a distribution, with one parameter per column or for all."""
    X = task.X
    n, columns = len(X), np.arange(X.shape[1])
    if task.weights is None:
        ascending = np.sort(X, axis=0).astype(np.float64)
        step: Any = 1 / n
        rank = np.arange(1.0, n + 1)[:, None] / n
    else:
        order = np.argsort(X, axis=0, kind="stable")
        ascending = np.take_along_axis(X, order, axis=0).astype(np.float64)
        step = task.weights.of_x[order] / n
        rank = np.cumsum(step, axis=0)
    probability = task.probabilities(ascending)
    above, below = rank - probability, probability - (rank - step)
    at_above, at_below = above.argmax(axis=0), below.argmax(axis=0)
    high, low = above[at_above, columns], below[at_below, columns]
    plus = (side > 0) | ((side == 0) & (high > low))
    at = np.where(plus, at_above, at_below)
    sign = np.where(plus, 1, -1).astype(np.int8)
    return np.where(plus, high, low), ascending[at, columns], sign
