"""How long an estimate will take."""

import numpy as np
import pytest

from kldiv import KNNDivergence, expected_seconds
from kldiv._estimation import _expected


@pytest.fixture
def priced(monkeypatch):
    """Estimates that cost a power of their rows; returns the sizes that were tried."""
    sizes = []

    def price(power):
        def seconds(parts, *settings):
            del settings
            sizes.append(sum(map(len, parts)))
            return 1e-6 * sizes[-1] ** power

        monkeypatch.setattr(_expected, "_seconds", seconds)
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
