"""Relabellings: sizes, their law, and p-values of a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kldiv import ks_test
from kldiv._ks._relabellings import LANES, Relabellings
from tests.ks_samples import alternatives, draw, seeds


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 130), seeds)
def test_relabellings_keep_the_sizes_and_begin_with_the_given_one(n, m, size, seed):
    relabellings = Relabellings(n, m, size, np.random.default_rng(seed))
    total = 0
    for block in range(relabellings.n_blocks):
        lanes = relabellings.lanes(block)
        labels = relabellings.labels(block)[:, :lanes]
        assert set(np.unique(labels)) <= {0, 1}
        assert (labels.sum(axis=0) == n).all()
        if block == 0:
            assert labels[:n, 0].all()
        total += lanes
    assert total == size + 1


@pytest.mark.parametrize(("n", "m"), [(2, 4), (4, 2), (3, 3)])
def test_every_relabelling_is_equally_likely(n, m):
    relabellings = Relabellings(n, m, 150 * LANES, np.random.default_rng(0))
    counts = {}
    for block in range(1, relabellings.n_blocks - 1):
        for label in relabellings.labels(block).T:
            counts[label.tobytes()] = counts.get(label.tobytes(), 0) + 1
    assert len(counts) == {(2, 4): 15, (4, 2): 15, (3, 3): 20}[n, m]
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_rows_are_called_x_independently_of_their_place():
    n, m = 300, 700
    relabellings = Relabellings(n, m, 100 * LANES, np.random.default_rng(1))
    picked = sum(relabellings.labels(b).sum(axis=1) for b in range(1, 100))
    draws = 99 * LANES
    z = (picked - 0.3 * draws) / np.sqrt(0.21 * draws)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    first, second = relabellings.labels(1)[:-1], relabellings.labels(1)[1:]
    both = (first & second).mean()
    assert both == pytest.approx(0.3 * 299 / 999, abs=5 * 0.3 / np.sqrt(draws))


def permuted_statistic(method, pooled, label, **options):
    X, Y = pooled[label == 1], pooled[label == 0]
    return np.max(ks_test(X, Y, method=method, **options).global_statistic)


@pytest.mark.parametrize("method", ["columns", "rows", "fasano-franceschini"])
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize(("n", "m"), [(13, 29), (30, 30), (200, 333)])
@pytest.mark.parametrize("kind", ["normal", "ties"])
def test_permutation_pvalue_is_that_of_a_plain_loop(method, d, n, m, kind, rng):
    X, Y = draw(kind, rng, (n, d)), draw(kind, rng, (m, d))
    size = 70 if n < 100 else 9
    found = ks_test(X, Y, method=method, n_permutations=size, random_state=7)
    relabellings = Relabellings(n, m, size, np.random.default_rng(7))
    pooled, values = np.concatenate([X, Y]), []
    for block in range(relabellings.n_blocks):
        labels = relabellings.labels(block)[:, : relabellings.lanes(block)].copy()
        values += [permuted_statistic(method, pooled, label) for label in labels.T]
    extreme = sum(value >= values[0] - 1e-12 for value in values[1:])
    assert found.global_pvalue == pytest.approx((extreme + 1) / (size + 1))
    assert found.pvalue_method == "permutation"


@given(alternatives, st.integers(1, 60), st.integers(1, 60), seeds)
def test_permutations_of_columns_follow_the_alternative(alternative, n, m, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(0.5, 1, m)
    options = {"alternative": alternative, "random_state": 0}
    permuted = ks_test(x, y, n_permutations=2000, **options)
    exact = ks_test(x, y, pvalue_method="exact", **options)
    error = 5 * np.sqrt(0.25 / 2000) + 1 / 2000
    assert permuted.statistic == exact.statistic
    assert permuted.pvalue == pytest.approx(exact.pvalue, abs=error)


@pytest.mark.parametrize("scale", [1, 40_000])
def test_permutations_with_large_common_multiples(scale, rng):
    # 211 and 199 need 32 bits; 40 009 and 40 013 need 64.
    n, m = (211, 199) if scale == 1 else (40_009, 40_013)
    x, y = rng.normal(size=n), rng.normal(size=m)
    permuted = ks_test(x, y, n_permutations=300, random_state=0).pvalue
    plane = ks_test(x, y, method="fasano-franceschini", n_permutations=20).pvalue
    assert permuted == pytest.approx(ks_test(x, y).pvalue, abs=0.15)
    assert 0 < plane <= 1
