"""Kolmogorov-Smirnov per column against scipy, two samples and a law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from kldiv import ks_test
from tests.ks_samples import KINDS, alternatives, draw, seeds
from tests.tolerances import ITERATED, ONE_ROUNDING, OTHER_ORDER


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
        try:
            expected = [
                stats.ks_2samp(x, y, alternative=alternative, method=method)
                for x, y in columns
            ]
        except RuntimeWarning:
            # scipy gives up an exact p-value that rounding takes above one.
            found = ks_test(X, Y, alternative=alternative, pvalue_method=method)
            assert found.pvalue.max() > 0.99
            continue
        found = ks_test(X, Y, alternative=alternative, pvalue_method=method)
        for name, tolerance in (("statistic", OTHER_ORDER), ("pvalue", ITERATED)):
            wanted = [getattr(result, name) for result in expected]
            np.testing.assert_allclose(
                getattr(found, name), wanted, rtol=0, atol=tolerance, err_msg=name
            )
        # Where several points are equally far apart, versions of scipy name different
        # ones; ours must be one of them.
        place = found.statistic_location
        gap = (place >= X).mean(axis=0) - (place >= Y).mean(axis=0)
        np.testing.assert_allclose(
            found.statistic_sign * gap, found.statistic, rtol=0, atol=OTHER_ORDER
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
        assert found.statistic == pytest.approx(expected.statistic, abs=OTHER_ORDER)
        assert found.pvalue == pytest.approx(expected.pvalue, abs=ITERATED)


def test_large_samples_equal_scipy(rng):
    for n, m in ((10_000, 9_999), (12_000, 700), (3_000, 3_000)):
        x, y = rng.normal(size=n), rng.normal(0.02, 1.02, size=m)
        expected, found = stats.ks_2samp(x, y), ks_test(x, y)
        assert found.statistic == pytest.approx(expected.statistic, abs=OTHER_ORDER)
        assert found.pvalue == pytest.approx(expected.pvalue, rel=ITERATED)
        assert found.pvalue_method == ("asymp" if n > 10_000 else "exact")


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
            assert found.statistic[k] == pytest.approx(
                expected.statistic, abs=OTHER_ORDER
            )
            assert found.pvalue[k] == pytest.approx(expected.pvalue, abs=ITERATED)
            assert found.statistic_location[k] == expected.statistic_location
            assert found.statistic_sign[k] == expected.statistic_sign


def test_a_law_may_have_one_parameter_per_column(rng):
    X = rng.normal([0, 5], 1, (300, 2))
    found = ks_test(X, stats.norm([0, 5], 1))
    for k, mean in enumerate((0, 5)):
        expected = stats.ks_1samp(X[:, k], stats.norm(mean, 1).cdf)
        assert found.pvalue[k] == pytest.approx(expected.pvalue, abs=ITERATED)


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
    np.testing.assert_allclose(plain.statistic, swapped.statistic, atol=ONE_ROUNDING)
    np.testing.assert_allclose(plain.pvalue, swapped.pvalue, rtol=ITERATED)
