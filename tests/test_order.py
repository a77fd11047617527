"""Order and unit of what comes in change nothing, and neither do threads."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from kldiv import ConditionalKLScorer, KNNDivergence, estimate_divergence
from kldiv._divergences import DIVERGENCES
from kldiv._duplicates import row_keys
from kldiv._errors._differences import TracedEffects
from kldiv._order import column_order, row_order
from kldiv._ratio._corrections import CORRECTIONS
from kldiv._validation import one_blas_thread

SAME = 1e-9
# Neighbours of these are searched in the coordinates given: units are a choice.
PUBLISHED = (None, "adaptive")
seeds = st.integers(0, 2**32 - 1)

pytestmark = pytest.mark.filterwarnings("ignore::kldiv.DivergenceWarning")


def skewed_pair(rng, n=160, m=140, d=3):
    X, Y = rng.normal(0.3, 1, (n, d)), rng.normal(0, 1.2, (m, d))
    X += np.where(rng.random((n, 1)) < 0.3, 1.5, 0)
    X[:, 0], Y[:, 0] = np.exp(X[:, 0]), np.exp(Y[:, 0])
    return X, Y


def reordered(rng, X, Y):
    columns = rng.permutation(X.shape[1])
    return rng.permutation(X)[:, columns], rng.permutation(Y)[:, columns]


def assert_same(one, other):
    assert other.value == pytest.approx(one.value, rel=SAME, abs=SAME)
    assert (one.standard_error is None) == (other.standard_error is None)
    if one.standard_error is not None:
        assert other.standard_error == pytest.approx(one.standard_error, rel=SAME)
    assert other.pvalue == one.pvalue
    assert {n.name for n in other.notes} == {n.name for n in one.notes}
    assert other.trust == one.trust


@pytest.mark.parametrize("correction", ["auto", *CORRECTIONS])
@given(seed=seeds)
@settings(max_examples=3)
def test_order_of_rows_and_columns(correction, seed):
    rng = np.random.default_rng(seed)
    X, Y = skewed_pair(rng)
    one, other = (
        estimate_divergence(
            *pair, correction=correction, n_permutations=9, random_state=0
        )
        for pair in ((X, Y), reordered(rng, X, Y))
    )
    assert_same(one, other)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_order_for_every_divergence(divergence, rng):
    X, Y = skewed_pair(rng)
    one = estimate_divergence(X, Y, divergence=divergence)
    other = estimate_divergence(*reordered(rng, X, Y), divergence=divergence)
    assert_same(one, other)


@pytest.mark.parametrize("correction", ["auto", *CORRECTIONS])
@given(seed=seeds)
@settings(max_examples=3)
def test_unit_and_origin_of_columns(correction, seed):
    rng = np.random.default_rng(seed)
    X, Y = skewed_pair(rng)
    scale = "standard" if correction in PUBLISHED else "auto"
    units, origins = 10.0 ** rng.uniform(-6, 6, 3), rng.normal(0, 30, 3)
    one = estimate_divergence(X, Y, correction=correction, scale=scale)
    moved = ((sample + origins) * units for sample in (X, Y))
    other = estimate_divergence(*moved, correction=correction, scale=scale)
    assert_same(one, other)


@pytest.mark.parametrize("correction", PUBLISHED)
def test_unit_of_all_columns(correction, rng):
    X, Y = skewed_pair(rng)
    one = estimate_divergence(X, Y, correction=correction)
    assert_same(one, estimate_divergence(0.3 * X, 0.3 * Y, correction=correction))


@pytest.mark.parametrize("correction", ["auto", *CORRECTIONS])
def test_threads(correction, rng):
    X, Y = skewed_pair(rng, 400, 300, 4)
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            results.append(
                estimate_divergence(X, Y, correction=correction, n_jobs=threads)
            )
    assert_same(*results)


@pytest.mark.parametrize("policy", ["drop", "expand"])
def test_order_of_repeated_rows(policy, rng):
    X, Y = skewed_pair(rng)
    X[:20], Y[:5] = X[20:40], X[:5]
    one = estimate_divergence(X, Y, duplicates=policy)
    assert_same(one, estimate_divergence(*reordered(rng, X, Y), duplicates=policy))


def test_order_of_dithered_rows(rng):
    X, Y = (rng.integers(0, 30, (size, 2)).astype(float) for size in (200, 150))
    one, other = (
        estimate_divergence(*pair, duplicates="dither", random_state=1)
        for pair in ((X, Y), (rng.permutation(X), rng.permutation(Y)))
    )
    assert_same(one, other)


def test_scorer(rng):
    (X, Y), d = skewed_pair(rng, 300, 320, 4), 4
    y, y_aux = rng.integers(0, 2, len(X)), rng.integers(0, 2, len(Y))

    def report(x_rows, y_rows, columns, n_jobs):
        scorer = ConditionalKLScorer(confidence_level=0.9, n_jobs=n_jobs)
        train = X[x_rows][:, columns], y[x_rows]
        return scorer.fit(train, (Y[y_rows][:, columns], y_aux[y_rows])).report()

    one = report(np.arange(300), np.arange(320), np.arange(d), 1)
    other = report(*(rng.permutation(size) for size in (300, 320, d)), 2)
    for column in ("kl", "standard_error"):
        np.testing.assert_allclose(other[column], one[column], rtol=SAME)


def test_effects_come_back_in_the_order_given(rng):
    X, Y = skewed_pair(rng)
    x_rows, y_rows = rng.permutation(len(X)), rng.permutation(len(Y))
    estimator = KNNDivergence(correction=None)
    one = estimator.fit(Y).estimate(X, 0.9).effects
    other = estimator.fit(Y[y_rows]).estimate(X[x_rows], 0.9).effects
    np.testing.assert_array_equal(other.x.rows, one.x.rows[:, x_rows])
    np.testing.assert_array_equal(other.y.rows, one.y.rows[:, y_rows])
    np.testing.assert_allclose(other.x.groups(10), one.x.groups(10), rtol=1e-9)


def test_effects_know_their_rows_where_repeated_ones_were_dropped(rng):
    X, Y = skewed_pair(rng)
    Y = np.concatenate([Y, Y[:7]])[rng.permutation(len(Y) + 7)]
    estimator = KNNDivergence(correction=None, duplicates="drop")
    effects = estimator.fit(Y).estimate(X, 0.9).effects
    traced = TracedEffects.of(effects, row_keys(X), row_keys(Y))
    np.testing.assert_array_equal(traced.train_keys, row_keys(X))
    _, first = np.unique(Y, axis=0, return_index=True)
    np.testing.assert_array_equal(traced.aux_keys, row_keys(Y[np.sort(first)]))
    unknown = replace(effects, y=replace(effects.y, given=None))
    assert TracedEffects.of(unknown, row_keys(X), row_keys(Y)) is None


@given(seed=seeds)
@settings(max_examples=20)
def test_orders_know_contents_only(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 60)), int(rng.integers(1, 6))
    X = rng.normal(size=(n, d))
    if seed % 2:  # rows that hold the same values in other columns
        X = rng.integers(0, 3, (n, d)).astype(float)
    Y = rng.normal(size=(20, d))
    rows, columns = rng.permutation(n), rng.permutation(d)
    units = rng.uniform(0.1, 9, d)
    moved, others = (X * units)[rows][:, columns], (Y * units)[:, columns]
    ordered, again = X[row_order(X)], moved[row_order(moved)]
    found = columns[column_order(again, others)]
    np.testing.assert_array_equal(again, (ordered * units)[:, columns])
    varying = np.unique(X, axis=1).shape[1] == d
    if varying:
        np.testing.assert_array_equal(found, column_order(ordered, Y))


def test_a_constant_column_leaves_the_order_of_rows(rng):
    X = rng.integers(0, 3, (50, 2)).astype(float)
    wider = np.insert(X, 1, 7.0, axis=1)
    np.testing.assert_array_equal(X[row_order(wider)], X[row_order(X)])


def test_wide_samples_are_looked_at_in_parts(rng, monkeypatch):
    X = rng.integers(0, 3, (50, 40)).astype(float)
    whole = row_order(X)
    monkeypatch.setattr("kldiv._order._parts.NUMBERS_AT_A_TIME", 150)
    np.testing.assert_array_equal(row_order(X), whole)


def blas_threads():
    return max(
        (i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"),
        default=1,
    )


def test_matrix_products_on_one_thread():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == before


@pytest.mark.parametrize("values", [np.arange(-3.0, 4), np.array([-0.0, 0.0, 1e-45])])
def test_single_precision_has_the_order_of_double(values, rng):
    """Values that single precision holds are sorted in another way."""
    sample = rng.choice(values, size=(60, 4)) * [1, 1, 2.0**120, 0.5]
    moved = sample / 3 if values[0] < -1 else sample * 1e-200
    np.testing.assert_array_equal(row_order(sample), row_order(moved))
