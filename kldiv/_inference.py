"""Standard errors, confidence intervals and permutation p-values.

The standard error is a grouped jackknife: each sample in turn is left out group by
group. Neighbours are searched once per group, and the neighbours without a group are
merged from the stored blocks of the others; references are fitted again without the
group. There is no bootstrap with replacement, because repeated rows have no neighbour
distance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from kldiv._backends import UserMetric
from kldiv._log_ratio import LogRatio, adaptive_balls, ball_log_ratio, positive_balls
from kldiv._neighbors import search
from kldiv._reference import Balls, refit
from kldiv._validation import FloatArray

Floats = NDArray[np.float64]
Functional = Callable[..., float]

# Numbers of groups that divide each other, so that estimates from the same rows can be
# compared group by group whatever their number. Mixtures use at most the second.
_GROUPS = (20, 10, 5)


@dataclass(frozen=True)
class Spread:
    """Standard error of an estimate.

    Attributes
    ----------
    standard_error : float
        In the unit of the estimate.
    degrees : float
        Degrees of freedom of the standard error (Satterthwaite).
    without_x, without_y : ndarray of shape (n_groups,)
        Estimates without each group of X and of Y.
    """

    standard_error: float
    degrees: float
    without_x: Floats
    without_y: Floats

    def interval(self, value: float, level: float) -> tuple[float, float]:
        """Student interval around `value`."""
        reach = stats.t.ppf(0.5 + level / 2, self.degrees) * self.standard_error
        return float(value - reach), float(value + reach)


def jackknife(
    ratios: Sequence[LogRatio], functional: Functional, threads: int
) -> Spread | None:
    """Grouped jackknife of a functional of log ratios.

    `ratios` holds the log ratio at the rows of X, or that and the one at the rows of Y
    with the samples exchanged; `functional` takes as many arrays. Returns None if the
    samples do not have five groups with more rows than neighbours.
    """
    first = ratios[0]
    k, n, m = first.neighbors.n_neighbors, len(first.X), len(first.Y)
    wanted = _GROUPS[0] if (first.n_components or 1) == 1 else _GROUPS[1]
    most = min(wanted, n // (k + 1), m // (k + 1))
    n_groups = next((count for count in _GROUPS if count <= most), None)
    if n_groups is None:
        return None
    groups = [leave_out_groups(rows, n_groups, i) for i, rows in enumerate((n, m))]
    without = [
        _LeaveOut(ratio, groups[i], groups[1 - i], n_groups, threads)
        for i, ratio in enumerate(ratios)
    ]
    estimates = [
        np.array(
            [
                functional(
                    *(part(from_x ^ bool(i), g) for i, part in enumerate(without))
                )
                for g in range(n_groups)
            ]
        )
        for from_x in (True, False)
    ]
    return spread_of(*estimates)


def leave_out_groups(n_rows: int, n_groups: int, which: int) -> NDArray[np.intp]:
    """Random group of each row of X (`which` = 0) or Y (1), always the same.

    With twice as many groups, groups g and g + n_groups are parts of group g.
    """
    order = np.random.default_rng([0, which]).permutation(n_rows)
    return order % n_groups


def spread_of(without_x: Floats, without_y: Floats) -> Spread:
    """Standard error from the estimates without each group of X and of Y."""
    n_groups = without_x.size
    variances = [(n_groups - 1) * float(np.var(v)) for v in (without_x, without_y)]
    total = sum(variances)
    degrees = n_groups - 1.0
    if total > 0:
        degrees *= total**2 / sum(v**2 for v in variances)
    return Spread(float(np.sqrt(total)), degrees, without_x, without_y)


class _LeaveOut:
    """log p/q at the rows that stay when a group of X or of Y is left out."""

    def __init__(
        self,
        ratio: LogRatio,
        x_groups: NDArray[np.intp],
        y_groups: NDArray[np.intp],
        n_groups: int,
        threads: int,
    ) -> None:
        self.ratio, self.threads = ratio, threads
        self.groups = {True: x_groups, False: y_groups}
        plain = ratio.correction != "adaptive" and (
            (ratio.balls.k_rho == ratio.neighbors.n_neighbors).all()
            and (ratio.balls.k_nu == ratio.neighbors.n_neighbors).all()
        )
        self.blocks = (
            {own: self._blocks(own, n_groups) for own in (True, False)}
            if plain
            else None
        )
        references = ratio.references
        if references is not None:
            X = ratio.X.astype(np.float64)
            self.log_p = references.log_p(X, ratio.balls, len(X), threads)
            self.log_q = self.log_p - ratio.values

    def __call__(self, own: bool, group: int) -> Floats:
        ratio = self.ratio
        stays = self.groups[own] != group
        X = ratio.X[stays] if own else ratio.X
        Y = ratio.Y if own else ratio.Y[stays]
        balls = self._balls(own, group, stays, X, Y)
        if ratio.references is None:
            neighbors = replace(ratio.neighbors, n=len(X), m=len(Y), xx=None, xy=None)
            return ball_log_ratio(balls, neighbors)
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

    def _balls(
        self,
        own: bool,
        group: int,
        stays: NDArray[np.bool_],
        X: FloatArray,
        Y: FloatArray,
    ) -> Balls:
        k, balls = self.ratio.neighbors.n_neighbors, self.ratio.balls
        if self.blocks is None:
            metric = self.ratio.metric
            found = search(X, Y, k, metric=metric, threads=self.threads)
            again = positive_balls(X, Y, found, self.threads, metric)
            if self.ratio.correction == "adaptive":
                return adaptive_balls(X, Y, again, self.threads, metric)
            return again
        rows = stays if own else slice(None)
        others = np.delete(self.blocks[own], group, axis=0)[:, rows]
        merged = others.transpose(1, 0, 2).reshape(others.shape[1], -1)
        radii = np.partition(merged, k - 1, axis=1)[:, k - 1]
        counts = np.full(len(radii), k, dtype=np.intp)
        if own:
            return Balls(radii, balls.nu[stays], counts, counts)
        return Balls(balls.rho, radii, counts, counts)

    def _blocks(self, own: bool, n_groups: int) -> Floats:
        """Distances from every row of X to its neighbours in each group."""
        ratio, groups = self.ratio, self.groups[own]
        k, sample = ratio.neighbors.n_neighbors, ratio.X if own else ratio.Y
        options: dict[str, Any] = {"metric": ratio.metric, "threads": self.threads}
        blocks = np.empty((n_groups, len(ratio.X), k))
        for g in range(n_groups):
            part = np.ascontiguousarray(sample[groups == g])
            outside = groups != g if own else slice(None)
            queries = np.ascontiguousarray(ratio.X[outside])
            found = search(queries, part, k, blocks=("xy",), **options)
            blocks[g, outside] = found.block("xy")
            if own:
                found = search(part, part, k, blocks=("xx",), **options)
                blocks[g, groups == g] = found.block("xx")
        return blocks


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
