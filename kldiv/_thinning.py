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
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.stats import nbinom

from kldiv._log_ratio import LogRatio
from kldiv._neighbors import search
from kldiv._reference_effects import ReferenceEffects

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
Functional = Callable[..., float]

# Shares of rows that two subsets have in common: Gauss nodes with equal weights.
_SHARES = (0.5 - 0.5 / np.sqrt(3), 0.5 + 0.5 / np.sqrt(3))
# How often a list of neighbours may hold too few of a subset and is made anew.
_SHORT_LISTS = 1e-3
# Chebyshev nodes for the log mass of a ball as a function of its log radius.
_NODES = np.cos(np.pi * (np.arange(4) + 0.5) / 4)
_WEIGHTS = (-1.0) ** np.arange(4) * np.sin(np.pi * (np.arange(4) + 0.5) / 4)
# Log ratios at which the effect of a row on a divergence is computed, not interpolated.
_RATIOS_TRIED = 129


def subsets(n_rows: int, which: int) -> list[Mask]:
    """All rows, then two subsets for each share; of X (`which` = 0) or of Y (1).

    Always the same for a number of rows, so that effects of the same rows on two
    estimates can be subtracted.
    """
    place = np.random.default_rng([1, which]).permutation(n_rows)
    found = [np.ones(n_rows, dtype=bool)]
    for share in _SHARES:
        size = int(n_rows / (2 - share))
        found += [place < size, place >= n_rows - size]
    return found


@dataclass(frozen=True)
class RowEffects:
    """Effects of the rows of both samples on an estimate.

    Attributes
    ----------
    x, y : ndarray of shape (5, n) and (5, m)
        In each of `subsets`: the estimate with minus the estimate without a row, times
        the number of rows; of mean zero.
    x_drawn, y_drawn : float
        Variance that the estimate has because it draws samples from the references of X
        and of Y itself, to measure what fitting them does.
    """

    x: Floats
    y: Floats
    x_drawn: float
    y_drawn: float


def row_effects(
    ratios: Sequence[LogRatio], lists: Sequence[Lists], functional: Functional
) -> RowEffects:
    """Effects of single rows on a functional of log ratios.

    `ratios` holds the log ratio at the rows of X, or that and the one at the rows of Y
    with the samples exchanged, `lists` their neighbours; `functional` takes as many
    arrays.
    """
    sizes = len(ratios[0].X), len(ratios[0].Y)
    masks = [subsets(size, which) for which, size in enumerate(sizes)]
    values = [ratio.values for ratio in ratios]
    found = [np.zeros((len(masks[i]), size)) for i, size in enumerate(sizes)]
    drawn = np.zeros(2)
    for i, ratio in enumerate(ratios):
        part = _Part(ratio, lists[i], masks[i], masks[1 - i])
        response = _response(functional, values, i, part.values())
        for s in range(len(masks[0])):
            own, other = part.effects(s, response)
            found[i][s] += own
            found[1 - i][s] += other
        drawn[[i, 1 - i]] += part.drawn(response)
    x, y = (effects - effects.mean(axis=1, keepdims=True) for effects in found)
    return RowEffects(x, y, float(drawn[0]), float(drawn[1]))


def _response(
    functional: Functional, values: Sequence[Floats], which: int, wanted: Floats
) -> PchipInterpolator:
    """What one more row does to a divergence, as a function of the log ratio there."""
    ratios = np.linspace(wanted.min(), wanted.max() + 1e-9, _RATIOS_TRIED)
    before, more = functional(*values), list(values)
    effects = np.empty(_RATIOS_TRIED)
    for i, ratio in enumerate(ratios):
        more[which] = np.append(values[which], ratio)
        effects[i] = functional(*more) - before
    return PchipInterpolator(ratios, effects * (len(values[which]) + 1))


class _Changes(NamedTuple):
    """Log densities at all rows, and what the presence of one target changes.

    `densities` (n,) go with a subset of targets as it is. Entry e says that at row
    `rows[e]` the value is higher by `gains[e]` with target `targets[e]` than without;
    `inside[e]` says whether that target is in the subset.
    """

    densities: Floats
    rows: Rows
    targets: Rows
    gains: Floats
    inside: Mask


class Neighbours:
    """Neighbours of every row of X in X or in Y, enough of them for every subset."""

    def __init__(self, ratio: LogRatio, own: bool, threads: int) -> None:
        self.ratio, self.own, self.threads = ratio, own, threads
        self.k = ratio.neighbors.n_neighbors
        self.n_targets = len(ratio.X) if own else len(ratio.Y)
        # neighbours until k + 1 of them are in the smaller subset
        kept, risk = 1 / (2 - _SHARES[0]), _SHORT_LISTS / len(ratio.X)
        self._search(self.k + 1 + int(nbinom.isf(risk, self.k + 1, kept)))

    def _search(self, listed: int) -> None:
        ratio, block = self.ratio, "xx" if self.own else "xy"
        self.listed = min(listed, self.n_targets - self.own)
        found = search(
            ratio.X,
            ratio.Y,
            self.listed,
            blocks=(block,),
            metric=ratio.metric,
            threads=self.threads,
            return_indices=True,
        )
        indices = found.xx_indices if self.own else found.xy_indices
        assert indices is not None
        self.indices = indices.astype(np.intp)
        self.distances = self._positive(found.block(block))
        self._masses = self._tabulate() if ratio.references is not None else None

    def _positive(self, distances: Floats) -> Floats:
        """Distances of zero become the first positive one, as in the balls."""
        zeros = distances == 0
        if not zeros.any():
            return distances
        balls = self.ratio.balls
        first = np.where(zeros, np.inf, distances).min(axis=1)
        grown = balls.rho if self.own else balls.nu
        first = np.where(np.isfinite(first), first, grown)
        return np.where(zeros, first[:, None], distances)

    def _tabulate(self) -> Floats:
        """Log density minus log mass of balls, at Chebyshev nodes of the log radius."""
        references = self.ratio.references
        assert references is not None
        low = np.log(self.distances[:, max(self.k - 2, 0)])
        high = np.log(self.distances[:, -1])
        self._middle, self._half = (low + high) / 2, np.maximum((high - low) / 2, 1e-9)
        reference = references.own if self.own else references.other
        X = self.ratio.X.astype(np.float64)
        radii = np.exp(self._middle + self._half * _NODES[:, None])
        return np.stack(
            [reference.log_ratio_to_ball(X, one, self.threads) for one in radii]
        )

    def log_density(self, radii: Floats, rows: Rows) -> Floats:
        """Log density at rows whose ball of k neighbours has this radius.

        Up to a term that is the same for all rows. References stay as they are.
        """
        if self._masses is None:
            plain: Floats = -self.ratio.neighbors.n_features * np.log(radii)
            return plain
        place = (np.log(radii) - self._middle[rows]) / self._half[rows]
        apart = place - _NODES[:, None]
        apart[np.abs(apart) < 1e-12] = 1e-12
        shares = _WEIGHTS[:, None] / apart
        found: Floats = (shares * self._masses[:, rows]).sum(axis=0)
        found /= shares.sum(axis=0)
        return found

    def radii(self, mask: Mask) -> Floats:
        """Distances from all rows to their k-th neighbours in a subset of targets."""
        _, count = self._members(mask)
        return self._distance(count, self.k)

    def _members(self, mask: Mask) -> tuple[Mask, NDArray[np.int32]]:
        """Whether each listed neighbour is in a subset, and how many are up to it."""
        while True:
            member = mask[self.indices]
            count = np.cumsum(member, axis=1, dtype=np.int32)
            everything = self.listed == self.n_targets - self.own
            if everything or (count[:, -1] > self.k).all():
                return member, count
            self._search(2 * self.listed)

    def _distance(self, count: NDArray[np.int32], k: int) -> Floats:
        found: Floats = self.distances[np.arange(len(count)), (count < k).sum(axis=1)]
        return found

    def changes(self, mask: Mask, queries: Mask) -> _Changes:
        """What single targets change at the rows of `queries`."""
        member, count = self._members(mask)
        everywhere = np.arange(len(count))
        radii, wider = self._distance(count, self.k), self._distance(count, self.k + 1)
        smaller = self._distance(count, self.k - 1) if self.k > 1 else 0 * radii
        densities = self.log_density(radii, everywhere)
        lost = densities - self.log_density(wider, everywhere)
        last = (count < self.k).sum(axis=1)
        near = np.arange(last.max() + 1) <= last[:, None]
        rows, places = np.nonzero(near & queries[:, None])
        inside, gains = member[rows, places], lost[rows]
        out = rows[~inside]
        radius = np.maximum(self.distances[out, places[~inside]], smaller[out])
        gains[~inside] = self.log_density(radius, out) - densities[out]
        return _Changes(densities, rows, self.indices[rows, places], gains, inside)

    def interior(self, mask: Mask, weights: Floats) -> Floats:
        """Weights of the rows, shared equally among the targets inside their balls.

        The k-th neighbour lies on the surface and counts for k = 1 only.
        """
        k = max(self.k - 1, 1)
        member, count = self._members(mask)
        rows, places = np.nonzero(member & (count <= k) & (weights != 0)[:, None])
        found: Floats = np.bincount(
            self.indices[rows, places], weights[rows] / k, minlength=self.n_targets
        ).astype(np.float64)
        return found


# Neighbours in the own sample under True, in the other one under False.
Lists = dict[bool, Neighbours]


class _Part:
    """Effects through the log ratio at the rows of one sample."""

    def __init__(
        self,
        ratio: LogRatio,
        lists: Lists,
        own_masks: list[Mask],
        other_masks: list[Mask],
    ) -> None:
        self.ratio, self.masks = ratio, list(zip(own_masks, other_masks, strict=True))
        self.own, self.other = lists[True], lists[False]
        self.changes = [
            (self.own.changes(own, own), self.other.changes(other, own))
            for own, other in self.masks
        ]
        # log densities are known up to a constant
        p, q = self.changes[0]
        constant = (ratio.values - p.densities + q.densities).mean()
        self.ratios = [p.densities - q.densities + constant for p, q in self.changes]
        self._fits: dict[int, tuple[Floats, Floats]] = {}
        self.references: ReferenceEffects | None = None
        if ratio.references is not None:
            X, Y = (sample.astype(np.float64) for sample in (ratio.X, ratio.Y))
            mixtures = ratio.references.own, ratio.references.other
            self.references = ReferenceEffects(*mixtures, X, Y)

    def values(self) -> Floats:
        """Log ratios that occur."""
        found = list(self.ratios)
        for ratios, changes in zip(self.ratios, self.changes, strict=True):
            for change, sign in zip(changes, (1, -1), strict=True):
                found.append(ratios[change.rows] + self._step(change, sign))
        return np.concatenate(found)

    @staticmethod
    def _step(change: _Changes, sign: int) -> Floats:
        """From the log ratio as it is to that with a target in or out."""
        return sign * np.where(change.inside, -change.gains, change.gains)

    def effects(self, s: int, response: PchipInterpolator) -> tuple[Floats, Floats]:
        """Effects of rows of this sample and of the other one in subset s."""
        ratios, (own_mask, other_mask) = self.ratios[s], self.masks[s]
        through_own, through_other = (
            self._through(change, sign, ratios, response)
            for change, sign in zip(self.changes[s], (1, -1), strict=True)
        )
        own = response(ratios) + through_own
        other = through_other * (other_mask.sum() / own_mask.sum())
        if self.references is not None:
            fitted = self._fitted(s, response)
            own, other = own + fitted[0], other + fitted[1]
        return own, other

    def _through(
        self, change: _Changes, sign: int, ratios: Floats, response: PchipInterpolator
    ) -> Floats:
        """What targets do to the rows around which they are."""
        before = ratios[change.rows]
        step = response(before + self._step(change, sign)) - response(before)
        n_targets = self.own.n_targets if sign == 1 else self.other.n_targets
        effects = np.where(change.inside, -step, step)
        return np.bincount(change.targets, effects, n_targets).astype(np.float64)

    def _fitted(self, s: int, response: PchipInterpolator) -> tuple[Floats, Floats]:
        """What rows do to the references that are fitted to them."""
        assert self.references is not None
        if not self.references.gaussian:
            s = 0  # components of a part of the rows would be other components
        if s not in self._fits:
            own_mask, other_mask = self.masks[s]
            slopes = response(self.ratios[s], 1)
            weights = np.where(own_mask, slopes, 0.0) / own_mask.sum()
            inside = self.own.interior(own_mask, weights)
            inside_other = self.other.interior(other_mask, weights)
            self._fits[s] = (
                self.references.own(own_mask, weights, inside),
                -self.references.other(other_mask, weights, inside_other),
            )
        return self._fits[s]

    def drawn(self, response: PchipInterpolator) -> tuple[float, float]:
        """Variance that the bootstrap of both references adds to the estimate.

        That of Y was measured, and goes to all rows alike. A draw of X varies as the
        log densities of X do about those of the reference that it was drawn from.
        """
        references = self.ratio.references
        if references is None:
            return 0.0, 0.0
        n = len(self.ratio.X)
        fitted = [self._fitted(s, response) for s in range(len(self.masks))]
        slopes = response(self.ratios[0], 1)
        truth = references.own.log_density(self.ratio.X.astype(np.float64))
        own = np.empty((len(self.masks), n))
        for s, (change, _) in enumerate(self.changes):
            own[s] = slopes * (change.densities - truth) + fitted[s][0]
            own[s] += np.bincount(
                change.targets, slopes[change.rows] * change.gains, minlength=n
            )
        own -= own.mean(axis=1, keepdims=True)
        of_x = max(float(thinned(own).sum()), 0.0) * n / references.own_scored
        return of_x, float(slopes.mean()) ** 2 * references.other_noise


def thinned(effects: Floats) -> Floats:
    """What each row adds to the variance of an estimate, from its `RowEffects`."""
    products = sum(effects[i] * effects[i + 1] for i in (1, 3))
    added: Floats = products / 2 / effects.shape[1] ** 2
    return added
