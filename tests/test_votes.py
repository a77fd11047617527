"""log p/q from the labels of neighbours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from kldiv._ratio import _votes
from kldiv._ratio._classifier import judged_rows, log_loss
from kldiv._ratio._votes import neighbor_votes
from tests.tolerances import ITERATED, OTHER_ORDER


def slow_votes(X, Y, k):
    """Labels of the k nearest other rows of both samples, one row at a time."""
    pooled, n, m = np.concatenate([X, Y]), len(X), len(Y)
    distances = cdist(pooled, pooled)
    np.fill_diagonal(distances, np.inf)
    of_x = (np.argsort(distances, axis=1)[:, :k] < n).sum(axis=1)
    share = n / (n + m)
    return np.log((of_x + share) / n) - np.log((k - of_x + 1 - share) / m)


def test_the_best_of_slow_twins(rng):
    X, Y = rng.normal(0.7, 1, (130, 2)), rng.normal(size=(120, 2))
    slow = [slow_votes(X, Y, k) for k in _votes._NEIGHBORS]
    best = min(slow, key=lambda one: log_loss(one, 130).mean())
    np.testing.assert_allclose(neighbor_votes(X, Y, 1), best, atol=OTHER_ORDER)


@settings(max_examples=10)
@given(st.integers(0, 100), st.integers(1, 4))
def test_order_of_rows_and_columns(seed, d):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(0.5, 1, (70, d)), rng.normal(size=(50, d))
    expected = neighbor_votes(X, Y, 1)
    i, j, columns = rng.permutation(70), rng.permutation(50), rng.permutation(d)
    turned = (np.ascontiguousarray(rows[:, columns]) for rows in (X[i], Y[j]))
    found = neighbor_votes(*turned, 1)
    np.testing.assert_allclose(
        found, expected[np.concatenate([i, 70 + j])], atol=ITERATED
    )


def test_exchanging_the_samples_changes_the_sign(rng):
    X, Y = rng.normal(0.7, 1, (60, 2)), rng.normal(size=(60, 2))
    found, exchanged = neighbor_votes(X, Y, 1), neighbor_votes(Y, X, 1)
    np.testing.assert_allclose(found[:60], -exchanged[60:], atol=OTHER_ORDER)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_laws_with_a_known_ratio(shift):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(shift, 1, (1000, 1)), rng.normal(size=(800, 1))
    pooled = np.concatenate([X, Y])[:, 0]
    truth = log_loss(shift * pooled - shift**2 / 2, 1000).mean()
    found = log_loss(neighbor_votes(X, Y, 1), 1000).mean()
    assert truth - 0.01 < found < truth + 0.02


def test_few_rows_say_nothing(rng):
    X, Y = rng.normal(size=(30, 2)), rng.normal(5, 1, size=(10, 2))
    np.testing.assert_array_equal(neighbor_votes(X, Y, 1), np.zeros(40))


def test_some_rows_of_a_large_sample_vote_as_all_do(rng):
    X, Y = rng.normal(0.7, 1, (9000, 2)), rng.normal(size=(1000, 2))
    votes = neighbor_votes(X, Y, 1)
    assert votes.shape == (5000,)
    rows = np.concatenate([X[judged_rows(9000)], Y])
    nothing, truth = np.zeros(5000), 0.7 * rows.sum(axis=1) - 0.49
    lost = [log_loss(one, 4000).mean() for one in (truth, votes, nothing)]
    assert lost[0] < lost[1] < lost[0] + 0.3 * (lost[2] - lost[0])
