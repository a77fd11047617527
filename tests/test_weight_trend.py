"""How log weights follow the place, and which function says so."""

import numpy as np
import pytest

from kldiv import kl_divergence, neighbor_distances
from kldiv._ratio._weight_trend import choose_trend, trends_of


def nearest_rows(rows, k=20):
    found = neighbor_distances(
        rows, rows, n_neighbors=k, blocks=("xx",), return_indices=True
    )
    return found.xx_indices.astype(np.intp)


SHAPES = {
    "constant": lambda z: 0 * z[:, 0],
    "straight": lambda z: z @ [0.8, -0.5, 0.3],
    "quadratic": lambda z: 0.6 * z[:, 0] * z[:, 2] - 0.3 * (z**2).sum(axis=1),
    "splines": lambda z: 1.5 * np.tanh(3 * z[:, 0]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_function_is_taken_that_predicts(name):
    rng = np.random.default_rng(0)
    rows = rng.normal(5, 3, (600, 3))
    truth = SHAPES[name]((rows - 5) / 3)
    trend = choose_trend(rows, truth + rng.normal(0, 0.2, 600), nearest_rows(rows))
    assert trend.name == name
    assert (trend.at(rows) - truth).std() < 0.2


@pytest.mark.parametrize("name", ["straight", "quadratic"])
def test_weights_that_are_such_a_function_are_found(name):
    rng = np.random.default_rng(0)
    rows, others = rng.normal(size=(300, 3)), rng.normal(size=(50, 3))
    logs = SHAPES[name](rows)
    here, there = trends_of(rows, logs, nearest_rows(rows), others)
    assert here == pytest.approx(logs, abs=1e-9)
    assert there == pytest.approx(SHAPES[name](others), abs=1e-9)


def test_few_rows_or_equal_weights_have_no_trend():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 10))
    assert choose_trend(rows, rows[:, 0], nearest_rows(rows, 10)).name == "constant"
    assert not trends_of(rows, np.ones(20), nearest_rows(rows, 10), rows)[0].any()


def test_values_that_repeat_have_splines():
    rng = np.random.default_rng(0)
    rows = np.c_[rng.normal(size=400), np.where(rng.random(400) < 0.6, 0.0, 1.0)]
    rows[:, 1] += rng.normal(0, 1e-12, 400) * (rows[:, 1] > 0)
    logs = np.tanh(4 * rows[:, 0]) + rows[:, 1]
    trend = choose_trend(rows, logs, nearest_rows(rows))
    assert (trend.at(rows) - logs).std() < 0.1


@pytest.mark.parametrize("d", [3, 8])
def test_weights_that_level_off(d):
    """Rows of Y stand for a density that is no Gaussian, by weights that saturate."""

    def log_weight(rows):
        return np.minimum(1.5 * rows[:, 0], 1.5)

    errors = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(size=(1000, d)), rng.normal(0, 1.3, (800, d))
        X[:, 0] += 1.2
        of_y = log_weight(Y)
        many = rng.normal(0, 1.3, (200_000, 1)), rng.normal(1.2, 1, (200_000, 1))
        truth = 0.5 * ((d + 1.2**2) / 1.3**2 - d) + d * np.log(1.3)
        truth += np.log(np.exp(log_weight(many[0])).mean()) - log_weight(many[1]).mean()
        found = kl_divergence(X, Y, reference_weight=np.exp(of_y))
        errors.append(found - truth)
    assert abs(np.mean(errors)) < 0.12
