"""Kolmogorov-Smirnov statistics and p-values of weighted rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kldiv import KSDistance, ks_test
from tests import reference


def weighted_samples(seed=0, n=80, m=60, d=3):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(0.5, 1, (n, d)), rng.normal(size=(m, d))
    return X, Y, rng.exponential(size=n), rng.exponential(size=m)


def weigh(X, Y, wx, wy, **options):
    return ks_test(X, Y, sample_weight=wx, reference_weight=wy, **options)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), decimals=st.sampled_from([0, 1, 12]))
def test_the_gap_is_that_of_shares_of_weight(seed, decimals):
    X, Y, wx, wy = weighted_samples(seed)
    X, Y = X.round(decimals), Y.round(decimals)
    found = weigh(X, Y, wx, wy)
    for j in range(3):
        expected = reference.ks_weighted_gap(X[:, j], Y[:, j], wx, wy)
        assert found.statistic[j] == pytest.approx(expected, abs=1e-12)
        above = wx[X[:, j] <= found.statistic_location[j]].sum() / wx.sum()
        below = wy[Y[:, j] <= found.statistic_location[j]].sum() / wy.sum()
        gap = found.statistic_sign[j] * (above - below)
        assert gap == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_whole_weights_repeat_rows(alternative):
    X, Y, *_ = weighted_samples()
    rng = np.random.default_rng(1)
    times = rng.integers(0, 4, len(X))
    found = ks_test(X, Y, sample_weight=times, alternative=alternative)
    repeated = ks_test(np.repeat(X, times, axis=0), Y, alternative=alternative)
    assert found.statistic == pytest.approx(repeated.statistic, abs=1e-12)
    assert found.n == (times > 0).sum()
    law = stats.norm()
    found = ks_test(X, law, sample_weight=times, alternative=alternative)
    repeated = ks_test(np.repeat(X, times, axis=0), law, alternative=alternative)
    assert found.statistic == pytest.approx(repeated.statistic, abs=1e-12)


def test_equal_weights_and_another_unit_change_nothing():
    X, Y, wx, wy = weighted_samples()
    plain, same = ks_test(X, Y), weigh(X, Y, np.full(80, 0.1), np.full(60, 3.0))
    assert same.pvalue.tolist() == plain.pvalue.tolist()
    assert same.pvalue_method == "exact"
    found, scaled = weigh(X, Y, wx, wy), weigh(X, Y, 1e200 * wx, wy / 7)
    assert scaled.statistic == pytest.approx(found.statistic, abs=1e-12)
    order = np.random.default_rng(0).permutation(80)
    moved = weigh(X[order], Y, wx[order], wy)
    assert moved.statistic == pytest.approx(found.statistic, abs=1e-12)
    assert moved.pvalue == pytest.approx(found.pvalue, abs=1e-9)


def test_sliced_gaps_follow_the_weights():
    X, Y, wx, _ = weighted_samples()
    options = {"method": "sliced", "random_state": 0, "n_directions": 20}
    times = np.random.default_rng(1).integers(1, 4, len(X))
    found = ks_test(X, Y, sample_weight=times, **options)
    repeated = ks_test(np.repeat(X, times, axis=0), Y, **options)
    assert found.statistic == pytest.approx(repeated.statistic, abs=1e-12)
    assert np.isnan(found.pvalue)
    law = stats.multivariate_normal(np.zeros(3))
    assert 0 < ks_test(X, law, sample_weight=wx, **options).statistic < 1


@pytest.mark.parametrize("kind", ["chance", "importance"])
def test_pvalues_hold_their_level(kind):
    """Of 400 tests of one law, about 20 are below 0.05; approximate, so that more
    are allowed where weights follow the place."""
    rejected = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        Y = rng.normal(size=300)
        if kind == "chance":
            X, weights = rng.normal(size=300), rng.exponential(size=300)
        else:
            X = rng.normal(0, 1.5, 300)
            weights = np.exp(-0.5 * X**2 * (1 - 1 / 1.5**2))
        rejected += ks_test(X, Y, sample_weight=weights).pvalue < 0.05
    assert 2 <= rejected <= 32


def test_importance_weights_turn_one_law_into_another():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(0, 1.5, 2000), rng.normal(1, 1, 2000)
    weights = np.exp(-0.5 * (X - 1) ** 2 + 0.5 * X**2 / 1.5**2)
    assert ks_test(X, Y).pvalue < 1e-6
    found = ks_test(X, Y, sample_weight=weights)
    assert found.pvalue > 0.01
    effective = weights.sum() ** 2 / (weights @ weights)
    assert found.n_effective == pytest.approx(effective)
    assert found.m_effective == 2000
    assert ks_test(X, stats.norm(1, 1), sample_weight=weights).pvalue > 0.01


def test_the_estimator_takes_weights():
    X, Y, wx, wy = weighted_samples()
    distance = KSDistance().fit(Y, sample_weight=wy)
    expected = weigh(X, Y, wx, wy)
    assert distance.score(X, sample_weight=wx) == expected.global_statistic
    assert (
        distance.test(X, sample_weight=wx).pvalue.tolist() == expected.pvalue.tolist()
    )
    parts = KSDistance().partial_fit(Y[:20], sample_weight=wy[:20])
    parts.partial_fit(Y[20:], sample_weight=wy[20:])
    assert parts.score(X, sample_weight=wx) == expected.global_statistic
    assert KSDistance().fit(Y).reference_weight_ is None


def test_what_takes_no_weights_says_why():
    X, Y, wx, _ = weighted_samples()
    for method in ("rows", "max-sliced", "fasano-franceschini"):
        with pytest.raises(ValueError, match=f"method='{method}' takes no weights"):
            ks_test(X, Y, sample_weight=wx, method=method)
    with pytest.raises(ValueError, match="n_permutations=9 relabels"):
        ks_test(X, Y, sample_weight=wx, n_permutations=9)
    with pytest.raises(ValueError, match="'exact' counts orders"):
        ks_test(X, Y, sample_weight=wx, pvalue_method="exact")
    with pytest.raises(
        ValueError, match="reference_weight was given with a distribution"
    ):
        ks_test(X, stats.norm(), reference_weight=wx)
    with pytest.raises(ValueError, match="sample_weight needs one weight"):
        ks_test(X, Y, sample_weight=wx[1:])
    with pytest.raises(ValueError, match="reference_weight.*negative"):
        ks_test(Y, X, reference_weight=-wx)
