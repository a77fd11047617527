"""What single weighted rows do to an estimate.

A row has as much of the estimated density around a row of X as its share of the weight
of the nearest rows there. To first order in its weight that is its effect on the log
density, whatever correction was used, less its share of all weight (the infinitesimal
jackknife, Jaeckel 1972). Squared effects add up to a variance in which few heavy rows
count as few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kldiv._errors._row_effects import response_of
from kldiv._ratio._log_ratio import LocalWeights, LogRatio
from kldiv._typing import Floats


def weighted_effects(
    ratios: Sequence[LogRatio], functional: Callable[..., float]
) -> tuple[Floats, Floats]:
    """Effects of the rows of X, shape (n,), and of Y, shape (m,).

    Times the rows of the sample, of mean zero. `ratios` and `functional` are as in
    `effects_of`; the functional averages by weight.
    """
    values = [ratio.values for ratio in ratios]
    totals = [np.zeros(len(ratios[0].X)), np.zeros(len(ratios[0].Y))]
    for i, ratio in enumerate(ratios):  # in the second one the samples are exchanged
        assert ratio.weighting is not None
        weighting, mass = ratio.weighting, ratio.weighting.weights
        response = response_of(functional, values, i, ratio.values)
        slopes = response(ratio.values, 1) * mass.of_x / len(ratio.X)
        totals[i] += response(ratio.values) * mass.of_x
        totals[i] += effects_through(weighting.x, slopes, mass.of_x)
        totals[1 - i] -= effects_through(weighting.y, slopes, mass.of_y)
    return totals[0], totals[1]


def effects_through(around: LocalWeights, slopes: Floats, weights: Floats) -> Floats:
    """Effects on the sum of log densities, each weighed by a slope."""
    n = weights.size
    shares = (slopes[:, None] * around.shares).ravel()
    taken = np.bincount(around.rows.ravel(), shares, minlength=n)
    effects: Floats = n * taken - slopes.sum() * weights
    return effects
