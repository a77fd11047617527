"""The registry of searches and the rule that chooses among them."""

import kldiv._kernels._isa as _isa
import numpy as np
import pytest

from kldiv import KNNDivergence, estimate_divergence, neighbor_distances
from kldiv._backends import BACKENDS, METRICS, Backend, choose_algorithm
from kldiv._backends._compiled import knn_distances
from kldiv._backends._filter import bytes_available
from kldiv._neighbors import search
from tests.available import NEEDS
from tests.reference import neighbor_block
from tests.tolerances import ITERATED, MAPPED


def slow_search(X, Y, n_neighbors, blocks, *, metric, n_threads, return_indices):
    """A search that somebody else might write."""
    samples, found = {"x": X, "y": Y}, {}
    for block in blocks:
        queries, data = samples[block[0]], samples[block[1]]
        within = block[0] == block[1]
        distances = neighbor_block(queries, data, n_neighbors, exclude_self=within)
        found[block] = distances, None
    return found


@pytest.fixture(params=[*BACKENDS, "slow"])
def backend(request, monkeypatch):
    """The name of every backend, and of one that was added."""
    monkeypatch.setitem(BACKENDS, "slow", Backend(slow_search))
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param])
    if request.param == "int8" and not bytes_available(3):
        pytest.skip("needs AVX2")
    return request.param


def columns(name):
    return BACKENDS[name].most_features or 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_backend_searches(backend, dtype, rng):
    d = columns(backend)
    X, Y = (rng.normal(size=(n, d)).astype(dtype) for n in (60, 50))
    found = neighbor_distances(
        X, Y, n_neighbors=4, algorithm=backend, blocks=("xx", "xy", "yy", "yx")
    )
    assert found.algorithm == backend
    for block in ("xx", "xy", "yy", "yx"):
        queries, data = ({"x": X, "y": Y}[name] for name in block)
        expected = neighbor_block(queries, data, 4, exclude_self=block in ("xx", "yy"))
        np.testing.assert_allclose(found.block(block), expected, rtol=MAPPED)


def test_every_backend_estimates(backend, rng):
    X, Y = (rng.normal(size=(n, columns(backend))) for n in (60, 50))
    found = estimate_divergence(X, Y, algorithm=backend, correction=None)
    assert found.algorithm == backend
    expected = estimate_divergence(X, Y, algorithm="brute", correction=None)
    assert found.value == pytest.approx(expected.value, rel=ITERATED)


def test_a_registered_search_is_the_one_that_runs(monkeypatch, rng):
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments[2])
        return slow_search(*arguments, **options)

    monkeypatch.setitem(BACKENDS, "mine", Backend(counted))
    X, Y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    assert KNNDivergence(algorithm="mine", correction=None).fit(Y).score(X) != 0
    assert neighbor_distances(X, Y, algorithm="mine").algorithm == "mine"
    assert calls == [5, 5]
    with pytest.raises(ValueError, match="does not know metric='manhattan'"):
        neighbor_distances(X, Y, algorithm="mine", metric="manhattan")


def test_unknown_names_are_refused_at_every_level(rng):
    X = rng.normal(size=(20, 2))
    known = ", ".join(repr(name) for name in BACKENDS)
    with pytest.raises(
        ValueError, match="algorithm must be one of 'sorted', .*'brute'"
    ):
        knn_distances("guess", X, X, 3, ("xx",))
    for call in (
        lambda: neighbor_distances(X, X, algorithm="guess"),
        lambda: search(X, X, 3, algorithm="guess"),
        lambda: estimate_divergence(X, X + 1, algorithm="guess"),
    ):
        with pytest.raises(ValueError, match=f"algorithm must be one of .*{known}"):
            call()


def test_every_metric_has_a_search():
    for metric in METRICS:
        assert any(backend.knows(metric) for backend in BACKENDS.values())
    assert BACKENDS["brute"].knows(lambda x, y: 0.0)


@pytest.fixture
def no_bytes():
    """Kernels without products of codes, which win wherever they prune."""
    before = _isa.set_level("baseline")
    yield
    _isa.set_level(before)


@pytest.mark.parametrize(("d", "expected"), [(1, "sorted"), (2, "tree"), (30, "gemm")])
@pytest.mark.usefixtures("no_bytes")
def test_choice_by_dimension(d, expected, rng):
    X = rng.normal(size=(3000, d))
    assert choose_algorithm(X, X, 5).algorithm == expected


def test_bytes_are_chosen_in_many_dimensions(rng):
    if not bytes_available(100):
        pytest.skip("needs AVX2")
    X = rng.normal(size=(2000, 100))
    assert choose_algorithm(X, X, 5).algorithm == "int8"


@pytest.mark.usefixtures("no_bytes")
def test_probe_takes_principal_axes_only_where_they_prune(rng):
    flat = rng.normal(size=(4000, 6)) @ rng.normal(size=(6, 200))
    flat = (flat + 0.01 * rng.normal(size=flat.shape)).astype(np.float32)
    choice = choose_algorithm(flat, flat, 5)
    assert choice.algorithm == "pca"
    assert choice.axes is not None
    full = rng.normal(size=(4000, 200)).astype(np.float32)
    assert choose_algorithm(full, full, 5).algorithm == "gemm"


def test_probe_avoids_bytes_that_outliers_stretch(rng):
    X = rng.normal(size=(4000, 200)).astype(np.float32)
    X[0, 0] = 1e5
    assert choose_algorithm(X, X, 5).algorithm == "gemm"


def test_probe_looks_at_the_rows_that_stretch_the_codes(rng):
    """Eight of 15,000 rows, as a sample of a thousand would not show."""
    X, Y = rng.normal(size=(2000, 200)), rng.normal(size=(15000, 200))
    X, Y = (rows * np.linspace(3, 0.2, 200) for rows in (X, Y))
    Y[7::2000] += 500 * rng.normal(size=(8, 200))
    assert choose_algorithm(X, Y, 1).algorithm == "gemm"


def test_bytes_need_the_processor():
    before = _isa.set_level("baseline")
    try:
        X = np.random.default_rng(0).normal(size=(30, 20))
        with pytest.raises(ValueError, match="needs a processor and build with"):
            search(X, X, 3, algorithm="int8")
    finally:
        _isa.set_level(before)


def test_predicted_cost_grows_with_the_work(rng):
    for d in (2, 10, 40):
        X = rng.normal(size=(2000, d))
        small = choose_algorithm(X[:500], X[:500], 5).seconds
        assert 0 < small < choose_algorithm(X, X, 5).seconds
