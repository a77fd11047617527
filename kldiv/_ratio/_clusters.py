"""Clusters of rows in nested partitions: what mixtures start from."""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dtrtri

from kldiv._ratio._mixtures import log_components, moments, smooth, whiteners_of
from kldiv._typing import Floats, Labels, Mask, Singles

_LLOYD_STEPS, _TIED_STEPS, _SEEDS_TRIED = 5, 10, 4
_ROWS_TO_JUDGE, _FOLDS = 500, 4
# Share of the mean variance that the common covariance of clusters gets on top.
_RIDGE = 0.02
# Share of the variance within clusters below which they are points.
_POINTS = 1e-3


class Hierarchy:
    """Nested partitions of rows: k-means clusters, the two nearest merged in turn.

    Merging adds moments, so that mixtures of every size cost little more than one. They
    are judged, without expectation-maximisation, on rows that the moments leave out.
    """

    def __init__(self, X: Floats, most: int) -> None:
        singles = (X - X.mean(axis=0)).astype(np.float32)  # far apart may be far out
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
    logs = log_components(X, whiteners_of(weights, means, covariances))
    largest = logs.max(axis=0)
    return largest + np.log(np.exp(logs - largest).sum(axis=0))


def quarters(n_rows: int) -> list[Mask]:
    """Every row in one of four parts."""
    order = np.random.default_rng(0).permutation(n_rows) % _FOLDS
    return [order == fold for fold in range(_FOLDS)]


def folds(n_rows: int) -> list[Mask]:
    """Which rows to judge: a quarter, in turn until enough rows have been judged."""
    return quarters(n_rows)[: -(-_FOLDS * _ROWS_TO_JUDGE // n_rows)]


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
        seeds = np.searchsorted(sums, rng.random(_SEEDS_TRIED) * sums[-1])
        tried = X[np.minimum(seeds, len(X) - 1)]
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
    return logs.argmax(axis=1)


def _squared_distances(X: Singles, norms: Singles, centres: Singles) -> Singles:
    squared = X @ (-2 * centres.T)
    squared += norms[:, None]
    squared += (centres**2).sum(axis=1)
    np.maximum(squared, 0.0, out=squared)
    return squared
