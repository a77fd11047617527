"""Kolmogorov-Smirnov: scipy, slow twins, closed forms, permutations, contract."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from kldiv import KSDistance, ks_test
from kldiv._ks._methods import METHODS
from kldiv._ks._pvalues import ADJUSTMENTS, kstwo_sf
from kldiv._ks._relabellings import LANES, Relabellings
from tests import reference

PERMUTED = ["sliced", "max-sliced", "fasano-franceschini"]
seeds = st.integers(0, 2**32 - 1)
alternatives = st.sampled_from(["two-sided", "less", "greater"])


def draw(kind, rng, size):
    """Samples of each kind that has a different path through the kernel."""
    if kind == "normal":
        return rng.normal(size=size)
    if kind == "float32":
        return rng.normal(size=size).astype(np.float32)
    if kind == "far":
        return 1e12 + rng.normal(size=size)
    if kind == "heavy":
        return rng.standard_cauchy(size=size) ** 5
    if kind == "huge":
        return 1.7e308 * rng.uniform(-1, 1, size=size)
    if kind == "tiny":
        return rng.integers(0, 50, size=size) * 5e-324
    if kind == "ties":
        return rng.integers(0, 4, size=size).astype(float)
    if kind == "pixels":
        ink = rng.integers(0, 256, size=size) * (rng.random(size) < 0.3)
        return (ink / 255).astype(np.float32)
    assert kind == "constant"
    return np.full(size, 3.0)


KINDS = [
    *("normal", "float32", "far", "heavy", "huge", "tiny"),
    *("ties", "pixels", "constant"),
]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(st.integers(1, 400), st.integers(1, 400), seeds, alternatives)
def test_columns_equal_scipy(kind, n, m, seed, alternative):
    rng = np.random.default_rng(seed)
    X, Y = draw(kind, rng, (n, 3)), draw(kind, rng, (m, 3))
    for method in ("exact", "asymp", "auto"):
        if method == "asymp" and n * m / (n + m) <= 0.5:
            continue
        # Some versions of scipy compute in the precision of the input, and take a sum
        # that overflows for a nan; a power of two changes no order.
        scale = 2.0**-20 if kind == "huge" else 1.0
        columns = zip(X.T.astype(float) * scale, Y.T.astype(float) * scale, strict=True)
        expected = [
            stats.ks_2samp(x, y, alternative=alternative, method=method)
            for x, y in columns
        ]
        found = ks_test(X, Y, alternative=alternative, pvalue_method=method)
        for name, tolerance in (("statistic", 1e-12), ("pvalue", 1e-9)):
            wanted = [getattr(result, name) for result in expected]
            np.testing.assert_allclose(
                getattr(found, name), wanted, rtol=0, atol=tolerance, err_msg=name
            )
        # Where several points are equally far apart, versions of scipy name different
        # ones; ours must be one of them.
        place = found.statistic_location
        gap = (place >= X).mean(axis=0) - (place >= Y).mean(axis=0)
        np.testing.assert_allclose(
            found.statistic_sign * gap, found.statistic, rtol=0, atol=1e-12
        )


@pytest.mark.parametrize(
    ("n", "m"), [(1, 1), (1, 2), (2, 1), (1, 9), (2, 2), (3, 7), (10, 10)]
)
def test_tiny_samples_equal_scipy(n, m, rng):
    for _ in range(20):
        x, y = rng.normal(size=n), rng.integers(-1, 2, m).astype(float)
        expected = stats.ks_2samp(x, y)
        found = ks_test(x, y)
        assert isinstance(found.statistic, float)
        assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)
        assert found.pvalue == pytest.approx(expected.pvalue, abs=1e-9)


@pytest.mark.parametrize(("n", "m"), [(4, 5), (5, 3), (4, 4), (1, 6)])
def test_exact_pvalue_counts_every_order(n, m, rng):
    x, y = rng.normal(size=n), rng.normal(0.5, size=m)
    assert ks_test(x, y).pvalue == pytest.approx(
        reference.ks_exact_tail(x, y), rel=1e-12
    )


def test_large_samples_equal_scipy(rng):
    for n, m in ((10_000, 9_999), (12_000, 700), (3_000, 3_000)):
        x, y = rng.normal(size=n), rng.normal(0.02, 1.02, size=m)
        expected, found = stats.ks_2samp(x, y), ks_test(x, y)
        assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)
        assert found.pvalue == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.pvalue_method == ("asymp" if n > 10_000 else "exact")


@pytest.mark.parametrize("n", [1, 2, 140, 141, 857, 4999, 5001, 20_000])
def test_law_of_the_statistic_equals_scipy(n):
    x = np.concatenate(
        [
            np.linspace(0, 1, 21),
            np.linspace(0.3, 3, 9) / n,
            np.linspace(0.2, 3, 30) / n**0.5,
        ]
    )
    x = x[x <= 1]
    np.testing.assert_allclose(kstwo_sf(x, n), stats.kstwo.sf(x, n), rtol=0, atol=1e-10)


@given(st.integers(1, 300), seeds, alternatives, st.sampled_from(["auto", "asymp"]))
def test_columns_against_a_law_equal_scipy(n, seed, alternative, method):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    laws = [stats.norm(0.1, 1.1), stats.t(3)]
    for law in laws:
        found = ks_test(X, law, alternative=alternative, pvalue_method=method)
        for k in range(2):
            expected = stats.ks_1samp(
                X[:, k], law.cdf, alternative=alternative, method=method
            )
            assert found.statistic[k] == pytest.approx(expected.statistic, abs=1e-12)
            assert found.pvalue[k] == pytest.approx(expected.pvalue, abs=1e-9)
            assert found.statistic_location[k] == expected.statistic_location
            assert found.statistic_sign[k] == expected.statistic_sign


def test_a_law_may_have_one_parameter_per_column(rng):
    X = rng.normal([0, 5], 1, (300, 2))
    found = ks_test(X, stats.norm([0, 5], 1))
    for k, mean in enumerate((0, 5)):
        expected = stats.ks_1samp(X[:, k], stats.norm(mean, 1).cdf)
        assert found.pvalue[k] == pytest.approx(expected.pvalue, abs=1e-9)


def test_adjusted_pvalues(rng):
    p = np.concatenate([rng.uniform(0, 0.02, 5), rng.uniform(size=20)])
    bonferroni, holm, hochberg = (ADJUSTMENTS[name](p) for name in ADJUSTMENTS)
    np.testing.assert_allclose(hochberg, stats.false_discovery_control(p))
    np.testing.assert_allclose(bonferroni, np.minimum(1, 25 * p))
    order = np.argsort(p)
    expected = [max((25 - j) * p[order[j]] for j in range(i + 1)) for i in range(25)]
    np.testing.assert_allclose(holm[order], np.minimum(1, expected))
    result = ks_test(rng.normal(size=(50, 4)), rng.normal(size=(60, 4)))
    assert result.global_pvalue == result.pvalue_bonferroni.min()
    assert result.global_statistic == result.statistic.max()


@given(
    st.sampled_from(["normal", "ties", "float32"]),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(1, 40),
    seeds,
)
def test_orthants_agree_with_their_slow_twin(kind, d, n, m, seed):
    rng = np.random.default_rng(seed)
    X, Y = draw(kind, rng, (n, d)), draw(kind, rng, (m, d))
    found = ks_test(X, Y, method="fasano-franceschini").statistic
    assert found == pytest.approx(reference.ks_orthants(X, Y), abs=1e-12)


def test_orthants_beyond_one_word_of_rows(rng):
    X, Y = rng.normal(size=(70, 5)), rng.normal(0.3, 1, (67, 5))
    found = ks_test(X, Y, method="fasano-franceschini").statistic
    assert found == pytest.approx(reference.ks_orthants(X, Y), abs=1e-12)


@given(
    st.sampled_from(["normal", "ties"]), st.integers(1, 30), st.integers(1, 30), seeds
)
def test_rows_agree_with_their_slow_twin(kind, n, m, seed):
    rng = np.random.default_rng(seed)
    X, Y = draw(kind, rng, (n, 4)), draw(kind, rng, (m, 4))
    result = ks_test(X, Y, method="rows", n_permutations=3)
    assert result.statistic == pytest.approx(reference.ks_rows(X, Y), abs=1e-12)
    expected = [stats.ks_2samp(row, Y.ravel()).pvalue for row in X]
    np.testing.assert_allclose(result.row_pvalue, expected, atol=1e-9)


def test_rows_against_a_law(rng):
    X = rng.normal(size=(20, 30))
    result = ks_test(X, stats.norm(), method="rows")
    expected = [stats.ks_1samp(row, stats.norm.cdf).pvalue for row in X]
    np.testing.assert_allclose(result.row_pvalue, expected, atol=1e-9)
    assert result.pvalue == pytest.approx(np.mean(expected), abs=1e-9)
    assert result.global_pvalue == min(1, 2 * result.pvalue)


# --- Permutations ---------------------------------------------------------------------


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 130), seeds)
def test_relabellings_keep_the_sizes_and_begin_with_the_given_one(n, m, size, seed):
    relabellings = Relabellings(n, m, size, np.random.default_rng(seed))
    total = 0
    for block in range(relabellings.n_blocks):
        lanes = relabellings.lanes(block)
        labels = relabellings.labels(block)[:, :lanes]
        assert set(np.unique(labels)) <= {0, 1}
        assert (labels.sum(axis=0) == n).all()
        if block == 0:
            assert labels[:n, 0].all()
        total += lanes
    assert total == size + 1


@pytest.mark.parametrize(("n", "m"), [(2, 4), (4, 2), (3, 3)])
def test_every_relabelling_is_equally_likely(n, m):
    relabellings = Relabellings(n, m, 150 * LANES, np.random.default_rng(0))
    counts = {}
    for block in range(1, relabellings.n_blocks - 1):
        for label in relabellings.labels(block).T:
            counts[label.tobytes()] = counts.get(label.tobytes(), 0) + 1
    assert len(counts) == {(2, 4): 15, (4, 2): 15, (3, 3): 20}[n, m]
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


def test_rows_are_called_x_independently_of_their_place():
    n, m = 300, 700
    relabellings = Relabellings(n, m, 100 * LANES, np.random.default_rng(1))
    picked = sum(relabellings.labels(b).sum(axis=1) for b in range(1, 100))
    draws = 99 * LANES
    z = (picked - 0.3 * draws) / np.sqrt(0.21 * draws)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    first, second = relabellings.labels(1)[:-1], relabellings.labels(1)[1:]
    both = (first & second).mean()
    assert both == pytest.approx(0.3 * 299 / 999, abs=5 * 0.3 / np.sqrt(draws))


def permuted_statistic(method, pooled, label, **options):
    X, Y = pooled[label == 1], pooled[label == 0]
    return np.max(ks_test(X, Y, method=method, **options).global_statistic)


@pytest.mark.parametrize("method", ["columns", "rows", "fasano-franceschini"])
@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize(("n", "m"), [(13, 29), (30, 30), (200, 333)])
@pytest.mark.parametrize("kind", ["normal", "ties"])
def test_permutation_pvalue_is_that_of_a_plain_loop(method, d, n, m, kind, rng):
    X, Y = draw(kind, rng, (n, d)), draw(kind, rng, (m, d))
    size = 70 if n < 100 else 9
    found = ks_test(X, Y, method=method, n_permutations=size, random_state=7)
    relabellings = Relabellings(n, m, size, np.random.default_rng(7))
    pooled, values = np.concatenate([X, Y]), []
    for block in range(relabellings.n_blocks):
        labels = relabellings.labels(block)[:, : relabellings.lanes(block)].copy()
        values += [permuted_statistic(method, pooled, label) for label in labels.T]
    extreme = sum(value >= values[0] - 1e-12 for value in values[1:])
    assert found.global_pvalue == pytest.approx((extreme + 1) / (size + 1))
    assert found.pvalue_method == "permutation"


@given(alternatives, st.integers(1, 60), st.integers(1, 60), seeds)
def test_permutations_of_columns_follow_the_alternative(alternative, n, m, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), rng.normal(0.5, 1, m)
    options = {"alternative": alternative, "random_state": 0}
    permuted = ks_test(x, y, n_permutations=2000, **options)
    exact = ks_test(x, y, pvalue_method="exact", **options)
    error = 5 * np.sqrt(0.25 / 2000) + 1 / 2000
    assert permuted.statistic == exact.statistic
    assert permuted.pvalue == pytest.approx(exact.pvalue, abs=error)


@pytest.mark.parametrize("scale", [1, 40_000])
def test_permutations_with_large_common_multiples(scale, rng):
    # 211 and 199 need 32 bits; 40 009 and 40 013 need 64.
    n, m = (211, 199) if scale == 1 else (40_009, 40_013)
    x, y = rng.normal(size=n), rng.normal(size=m)
    permuted = ks_test(x, y, n_permutations=300, random_state=0).pvalue
    plane = ks_test(x, y, method="fasano-franceschini", n_permutations=20).pvalue
    assert permuted == pytest.approx(ks_test(x, y).pvalue, abs=0.15)
    assert 0 < plane <= 1


@pytest.mark.parametrize("method", list(METHODS))
def test_pvalue_does_not_depend_on_threads(method, rng):
    X, Y = rng.normal(size=(60, 3)), rng.normal(0.2, 1, (50, 3))
    options = {"method": method, "n_permutations": 200, "random_state": 3}
    one, two = ks_test(X, Y, **options), ks_test(X, Y, n_jobs=2, **options)
    np.testing.assert_array_equal(one.statistic, two.statistic)
    np.testing.assert_array_equal(one.pvalue, two.pvalue)


@pytest.mark.parametrize("method", list(METHODS))
def test_pvalue_under_the_null_is_uniform(method):
    rng = np.random.default_rng(5)
    pvalues = []
    for _ in range(200):
        X, Y = rng.normal(size=(20, 2)), rng.normal(size=(25, 2))
        result = ks_test(
            X, Y, method=method, n_permutations=39, n_directions=10, random_state=rng
        )
        pvalues.append(result.global_pvalue)
    for alpha in (0.05, 0.25, 0.5):
        rejected = np.sum(np.array(pvalues) <= alpha)
        assert stats.binomtest(int(rejected), 200, alpha).pvalue > 1e-3


@pytest.mark.parametrize("method", PERMUTED)
def test_a_shift_is_found(method, rng):
    X, Y = rng.normal(size=(80, 3)), rng.normal(1, 1, (80, 3))
    result = ks_test(X, Y, method=method, n_permutations=199, random_state=0)
    assert result.pvalue == 1 / 200
    assert 0 < result.statistic <= 1


@pytest.mark.parametrize("method", PERMUTED)
def test_without_permutations_there_is_no_pvalue(method, rng):
    result = ks_test(rng.normal(size=(9, 2)), rng.normal(size=(8, 2)), method=method)
    assert np.isnan(result.pvalue)
    assert result.pvalue_method == "none"


# --- Slices ---------------------------------------------------------------------------


def test_max_sliced_finds_the_direction_of_a_shift(rng):
    d, shift = 20, 2.0
    direction = rng.normal(size=d)
    direction /= np.linalg.norm(direction)
    X, Y = rng.normal(size=(4000, d)), rng.normal(size=(4000, d)) + shift * direction
    result = ks_test(X, Y, method="max-sliced", random_state=0)
    # The supremum over half spaces is the total variation of N(0, 1) and N(shift, 1).
    total_variation = 2 * stats.norm.cdf(shift / 2) - 1
    assert result.statistic == pytest.approx(total_variation, abs=0.03)
    assert abs(result.direction @ direction) > 0.98
    along = reference.ks_gap(X[:500] @ result.direction, Y[:500] @ result.direction)
    assert along == pytest.approx(result.statistic, abs=0.08)


@pytest.mark.parametrize("change", ["scale", "correlation"])
def test_max_sliced_finds_a_change_of_second_moments(change, rng):
    d = 10
    covariance = np.eye(d)
    if change == "scale":
        covariance[3, 3] = 9.0
        best = np.eye(d)[3]
    else:
        covariance[2, 7] = covariance[7, 2] = 0.95
        best = (np.eye(d)[2] - np.eye(d)[7]) / np.sqrt(2)
    X = rng.normal(size=(3000, d))
    Y = rng.multivariate_normal(np.zeros(d), covariance, 3000)
    result = ks_test(X, Y, method="max-sliced", random_state=0)
    assert result.statistic >= reference.ks_gap(X @ best, Y @ best) - 0.01


def test_one_column_is_the_same_by_every_way(rng):
    x, y = rng.normal(size=90), rng.normal(0.4, 1, 70)
    plain = ks_test(x, y).statistic
    for method in ("sliced", "max-sliced"):
        found = ks_test(x, y, method=method, random_state=0)
        assert found.statistic == pytest.approx(plain, abs=1e-12)


def test_sliced_is_the_mean_over_directions(rng):
    X, Y = rng.normal(size=(40, 3)), rng.normal(0.4, 1, (50, 3))
    found = ks_test(X, Y, method="sliced", n_directions=7, random_state=3)
    generator = np.random.default_rng(3)
    Relabellings(40, 50, 0, generator)  # drawn first
    directions = generator.standard_normal((3, 7))
    gaps = [reference.ks_gap(X @ w, Y @ w) for w in directions.T]
    assert found.statistic == pytest.approx(np.mean(gaps), abs=1e-12)


# --- Laws of whole rows, awkward input, estimator -------------------------------------


@pytest.mark.parametrize("method", PERMUTED)
def test_laws_of_whole_rows(method, rng):
    law = stats.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]])
    options = {"method": method, "n_permutations": 99, "random_state": 0}
    good = ks_test(law.rvs(100, random_state=rng), law, **options)
    bad = ks_test(rng.normal(size=(100, 2)), law, **options)
    assert good.m == 400
    assert bad.pvalue == 0.01
    assert good.pvalue > 0.01
    assert ks_test(rng.normal(size=(50, 2)), stats.norm(), **options).m == 200


def test_laws_that_do_not_fit(rng):
    X = rng.normal(size=(20, 3))
    with pytest.raises(ValueError, match="the sample of the law has 2 features"):
        ks_test(X, stats.multivariate_normal([0, 0]), method="sliced")

    class OnlyDistributionFunction:
        cdf = staticmethod(stats.norm.cdf)

    assert ks_test(X, OnlyDistributionFunction()).pvalue.shape == (3,)
    with pytest.raises(TypeError, match="has no rvs"):
        ks_test(X, OnlyDistributionFunction(), method="sliced")


@pytest.mark.parametrize("method", list(METHODS))
def test_one_row_and_vectors(method, rng):
    for n, m in ((1, 1), (1, 5), (5, 1)):
        X, Y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
        found = ks_test(X, Y, method=method, n_permutations=5, random_state=0)
        assert 0 < found.global_pvalue <= 1
    vector = ks_test([1, 2, 3], [2, 3, 4, 5], method=method)
    matrix = ks_test([[1], [2], [3]], [[2], [3], [4], [5]], method=method)
    assert vector.global_statistic == pytest.approx(matrix.global_statistic)
    assert np.ndim(vector.statistic) == 0


@pytest.mark.parametrize("method", list(METHODS))
def test_constant_columns(method):
    X, Y = np.ones((6, 2)), np.ones((7, 2))
    same = ks_test(X, Y, method=method, n_permutations=19, random_state=0)
    assert same.global_statistic == 0
    assert same.global_pvalue == 1
    # Centred on a row of Y, all rows are in the orthant below: D_Y = 0.
    apart = 0.5 if method == "fasano-franceschini" else 1
    found = ks_test(X, 2 * Y, method=method).global_statistic
    assert found == pytest.approx(apart)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"X": np.empty((0, 2))}, ValueError, "X has no rows"),
        ({"Y": [[np.nan, 1.0]]}, ValueError, "Y holds 1 NaN"),
        ({"X": [[np.inf, 1.0]]}, ValueError, "infinite"),
        ({"Y": np.ones((3, 3))}, ValueError, "Y has 3 features"),
        ({"method": "peacock"}, ValueError, "'max-sliced'"),
        ({"alternative": "more"}, ValueError, "alternative must be one of"),
        ({"pvalue_method": "guess"}, ValueError, "pvalue_method must be one of"),
        ({"n_permutations": -1}, ValueError, "at least 0; got -1"),
        ({"n_permutations": 1.5}, TypeError, "must be an integer"),
        ({"n_directions": 0}, ValueError, "at least 1"),
        ({"method": "rows", "alternative": "less"}, ValueError, "method='columns'"),
        ({"Y": stats.norm(), "n_permutations": 9}, ValueError, "two samples"),
        ({"Y": stats.norm(0, -1)}, ValueError, "check its parameters"),
        (
            {"Y": stats.multivariate_normal([0, 0], np.eye(2))},
            ValueError,
            "law of one number",
        ),
        (
            {"X": [[1.0]], "Y": [[2.0]], "pvalue_method": "asymp"},
            ValueError,
            "pvalue_method='exact'",
        ),
    ],
)
def test_bad_input_says_what_to_do(change, error, match):
    arguments = {"X": np.ones((4, 2)), "Y": np.ones((3, 2))} | change
    X, Y = arguments.pop("X"), arguments.pop("Y")
    with pytest.raises(error, match=match):
        ks_test(X, Y, **arguments)


def test_orthants_refuse_many_columns(rng):
    with pytest.raises(ValueError, match=r"2\^d orthants.*max-sliced"):
        ks_test(
            rng.normal(size=(9, 6)),
            rng.normal(size=(9, 6)),
            method="fasano-franceschini",
        )


@parametrize_with_checks([KSDistance(), KSDistance(method="max-sliced")])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("method", list(METHODS))
def test_estimator_scores_the_test(method, rng):
    X, Y = rng.normal(size=(50, 3)), rng.normal(0.5, 2, (60, 3))
    distance = KSDistance(method=method, random_state=0).fit(Y)
    expected = ks_test(X, Y, method=method, n_permutations=9, random_state=0)
    assert distance.score(X) == expected.global_statistic
    found = distance.test(X, n_permutations=9)
    assert found.global_pvalue == expected.global_pvalue
    piped = make_pipeline(StandardScaler(), KSDistance(method, random_state=0)).fit(Y)
    assert 0 <= piped.score(X) <= 1
    with pytest.raises(NotFittedError):
        KSDistance().score(X)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(st.integers(2, 60), st.integers(2, 60), seeds, st.floats(0.01, 100))
def test_columns_ignore_monotone_maps_and_row_order(kind, n, m, seed, scale):
    rng = np.random.default_rng(seed)
    X, Y = draw(kind, rng, (n, 2)), draw(kind, rng, (m, 2))
    plain = ks_test(X, Y)
    ranks = stats.rankdata(np.concatenate([X, Y]), method="dense", axis=0) * scale
    moved = ks_test(rng.permutation(ranks[:n]), rng.permutation(ranks[n:]))
    np.testing.assert_array_equal(plain.statistic, moved.statistic)
    swapped = ks_test(Y, X)
    np.testing.assert_allclose(plain.statistic, swapped.statistic, atol=1e-15)
    np.testing.assert_allclose(plain.pvalue, swapped.pvalue, rtol=1e-9)
