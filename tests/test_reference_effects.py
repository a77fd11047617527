"""Effects of rows through references: against fitting again without some of them."""

import numpy as np
import pytest

from kldiv import datasets
from kldiv._inference import effects_of, leave_out_groups
from kldiv._log_ratio import estimate_log_ratio
from kldiv._reference import refit
from kldiv._reference_effects import _gaussian, _mixture


def mean(x):
    return float(x.mean())


def log_ratio(X, Y, correction):
    return estimate_log_ratio(
        X, Y, 5, correction=correction, scale=None, algorithm="auto", threads=1
    )


@pytest.mark.parametrize(("n", "d"), [(300, 2), (120, 10)])
def test_a_gaussian_fitted_without_a_group(n, d, rng):
    """Change of a mean log density, shrunk covariances (d=10) or not."""
    X = rng.normal(size=(n, d)) * np.linspace(1, 2, d)
    centres = rng.normal(0.5, 1.5, size=(80, d))
    reference = log_ratio(X, X + 0.1, "gaussian").references.own
    weights = np.full(80, 1 / 80)
    effects = _gaussian(
        reference, X, np.ones(n, dtype=bool), centres, weights, np.zeros(n)
    )
    before = reference.log_density(centres).mean()
    groups = np.arange(n) % 20
    exact = np.array(
        [
            refit(reference, X[groups != g]).log_density(centres).mean() - before
            for g in range(20)
        ]
    )
    predicted = -np.bincount(groups, effects) / (n - n / 20)
    assert np.corrcoef(exact, predicted)[0, 1] > 0.9
    assert np.std(predicted) == pytest.approx(np.std(exact), rel=0.25)


def test_a_mixture_fitted_without_a_group():
    X, Y, _ = datasets.make_mixture_pair(
        n_features=3, n_samples=(600, 600), random_state=1
    )
    reference = log_ratio(X, Y, "mixture").references.own
    assert len(reference.weights) > 1
    weights = np.full(600, 1 / 600)
    effects = _mixture(reference, X, Y, weights, np.zeros(600))
    before, groups = refit(reference, X).log_density(Y).mean(), np.arange(600) % 20
    exact = [
        refit(reference, X[groups != g]).log_density(Y).mean() - before
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
    effects = effects_of([ratio], mean, 1)
    groups, references = leave_out_groups(400, 20, 1), ratio.references
    exact = []
    for g in range(20):
        part = np.ascontiguousarray(ratio.Y[groups != g])
        fitted = refit(references.other, part)
        nu = np.sort(
            np.sqrt(((ratio.X[:, None] - part[None]) ** 2).sum(axis=2)), axis=1
        )[:, 4]
        exact.append(-fitted.log_ratio_to_ball(ratio.X, nu, 1).mean())
    assert np.corrcoef(exact, effects.y.groups(20))[0, 1] > 0.9
    assert np.std(effects.y.groups(20)) == pytest.approx(np.std(exact), rel=0.3)
    assert 0 < effects.y.drawn < np.var(exact) * 20
    assert effects.x.drawn > 0
