"""Columns of a sample made Gaussian by maps of their own, and the Gaussian of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kldiv._ratio._learned import _Side
from kldiv._ratio._marginals import fit_marginals
from kldiv._ratio._mixtures import fit_gaussian
from tests.ratios import log_ratio
from tests.tolerances import ITERATED


def mixed_columns(rng, n):
    """Normal, bimodal, skewed, bounded and heavy-tailed columns."""
    return np.column_stack(
        [
            rng.normal(3, 2, n),
            rng.choice([-1.5, 1.5], n) + 0.5 * rng.normal(size=n),
            rng.gamma(2, size=n),
            rng.beta(2, 5, n),
            rng.standard_t(3, n),
        ]
    )


def test_scores_of_unseen_rows_are_gaussian(rng):
    marginals = fit_marginals(mixed_columns(rng, 2000))
    scores = marginals.scores(mixed_columns(rng, 500))[0]
    for column in scores.T:
        assert stats.kstest(column, stats.norm.cdf).pvalue > 1e-3


def test_scores_increase_column_by_column(rng):
    X = mixed_columns(rng, 500)
    marginals = fit_marginals(X)
    scores = marginals.scores(np.sort(X, axis=0))[0]
    assert (np.diff(scores, axis=0) >= 0).all()


def test_the_slope_of_the_map_against_a_numerical_one(rng):
    X = mixed_columns(rng, 1000)
    marginals = fit_marginals(X)
    inner = np.quantile(X, rng.uniform(0.1, 0.9, 200), axis=0)
    steps = 0.02 * X.std(axis=0)
    ends = [marginals.scores(inner + sign * steps)[0] for sign in (-1, 1)]
    numeric = np.log((ends[1] - ends[0]) / (2 * steps)).sum(axis=1)
    slopes = marginals.scores(inner)[1]
    np.testing.assert_allclose(slopes, numeric, atol=0.1)
    assert np.mean(slopes - numeric) == pytest.approx(0, abs=0.01)


def test_density_of_independent_columns(rng):
    side, unseen = _Side(mixed_columns(rng, 2000)), mixed_columns(rng, 2000)
    peaks = stats.norm.logpdf(unseen[:, 1, None], [-1.5, 1.5], 0.5)
    expected = (
        stats.norm(3, 2).logpdf(unseen[:, 0])
        + np.logaddexp.reduce(peaks, axis=1)
        - np.log(2)
        + stats.gamma(2).logpdf(unseen[:, 2])
        + stats.beta(2, 5).logpdf(unseen[:, 3])
        + stats.t(3).logpdf(unseen[:, 4])
    )
    assert 0 < (expected - side.log_density(unseen)).mean() < 0.1


def test_a_gaussian_without_a_row_is_exact(rng):
    """The covariance without a row, divided by n and inflated as for all rows."""
    X = rng.normal(size=(400, 3)) @ rng.normal(size=(3, 3)) + 5
    gaussian = fit_gaussian(X)
    found = gaussian.log_density_left_out(X)
    for i in range(0, 400, 20):
        others = np.delete(X, i, axis=0)
        covariance = np.cov(others.T, bias=True) * len(others) / len(X)
        law = stats.multivariate_normal(
            others.mean(axis=0) + (X[i] - others.mean(axis=0)) * 0,
            gaussian.data_share * covariance,
        )
        assert found[i] == pytest.approx(law.logpdf(X[i]), rel=ITERATED)


def test_effects_of_rows_on_a_gaussian_against_one_more(rng):
    X, judged = rng.normal(size=(500, 3)), rng.normal(0.5, 1, size=(100, 3))
    weights = rng.uniform(size=100) / 100
    gaussian = fit_gaussian(X)
    found = gaussian.effects(X, judged, weights)[:50]
    before = weights @ gaussian.log_density(judged)
    added = [
        weights @ fit_gaussian(np.concatenate([X, X[i : i + 1]])).log_density(judged)
        for i in range(50)
    ]
    expected = 500 * (np.array(added) - before)
    assert np.corrcoef(found, expected)[0, 1] > 0.999
    np.testing.assert_allclose(
        found - found.mean(), expected - expected.mean(), atol=0.05
    )


def test_left_out_densities_are_those_of_unseen_rows(rng):
    """On average: what the fit owes to its own rows is taken off."""
    gains, lost = [], []
    for _ in range(10):
        X, unseen = mixed_columns(rng, 300), mixed_columns(rng, 3000)
        side = _Side(X)
        expected = side.log_density(unseen).mean()
        gains.append(side.log_density(X).mean() - expected)
        lost.append(side.left_out().mean() - expected)
    error = np.std(lost, ddof=1) / np.sqrt(10)
    assert np.mean(lost) == pytest.approx(0, abs=3 * error)
    assert np.mean(gains) > 0.03


@settings(max_examples=5)
@given(st.integers(0, 100))
def test_order_of_rows_and_columns(seed):
    rng = np.random.default_rng(seed)
    X, unseen = mixed_columns(rng, 200), mixed_columns(rng, 50)
    expected = _Side(X).log_density(unseen)
    shuffled = _Side(rng.permutation(X)).log_density(unseen)
    np.testing.assert_allclose(shuffled, expected, rtol=0, atol=ITERATED)
    columns = rng.permutation(5)
    turned = _Side(X[:, columns]).log_density(unseen[:, columns])
    np.testing.assert_allclose(turned, expected, rtol=0, atol=ITERATED)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_of_columns(unit, rng):
    X, Y = mixed_columns(rng, 300), mixed_columns(rng, 200)
    expected = log_ratio(X, Y, correction="marginal").values.mean()
    units = np.array([unit, 1, 1, 1, 1 / unit])
    found = log_ratio(X * units, Y * units, correction="marginal").values.mean()
    assert found == pytest.approx(expected, abs=1e-6)


def test_repeated_and_constant_values_stay_finite(rng):
    X, Y = rng.normal(size=(60, 3)), rng.normal(size=(50, 3))
    X[:, 2] = 1.0  # in one sample only
    X[:, 1], Y[:, 1] = X[:, 1] > 0, Y[:, 1] > 0.5
    for side in (_Side(X), _Side(Y)):
        for rows in (X, Y):
            assert np.isfinite(side.log_density(rows)).all()
    X = np.repeat(X, 8, axis=0)
    assert np.isfinite(log_ratio(X, Y, correction="marginal").values).all()
