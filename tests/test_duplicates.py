"""Repeated rows are found exactly and follow the policy that was asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import kldiv._duplicates as duplicates
from kldiv import estimate_divergence, kl_divergence
from kldiv._duplicates import (
    count_duplicates,
    dither,
    grid_steps,
    row_ids,
    row_ids_exact,
)
from tests import reference
from tests.tolerances import OTHER_ORDER

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
        duplicates, "row_hashes", lambda rows: np.zeros(len(rows), np.uint64)
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
    with pytest.warns(
        UserWarning, match="weight of the distributions at single points"
    ):
        found = kl_divergence(X, Y, duplicates="expand", correction=None, n_neighbors=3)
    assert found == pytest.approx(reference.kl_expanded(X, Y, 3), rel=OTHER_ORDER)


def test_warnings_name_the_line_of_the_caller(rng):
    X = np.repeat(rng.normal(size=(40, 2)), 2, axis=0)
    for function in (kl_divergence, estimate_divergence):
        with pytest.warns(UserWarning, match="40 rows of X repeat") as found:
            function(X, rng.normal(size=(30, 2)), duplicates="expand")
        assert found[0].filename == __file__


def test_grid_steps(rng):
    columns = np.column_stack(
        [
            rng.poisson(3, 200),
            rng.normal(size=200).round(1),
            rng.normal(size=200),
            np.full(200, 2.5),
            rng.choice([0.0, 0.3, 1.7], 200),
            3 * rng.integers(0, 4, 200) + 0.5,
        ]
    ).astype(float)
    columns[:, 1] += 0.1 + 0.2 - 0.3  # 0.1 + 0.2 is not 0.3
    expected = [1, 0.1, 0, 0, 0, 3]
    np.testing.assert_allclose(grid_steps(columns[:90], columns[90:]), expected)
    single = columns.astype(np.float32)
    np.testing.assert_allclose(
        grid_steps(single[:90], single[90:]), expected, rtol=1e-4
    )


@pytest.mark.parametrize("unit", [1e-300, 1e-40, 1e40, 1e193])
def test_grid_steps_beyond_single_precision(unit):
    values = np.array([[0.0], [1.0], [2.0], [5.0]])
    np.testing.assert_allclose(grid_steps(values * unit, values * unit), unit)


@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_dither_stays_in_the_cell(n, seed, step):
    rng = np.random.default_rng(seed)
    X, Y = (step * rng.integers(0, 9, (n, 2)) for _ in range(2))
    X[0], Y[0] = 0, step  # one step at least
    spread = dither(X, Y, rng)
    for sample, moved in zip((X, Y), spread, strict=True):
        np.testing.assert_array_equal(np.round(moved / step), np.round(sample / step))
        assert (moved != sample).any()


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
