"""What a learned ratio misses, beyond what it would miss were it true."""

import numpy as np
import pytest

from kldiv._preparation import PreparedPair
from kldiv._ratio._classifier import fit_classifier
from kldiv._ratio._common import common_balls, common_members, missed_by
from kldiv._ratio._corrections import CORRECTIONS
from kldiv._ratio._log_ratio import Settings
from kldiv._ratio._relabelled import missed_beyond_chance


def learned(X, Y, settings=None):
    """The pair, its balls, and a classifier."""
    settings = settings or Settings(5)
    pair = PreparedPair(X, Y, X.shape[1], n_duplicates=0)
    members = common_members(pair, settings)
    return common_balls(pair, settings), members, fit_classifier(X, Y)


def test_nothing_is_added_where_nothing_differs(rng):
    found = learned(rng.normal(size=(800, 6)), rng.normal(size=(500, 6)))
    added, error = missed_beyond_chance(*found)
    assert 0 <= added < 0.03
    assert 0 < error < 0.15


def test_what_no_column_tells_is_seen_by_balls(rng):
    """Two peaks along three directions: a classifier of columns and of their products
    hardly sees them, balls do."""
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    X = rng.choice([-1.5, 1.5], (1500, 3)) + 0.5 * rng.normal(size=(1500, 3))
    Y = np.sqrt(2.5) * rng.normal(size=(1000, 3))
    found = learned(X @ turn, Y)
    said = found[2].learned[:1500].mean()
    added, error = missed_beyond_chance(*found)
    assert said < 1
    assert 0.25 < added <= error
    assert said + added == pytest.approx(3 * 0.4617, abs=0.35)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.statistical) for seed in (1, 2))]
)
def test_rows_that_hardly_overlap_are_not_missed_twice(seed):
    """Few rows of Y carry all the weight, so that balls miss nats of a true ratio."""
    rng = np.random.default_rng(seed)
    X, Y = rng.gamma(2, 0.5, (1000, 50)), rng.exponential(size=(500, 50))
    found = learned(X, Y)
    added, error = missed_beyond_chance(*found)
    missed = missed_by(*found[:2], found[2].learned).mean()
    truth = 50 * (np.log(2) - np.euler_gamma)
    assert missed > 3
    assert added < 0.7 * missed
    assert found[2].learned[:1000].mean() + added == pytest.approx(truth, rel=0.35)
    assert error < 3


def test_the_estimate_is_the_learned_ratio_and_what_it_misses(rng):
    X, Y = rng.laplace(size=(400, 8)), 1.5 * rng.normal(size=(300, 8))
    pair = PreparedPair(X, Y, 8, n_duplicates=0)
    ratio = CORRECTIONS["classifier"].log_ratio(pair, Settings(5))
    _, _, classifier = found = learned(X, Y)
    added, error = missed_beyond_chance(*found)
    np.testing.assert_allclose(
        ratio.values, classifier.learned[:400] + added, rtol=1e-12
    )
    assert ratio.fit_error >= error


def test_samples_of_other_sizes_of_which_not_all_rows_are_fitted(rng):
    X, Y = rng.normal(0.7, 1, (1500, 4)), rng.normal(size=(12_000, 4))
    found = learned(X, Y)
    added, _ = missed_beyond_chance(*found)
    assert added < 0.05
    value = found[2].learned[:1500].mean() + added
    assert value == pytest.approx(0.98, abs=0.1)


def test_labels_that_are_certain(rng):
    """Samples that a gap divides: nothing can be drawn, and nothing is known."""
    X, Y = rng.normal(1e3, 1, (200, 2)), rng.normal(size=(200, 2))
    added, error = missed_beyond_chance(*learned(X, Y))
    assert added >= 0
    assert np.isfinite(error)
