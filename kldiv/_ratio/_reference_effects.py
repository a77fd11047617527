"""What single rows do to an estimate through the references that are fitted to them.

The estimate holds sums of log densities of a reference at rows, minus log masses of
balls around them. To first order in its parameters a log mass changes by what the log
density changes on average within the ball, and the rows inside the ball say how much
that is. The parameters are means and covariances, so that the effect of a row is a
quadratic function of it. Under the distribution of a reference the expectation of such
a function is known, which makes it a control variate for samples drawn from the
reference.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import softmax

from kldiv._ratio._mixtures import Mixture
from kldiv._typing import Floats, Mask


class ReferenceEffects:
    """Effects of rows through the references of X and of Y."""

    def __init__(self, of_x: Mixture, of_y: Mixture, X: Floats, Y: Floats) -> None:
        self._X, self._Y = X, Y
        self._of_x, self._of_y = of_x, of_y
        self.gaussian = len(of_x.weights) == 1

    def of_x(self, mask: Mask, centres: Floats, inside: Floats) -> Floats:
        """Effects of the rows of X, shape (n,), through the reference of X.

        `centres` weighs the rows of X as centres of balls, `inside` as rows in balls;
        a single Gaussian is fitted to the rows of a mask.
        """
        if self.gaussian:
            return _gaussian(self._of_x, self._X, mask, self._X, centres, inside)
        return _mixture(self._of_x, self._X, self._X, centres, inside)

    def of_y(self, mask: Mask, centres: Floats, inside: Floats) -> Floats:
        """Effects of the rows of Y, shape (m,), through the reference of Y."""
        if self.gaussian:
            return _gaussian(self._of_y, self._Y, mask, self._X, centres, inside)
        return _mixture(self._of_y, self._Y, self._X, centres, inside)


def effect_of_draws(
    reference: Mixture, rows: Floats, centres: Floats, radii: Floats
) -> Callable[[Floats], float]:
    """What a sample drawn from one Gaussian does to the Gaussian fitted to the sample.

    Parameters
    ----------
    reference : Mixture
        One Gaussian, fitted to `rows`, shape (m, d).
    centres, radii : ndarray of shape (n, d) and (n,)
        Balls for which the mean log density less log mass is estimated.

    Returns
    -------
    callable
        From a sample, shape (any, d), to the change of that mean by the fit to the
        sample, nats, to first order. Its expectation over samples is zero.
    """
    mean, basis = reference.means[0], reference.bases[0]
    values = reference.eigenvalues[0]
    around = (centres - mean) @ basis
    inside, variances = _within_balls(around, values, radii)
    towards = (around - inside).mean(axis=0) / values
    slope = (around.T @ around - inside.T @ inside) / len(centres)
    slope -= np.diag(variances.mean(axis=0))
    slope /= np.outer(values, values)
    slope = _through_shrinkage(slope, *_shrinkage(reference, rows))
    expected = np.diagonal(slope) @ values

    def effect(draws: Floats) -> float:
        centred = (draws - mean) @ basis
        scatter = centred.T @ centred / len(draws)
        return float(
            centred.mean(axis=0) @ towards + ((slope * scatter).sum() - expected) / 2
        )

    return effect


def _within_balls(
    around: Floats, values: Floats, radii: Floats
) -> tuple[Floats, Floats]:
    """Means and variances of a Gaussian within balls, shape (n, d) each, nearly.

    In the eigenbasis, relative to the mean. Within a ball it looks like the Gaussian
    times exp(-t |y - centre|**2 / 2) with the t that makes the mean squared distance
    that of rows spread evenly; t is the one for equal eigenvalues. A ball that would
    need t < 0 holds nearly everything.
    """
    d, level = len(values), values.mean()
    squared = radii**2 * d / (d + 2)
    offsets, total = np.einsum("ij,ij->i", around, around), d * level
    narrower = 2 * squared / (total + np.hypot(total, 2 * np.sqrt(offsets * squared)))
    tilt = np.maximum(1 / narrower - 1, 0)[:, None] / level
    variances = values / (1 + tilt * values)
    return around * tilt * variances, variances


def _through_shrinkage(slope: Floats, size: float, deviation: float) -> Floats:
    """Derivatives by a covariance from those by what `_shrinkage` makes of it."""
    d = len(slope)
    level = (size - deviation) * np.trace(slope) / d
    return deviation * slope + level * np.eye(d)


def _gaussian(
    reference: Mixture,
    rows: Floats,
    mask: Mask,
    centres: Floats,
    weights: Floats,
    inside: Floats,
) -> Floats:
    """Effects through the mean and the covariance of the rows of a mask."""
    d = rows.shape[1]
    size, deviation = _shrinkage(reference, rows)
    mean = rows[mask].mean(axis=0)
    centred, around = rows - mean, centres - mean
    scatter = centred[mask].T @ centred[mask] / mask.sum()
    level = np.trace(scatter) / d
    covariance = deviation * scatter + (size - deviation) * level * np.eye(d)
    precision = np.linalg.pinv(covariance, hermitian=True)
    towards = precision @ (weights @ around - inside @ centred)
    spread = (around.T * weights) @ around - (centred.T * inside) @ centred
    slope = precision @ spread @ precision
    slope -= (weights.sum() - inside.sum()) * precision
    slope = _through_shrinkage(slope, size, deviation)
    quadratic = np.einsum("ij,ij->i", centred @ slope, centred)
    quadratic -= (slope * scatter).sum()
    return centred @ towards + quadratic / 2


def _shrinkage(reference: Mixture, rows: Floats) -> tuple[float, float]:
    """Variances of a fitted Gaussian over those of its rows: on average, and how much
    of what differs from the average was kept."""
    d = rows.shape[1]
    scatter = np.cov(rows.T, bias=True).reshape(d, d)
    level = np.trace(scatter) / d
    basis, values = reference.bases[0], reference.eigenvalues[0]
    size = float(values.sum() / d / level)
    shape = scatter - level * np.eye(d)
    total = float((shape**2).sum())
    if total <= 1e-20 * level**2:
        return size, size
    kept = float((((basis * values) @ basis.T) * shape).sum() / total)
    return size, kept


def _mixture(
    reference: Mixture, rows: Floats, centres: Floats, weights: Floats, inside: Floats
) -> Floats:
    """Effects through weights, means and covariances of all components.

    Shares of the components in each row are taken as known.
    """
    shares = softmax(reference.log_components(rows), axis=1)
    shares_there = softmax(reference.log_components(centres), axis=1)
    effects = np.zeros(len(rows))
    for c, weight in enumerate(reference.weights):
        whitener = reference.bases[c] / np.sqrt(reference.eigenvalues[c])
        white = (rows - reference.means[c]) @ whitener
        there = (centres - reference.means[c]) @ whitener
        lost, won = inside * shares[:, c], weights * shares_there[:, c]
        total = won.sum() - lost.sum()
        towards = won @ there - lost @ white
        slope = (there.T * won) @ there - (white.T * lost) @ white
        slope -= total * np.eye(len(slope))
        quadratic = np.einsum("ij,ij->i", white @ slope, white) - np.trace(slope)
        effects += shares[:, c] / weight * (total + white @ towards + quadratic / 2)
    return effects
