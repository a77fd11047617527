"""Balls that both samples share: counts, what they see of a learned ratio, effects."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import digamma

from kldiv import estimate_divergence
from kldiv._preparation import PreparedPair
from kldiv._ratio._common import common_balls, members_of, missed_by
from kldiv._ratio._corrections import CORRECTIONS
from kldiv._ratio._log_ratio import Settings


def pair_of(X, Y):
    return PreparedPair(X, Y, X.shape[1], n_duplicates=0)


def test_log_ratios_by_hand(rng):
    X, Y, k = rng.normal(size=(60, 2)), rng.normal(size=(40, 2)), 3
    found = common_balls(pair_of(X, Y), Settings(k, scale=None))
    own, other = cdist(X, X), cdist(X, Y)
    np.fill_diagonal(own, np.inf)
    rho, nu = np.sort(own)[:, k - 1], np.sort(other)[:, k - 1]
    of_x = (own <= np.maximum(rho, nu)[:, None]).sum(axis=1)
    of_y = (other <= np.maximum(rho, nu)[:, None]).sum(axis=1)
    expected = np.where(
        rho >= nu,
        digamma(k) - digamma(of_y + 1),
        digamma(of_x + 1) - digamma(k),
    )
    np.testing.assert_allclose(found.values, expected + np.log(40 / 59), rtol=1e-9)


def test_balls_are_searched_once(rng):
    pair = pair_of(rng.normal(size=(50, 2)), rng.normal(size=(50, 2)))
    assert common_balls(pair, Settings(3)) is common_balls(pair, Settings(3))
    assert common_balls(pair, Settings(3)) is not common_balls(pair, Settings(4))


def test_what_larger_balls_lose_is_added_in_half_and_is_an_error(rng):
    """Peaks that balls in five columns smooth away, and a law that has none."""
    X = rng.choice([-1.5, 1.5], (1000, 5)) + 0.5 * rng.normal(size=(1000, 5))
    pair = pair_of(X, 1.6 * rng.normal(size=(500, 5)))
    settings = Settings(5)
    found = CORRECTIONS["common"].log_ratio(pair, settings)
    counted = common_balls(pair, settings).values.mean()
    # the truth is 2.31
    assert counted + 0.4 < found.values.mean() < 2.31
    assert found.fit_error == pytest.approx(2 * (found.values.mean() - counted))
    same = pair_of(rng.normal(size=(1000, 5)), rng.normal(size=(500, 5)))
    assert CORRECTIONS["common"].log_ratio(same, settings).fit_error < 0.05


def test_the_columns_around_a_curve_do_not_matter(rng):
    """Two dimensions bent into twenty columns, with little noise, as in two columns."""
    bends = rng.normal(size=(2, 20))

    def curved(Z):
        return np.tanh(Z @ bends) + 1e-3 * rng.normal(size=(len(Z), 20))

    flat = rng.normal(0.7, 1, (1000, 2)), rng.normal(size=(500, 2))
    curved_pair = [curved(Z) for Z in flat]
    value = estimate_divergence(*curved_pair, correction="common").value
    assert value == pytest.approx(0.49, abs=0.15)


def test_counted_by_the_true_ratio_nothing_is_missed(rng):
    X, Y = rng.normal(0.5, 1, (2000, 5)), rng.normal(size=(1000, 5))
    true = 0.5 * np.concatenate([X, Y]).sum(axis=1) - 0.625
    found = common_balls(pair_of(X, Y), Settings(5))
    members = members_of(found)
    missed = missed_by(found, members, true)
    assert missed.mean() == pytest.approx(0, abs=0.08)
    nothing_known = missed_by(found, members, np.zeros(3000))
    np.testing.assert_allclose(nothing_known, found.values, rtol=1e-12)
    # plain counts see about half of 0.625 nats in so wide balls
    assert nothing_known.mean() < 0.55


def test_effects_of_rows_are_counts(rng):
    X, Y = rng.normal(size=(80, 2)), rng.normal(size=(70, 2))
    found = common_balls(pair_of(X, Y), Settings(4))
    members = members_of(found)
    of_x, of_y = members.effects(np.full(80, 1 / 80))
    assert of_x.sum() == pytest.approx(80, rel=1e-12)
    assert of_y.sum() == pytest.approx(-70, rel=1e-12)
    # a row that lies in no ball has no effect
    assert (of_y[~members.in_y.any(axis=0)] == 0).all()


def test_standard_errors_against_repetitions():
    found = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(0.5, 1, (300, 2)), rng.normal(size=(200, 2))
        found.append(estimate_divergence(X, Y, correction="common"))
    spread = np.std([one.value for one in found])
    told = np.mean([one.standard_error for one in found])
    assert 0.8 * spread < told < 1.8 * spread
