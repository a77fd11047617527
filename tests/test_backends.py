"""The registry of searches and the rule that chooses among them."""

import kldiv._kernels._isa as _isa
import numpy as np
import pytest

from kldiv._backends import BACKENDS, COMPILED, choose_algorithm
from kldiv._backends._filter import bytes_available
from tests.reference import neighbor_block


@pytest.mark.parametrize("name", COMPILED)
def test_every_backend_searches(name, rng):
    if name == "int8" and not bytes_available(3):
        pytest.skip("needs AVX2")
    d = 1 if name == "sorted" else 3
    X, Y = rng.normal(size=(60, d)), rng.normal(size=(50, d))
    found = BACKENDS[name](X, Y, 4, exclude_self=False, n_threads=1)
    np.testing.assert_allclose(found, neighbor_block(X, Y, 4))
    found = BACKENDS[name](X, X, 4, exclude_self=True, n_threads=2)
    np.testing.assert_allclose(found, neighbor_block(X, X, 4, exclude_self=True))


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


def test_bytes_need_the_processor():
    before = _isa.set_level("baseline")
    try:
        X = np.random.default_rng(0).normal(size=(30, 20))
        with pytest.raises(ValueError, match="needs a processor and build with"):
            BACKENDS["int8"](X, X, 3, exclude_self=True, n_threads=1)
    finally:
        _isa.set_level(before)


def test_predicted_cost_grows_with_the_work(rng):
    for d in (2, 10, 40):
        X = rng.normal(size=(2000, d))
        small = choose_algorithm(X[:500], X[:500], 5).seconds
        assert 0 < small < choose_algorithm(X, X, 5).seconds
