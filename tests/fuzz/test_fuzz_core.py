"""Searches and estimators on numbers and layouts that nobody would choose."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kldiv import kl_divergence, ks_test, neighbor_distances
from tests.fuzz.tiers import fuzzed, refusal

pytestmark = pytest.mark.filterwarnings("ignore::kldiv.DivergenceWarning")
ALGORITHMS = ("auto", "brute", "tree", "gemm", "pca", "int8")


@st.composite
def samples(draw, least=7, most=60, widest=12):
    """Two samples: clusters, ties, near ties, mixed scales, any layout and dtype."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, m = (draw(st.integers(least, most)) for _ in range(2))
    d = draw(st.integers(1, widest))
    pooled = rng.normal(size=(n + m, d))
    kind = draw(st.sampled_from(["normal", "clusters", "near ties", "scales", "far"]))
    if kind == "clusters":
        pooled = pooled * 1e-3 + rng.integers(0, 3, (n + m, 1)) * 10.0
    elif kind == "near ties":
        half = (n + m) // 2
        pooled[:half] = pooled[half : 2 * half] * (1 + 1e-12 * rng.random((half, d)))
    elif kind == "scales":
        pooled *= 10.0 ** rng.integers(-6, 7, d)
    elif kind == "far":
        pooled += 10.0 ** rng.integers(0, 7)
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    order = draw(st.sampled_from("CF"))
    pooled = np.array(pooled, dtype=dtype, order=order)
    step = draw(st.sampled_from([1, -1]))
    return pooled[:n][::step], pooled[n:][::step]


def direct(rows, others, k, *, same):
    """k-th distances by direct differences."""
    a, b = rows.astype(np.float64), others.astype(np.float64)
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))
    if same:
        np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, :k]


@fuzzed
@given(pair=samples(), data=st.data())
def test_distances_are_those_of_a_direct_search(pair, data):
    X, Y = pair
    k = data.draw(st.integers(1, min(len(X) - 1, len(Y), 8)))
    algorithm = data.draw(st.sampled_from(ALGORITHMS))
    jobs = data.draw(st.integers(1, 3))
    found = neighbor_distances(X, Y, n_neighbors=k, algorithm=algorithm, n_jobs=jobs)
    tolerance = {"rtol": 1e-9, "atol": 1e-9 * max(1.0, float(np.abs(X).max()))}
    np.testing.assert_allclose(found.xx, direct(X, X, k, same=True), **tolerance)
    np.testing.assert_allclose(found.xy, direct(X, Y, k, same=False), **tolerance)


@fuzzed
@given(pair=samples(least=10, widest=5), data=st.data())
def test_what_changes_nothing_about_a_divergence(pair, data):
    X, Y = (np.asarray(rows, dtype=np.float64) for rows in pair)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    k = data.draw(st.integers(1, 3))

    def estimate(x, y):
        return kl_divergence(x, y, n_neighbors=k, correction=None)

    try:
        expected = estimate(X, Y)
    except ValueError:
        assume(False)
    columns = rng.permutation(X.shape[1])
    changed = {
        "rows permuted": (rng.permutation(X), rng.permutation(Y)),
        "columns permuted": (X[:, columns], Y[:, columns]),
        "scaled": (X * 2.0**40, Y * 2.0**40),
        "Fortran": (np.asfortranarray(X), np.asfortranarray(Y)),
        "lists": (X.tolist(), Y.tolist()),
    }
    for name, (x, y) in changed.items():
        np.testing.assert_allclose(estimate(x, y), expected, 1e-7, 1e-9, err_msg=name)


@fuzzed
@given(pair=samples(least=4), data=st.data())
def test_what_changes_nothing_about_a_gap(pair, data):
    X, Y = (np.asarray(rows, dtype=np.float64) for rows in pair)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    expected = ks_test(X, Y).statistic
    assert ((expected >= 0) & (expected <= 1)).all()
    for x, y in (
        (rng.permutation(X), rng.permutation(Y)),
        (X * 2.0**-30, Y * 2.0**-30),
        (np.repeat(X, 2, axis=0), np.repeat(Y, 3, axis=0)),
        (Y, X),
    ):
        np.testing.assert_allclose(ks_test(x, y).statistic, expected, atol=1e-12)


#: Words of errors that no message of ours has.
RAW = ("inhomogeneous", "not supported between", "ufunc", "astype", "argument must be")
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.complex_numbers(),
    st.dates(),
)
NESTED = st.recursive(
    ANYTHING, lambda inner: st.lists(inner, max_size=6), max_leaves=20
)


@fuzzed
@example(X=[[None, []]], Y=None)
@given(X=NESTED, Y=NESTED)
def test_anything_is_a_number_or_a_clear_refusal(X, Y):
    for call in (kl_divergence, ks_test):
        error = refusal(lambda: call(X, Y), ValueError, TypeError)  # noqa: B023
        text = "." if error is None else str(error)
        assert text.endswith((".", ").")), text
        assert not any(words in text for words in RAW), text
