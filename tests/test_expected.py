"""How long an estimate will take."""

import numpy as np
import pytest

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    estimate_divergence,
    expected_seconds,
    kl_divergence,
)
from kldiv._estimation import _timing


@pytest.fixture
def priced(monkeypatch):
    """Estimates that cost a power of their rows; returns the sizes that were tried."""
    sizes = []

    def price(power):
        def seconds(compare, x, y):
            del compare
            sizes.append(len(x) + len(y))
            return 1e-6 * sizes[-1] ** power

        monkeypatch.setattr(_timing, "seconds_of", seconds)
        return sizes

    return price


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0])
def test_carried_on_to_all_rows(priced, power, rng):
    sizes = priced(power)
    X, Y = rng.normal(size=(6000, 2)), rng.normal(size=(14000, 2))
    assert expected_seconds(X, Y) == pytest.approx(1e-6 * 20000**power, rel=0.01)
    assert sizes == [500, 1000, 2000]


def test_powers_are_those_that_searches_have(priced, rng):
    """A part that was slow by accident does not become years."""
    priced(5.0)
    X = rng.normal(size=(10000, 2))
    assert expected_seconds(X, X) == pytest.approx(1e-6 * 2000.0**5 * 100, rel=0.01)


def test_small_samples_are_timed_whole(priced, rng):
    sizes = priced(1.0)
    X, Y = rng.normal(size=(300, 2)), rng.normal(size=(100, 2))
    assert expected_seconds(X, Y) == pytest.approx(4e-4)
    assert sizes == [400]


def test_a_real_estimate(rng):
    X, Y = rng.normal(size=(900, 2)), rng.normal(size=(800, 2))
    estimator = KNNDivergence(correction=None)
    assert 0 < expected_seconds(X, Y, estimator=estimator, n_permutations=5) < 60
    with pytest.raises(ValueError, match="NaN"):
        expected_seconds(X * np.nan, Y)


def test_a_small_sample_beside_a_large_one(rng):
    X, Y = rng.normal(size=(20, 2)), rng.normal(size=(20000, 2))
    assert 0 < expected_seconds(X, Y, estimator=KNNDivergence(correction=None)) < 60


def test_a_generator_is_left_where_it_was(rng):
    X = rng.normal(size=(300, 2)).round(1)
    given = np.random.default_rng(1)
    dithered = KNNDivergence(duplicates="dither", correction=None, random_state=given)
    expected_seconds(X, X + 0.3, estimator=dithered)
    assert given.bit_generator.state == np.random.default_rng(1).bit_generator.state


@pytest.mark.parametrize(("seconds_per_row", "said"), [(1e-3, True), (1e-4, False)])
def test_verbose_says_how_long_what_is_long(
    monkeypatch, capsys, rng, seconds_per_row, said
):
    monkeypatch.setattr(
        _timing, "seconds_of", lambda _, x, y: seconds_per_row * (len(x) + len(y))
    )
    X, Y = rng.normal(size=(15000, 2)), rng.normal(size=(6000, 2))
    options = {"correction": None, "confidence_level": None}
    loud = estimate_divergence(X, Y, verbose=1, **options)
    line = "comparing 15000 and 6000 rows of 2 columns will take about 21 s\n"
    assert capsys.readouterr().err == (line if said else "")
    assert loud.value == estimate_divergence(X, Y, **options).value
    assert capsys.readouterr() == ("", "")


def test_verbose_changes_no_result_and_no_error(capsys, rng):
    X, Y = rng.normal(size=(1500, 1)).round(1), rng.normal(size=(1500, 1)).round(1)
    weights = rng.random(1500)
    options = {"duplicates": "dither", "random_state": 3, "sample_weight": weights}
    quiet, loud = (
        kl_divergence(X, Y, correction=None, verbose=v, **options) for v in (0, 1)
    )
    assert quiet == loud
    with pytest.raises(ValueError, match="1[0-9]{3} rows of X repeat"):
        kl_divergence(X, Y, verbose=1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("estimator", ["kl", 3, ConditionalKLScorer()])
def test_what_is_no_estimator(estimator, rng):
    X, Y = rng.normal(size=(2, 60, 2))
    with pytest.raises(TypeError, match="estimator must be a KNNDivergence; got"):
        expected_seconds(X, Y, estimator=estimator)
