"""Maps of whole rows: independent components, lengths, and when they are used."""

import numpy as np
import pytest
from scipy import stats

from kldiv import estimate_divergence
from kldiv._ratio._layers import (
    Layers,
    Lengths,
    Turned,
    fit_layers,
    fit_lengths,
    fit_turned,
)
from kldiv._ratio._mixtures import fit_gaussian


def peaks(rng, n, d):
    return rng.choice([-1.5, 1.5], (n, d)) + 0.5 * rng.normal(size=(n, d))


def turn(rng, d):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def names(X):
    return [type(one).__name__ for one in fit_layers(X).maps]


def numeric_log_slope(layer, x, step=1e-4):
    """Log determinant of the derivative at one row."""
    moves = step * np.eye(len(x))
    ends = [layer.scores(x + sign * moves)[0] for sign in (-1, 1)]
    return np.linalg.slogdet((ends[1] - ends[0]) / (2 * step))[1]


@pytest.mark.parametrize("d", [2, 5])
def test_components_are_found(rng, d):
    scores, _ = fit_turned(peaks(rng, 1000, d) @ turn(rng, d)).scores(
        peaks(rng, 1000, d) @ turn(np.random.default_rng(0), d)
    )
    assert scores.shape == (1000, d)
    Q = turn(rng, d)
    source = peaks(rng, 1000, d)
    found, _ = fit_turned(source @ Q).scores(source @ Q)
    alike = np.abs(np.corrcoef(found.T, source.T)[:d, d:])
    assert (alike.max(axis=1) > 0.98).all()


@pytest.mark.parametrize("fit", [fit_turned, fit_lengths])
def test_slopes_against_numerical_ones(rng, fit):
    X = rng.standard_t(4, (800, 3)) @ np.array([[2, 1, 0], [0, 1, 0.5], [0, 0, 3.0]])
    layer = fit(X)
    slopes = layer.scores(X[:30])[1]
    numeric = [numeric_log_slope(layer, x) for x in X[:30]]
    # splines are read off a grid, in straight lines
    np.testing.assert_allclose(slopes, numeric, atol=0.15)
    assert np.mean(slopes - numeric) == pytest.approx(0, abs=0.03)


def test_lengths_of_an_elliptical_law_become_those_of_a_gaussian(rng):
    def draw(n):
        return rng.normal(size=(n, 4)) / np.sqrt(rng.chisquare(4, (n, 1)) / 4)

    scores, _ = fit_lengths(draw(3000)).scores(draw(500))
    squares = (scores**2).sum(axis=1)
    assert stats.kstest(squares, stats.chi2(4).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("n", "d", "degrees"), [(200, 4, 5), (300, 20, 100)])
def test_rows_left_out_of_lengths_are_as_if_never_seen(rng, n, d, degrees):
    X = rng.standard_t(degrees, (n, d))
    layers = Layers([fit_lengths(X)])
    found = layers.log_density_left_out(X, fit_gaussian(layers.scores(X)[0]))
    exact = np.empty(30)
    for i in range(len(exact)):
        others = np.delete(X, i, axis=0)
        again = Layers([fit_lengths(others)])
        gaussian = fit_gaussian(again.scores(others)[0])
        scores, slopes = again.scores(X[i : i + 1])
        exact[i] = (gaussian.log_density(scores) + slopes)[0]
    np.testing.assert_allclose(found[:30], exact, atol=0.2)
    assert np.mean(found[:30] - exact) == pytest.approx(0, abs=0.01)


def test_layers_are_used_where_they_are_needed(rng):
    assert names(rng.normal(size=(500, 5))) == ["Marginals"]
    assert names(rng.gamma(2, size=(500, 3))) == ["Marginals"]
    assert names(peaks(rng, 500, 5) @ turn(rng, 5)) == ["Turned", "Marginals"]
    heavy = rng.normal(size=(1000, 6)) / np.sqrt(rng.chisquare(3, (1000, 1)) / 3)
    assert names(heavy)[-1] == Lengths.__name__
    # too few rows for directions, and rows on a plane
    assert names(peaks(rng, 45, 5) @ turn(rng, 5)) == ["Marginals"]


def test_turning_costs_what_it_gains_by_chance(rng):
    """The cost of a fitted turn is at least that of its angles."""
    maps = fit_layers(peaks(rng, 400, 6) @ turn(rng, 6)).maps
    assert isinstance(maps[0], Turned)
    assert maps[0].cost >= 0.5 * 15 / 400


def test_turned_columns_end_to_end(rng):
    """Ten bimodal columns that were turned, against a Gaussian: 4.62 nats."""
    Q = turn(rng, 10)
    X, Y = peaks(rng, 1000, 10) @ Q, 1.6 * rng.normal(size=(500, 10))
    found = estimate_divergence(X, Y)
    assert found.value == pytest.approx(4.62, rel=0.12)


@pytest.mark.parametrize("seed", range(3))
def test_a_column_that_varies_in_few_rows_is_not_turned(seed):
    rng = np.random.default_rng(seed)
    X = peaks(rng, 400, 3) @ turn(rng, 3)
    unseen = np.flatnonzero(np.random.default_rng(0).permutation(400) % 2)[:5]
    X[:, 2] = 0
    X[unseen, 2] = rng.normal(size=5)
    assert "Turned" not in names(X)
