"""What single weighted rows do to a divergence by the chain rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kldiv._errors._doubts import Doubt, total_variance
from kldiv._errors._row_effects import response_of
from kldiv._errors._standard_errors import Effects, SampleEffects, doubt_about
from kldiv._errors._subsets import N_SUBSETS
from kldiv._errors._weighted_effects import effects_through
from kldiv._typing import Floats, Rows

if TYPE_CHECKING:
    from kldiv._estimation._chain import Chain, Part


def weighted_chain_effects(chain: Chain) -> Effects:
    """Effects of the rows on the sum of log ratios of cells and within them.

    A row has its share of the weight of its cell, and of the nearest rows within it.
    """
    sides = [of_cell + within for of_cell, within in chain.sides()]
    totals = [np.zeros(len(chain.cells.of_x)), np.zeros(len(chain.cells.of_y))]
    both = [chain.cells, chain.cells.exchanged()]
    doubts: list[Doubt] = []
    for which, values in enumerate(sides):
        cells = both[which]
        assert cells.weights is not None
        of_x, of_y = cells.weights.of_x, cells.weights.of_y
        response = response_of(chain.formula, sides, which, values)
        slopes = response(values, 1) * of_x / len(of_x)
        in_cells = np.zeros(len(cells.n_x))
        np.add.at(in_cells, cells.of_x, slopes)
        x = response(values) * of_x + _through_cells(cells.of_x, of_x, in_cells)
        y = _through_cells(cells.of_y, of_y, in_cells)
        for part in chain.parts:
            if part.ratios:
                _add_within(part, which, slopes, x, y)
                ratio, mine = part.ratios[which], (part.group.x, part.group.y)[which]
                share = of_x[mine].sum() / len(of_x)
                doubts.append(doubt_about(ratio).times(share))
        totals[which] += x
        totals[1 - which] -= y
    samples = [
        SampleEffects(np.tile(one - one.mean(), (N_SUBSETS, 1)), i, bootstrap=more)
        for i, (one, more) in enumerate(zip(totals, (0.0, chain.unseen()), strict=True))
    ]
    error = np.sqrt(total_variance(doubts))
    return Effects(samples[0], samples[1], (Doubt.of_error(error),))


def _through_cells(of_rows: Rows, weights: Floats, slopes: Floats) -> Floats:
    """Effects on the log shares of cells, each weighed by a slope."""
    held = np.bincount(of_rows, weights, minlength=slopes.size)
    per_weight = slopes / np.where(held > 0, held, 1.0)
    effects: Floats = (per_weight[of_rows] * weights.size - slopes.sum()) * weights
    return effects


def _add_within(part: Part, which: int, slopes: Floats, x: Floats, y: Floats) -> None:
    """Add the effects on the log densities within a part."""
    ratio = part.ratios[which]
    weighting = ratio.weighting
    assert weighting is not None
    mine, others = part.group.x, part.group.y
    if which:
        mine, others = others, mine
    for around, weights, rows, total in (
        (weighting.x, weighting.weights.of_x, mine, x),
        (weighting.y, weighting.weights.of_y, others, y),
    ):
        # effects are times the rows of the sample, not of the part
        within = effects_through(around, slopes[mine], weights)
        total[rows] += within * (total.size / rows.size)
