"""Standard errors, confidence intervals and permutation p-values.

The variance of an estimate comes from the effects of single rows in subsets that share
part of their rows (kldiv/_thinning.py). Where these do not say everything, a grouped
jackknife adds the rest: groups of rows are left out in turn, and references are fitted
again. There is no bootstrap with replacement, because repeated rows have no neighbour
distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from kldiv._backends import UserMetric
from kldiv._log_ratio import LogRatio, adaptive_balls, ball_log_ratio, positive_balls
from kldiv._neighbors import search
from kldiv._reference import Balls, refit
from kldiv._thinning import Functional, Lists, Neighbours, row_effects, thinned
from kldiv._validation import FloatArray

Floats = NDArray[np.float64]

# Numbers of groups that divide each other, so that estimates from the same rows can be
# compared group by group whatever their number. Mixtures use at most the second.
_GROUPS = (20, 10, 5)


@dataclass(frozen=True)
class Sample:
    """What the rows of one sample do to an estimate, or to a difference of two.

    Attributes
    ----------
    rows : ndarray of shape (5, n)
        Effects of the rows in five subsets (kldiv/_thinning.py), of mean zero.
    which : {0, 1}
        Whether groups of rows are those of X or of Y.
    rest : ndarray of shape (n_groups,)
        Estimates without each group of rows minus what `rows` say they are, of mean
        zero. Empty where `rows` say everything.
    drawn : float
        Variance of the estimate from samples that it draws from the reference itself.
    """

    rows: Floats
    which: int
    rest: Floats = field(default_factory=lambda: np.empty(0))
    drawn: float = 0.0

    def groups(self, n_groups: int) -> Floats:
        """Estimate without each group minus the estimate, as `rows` say, mean zero."""
        n = self.rows.shape[1]
        of_row = leave_out_groups(n, n_groups, self.which)
        sums = np.bincount(of_row, self.rows[0], minlength=n_groups)
        changes = -sums / (n - np.bincount(of_row, minlength=n_groups))
        found: Floats = changes - changes.mean()
        return found


@dataclass(frozen=True)
class Effects:
    """What the rows of both samples do to an estimate; differences are taken of these.

    Attributes
    ----------
    x, y : Sample
        Of X and of Y.
    """

    x: Sample
    y: Sample


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


def effects_of(
    ratios: Sequence[LogRatio], functional: Functional, threads: int
) -> Effects | None:
    """What single rows do to a functional of log ratios.

    `ratios` holds the log ratio at the rows of X, or that and the one at the rows of Y
    with the samples exchanged; `functional` takes as many arrays. Returns None if the
    samples do not have five groups with more rows than neighbours.
    """
    first = ratios[0]
    k, n, m = first.neighbors.n_neighbors, len(first.X), len(first.Y)
    adaptive = first.correction == "adaptive"
    most = min(_GROUPS[0 if adaptive else 1], n // (k + 1), m // (k + 1))
    n_groups = next((count for count in _GROUPS if count <= most), None)
    if n_groups is None:
        return None
    lists: list[Lists] = [{} for _ in ratios]
    if adaptive:  # k varies from row to row without a bound
        samples = [Sample(np.zeros((5, size)), i) for i, size in enumerate((n, m))]
    else:
        lists = [
            {own: Neighbours(ratio, own, threads) for own in (True, False)}
            for ratio in ratios
        ]
        found = row_effects(ratios, lists, functional)
        samples = [
            Sample(found.x, 0, drawn=found.x_drawn),
            Sample(found.y, 1, drawn=found.y_drawn),
        ]
    if adaptive or (first.n_components or 1) > 1:
        without = _without_groups(ratios, lists, functional, n_groups, threads)
        samples = [
            replace(sample, rest=values - values.mean() - sample.groups(n_groups))
            for sample, values in zip(samples, without, strict=True)
        ]
    return Effects(*samples)


def spread_of(samples: Sequence[Sample]) -> Spread:
    """Standard error from the effects of independent samples."""
    method = "thinning"
    total, noise = _by_thinning(samples)
    if total <= np.sqrt(noise):
        method = "jackknife"
        total, noise = _by_jackknife(samples)
    total += sum(sample.drawn for sample in samples)
    degrees = 2 * total**2 / noise if noise > 0 else np.inf
    return Spread(float(np.sqrt(total)), float(degrees), method)


def _by_thinning(samples: Sequence[Sample]) -> tuple[float, float]:
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


def _by_jackknife(samples: Sequence[Sample]) -> tuple[float, float]:
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


def _squares(samples: Sequence[Sample], which: slice) -> float:
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


def leave_out_groups(n_rows: int, n_groups: int, which: int) -> NDArray[np.intp]:
    """Random group of each row of X (`which` = 0) or Y (1), always the same.

    With twice as many groups, groups g and g + n_groups are parts of group g.
    """
    order = np.random.default_rng([0, which]).permutation(n_rows)
    return order % n_groups


def _without_groups(
    ratios: Sequence[LogRatio],
    lists: Sequence[Lists],
    functional: Functional,
    n_groups: int,
    threads: int,
) -> list[Floats]:
    """Estimates without each group of X, and without each group of Y."""
    first = ratios[0]
    groups = [
        leave_out_groups(len(rows), n_groups, i)
        for i, rows in enumerate((first.X, first.Y))
    ]
    parts = [
        _LeaveOut(ratio, lists[i], groups[i], groups[1 - i], threads)
        for i, ratio in enumerate(ratios)
    ]
    return [
        np.array(
            [
                functional(*(part(own ^ bool(i), g) for i, part in enumerate(parts)))
                for g in range(n_groups)
            ]
        )
        for own in (True, False)
    ]


class _LeaveOut:
    """log p/q at the rows that stay when a group of X or of Y is left out."""

    def __init__(
        self,
        ratio: LogRatio,
        lists: Lists,
        x_groups: NDArray[np.intp],
        y_groups: NDArray[np.intp],
        threads: int,
    ) -> None:
        self.ratio, self.lists, self.threads = ratio, lists, threads
        self.groups = {True: x_groups, False: y_groups}
        references = ratio.references
        if references is None:
            return
        X = ratio.X.astype(np.float64)
        self.log_p = references.log_p(X, ratio.balls, len(X), threads)
        self.log_q = self.log_p - ratio.values

    def __call__(self, own: bool, group: int) -> Floats:
        ratio = self.ratio
        stays = self.groups[own] != group
        X = ratio.X[stays] if own else ratio.X
        Y = ratio.Y if own else ratio.Y[stays]
        if ratio.references is None:
            return self._adaptive(X, Y)
        balls = self._balls(own, stays)
        # the sample that stays whole keeps its log density
        rows = X.astype(np.float64)
        if own:
            fitted = replace(ratio.references, own=refit(ratio.references.own, rows))
            log_p = fitted.log_p(rows, balls, len(X), self.threads)
            kept: Floats = log_p - self.log_q[stays]
            return kept
        others = Y.astype(np.float64)
        fitted = replace(ratio.references, other=refit(ratio.references.other, others))
        changed: Floats = self.log_p - fitted.log_q(rows, balls, len(Y), self.threads)
        return changed

    def _balls(self, own: bool, stays: NDArray[np.bool_]) -> Balls:
        radii, balls = self.lists[own].radii(stays), self.ratio.balls
        if own:
            nu, k_rho, k_nu = balls.nu[stays], balls.k_rho[stays], balls.k_nu[stays]
            return Balls(radii[stays], nu, k_rho, k_nu)
        return replace(balls, nu=radii)

    def _adaptive(self, X: FloatArray, Y: FloatArray) -> Floats:
        k, metric = self.ratio.neighbors.n_neighbors, self.ratio.metric
        found = search(X, Y, k, metric=metric, threads=self.threads)
        balls = positive_balls(X, Y, found, self.threads, metric)
        balls = adaptive_balls(X, Y, balls, self.threads, metric)
        dimension = self.ratio.neighbors.n_features
        return ball_log_ratio(balls, replace(found, n_features=dimension))


def permutation_pvalue(
    X: FloatArray,
    Y: FloatArray,
    k: int,
    n_permutations: int,
    rng: np.random.Generator,
    threads: int,
    metric: str | UserMetric = "euclidean",
) -> float:
    """p-value of "both samples have one law" from one search of the pooled rows.

    The statistic is the generalised edge count of Chen and Friedman (2017) on the
    k-nearest-neighbour graph: how far the numbers of edges inside X and inside Y are
    from what permuted labels give, in the metric of their covariance. It sees shifts as
    well as changes of scale in many columns. Labels are permuted, the graph stays. Only
    for the Euclidean metric are columns scaled to unit variance.
    """
    pooled: FloatArray = np.concatenate([X, Y])
    if metric == "euclidean":
        pooled = pooled.astype(np.float64)
        pooled -= pooled.mean(axis=0)
        size = pooled.std(axis=0)
        pooled /= np.where(size > 0, size, 1.0)
    k = min(k, len(pooled) - 1)
    found = search(
        pooled,
        pooled,
        k,
        blocks=("xx",),
        metric=metric,
        threads=threads,
        return_indices=True,
    )
    neighbours = found.xx_indices
    assert neighbours is not None
    labels = np.zeros((n_permutations + 1, len(pooled)), dtype=bool)
    labels[0, : len(X)] = True
    for row in labels[1:]:
        row[rng.permutation(len(pooled))[: len(X)]] = True
    edges = np.array([_inner_edges(row, neighbours) for row in labels], dtype=float)
    # moments over all labellings, the observed one included: they are exchangeable
    edges -= edges.mean(axis=0)
    precision = np.linalg.pinv(edges.T @ edges / len(edges))
    statistics = np.einsum("ij,jk,ik->i", edges, precision, edges)
    at_least = (statistics[1:] >= statistics[0] * (1 - 1e-12)).sum()
    return float((1 + at_least) / (1 + n_permutations))


def _inner_edges(
    in_x: NDArray[np.bool_], neighbours: NDArray[np.integer]
) -> tuple[int, int]:
    """Edges of the neighbour graph inside X and inside Y."""
    ends = in_x[neighbours].sum(axis=1)
    in_both = int(ends[in_x].sum())
    in_neither = int((neighbours.shape[1] - ends[~in_x]).sum())
    return in_both, in_neither
