"""Exact neighbour distances: every algorithm against the slow twin and each other."""

import hashlib
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kldiv import neighbor_distances
from kldiv._backends import BACKENDS
from kldiv._backends._filter import bytes_available
from kldiv._neighbors import BLOCKS, search
from tests.available import AVAILABLE
from tests.reference import neighbor_blocks_longdouble
from tests.tolerances import DISTANCES

# Relative error of one distance, per square root of the number of features.
TOLERANCE = 4e-16
EUCLIDEAN = [
    name
    for name in AVAILABLE
    if name != "sorted" and (name != "int8" or bytes_available(8))
]
OTHER_METRICS = [
    (name, metric) for name in AVAILABLE for metric in BACKENDS[name].metrics[1:]
]


def worst_error(found, expected):
    """Largest relative error; zeros must be met exactly.

    A distance that is itself subnormal may be off by its last digit.
    """
    assert found.shape == expected.shape
    assert ((expected == 0) == (found == 0)).all()
    off = np.abs(found - expected)
    off[off <= np.finfo(float).smallest_subnormal] = 0
    return float(np.max(off / np.where(expected > 0, expected, 1)))


#: Blocks in long double by what they follow from: algorithms see the same samples.
EXPECTED = {}


def assert_exact(result, X, Y, blocks, factor=1.0):
    samples = hashlib.sha256(X.tobytes() + Y.tobytes()).digest()
    asked = result.n_neighbors, blocks, result.metric
    key = samples, X.dtype, X.shape, Y.shape, *asked
    if key not in EXPECTED:
        EXPECTED[key] = neighbor_blocks_longdouble(X, Y, *asked)
    expected = EXPECTED[key]
    for block in blocks:
        error = worst_error(result.block(block), expected[block])
        assert error <= factor * TOLERANCE * np.sqrt(X.shape[1]), block


def gaussian(rng, n, m, d):
    return rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.1


def far_from_origin(rng, n, m, d):
    X, Y = gaussian(rng, n, m, d)
    return X + 1e8, Y + 1e8


def thirty_percent_blank(rng, n, m, d):
    X, Y = gaussian(rng, n, m, d)
    X[rng.random(n) < 0.3] = 0
    Y[rng.random(m) < 0.3] = 0
    return X, Y


def one_constant_column(rng, n, m, d):
    X, Y = gaussian(rng, n, m, d)
    X[:, 0] = Y[:, 0] = 7.25
    return X, Y


def counts(rng, n, m, d):
    return rng.poisson(1.0, (n, d)).astype(float), rng.poisson(1.2, (m, d)).astype(
        float
    )


def all_equal(rng, n, m, d):
    del rng
    return np.full((n, d), 3.5), np.full((m, d), 3.5)


def subnormal(rng, n, m, d):
    X, Y = gaussian(rng, n, m, d)
    return X * 1e-310, Y * 1e-310


def huge(rng, n, m, d):
    X, Y = gaussian(rng, n, m, d)
    return X * 1e300, Y * 1e300


def tiny_and_huge(rng, n, m, d):
    X, Y = gaussian(rng, n, m, d)
    X[: n // 2] *= 1e-200
    Y[: m // 2] *= 1e-200
    X[n // 2 :] *= 1e140
    Y[m // 2 :] *= 1e140
    return X, Y


def two_far_clusters(rng, n, m, d):
    X, Y = gaussian(rng, n, m, d)
    X[::2] += 1e5
    Y[::2] += 1e5
    return X, Y


def heavy_tails(rng, n, m, d):
    return rng.standard_cauchy((n, d)), rng.standard_cauchy((m, d))


AWKWARD = [
    gaussian,
    far_from_origin,
    thirty_percent_blank,
    one_constant_column,
    counts,
    all_equal,
    subnormal,
    huge,
    tiny_and_huge,
    two_far_clusters,
    heavy_tails,
]


def awkward(make, rng, n, m, d, dtype):
    """Samples in the dtype, with extremes that its range holds."""
    X, Y = make(rng, n, m, d)
    if dtype is np.float32:
        to_range = {
            huge: 1e37 / 1e300,
            subnormal: 1e-40 / 1e-310,
            tiny_and_huge: 1e-105,
        }
        X, Y = (Z * to_range.get(make, 1) for Z in (X, Y))
    with np.errstate(all="ignore"):
        return X.astype(dtype), Y.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("algorithm", "d"),
    [("sorted", 1), *((name, d) for name in EUCLIDEAN for d in (1, 2, 5, 20, 100))],
)
@pytest.mark.parametrize("make", AWKWARD)
def test_error_bound_on_awkward_data(make, algorithm, d, dtype, rng):
    X, Y = awkward(make, rng, 130, 110, d, dtype)
    found = neighbor_distances(X, Y, algorithm=algorithm, blocks=BLOCKS)
    assert_exact(found, X, Y, BLOCKS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("algorithm", "metric"), OTHER_METRICS)
@pytest.mark.parametrize("make", AWKWARD)
def test_error_bound_of_other_metrics(make, algorithm, metric, dtype, rng):
    for d in [1] if algorithm == "sorted" else [1, 3, 40]:
        X, Y = awkward(make, rng, 90, 70, d, dtype)
        found = neighbor_distances(
            X, Y, algorithm=algorithm, metric=metric, blocks=BLOCKS
        )
        assert_exact(found, X, Y, BLOCKS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("algorithm", "metric"),
    [*((name, "euclidean") for name in [*EUCLIDEAN, "auto"]), *OTHER_METRICS],
)
@pytest.mark.parametrize("noise", [1e-1, 1e-3, 1e-5, 1e-7])
def test_near_duplicates_keep_every_digit(noise, algorithm, metric, dtype, rng):
    X = rng.random((70, 1 if algorithm == "sorted" else 300)).astype(dtype)
    X = np.concatenate([X, (X + noise * rng.normal(size=X.shape)).astype(dtype)])
    found = neighbor_distances(
        X, X[:100], n_neighbors=2, algorithm=algorithm, metric=metric
    )
    assert_exact(found, X, X[:100], ("xx", "xy"))


@pytest.mark.emnist
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("algorithm", "metric"),
    [
        *((name, "euclidean") for name in [*EUCLIDEAN, "auto"]),
        *(pair for pair in OTHER_METRICS if pair[0] != "sorted"),
    ],
)
def test_error_bound_on_emnist(algorithm, metric, dtype, emnist_root):
    path = emnist_root / "EMNIST" / "raw" / "emnist-mnist-test-images-idx3-ubyte"
    images = np.fromfile(path, np.uint8, offset=16, count=450 * 784).reshape(-1, 784)
    X, Y = (
        images[:250].astype(dtype) / dtype(255),
        images[250:].astype(dtype) / dtype(255),
    )
    found = neighbor_distances(X, Y, algorithm=algorithm, metric=metric)
    assert_exact(found, X, Y, ("xx", "xy"))


@given(data=st.data())
def test_every_algorithm_equals_the_twin(data):
    d = data.draw(st.integers(1, 40), label="d")
    n, m = (data.draw(st.integers(2, 120), label=name) for name in "nm")
    k = data.draw(st.integers(1, min(n - 1, m)), label="k")
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000), label="seed"))
    X, Y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    kind = data.draw(st.sampled_from(["real", "rounded", "repeated", "offset"]))
    if kind == "rounded":
        X, Y = np.round(X), np.round(Y)
    elif kind == "repeated":
        X, Y = X[rng.integers(n, size=n) // 2], Y[rng.integers(m, size=m) // 2]
    elif kind == "offset":
        X, Y = X + 1e6, Y + 1e6
    X, Y = X.astype(dtype), Y.astype(dtype)
    threads = data.draw(st.sampled_from([1, 2, 3]))
    for algorithm in [*EUCLIDEAN, "auto", *(["sorted"] if d == 1 else [])]:
        found = search(X, Y, k, algorithm=algorithm, threads=threads)
        assert_exact(found, X, Y, ("xx", "xy"))
    algorithm, metric = data.draw(st.sampled_from(OTHER_METRICS))
    if algorithm != "sorted" or d == 1:
        found = search(X, Y, k, algorithm=algorithm, metric=metric, threads=threads)
        assert_exact(found, X, Y, ("xx", "xy"))


def unaligned(Z):
    buffer = np.zeros(Z.nbytes + 1, np.uint8)
    view = buffer[1:].view(Z.dtype).reshape(Z.shape)
    view[:] = Z
    assert view.itemsize == 1 or not view.flags.aligned
    return view


LAYOUTS = {
    "every second row": lambda Z: np.repeat(Z, 2, axis=0)[::2],
    "reversed": lambda Z: Z[::-1].copy()[::-1],
    "by columns": np.asfortranarray,
    "part of a wider table": lambda Z: np.pad(Z, ((0, 0), (2, 3)))[:, 2:-3],
    "unaligned": unaligned,
    "big-endian": lambda Z: Z.astype(Z.dtype.newbyteorder(">")),
    "list": lambda Z: Z.tolist(),
    "read-only": lambda Z: np.frombuffer(Z.tobytes(), Z.dtype).reshape(Z.shape),
}


@given(
    st.sampled_from(list(LAYOUTS)),
    st.sampled_from(list(LAYOUTS)),
    st.sampled_from([np.float32, np.float64, np.float16, np.int8, np.int64, np.uint16]),
    st.sampled_from(["auto", *EUCLIDEAN]),
    st.integers(0, 1000),
)
def test_layout_and_dtype_do_not_matter(first, second, dtype, algorithm, seed):
    rng = np.random.default_rng(seed)
    X, Y = (np.abs(rng.normal(size=(n, 4)) * 30).astype(dtype) for n in (40, 30))
    U, V = LAYOUTS[first](X), LAYOUTS[second](Y)
    found = neighbor_distances(U, V, algorithm=algorithm)
    assert_exact(found, X, Y, ("xx", "xy"))
    np.testing.assert_array_equal(U, X)


@pytest.mark.parametrize("algorithm", EUCLIDEAN)
@pytest.mark.parametrize("k", [1, 15, 16, 17, 100, 256])
def test_any_number_of_neighbours(algorithm, k, rng):
    X, Y = gaussian(rng, 400, 300, 12)
    assert_exact(
        neighbor_distances(X, Y, n_neighbors=k, algorithm=algorithm), X, Y, ("xx", "xy")
    )


@pytest.mark.parametrize("algorithm", [*EUCLIDEAN, "sorted"])
@pytest.mark.parametrize("k", [3, 20])
def test_indices_belong_to_the_distances(algorithm, k, rng):
    d = 1 if algorithm == "sorted" else 6
    X, Y = thirty_percent_blank(rng, 200, 150, d)
    found = neighbor_distances(
        X, Y, n_neighbors=k, algorithm=algorithm, blocks=BLOCKS, return_indices=True
    )
    samples = {"x": X, "y": Y}
    for block in BLOCKS:
        rows = getattr(found, f"{block}_indices")
        queries, data = samples[block[0]], samples[block[1]]
        measured = np.sqrt(((queries[:, None] - data[rows]) ** 2).sum(-1))
        np.testing.assert_allclose(measured, found.block(block), rtol=DISTANCES)
        assert all(len(set(row)) == k for row in rows.tolist())
        if block[0] == block[1]:
            assert (rows != np.arange(len(rows))[:, None]).all()


@pytest.mark.parametrize("algorithm", EUCLIDEAN)
def test_result_does_not_depend_on_threads(algorithm, rng):
    X, Y = thirty_percent_blank(rng, 900, 700, 9)
    one = neighbor_distances(X, Y, algorithm=algorithm, blocks=BLOCKS, n_jobs=1)
    for n_jobs in (2, 5):
        other = neighbor_distances(
            X, Y, algorithm=algorithm, blocks=BLOCKS, n_jobs=n_jobs
        )
        for block in BLOCKS:
            np.testing.assert_array_equal(one.block(block), other.block(block))


@pytest.mark.parametrize("d", [1, 2, 30])
@pytest.mark.parametrize("metric", ["manhattan", "chebyshev"])
def test_auto_knows_other_metrics(metric, d, rng):
    X, Y = thirty_percent_blank(rng, 150, 120, d)
    found = neighbor_distances(X, Y, n_neighbors=4, metric=metric, blocks=BLOCKS)
    assert BACKENDS[found.algorithm].knows(metric)
    assert_exact(found, X, Y, BLOCKS)


def test_blocks_that_were_not_asked_for_are_none(rng):
    X, Y = gaussian(rng, 30, 20, 3)
    found = neighbor_distances(X, Y, blocks=("yx",))
    assert found.xx is None
    assert found.yx.shape == (20, 5)
    with pytest.raises(ValueError, match="'xx' was not asked for"):
        found.block("xx")


def test_result_says_how_it_was_obtained(rng):
    X, Y = gaussian(rng, 30, 20, 3)
    found = neighbor_distances(X, Y)
    assert found.algorithm in BACKENDS
    assert 0 < found.predicted_seconds < 1
    assert neighbor_distances(X, Y, algorithm="gemm").predicted_seconds is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_neighbors": 30}, r"n_neighbors=30 .*29 rows .*'xx'.*30 rows, Y has 40"),
        ({"n_neighbors": 41, "blocks": ("xy",)}, r"40 rows .*X has 30.*Y has 40"),
        ({"algorithm": "sorted"}, "exactly one feature; the samples have 3"),
        ({"algorithm": "gemm", "metric": "manhattan"}, "sorted, tree, brute"),
        ({"n_neighbors": 31, "blocks": ("yx",)}, r"30 rows .*'yx'.*X has 30.*Y has 40"),
        ({"n_neighbors": 0}, "at least 1; got 0"),
        ({"metric": "cosine"}, "'manhattan'"),
        ({"algorithm": "kd_tree"}, "'tree'"),
        ({"blocks": ("xz",)}, "'xy'"),
    ],
)
def test_bad_arguments(arguments, message, rng):
    X, Y = gaussian(rng, 30, 40, 3)
    with pytest.raises(ValueError, match=message):
        neighbor_distances(X, Y, **arguments)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("which", [0, 1])
def test_no_nan_reaches_a_kernel(which, dtype, bad, rng, monkeypatch):
    search_begins = Mock()
    monkeypatch.setattr("kldiv._neighbors.search", search_begins)
    samples = [Z.astype(dtype) for Z in gaussian(rng, 30, 40, 3)]
    samples[which][5, 1] = bad
    for algorithm in ("auto", *AVAILABLE):
        with pytest.raises(ValueError, match="row 5, column 1"):
            neighbor_distances(*samples, algorithm=algorithm)
    search_begins.assert_not_called()
