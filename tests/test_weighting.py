"""Mean weights around rows, and the trend that is taken off before."""

import numpy as np
import pytest

from kldiv._ratio._weighting import fit_trend, log_mean, trends_of


@pytest.mark.parametrize("k", [5, 20, 200])
def test_the_log_of_a_mean_weight_is_corrected(k):
    rng = np.random.default_rng(0)
    weights = rng.gamma(2.0, 0.5, (20_000, k))  # of mean one and variance a half
    plain = np.log(weights.mean(axis=1)).mean()
    corrected = log_mean(np.log(weights)).mean()
    assert plain == pytest.approx(-1 / (4 * k), abs=0.2 / k)
    assert abs(corrected) < 0.15 * abs(plain)


def test_one_weight_and_huge_ones():
    assert log_mean(np.array([[3.0]])) == pytest.approx([3.0])
    assert log_mean(np.array([[900.0, 900.0]])) == pytest.approx([900.0])
    # a mean that hangs on one row is corrected by a half at most
    assert log_mean(np.array([[0.0, -900.0]]))[0] == pytest.approx(0.5 - np.log(2))


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_a_trend_has_the_degree_that_predicts(degree):
    rng = np.random.default_rng(0)
    rows = rng.normal(5, 3, (400, 3))
    truth = (0 * rows[:, 0], 0.3 * rows[:, 1], 0.1 * rows[:, 0] * rows[:, 2])[degree]
    trend = fit_trend(rows, truth + rng.normal(0, 0.3, 400))
    assert trend.degree == degree
    missed = trend.at(rows) - truth
    assert missed.std() < 0.1


def test_a_trend_is_the_same_where_it_is_the_log_weight():
    rng = np.random.default_rng(0)
    rows, others = rng.normal(size=(300, 2)), rng.normal(size=(50, 2))

    def logs(at):
        return at @ [1.0, -0.5] - 0.2 * (at**2).sum(axis=1)

    here, there = trends_of(rows, np.exp(logs(rows)), others)
    assert here == pytest.approx(logs(rows), abs=1e-9)
    assert there == pytest.approx(logs(others), abs=1e-9)


def test_few_rows_or_equal_weights_have_no_trend():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 10))
    assert fit_trend(rows, rows[:, 0]).degree == 0
    assert not trends_of(rows, np.ones(20), rows)[0].any()
