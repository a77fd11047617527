"""Kolmogorov-Smirnov statistics of weighted rows.

The distribution function of weighted rows is the share of the weight at or below a
value. Distributions of the statistic take as many rows as equal weights would be worth
(Kish 1965).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kldiv._ks._slices import random_directions
from kldiv._ks._task import Task
from kldiv._results._ks_result import KSResult
from kldiv._typing import FloatArray
from kldiv._validation import Weights

Array = NDArray[np.float64]


def weighted_column_gaps(
    X: FloatArray, Y: FloatArray, weights: Weights, side: int
) -> tuple[Array, Array, NDArray[np.int8]]:
    """Statistic, location and sign of every column.

    `side` is 0 for the larger gap, 1 for F_X - F_Y, -1 for F_Y - F_X.
    """
    pooled = np.concatenate([X, Y])
    steps = np.concatenate(
        [weights.of_x / weights.of_x.size, -weights.of_y / weights.of_y.size]
    )
    d = pooled.shape[1]
    statistic, location = np.empty(d), np.empty(d)
    sign = np.empty(d, dtype=np.int8)
    for column in range(d):
        order = np.argsort(pooled[:, column], kind="stable")
        values = pooled[order, column]
        last = np.append(values[1:] != values[:-1], True)
        gaps, places = np.cumsum(steps[order])[last], values[last]
        high, low = int(gaps.argmax()), int(gaps.argmin())
        minus = side < 0 or (side == 0 and -gaps[low] > gaps[high])
        at = low if minus else high
        sign[column] = -1 if minus else 1
        statistic[column] = np.clip(sign[column] * gaps[at], 0, 1)
        location[column] = places[at]
    return statistic, location, sign


def weighted_sliced(task: Task) -> KSResult:
    """Mean gap along uniformly random directions, of weighted rows."""
    Y = task.reference()
    task.relabellings(len(Y))  # draws, so that directions are those without weights
    directions = random_directions(task.X.shape[1], task.n_directions, task.rng)
    weights = task.weights
    assert weights is not None
    if task.Y is None:  # rows drawn from a law count alike
        weights = Weights(weights.of_x, np.ones(len(Y)))
    X, Y = (rows.astype(np.float64) @ directions for rows in (task.X, Y))
    statistic = float(weighted_column_gaps(X, Y, weights, 0)[0].mean())
    return task.result(
        statistic=statistic,
        pvalue=float("nan"),
        global_statistic=statistic,
        global_pvalue=float("nan"),
        m=len(Y),
        n_directions=task.n_directions,
    )
