"""Which public images back one another, and which stand for the rest."""

import numpy as np
import pytest

from kldiv_attack.attackers._likeness import (
    backed_certainty,
    representatives,
    taught_features,
)


def answers_of(odds, called):
    """Answers of two classes: log odds of the one that an image is called."""
    share = 1 / (1 + np.exp(-np.asarray(odds, dtype=np.float64)))
    other = 1 - share
    first = np.where(np.asarray(called) == 0, share, other)
    return np.stack([first, 1 - first], axis=1).astype(np.float32)


def test_an_image_is_backed_by_the_nearest_of_its_own_class():
    """Two kinds of eleven images, far apart: in one a single image is sure."""
    features = np.r_[np.linspace(0, 1, 11), np.linspace(100, 101, 11)][:, None]
    odds = np.r_[np.full(11, 4.0), 4.0, np.full(10, 2.0)]
    called = np.r_[np.zeros(12), np.ones(10)]
    backed = backed_certainty(answers_of(odds, called), features)
    np.testing.assert_allclose(backed[:11], 4.0, rtol=1e-5)
    np.testing.assert_allclose(backed[11], 2.0, rtol=1e-5)  # all others go elsewhere
    np.testing.assert_allclose(backed[12:], (2 + 0.9 * 2) / 2, rtol=1e-5)


def test_a_single_image_has_only_itself():
    backed = backed_certainty(answers_of([3.0], [1]), np.zeros((1, 2)))
    np.testing.assert_allclose(backed, 3.0, rtol=1e-5)


def test_representatives_follow_the_density():
    """Three quarters of the rows lie in a cluster of a tenth of the other's width."""
    rng = np.random.default_rng(0)
    dense, wide = rng.normal(0, 0.1, (450, 2)), rng.normal(20, 1, (150, 2))
    chosen = representatives(np.r_[dense, wide], 100, rng)
    assert len(set(chosen.tolist())) == 100
    assert 68 <= (chosen < 450).sum() <= 82
    np.testing.assert_array_equal(chosen, np.sort(chosen))


def test_representatives_reach_more_rows_than_a_random_choice():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 2))
    chosen = representatives(rows, 40, rng)

    def reached(some):
        apart = np.linalg.norm(rows[:, None] - rows[some], axis=2).min(axis=1)
        own = np.sort(np.linalg.norm(rows[:, None] - rows, axis=2), axis=1)[:, 10]
        return (apart <= own).mean()

    random = max(reached(rng.permutation(400)[:40]) for _ in range(20))
    assert reached(chosen) > random


def test_representatives_of_repeated_and_of_many_rows():
    rng = np.random.default_rng(2)
    assert len(set(representatives(np.zeros((30, 3)), 12, rng).tolist())) == 12
    np.testing.assert_array_equal(representatives(np.eye(5), 5, rng), np.arange(5))
    assert len(representatives(np.zeros((1, 2)), 1, rng)) == 1
    many = representatives(rng.normal(size=(3500, 2)), 20, rng)
    assert len(set(many.tolist())) == 20
    assert many.max() < 3500


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16)])
def test_features_are_scaled_and_repeat(shape):
    rng = np.random.default_rng(3)
    images = rng.random((60, *shape)).astype(np.float32)
    answers = answers_of(rng.normal(size=60), np.arange(60) % 2)
    found = taught_features(images, answers, 0, verbose=0)
    assert found.shape == (60, 60 + 64)
    for part in (found[:, :60], found[:, 60:]):
        np.testing.assert_allclose(np.square(part).sum(axis=1).mean(), 1, rtol=1e-5)
    np.testing.assert_array_equal(found, taught_features(images, answers, 0, verbose=0))
