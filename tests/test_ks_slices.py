"""Sliced and max-sliced statistics: directions that are known."""

import numpy as np
import pytest
from scipy import stats

from kldiv import ks_test
from kldiv._ks._relabellings import Relabellings
from tests import reference
from tests.tolerances import OTHER_ORDER


def test_max_sliced_finds_the_direction_of_a_shift(rng):
    d, shift = 20, 2.0
    direction = rng.normal(size=d)
    direction /= np.linalg.norm(direction)
    X, Y = rng.normal(size=(4000, d)), rng.normal(size=(4000, d)) + shift * direction
    result = ks_test(X, Y, method="max-sliced", random_state=0)
    # The supremum over half spaces is the total variation of N(0, 1) and N(shift, 1).
    total_variation = 2 * stats.norm.cdf(shift / 2) - 1
    assert result.statistic == pytest.approx(total_variation, abs=0.03)
    assert abs(result.direction @ direction) > 0.98
    along = reference.ks_gap(X[:500] @ result.direction, Y[:500] @ result.direction)
    assert along == pytest.approx(result.statistic, abs=0.08)


@pytest.mark.parametrize("change", ["scale", "correlation"])
def test_max_sliced_finds_a_change_of_second_moments(change, rng):
    d = 10
    covariance = np.eye(d)
    if change == "scale":
        covariance[3, 3] = 9.0
        best = np.eye(d)[3]
    else:
        covariance[2, 7] = covariance[7, 2] = 0.95
        best = (np.eye(d)[2] - np.eye(d)[7]) / np.sqrt(2)
    X = rng.normal(size=(3000, d))
    Y = rng.multivariate_normal(np.zeros(d), covariance, 3000)
    result = ks_test(X, Y, method="max-sliced", random_state=0)
    assert result.statistic >= reference.ks_gap(X @ best, Y @ best) - 0.01


def test_one_column_is_the_same_by_every_way(rng):
    x, y = rng.normal(size=90), rng.normal(0.4, 1, 70)
    plain = ks_test(x, y).statistic
    for method in ("sliced", "max-sliced"):
        found = ks_test(x, y, method=method, random_state=0)
        assert found.statistic == pytest.approx(plain, abs=OTHER_ORDER)


def test_sliced_is_the_mean_over_directions(rng):
    X, Y = rng.normal(size=(40, 3)), rng.normal(0.4, 1, (50, 3))
    found = ks_test(X, Y, method="sliced", n_directions=7, random_state=3)
    generator = np.random.default_rng(3)
    Relabellings(40, 50, 0, generator)  # drawn first
    directions = generator.standard_normal((3, 7))
    gaps = [reference.ks_gap(X @ w, Y @ w) for w in directions.T]
    assert found.statistic == pytest.approx(np.mean(gaps), abs=OTHER_ORDER)


def largest_gap(X, Y):
    return max(map(reference.ks_gap, X.T, Y.T))


@pytest.mark.parametrize("value", [1e8, 1e20, 1e160, np.finfo(float).max])
@pytest.mark.parametrize("shared", [True, False])
def test_a_fill_value_does_not_blind_the_search(value, shared, rng):
    """One in fifty rows: neither a column nor a direction across them is lost."""
    X, Y = rng.normal(size=(300, 3)), rng.normal(size=(250, 3))
    X[:, 1] = X[:, 0] + 0.1 * X[:, 1]
    Y[:, 1] = Y[:, 0] + 0.1 * Y[:, 1] + 0.5
    plain = ks_test(X, Y, method="max-sliced", random_state=0)
    X[::50, 0] = value
    if shared:
        Y[::50, 2] = -value
    found = ks_test(X, Y, method="max-sliced", random_state=0)
    assert plain.statistic > 0.9 > largest_gap(X, Y)
    assert found.statistic > 0.9
    scaled = [rows * 2.0**-30 @ found.direction for rows in (X, Y)]
    assert found.statistic == pytest.approx(reference.ks_gap(*scaled), abs=0.005)


@pytest.mark.parametrize("spread", [1, 10, 30])
def test_no_direction_beats_a_column_that_is_left_out(spread, rng):
    X, Y = (10.0 ** (spread * rng.normal(size=(n, 2))) for n in (90, 70))
    Y[:, 1] = X[:70, 1]
    for rows in (X, Y):
        rows[rows > 1e300] = 1e300
    found = ks_test(X, Y, method="max-sliced", n_permutations=19, random_state=0)
    assert found.statistic >= largest_gap(X, Y) - 1e-12
