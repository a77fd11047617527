"""Coordinates of rows: slopes of the maps, and what they do to a law."""

import numpy as np
import pytest
from scipy import stats

from kldiv._ratio import _coordinates


def test_scale_whiten_refuses_samples_without_spread(rng):
    X = rng.normal(size=(8, 10))
    with pytest.raises(ValueError, match="scale='whiten' needs samples that vary"):
        _coordinates.coordinates(X, X + 1, "whiten")


@pytest.mark.parametrize("exponent", [-2.0, 0.0, 0.7, 1.0, 2.0, 4.0])
def test_power_is_increasing_and_its_slope_is_right(exponent):
    grid = np.linspace(-3, 3, 2001)
    values = _coordinates.power(grid, exponent)
    assert (np.diff(values) > 0).all()
    step = 1e-6
    numeric = (
        _coordinates.power(grid + step, exponent)
        - _coordinates.power(grid - step, exponent)
    ) / (2 * step)
    np.testing.assert_allclose(
        _coordinates.log_slope(grid, exponent), np.log(numeric), atol=1e-4
    )
    np.testing.assert_allclose(
        values, stats.yeojohnson(grid, lmbda=exponent), atol=1e-12
    )


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0])
def test_tail_slope(strength):
    grid, step = np.linspace(-5, 5, 501), 1e-6
    numeric = (
        _coordinates.tail(grid + step, strength)
        - _coordinates.tail(grid - step, strength)
    ) / (2 * step)
    np.testing.assert_allclose(
        _coordinates.log_tail_slope(grid, strength), np.log(numeric), atol=1e-6
    )


def test_normalise_accounts_for_its_slopes(rng):
    X = np.exp(rng.normal(0, 0.5, (4000, 2)))
    shaped, slopes = _coordinates.normalise(X, X[:2000])
    # the entropy changes by the mean log slope: compare with the known entropies
    entropy = stats.lognorm(0.5).entropy() * 2
    gaussian = stats.norm(0, 1).entropy() * 2
    assert entropy + slopes[0] == pytest.approx(gaussian, abs=0.05)
    assert abs(stats.skew(shaped.X[:, 0])) < 0.3 < stats.skew(X[:, 0])


def test_no_shape_makes_the_values_of_a_sample_equal():
    """A variance that rounding takes away is no gain, and a constant says nothing."""
    far = np.column_stack([np.full(36, 1e8), np.linspace(-2, 2, 36) ** 3])
    near = np.column_stack([[1.0, 1.8, -0.7, 0.05, 0.2], np.zeros(5)])
    plain = _coordinates.coordinates(far, near, "standard")
    for shape in _coordinates.SHAPES:
        chosen = _coordinates.choose_shape((plain.X, plain.Y), shape)
        for sample in (plain.X, plain.Y):
            mapped = shape.transform(sample, chosen)
            assert (np.ptp(mapped, axis=0) > 0).sum() == 1
        alone = _coordinates.choose_shape((plain.X,), shape)
        assert chosen[1] == alone[1]
