"""Mixtures of Gaussians: density, mass of balls, fits against scikit-learn."""

import numpy as np
import pytest
from scipy import stats

from kldiv._ratio import _mixtures
from tests.clusters import four_clusters
from tests.tolerances import ITERATED


def test_mixture_density_mass_and_sample(rng):
    mixture = _mixtures.Mixture(
        np.array([0.3, 0.7]),
        np.array([[0.0, 0.0], [3.0, 1.0]]),
        np.array([[1.0, 2.0], [0.5, 0.1]]),
        np.stack([np.eye(2), np.array([[0.6, -0.8], [0.8, 0.6]])]),
    )
    laws = [
        stats.multivariate_normal(m, (b * v) @ b.T)
        for m, v, b in zip(
            mixture.means, mixture.eigenvalues, mixture.bases, strict=True
        )
    ]
    X = rng.normal(size=(50, 2)) * 2
    expected = np.log(0.3 * laws[0].pdf(X) + 0.7 * laws[1].pdf(X))
    np.testing.assert_allclose(mixture.log_density(X), expected)
    drawn, labels = mixture.sample(200_000, rng)
    np.testing.assert_allclose(np.bincount(labels) / 200_000, [0.3, 0.7], atol=0.01)
    np.testing.assert_allclose(drawn.mean(axis=0), [2.1, 0.7], atol=0.02)
    centre = np.array([[1.0, 0.5]])
    share = (((drawn - centre) ** 2).sum(axis=1) <= 1.5**2).mean()
    logs = mixture.log_ratio_to_ball(centre, np.array([1.5]), 1)
    mass = np.exp(mixture.log_density(centre) - logs)[0]
    assert mass == pytest.approx(share, rel=0.05)
    tiny = mixture.log_ratio_to_ball(centre, np.array([1e-5]), 1)[0]
    assert tiny == pytest.approx(-np.log(np.pi * 1e-10), abs=1e-6)


def test_shrinkage_agrees_with_scikit_learn(rng):
    from sklearn.covariance import ledoit_wolf_shrinkage

    X = rng.normal(size=(80, 20)) * np.linspace(1, 2, 20)
    X -= X.mean(axis=0)
    found = _mixtures._shrinkage(X, X.T @ X / len(X))
    assert found == pytest.approx(ledoit_wolf_shrinkage(X, assume_centered=True))


def test_expectation_maximisation_agrees_with_scikit_learn(rng):
    from sklearn.mixture import GaussianMixture

    X = np.concatenate(
        [rng.normal(size=(400, 5)), 2 + rng.normal(size=(300, 5)) * [1, 2, 1, 0.5, 1]]
    )
    start = np.repeat([0, 1], [400, 300])
    ours = _mixtures.fit_mixture(X, start, 0.0, steps=200)
    theirs = GaussianMixture(2, tol=1e-6, reg_covar=0, random_state=0, max_iter=500)
    theirs.fit(X)
    assert ours.log_density(X).mean() == pytest.approx(theirs.score(X), abs=5e-3)
    order = np.argsort(theirs.means_[:, 0])
    np.testing.assert_allclose(ours.means, theirs.means_[order], atol=0.05)


def test_mixture_of_narrow_clusters_far_apart(rng):
    # single precision chooses responsibilities only; moments are double
    X = four_clusters(rng, 200) * 1e-4 + 1e4 * (rng.integers(0, 2, (800, 1)))
    labels = (X[:, 0] > 5e3).astype(int)
    fitted = _mixtures.fit_mixture(X, labels, 0.0)
    for c in range(2):
        np.testing.assert_allclose(
            fitted.means[c], X[labels == c].mean(axis=0), rtol=ITERATED
        )


def test_the_next_row_of_few_is_judged_as_the_law_of_its_uncertainty(rng):
    """Twelve columns and sixty rows a component: a Gaussian is far too sure."""
    d, m = 12, 120
    means = np.repeat([[0.0], [8.0]], d, axis=1)
    labels = np.arange(m) % 2
    fitted = _mixtures.fit_mixture(means[labels] + rng.normal(size=(m, d)), labels, 5.0)
    which = rng.integers(2, size=2000)
    unseen = means[which] + rng.normal(size=(2000, d))
    plain = fitted.log_density(unseen).mean()
    predicted = fitted.log_predictive(unseen, m, 5.0)
    assert predicted.mean() > plain + 0.1
    # a density: weighed by another one it adds up to one
    draws = np.vstack([means + 2 * rng.normal(size=(2, d)) for _ in range(20000)])
    squares = ((draws[:, None] - means) ** 2).sum(axis=2) / 8
    own = np.log(np.exp(-squares).mean(axis=1)) - d / 2 * np.log(8 * np.pi)
    mass = np.exp(fitted.log_predictive(draws, m, 5.0) - own).mean()
    assert mass == pytest.approx(1, abs=0.1)
