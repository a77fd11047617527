"""Densities of one column: a Gaussian times the exponential of a spline.

The spline is fitted by penalised maximum likelihood; the penalty leaves quadratic
polynomials free, so that without evidence the density stays Gaussian. How smooth it is,
leave-one-out likelihood decides. Rows enter as counts on a fine grid: the fit costs the
same for a thousand rows and for a million.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg.lapack import dgesv
from scipy.special import ndtri

from kldiv._typing import Floats, Rows

# Knots reach so many standard deviations; beyond, the spline goes on as a straight
# line. 18 B-splines resolve peaks half a standard deviation wide.
_REACH, _N_SPLINES = 3.0, 18
# Weights of the penalty on third differences, from "Gaussian" to "hardly smooth".
_PENALTIES = (1e6, 3e3, 3e2, 3e1, 3.0, 0.3, 0.03)
# Keeps the fit finite where a spline has no rows at all.
_RIDGE = 1e-6
# Sets the constant apart from all penalised combinations.
_APART = 1e3
# Log likelihood that a less smooth density must gain.
_CLEAR_GAIN = 3.0
_NEWTON_STEPS, _HALVINGS, _CONVERGED = 40, 12, 1e-9
_GRID = np.linspace(-9.0, 9.0, 721)
_STEP = float(_GRID[1] - _GRID[0])
_LOG_BASE = -0.5 * _GRID**2 - 0.5 * np.log(2 * np.pi) + np.log(_STEP)


def _splines(z: Floats) -> Floats:
    """B-splines at `z`, shape (len(z), _N_SPLINES), straight lines beyond the knots."""
    inner = np.linspace(-_REACH, _REACH, _N_SPLINES - 2)
    knots = np.concatenate([[-_REACH] * 3, inner, [_REACH] * 3])
    inside = np.clip(z, -_REACH, _REACH)
    values: Floats = BSpline.design_matrix(inside, knots, 3).toarray()
    slopes = BSpline(knots, np.eye(_N_SPLINES), 3).derivative()(inside)
    return values + (z - inside)[:, None] * slopes


def _penalty_basis() -> tuple[Floats, Floats]:
    """Combinations of the splines that are penalised one by one, and how much.

    Without the constant, which the normaliser takes back: penalties differ by so many
    orders of magnitude that rounding would show through.
    """
    differences = np.diff(np.eye(_N_SPLINES), 3, axis=0)
    constant = np.full((_N_SPLINES, _N_SPLINES), _APART)
    values, basis = np.linalg.eigh(differences.T @ differences + constant)
    free = np.arange(_N_SPLINES - 1) < 2  # slope and curvature
    return basis[:, :-1], np.where(free, 0.0, values[:-1])


_BASIS, _PENALTY = _penalty_basis()
_SPLINES = _splines(_GRID) @ _BASIS


@dataclass(frozen=True)
class LogSpline:
    """Density of one standardised column.

    Attributes
    ----------
    log_ratio : ndarray
        Log density less that of the standard Gaussian, on a grid.
    scores : ndarray
        Normal score of the distribution function, on the same grid.
    influence : ndarray
        By how much the log density at a value falls when a row of that value is left
        out of the fit, on the same grid.
    mean, inverse : ndarray
        Expected values of the splines, and the inverse Hessian of the penalised
        likelihood: what a row does to a mean of log densities follows from these.
    """

    log_ratio: Floats
    scores: Floats
    influence: Floats
    mean: Floats
    inverse: Floats

    def log_ratio_at(self, z: Floats) -> Floats:
        """Log density less that of the standard Gaussian at any values."""
        return _interpolate(z, self.log_ratio)

    def scores_at(self, z: Floats) -> Floats:
        """Normal scores of the distribution function; increasing in `z`."""
        return _interpolate(z, self.scores)

    def influence_at(self, z: Floats) -> Floats:
        """What leaving out a row takes from the log density at that row."""
        return np.interp(z, _GRID, self.influence)

    def effects(self, rows: Floats, judged: Floats, weights: Floats) -> Floats:
        """Effects of fitted `rows` on the weighted mean log density at `judged`.

        Times the number of rows, in the linear approximation; shape (len(rows),).
        """
        pull = weights @ _SPLINES[_nearest(judged)] - weights.sum() * self.mean
        along = self.inverse @ pull
        per_value = (_SPLINES - self.mean) @ along
        effects: Floats = len(rows) * per_value[_nearest(rows)]
        return effects


def _nearest(z: Floats) -> Rows:
    place = np.rint((z - _GRID[0]) / _STEP)
    return np.clip(place, 0, _GRID.size - 1).astype(np.intp)


def _interpolate(z: Floats, values: Floats) -> Floats:
    """Piecewise linear through grid values, straight on beyond the grid."""
    at_z: Floats = np.interp(z, _GRID, values)
    for end, inner in ((0, 1), (-1, -2)):
        beyond = z < _GRID[0] if end == 0 else z > _GRID[-1]
        if beyond.any():
            slope = (values[end] - values[inner]) / (_GRID[end] - _GRID[inner])
            at_z[beyond] = values[end] + slope * (z[beyond] - _GRID[end])
    return at_z


def fit_log_spline(z: Floats) -> LogSpline:
    """Density of standardised values, smooth as leave-one-out likelihood says."""
    counts = _counts(z)
    moments = counts @ _SPLINES
    coefficients, best = np.zeros(_PENALTY.size), None
    for weight in _PENALTIES:
        penalty = np.diag(weight * _PENALTY + _RIDGE)
        coefficients = _maximise(moments, len(z), penalty, coefficients)
        spline = _describe(coefficients, len(z), penalty)
        judged = counts @ (spline.log_ratio - spline.influence)
        # beyond the rows a density that bends without need goes astray
        if best is None or judged > best[0] + _CLEAR_GAIN:
            best = judged, spline
    assert best is not None
    return best[1]


def _counts(z: Floats) -> Floats:
    """Rows shared among the two grid values next to them."""
    place = (np.clip(z, _GRID[0], _GRID[-1]) - _GRID[0]) / _STEP
    left = np.minimum(place.astype(np.intp), _GRID.size - 2)
    share = place - left
    counts = np.zeros(_GRID.size)
    np.add.at(counts, left, 1 - share)
    np.add.at(counts, left + 1, share)
    return counts


def _normalised(coefficients: Floats) -> tuple[float, Floats]:
    """Log normaliser, and the probabilities of the grid values."""
    logs = _SPLINES @ coefficients + _LOG_BASE
    largest = logs.max()
    shares = np.exp(logs - largest)
    size = shares.sum()
    return float(largest + np.log(size)), shares / size


def _maximise(moments: Floats, n: int, penalty: Floats, start: Floats) -> Floats:
    """Newton's method for the concave penalised likelihood."""

    def value(coefficients: Floats) -> tuple[float, Floats]:
        total, shares = _normalised(coefficients)
        smooth = 0.5 * coefficients @ penalty @ coefficients
        return float(moments @ coefficients - n * total - smooth), shares

    def newton_step(coefficients: Floats, shares: Floats) -> Floats:
        mean, covariance = _moments(shares)
        gradient = moments - n * mean - penalty @ coefficients
        return _solved(n * covariance + penalty, gradient)

    coefficients, (current, shares) = start, value(start)
    for _ in range(_NEWTON_STEPS):
        step = newton_step(coefficients, shares)
        for _ in range(_HALVINGS):
            tried, there = value(coefficients + step)
            if tried >= current:
                break
            step = step / 2
        else:
            break
        gained, current, shares = tried - current, tried, there
        coefficients = coefficients + step
        if gained < _CONVERGED:
            break
    # so near the top the last step is exact, and rounding does not decide where it ends
    return coefficients + newton_step(coefficients, shares)


def _solved(matrix: Floats, vector: Floats) -> Floats:
    """Solution of a small system, without what checks of larger ones cost."""
    *_, solution, singular = dgesv(matrix, vector)
    if singular:
        raise np.linalg.LinAlgError("singular curvature of a log spline")
    found: Floats = solution
    return found


def _moments(shares: Floats) -> tuple[Floats, Floats]:
    mean = shares @ _SPLINES
    weighted = _SPLINES * shares[:, None]
    return mean, weighted.T @ _SPLINES - np.outer(mean, mean)


def _describe(coefficients: Floats, n: int, penalty: Floats) -> LogSpline:
    total, shares = _normalised(coefficients)
    mean, covariance = _moments(shares)
    inverse = np.linalg.inv(n * covariance + penalty).astype(np.float64)
    centred = _SPLINES - mean
    influence = np.einsum("ij,ij->i", centred @ inverse, centred)
    return LogSpline(
        _SPLINES @ coefficients - total, _scores(shares), influence, mean, inverse
    )


def _scores(shares: Floats) -> Floats:
    """Normal scores of the distribution function, exact in both tails."""
    below = np.cumsum(shares) - shares / 2
    above = np.cumsum(shares[::-1])[::-1] - shares / 2
    tiny = 1e-300
    low, high = ndtri(np.maximum(below, tiny)), -ndtri(np.maximum(above, tiny))
    scores: Floats = np.where(below < 0.5, low, high)
    return scores
