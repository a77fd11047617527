"""What every method of `ks_test` promises, and awkward input."""

import numpy as np
import pytest
from scipy import stats

from kldiv import ks_test
from kldiv._ks._methods import METHODS

PERMUTED = ["sliced", "max-sliced", "fasano-franceschini"]


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
    with pytest.raises(
        ValueError, match="the sample of the distribution has 2 features"
    ):
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
            "distribution of one number",
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
