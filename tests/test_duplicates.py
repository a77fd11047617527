"""Repeated rows are found exactly and follow the policy that was asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import kldiv._duplicates as duplicates
from kldiv import estimate_divergence, kl_divergence
from kldiv._duplicates import count_duplicates, row_ids, row_ids_exact
from tests import reference

SMALL = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)


@given(
    arrays(
        st.sampled_from([np.float32, np.float64]),
        SMALL,
        elements=st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5]),
    )
)
def test_row_ids_agree_with_sorting(rows):
    np.testing.assert_array_equal(row_ids(rows), row_ids_exact(rows))
    half = len(rows) // 2
    np.testing.assert_array_equal(row_ids(rows[:half], rows[half:]), row_ids(rows))


def test_hash_collisions_do_not_join_rows(monkeypatch, rng):
    rows = rng.integers(0, 3, size=(40, 2)).astype(float)
    monkeypatch.setattr(
        duplicates, "_row_hashes", lambda rows: np.zeros(len(rows), np.uint64)
    )
    np.testing.assert_array_equal(row_ids(rows), row_ids_exact(rows))
    both = row_ids(rows[:25], rows[25:])
    np.testing.assert_array_equal(both, row_ids_exact(rows))


def test_counts(rng):
    X, Y = rng.normal(size=(10, 3)), rng.normal(size=(8, 3))
    X[4] = X[1]
    Y[2] = X[1]
    Y[5] = Y[6]
    counts, keep_x, keep_y = count_duplicates(X, Y)
    assert (counts.within_x, counts.within_y, counts.shared) == (1, 1, 1)
    assert not counts.same_sample
    assert np.flatnonzero(~keep_x).tolist() == [4]
    assert np.flatnonzero(~keep_y).tolist() == [2, 6]


def test_raise_names_counts_and_leak(rng):
    X, Y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    Y[:7] = X[:7]
    with pytest.raises(ValueError, match="7 rows of Y also occur in X.*leaked"):
        kl_divergence(X, Y)
    X[1] = X[0]
    with pytest.raises(ValueError, match="1 rows of X repeat.*duplicates='drop'"):
        kl_divergence(X, Y[7:])


def test_drop_equals_the_estimate_without_them(rng):
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(50, 2))
    result = estimate_divergence(
        np.concatenate([X, X[:9]]),
        np.concatenate([Y, X[:5], Y[:4]]),
        duplicates="drop",
        correction=None,
    )
    assert result.value == kl_divergence(X, Y, correction=None)
    assert (result.n, result.m, result.n_duplicates) == (60, 50, 9 + 9)
    assert result.duplicates == "drop"


@pytest.mark.parametrize("copies", [2, 10])
def test_expand_agrees_with_the_slow_twin(copies, rng):
    X, Y = rng.normal(size=(40, 2)), rng.normal(1, 1, size=(50, 2))
    X = np.repeat(X, copies, axis=0)
    Y = np.concatenate([Y, X[:30]])
    found = kl_divergence(X, Y, duplicates="expand", correction=None, n_neighbors=3)
    assert found == pytest.approx(reference.kl_expanded(X, Y, 3), rel=1e-12)


def test_expand_of_clean_data_is_the_published_estimate(rng):
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    assert kl_divergence(X, Y, duplicates="expand", correction=None) == kl_divergence(
        X, Y, correction=None
    )


def test_expand_needs_two_different_rows(rng):
    X = np.ones((20, 2))
    with pytest.raises(ValueError, match="all 20 rows of X are equal"):
        kl_divergence(X, rng.normal(size=(20, 2)), duplicates="expand")


def test_same_sample_is_zero_with_a_warning(rng):
    X = rng.normal(size=(30, 2))
    with pytest.warns(UserWarning, match="same 30 rows"):
        result = estimate_divergence(X, rng.permutation(X))
    assert result.value == 0
    assert result.algorithm == "none: same sample"
