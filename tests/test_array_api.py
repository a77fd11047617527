"""Arrays of other libraries: numbers come out as from NumPy, or an error."""

import numpy as np
import pytest
from sklearn.utils import get_tags

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    KSDistance,
    estimate_divergence,
    kl_divergence,
    ks_test,
    neighbor_distances,
)
from kldiv._validation._arrays import on_host

LIBRARIES = ["array_api_strict", "torch", "jax.numpy"]


@pytest.fixture(params=LIBRARIES)
def namespace(request):
    return pytest.importorskip(request.param)


@pytest.fixture
def samples(rng):
    X, Y = rng.normal(0.5, 1, (60, 3)), rng.normal(size=(50, 3))
    return X.astype(np.float32), Y.astype(np.float32)


def test_functions(namespace, samples):
    X, Y = samples
    x, y = map(namespace.asarray, samples)
    assert kl_divergence(x, y) == kl_divergence(X, Y)
    assert ks_test(x, y).global_statistic == ks_test(X, Y).global_statistic
    found = estimate_divergence(x, y).log_ratio
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, estimate_divergence(X, Y).log_ratio)
    nearest = neighbor_distances(x, y, algorithm="tree").block("xy")
    expected = neighbor_distances(X, Y, algorithm="tree").block("xy")
    np.testing.assert_array_equal(nearest, expected)


@pytest.mark.parametrize("kind", [KNNDivergence, KSDistance])
def test_estimators(namespace, samples, kind):
    X, Y = samples
    x, y = map(namespace.asarray, samples)
    fitted = kind().fit(y)
    assert isinstance(fitted.reference_, np.ndarray)
    assert fitted.score(x) == kind().fit(Y).score(X)


def test_scorer(namespace, samples):
    X, Y = samples
    labels = np.arange(60) % 2
    x, y = map(namespace.asarray, samples)
    found = ConditionalKLScorer().fit((x, labels), (y, labels[:50]))
    expected = ConditionalKLScorer().fit((X, labels), (Y, labels[:50]))
    np.testing.assert_array_equal(found.score_per_class(), expected.score_per_class())


def test_an_array_on_another_device_is_copied(samples):
    strict = pytest.importorskip("array_api_strict")
    X, Y = samples
    elsewhere = strict.asarray(X, device=strict.Device("device1"))
    assert kl_divergence(elsewhere, Y) == kl_divergence(X, Y)


def test_a_device_that_keeps_its_numbers_is_refused_with_advice(samples):
    class Array:
        __module__ = "elsewhere.arrays"
        __array_namespace__ = None
        device = "xpu:0"

        def __array__(self, *args, **kwargs):
            raise TypeError

        def __dlpack__(self, *args, **kwargs):
            raise BufferError

        def __dlpack_device__(self):
            return 14, 0

    with pytest.raises(TypeError, match=r"X is an array of elsewhere on xpu:0.*Move"):
        kl_divergence(Array(), samples[1])


def test_cupy_arrays_are_copied():
    """CuPy needs a GPU; its arrays hand their numbers out by `get` alone."""

    class Array:
        __module__ = "cupy"
        __array_namespace__ = None

        def get(self):
            return np.ones((3, 2))

    assert on_host(Array(), "X").sum() == 6


@pytest.mark.parametrize("kind", [KNNDivergence, KSDistance])
def test_no_promise_that_results_follow_the_input(kind):
    """scikit-learn's tag means that fitted arrays stay on the device of X."""
    assert not get_tags(kind()).array_api_support
