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
from kldiv._ratio._classifier import judged_rows, log_loss
from kldiv._ratio._correction import Correction
from kldiv._ratio._log_ratio import LogRatio, Settings
from kldiv._typing import Floats, Mask

# A candidate of smaller weight is not estimated.
_SMALLEST_WEIGHT = 0.05
# A row this many interquartile ranges from the median, which moves the mean by so many
# nats, decides a candidate alone: it counts as if it were just so far. Log loss cannot
# see it: the row is told apart anyway.
_RANGES_AWAY, _MOVES_MEAN = 20.0, 0.05
# Standard errors between what unseen rows say and what they prove.
_SURE = 2.0


def judged_ratio(
    candidates: Mapping[str | None, Correction], pair: PreparedPair, settings: Settings
) -> LogRatio:
    """Mean of the log ratios of the candidates, weighed by evidence."""
    evidence = {name: one.evidence(pair, settings) for name, one in candidates.items()}
    judged = len(judged_rows(len(pair.X)))
    losses = np.array([log_loss(one.log_ratios, judged) for one in evidence.values()])
    weights = weights_of(losses)
    parts = [
        (float(weight), one.estimate())
        for weight, one in zip(weights, evidence.values(), strict=True)
        if weight > 0
    ]
    parts = _without_single_rows(parts)
    proven = max(proven_by(one.log_ratios, judged) for one in evidence.values())
    if len(parts) == 1:
        return replace(parts[0][1], proven=proven)
    values = np.sum([weight * part.values for weight, part in parts], axis=0)
    return replace(
        max(parts, key=lambda one: one[0])[1],
        values=values,
        row_effects=None,
        parts=tuple(parts),
        held=any(part.held for _, part in parts),
        misfit=sum(weight * part.misfit for weight, part in parts),
        proven=proven,
    )


def proven_by(log_ratios: Floats, n: int) -> float:
    """Lower confidence limit of the divergence, from log ratios at rows unseen.

    No function T has a larger E_P T - log E_Q exp T than the divergence (Donsker and
    Varadhan 1983). T is capped where exp T would hang on few rows of Y.
    """
    capped = np.minimum(log_ratios, np.log(len(log_ratios) - n) / 2)
    at_x, factors = capped[:n], np.exp(capped[n:])
    error = np.hypot(
        at_x.std() / np.sqrt(n), factors.std() / factors.mean() / np.sqrt(len(factors))
    )
    return float(at_x.mean() - np.log(factors.mean()) - _SURE * error)


def _without_single_rows(
    parts: list[tuple[float, LogRatio]],
) -> list[tuple[float, LogRatio]]:
    """Weights and log ratios, of which none is decided by a row far from all others.

    Fitted densities fall off as their model says, not as the sample: at an outlying
    row of a heavy tail their ratio can be thousands of nats. Mixtures are left out:
    what is drawn from them, to measure what a fit does, has no such tails.
    """
    if len(parts) == 1:
        return parts
    steady = []
    for weight, part in parts:
        low, middle, high = np.quantile(part.values, [0.25, 0.5, 0.75])
        away, reach = np.abs(part.values - middle), _RANGES_AWAY * (high - low)
        if away.max() <= max(reach, _MOVES_MEAN * away.size):
            steady.append((weight, part))
        elif part.references is None:
            lowest, highest = middle - reach, middle + reach
            steady.append((weight, _held(part, lowest, highest, away <= reach)))
    total = sum(weight for weight, _ in steady)
    return [(weight / total, part) for weight, part in steady] or parts


def _held(ratio: LogRatio, low: float, high: float, moves: Mask) -> LogRatio:
    """Log ratios that are held within two values."""
    effects = ratio.row_effects
    return replace(
        ratio,
        values=np.clip(ratio.values, low, high),
        row_effects=effects and (lambda weights: effects(np.where(moves, weights, 0))),
        held=True,
    )


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
