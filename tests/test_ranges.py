"""The plane that rows span: linear coordinates do not count, and who leaves it."""

import numpy as np
import pytest

from kldiv import datasets, estimate_divergence
from kldiv._preparation._pair import _known_moments
from kldiv._ranges import Sample, moments_of, span_of
from tests.tolerances import MAPPED


@pytest.mark.parametrize("kind", ["shift", "narrow"])
@pytest.mark.parametrize(
    "change",
    ["constant column", "linear image", "scaled column", "collinear column", "moved"],
)
def test_the_value_does_not_depend_on_linear_coordinates(kind, change, rng):
    """Some candidates of "auto" look at columns, and a plane has none of its own."""
    turned = change in ("linear image", "collinear column")
    X, Y, _ = datasets.make_gaussian_pair(kind, random_state=0)
    options = {"confidence_level": None}
    auto = estimate_divergence(X, Y, **options).value
    expected = estimate_divergence(X, Y, correction="mixture", **options).value
    pooled = np.concatenate([X, Y])
    if change == "constant column":
        pooled = np.column_stack([pooled, np.full(len(pooled), 7.0)])
    elif change == "linear image":
        pooled = pooled @ rng.normal(size=(2, 50))
    elif change == "scaled column":
        pooled = pooled * [1.0, 1e6]
    elif change == "collinear column":
        pooled = np.column_stack([pooled, pooled @ [2.0, -1.0] + 3])
    else:
        pooled = pooled + 1e4
    changed = pooled[: len(X)], pooled[len(X) :]
    found = estimate_divergence(*changed, correction="mixture", **options)
    assert found.n_features == 2
    assert found.value == pytest.approx(expected, rel=MAPPED)
    again = estimate_divergence(*changed, **options).value
    assert again == pytest.approx(auto, abs=0.05 if turned else 1e-6 * auto)


def test_scaled_column_in_ten_dimensions():
    X, Y, _ = datasets.make_gaussian_pair("corr", n_features=10, random_state=0)
    scale = np.ones(10)
    scale[3] = 1e6
    found = estimate_divergence(X * scale, Y * scale).value
    assert found == pytest.approx(estimate_divergence(X, Y).value, rel=MAPPED)


def test_few_rows_on_a_plane_of_many_columns_are_not_projected(rng):
    X, Y = rng.normal(size=(10, 40)), rng.normal(size=(8, 40))
    assert span_of(Sample(X), Sample(Y)).X is X


def on_a_plane(rng, n, m, d, rank, spread=1.0, offset=3.0):
    """Rows of two samples on a common plane, columns of very different size."""
    basis = rng.normal(size=(rank, d)) * 10.0 ** rng.uniform(-spread, spread, d)
    offset = (offset > 0) * 10.0 ** rng.uniform(0, offset, d)
    return rng.normal(size=(n, rank)) @ basis + offset, rng.normal(
        0.5, 2.0, (m, rank)
    ) @ basis + offset


def test_moments_of_a_union_are_a_sum(rng):
    X, Y = rng.normal(3, 1, (40, 5)), rng.normal(-2, 2, (7, 5))
    found, expected = (
        moments_of(X) + moments_of(Y),
        moments_of(np.concatenate([X, Y])),
    )
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13)
    np.testing.assert_allclose(found.scatter, expected.scatter, rtol=1e-12)
    assert found.n == 47


@pytest.mark.parametrize(("d", "rank"), [(3, 2), (12, 5), (60, 59), (60, 8)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_on_a_plane_are_brought_into_it(d, rank, dtype, rng):
    # in float32 an offset would round the rows off the plane
    spread, offset = {np.float64: (1.0, 3.0), np.float32: (0.0, 0.0)}[dtype]
    X, Y = on_a_plane(rng, 150, 90, d, rank, spread, offset)
    X, Y = X.astype(dtype), Y.astype(dtype)
    span = span_of(Sample(X), Sample(Y))
    assert span.X.shape == (150, rank)
    assert span.Y.shape == (90, rank)
    assert span.flat is None
    pooled = np.concatenate([X, Y]).astype(np.float64)
    pooled = (pooled - pooled.mean(axis=0)) / pooled.std(axis=0)
    rows = np.concatenate([span.X, span.Y])
    for one in (0, 100):
        far = np.linalg.norm(pooled - pooled[one], axis=1)
        turned = np.linalg.norm(rows - rows[one], axis=1)
        tolerance = {np.float64: 1e-9, np.float32: 1e-5}[dtype]
        np.testing.assert_allclose(turned, far, rtol=tolerance)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("constant", [0, 3])
@pytest.mark.parametrize("rank", [8, 36, 39])
def test_any_basis_of_a_plane_keeps_distances(rank, constant, dtype, rng):
    X, Y = on_a_plane(rng, 150, 90, 40, rank, spread=0.0, offset=0.0)
    X[:, :constant], Y[:, :constant] = 1.0, rng.normal(size=(90, constant))
    X, Y = X.astype(dtype), Y.astype(dtype)
    one, other = (span_of(Sample(X), Sample(Y), any_basis=a) for a in (False, True))
    assert one.flat == other.flat
    assert one.X.shape == other.X.shape
    for own, any_basis in ((one.X, other.X), (one.Y, other.Y)):
        far = (
            np.linalg.norm(rows - other_x, axis=1)
            for rows, other_x in ((own, one.X[7]), (any_basis, other.X[7]))
        )
        np.testing.assert_allclose(*far, rtol=1e-10, atol=1e-10)


def test_moments_known_of_the_rows_as_given(rng):
    given = rng.normal(2, 1, (70, 6)) * [1, 2, 3, 0, 4, 1e-3] + [0, 0, 0, 5, 0, 0]
    columns = np.array([5, 0, 3, 2])
    rows = given[rng.permutation(70)][:, columns]
    expected, found = moments_of(rows), _known_moments(given, columns)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13)
    np.testing.assert_allclose(found.scatter, expected.scatter, rtol=1e-10, atol=1e-12)
    assert found.n == 70
    assert found.scatter[2, 2] == 0


def test_rows_that_span_all_columns_stay_as_they_are(rng):
    X, Y = on_a_plane(rng, 80, 60, 6, 6)
    span = span_of(Sample(X), Sample(Y))
    assert span.X is X
    assert span.Y is Y
    assert span.flat is None


@pytest.mark.parametrize("name", ["X", "Y"])
@pytest.mark.parametrize("rank", [3, 9])
def test_a_flat_sample_is_named_with_its_dimension(name, rank, rng):
    full = rng.normal(5.0, 1.0, (100, 10))
    flat = rng.normal(size=(70, rank)) @ rng.normal(size=(rank, 10)) + 3.0
    pair = (flat, full) if name == "X" else (full, flat)
    assert span_of(*map(Sample, pair)).flat == (name, rank)


def test_a_flat_sample_within_a_plane_of_both(rng):
    X, Y = on_a_plane(rng, 200, 150, 12, 6)
    basis = np.linalg.svd(Y - Y.mean(axis=0), full_matrices=False)[2][:4]
    X = X.mean(axis=0) + (X - X.mean(axis=0)) @ basis.T @ basis
    span = span_of(Sample(X), Sample(Y))
    assert span.X.shape[1] == 6
    assert span.flat == ("X", 4)


def test_columns_that_vary_in_few_rows_count(rng):
    X, Y = rng.normal(size=(400, 3)), rng.normal(size=(300, 3))
    rare = np.zeros((400, 1))
    rare[57] = 1.0
    X, Y = np.hstack([X, rare, 2 * rare]), np.hstack([Y, np.zeros((300, 2))])
    span = span_of(Sample(X), Sample(Y))
    assert span.X.shape == (400, 4)
    assert span.flat == ("Y", 3)


@pytest.mark.parametrize("offset", [0.0, 1.6e9])
def test_start_and_end_times(offset, rng):
    """Of the two, only their difference tells: it is small, but no rounding."""
    a, b = offset + rng.uniform(0, 1e8, (2, 1000))
    p, q = rng.exponential(0.001, 1000), rng.exponential(0.005, 1000)
    times = np.c_[a, a + p], np.c_[b, b + q]
    durations = np.c_[a, times[0][:, 1] - a], np.c_[b, times[1][:, 1] - b]
    options = {"confidence_level": None}
    found = estimate_divergence(*times, duplicates="drop", **options)
    assert found.n_features == 2
    assert found.value == pytest.approx(np.log(5) - 0.8, abs=0.15)
    expected = estimate_divergence(*durations, duplicates="drop", **options).value
    assert found.value == pytest.approx(expected, abs=0.05)


def test_columns_that_are_equal_up_to_rounding_count_once(rng):
    X, Y = rng.normal(1, 1, (300, 2)), rng.normal(0, 1, (200, 2))
    expected = estimate_divergence(X, Y, confidence_level=None)
    for change in (lambda x: x, lambda x: x * (1 + 1e-15), lambda x: x * 0.1 + 0.2):
        wide = [np.c_[sample, change(sample[:, 0])] for sample in (X, Y)]
        found = estimate_divergence(*wide, confidence_level=None)
        assert found.n_features == 2
        assert found.value == pytest.approx(expected.value, abs=0.1)


def test_a_small_direction_that_is_no_rounding_counts(rng):
    X, Y = rng.normal(0, 1, (400, 2)), rng.normal(0, 1, (300, 2))
    X[:, 1], Y[:, 1] = (
        X[:, 0] + 1e-9 * (X[:, 1] + 1.0),
        Y[:, 0] + 1e-9 * Y[:, 1],
    )
    found = estimate_divergence(X, Y)
    assert found.n_features == 2
    assert found.value == pytest.approx(0.5, abs=0.15)


def test_samples_that_are_constant_in_one_column_each(rng):
    """The divergence is infinite, whatever the interval is made of."""
    X, Y = rng.normal(2, 1, (200, 2)), rng.normal(0, 1, (150, 2))
    with pytest.warns(UserWarning, match="vary in 2 of 3 dimensions.*infinite"):
        found = estimate_divergence(np.c_[X, np.ones(200)], np.c_[Y, np.zeros(150)])
    assert found.trust == "do not use"


@pytest.mark.parametrize("seed", range(4))
def test_rounding_of_a_wide_spectrum_adds_no_dimension(seed):
    """Columns that few rows have, as at the border of images, vary most of all when
    each is measured by its own spread."""
    rng = np.random.default_rng(seed)
    n, m, dense = 1500, 2500, 40
    few = rng.integers(1, 4, size=30)
    rows = iter(rng.permutation(n + m))
    columns = [rng.normal(size=(n + m, dense)) @ rng.normal(size=(dense, dense))]
    for k in few:
        rare = np.zeros((n + m, k + 3))
        rare[[next(rows) for _ in range(k)]] = rng.integers(1, 256, (k, k + 3)) / 255
        columns.append(rare)
    pooled = np.hstack(columns)
    span = span_of(Sample(pooled[:n]), Sample(pooled[n:]))
    assert span.X.shape[1] == dense + few.sum()
    turned = span_of(Sample(pooled[n - 1 :: -1]), Sample(pooled[: n - 1 : -1]))
    assert turned.X.shape == span.X.shape
    assert turned.flat == span.flat
