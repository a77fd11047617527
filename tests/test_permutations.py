"""Permutation p-values: uniform under the null, small where samples differ."""

import numpy as np
import pytest
from scipy import stats

from kldiv import datasets, estimate_divergence
from kldiv._errors._permutations import _inner_edges, permutation_pvalue


@pytest.mark.parametrize("d", [1, 20])
def test_pvalues_are_uniform_under_the_null(d):
    pvalues = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(size=(100, d)), rng.normal(size=(60, d))
        pvalues.append(permutation_pvalue(X, Y, 5, 99, rng, 1))
    assert stats.kstest(pvalues, stats.uniform.cdf).pvalue > 0.01
    assert np.mean(np.array(pvalues) <= 0.05) <= stats.binom.ppf(0.999, 200, 0.05) / 200


@pytest.mark.parametrize("kind", ["shift", "narrow", "wide", "corr"])
def test_pvalues_see_every_difference(kind):
    X, Y, _ = datasets.make_gaussian_pair(
        kind, n_features=20, n_samples=(200, 150), random_state=0
    )
    result = estimate_divergence(X, Y, n_permutations=199, random_state=0)
    assert result.pvalue == pytest.approx(1 / 200)


def test_inner_edges_by_hand():
    neighbours = np.array([[1], [0], [3], [0]])
    in_x = np.array([True, True, False, False])
    assert _inner_edges(in_x, neighbours) == (2, 1)


def test_seed_of_the_permutations(rng):
    X, Y = rng.normal(size=(50, 2)), rng.normal(0.3, 1, size=(50, 2))
    found = [
        estimate_divergence(X, Y, n_permutations=49, random_state=seed).pvalue
        for seed in (1, 1, np.random.default_rng(1))
    ]
    assert found[0] == found[1] == found[2]
    for wrong, error in ((-1, ValueError), (2.5, TypeError)):
        with pytest.raises(error, match="n_permutations must be"):
            estimate_divergence(X, Y, n_permutations=wrong)
