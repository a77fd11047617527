"""What single rows do to an estimate through the references that are fitted to them.

The estimate holds sums of log densities of a reference at rows, minus log masses of
balls around them. To first order in its parameters a log mass changes by what the log
density changes on average within the ball, and the rows inside the ball say how much
that is. The parameters are means and covariances, so that the effect of a row is a
quadratic function of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from kldiv._log_ratio import LogRatio
from kldiv._mixtures import Mixture

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class ReferenceEffects:
    """Effects of rows through the references of X and of Y."""

    def __init__(self, ratio: LogRatio) -> None:
        references = ratio.references
        assert references is not None
        self._X, self._Y = ratio.X.astype(np.float64), ratio.Y.astype(np.float64)
        self._own, self._other = references.own, references.other
        self.gaussian = len(self._own.weights) == 1

    def own(self, mask: Mask, centres: Floats, inside: Floats) -> Floats:
        """Effects of the rows of X, shape (n,), through the reference of X.

        `centres` weighs the rows of X as centres of balls, `inside` as rows in balls;
        a single Gaussian is fitted to the rows of a mask.
        """
        if self.gaussian:
            return _gaussian(self._own, self._X, mask, self._X, centres, inside)
        return _mixture(self._own, self._X, self._X, centres, inside)

    def other(self, mask: Mask, centres: Floats, inside: Floats) -> Floats:
        """Effects of the rows of Y, shape (m,), through the reference of Y."""
        if self.gaussian:
            return _gaussian(self._other, self._Y, mask, self._X, centres, inside)
        return _mixture(self._other, self._Y, self._X, centres, inside)


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
    level_slope = np.trace(slope) / d
    slope = deviation * slope + (size - deviation) * level_slope * np.eye(d)
    effects: Floats = np.einsum("ij,ij->i", centred @ slope, centred)
    effects -= (slope * scatter).sum()
    effects = centred @ towards + effects / 2
    return effects


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
