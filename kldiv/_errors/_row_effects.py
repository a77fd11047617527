"""What single rows do to an estimate, in samples that share part of their rows.

The jackknife adds up squared effects of single rows. A neighbour distance depends on
many rows at once, and what depends on r rows the jackknife counts r times (Efron and
Stein 1981): standard errors of neighbour estimates come out up to 1.8 times too large.
Products of the effects of one row in two subsets of the sample that have a share t of
their rows in common count it r t**(r - 1) times instead, and the integral of that over
t from 0 to 1 is 1 for every r. (For Poisson samples this is the covariance identity of
Last and Penrose 2017, theorem 20.2.) The Gauss rule with two shares is exact up to
r = 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from kldiv._errors._neighbor_lists import NeighborLists, TargetChanges
from kldiv._errors._subsets import subsets
from kldiv._ratio._log_ratio import LogRatio
from kldiv._ratio._reference_effects import ReferenceEffects
from kldiv._typing import Floats, Mask

Functional = Callable[..., float]

# Log ratios at which the effect of a row on a divergence is computed, not interpolated.
_RATIOS_TRIED = 129


@dataclass(frozen=True)
class RowEffects:
    """Effects of the rows of both samples on an estimate.

    Attributes
    ----------
    x, y : ndarray of shape (N_SUBSETS, n) and (N_SUBSETS, m)
        In each of `subsets`: the estimate with minus the estimate without a row, times
        the number of rows; of mean zero.
    x_bootstrap, y_bootstrap : float
        Variance that the estimate has because it takes bootstrap samples from the
        references of X and of Y, to measure what fitting them does.
    """

    x: Floats
    y: Floats
    x_bootstrap: float
    y_bootstrap: float


def row_effects(
    ratios: Sequence[LogRatio], lists: Sequence[NeighborLists], functional: Functional
) -> RowEffects:
    """Effects of single rows on a functional of log ratios.

    `ratios` holds the log ratio at the rows of X, or that and the one at the rows of Y
    with the samples exchanged, `lists` their neighbours; `functional` takes as many
    arrays.
    """
    sizes = len(ratios[0].X), len(ratios[0].Y)
    masks = [subsets(size, which) for which, size in enumerate(sizes)]
    values = [ratio.values for ratio in ratios]
    totals = [np.zeros((len(masks[i]), size)) for i, size in enumerate(sizes)]
    bootstrap = np.zeros(2)
    for i, ratio in enumerate(ratios):  # in the second one the samples are exchanged
        through = _EffectsThroughRatio(ratio, lists[i], masks[i], masks[1 - i])
        response = response_of(functional, values, i, through.values())
        for s in range(len(masks[0])):
            of_x, of_y = through.effects(s, response)
            totals[i][s] += of_x
            totals[1 - i][s] += of_y
        bootstrap[[i, 1 - i]] += through.bootstrap(response)
    x, y = (effects - effects.mean(axis=1, keepdims=True) for effects in totals)
    return RowEffects(x, y, float(bootstrap[0]), float(bootstrap[1]))


def response_of(
    functional: Functional, values: Sequence[Floats], which: int, wanted: Floats
) -> PchipInterpolator:
    """What one more row does to a divergence, as a function of the log ratio there."""
    low, high = float(wanted.min()), float(wanted.max())
    ratios = np.linspace(low, high + 1e-9 * max(1.0, abs(high)), _RATIOS_TRIED)
    before, more = functional(*values), list(values)
    effects = np.empty(_RATIOS_TRIED)
    for i, ratio in enumerate(ratios):
        more[which] = np.append(values[which], ratio)
        effects[i] = functional(*more) - before
    return PchipInterpolator(ratios, effects * (len(values[which]) + 1))


class _EffectsThroughRatio:
    """Effects through the log ratio at the rows of one sample, here called X."""

    def __init__(
        self,
        ratio: LogRatio,
        lists: NeighborLists,
        x_masks: list[Mask],
        y_masks: list[Mask],
    ) -> None:
        self.ratio, self.masks = ratio, list(zip(x_masks, y_masks, strict=True))
        self.lists = lists
        self.changes = [
            (lists.x.changes(x, x), lists.y.changes(y, x)) for x, y in self.masks
        ]
        # log densities are known up to a constant
        p, q = self.changes[0]
        constant = (ratio.values - p.densities + q.densities).mean()
        self.ratios = [p.densities - q.densities + constant for p, q in self.changes]
        self._fits: dict[int, tuple[Floats, Floats]] = {}
        self.references: ReferenceEffects | None = None
        if ratio.references is not None:
            X, Y = (sample.astype(np.float64) for sample in (ratio.X, ratio.Y))
            mixtures = ratio.references.of_x, ratio.references.of_y
            self.references = ReferenceEffects(*mixtures, X, Y)

    def values(self) -> Floats:
        """Log ratios that occur."""
        occurring = list(self.ratios)
        for ratios, changes in zip(self.ratios, self.changes, strict=True):
            for change, sign in zip(changes, (1, -1), strict=True):
                occurring.append(ratios[change.rows] + self._step(change, sign))
        return np.concatenate(occurring)

    @staticmethod
    def _step(change: TargetChanges, sign: int) -> Floats:
        """From the log ratio as it is to that with a target in or out."""
        return sign * np.where(change.inside, -change.gains, change.gains)

    def effects(self, s: int, response: PchipInterpolator) -> tuple[Floats, Floats]:
        """Effects of the rows of X and of Y in subset s."""
        ratios, (x_mask, y_mask) = self.ratios[s], self.masks[s]
        through_p, through_q = (
            self._through(change, sign, ratios, response)
            for change, sign in zip(self.changes[s], (1, -1), strict=True)
        )
        of_x = response(ratios) + through_p
        of_y = through_q * (y_mask.sum() / x_mask.sum())
        if self.references is not None:
            fitted = self._fitted(s, response)
            of_x, of_y = of_x + fitted[0], of_y + fitted[1]
        return of_x, of_y

    def _through(
        self,
        change: TargetChanges,
        sign: int,
        ratios: Floats,
        response: PchipInterpolator,
    ) -> Floats:
        """What targets do to the rows around which they are."""
        before = ratios[change.rows]
        step = response(before + self._step(change, sign)) - response(before)
        n_targets = (self.lists.x if sign == 1 else self.lists.y).n_targets
        effects = np.where(change.inside, -step, step)
        return np.bincount(change.targets, effects, n_targets).astype(np.float64)

    def _fitted(self, s: int, response: PchipInterpolator) -> tuple[Floats, Floats]:
        """What rows do to the references that are fitted to them."""
        assert self.references is not None
        if not self.references.gaussian:
            s = 0  # components of a part of the rows would be other components
        if s not in self._fits:
            x_mask, y_mask = self.masks[s]
            slopes = response(self.ratios[s], 1)
            weights = np.where(x_mask, slopes, 0.0) / x_mask.sum()
            inside_x = self.lists.x.interior(x_mask, weights)
            inside_y = self.lists.y.interior(y_mask, weights)
            self._fits[s] = (
                self.references.of_x(x_mask, weights, inside_x),
                -self.references.of_y(y_mask, weights, inside_y),
            )
        return self._fits[s]

    def bootstrap(self, response: PchipInterpolator) -> tuple[float, float]:
        """Variance that the bootstrap of both references adds to the estimate.

        That of Y was measured, and goes to all rows alike. A bootstrap sample of X
        varies as the log densities of X do about those of the reference that it comes
        from.
        """
        references = self.ratio.references
        if references is None:
            return 0.0, 0.0
        n = len(self.ratio.X)
        fitted = [self._fitted(s, response) for s in range(len(self.masks))]
        slopes = response(self.ratios[0], 1)
        truth = references.of_x.log_density(self.ratio.X.astype(np.float64))
        effects = np.empty((len(self.masks), n))
        for s, (change, _) in enumerate(self.changes):
            effects[s] = slopes * (change.densities - truth) + fitted[s][0]
            effects[s] += np.bincount(
                change.targets, slopes[change.rows] * change.gains, minlength=n
            )
        effects -= effects.mean(axis=1, keepdims=True)
        of_x = max(float(thinned(effects).sum()), 0.0) * n / references.x_scored
        return of_x, float(slopes.mean()) ** 2 * references.y_noise


def thinned(effects: Floats) -> Floats:
    """What each row adds to the variance of an estimate, from its `RowEffects`."""
    pairs = range(1, len(effects), 2)
    products = sum(effects[i] * effects[i + 1] for i in pairs)
    return products / len(pairs) / effects.shape[1] ** 2
