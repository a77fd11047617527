"""Which rows stand for the others."""

import numpy as np

from kldiv_attack.attackers._representatives import representatives


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
