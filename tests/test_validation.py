"""Awkward arrays: converted without loss, or refused with a clear error."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from kldiv import (
    ConditionalKLScorer,
    KSDistance,
    divergence,
    estimate_divergence,
    kl_divergence,
    ks_test,
    neighbor_distances,
)
from kldiv._validation import (
    check_integer,
    check_labels,
    check_probabilities,
    check_sample,
)
from kldiv.datasets import make_gaussian_pair


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
    np.testing.assert_array_equal(check_labels([[1], [2]], "train", 2), [1, 2])
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
        ([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]], r"need shape \(2, 2\)"),
    ],
)
def test_probabilities(rows, message):
    with pytest.raises(ValueError, match=message):
        check_probabilities(rows, "aux", 2, np.array([0, 1]))


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64])
def test_narrow_integers_count_as_others_do(kind, rng):
    X, Y = rng.normal(size=(2, 80, 2))
    for correction in (None, "auto"):
        narrow = {"n_neighbors": kind(5), "exclusion_window": kind(0)}
        assert kl_divergence(X, Y, **narrow, correction=correction) == kl_divergence(
            X, Y, n_neighbors=5, correction=correction
        )
    same = estimate_divergence(X, Y, n_permutations=kind(9), random_state=kind(1))
    assert (
        same.pvalue
        == estimate_divergence(X, Y, n_permutations=9, random_state=1).pvalue
    )
    orders = [divergence(X, Y, divergence="renyi", order=o) for o in (0.5, kind(1) / 2)]
    assert orders[0] == orders[1]
    assert isinstance(orders[1], float)


@pytest.mark.parametrize(
    ("given", "error"),
    [("a", TypeError), (1.5, TypeError), (True, TypeError), (-1, ValueError),
     ([1, -2], ValueError), (np.random, TypeError), ([0.5], TypeError)],
)  # fmt: skip
def test_seeds_that_are_none(given, error, rng):
    X, Y = rng.normal(size=(2, 60, 2))
    labelled = (X, np.zeros(60)), (Y, np.zeros(60))
    for call in (
        lambda: kl_divergence(X, Y, random_state=given),
        lambda: ks_test(X, Y, random_state=given),
        lambda: KSDistance(random_state=given).fit(X),
        lambda: ConditionalKLScorer(random_state=given).fit(*labelled),
        lambda: make_gaussian_pair(random_state=given),
    ):
        with pytest.raises(error, match="random_state must be None, an integer of at"):
            call()


def test_seeds_of_every_kind(rng):
    X, Y = rng.normal(size=(2, 60, 20))
    labelled = (X, np.zeros(60)), (Y, np.zeros(60))
    for seed in (0, 2**70, [1, 2], np.random.SeedSequence(1), np.random.RandomState(1)):
        result = estimate_divergence(X, Y, n_permutations=3, random_state=seed)
        assert 0 < result.pvalue <= 1
        ConditionalKLScorer(random_state=seed, floors=False).fit(*labelled)


@pytest.mark.parametrize("level", ["0.95", [0.9], 1j])
def test_levels_that_are_no_numbers(level, rng):
    X, Y = rng.normal(size=(2, 60, 2))
    with pytest.raises(TypeError, match="confidence_level must be between 0 and 1"):
        estimate_divergence(X, Y, confidence_level=level)


@pytest.mark.skipif(
    np.finfo(np.longdouble).maxexp <= np.finfo(np.float64).maxexp,
    reason="long doubles are no wider here",
)
def test_numbers_wider_than_float64_are_told_without_a_warning(rng):
    X = rng.normal(size=(60, 2))
    wide = np.ldexp(X.astype(np.longdouble), 2000)
    with pytest.raises(ValueError, match="X holds 0 NaN and 120 infinite values"):
        kl_divergence(wide, X)


def test_nothing_is_no_sample(rng):
    with pytest.raises(TypeError, match="X is None; rows of numbers are needed. Give"):
        kl_divergence(None, rng.normal(size=(60, 2)))


def test_times_are_no_weights(rng):
    X, Y = rng.normal(size=(2, 60, 2))
    with pytest.raises(TypeError, match="one real number for each row is needed"):
        kl_divergence(X, Y, sample_weight=np.ones(60).astype("m8[s]"))
