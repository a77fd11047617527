"""Log mass of balls under a Gaussian: scipy, Monte Carlo, limits, threads."""

import kldiv._kernels._isa as _isa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kldiv._kernels._ball_mass import log_ball_mass, mixture_balls
from scipy import stats
from scipy.special import gammaln, logsumexp

# Largest error of the saddlepoint in the logarithm, by dimension (measured: half).
TOLERANCE = {1: 1e-9, 2: 0.06, 3: 0.04, 5: 0.02, 10: 0.01, 50: 2e-3, 300: 1e-3}


@pytest.fixture(params=_isa.available_levels(), autouse=True, scope="module")
def every_level(request):
    """Run all of this file on one instruction set after the other."""
    before = _isa.set_level(request.param)
    yield
    _isa.set_level(before)


def log_mass(squared_offsets, eigenvalues, squared_radii, threads=1):
    offsets = np.ascontiguousarray(np.atleast_2d(squared_offsets), float)
    out = np.empty(len(offsets))
    log_ball_mass(
        offsets,
        np.ascontiguousarray(eigenvalues, float),
        np.ascontiguousarray(np.broadcast_to(squared_radii, len(offsets)), float),
        out,
        threads,
    )
    return out


@pytest.mark.parametrize("d", TOLERANCE)
@pytest.mark.parametrize("noncentrality", [0.1, 1.0, 10.0, 100.0, 1e4])
def test_isotropic_agrees_with_noncentral_chi_square(d, noncentrality):
    # scipy's tails below 1e-10 are not trusted for large noncentralities
    probabilities = np.r_[np.logspace(-10, -0.01, 30), 1 - np.logspace(-1, -6, 6)]
    radii = stats.ncx2.ppf(probabilities, d, noncentrality)
    found = log_mass(
        np.tile(np.full(d, noncentrality / d), (len(radii), 1)), [1] * d, radii
    )
    expected = stats.ncx2.logcdf(radii, d, noncentrality)
    np.testing.assert_allclose(found, expected, atol=TOLERANCE[d])


@pytest.mark.parametrize("d", [1, 2, 5, 50, 200])
def test_centred_isotropic_is_exact_down_to_1e_300(d):
    probabilities = np.r_[np.logspace(-300, -2, 40), np.linspace(0.05, 0.999, 20)]
    radii = stats.chi2.ppf(probabilities, d)
    found = log_mass(np.zeros((len(radii), d)), [2.5] * d, 2.5 * radii)
    # above 60 columns the normal base, which is not exact here, is near enough
    allowed = 1e-4 if d <= 60 else TOLERANCE[300]
    np.testing.assert_allclose(found, stats.chi2.logcdf(radii, d), atol=allowed)


@pytest.mark.parametrize("d", [1, 2, 10, 50])
def test_small_balls_are_density_times_volume(d, rng):
    eigenvalues = np.logspace(0, -4, d)
    offsets = 3 * rng.normal(size=d) * np.sqrt(eigenvalues)
    radius = 10.0 ** (-300 / d) if d > 10 else 1e-9
    found = log_mass(offsets**2, eigenvalues, radius**2)[0]
    log_density = -0.5 * np.sum(
        np.log(2 * np.pi * eigenvalues) + offsets**2 / eigenvalues
    )
    log_volume = d / 2 * np.log(np.pi) - gammaln(d / 2 + 1) + d * np.log(radius)
    assert found == pytest.approx(log_density + log_volume, rel=1e-10, abs=1e-6)


@pytest.mark.parametrize("d", [2, 5, 20])
@pytest.mark.parametrize("scale", [0, 1, 3])
def test_unequal_eigenvalues_agree_with_monte_carlo(d, scale, rng):
    eigenvalues = np.logspace(0, -2, d)
    offsets = scale * rng.normal(size=d) * np.sqrt(eigenvalues)
    draws = offsets + rng.normal(size=(200_000, d)) * np.sqrt(eigenvalues)
    squared = (draws**2).sum(axis=1)
    probabilities = np.array([0.003, 0.03, 0.3, 0.8])
    found = log_mass(
        np.tile(offsets**2, (4, 1)), eigenvalues, np.quantile(squared, probabilities)
    )
    # four standard errors of the simulation and the formula's own error
    allowed = 4 / np.sqrt(200_000 * probabilities) + 0.09
    assert (np.abs(found - np.log(probabilities)) < allowed).all()


@given(st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(-6, 6))
def test_scaling_monotonicity_and_threads(d, seed, log_scale):
    rng = np.random.default_rng(seed)
    eigenvalues = np.exp(rng.normal(size=d))
    offsets = rng.normal(size=(8, d)) ** 2 * np.exp(rng.normal(size=(8, 1)))
    radii = np.exp(3 * rng.normal(size=8))
    found = log_mass(offsets, eigenvalues, radii)
    assert (found <= 0).all()
    assert np.isfinite(found).all()
    scale = np.exp(log_scale)
    rescaled = log_mass(scale * offsets, scale * eigenvalues, scale * radii)
    np.testing.assert_allclose(rescaled, found, rtol=1e-6, atol=1e-6)
    assert (log_mass(offsets, eigenvalues, 1.5 * radii) >= found - 1e-4).all()
    np.testing.assert_array_equal(log_mass(offsets, eigenvalues, radii, 2), found)


def test_zero_radius_has_no_mass():
    assert log_mass([[1.0, 2.0]], [1.0, 1.0], 0.0)[0] == -np.inf


@given(
    st.integers(1, 12), st.integers(0, 5), st.integers(1, 6), st.integers(0, 2**32 - 1)
)
def test_mixture_balls_agree_with_one_gaussian_at_a_time(d, spare, c, seed):
    rng = np.random.default_rng(seed)
    n, eigenvalues = 9, np.exp(rng.normal(size=(c, d)))
    projections, shifts = rng.normal(size=(n, c, d)), 3 * rng.normal(size=(c, d))
    weights = rng.dirichlet(np.ones(c))
    radii = np.exp(2 * rng.normal(size=n))
    squared = (projections - shifts) ** 2
    masses = np.stack(
        [log_mass(squared[:, k], eigenvalues[k], radii) for k in range(c)], axis=1
    )
    densities = -0.5 * (squared / eigenvalues + np.log(2 * np.pi * eigenvalues)).sum(
        axis=2
    )
    found = np.empty((2, 2, n))
    filled = ((0, 0), (0, spare if d > 1 else 0))
    for threads in (1, 2):
        mixture_balls(
            np.pad(projections, ((0, 0), *filled)),
            np.pad(shifts, filled),
            np.pad(eigenvalues, filled),
            np.log(weights),
            radii,
            *found[threads - 1],
            d,
            threads,
        )
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(
        found[0, 0], logsumexp(densities + np.log(weights), axis=1), rtol=1e-10
    )
    # components with less than exp(-12) of the mass are left out
    np.testing.assert_allclose(
        found[0, 1], logsumexp(masses + np.log(weights), axis=1), atol=1e-4
    )
