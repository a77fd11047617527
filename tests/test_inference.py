"""Standard errors, intervals and p-values: against slow twins and by repetition."""

import numpy as np
import pytest
from scipy import stats

from kldiv import datasets, estimate_divergence
from kldiv._errors._leave_out import leave_out_groups
from kldiv._errors._permutations import _inner_edges, permutation_pvalue
from kldiv._errors._standard_errors import effects_of, spread_of
from tests import reference
from tests.ratios import log_ratio


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


def test_twice_the_groups_are_parts():
    fine, coarse = leave_out_groups(97, 20, 0), leave_out_groups(97, 10, 0)
    np.testing.assert_array_equal(fine % 10, coarse)
    assert (np.bincount(fine) >= 4).all()


@pytest.mark.parametrize(
    ("kind", "d"), [("shift", 10), ("narrow", 2), ("corr", 5), ("null", 2)]
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
        result = estimate_divergence(X, Y)
        estimates.append(result.standard_error)
        mixtures += result.n_components > 1
    # five Gaussians that overlap in two columns can look like one
    assert mixtures >= 6
    assert 0.02 < np.median(estimates) < 0.3


@pytest.mark.parametrize("d", [1, 20])
def test_pvalues_are_uniform_under_the_null(d):
    pvalues = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(size=(100, d)), rng.normal(size=(60, d))
        pvalues.append(permutation_pvalue(X, Y, 5, 99, rng, 1))
    assert stats.kstest(pvalues, stats.uniform.cdf).pvalue > 0.01
    assert np.mean(np.array(pvalues) <= 0.05) <= stats.binom.ppf(0.999, 200, 0.05) / 200


@pytest.mark.parametrize("kind", ["shift", "narrow", "wide", "corr"])
def test_pvalues_see_every_difference(kind):
    X, Y, _ = datasets.make_gaussian_pair(
        kind, n_features=20, n_samples=(200, 150), random_state=0
    )
    result = estimate_divergence(X, Y, n_permutations=199, random_state=0)
    assert result.pvalue == pytest.approx(1 / 200)


def test_inner_edges_by_hand():
    neighbours = np.array([[1], [0], [3], [0]])
    in_x = np.array([True, True, False, False])
    assert _inner_edges(in_x, neighbours) == (2, 1)


def test_seed_of_the_permutations(rng):
    X, Y = rng.normal(size=(50, 2)), rng.normal(0.3, 1, size=(50, 2))
    found = [
        estimate_divergence(X, Y, n_permutations=49, random_state=seed).pvalue
        for seed in (1, 1, np.random.default_rng(1))
    ]
    assert found[0] == found[1] == found[2]
    for wrong, error in ((-1, ValueError), (2.5, TypeError)):
        with pytest.raises(error, match="n_permutations must be"):
            estimate_divergence(X, Y, n_permutations=wrong)
