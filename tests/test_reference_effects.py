"""Effects of rows through references: against fitting again without some of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kldiv import datasets
from kldiv._errors._leave_out import leave_out_groups
from kldiv._errors._standard_errors import effects_of
from kldiv._ratio._mixtures import fit_gaussian, shrinkage_weight
from kldiv._ratio._reference_effects import (
    _gaussian,
    _mixture,
    _within_balls,
    effect_of_draws,
)
from kldiv._ratio._references import fit_again
from tests import ratios


def mean(x):
    return float(x.mean())


def log_ratio(X, Y, correction):
    return ratios.log_ratio(X, Y, correction=correction, scale=None)


@pytest.mark.parametrize(("n", "d"), [(300, 2), (120, 10)])
def test_a_gaussian_fitted_without_a_group(n, d, rng):
    """Change of a mean log density, shrunk by a given weight (d=10) or not."""
    X = rng.normal(size=(n, d)) * np.linspace(1, 2, d)
    centres = rng.normal(0.5, 1.5, size=(80, d))
    reference = log_ratio(X, X + 0.1, "gaussian").references.of_x
    weights = np.full(80, 1 / 80)
    effects = _gaussian(
        reference, X, np.ones(n, dtype=bool), centres, weights, np.zeros(n)
    )
    before = reference.log_density(centres).mean()
    groups = np.arange(n) % 20
    weight = shrinkage_weight(X)
    fits = [fit_gaussian(X[groups != g], weight) for g in range(20)]
    exact = np.array([fit.log_density(centres).mean() - before for fit in fits])
    predicted = -np.bincount(groups, effects) / (n - n / 20)
    assert np.corrcoef(exact, predicted)[0, 1] > 0.95
    assert np.std(predicted) == pytest.approx(np.std(exact), rel=0.25)


def test_a_mixture_fitted_without_a_group():
    X, Y, _ = datasets.make_mixture_pair(
        n_features=3, n_samples=(600, 600), random_state=1
    )
    reference = log_ratio(X, Y, "mixture").references.of_x
    assert len(reference.weights) > 1
    weights = np.full(600, 1 / 600)
    effects = _mixture(reference, X, Y, weights, np.zeros(600))
    before, groups = fit_again(reference, X).log_density(Y).mean(), np.arange(600) % 20
    exact = [
        fit_again(reference, X[groups != g]).log_density(Y).mean() - before
        for g in range(20)
    ]
    predicted = -np.bincount(groups, effects) / 570
    assert np.corrcoef(exact, predicted)[0, 1] > 0.8


@pytest.mark.parametrize("d", [5, 20])
def test_balls_and_references_together(d):
    """What the jackknife of the whole estimate finds, the effects of rows say."""
    X, Y, _ = datasets.make_gaussian_pair(
        "corr", n_features=d, n_samples=(600, 400), random_state=0
    )
    ratio = log_ratio(X, Y, "gaussian")
    effects = effects_of([ratio], mean)
    groups, references = leave_out_groups(400, 20, 1), ratio.references
    exact = []
    for g in range(20):
        part = np.ascontiguousarray(ratio.Y[groups != g])
        fitted = fit_again(references.of_y, part)
        nu = np.sort(
            np.sqrt(((ratio.X[:, None] - part[None]) ** 2).sum(axis=2)), axis=1
        )[:, 4]
        exact.append(-fitted.log_ratio_to_ball(ratio.X, nu, 1).mean())
    assert np.corrcoef(exact, effects.y.groups(20))[0, 1] > 0.9
    assert np.std(effects.y.groups(20)) == pytest.approx(np.std(exact), rel=0.3)
    assert effects.y.bootstrap == pytest.approx(references.y_noise)
    assert 0 < effects.y.bootstrap < np.var(exact) * 20
    assert effects.x.bootstrap > 0


@given(st.integers(1, 8), st.integers(0, 10**6), st.floats(-4, 4))
def test_the_effect_of_draws_has_expectation_zero(d, seed, log_radius):
    """A quadratic function has its expectation as its mean over the sigma points."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(40, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
    reference, centres = fit_gaussian(rows), rng.normal(1, 2, size=(30, d))
    radii = np.exp(log_radius) * rng.uniform(0.5, 1, 30)
    effect = effect_of_draws(reference, rows, centres, radii)
    steps = (reference.bases[0] * np.sqrt(d * reference.eigenvalues[0])).T
    points = reference.means[0] + np.concatenate([steps, -steps])
    size = max(abs(effect(point[None])) for point in points)
    assert size > 0
    assert abs(effect(points)) < 1e-9 * size


def test_gaussians_within_balls(rng):
    values, centre = np.array([1.0, 1.5, 0.7]), np.array([[1.0, -0.5, 0.8]])
    drawn = rng.normal(size=(400_000, 3)) * np.sqrt(values)
    for radius in (0.5, 1.5):
        near = ((drawn - centre) ** 2).sum(axis=1) < radius**2
        means, variances = _within_balls(centre, values, np.array([radius]))
        np.testing.assert_allclose(means[0], drawn[near].mean(axis=0), atol=0.1)
        np.testing.assert_allclose(
            variances[0], drawn[near].var(axis=0), atol=0.1 * radius**2
        )
    means, variances = _within_balls(centre, values, np.array([9.0]))
    np.testing.assert_array_equal(means, [[0, 0, 0]])
    np.testing.assert_array_equal(variances, [values])
