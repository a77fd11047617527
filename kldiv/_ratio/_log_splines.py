"""Densities of one column: a Gaussian times the exponential of a spline.

The spline is fitted by penalised maximum likelihood; the penalty leaves quadratic
polynomials free, so that without evidence the density stays Gaussian. How smooth it is,
leave-one-out likelihood decides. Rows enter as counts on a fine grid: the fit costs the
same for a thousand rows and for a million.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy.interpolate import BSpline
from scipy.special import ndtri

from kldiv._typing import Floats, Mask, Rows

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
_PAIRS = np.triu_indices(_SPLINES.shape[1])
_PRODUCTS = _SPLINES[:, _PAIRS[0]] * _SPLINES[:, _PAIRS[1]]


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


def fit_log_splines(Z: Floats) -> list[LogSpline]:
    """Densities of standardised columns, smooth as leave-one-out likelihood says."""
    n, d = Z.shape
    counts = np.array([_counts(np.ascontiguousarray(column)) for column in Z.T])
    moments, coefficients = counts @ _SPLINES, np.zeros((d, _PENALTY.size))
    reached, best = np.full(d, -np.inf), None
    for weight in _PENALTIES:
        penalty = weight * _PENALTY + _RIDGE
        coefficients = _maximise(moments, n, penalty, coefficients)
        fitted = _fitted(coefficients, n, penalty)
        judged = np.einsum("ij,ij->i", counts, fitted.log_ratio - fitted.influence)
        # beyond the rows a density that bends without need goes astray
        better = judged > reached + _CLEAR_GAIN
        best = fitted if best is None else best.replaced(better, fitted)
        reached[better] = judged[better]
    assert best is not None
    return best.splines()


@dataclass(frozen=True)
class _Fitted:
    """Densities of several columns, one in each row; see `LogSpline`."""

    shares: Floats
    log_ratio: Floats
    influence: Floats
    mean: Floats
    inverse: Floats

    def replaced(self, some: Mask, other: _Fitted) -> _Fitted:
        """These, and some columns of another fit."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return _Fitted(
            *(np.where(some.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in pairs)
        )

    def splines(self) -> list[LogSpline]:
        """Column by column, with normal scores."""
        parts = self.log_ratio, _scores(self.shares), self.influence, self.mean
        return [LogSpline(*of) for of in zip(*parts, self.inverse, strict=True)]


def _counts(z: Floats) -> Floats:
    """Rows shared among the two grid values next to them."""
    place = (np.clip(z, _GRID[0], _GRID[-1]) - _GRID[0]) / _STEP
    left = np.minimum(place.astype(np.intp), _GRID.size - 2)
    share = place - left
    counts = np.zeros(_GRID.size)
    np.add.at(counts, left, 1 - share)
    np.add.at(counts, left + 1, share)
    return counts


def _normalised(coefficients: Floats) -> tuple[Floats, Floats]:
    """Log normalisers of columns, and the probabilities of the grid values."""
    shares = coefficients @ _SPLINES.T + _LOG_BASE
    largest = shares.max(axis=1)
    shares -= largest[:, np.newaxis]
    np.exp(shares, out=shares)
    size = shares.sum(axis=1)
    shares /= size[:, np.newaxis]
    return largest + np.log(size), shares


def _maximise(moments: Floats, n: int, penalty: Floats, start: Floats) -> Floats:
    """Newton's method for the concave penalised likelihood of each column."""

    def value(of: Rows, coefficients: Floats) -> tuple[Floats, Floats]:
        total, shares = _normalised(coefficients)
        likelihood = np.einsum("ij,ij->i", moments[of], coefficients) - n * total
        return likelihood - 0.5 * coefficients**2 @ penalty, shares

    def newton_steps(of: Rows) -> Floats:
        mean, covariance = _moments(shares[of])
        gradient = moments[of] - n * mean - penalty * coefficients[of]
        curvature = n * covariance + np.diag(penalty)
        found = np.linalg.solve(curvature, gradient[..., np.newaxis])[..., 0]
        return found.astype(np.float64, copy=False)

    everyone = left = np.arange(len(start))
    coefficients = start.copy()
    current, shares = value(left, coefficients)
    for _ in range(_NEWTON_STEPS):
        steps, gained = newton_steps(left), np.full(left.size, -np.inf)
        short = np.arange(left.size)  # of those left, whose step is still too long
        for _ in range(_HALVINGS):
            of = left[short]
            tried, there = value(of, coefficients[of] + steps[short])
            up = tried >= current[of]
            gained[short[up]] = tried[up] - current[of[up]]
            coefficients[of[up]] += steps[short[up]]
            current[of[up]], shares[of[up]] = tried[up], there[up]
            short = short[~up]
            if not short.size:
                break
            steps[short] /= 2
        left = left[gained >= _CONVERGED]
        if not left.size:
            break
    # so near the top the last step is exact, and rounding does not decide where it ends
    found: Floats = coefficients + newton_steps(everyone)
    return found


def _moments(shares: Floats) -> tuple[Floats, Floats]:
    """Means of the splines in each column, and their covariances."""
    mean = shares @ _SPLINES
    upper = shares @ _PRODUCTS - mean[:, _PAIRS[0]] * mean[:, _PAIRS[1]]
    covariance = np.empty((*mean.shape, mean.shape[1]))
    covariance[:, _PAIRS[0], _PAIRS[1]] = covariance[:, _PAIRS[1], _PAIRS[0]] = upper
    return mean, covariance


def _fitted(coefficients: Floats, n: int, penalty: Floats) -> _Fitted:
    total, shares = _normalised(coefficients)
    mean, covariance = _moments(shares)
    inverse = np.linalg.inv(n * covariance + np.diag(penalty)).astype(np.float64)
    centred = _SPLINES - mean[:, np.newaxis]
    influence = np.einsum("cij,cij->ci", centred @ inverse, centred)
    log_ratio = coefficients @ _SPLINES.T - total[:, np.newaxis]
    return _Fitted(shares, log_ratio, influence, mean, inverse)


def _scores(shares: Floats) -> Floats:
    """Normal scores of the distribution functions, exact in both tails."""
    below = np.cumsum(shares, axis=1) - shares / 2
    above = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1] - shares / 2
    tiny = 1e-300
    low, high = ndtri(np.maximum(below, tiny)), -ndtri(np.maximum(above, tiny))
    scores: Floats = np.where(below < 0.5, low, high)
    return scores
