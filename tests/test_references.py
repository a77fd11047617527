"""References: densities at rows they were not fitted to, and draws from them."""

import warnings

import numpy as np
import pytest
from scipy import stats

import kldiv
from kldiv import datasets, estimate_divergence
from kldiv._ratio import _mixtures, _references
from kldiv._ratio._mixtures import fit_gaussian, shrinkage_weight
from kldiv._ratio._references import _fit_to_draws, _y_excess
from tests import ratios


@pytest.mark.parametrize("n", [100, 700, 3000])
def test_left_out_densities_at_every_row(n, rng):
    centres = rng.normal(size=(3, 2)) * 8
    X = centres[rng.integers(0, 3, n)] + rng.normal(size=(n, 2))
    labels = ((X[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    fitted = _mixtures.fit_mixture(X, labels, _references.SMOOTHING)
    found = _references.left_out_densities(X, fitted)
    apart = ((X[:, None] - centres) ** 2).sum(axis=2)
    truth = np.log(np.exp(-apart / 2).mean(axis=1) / (2 * np.pi))
    # 17 parameters, each of which costs half a row
    assert (truth - found).mean() == pytest.approx(0, abs=3 * 17 / n)
    assert found.mean() < fitted.log_density(X).mean()


def log_ratio(X, Y, correction):
    return ratios.log_ratio(X, Y, correction=correction, scale=None)


@pytest.mark.parametrize(
    ("kind", "d", "times"), [("shift", 5, 4), ("shift", 20, 10), ("null", 20, 6)]
)
def test_the_effect_of_draws_takes_away_their_noise(kind, d, times):
    X, Y, _ = datasets.make_gaussian_pair(kind, n_features=d, random_state=1)
    ratio = log_ratio(X, Y, "gaussian")
    other, nu = ratio.references.of_y, ratio.balls.nu
    rng, again = np.random.default_rng(2), _fit_to_draws(other, ratio.Y)
    before = other.log_ratio_to_ball(ratio.X, nu, 1).mean()
    changes = []
    for _ in range(40):
        fitted = again(other.sample(500, rng)[0])
        changes.append(fitted.log_ratio_to_ball(ratio.X, nu, 1).mean() - before)
    left = _y_excess(other, ratio.Y, ratio.X, nu, 40, 1, np.random.default_rng(2))
    assert np.std(changes) > times * np.std(left)
    error = np.std(np.subtract(changes, left)) / np.sqrt(40)
    assert abs(np.mean(changes) - left.mean()) < 3 * error


def test_draws_are_shrunk_as_their_law_was(rng):
    rows = rng.normal(size=(60, 10)) * np.linspace(1, 1.5, 10)
    weight = shrinkage_weight(rows)
    assert 0 < weight < 1
    law = fit_gaussian(rows)
    drawn = law.sample(60, rng)[0]
    fitted = _fit_to_draws(law, rows)(drawn)
    np.testing.assert_array_equal(
        fitted.eigenvalues, fit_gaussian(drawn, weight).eigenvalues
    )
    assert not np.allclose(fitted.eigenvalues, fit_gaussian(drawn).eigenvalues)


def test_the_weight_of_the_shrinkage_does_not_move_the_estimate():
    """100 rows in 50 columns: whether Ledoit and Wolf keep 0 or 5 % of a covariance is
    chance, and what the fit to the seen rows does depends on it."""
    errors, weights = [], []
    for seed in range(25):
        X, Y, truth = datasets.make_gaussian_pair(
            "null", n_features=50, n_samples=(100, 1000), random_state=seed
        )
        found = estimate_divergence(X, Y, correction="gaussian", confidence_level=None)
        errors.append(found.value - truth)
        weights.append(shrinkage_weight(X / X.std(axis=0)))
    assert np.ptp(weights) > 0.03
    assert np.std(errors) < 0.2
    assert stats.pearsonr(errors, weights).statistic > -0.7


@pytest.mark.parametrize("seed", range(4))
def test_single_rows_of_a_tail_do_not_move_the_log_ratios_of_all(seed):
    rng = np.random.default_rng([4, seed])
    X, Y = rng.standard_t(1.2, (60, 2)), rng.normal(size=(60, 2))
    for correction in ("mixture", "marginal"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kldiv.DivergenceWarning)
            result = estimate_divergence(X, Y, correction=correction)
        assert -2 < np.median(result.log_ratio) < 2
