"""Columns and rows that repeat what others say, or that one sample lacks."""

import numpy as np
import pytest

from kldiv import DiscreteDataWarning, estimate_divergence, kl_divergence

CLOSE = 0.25  # nats; three standard errors


@pytest.fixture
def pair(rng):
    return rng.normal(1, 1, (500, 2)), rng.normal(0, 1, (400, 2))


def flags(rng, n, share):
    return rng.random(n) < share


FLAG = 0.8 * np.log(0.8 / 0.3) + 0.2 * np.log(0.2 / 0.7)


@pytest.mark.parametrize("columns", ["constant", "twice", "flag twice"])
def test_columns_that_say_nothing_new_beside_flags(columns, pair, rng):
    X, Y = pair
    f, g = flags(rng, 500, 0.8), flags(rng, 400, 0.3)
    more = {
        "constant": (np.ones(500), np.ones(400)),
        "twice": (X[:, 0], Y[:, 0]),
        "flag twice": (f, g),
    }[columns]
    found = estimate_divergence(np.c_[X, more[0], f], np.c_[Y, more[1], g])
    assert found.value == pytest.approx(1 + FLAG, abs=CLOSE)


@pytest.mark.parametrize("which", [0, 1])
def test_an_all_equal_column_of_one_sample_is_told_as_infinite(which, pair, rng):
    columns = [rng.normal(size=500), rng.normal(size=400)]
    columns[which] = np.full(len(columns[which]), 3.0)
    wide = [np.c_[sample, one] for sample, one in zip(pair, columns, strict=True)]
    with pytest.warns(UserWarning, match="vary in 2 of 3 dimensions.*infinite"):
        found = estimate_divergence(*wide)
    assert found.trust == "do not use"


def test_a_sample_that_is_a_part_of_the_other(pair):
    X, Y = pair
    with pytest.raises(ValueError, match="400 rows of Y also occur in X.*leaked"):
        kl_divergence(np.r_[X, Y], Y)
    with pytest.raises(ValueError, match="leaves 900 rows of X and 0 of Y"):
        kl_divergence(np.r_[X, Y], Y, duplicates="drop")
    with pytest.raises(ValueError, match="200 rows of Y also occur in X"):
        kl_divergence(X[:200], X)
    found = estimate_divergence(X[:200], X, duplicates="drop")
    assert (found.n, found.m) == (200, 300)
    assert found.value == pytest.approx(0, abs=CLOSE)


@pytest.mark.parametrize("which", [0, 1])
def test_categories_that_one_sample_lacks(which, pair, rng):
    """Infinite where Y lacks one that X shows often, and nothing where X does."""
    codes = [rng.integers(0, 3, 500), rng.integers(0, 3, 400)]
    codes[which][codes[which] == 2] = 1
    wide = [np.c_[sample, one] for sample, one in zip(pair, codes, strict=True)]
    if which == 1:
        with pytest.warns(DiscreteDataWarning, match="there the divergence is inf"):
            found = estimate_divergence(*wide, discrete=[2])
        assert found.value == np.inf
        assert found.trust == "do not use"
    else:
        found = estimate_divergence(*wide, discrete=[2])
        truth = 1 + 2 / 3 * np.log(2)
        assert found.value == pytest.approx(truth, abs=3 * found.standard_error)


@pytest.mark.parametrize("seed", range(2))
def test_angles_as_cosine_and_sine(seed):
    """Rows on a circle; von Mises laws of concentration 4 and 1."""
    from scipy.special import i0, i1

    truth = np.log(i0(1) / i0(4)) + 3 * i1(4) / i0(4)
    rng = np.random.default_rng(seed)
    samples = [rng.vonmises(0, kappa, 1000) for kappa in (4, 1)]
    found = estimate_divergence(*(np.c_[np.cos(a), np.sin(a)] for a in samples))
    error = abs(found.value - truth)
    assert error < 0.1
    assert error < 3 * found.standard_error


@pytest.mark.parametrize("digits", [0, 1, 2])
def test_grids_of_both_float_types_are_dithered_alike(digits, rng):
    X = np.round(rng.normal(10, 2, (500, 2)), digits)
    Y = np.round(rng.normal(11, 2, (400, 2)), digits)
    values = [
        kl_divergence(X.astype(dtype), Y.astype(dtype), duplicates="dither")
        for dtype in (np.float64, np.float32)
    ]
    assert values[0] == pytest.approx(0.25, abs=CLOSE)
    assert values[1] == pytest.approx(values[0], abs=CLOSE / 2)


@pytest.mark.parametrize("level", [100, 3000, 9000, 14000])
def test_cents_of_large_prices_are_a_grid_in_single_precision(level, rng):
    """Neighbouring numbers of float32 are then up to a tenth of a cent apart."""
    X = np.round(level + rng.normal(1, 2, (500, 2)), 2)
    Y = np.round(level + rng.normal(size=(400, 2)), 2)
    X[1], Y[1] = X[0], Y[0]
    exact, single = (
        kl_divergence(X.astype(dtype), Y.astype(dtype), duplicates="dither")
        for dtype in (np.float64, np.float32)
    )
    assert single == pytest.approx(exact, abs=CLOSE / 2)
