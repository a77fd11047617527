"""The rule behind "auto": corrections are weighed by what they say of rows unseen.

Every candidate gives log p/q at all rows of both samples, each from a fit that has not
seen the row. With the odds of the sample sizes that is a probability of "row of X", and
its log loss is a proper score: nothing has a smaller expected loss than the true ratio.
The best candidate gets weight one, another one less the surer its loss is larger, by
the standard error of the difference. Weights are scaled to sum to one; what the
candidates differ by is part of the standard error of their mean.

Log loss also counts how far ratios overstate themselves row by row, which the means of
densities that were fitted to few rows make good, and says little of ratios that are too
small everywhere. So where something surely tells more than nothing, candidates are
compared with ratios on a scale that other rows have set. One that surely tells more
than all others then is taken alone if no single row decides its value, the sooner if
balls do not contradict it. On curved sheets densities tell rows apart and are wrong
about the ratio: there balls hold other masses, and rows vary in far fewer dimensions
than there are columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from kldiv._preparation import PreparedPair
from kldiv._ratio._balls import local_dimension
from kldiv._ratio._classifier import judged_rows, log_loss, scaled_by_others
from kldiv._ratio._correction import Correction, Evidence
from kldiv._ratio._log_ratio import LogRatio, Settings
from kldiv._ratio._single_rows import reach_of, single_rows
from kldiv._typing import Floats, Mask

# A candidate of smaller weight is not estimated.
_SMALLEST_WEIGHT = 0.05
# Standard errors between what unseen rows say and what they prove.
_SURE = 2.0
# Standard errors by which a candidate surely tells rows apart better than another, and
# than nothing; and those that do where balls do not contradict it.
_SURELY_MORE, _MORE = 5.0, 3.0
# References that balls contradict by more, in nats and as a share, count less.
_MISFIT, _RELATIVE_MISFIT = 0.25, 0.06
# Rows that vary in a smaller share of the dimensions lie on a surface. Five distances
# tell of Gaussians in 50 columns about half of them, and of images two fifths.
_SHARE_OF_DIMENSIONS, _ROWS_PER_DIMENSION = 1 / 3, 2
# Log likelihood that a fitted scale gains by chance, in nats: where samples lie apart
# and every candidate says so, losses differ by less, and mean nothing.
_WORTH_OF_A_SCALE = 1.0
# Share of the log loss of chance that is left where samples overlap.
_OVERLAP = 0.5
# Ratios this many interquartile ranges away say no more than those.
_FARTHEST = 10.0


def judged_ratio(
    candidates: Mapping[str | None, Correction], pair: PreparedPair, settings: Settings
) -> LogRatio:
    """Mean of the log ratios of the candidates, weighed by evidence."""
    evidence = _refuted_left_out(
        [_estimated_once(one.evidence(pair, settings)) for one in candidates.values()]
    )
    judged = len(judged_rows(len(pair.X)))
    ratios = [one.log_ratios for one in evidence]
    behind = behind_the_best(ratios, judged)
    parts = _without_single_rows(_parts_of(evidence, judged, behind))
    proven = max(proven_by(one.log_ratios, judged) for one in evidence)
    claimed = max(
        float(one[:judged].mean())
        for one, far in zip(ratios, behind[:-1], strict=True)
        if far <= _SURELY_MORE
    )
    if len(parts) == 1:
        return replace(parts[0][1], proven=proven, claimed=claimed)
    values = np.sum([weight * part.values for weight, part in parts], axis=0)
    return replace(
        max(parts, key=lambda one: one[0])[1],
        values=values,
        row_effects=None,
        parts=tuple(parts),
        held=any(part.held for _, part in parts),
        misfit=sum(weight * part.misfit for weight, part in parts),
        proven=proven,
        claimed=claimed,
        unseen=tuple((weight, part.unseen[0][1]) for weight, part in parts),
    )


def _parts_of(
    evidence: Sequence[Evidence], judged: int, behind: Floats
) -> list[tuple[float, LogRatio]]:
    """Weights and estimates: of one that is taken alone, or of all by log loss."""
    best = _ahead_of_all(behind)
    if best is not None:
        alone = evidence[best].estimate()
        surely = _ahead_of_all(behind, _SURELY_MORE) is not None
        refuted = _contradicted_on_a_surface(alone) or (
            not surely and alone.misfit > _allowed_misfit(alone)
        )
        if not (refuted or _decided_by_single_rows(alone)):
            return [(1.0, alone)]
    elif behind[-1] > _SURELY_MORE:
        *losses, chance = _losses_on_scale([one.log_ratios for one in evidence], judged)
        if _overlap(losses, chance):
            # a large value is no excuse where many rows could be of either sample
            return _weighed(evidence, losses, lambda _: _MISFIT)
    losses = [log_loss(one.log_ratios, judged) for one in evidence]
    return _weighed(evidence, losses, _allowed_misfit)


def _weighed(
    evidence: Sequence[Evidence],
    losses: Sequence[Floats],
    allowed: Callable[[LogRatio], float],
) -> list[tuple[float, LogRatio]]:
    """Weights by losses, and estimates, of what balls do not contradict."""
    weights = weights_of(np.array(losses))
    parts = {
        i: (float(weight), evidence[i].estimate())
        for i, weight in enumerate(weights)
        if weight > 0
    }
    others = [
        i
        for i in range(len(evidence))
        if i not in parts or parts[i][1].misfit <= allowed(parts[i][1])
    ]
    if 0 < len(others) < len(evidence):
        left = [evidence[i] for i in others], [losses[i] for i in others]
        return _weighed(*left, allowed)
    return list(parts.values())


def _overlap(losses: Sequence[Floats], chance: Floats) -> bool:
    """Whether many rows could be of either sample: else few rows know the scale."""
    return bool(min(loss.sum() for loss in losses) > _OVERLAP * chance.sum())


def _estimated_once(evidence: Evidence) -> Evidence:
    """The same; its estimate says what it says of rows unseen, and is kept."""

    @cache
    def estimate() -> LogRatio:
        return replace(evidence.estimate(), unseen=((1.0, evidence.log_ratios),))

    return replace(evidence, estimate=estimate)


def _refuted_left_out(evidence: list[Evidence]) -> list[Evidence]:
    """Without those that say of a row unseen that it cannot be, if others do not."""
    finite = [one for one in evidence if np.isfinite(one.log_ratios).all()]
    return finite or evidence


def _ahead_of_all(behind: Floats, lead: float = _MORE) -> int | None:
    """The candidate that surely tells more than all others and than nothing."""
    best = int(behind.argmin())
    if best == len(behind) - 1:  # nothing is
        return None
    others, nothing = np.delete(behind[:-1], best), behind[-1]
    return best if nothing > _SURELY_MORE and (others > lead).all() else None


def _allowed_misfit(ratio: LogRatio) -> float:
    """By how much the masses of balls may differ from what references say."""
    return max(_MISFIT, _RELATIVE_MISFIT * abs(ratio.mean))


def _contradicted_on_a_surface(ratio: LogRatio) -> bool:
    """Whether balls contradict references of rows that vary in far fewer dimensions
    than they have columns; there a large value is no excuse, but the error itself."""
    n, d = ratio.X.shape
    if n < _ROWS_PER_DIMENSION * d:  # distances of few rows know few dimensions
        return False
    dimensions = local_dimension(ratio.neighbors.block("xx"))
    return dimensions < _SHARE_OF_DIMENSIONS * d and ratio.misfit > _MISFIT


def behind_the_best(log_ratios: Sequence[Floats], n: int) -> Floats:
    """By how many standard errors each tells rows apart worse, once scales are set.

    Zero is the best, whose loss is the smallest. The last one is the ratio that says
    the same of all rows.
    """
    losses = np.array(_losses_on_scale(log_ratios, n))
    more = losses - losses[losses.sum(axis=1).argmin()]
    error = np.hypot(np.sqrt(more.shape[1]) * _deviation(more), _WORTH_OF_A_SCALE)
    behind: Floats = more.sum(axis=1) / error
    return behind


def _losses_on_scale(log_ratios: Sequence[Floats], n: int) -> list[Floats]:
    """Losses of all, and of the ratio that says the same of all rows."""
    nothing = np.zeros(len(log_ratios[0]))
    return [_loss_on_scale(one, n) for one in (*log_ratios, nothing)]


def _loss_on_scale(log_ratios: Floats, n: int) -> Floats:
    """Log loss of each row; shift and scale of its ratio are fitted to other rows."""
    of_x = np.arange(len(log_ratios)) < n
    size = np.subtract(*np.quantile(log_ratios, [0.75, 0.25]))
    size = size if size > 0 else 1.0
    away, reach = log_ratios - np.median(log_ratios), _FARTHEST * size
    ratios = np.clip(away, -reach, reach) / size
    logits, _ = scaled_by_others(ratios, of_x)
    losses: Floats = np.logaddexp(0, np.where(of_x, -logits, logits))
    return losses


def proven_by(log_ratios: Floats, n: int) -> float:
    """Lower confidence limit of the divergence, from log ratios at rows unseen.

    No function T has a larger E_P T - log E_Q exp T than the divergence (Donsker and
    Varadhan 1983). T is bounded on both sides: exp T must not hang on few rows of Y,
    nor can m of them prove more than about log m.
    """
    most = np.log(len(log_ratios) - n) / 2
    bounded = np.clip(log_ratios, -most, most)
    at_x, factors = bounded[:n], np.exp(bounded[n:])
    error = np.hypot(
        at_x.std() / np.sqrt(n),
        factors.std() / factors.mean() / np.sqrt(len(factors)),
    )
    return float(at_x.mean() - np.log(factors.mean()) - _SURE * error)


def _without_single_rows(
    parts: list[tuple[float, LogRatio]],
) -> list[tuple[float, LogRatio]]:
    """Weights and log ratios, of which none is decided by a row far from all others.

    Such a row counts as if it were just so far; log loss cannot see it, because the
    row is told apart anyway. Fitted densities fall off as their model says, not as the
    sample: at an outlying row of a heavy tail their ratio can be thousands of nats.
    Mixtures are left out: what is drawn from them, to measure what a fit does, has no
    such tails.
    """
    if len(parts) == 1:
        return parts
    steady = []
    for weight, part in parts:
        if not _decided_by_single_rows(part):
            steady.append((weight, part))
        elif part.references is None:
            middle, reach = reach_of(part.values)
            moves = np.abs(part.values - middle) <= reach
            steady.append((weight, _held(part, middle - reach, middle + reach, moves)))
    total = sum(weight for weight, _ in steady)
    return [(weight / total, part) for weight, part in steady] or parts


def _decided_by_single_rows(ratio: LogRatio) -> bool:
    middle, _ = reach_of(ratio.values)
    return bool(single_rows(ratio.values, abs(middle)).any())


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
    error = np.sqrt(more.shape[1]) * _deviation(more)
    # a loss that is larger by the same at every row is larger for sure
    certain = np.where(more.sum(axis=1) > 0, np.inf, 0.0)
    surplus = np.divide(more.sum(axis=1), error, out=certain, where=error > 0)
    weights = np.exp(-0.5 * surplus**2)
    weights /= weights.sum()
    weights[weights < _SMALLEST_WEIGHT] = 0.0
    return weights / weights.sum()


def _deviation(values: Floats) -> Floats:
    """Standard deviation along the last axis, of numbers whose squares may overflow."""
    exponent = np.frexp(np.abs(values).max(axis=-1, keepdims=True))[1]
    scaled: Floats = np.ldexp(values, -exponent).std(axis=-1)
    return np.ldexp(scaled, exponent[..., 0])
