"""Gaussian mixtures: fitting, densities, draws, masses of balls.

Expectation-maximisation runs in single precision on at most a few thousand rows, with
one matrix product per component and step; the last maximisation, and everything that
an estimate is made of, is in double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtri
from scipy.special import logsumexp

from kldiv._coordinates import ROWS_TO_WHITEN
from kldiv._kernels._ball_mass import mixture_balls

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Labels = NDArray[np.intp]
Whitener = tuple[np.float32, Singles, Singles]

_STEPS, _LLOYD_STEPS, _TIED_STEPS, _SEEDS_TRIED = 30, 5, 10, 4
_ROWS_TO_FIT, _ROWS_TO_JUDGE, _FOLDS = 3000, 500, 4
# Share of the mean variance that the common covariance of clusters gets on top.
_RIDGE = 0.02
# Share of the variance within clusters below which they are points.
_POINTS = 1e-3
# Gain of the mean log likelihood in a step below which fitting stops.
_MINIMUM_GAIN = 1e-3
# A row whose share in a component is smaller does not count there.
_SMALLEST_SHARE = np.float32(1e-3)
# Components whose density at a row is this much (log) below the largest are looked at
# in every eighth step only.
_FAR, _STEPS_BETWEEN = np.float32(12), 8
_ROWS_AT_A_TIME = 512


@dataclass(frozen=True)
class Mixture:
    """Gaussian mixture in eigenbases: `weights` (c,), `means` (c, d), `eigenvalues`
    (c, d) and `bases` (c, d, d) with eigenvectors in columns."""

    weights: Floats
    means: Floats
    eigenvalues: Floats
    bases: Floats

    def log_components(self, X: Floats) -> Floats:
        """Log of weight times density per component, shape (n, c)."""
        d = X.shape[1]
        logs = np.empty((len(X), len(self.weights)))
        for c, (mean, values, basis) in enumerate(
            zip(self.means, self.eigenvalues, self.bases, strict=True)
        ):
            scaled = (X - mean) @ (basis / np.sqrt(values))
            logs[:, c] = -0.5 * np.einsum("ij,ij->i", scaled, scaled)
            logs[:, c] -= 0.5 * (np.log(values).sum() + d * np.log(2 * np.pi))
        return logs + np.log(self.weights)

    def log_density(self, X: Floats) -> Floats:
        """Log density at each row, shape (n,)."""
        total: Floats = logsumexp(self.log_components(X), axis=1)
        return total

    def log_ratio_to_ball(self, X: Floats, radii: Floats, threads: int) -> Floats:
        """Log density at each row minus log mass of the ball around it."""
        n, (c, d) = len(X), self.means.shape
        centre = self.weights @ self.means
        directions = np.ascontiguousarray(self.bases.transpose(1, 0, 2)).reshape(d, -1)
        shifts = np.einsum("cj,cji->ci", self.means - centre, self.bases)
        squared_radii = radii**2
        density, mass = np.empty(n), np.empty(n)
        for first in range(0, n, _ROWS_AT_A_TIME):
            part = slice(first, first + _ROWS_AT_A_TIME)
            projections = ((X[part] - centre) @ directions).reshape(-1, c, d)
            mixture_balls(
                projections,
                shifts,
                self.eigenvalues,
                np.log(self.weights),
                squared_radii[part],
                density[part],
                mass[part],
                threads,
            )
        return density - mass

    def sample(self, n_rows: int, rng: np.random.Generator) -> tuple[Floats, Labels]:
        """Independent rows, shape (n_rows, d), component by component, and their
        components."""
        labels = np.sort(rng.choice(len(self.weights), n_rows, p=self.weights))
        rows = rng.normal(size=(n_rows, self.means.shape[1]))
        ends = np.searchsorted(labels, np.arange(len(self.weights)), side="right")
        first = 0
        for c, end in enumerate(ends):
            scaled = rows[first:end] * np.sqrt(self.eigenvalues[c])
            rows[first:end] = self.means[c] + scaled @ self.bases[c].T
            first = end
        return rows, labels


def fit_gaussian(X: Floats, weight: float | None = None) -> Mixture:
    """One Gaussian, its covariance pulled towards a multiple of the identity.

    The weight of that is `shrinkage_weight` of the rows if it is not given. What stays
    of the sample covariance is inflated to give an unbiased inverse (Wishart).
    """
    n, d = X.shape
    mean = X.mean(axis=0)
    centred = X - mean
    covariance = centred.T @ centred / n
    if weight is None:
        weight = _weight(centred, covariance)
    inflation = 1.0 + (1 - weight) ** 2 * (d + 2) / max(n - d - 2, d + 2)
    target = np.trace(covariance) / d
    covariance = (1 - weight) * inflation * covariance + weight * target * np.eye(d)
    values, basis = np.linalg.eigh(covariance)
    return Mixture(
        np.ones(1),
        mean[None],
        np.maximum(values, 1e-10 * values.max())[None],
        _oriented(centred, basis)[None],
    )


def shrinkage_weight(X: Floats) -> float:
    """Weight of the multiple of the identity when one Gaussian is fitted to rows."""
    centred = X - X.mean(axis=0)
    return _weight(centred, centred.T @ centred / len(X))


def _weight(centred: Floats, covariance: Floats) -> float:
    n, d = centred.shape
    return 0.0 if n >= ROWS_TO_WHITEN * d else _shrinkage(centred, covariance)


def _oriented(centred: Floats, basis: Floats) -> Floats:
    """Eigenvectors with the sign that makes the data's third moment positive.

    With signs that come from the data, what is drawn from a mixture turns with the
    data, so that the estimate does not depend on the coordinates.
    """
    along = centred @ basis
    moments = np.einsum("ij,ij,ij->j", along, along, along)
    return np.ascontiguousarray(basis * np.where(moments < 0, -1.0, 1.0))


def _shrinkage(centred: Floats, covariance: Floats) -> float:
    """Weight of the multiple of the identity (Ledoit and Wolf 2004, lemma 3.4)."""
    n, d = centred.shape
    size = float((covariance**2).sum())
    spread = size - np.trace(covariance) ** 2 / d
    lengths = np.einsum("ij,ij->i", centred, centred)
    noise = (float((lengths**2).mean()) - size) / n
    return min(max(noise / spread, 0.0), 1.0) if spread > 0 else 1.0


def fit_mixture(
    X: Floats,
    labels: Labels,
    pseudo_rows: float,
    *,
    steps: int = _STEPS,
) -> Mixture:
    """Mixture by expectation-maximisation from a partition of the rows.

    The covariance of a component gets pseudo-rows of the mean covariance within
    components, which itself gets a small share of the identity.
    """
    n_components = int(labels.max()) + 1
    if n_components == 1:
        return fit_gaussian(X)
    shares = _expectation_maximisation(
        X.astype(np.float32), labels, n_components, pseudo_rows, steps
    )
    members = [np.flatnonzero(row) for row in shares]
    weights, means, covariances = _maximise(
        [X[rows] for rows in members], _taken(shares, members), pseudo_rows
    )
    values, bases = np.linalg.eigh(covariances)
    for c, rows in enumerate(members):
        centred = (X[rows] - means[c]) * np.cbrt(shares[c, rows])[:, None]
        bases[c] = _oriented(centred, bases[c])
    values = np.maximum(values, 1e-10 * values.max())
    return Mixture(weights, means, values, np.ascontiguousarray(bases))


def _expectation_maximisation(
    X: Singles, labels: Labels, n_components: int, pseudo_rows: float, steps: int
) -> Singles:
    """Shares of the components in each row, shape (c, n), 0 where they do not matter.

    A step costs one pass over the rows near each component, not over all.
    """
    shares = np.zeros((n_components, len(X)), dtype=np.float32)
    shares[labels, np.arange(len(X))] = 1.0
    near, previous = list(shares > 0), -np.inf
    logs = np.empty_like(shares)
    for step in range(steps):
        everywhere = step < 2 or step % _STEPS_BETWEEN == 0
        if everywhere:
            members = [np.flatnonzero(row) for row in near]
            blocks = [X[rows] for rows in members]
        weights, means, covariances = _maximise(
            blocks, _taken(shares, members), pseudo_rows
        )
        whiteners = _whiteners(weights, means, covariances)
        if everywhere:
            logs = log_components(X, whiteners)
            near = list(logs > logs.max(axis=0) - _FAR)
        else:
            for c, rows in enumerate(members):
                logs[c, rows] = _log_component(blocks[c], *whiteners[c])
        shares, likelihood = _shares(logs)
        if likelihood - previous < _MINIMUM_GAIN:
            break
        previous = likelihood
    return shares


def _taken(shares: Singles, members: list[Labels]) -> list[Singles]:
    return [row[rows] for row, rows in zip(shares, members, strict=True)]


def _maximise(
    blocks: Sequence[Floats | Singles], shares: list[Singles], pseudo_rows: float
) -> tuple[Floats, Floats, Floats]:
    """Weights, means and covariances that the shares of the rows imply."""
    counts, means, scatters = moments(blocks, shares)
    weights, covariances = smooth(counts, scatters, pseudo_rows)
    return weights, means, covariances


def _shares(logs: Singles) -> tuple[Singles, float]:
    """Shares of the components in each row, and the mean log likelihood."""
    largest = logs.max(axis=0)
    shares = np.exp(logs - largest)
    total = shares.sum(axis=0)
    shares /= total
    shares[shares < _SMALLEST_SHARE] = 0.0
    likelihood = largest.mean(dtype=np.float64) + np.log(total).mean(dtype=np.float64)
    return shares, float(likelihood)


def _whiteners(weights: Floats, means: Floats, covariances: Floats) -> list[Whitener]:
    """What `_log_component` needs to know of each component, by Cholesky factors."""
    d = means.shape[1]
    ridge = 1e-10 * np.trace(covariances.mean(axis=0)) / d * np.eye(d)
    roots = np.linalg.cholesky(covariances + ridge)
    constants = np.log(weights) - 0.5 * d * np.log(2 * np.pi)
    constants -= np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    found = []
    for constant, mean, root in zip(constants, means, roots, strict=True):
        # the transpose of a C-ordered lower root is a Fortran-ordered upper one
        directions = dtrtri(root.T)[0]
        found.append(
            (
                np.float32(constant),
                (mean @ directions).astype(np.float32),
                directions.astype(np.float32),
            )
        )
    return found


def _log_component(
    X: Singles, constant: np.float32, shift: Singles, directions: Singles
) -> Singles:
    scaled = X @ directions
    scaled -= shift
    logs: Singles = constant - np.float32(0.5) * np.einsum("ij,ij->i", scaled, scaled)
    return logs


def log_components(X: Singles, whiteners: list[Whitener]) -> Singles:
    """Log of weight times density per component, shape (c, n)."""
    return np.stack([_log_component(X, *one) for one in whiteners])


def moments(
    blocks: Sequence[Floats | Singles], shares: list[Singles]
) -> tuple[Floats, Floats, Floats]:
    """Sums of shares, weighted means and scatter matrices of the components."""
    d = blocks[0].shape[1]
    counts, means = np.empty(len(blocks)), np.zeros((len(blocks), d))
    scatters = np.empty((len(blocks), d, d))
    for c, (block, share) in enumerate(zip(blocks, shares, strict=True)):
        counts[c] = share.sum(dtype=np.float64) + 1e-9
        means[c] = (share @ block) / counts[c]
        centred = block - means[c].astype(block.dtype)
        centred *= np.sqrt(share)[:, None]
        scatters[c] = centred.T @ centred
    return counts, means, scatters


def smooth(
    counts: Floats, scatters: Floats, pseudo_rows: float
) -> tuple[Floats, Floats]:
    """Weights and covariances."""
    n, d = counts.sum(), scatters.shape[1]
    within = scatters.sum(axis=0) / n
    small = 0.01 * d
    within = (n * within + small * np.trace(within) / d * np.eye(d)) / (n + small)
    pulled = scatters + pseudo_rows * within
    covariances = pulled / (counts + pseudo_rows)[:, None, None]
    return (counts + 1) / (n + len(counts)), covariances


def evenly(values: NDArray[Any]) -> NDArray[Any]:
    """As many rows as a mixture needs, at equal steps: more cost time, not accuracy."""
    if len(values) <= _ROWS_TO_FIT:
        return values
    return values[np.linspace(0, len(values) - 1, _ROWS_TO_FIT).astype(np.intp)]


class Hierarchy:
    """Nested partitions of rows: k-means clusters, the two nearest merged in turn.

    Merging adds moments, so that mixtures of every size cost little more than one. They
    are judged, without expectation-maximisation, on rows that the moments leave out.
    """

    def __init__(self, X: Floats, most: int) -> None:
        singles = X.astype(np.float32)
        self._clusters = clusters(singles, most)
        self._folds = []
        for judged in folds(len(X)):
            members = [
                np.flatnonzero((self._clusters == c) & ~judged)
                for c in range(self._clusters.max() + 1)
            ]
            ones = [np.ones(len(rows), dtype=np.float32) for rows in members]
            fitted = moments([singles[rows] for rows in members], ones)
            self._folds.append((fitted, singles[judged]))
        self._merges = _merges(*self._folds[0][0][:2])

    def labels(self, n_components: int) -> Labels:
        """Partition into `n_components`, or as many clusters as there are."""
        return self._owners(n_components)[self._clusters]

    def _owners(self, n_components: int) -> Labels:
        owners = np.arange(self._clusters.max() + 1)
        for kept, gone in self._merges[: max(len(owners) - n_components, 0)]:
            owners[owners == gone] = kept
        return np.unique(owners, return_inverse=True)[1]

    def collapsed(self, n_components: int) -> bool:
        """Whether all rows of every component are equal, as in discrete data."""
        owners = self._owners(n_components)
        return any(not _merged(owners, *fitted)[2].any() for fitted, _ in self._folds)

    def held_out(self, n_components: int, pseudo_rows: float) -> Singles:
        """Log likelihood of the rows that the moments leave out, fold by fold."""
        owners = self._owners(n_components)
        return np.concatenate(
            [
                _judge(judged, *_merged(owners, *fitted), pseudo_rows)
                for fitted, judged in self._folds
            ]
        )


def _merged(
    owners: Labels, counts: Floats, means: Floats, scatters: Floats
) -> tuple[Floats, Floats, Floats]:
    """Moments of the components that the clusters are merged to."""
    member = np.eye(owners.max() + 1)[:, owners]
    total = member @ counts
    centres = (member * counts) @ means / total[:, None]
    offsets = means - centres[owners]
    weighted = counts[:, None] * offsets
    scatters = scatters + weighted[:, :, None] * offsets[:, None, :]
    merged = (member @ scatters.reshape(len(owners), -1)).reshape(
        -1, *scatters.shape[1:]
    )
    return total, centres, merged


def _judge(
    X: Singles, counts: Floats, means: Floats, scatters: Floats, pseudo_rows: float
) -> Singles:
    """Log likelihood of rows under the mixture with these moments."""
    weights, covariances = smooth(counts, scatters, pseudo_rows)
    logs = log_components(X, _whiteners(weights, means, covariances))
    largest = logs.max(axis=0)
    found: Singles = largest + np.log(np.exp(logs - largest).sum(axis=0))
    return found


def folds(n_rows: int) -> list[NDArray[np.bool_]]:
    """Which rows to judge: a quarter, in turn until enough rows have been judged."""
    order = np.random.default_rng(0).permutation(n_rows) % _FOLDS
    turns = min(_FOLDS, -(-_FOLDS * _ROWS_TO_JUDGE // n_rows))
    return [order == fold for fold in range(turns)]


def _merges(counts: Floats, means: Floats) -> list[tuple[int, int]]:
    """Pairs of clusters in the order in which Ward's criterion merges them.

    The second of a pair joins the first.
    """
    counts, means, size = counts.copy(), means.copy(), len(counts)
    joined = np.zeros(size, dtype=bool)
    costs = np.full((size, size), np.inf)
    merges = []
    changed = list(range(size))
    for _ in range(size - 2):
        for c in changed:
            squared = ((means - means[c]) ** 2).sum(axis=1)
            cost = np.where(
                joined, np.inf, squared * counts * counts[c] / (counts + counts[c])
            )
            costs[c, c + 1 :], costs[:c, c] = cost[c + 1 :], cost[:c]
        kept, gone = divmod(int(costs.argmin()), size)
        merges.append((kept, gone))
        total = counts[kept] + counts[gone]
        means[kept] += (means[gone] - means[kept]) * counts[gone] / total
        counts[kept], joined[gone], changed = total, True, [kept]
        costs[gone], costs[:, gone] = np.inf, np.inf
    return merges


def clusters(X: Singles, n_clusters: int) -> Labels:
    """Labels of clusters that share one covariance, none empty.

    k-means (k-means++ seeds, a few Lloyd steps) starts them. It takes all directions
    for equally wide; expectation-maximisation with a common covariance learns along
    which of them clusters are narrow, at the cost of k-means.
    """
    rng = np.random.default_rng(0)
    norms = np.einsum("ij,ij->i", X, X)
    centres = X[[rng.integers(len(X))]]
    nearest = _squared_distances(X, norms, centres)[:, 0]
    while len(centres) < n_clusters:
        sums = np.cumsum(nearest, dtype=np.float64)
        if not sums[-1] > 0:
            break
        # the best of a few seeds, as every good k-means++ does
        drawn = np.searchsorted(sums, rng.random(_SEEDS_TRIED) * sums[-1])
        tried = X[np.minimum(drawn, len(X) - 1)]
        left = np.minimum(nearest[:, None], _squared_distances(X, norms, tried))
        chosen = left.sum(axis=0).argmin()
        centres = np.concatenate([centres, tried[[chosen]]])
        nearest = np.ascontiguousarray(left[:, chosen])
    for _ in range(_LLOYD_STEPS):
        labels = _squared_distances(X, norms, centres).argmin(axis=1)
        shares = np.eye(len(centres), dtype=np.float32)[labels]
        counts = shares.sum(axis=0)[:, None]
        centres = np.where(counts > 0, shares.T @ X / np.maximum(counts, 1), centres)
    return np.unique(_with_one_covariance(X, shares), return_inverse=True)[1]


def _with_one_covariance(X: Singles, shares: Singles) -> Labels:
    """Labels after expectation-maximisation with one covariance for all components.

    Clusters that are points beside the distances between them need no covariance, and
    single precision could not tell it.
    """
    n, d = X.shape
    X = X - X.mean(axis=0)
    total = X.T @ X
    logs = shares
    for _ in range(_TIED_STEPS):
        counts = shares.sum(axis=0) + np.float32(1e-9)
        means = shares.T @ X / counts[:, None]
        within = (total - (means.T * counts) @ means).astype(np.float64) / n
        spread = float(np.trace(within))
        if not n * spread > _POINTS * np.trace(total):
            break
        within += _RIDGE * spread / d * np.eye(d)
        directions = dtrtri(np.linalg.cholesky(within).T)[0].astype(np.float32)
        centres = means @ directions
        logs = (X @ directions) @ centres.T
        logs += np.log(counts) - np.float32(0.5) * (centres**2).sum(axis=1)
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
    labels: Labels = logs.argmax(axis=1)
    return labels


def _squared_distances(X: Singles, norms: Singles, centres: Singles) -> Singles:
    squared = X @ (-2 * centres.T)
    squared += norms[:, None]
    squared += (centres**2).sum(axis=1)
    np.maximum(squared, 0.0, out=squared)
    found: Singles = squared
    return found
