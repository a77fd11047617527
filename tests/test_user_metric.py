"""Metrics written by the user: against the slow twin, and what is refused."""

import sys

import numpy as np
import pytest
from sklearn.base import clone

import kldiv._backends._user_metric as user_metric
from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    estimate_divergence,
    neighbor_distances,
)
from kldiv._neighbors import BLOCKS, search
from tests.reference import kl_adaptive, neighbor_block_by, neighbor_blocks_longdouble
from tests.tolerances import DISTANCES, ITERATED, LOGARITHMS, ONE_ROUNDING, OTHER_ORDER

numba = pytest.importorskip("numba")


def euclidean(x, y):
    total = 0.0
    for i in range(len(x)):
        difference = np.float64(x[i]) - np.float64(y[i])
        total += difference * difference
    return total**0.5


def manhattan(x, y):
    total = 0.0
    for i in range(len(x)):
        total += abs(x[i] - y[i])
    return total


def uphill(x, y):
    """Not symmetric: a way up is twice as long as a way down."""
    total = 0.0
    for i in range(len(x)):
        rise = np.float64(y[i]) - np.float64(x[i])
        total += 2 * rise if rise > 0 else -rise
    return total


def cubes(x, y):
    """A norm that has no name here."""
    total = 0.0
    for i in range(len(x)):
        total += (i + 1) * abs(x[i] - y[i]) ** 3
    return total ** (1 / 3)


def first_column(x, y):
    return abs(x[0] - y[0])


def samples(rng, n, m, d, dtype=np.float64):
    return rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 5, 256])
def test_scan_equals_the_slow_twin(k, dtype, rng):
    X, Y = samples(rng, k + 60, k + 50, 3, dtype)
    X[:40] = X[0]  # ties
    by_threads = [
        search(X, Y, k, blocks=BLOCKS, metric=uphill, threads=t, return_indices=True)
        for t in (1, 3)
    ]
    pool = {"x": X, "y": Y}
    for block in BLOCKS:
        queries, data = pool[block[0]], pool[block[1]]
        expected = neighbor_block_by(uphill, queries, data, k, block[0] == block[1])
        rows = getattr(by_threads[0], f"{block}_indices")
        for found in by_threads:
            np.testing.assert_array_equal(found.block(block), expected)
            np.testing.assert_array_equal(getattr(found, f"{block}_indices"), rows)
        rise = data[rows].astype(float) - queries.astype(float)[:, None]
        measured = np.where(rise > 0, 2 * rise, -rise).sum(-1)
        np.testing.assert_allclose(measured, expected, rtol=DISTANCES)
        if block[0] == block[1]:
            assert (rows != np.arange(len(rows))[:, None]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_euclidean_by_hand_is_the_built_in_metric(dtype, rng):
    X, Y = samples(rng, 150, 120, 4, dtype)
    by_hand = neighbor_distances(X, Y, metric=euclidean, n_jobs=2)
    expected = neighbor_blocks_longdouble(X, Y, 5, ("xx", "xy"))
    built_in = neighbor_distances(X, Y)
    for block in ("xx", "xy"):
        np.testing.assert_allclose(
            by_hand.block(block), expected[block], rtol=ONE_ROUNDING
        )
        np.testing.assert_allclose(
            by_hand.block(block), built_in.block(block), rtol=ONE_ROUNDING
        )
    assert (by_hand.algorithm, by_hand.metric) == ("brute", "euclidean")
    assert by_hand.predicted_seconds is None


def test_query_is_the_first_argument():
    found = neighbor_distances(
        [[0.0]], [[1.0]], n_neighbors=1, metric=uphill, blocks=("xy", "yx")
    )
    assert (found.xy.item(), found.yx.item()) == (2.0, 1.0)


def test_compiled_functions_are_used_as_they_are(rng):
    X, Y = samples(rng, 30, 20, 2)
    expected = neighbor_distances(X, Y, metric=manhattan)
    row = numba.types.Array(numba.float64, 1, "C")
    for jitted in (
        numba.njit(manhattan),
        numba.njit(manhattan, fastmath=True),
        numba.njit(numba.float64(row, row))(manhattan),
    ):
        found = neighbor_distances(X, Y, metric=jitted)
        np.testing.assert_allclose(found.xx, expected.xx, rtol=DISTANCES)
        np.testing.assert_allclose(found.xy, expected.xy, rtol=DISTANCES)


def test_scan_is_compiled_once_for_each_function(rng):
    X, Y = samples(rng, 30, 20, 2)

    def chebyshev(x, y):
        return max(abs(x[0] - y[0]), abs(x[1] - y[1]))

    before = user_metric._compile.cache_info()
    for _ in range(3):
        neighbor_distances(X, Y, metric=chebyshev)
    after = user_metric._compile.cache_info()
    assert (after.misses, after.hits) == (before.misses + 1, before.hits + 2)


def test_read_only_samples(rng):
    X, Y = samples(rng, 30, 20, 2)
    expected = neighbor_distances(X, Y, metric=manhattan)
    for sample in (X, Y):
        sample.setflags(write=False)
    found = neighbor_distances(X, Y, metric=manhattan)
    np.testing.assert_array_equal(found.xy, expected.xy)


def signed(x, y):
    return x[0] - y[0]


def not_a_number(x, y):
    return np.sqrt(x[0] - y[0])


def infinite(x, y):
    return np.inf if x[0] > y[0] else abs(x[0] - y[0])


def pair(x, y):
    return x[0], y[0]


def three(x, y, z):
    return x[0] + y[0] + z[0]


def unknown_library(x, y):
    return sys.getsizeof(x) + y[0]


@pytest.mark.parametrize(
    ("metric", "error", "message"),
    [
        (signed, ValueError, r"'signed' returned -1.0 for row 0 of X and row 1 of X"),
        (not_a_number, ValueError, "'not_a_number' returned nan"),
        (infinite, ValueError, "'infinite' returned inf"),
        (pair, TypeError, r"'pair' returns UniTuple\(float64 x 2\)"),
        (three, TypeError, "cannot compile metric='three'.*argument: 'z'"),
        (unknown_library, TypeError, "cannot compile metric='unknown_library'"),
        (np.add, TypeError, "got ufunc"),
        (KNNDivergence, TypeError, "got type"),
        (3, ValueError, "'manhattan', 'chebyshev', or a function.* got 3"),
    ],
)
def test_refusals(metric, error, message):
    X, Y = np.array([[0.0], [1.0]]), np.array([[2.0], [5.0]])
    for n_jobs in (1, 2):
        with pytest.raises(error, match=message):
            neighbor_distances(X, Y, n_neighbors=1, metric=metric, n_jobs=n_jobs)


def strict(x, y):
    if x[0] > 50:
        raise ValueError("too far east")
    return abs(x[0] - y[0])


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
@pytest.mark.parametrize("row", [0, 99])
def test_an_exception_of_the_metric_arrives(row, n_jobs, rng):
    X, Y = samples(rng, 100, 100, 2)
    X[row] = 60
    with pytest.raises(ValueError, match="too far east"):
        neighbor_distances(X, Y, metric=strict, n_jobs=n_jobs, blocks=("xy",))


def test_only_the_scan_of_all_pairs_takes_a_function(rng):
    X, Y = samples(rng, 30, 20, 2)
    with pytest.raises(ValueError, match="'tree' does not know metric='manhattan'"):
        neighbor_distances(X, Y, metric=manhattan, algorithm="tree")
    with pytest.raises(ValueError, match="'tree' does not know metric='manhattan'"):
        estimate_divergence(X, Y, metric=manhattan, algorithm="tree")


def test_without_numba_the_error_says_what_to_install(rng, monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "numba"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    X, Y = samples(rng, 30, 20, 2)
    with pytest.raises(ImportError, match=r"pip install \"kldiv\[numba\]\""):
        neighbor_distances(X, Y, metric=manhattan)
    with pytest.raises(ImportError, match=r"pip install \"kldiv\[numba\]\""):
        KNNDivergence(metric=manhattan).fit(X)


# --- estimators -----------------------------------------------------------------------


def same_estimate(found, expected):
    assert found.value == pytest.approx(expected.value, rel=OTHER_ORDER)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=ITERATED)
    assert found.coverage == expected.coverage
    assert found.n_features == expected.n_features


@pytest.mark.filterwarnings("ignore:.*takes them as weight:UserWarning")
@pytest.mark.parametrize("correction", [None, "adaptive"])
@pytest.mark.parametrize("name", ["euclidean", "manhattan"])
def test_estimates_equal_those_of_the_built_in_metric(name, correction, rng):
    X, Y = samples(rng, 90, 80, 3)
    function = {"euclidean": euclidean, "manhattan": manhattan}[name]
    for duplicates in ("raise", "expand"):
        options = {"correction": correction, "duplicates": duplicates}
        expected = estimate_divergence(X, Y, metric=name, **options)
        found = estimate_divergence(X, Y, metric=function, **options)
        same_estimate(found, expected)
        assert (found.metric, found.correction) == (name, correction)
        X[:10] = X[0]
        Y[:10] = X[0]


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev"])
def test_adaptive_neighbours_of_other_metrics(metric, rng):
    """In one dimension all metrics are one, and in two a rotation exchanges them."""
    X, Y = samples(rng, 70, 60, 1)
    options = {"correction": "adaptive", "n_neighbors": 3}
    expected = kl_adaptive(X, Y, 3)
    found = estimate_divergence(X, Y, metric=metric, **options).value
    assert found == pytest.approx(expected, rel=LOGARITHMS)
    X, Y = samples(rng, 70, 60, 2)
    turn = np.array([[1, 1], [-1, 1.0]])
    manhattan_, chebyshev_ = (
        estimate_divergence(*pair, metric=name, **options).value
        for pair, name in (((X, Y), "manhattan"), ((X @ turn, Y @ turn), "chebyshev"))
    )
    assert manhattan_ == pytest.approx(chebyshev_, rel=LOGARITHMS)


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev", cubes])
def test_volumes_of_balls_cancel(metric, rng):
    """Any metric with balls of volume c r**d reaches the closed form, 0.5 nats."""
    found = [
        estimate_divergence(
            rng.normal(0.5**0.5, 1, (1000, 2)),
            rng.normal(0, 1, (1000, 2)),
            metric=metric,
            correction=None,
            confidence_level=None,
        ).value
        for _ in range(6)
    ]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(0.5, abs=3 * error + 0.02)


def test_columns_stay_in_place_and_the_dimension_is_that_of_the_data(rng):
    """A function may name columns; constant and repeated ones do not count."""
    X, Y = samples(rng, 90, 80, 2)

    def last_two(x, y):
        return abs(x[-1] - y[-1]) + abs(x[-2] - y[-2])

    wide = [np.column_stack([np.ones(len(s)), s[:, 0] + s[:, 1], s]) for s in (X, Y)]
    options = {"correction": None, "confidence_level": None}
    found = estimate_divergence(*wide, metric=last_two, **options)
    expected = estimate_divergence(X, Y, metric="manhattan", **options)
    assert found.n_features == 2
    assert found.value == pytest.approx(expected.value, rel=OTHER_ORDER)


@pytest.mark.filterwarnings("ignore:.*(look discrete|takes them):UserWarning")
def test_zero_between_different_rows_is_refused_or_expanded(rng):
    X, Y = (np.round(s) for s in samples(rng, 60, 50, 2))
    X[:, 1], Y[:, 1] = np.arange(60) * 0.1, np.arange(50) * 0.1 + 0.05
    options = {"metric": first_column, "correction": None, "n_neighbors": 3}
    with pytest.raises(ValueError, match="'first_column' is zero between different"):
        estimate_divergence(X, Y, **options)
    found = estimate_divergence(X, Y, duplicates="expand", **options).value
    flat = [np.column_stack([s[:, 0], s[:, 0]]) for s in (X, Y)]
    one = estimate_divergence(*flat, **{**options, "duplicates": "expand"})
    assert one.n_features == 1
    assert np.isfinite(found)


@pytest.mark.parametrize("metric", ["manhattan", manhattan])
def test_what_needs_euclidean_balls_is_refused(metric, rng):
    X, Y = samples(rng, 60, 50, 2)
    for correction in ("gaussian", "mixture"):
        with pytest.raises(ValueError, match=f"{correction}.*Euclidean.*'manhattan'"):
            estimate_divergence(X, Y, metric=metric, correction=correction)
    for name in ("energy", "mmd"):
        with pytest.raises(ValueError, match=f"{name}.*metric='manhattan'.*ignored"):
            estimate_divergence(X, Y, metric=metric, divergence=name)
    assert estimate_divergence(X, Y, metric=metric).correction == "adaptive"


@pytest.mark.parametrize("metric", ["chebyshev", uphill])
def test_permutations_use_the_metric(metric, rng):
    X, Y = rng.normal(0.8, 1, (80, 2)), rng.normal(0, 1, (70, 2))
    options = {"metric": metric, "n_permutations": 99, "confidence_level": None}
    assert estimate_divergence(X, Y, random_state=0, **options).pvalue <= 0.02
    half = X[:40], X[40:]
    assert estimate_divergence(*half, random_state=0, **options).pvalue > 0.05


def test_estimator_and_scorer_take_a_function(rng):
    X, Y = samples(rng, 120, 110, 20)
    y, a = np.arange(120) % 2, np.arange(110) % 2
    estimator = KNNDivergence(correction=None, metric=manhattan)
    assert clone(estimator).get_params()["metric"] is manhattan
    expected = [clone(estimator).fit(Y[a == c]).score(X[y == c]) for c in np.unique(y)]
    for n_jobs in (None, 2):
        scorer = ConditionalKLScorer(estimator, n_jobs=n_jobs).fit((X, y), (Y, a))
        np.testing.assert_array_equal(scorer.score_per_class(), expected)
    said = scorer.report().settings["transformer"]
    assert said == "auto: none, metric='manhattan' on 20 features"
