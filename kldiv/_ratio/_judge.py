"""The rule behind "auto": corrections are weighed by what they say of rows unseen.

Every candidate gives log p/q at all rows of both samples, each from a fit that has not
seen the row. With the odds of the sample sizes that is a probability of "row of X", and
its log loss is a proper score: nothing has a smaller expected loss than the true ratio.
The best candidate gets weight one, another one less the surer its loss is larger, by
the standard error of the difference. Weights are scaled to sum to one; what the
candidates differ by is part of the standard error of their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kldiv._preparation import PreparedPair
from kldiv._ratio._classifier import log_loss
from kldiv._ratio._correction import Correction
from kldiv._ratio._log_ratio import LogRatio, Settings
from kldiv._typing import Floats

# A candidate of smaller weight is not estimated.
_SMALLEST_WEIGHT = 0.05
# A row this many interquartile ranges from the median, which moves the mean by so many
# nats, decides a candidate alone. Log loss cannot see it: the row is told apart anyway.
_RANGES_AWAY, _MOVES_MEAN = 20.0, 0.05


def judged_ratio(
    candidates: Mapping[str | None, Correction], pair: PreparedPair, settings: Settings
) -> LogRatio:
    """Mean of the log ratios of the candidates, weighed by evidence."""
    evidence = {name: one.evidence(pair, settings) for name, one in candidates.items()}
    losses = np.array(
        [log_loss(one.log_ratios, len(pair.X)) for one in evidence.values()]
    )
    weights = weights_of(losses)
    parts = [
        (float(weight), one.estimate())
        for weight, one in zip(weights, evidence.values(), strict=True)
        if weight > 0
    ]
    if len(parts) > 1:
        steady = [one for one in parts if not _hangs_on_a_row(one[1].values)] or parts
        total = sum(weight for weight, _ in steady)
        parts = [(weight / total, part) for weight, part in steady]
    if len(parts) == 1:
        return parts[0][1]
    values = np.sum([weight * part.values for weight, part in parts], axis=0)
    best = max(parts, key=lambda one: one[0])[1]
    return replace(best, values=values, row_effects=None, parts=tuple(parts))


def _hangs_on_a_row(values: Floats) -> bool:
    """Whether a single log ratio lies where no other does and decides the mean.

    Fitted densities fall off as their model says, not as the sample: at an outlying
    row of a heavy tail their ratio can be thousands of nats.
    """
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    away = float(np.abs(values - middle).max())
    return away > _RANGES_AWAY * (high - low) and away > _MOVES_MEAN * values.size


def weights_of(losses: Floats) -> Floats:
    """Weights of candidates from their losses at the same rows, (candidates, rows)."""
    totals = losses.sum(axis=1)
    more = losses - losses[totals.argmin()]
    error = np.sqrt(more.shape[1]) * more.std(axis=1)
    # a loss that is larger by the same at every row is larger for sure
    certain = np.where(more.sum(axis=1) > 0, np.inf, 0.0)
    surplus = np.divide(more.sum(axis=1), error, out=certain, where=error > 0)
    weights = np.exp(-0.5 * surplus**2)
    weights /= weights.sum()
    weights[weights < _SMALLEST_WEIGHT] = 0.0
    return weights / weights.sum()
