"""Clusters: moments of merged ones, and directions along which they are narrow."""

import numpy as np
from scipy import stats

from kldiv._ratio import _clusters, _mixtures
from tests.clusters import four_clusters


def test_merged_moments_are_those_of_the_merged_rows(rng):
    X = four_clusters(rng, 100)
    tree = _clusters.Hierarchy(X, 16)
    for size in (2, 4, 7, 16):
        labels = tree.labels(size)
        assert sorted(np.unique(labels)) == list(range(size))
        expected = []
        for judged in _clusters.folds(len(X)):
            groups = [X[~judged & (labels == c)] for c in range(size)]
            counts = np.array([len(group) for group in groups], dtype=float)
            scatters = np.stack([len(g) * np.cov(g.T, bias=True) for g in groups])
            weights, covariances = _mixtures.smooth(counts, scatters, 2.0)
            laws = [
                w * stats.multivariate_normal(g.mean(axis=0), c).pdf(X[judged])
                for w, g, c in zip(weights, groups, covariances, strict=True)
            ]
            expected.append(np.log(sum(laws)))
        found = tree.held_out(size, 2.0)
        np.testing.assert_allclose(found, np.concatenate(expected), atol=2e-3)
    # partitions are nested
    fine, coarse = tree.labels(7), tree.labels(4)
    assert all(len(np.unique(coarse[fine == c])) == 1 for c in range(7))


def test_few_distinct_rows_make_few_clusters(rng):
    X = np.repeat(rng.normal(size=(3, 2)), 30, axis=0)
    assert _clusters.Hierarchy(X, 8).labels(8).max() == 2


def test_clusters_learn_along_which_directions_they_are_narrow(rng):
    # layers a fifth thick and three apart, in a column much narrower than the others
    layer = np.repeat(np.arange(3), 300)
    X = rng.normal(size=(900, 4)) * 6
    X[:, 0] = 3 * layer + rng.normal(0, 0.2, 900)
    start = np.where(rng.random(900) < 0.1, rng.integers(0, 3, 900), layer)
    shares = np.eye(3, dtype=np.float32)[start]
    nearest = ((X[:, None] - [X[start == c].mean(axis=0) for c in range(3)]) ** 2).sum(
        2
    )
    assert (nearest.argmin(axis=1) == layer).mean() < 0.9
    found = _clusters._with_one_covariance(X.astype(np.float32), shares)
    assert (found == layer).mean() > 0.99
