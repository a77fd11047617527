"""Kolmogorov-Smirnov kernels: every instruction set gives the bits of the baseline.

The default level is compared with scipy and slow twins in the tests of each method.
"""

import kldiv._kernels._isa as _isa
import numpy as np
import pytest
from scipy import stats

from kldiv import ks_test
from kldiv._ks._methods import METHODS
from tests import reference
from tests.tolerances import ITERATED, OTHER_ORDER


def samples(kind, rng, n, m, d):
    X, Y = rng.normal(size=(n, d)), rng.normal(0.2, 1.3, (m, d))
    if kind == "ties":
        X, Y = X.round(1), Y.round(1)
    if kind == "few values":
        X, Y = X.round(), Y.round()
    return X.astype(np.float32 if kind == "float32" else float), Y


def numbers(result):
    return [np.asarray(a).tolist() for a in (result.statistic, result.pvalue)]


def on_baseline(function):
    before = _isa.set_level("baseline")
    try:
        return function()
    finally:
        _isa.set_level(before)


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("kind", ["normal", "float32", "ties", "few values"])
@pytest.mark.parametrize(("n", "m", "d"), [(5, 90, 1), (130, 77, 2), (150, 150, 3)])
def test_relabellings_and_gaps(level, method, kind, n, m, d, rng):
    del level
    X, Y = samples(kind, rng, n, m, d)

    def found():
        options = {"n_permutations": 130, "random_state": 5}
        return numbers(ks_test(X, Y, method=method, **options))

    assert found() == on_baseline(found)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize(("n", "m"), [(30, 30), (31, 47), (20_000, 9000)])
def test_columns_equal_scipy(level, alternative, n, m, rng):
    del level
    X, Y = samples("normal", rng, n, m, 1)
    found = ks_test(X, Y, alternative=alternative)
    expected = stats.ks_2samp(X[:, 0], Y[:, 0], alternative=alternative)
    assert found.statistic[0] == pytest.approx(expected.statistic, rel=1e-14)
    assert found.pvalue[0] == pytest.approx(expected.pvalue, rel=1e-10)


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
@pytest.mark.parametrize("n", [3, 139, 900])
def test_laws_equal_scipy(level, alternative, n, rng):
    del level
    x, law = rng.normal(0.1, 1, n), stats.norm()
    found = ks_test(x, law, alternative=alternative)
    expected = stats.ks_1samp(x, law.cdf, alternative=alternative)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-13)
    assert found.pvalue == pytest.approx(expected.pvalue, rel=ITERATED)


@pytest.mark.parametrize("d", [2, 3, 5])
@pytest.mark.parametrize("kind", ["normal", "ties"])
def test_orthants_agree_with_their_slow_twin(level, d, kind, rng):
    del level
    X, Y = samples(kind, rng, 70, 60, d)
    found = ks_test(X, Y, method="fasano-franceschini").statistic
    assert found == pytest.approx(reference.ks_orthants(X, Y), abs=OTHER_ORDER)


@pytest.mark.parametrize(("n", "m"), [(40_009, 40_013), (211, 199), (60, 90)])
def test_sums_of_every_width(level, n, m, rng):
    """The least common multiple of the sizes chooses 16, 32 or 64 bits."""
    del level
    x, y = rng.normal(size=n), rng.normal(size=m)

    def found():
        return numbers(ks_test(x, y, n_permutations=60, random_state=0))

    assert found() == on_baseline(found)
