"""Rank correlations: scipy's values, and p-values that mean what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kldiv_attack._ranks import rank_correlations, spearman, spearman_interval


def problem(seed, n_seeds=2, n_pairs=24, n_predictors=3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_seeds, n_pairs, n_predictors)).round(1)  # with ties
    y = (x[:, :, 0] * -1 + rng.normal(size=(n_seeds, n_pairs))).round(1)
    return x, y, np.arange(n_pairs) % 3


@given(seed=st.integers(0, 2**32 - 1), within=st.booleans())
@settings(max_examples=25)
def test_the_values_are_scipys(seed, within):
    x, y, groups = problem(seed)
    found = rank_correlations(x, y, groups, within=within, n_permutations=2)
    parts = [groups == g for g in range(3)] if within else [groups >= 0]
    expected = np.array(
        [
            [
                np.mean([stats.spearmanr(a[p, j], b[p]).statistic for p in parts])
                for j in range(3)
            ]
            for a, b in zip(x, y, strict=True)
        ]
    )
    np.testing.assert_allclose(found.rho, expected.mean(0), atol=1e-12)
    np.testing.assert_allclose(found.lowest, expected.min(0), atol=1e-12)
    np.testing.assert_allclose(found.highest, expected.max(0), atol=1e-12)
    assert found.n_pairs == 24


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_only_the_order_counts(seed):
    x, y, groups = problem(seed)
    plain = rank_correlations(x, y, groups, n_permutations=20)
    bent = rank_correlations(np.exp(x), y**3, groups, n_permutations=20)
    for name, value in vars(plain).items():
        np.testing.assert_allclose(value, getattr(bent, name), atol=1e-12)


def test_the_interval_is_that_of_pairs_drawn_anew():
    x, y, groups = problem(7, n_seeds=1, n_predictors=2)
    found = rank_correlations(x, y, groups, n_permutations=2000)
    for j in range(2):
        rho, low, high = spearman_interval(x[0, :, j], y[0])
        assert found.rho[j] == pytest.approx(rho)
        assert (found.low[j], found.high[j]) == pytest.approx((low, high), abs=0.03)
    none = rank_correlations(np.ones_like(x), y, groups, n_permutations=5)
    assert np.isnan([none.low, none.high]).all()


def test_pvalues_agree_with_scipys_permutation_test():
    x, y, groups = problem(5, n_seeds=1, n_predictors=1)
    x[0, :, 0] += 2 * np.random.default_rng(1).normal(size=24)
    found = rank_correlations(x, y, groups, n_permutations=4000)

    def statistic(a):
        return stats.spearmanr(a, y[0]).statistic

    reference = stats.permutation_test(
        (x[0, :, 0],),
        statistic,
        permutation_type="pairings",
        n_resamples=4000,
        random_state=np.random.default_rng(0),
    )
    assert 0.01 < reference.pvalue < 0.9
    assert found.pvalue[0] == pytest.approx(reference.pvalue, abs=0.03)
    low, high = np.quantile(reference.null_distribution, [0.025, 0.975])
    assert found.null_low[0] == pytest.approx(low, abs=0.05)
    assert found.null_high[0] == pytest.approx(high, abs=0.05)
    assert found.pvalue_any[0] == found.pvalue[0]  # one predictor only


def test_looking_at_many_predictors_costs_something():
    x, y, groups = problem(0, n_predictors=12)
    found = rank_correlations(x, y, groups, n_permutations=400)
    assert (found.pvalue_any >= found.pvalue).all()
    assert found.pvalue_any[0] < 0.05
    assert np.median(found.pvalue_any[1:]) > 0.3


def test_pvalues_are_uniform_without_a_relation(rng):
    values = []
    for _ in range(120):
        x, y = rng.normal(size=(1, 12, 4)), rng.normal(size=(1, 12))
        found = rank_correlations(x, y, np.zeros(12, int), n_permutations=60)
        values.append([found.pvalue[0], found.pvalue_any.min()])
    for column in np.transpose(values):
        assert stats.kstest(column, "uniform").pvalue > 0.001


def test_a_difference_between_sets_is_no_order_within_them():
    """Simpson: all pairs together rise, each set falls."""
    groups = np.repeat(np.arange(3), 10)
    inside = np.tile(np.arange(10.0), 3)
    x = (20.0 * groups + inside)[None, :, None]
    y = (20.0 * groups - inside)[None]
    together = rank_correlations(x, y, groups, sign=1, n_permutations=200)
    apart = rank_correlations(x, y, groups, sign=1, within=True, n_permutations=200)
    assert together.rho[0] > 0.7
    assert apart.rho[0] == pytest.approx(-1)
    assert together.pvalue[0] < 0.01
    assert apart.pvalue[0] < 0.01


def test_the_strongest_is_the_one_on_the_expected_side(rng):
    y = rng.normal(size=(2, 30))
    x = np.stack([y + rng.normal(size=y.shape), -y, -y + rng.normal(size=y.shape)], 2)
    found = rank_correlations(x, y, np.zeros(30, int), n_permutations=100)
    assert found.strongest[1] == 1  # falls with y, as expected; the others do not win
    assert found.strongest.sum() == pytest.approx(1)
    rising = rank_correlations(x, y, np.zeros(30, int), sign=1, n_permutations=100)
    assert rising.strongest[0] == 1


def test_missing_numbers_leave_out_the_pair_in_every_seed():
    x, y, groups = problem(1)
    kept = np.ones(24, bool)
    kept[[3, 7]] = False
    expected = rank_correlations(x[:, kept], y[:, kept], groups[kept], n_permutations=9)
    x[0, 3, 1] = np.nan
    y[1, 7] = np.inf
    found = rank_correlations(x, y, groups, n_permutations=9)
    assert found.n_pairs == 22
    np.testing.assert_array_equal(found.rho, expected.rho)
    np.testing.assert_array_equal(found.pvalue, expected.pvalue)


def test_no_order_is_nan_and_not_zero():
    x, y, groups = problem(2)
    x[:, :, 1] = 4.0
    found = rank_correlations(x, y, groups, n_permutations=50)
    for name in ("rho", "lowest", "highest", "pvalue", "pvalue_any"):
        assert np.isnan(getattr(found, name)[1]), name
        assert np.isfinite(getattr(found, name)[0]), name
    constant = rank_correlations(x, np.ones_like(y), groups, n_permutations=50)
    assert np.isnan(constant.rho).all()
    assert np.isnan(constant.strongest).all()
    few = rank_correlations(x[:, :2], y[:, :2], groups[:2], n_permutations=50)
    assert few.n_pairs == 2
    assert np.isnan(few.rho).all()


def test_a_set_without_an_order_does_not_spoil_the_others():
    x, y, groups = problem(3)
    y[:, groups == 1] = 1.0  # every class of this set came out alike
    found = rank_correlations(x, y, groups, within=True, n_permutations=50)
    parts = [groups == 0, groups == 2]
    expected = np.mean(
        [
            [stats.spearmanr(a[p, 0], b[p]).statistic for p in parts]
            for a, b in zip(x, y, strict=True)
        ]
    )
    assert found.rho[0] == pytest.approx(expected)


def test_an_interval_of_the_rank_correlation_holds_the_truth(rng):
    truth = 6 / np.pi * np.arcsin(0.7 / 2)  # of a Gaussian pair with correlation 0.7
    held = []
    for _ in range(60):
        a, b = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 30).T
        value, low, high = spearman_interval(a, b, n_resamples=200)
        assert value == pytest.approx(stats.spearmanr(a, b).statistic)
        held.append(low <= truth <= high)
    assert 0.8 <= np.mean(held) <= 1
    up = np.arange(12.0)
    assert spearman_interval(up, up**3) == pytest.approx((1, 1, 1))


def test_pairs_without_an_order_have_no_rank_correlation():
    nothing = np.array([1.0, 1.0, np.nan]), np.array([0.0, 2.0, 3.0])
    assert np.isnan(spearman(*nothing))
    assert np.isnan(spearman_interval(*nothing)).all()
