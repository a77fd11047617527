"""Standard errors and confidence intervals.

The variance of an estimate comes from the effects of single rows in subsets that share
part of their rows (kldiv/_errors/_row_effects.py). Where these do not say everything, a
grouped jackknife adds the rest: groups of rows are left out in turn, and references are
fitted again. There is no bootstrap with replacement, because repeated rows have no
neighbour distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats

from kldiv._errors._doubts import Doubt, total_variance
from kldiv._errors._leave_out import leave_out_groups, without_groups
from kldiv._errors._neighbor_lists import NeighborLists
from kldiv._errors._row_effects import (
    Functional,
    response_of,
    row_effects,
    thinned,
)
from kldiv._errors._subsets import N_SUBSETS
from kldiv._errors._weighted_effects import weighted_effects
from kldiv._ratio._corrections import CORRECTIONS
from kldiv._ratio._log_ratio import LogRatio
from kldiv._typing import Floats, Rows

# Numbers of groups that divide each other, so that estimates from the same rows can be
# compared group by group whatever their number. Mixtures use at most the second.
_GROUPS = (20, 10, 5)


@dataclass(frozen=True)
class SampleEffects:
    """What the rows of one sample do to an estimate, or to a difference of two.

    Attributes
    ----------
    rows : ndarray of shape (N_SUBSETS, n)
        Effects of the rows in subsets (kldiv/_errors/_row_effects.py), of mean zero.
    which : {0, 1}
        Whether groups of rows are those of X or of Y.
    rest : ndarray of shape (n_groups,)
        Estimates without each group of rows minus what `rows` say they are, of mean
        zero. Empty where `rows` say everything.
    bootstrap : float
        Variance of the estimate from the bootstrap samples of the reference.
    places : ndarray of shape (n,), or None
        Place of each row in the order in which subsets and groups were made; None if
        the rows are in that order.
    given : ndarray of shape (n,), or None
        Which of the rows given each of these is; None if all are, as given.
    """

    rows: Floats
    which: int
    rest: Floats = field(default_factory=lambda: np.empty(0))
    bootstrap: float = 0.0
    places: Rows | None = None
    given: Rows | None = None

    def as_given(self, order: Rows) -> SampleEffects:
        """The same with rows as given; `order` says which of these each row is."""
        places = np.argsort(order)
        return replace(
            self, rows=self.rows[:, places], places=places, given=order[places]
        )

    def among(self, rows: Rows) -> SampleEffects:
        """The same where the rows given are these of more rows."""
        return replace(self, given=rows if self.given is None else rows[self.given])

    def times(self, factor: float) -> SampleEffects:
        """Effects on so many times the estimate."""
        return replace(
            self,
            rows=self.rows * factor,
            rest=self.rest * factor,
            bootstrap=self.bootstrap * factor**2,
        )

    def groups(self, n_groups: int) -> Floats:
        """Estimate without each group minus the estimate, as `rows` say, mean zero."""
        n = self.rows.shape[1]
        of_row = leave_out_groups(n, n_groups, self.which)
        if self.places is not None:
            of_row = of_row[self.places]
        sums = np.bincount(of_row, self.rows[0], minlength=n_groups)
        changes = -sums / (n - np.bincount(of_row, minlength=n_groups))
        return changes - changes.mean()

    def without_groups(self) -> SampleEffects:
        """The same effects; what groups of rows vary beyond them is a variance."""
        if not self.rest.size:
            return self
        known = self.groups(self.rest.size)
        share, _ = _difference(known + self.rest, known)
        more = self.bootstrap + max(share, 0.0)
        return replace(self, rest=np.empty(0), bootstrap=more)


@dataclass(frozen=True)
class Effects:
    """What the rows of both samples do to an estimate; differences are taken of these.

    Attributes
    ----------
    x, y : SampleEffects
        Of X and of Y.
    doubts : tuple of Doubt
        What the rows do not say, one for each of the estimates that it is a sum of.
    """

    x: SampleEffects
    y: SampleEffects
    doubts: tuple[Doubt, ...] = ()

    def as_given(self, x_order: Rows, y_order: Rows) -> Effects:
        """The same with the rows of both samples in the order given."""
        return replace(self, x=self.x.as_given(x_order), y=self.y.as_given(y_order))

    def among(self, x_rows: Rows, y_rows: Rows) -> Effects:
        """The same where the rows given are these of more rows."""
        return replace(self, x=self.x.among(x_rows), y=self.y.among(y_rows))

    def times(self, factor: float) -> Effects:
        """Effects on so many times the estimate."""
        doubts = tuple(doubt.times(factor) for doubt in self.doubts)
        return Effects(self.x.times(factor), self.y.times(factor), doubts)

    def in_all_subsets(self) -> Effects:
        """Effects that give the same variance and are the same in all subsets.

        Subsets of two samples that share only some rows do not belong together: the
        effects on all rows are subtracted, each as large as thinning finds it.
        """
        samples = [each.without_groups() for each in (self.x, self.y)]
        total, noise = _by_thinning(samples)
        whole, _ = _by_jackknife(samples)
        factor = np.sqrt(total / whole) if total > np.sqrt(noise) else 1.0
        x, y = (
            replace(each, rows=np.tile(factor * each.rows[0], (N_SUBSETS, 1)))
            for each in samples
        )
        return replace(self, x=x, y=y)

    def spread(self) -> Spread:
        """Standard error of the estimate."""
        return spread_of((self.x, self.y), total_variance(self.doubts))


@dataclass(frozen=True)
class Spread:
    """Standard error of an estimate.

    Attributes
    ----------
    standard_error : float
        In the unit of the estimate.
    degrees : float
        Degrees of freedom of the standard error (Satterthwaite).
    method : {"thinning", "jackknife"}
        "jackknife" where no products of effects were had, or where they were too noisy:
        the jackknife is an upper bound.
    """

    standard_error: float
    degrees: float
    method: str

    def interval(self, value: float, level: float) -> tuple[float, float]:
        """Student interval around `value`."""
        reach = stats.t.ppf(0.5 + level / 2, self.degrees) * self.standard_error
        return float(value - reach), float(value + reach)


def effects_of(ratios: Sequence[LogRatio], functional: Functional) -> Effects | None:
    """What single rows do to a functional of log ratios.

    `ratios` holds the log ratio at the rows of X, or that and the one at the rows of Y
    with the samples exchanged; `functional` takes as many arrays. Returns None if the
    samples do not have five groups with more rows than neighbours.
    """
    first = ratios[0]
    if first.weighting is not None:
        return _effects_of_weighted(ratios, functional)
    if any(ratio.parts or ratio.row_effects for ratio in ratios):
        if len(ratios) > 1:
            return _effects_of_sum(ratios)
        if first.parts:
            return _effects_of_mean(first, functional)
        return _effects_of_fit(first, functional)
    correction = CORRECTIONS[first.correction]
    k, n, m = first.neighbors.n_neighbors, len(first.X), len(first.Y)
    varying = correction.varying_k
    most = min(_GROUPS[0 if varying else 1], n // (k + 1), m // (k + 1))
    n_groups = next((count for count in _GROUPS if count <= most), None)
    if n_groups is None:
        return None
    lists = [None if varying else NeighborLists.of(ratio) for ratio in ratios]
    samples = [
        SampleEffects(np.zeros((N_SUBSETS, size)), i) for i, size in enumerate((n, m))
    ]
    if not varying:
        alone = row_effects(ratios, [each for each in lists if each], functional)
        samples = [
            SampleEffects(alone.x, 0, bootstrap=alone.x_bootstrap),
            SampleEffects(alone.y, 1, bootstrap=alone.y_bootstrap),
        ]
    if correction.leaves_out_groups(first):
        without = without_groups(ratios, lists, functional, n_groups)
        samples = [
            replace(sample, rest=values - values.mean() - sample.groups(n_groups))
            for sample, values in zip(samples, without, strict=True)
        ]
    return Effects(samples[0], samples[1])


def _effects_of_weighted(
    ratios: Sequence[LogRatio], functional: Functional
) -> Effects | None:
    """Effects of weighted rows; what several corrections differ by is added."""
    first = ratios[0]
    fewest = min(len(first.X), len(first.Y)) // (first.neighbors.n_neighbors + 1)
    if fewest < _GROUPS[-1] and not (first.parts or first.row_effects):
        return None
    x, y = weighted_effects(ratios, functional)
    samples = [
        SampleEffects(np.tile(one - one.mean(), (N_SUBSETS, 1)), which)
        for which, one in enumerate((x, y))
    ]
    doubts = tuple(doubt_about(ratio) for ratio in ratios)
    return Effects(samples[0], samples[1], doubts)


def doubt_about(ratio: LogRatio, functional: Functional | None = None) -> Doubt:
    """What the corrections of a mean differ by, and what fits leave open.

    Without a `functional` in their mean log ratios.
    """
    parts = ratio.parts or ((1.0, ratio),)
    values = [functional(p.values) if functional else p.mean for _, p in parts]
    return Doubt(
        tuple(part.correction for _, part in parts),
        np.array([weight for weight, _ in parts]),
        np.array(values),
        np.array([part.fit_error for _, part in parts]),
    )


def _effects_of_sum(ratios: Sequence[LogRatio]) -> Effects | None:
    """Effects on the sum of the mean log ratios of both sides.

    In the second one the samples are exchanged.
    """
    first, second = (effects_of([ratio], mean_log_ratio) for ratio in ratios)
    if first is None or second is None:
        return None
    return Effects(
        _mean_effects(np.ones(2), [first.x, replace(second.y, which=0)]),
        _mean_effects(np.ones(2), [first.y, replace(second.x, which=1)]),
        first.doubts + second.doubts,
    )


def mean_log_ratio(log_ratios: Floats) -> float:
    """Kullback-Leibler divergence as a functional of log ratios."""
    return float(log_ratios.mean())


def _effects_of_fit(ratio: LogRatio, functional: Functional) -> Effects:
    """Effects where the correction itself says what rows do to its fit."""
    response = response_of(functional, [ratio.values], 0, ratio.values)
    of_x, of_y = ratio.row_effects_of(response(ratio.values, 1))
    of_x = of_x + response(ratio.values)
    rows = [np.tile(one - one.mean(), (N_SUBSETS, 1)) for one in (of_x, of_y)]
    return Effects(
        SampleEffects(rows[0], 0),
        SampleEffects(rows[1], 1),
        (doubt_about(ratio, functional),),
    )


def _effects_of_mean(ratio: LogRatio, functional: Functional) -> Effects | None:
    """Effects on a mean of several corrections, and what these differ by."""
    weights = np.array([weight for weight, _ in ratio.parts])
    each = [effects_of([part], functional) for _, part in ratio.parts]
    known = [one for one in each if one is not None]
    if len(known) < len(each):
        return None
    x = _mean_effects(weights, [one.x for one in known])
    y = _mean_effects(weights, [one.y for one in known])
    return Effects(x, y, (doubt_about(ratio, functional),))


def _mean_effects(weights: Floats, samples: Sequence[SampleEffects]) -> SampleEffects:
    """Effects of the rows of one sample on a weighted sum of estimates."""
    groups = [one.rest.size for one in samples if one.rest.size]
    rest = np.empty(0)
    if groups:
        rest = weights @ [joined_groups(one.rest, min(groups)) for one in samples]
    return SampleEffects(
        np.tensordot(weights, [one.rows for one in samples], axes=1),
        samples[0].which,
        rest,
        float(weights**2 @ [one.bootstrap for one in samples]),
    )


def joined_groups(rest: Floats, n_groups: int) -> Floats:
    """Effects of leaving out unions of groups: groups g, g + n_groups, ... are joined.

    To first order the effect of leaving out two groups is the sum of both effects.
    """
    if not rest.size:
        return np.zeros(n_groups)
    return rest.reshape(-1, n_groups).sum(axis=0)


def spread_of(samples: Sequence[SampleEffects], more: float = 0.0) -> Spread:
    """Standard error from the effects of independent samples, and `more` variance."""
    method = "thinning"
    total, noise = _by_thinning(samples)
    if total <= np.sqrt(noise):
        method = "jackknife"
        total, noise = _by_jackknife(samples)
    total += more + sum(sample.bootstrap for sample in samples)
    degrees = 2 * (total / np.sqrt(noise)) ** 2 if noise > 0 else np.inf
    return Spread(float(np.sqrt(total)), float(degrees), method)


def _by_thinning(samples: Sequence[SampleEffects]) -> tuple[float, float]:
    """Variance of the estimate, and the variance of that; 0 without effects of rows."""
    squares = _squares(samples, slice(1, None))
    if squares == 0:
        return 0.0, 0.0
    # subsets are smaller than the samples, and effects in them can be larger
    scale = _squares(samples, slice(1)) / squares
    added = [scale * thinned(sample.rows) for sample in samples]
    total, noise = _sum_and_noise(added)
    for sample in samples:
        if sample.rest.size:
            known = sample.groups(sample.rest.size)
            share, its_noise = _difference(known + sample.rest, known)
            total, noise = total + share, noise + its_noise
    return total, noise


def _by_jackknife(samples: Sequence[SampleEffects]) -> tuple[float, float]:
    """Jackknife variance of the estimate, and the variance of that."""
    total = noise = 0.0
    for sample in samples:
        if sample.rest.size:
            whole = sample.groups(sample.rest.size) + sample.rest
            share, its_noise = _difference(whole, 0 * whole)
        else:
            squares = (sample.rows[0] / sample.rows.shape[1]) ** 2
            share, its_noise = _sum_and_noise([squares])
        total, noise = total + share, noise + its_noise
    return total, noise


def _sum_and_noise(added: Sequence[Floats]) -> tuple[float, float]:
    """Sum of what rows add to a variance, and the variance of that sum."""
    total = sum(float(one.sum()) for one in added)
    return total, sum(one.size * float(one.var()) for one in added)


def _squares(samples: Sequence[SampleEffects], which: slice) -> float:
    """Jackknife variance from effects of rows, the mean over some of the subsets."""
    sums = [(sample.rows[which] ** 2).sum(axis=1).mean() for sample in samples]
    sizes = [sample.rows.shape[1] for sample in samples]
    return float(sum(total / n**2 for total, n in zip(sums, sizes, strict=True)))


def _difference(whole: Floats, known: Floats) -> tuple[float, float]:
    """Jackknife variance of one set of group effects less that of another.

    And its variance, that of a difference of squares of Gaussian numbers.
    """
    n_groups = whole.size
    scale = (n_groups - 1) / n_groups
    fourth = (whole @ whole) ** 2 + (known @ known) ** 2 - 2 * (whole @ known) ** 2
    share = scale * float((whole**2 - known**2).sum())
    return share, float(2 * scale**2 * fourth / (n_groups - 1))
