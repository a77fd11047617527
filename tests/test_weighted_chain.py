"""Weighted rows with discrete columns."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from kldiv import estimate_divergence

TRUTH = 0.7 * np.log(0.7 / 0.4) + 0.3 * np.log(0.3 / 0.6) + 0.5**2 / 2


def plain(rng, n, share, mean):
    letter = np.where(rng.random(n) < share, "a", "b")
    return pd.DataFrame({"letter": letter, "x": rng.normal(mean, 1, n)}), None


def drawn_elsewhere(rng, n, share, mean):
    """The same distribution, by weights of letters and numbers drawn otherwise."""
    in_a = rng.random(n) < 0.55
    x = rng.normal(0.2, 1.2, n)
    weights = np.where(in_a, share / 0.55, (1 - share) / 0.45)
    weights *= norm.pdf(x, mean, 1) / norm.pdf(x, 0.2, 1.2)
    return pd.DataFrame({"letter": np.where(in_a, "a", "b"), "x": x}), weights


def estimate(make_x, make_y, seed, n=800, m=600, **options):
    rng = np.random.default_rng(seed)
    X, of_x = make_x(rng, n, 0.7, 0.5)
    Y, of_y = make_y(rng, m, 0.4, 0.0)
    return estimate_divergence(
        X, Y, sample_weight=of_x, reference_weight=of_y, **options
    )


@pytest.mark.parametrize("make_x", [plain, drawn_elsewhere])
@pytest.mark.parametrize("make_y", [plain, drawn_elsewhere])
def test_weights_count_in_cells_and_within(make_x, make_y):
    result = estimate(make_x, make_y, 0)
    assert abs(result.value - TRUTH) < 3 * result.standard_error
    assert 0.02 < result.standard_error < 0.1


@pytest.mark.statistical
def test_intervals_hold_the_truth():
    held = 0
    for seed in range(40):
        low, high = estimate(
            drawn_elsewhere, drawn_elsewhere, seed, 400, 300
        ).confidence_interval
        held += low < TRUTH < high
    assert held >= 35


def test_categories_alone():
    rng = np.random.default_rng(0)
    (X, of_x), (Y, of_y) = drawn_elsewhere(rng, 2000, 0.7, 0), plain(rng, 2000, 0.4, 0)
    result = estimate_divergence(
        X[["letter"]], Y[["letter"]], sample_weight=of_x, reference_weight=of_y
    )
    truth = 0.7 * np.log(0.7 / 0.4) + 0.3 * np.log(0.3 / 0.6)
    assert abs(result.value - truth) < 3 * result.standard_error
    unweighted = estimate_divergence(X[["letter"]], Y[["letter"]])
    assert abs(unweighted.value - truth) > 3 * result.standard_error


@pytest.mark.parametrize("name", ["kl", "jeffreys", "hellinger"])
def test_what_changes_nothing(name):
    rng = np.random.default_rng(0)
    (X, of_x), (Y, of_y) = (
        drawn_elsewhere(rng, size, share, mean)
        for size, share, mean in ((300, 0.7, 0.5), (250, 0.4, 0.0))
    )
    of_x[::5] = 0
    options = {"divergence": name, "correction": None}
    found = estimate_divergence(
        X, Y, sample_weight=of_x, reference_weight=of_y, **options
    )
    kept = np.random.default_rng(1).permutation(np.flatnonzero(of_x))
    without = estimate_divergence(
        X.iloc[kept],
        Y,
        sample_weight=7 * of_x[kept],
        reference_weight=of_y / 3,
        **options,
    )
    assert without.value == pytest.approx(found.value, abs=1e-11)
    assert without.standard_error == pytest.approx(found.standard_error, abs=1e-9)
    assert np.isnan(found.log_ratio).tolist() == (of_x == 0).tolist()
    plain_value = estimate_divergence(X, Y, **options).value
    same = estimate_divergence(X, Y, sample_weight=np.full(300, 0.3), **options)
    assert same.value == plain_value
