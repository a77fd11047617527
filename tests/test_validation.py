"""Awkward arrays: converted without loss, or refused with a clear error."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from kldiv import kl_divergence, neighbor_distances
from kldiv._validation import (
    check_integer,
    check_labels,
    check_probabilities,
    check_sample,
)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.int32, np.float64),
        (np.uint8, np.float64),
        (bool, np.float64),
    ],
)
def test_dtypes(dtype, expected):
    checked = check_sample(np.ones((3, 2), dtype=dtype), "X")
    assert checked.dtype == expected
    assert checked.flags.c_contiguous


def test_shapes():
    assert check_sample([1.0, 2.0, 3.0], "X").shape == (3, 1)
    assert check_sample(np.zeros((5, 1, 4, 4)), "X").shape == (5, 16)
    assert check_sample([[1, 2], [3, 4]], "X").shape == (2, 2)
    assert check_sample(np.zeros((6, 8))[::2, ::2], "X").shape == (3, 4)


def test_frames_and_tensors():
    pandas = pytest.importorskip("pandas")
    torch = pytest.importorskip("torch")
    rows = np.arange(6.0).reshape(3, 2)
    for sample in (pandas.DataFrame(rows), torch.tensor(rows, requires_grad=True)):
        np.testing.assert_array_equal(check_sample(sample, "X"), rows)


def test_object_rows_become_numbers():
    rows = np.array([[1, 2.5], [3, 4]], dtype=object)
    assert check_sample(rows, "X").dtype == np.float64


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_non_finite_values_are_located(bad, which, rng):
    samples = [rng.normal(size=(20, 3)), rng.normal(size=(20, 3))]
    samples[which][7, 2] = bad
    with pytest.raises(ValueError, match=f"{'XY'[which]} holds .* row 7, column 2"):
        kl_divergence(*samples)
    with pytest.raises(ValueError, match="row 7, column 2"):
        neighbor_distances(*samples)


def test_huge_finite_values_are_not_called_infinite():
    rows = np.full((4, 2), 1e308)
    np.testing.assert_array_equal(check_sample(rows, "X"), rows)


@pytest.mark.parametrize(
    ("sample", "error", "message"),
    [
        (np.zeros((0, 3)), ValueError, "no rows"),
        (np.zeros((3, 0)), ValueError, "no columns"),
        (3.0, ValueError, "single number"),
        (csr_array(np.eye(3)), TypeError, "sparse.*toarray"),
        (np.eye(3) * 1j, TypeError, "complex"),
        ([["a"], ["b"]], TypeError, "Encode categories"),
    ],
)
def test_refused(sample, error, message):
    with pytest.raises(error, match=message):
        check_sample(sample, "X")


def test_different_widths(rng):
    with pytest.raises(
        ValueError, match="Y has 2 features, but the other sample has 3"
    ):
        kl_divergence(rng.normal(size=(20, 3)), rng.normal(size=(20, 2)))


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError)]
)
def test_n_neighbors(value, error, rng):
    with pytest.raises(error, match="n_neighbors must be"):
        kl_divergence(rng.normal(size=20), rng.normal(size=20), n_neighbors=value)


@pytest.mark.parametrize("value", [True, "5", None])
def test_n_neighbors_of_a_wrong_type(value):
    with pytest.raises(TypeError, match="integer of at least 1"):
        check_integer(value, "n_neighbors")


@pytest.mark.parametrize(("n", "m"), [(5, 20), (20, 4)])
def test_too_few_rows_name_both_sizes(n, m, rng):
    with pytest.raises(ValueError, match=f"n_samples={n}, Y has n_samples={m}"):
        kl_divergence(rng.normal(size=n), rng.normal(size=m))


def test_labels():
    np.testing.assert_array_equal(check_labels([[1], [2]], "y", 2), [1, 2])
    with pytest.raises(ValueError, match="one label for each of 3 rows"):
        check_labels([1, 2], "y", 3)
    with pytest.raises(ValueError, match="NaN or infinite labels"):
        check_labels([1.0, np.nan], "y", 2)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.4], [0.5, 0.5]], "row 0 sums to 0.9"),
        ([[1.5, -0.5], [0.5, 0.5]], "negative probability"),
        ([[np.nan, 1.0], [0.5, 0.5]], "NaN"),
        ([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]], r"needs shape \(2, 2\)"),
    ],
)
def test_probabilities(rows, message):
    with pytest.raises(ValueError, match=message):
        check_probabilities(rows, "answers", 2, 2)
