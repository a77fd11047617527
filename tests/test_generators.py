"""The user's generator functions: compiled or not, one number; never silently other."""

import builtins
import subprocess
import sys

import numpy as np
import pytest
from scipy import special

from kldiv import ConditionalKLScorer, KNNDivergence, divergence, estimate_divergence
from kldiv import _generators as generators
from kldiv._generators import evaluator_of
from tests.tolerances import OTHER_ORDER

WEIGHT = 2.0


def kullback_leibler(ratio):
    return ratio * np.log(ratio)


def total_variation(ratio):
    return np.abs(ratio - 1) / 2


def hockey_stick(ratio):
    return np.maximum(ratio - np.exp(0.5), 0)


def hellinger(ratio):
    return np.where(ratio > 0, (np.sqrt(ratio) - 1) ** 2 / 2, 0.5)


def loop(ratio):
    found = np.empty_like(ratio)
    for i in range(ratio.size):
        found[i] = ratio[i] - 1 if ratio[i] > 1 else 0.0
    return found


def weighted(ratio):
    return WEIGHT * ratio * np.log(ratio)


def not_compilable(ratio):
    return special.xlogy(ratio, ratio)


@pytest.fixture
def pair(rng):
    return rng.normal(0.5, 1, (300, 2)), rng.normal(size=(200, 2))


@pytest.fixture
def without_numba(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == "numba":
            raise ImportError("No module named 'numba'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)


FUNCTIONS = [kullback_leibler, total_variation, hockey_stick, hellinger, loop]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_compiled_and_plain_give_one_number(function, pair):
    pytest.importorskip("numba")
    by_numba = estimate_divergence(*pair, divergence=function, correction="gaussian")
    assert by_numba.evaluated_by == "numba"
    assert by_numba.divergence == function.__name__
    ratios = np.exp(np.random.default_rng(0).normal(size=1000) * 3)
    np.testing.assert_allclose(
        evaluator_of(function)[0](ratios), function(ratios), rtol=OTHER_ORDER
    )


@pytest.mark.usefixtures("without_numba")
def test_without_numba(pair):
    result = estimate_divergence(
        *pair, divergence=kullback_leibler, correction="gaussian"
    )
    assert result.evaluated_by == "numpy"
    assert result.value == pytest.approx(divergence(*pair, correction="gaussian"))


def test_what_numba_cannot_compile_runs_in_numpy(pair):
    options = {"correction": "gaussian", "confidence_level": None}
    result = estimate_divergence(*pair, divergence=not_compilable, **options)
    assert result.evaluated_by == "numpy"
    assert result.value == pytest.approx(divergence(*pair, correction="gaussian"))


def test_changed_globals_are_seen(pair, monkeypatch):
    first = divergence(*pair, divergence=weighted, correction=None)
    monkeypatch.setattr(sys.modules[__name__], "WEIGHT", 3.0)
    second = divergence(*pair, divergence=weighted, correction=None)
    assert second == pytest.approx(1.5 * first)


def test_closures_are_told_apart(pair):
    def scaled(factor):
        return lambda ratio: factor * ratio * np.log(ratio)

    one, two = (
        divergence(*pair, divergence=scaled(f), correction=None) for f in (1.0, 2.0)
    )
    assert two == pytest.approx(2 * one)


def test_compiled_numbers_that_differ_are_not_used(pair, monkeypatch):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(generators, "_COMPILED", {})
    wrong = numba.njit(lambda ratio: ratio * np.log(ratio) + 1e-9)
    monkeypatch.setattr(numba, "njit", lambda _: wrong)
    result = estimate_divergence(*pair, divergence=kullback_leibler, correction=None)
    assert result.evaluated_by == "numpy"


def test_a_function_is_compiled_once(monkeypatch):
    numba = pytest.importorskip("numba")
    monkeypatch.setattr(generators, "_COMPILED", {})
    calls, real = [], numba.njit
    monkeypatch.setattr(numba, "njit", lambda f: calls.append(f) or real(f))
    y = np.repeat([0, 1, 2], 100)
    rng = np.random.default_rng(0)
    train, aux = ((rng.normal(size=(300, 2)), y) for _ in range(2))
    estimator = KNNDivergence(kullback_leibler, correction=None)
    ConditionalKLScorer(estimator, n_jobs=2).fit(train, aux)
    assert calls == [kullback_leibler]


def test_a_dispatcher_of_the_user(pair):
    numba = pytest.importorskip("numba")
    compiled = numba.njit(kullback_leibler)
    result = estimate_divergence(*pair, divergence=compiled, correction=None)
    assert result.evaluated_by == "numba"
    assert result.value == pytest.approx(divergence(*pair, correction=None))


def test_one_number_for_each_ratio(pair):
    with pytest.raises(ValueError, match="one number for each ratio"):
        divergence(*pair, divergence=lambda ratio: ratio.sum(), correction=None)


def test_named_divergences_do_not_load_numba():
    code = (
        "import sys, numpy as np, kldiv; "
        "X = np.random.default_rng(0).normal(size=(60, 2)); "
        "kldiv.divergence(X[:30], X[30:], divergence='hellinger'); "
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
