"""Pairs with a known divergence: shapes, seeds, truths checked in another way."""

import numpy as np
import pytest
from scipy import stats

from kldiv import datasets

MAKERS = {
    "gaussian": lambda **o: datasets.make_gaussian_pair("corr", **o),
    "student": datasets.make_student_pair,
    "lognormal": datasets.make_lognormal_pair,
    "embedded": lambda **o: datasets.make_embedded_pair(rank=2, **o),
    "poisson": datasets.make_poisson_pair,
    "rounded": datasets.make_rounded_pair,
    "mixture": datasets.make_mixture_pair,
    "image-like": datasets.make_image_like_pair,
}


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_shapes_and_seeds(maker):
    options = {"n_samples": (60, 40), "n_features": 3}
    X, Y, truth = maker(random_state=0, **options)
    assert X.shape == (60, 3)
    assert Y.shape == (40, 3)
    assert X.dtype == Y.dtype == np.float64
    assert np.isfinite(truth)
    again = maker(random_state=0, **options)
    np.testing.assert_array_equal(again[0], X)
    np.testing.assert_array_equal(again[1], Y)
    assert again[2] == truth
    assert not np.array_equal(maker(random_state=1, **options)[0], X)


@pytest.mark.parametrize("kind", datasets.GAUSSIAN_KINDS)
@pytest.mark.parametrize("d", [1, 2, 5])
def test_gaussian_truth_agrees_with_monte_carlo(kind, d):
    X, _, truth = datasets.make_gaussian_pair(
        kind, n_samples=(200_000, 1), n_features=d, random_state=0
    )
    eye = np.eye(d)
    laws = {
        "shift": ((-np.ones(d), eye), (np.zeros(d), eye)),
        "narrow": ((np.zeros(d), eye), (np.zeros(d), 4 * eye)),
        "wide": ((np.zeros(d), 4 * eye), (np.zeros(d), eye)),
        "null": ((np.zeros(d), eye), (np.zeros(d), eye)),
        "corr": ((np.zeros(d), 0.5 * eye + 0.5), (np.zeros(d), eye)),
    }
    p, q = (stats.multivariate_normal(*law) for law in laws[kind])
    ratios = p.logpdf(X) - q.logpdf(X)
    allowed = 4 * ratios.std() / np.sqrt(len(X)) + 1e-12
    assert ratios.mean() == pytest.approx(truth, abs=allowed)


def test_gaussian_kinds_have_the_stated_moments():
    _, Y, _ = datasets.make_gaussian_pair(
        "narrow", n_samples=(1, 100_000), random_state=0
    )
    assert Y.var() == pytest.approx(4, rel=0.03)
    X, _, _ = datasets.make_gaussian_pair(
        "corr", n_samples=(100_000, 1), n_features=3, random_state=0
    )
    np.testing.assert_allclose(np.corrcoef(X.T), 0.5 * np.eye(3) + 0.5, atol=0.02)


@pytest.mark.parametrize(
    ("maker", "p", "q"),
    [
        (
            datasets.make_student_pair,
            lambda x: stats.t(5, 0.3).logpdf(x),
            stats.t(5).logpdf,
        ),
        (
            datasets.make_lognormal_pair,
            stats.lognorm(0.5).logpdf,
            stats.lognorm(0.5, scale=np.exp(0.3)).logpdf,
        ),
        (
            datasets.make_poisson_pair,
            stats.poisson(4).logpmf,
            stats.poisson(5).logpmf,
        ),
    ],
)
def test_product_truth_agrees_with_monte_carlo(maker, p, q):
    X, _, truth = maker(n_samples=(200_000, 1), n_features=2, random_state=0)
    ratios = (p(X) - q(X)).sum(axis=1)
    assert ratios.mean() == pytest.approx(truth, abs=4 * ratios.std() / len(X) ** 0.5)


def test_embedded_rows_are_those_of_the_gaussian_pair():
    X, Y, truth = datasets.make_embedded_pair(n_features=9, rank=2, random_state=3)
    U, V, expected = datasets.make_gaussian_pair(n_features=2, random_state=3)
    assert truth == expected
    pooled = np.concatenate([X, Y])
    assert np.linalg.matrix_rank(pooled) == 2
    _, residuals, _, _ = np.linalg.lstsq(pooled, np.concatenate([U, V]), rcond=None)
    assert np.all(residuals < 1e-15 * len(pooled)) or residuals.size == 0


def test_rounded_values_have_few_decimals():
    X, _, _ = datasets.make_rounded_pair(decimals=1, random_state=0)
    np.testing.assert_array_equal(X, np.round(X, 1))


def test_image_like_pair_takes_the_users_arrays():
    rng = np.random.default_rng(0)
    train = rng.normal(size=(300, 4, 5))
    X, _, near = datasets.make_image_like_pair(
        train,
        rng.normal(size=(400, 4, 5)),
        n_features=3,
        n_components=1,
        random_state=0,
    )
    assert X.shape == (3000, 3)
    far = datasets.make_image_like_pair(
        train, train + 1, n_features=3, n_components=1, random_state=0
    )[2]
    assert abs(near) < 0.4 < far


def test_messages():
    with pytest.raises(ValueError, match="kind must be one of 'shift'"):
        datasets.make_gaussian_pair("sideways")
    with pytest.raises(ValueError, match="both train and aux"):
        datasets.make_image_like_pair(np.ones((5, 2)))
