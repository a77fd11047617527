"""Standard errors and intervals: by repetition, and against a jackknife."""

import numpy as np
import pytest
from scipy import stats

from kldiv import datasets, estimate_divergence
from kldiv._errors._standard_errors import (
    SampleEffects,
    _by_jackknife,
    effects_of,
    spread_of,
)
from kldiv._errors._subsets import N_SUBSETS
from tests import reference
from tests.ratios import log_ratio


def mean(x):
    return float(x.mean())


@pytest.mark.parametrize(
    ("kind", "d", "k", "correction", "repeats"),
    [
        ("null", 1, 5, None, 200),
        ("null", 2, 1, None, 200),
        ("shift", 3, 4, "gaussian", 70),
    ],
)
def test_the_variance_is_that_over_repetitions(kind, d, k, correction, repeats):
    values, variances, jackknifes = [], [], []
    for seed in range(repeats):
        X, Y, _ = datasets.make_gaussian_pair(
            kind, n_features=d, n_samples=(200, 150), random_state=seed
        )
        ratio = log_ratio(X, Y, k, correction)
        values.append(ratio.values.mean())
        effects = effects_of([ratio], mean)
        variances.append(spread_of((effects.x, effects.y)).standard_error ** 2)
        jackknifes.append(_by_jackknife((effects.x, effects.y))[0])
    # three standard deviations of a sample variance
    within = 3 * np.sqrt(2 / repeats)
    assert np.mean(variances) == pytest.approx(np.var(values), rel=within)
    if kind == "null":
        assert np.mean(jackknifes) > 1.5 * np.var(values)


def test_too_noisy_products_give_way_to_the_jackknife(rng):
    rows = rng.normal(size=(N_SUBSETS, 40))
    rows[2], rows[4] = -rows[1], -rows[3]
    rows -= rows.mean(axis=1, keepdims=True)
    spread = spread_of([SampleEffects(rows, 0)])
    assert spread.method == "jackknife"
    assert spread.standard_error == pytest.approx(rows[0].std() / np.sqrt(40))
    rows[1:] = rows[0]
    spread = spread_of([SampleEffects(rows, 0)])
    assert spread.method == "thinning"
    assert spread.standard_error == pytest.approx(rows[0].std() / np.sqrt(40))


def slow_jackknife(X, Y, k, estimate, n_groups=20):
    groups = [
        np.random.default_rng([0, i]).permutation(len(rows)) % n_groups
        for i, rows in enumerate((X, Y))
    ]
    total = 0.0
    for own in (True, False):
        values = []
        for g in range(n_groups):
            if own:
                values.append(estimate(X[groups[0] != g], Y, k))
            else:
                values.append(estimate(X, Y[groups[1] != g], k))
        total += (n_groups - 1) * np.var(values)
    return np.sqrt(total)


def test_jackknife_agrees_with_leaving_rows_out(rng):
    """Where k varies from row to row, groups are left out."""
    X, Y = rng.normal(size=(130, 2)), rng.normal(0.5, 1, size=(125, 2))
    ratio = log_ratio(X, Y, 1, "adaptive")
    effects = effects_of([ratio], lambda x: float(x.mean()))
    spread = spread_of((effects.x, effects.y))
    slow = slow_jackknife(X, Y, 1, reference.kl_adaptive)
    assert spread.standard_error == pytest.approx(slow)
    assert spread.method == "jackknife"
    assert 19 <= spread.degrees <= 38


@pytest.mark.parametrize(
    ("kind", "d"),
    [
        ("narrow", 2),
        *(
            pytest.param(kind, d, marks=pytest.mark.statistical)
            for kind, d in (("shift", 10), ("corr", 5), ("null", 2))
        ),
    ],
)
def test_intervals_cover_the_truth(kind, d):
    repeats, covered = 30, 0
    for seed in range(repeats):
        X, Y, truth = datasets.make_gaussian_pair(
            kind, n_features=d, n_samples=(400, 300), random_state=seed
        )
        low, high = estimate_divergence(X, Y).confidence_interval
        covered += low <= truth <= high
    # with coverage 0.9 fewer than 22 of 30 happen once in 500 times
    assert covered >= stats.binom.ppf(0.002, repeats, 0.9)


def test_higher_levels_are_wider(rng):
    X, Y = rng.normal(size=(200, 3)), rng.normal(size=(150, 3))
    widths = [
        np.ptp(estimate_divergence(X, Y, confidence_level=level).confidence_interval)
        for level in (0.5, 0.95, 0.999)
    ]
    assert widths[0] < widths[1] < widths[2]
    with pytest.raises(ValueError, match="confidence_level must be between 0 and 1"):
        estimate_divergence(X, Y, confidence_level=95)


def test_no_interval_without_enough_rows_or_level(rng):
    X, Y = rng.normal(size=(100, 2)), rng.normal(size=(25, 2))
    assert estimate_divergence(X, Y).standard_error is None
    assert estimate_divergence(X, Y).confidence_interval is None
    result = estimate_divergence(X, np.r_[Y, Y + 0.1], confidence_level=None)
    assert result.standard_error is None


def test_mixture_references_have_a_standard_error():
    X, Y, _ = datasets.make_mixture_pair(
        n_features=2, n_samples=(600, 400), random_state=0
    )
    estimates, mixtures = [], 0
    for seed in range(8):
        X, Y, _ = datasets.make_mixture_pair(
            n_features=2, n_samples=(600, 400), random_state=seed
        )
        result = estimate_divergence(X, Y, correction="mixture")
        estimates.append(result.standard_error)
        mixtures += result.n_components > 1
    # five Gaussians that overlap in two columns can look like one
    assert mixtures >= 6
    assert 0.02 < np.median(estimates) < 0.3
