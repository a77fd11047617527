"""Functions and KNNDivergence: reference, closed form, invariance, contract."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from kldiv import KNNDivergence, divergence, estimate_divergence, kl_divergence
from tests import reference
from tests.tolerances import LOGARITHMS, OTHER_ORDER

WITHIN_LIMIT = KNNDivergence(correction=None, memory_limit=1 << 20)


@parametrize_with_checks(
    [KNNDivergence(), KNNDivergence(duplicates="expand"), WITHIN_LIMIT]
)
@pytest.mark.filterwarnings("ignore:X and the reference hold the same:UserWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract(estimator, check):
    check(estimator)


sizes = st.tuples(
    st.integers(8, 40), st.integers(8, 40), st.integers(1, 6), st.integers(1, 5)
)


@given(sizes, st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1))
def test_estimators_agree_with_their_slow_twins(shape, dtype, seed):
    n, m, d, k = shape
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(dtype)
    Y = rng.normal(1, 2, size=(m, d)).astype(dtype)
    fixed = kl_divergence(X, Y, n_neighbors=k, correction=None)
    assert fixed == pytest.approx(
        reference.kl_fixed(X, Y, k), rel=LOGARITHMS, abs=LOGARITHMS
    )
    adaptive = kl_divergence(X, Y, n_neighbors=k, correction="adaptive")
    expected = reference.kl_adaptive(X, Y, k)
    assert adaptive == pytest.approx(expected, rel=LOGARITHMS, abs=LOGARITHMS)


@pytest.mark.parametrize("correction", [None, "adaptive"])
@pytest.mark.parametrize("d", [1, 2])
def test_shifted_gaussians_within_three_standard_errors(correction, d, rng):
    estimates = [
        kl_divergence(
            rng.normal(0.5, 1, (1000, d)),
            rng.normal(0, 1, (1000, d)),
            correction=correction,
        )
        for _ in range(10)
    ]
    spread = np.std(estimates, ddof=1) / np.sqrt(10)
    assert np.mean(estimates) == pytest.approx(d / 8, abs=3 * spread + 0.02)


@pytest.mark.parametrize("correction", [None, "adaptive"])
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-100, 100))
def test_invariances(correction, seed, scale, offset):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(25, 3))
    value = kl_divergence(X, Y, correction=correction)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    moved = [sample @ rotation * scale + offset for sample in (X, Y)]
    assert kl_divergence(*moved, correction=correction) == pytest.approx(
        value, abs=1e-7
    )
    shuffled = rng.permutation(X), rng.permutation(Y)
    assert kl_divergence(*shuffled, correction=correction) == pytest.approx(value)


def test_constant_columns_do_not_count(rng):
    X, Y = rng.normal(1, 1, (200, 2)), rng.normal(size=(150, 2))
    wide = [np.column_stack([s, np.full(len(s), 3.0)]) for s in (X, Y)]
    assert kl_divergence(*wide) == kl_divergence(X, Y)
    assert estimate_divergence(*wide).n_features == 2


def test_far_from_the_origin(rng):
    X, Y = rng.normal(0.5, 1, (200, 50)), rng.normal(size=(150, 50))
    near = kl_divergence(X, Y, correction=None)
    assert kl_divergence(X + 1e8, Y + 1e8, correction=None) == pytest.approx(
        near, abs=1e-5
    )


def test_result_says_how(rng):
    X, Y = rng.normal(size=(50, 2)), rng.normal(size=(40, 2))
    result = estimate_divergence(X, Y, n_neighbors=3, correction="adaptive")
    assert (result.n, result.m, result.n_features) == (50, 40, 2)
    assert (result.n_neighbors, result.correction) == (3, "adaptive")
    assert result.n_duplicates == 0
    assert result.value == divergence(X, Y, n_neighbors=3, correction="adaptive")
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.value = 0.0


def test_threads_do_not_change_the_result(rng):
    X, Y = rng.normal(size=(300, 4)), rng.normal(size=(200, 4))
    for correction in (None, "adaptive"):
        one, two = (
            kl_divergence(X, Y, correction=correction, n_jobs=jobs) for jobs in (1, 2)
        )
        assert one == two


def test_inputs_are_not_modified(rng):
    X, Y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    copies = X.copy(), Y.copy()
    kl_divergence(X, Y)
    np.testing.assert_array_equal(X, copies[0])
    np.testing.assert_array_equal(Y, copies[1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("divergence", "distance"),
        ("correction", "magic"),
        ("algorithm", "guess"),
        ("duplicates", "clip"),
        ("n_jobs", 0),
    ],
)
def test_unknown_options_list_the_known(name, value, rng):
    X, Y = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    with pytest.raises(ValueError, match=f"{name} must be .*{value}"):
        estimate_divergence(X, Y, **{name: value})


def test_sorted_search_refuses_more_than_one_column(rng):
    X, Y = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    with pytest.raises(ValueError, match="exactly one feature; the samples have 2"):
        kl_divergence(X, Y, algorithm="sorted")
    one = kl_divergence(X[:, :1], Y[:, :1], algorithm="sorted", correction=None)
    expected = reference.kl_fixed(X[:, :1], Y[:, :1], 5)
    assert one == pytest.approx(expected, rel=OTHER_ORDER)


def test_estimator_equals_function_and_ends_a_pipeline(rng):
    X, Y = rng.normal(1, 3, (100, 3)), rng.normal(0, 3, (90, 3))
    assert KNNDivergence().fit(Y).score(X) == kl_divergence(X, Y)
    pipeline = make_pipeline(StandardScaler(), KNNDivergence()).fit(Y)
    scaler = StandardScaler().fit(Y)
    assert pipeline.score(X) == kl_divergence(scaler.transform(X), scaler.transform(Y))
    assert clone(pipeline).set_params(knndivergence__n_neighbors=2).fit(Y).score(X) == (
        kl_divergence(scaler.transform(X), scaler.transform(Y), n_neighbors=2)
    )


def test_score_before_fit():
    with pytest.raises(NotFittedError):
        KNNDivergence().score([[0.0]])


def test_mixed_dtypes_are_compared_in_float64(rng):
    X, Y = rng.normal(size=(40, 2)).astype(np.float32), rng.normal(size=(40, 2))
    assert kl_divergence(X, Y) == kl_divergence(X.astype(float), Y)
