"""The search by products on a device, run on the processor."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kldiv import KNNDivergence, kl_divergence, neighbor_distances
from kldiv._backends import BACKENDS
from kldiv._neighbors import of_samples

torch = pytest.importorskip("torch")

from kldiv._backends._torch import search_on_device  # noqa: E402
from kldiv._backends._torch_codes import frame_of, products_in  # noqa: E402

BLOCKS = ("xx", "xy", "yy", "yx")


def same(found, X, Y, k, blocks=BLOCKS):
    """Distances of brute force, and the first row among equal distances."""
    expected = neighbor_distances(X, Y, n_neighbors=k, algorithm="brute", blocks=blocks)
    for block in blocks:
        distances, rows = found[block]
        np.testing.assert_allclose(distances, expected.block(block), rtol=1e-12)
        queries, data = ({"x": X, "y": Y}[name] for name in block)
        assert_first_rows(queries, data, distances, rows, block[0] == block[1])


def assert_first_rows(queries, data, distances, rows, within):
    queries, data = queries.astype(float), data.astype(float)
    for i, query in enumerate(queries):
        far = np.linalg.norm(data - query, axis=1)
        if within:
            far[i] = np.inf
        order = np.lexsort((np.arange(len(far)), far))[: rows.shape[1]]
        tied = np.isclose(far[order], far[rows[i]], rtol=1e-12)
        assert tied.all()
        exact = distances[i] == 0
        assert (rows[i][exact] == order[exact]).all()


@pytest.mark.parametrize("product", ["float32", "tf32"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_distances_are_those_of_brute_force(product, dtype, k, rng):
    X, Y = (rng.normal(3.0, 1.0, (n, 30)).astype(dtype) for n in (180, 90))
    found = search_on_device(
        X, Y, k, BLOCKS, return_indices=True, memory_limit=1 << 20, product=product
    )
    same(found, X, Y, k)


@pytest.mark.parametrize("product", ["float32", "tf32"])
def test_near_ties_repeats_and_an_outlier(product, rng):
    X = np.repeat(rng.integers(0, 3, (40, 6)), 6, axis=0).astype(np.float64)
    X[::7] += 1e-9 * rng.normal(size=X[::7].shape)
    X[0] = 1e6
    Y = X[::-1].copy()
    found = search_on_device(X, Y, 7, BLOCKS, return_indices=True, product=product)
    same(found, X, Y, 7)


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e200, 8e307])
def test_numbers_of_any_size(size, rng):
    X, Y = rng.uniform(-1, 1, (2, 40, 3)) * size
    X[::2] *= 1e-3
    found = search_on_device(X, Y, 3, ("xx", "xy"), return_indices=True)
    expected = neighbor_distances(X, Y, n_neighbors=3, algorithm="brute")
    for block in ("xx", "xy"):
        near = expected.block(block)
        np.testing.assert_allclose(found[block][0], near, rtol=1e-12, atol=5e-323)


@given(st.integers(0, 10**6), st.sampled_from(["float32", "tf32"]), st.integers(1, 90))
def test_bounds_are_below_the_squared_distances(seed, product, d):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-3, 4, (60, 1))
    rows = torch.from_numpy(rng.normal(rng.normal(), 1, (60, d)) * scale)
    frame = frame_of(lambda: iter([rows]), product)
    codes, weights = frame.codes(rows)
    with products_in(product):
        tile = torch.addmm(weights.float()[None], codes, codes.T, alpha=frame.factor)
    bounds = tile.double() + weights[:, None]
    exact = frame.exact(rows)
    squares = (exact[:, None] - exact[None]).square().sum(-1)
    assert bool((bounds <= squares + 1e-28).all())
    close = (squares - bounds).abs() <= 0.02 * (
        weights[:, None] + weights
    ).abs() + 1e-20
    assert bool(close.all())


@pytest.mark.parametrize("n_devices", [2, 3])
def test_devices_share_the_queries(n_devices, rng):
    X, Y = rng.normal(size=(50, 4)), rng.normal(size=(31, 4))
    devices = ["cpu"] * n_devices
    found = search_on_device(X, Y, 4, BLOCKS, return_indices=True, devices=devices)
    same(found, X, Y, 4)


def test_settings_of_the_caller_do_not_matter_and_stay(rng):
    X, Y = rng.normal(size=(2, 200, 64))
    expected = neighbor_distances(X, Y, algorithm="brute").xy
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = neighbor_distances(X, Y, algorithm="torch").xy
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_tensors_in_tensors_out(rng):
    X, Y = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    tensors = torch.from_numpy(X).requires_grad_(), torch.from_numpy(Y)
    found = neighbor_distances(*tensors, algorithm="torch", return_indices=True)
    assert isinstance(found.xx, torch.Tensor)
    assert found.xy_indices.dtype == torch.int32
    expected = neighbor_distances(X, Y)
    np.testing.assert_allclose(found.xx.numpy(), expected.xx, rtol=1e-12)
    mixed = neighbor_distances(tensors[0], Y, algorithm="torch")
    np.testing.assert_allclose(mixed.xx, expected.xx, rtol=1e-12)


@pytest.mark.parametrize("correction", [None, "adaptive", "auto"])
def test_estimates_from_tensors(correction, rng):
    X, Y = rng.normal(1, 1, (120, 3)), rng.normal(size=(100, 3))
    expected = kl_divergence(X, Y, correction=correction)
    tensors = torch.from_numpy(X), torch.from_numpy(Y)
    found = kl_divergence(*tensors, correction=correction, algorithm="torch")
    assert found == pytest.approx(expected, rel=1e-12)
    estimator = KNNDivergence(correction=correction, algorithm="torch").fit(tensors[1])
    assert estimator.score(tensors[0]) == pytest.approx(expected, rel=1e-12)


class OnGpu:
    is_cuda = True


def test_auto_takes_the_gpu_for_samples_that_are_there():
    assert of_samples("auto", "euclidean", OnGpu(), None) == "torch"
    assert of_samples("auto", "manhattan", OnGpu(), None) == "auto"
    assert of_samples("tree", "euclidean", OnGpu(), None) == "tree"
    assert of_samples("auto", "euclidean", torch.zeros(2), np.zeros(2)) == "auto"


def test_a_device_without_float64_is_refused(rng):
    X = rng.normal(size=(20, 2))
    with pytest.raises(ValueError, match="float64, which device 'mps' does not"):
        search_on_device(X, X, 3, ("xx",), devices=["mps"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda Y: Y[:, :2], "Y has 2 features"),
        (lambda Y: Y * torch.nan, "Y holds 120 NaN"),
        (lambda Y: Y[:0], "Y has no rows"),
    ],
)
def test_tensors_are_checked(change, message):
    X = torch.arange(120.0).reshape(40, 3)
    with pytest.raises(ValueError, match=message):
        neighbor_distances(X, change(X + 0.5), algorithm="torch")


def test_the_limit_of_memory_is_a_number_of_bytes(rng):
    X = rng.normal(size=(30, 2))
    with pytest.raises(ValueError, match="memory_limit must be at least 1048576"):
        neighbor_distances(X, X, algorithm="torch", memory_limit=1000)


def test_without_torch_the_extra_is_named(monkeypatch, rng):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    X = rng.normal(size=(30, 2))
    with pytest.raises(ImportError, match=r"kldiv\[torch\]"):
        BACKENDS["torch"].knn_distances(X, X, 3, ("xx",))
