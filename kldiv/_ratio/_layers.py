"""Maps of whole rows that make one sample Gaussian: turned columns, changed lengths.

A sample whose columns were mixed is a product in other directions (independent
components), and an elliptical one is Gaussian but for the lengths of its rows. Maps of
single columns see neither. Each layer is a bijection whose slope is known, so that
layers can follow each other (iterative Gaussianisation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri, gammaincinv, gammaln, ndtr

from kldiv._ratio._marginals import Marginals, fit_marginals
from kldiv._ratio._mixtures import Mixture, fit_gaussian
from kldiv._typing import Floats

_STEPS, _CONVERGED = 100, 1e-6
# Whole rows are mapped only with so many of them for each column, and only if the log
# likelihood gains this much.
_ROWS_PER_COLUMN = 10
_CLEAR_GAIN = 10.0
# Lengths whose normal score is farther out are mapped straight on.
_FARTHEST = 30.0
_LARGEST_LEVERAGE = 0.999


@dataclass(frozen=True)
class Turned:
    """Independent components: a linear map to columns that are far from Gaussian.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        Mean of the rows.
    directions : ndarray of shape (d, d)
        Of the components, in columns.
    log_size : float
        Log of the absolute determinant.
    cost : float
        What leaving a fitted row out takes from its log density, on average.
    """

    mean: Floats
    directions: Floats
    log_size: float
    cost: float

    def scores(self, X: Floats) -> tuple[Floats, Floats]:
        """Components of rows, and log of the slope of the map."""
        return (X - self.mean) @ self.directions, np.full(len(X), self.log_size)

    def influence(self, X: Floats) -> Floats:
        """What leaving a fitted row out takes from its log density, on average."""
        return np.full(len(X), self.cost)

    def effects(  # the same call as for maps of single columns
        self,
        rows: Floats,
        judged: Floats,  # noqa: ARG002
        weights: Floats,  # noqa: ARG002
    ) -> Floats:
        """None are counted: the directions maximise what they are judged by."""
        return np.zeros(len(rows))


def _whitened(X: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Mean of rows, rows of unit covariance, the map to them, log determinant."""
    mean = X.mean(axis=0)
    centred = X - mean
    values, basis = np.linalg.eigh(centred.T @ centred / len(X))
    whitener = basis / np.sqrt(values)
    return mean, centred @ whitener, whitener, -0.5 * float(np.log(values).sum())


def fit_turned(X: Floats) -> Turned:
    """Directions of independent components (FastICA, Hyvarinen 1999, symmetric).

    They start from the axes of the fourth moments, which turn with the data.
    """
    n, d = X.shape
    mean, Z, whitener, log_size = _whitened(X)
    lengths = np.einsum("ij,ij->i", Z, Z)
    turn = np.linalg.eigh((Z.T * lengths) @ Z / n)[1]
    for _ in range(_STEPS):
        bent = np.tanh(Z @ turn)
        new = Z.T @ bent / n - turn * (1 - bent**2).mean(axis=0)
        left, _, right = np.linalg.svd(new)
        new = left @ right
        change = 1 - np.abs(np.einsum("ij,ij->j", new, turn)).min()
        turn = new
        if change < _CONVERGED:
            break
    directions = whitener @ turn
    return Turned(mean, directions, log_size, d * (d - 1) / 2 / n)


@dataclass(frozen=True)
class Lengths:
    """Rows stretched along their direction from the centre, until they are Gaussian.

    Attributes
    ----------
    mean, whitener : ndarray of shape (d,) and (d, d)
        Of the rows.
    log_size : float
        Log determinant of the whitener.
    marginals : Marginals
        Normal scores of the log length of a row.
    """

    mean: Floats
    whitener: Floats
    log_size: float
    marginals: Marginals

    def scores(self, X: Floats) -> tuple[Floats, Floats]:
        """Stretched rows, and log of the slope of the map."""
        Z = (X - self.mean) @ self.whitener
        d = Z.shape[1]
        logs = _log_lengths(Z)
        normal, slopes = self.marginals.scores(logs)
        stretched, log_slopes = _log_chi(normal[:, 0], d)
        factors = stretched - logs[:, 0]
        found: Floats = slopes + log_slopes + d * factors + self.log_size
        return Z * np.exp(factors)[:, None], found

    def influence(self, X: Floats) -> Floats:
        """What the distribution of the lengths owes to each fitted row."""
        return self.marginals.influence(self._columns(X))

    def influence_on_shape(self, X: Floats) -> Floats:
        """What leaving a fitted row out of centre and shape takes from its log density.

        Those of the other rows make it longer (Sherman and Morrison 1950).
        """
        n, d = X.shape
        logs = self._columns(X)
        leverage = np.minimum(np.exp(2 * logs) / (n - 1), _LARGEST_LEVERAGE)
        shrinks = np.log1p(-leverage)
        longer = logs + (np.log(n / (n - 1)) - shrinks) / 2
        taken = self._log_density(logs) - self._log_density(longer)
        slopes = d * (longer - logs) + (d * np.log(n / (n - 1)) + shrinks) / 2
        found: Floats = taken + slopes[:, 0]
        return found

    def _log_density(self, logs: Floats) -> Floats:
        """Log density of log lengths, but for a constant."""
        normal, slopes = self.marginals.scores(logs)
        return slopes - 0.5 * normal[:, 0] ** 2

    def effects(self, rows: Floats, judged: Floats, weights: Floats) -> Floats:
        """Effects of the fitted rows on the weighted mean log density at others."""
        return self.marginals.effects(
            self._columns(rows), self._columns(judged), weights
        )

    def _columns(self, X: Floats) -> Floats:
        return _log_lengths((X - self.mean) @ self.whitener)


def fit_lengths(X: Floats) -> Lengths:
    """Lengths by the distribution of the log length, centre and shape by moments."""
    mean, Z, whitener, log_size = _whitened(X)
    return Lengths(mean, whitener, log_size, fit_marginals(_log_lengths(Z)))


def _log_lengths(Z: Floats) -> Floats:
    return 0.5 * np.log(np.einsum("ij,ij->i", Z, Z))[:, None]


def _log_chi(normal: Floats, d: int) -> tuple[Floats, Floats]:
    """Log of the chi-distributed length with a normal score, and its log slope."""
    v = np.clip(normal, -_FARTHEST, _FARTHEST)
    squares = np.empty_like(v)
    low = v < 0
    squares[low] = 2 * gammaincinv(d / 2, ndtr(v[low]))
    squares[~low] = chdtri(d, ndtr(-v[~low]))
    logs = 0.5 * np.log(squares)
    # density of log length: d log R - R^2/2 - ...
    log_density = d * logs - squares / 2 - (d / 2 - 1) * np.log(2) - gammaln(d / 2)
    log_slopes = -0.5 * v**2 - 0.5 * np.log(2 * np.pi) - log_density
    beyond = normal - v
    return logs + beyond * np.exp(log_slopes), log_slopes


@dataclass(frozen=True)
class Layers:
    """Maps that follow each other.

    Attributes
    ----------
    maps : sequence of Marginals, Turned or Lengths
        In the order in which they are applied.
    """

    maps: Sequence[Marginals | Turned | Lengths]

    def scores(self, X: Floats) -> tuple[Floats, Floats]:
        """Rows after all maps, and log of the slope of the whole map."""
        slopes = np.zeros(len(X))
        for one in self.maps:
            X, more = one.scores(X)
            slopes = slopes + more
        return X, slopes

    def influence(self, X: Floats) -> Floats:
        """What leaving a fitted row out takes from its log density."""
        taken = np.zeros(len(X))
        for one in self.maps:
            taken = taken + one.influence(X)
            X = one.scores(X)[0]
        return taken

    def log_density_left_out(self, X: Floats, gaussian: Mixture) -> Floats:
        """Log density at the fitted rows, each left out of the maps and the Gaussian.

        Lengths that come last hold the centre and the shape of the Gaussian already.
        """
        Z, slopes = self.scores(X)
        known, last = slopes - self.influence(X), self.maps[-1]
        if not isinstance(last, Lengths):
            return gaussian.log_density_left_out(Z) + known
        before = Layers(self.maps[:-1]).scores(X)[0]
        return gaussian.log_density(Z) + known - last.influence_on_shape(before)

    def effects(self, rows: Floats, judged: Floats, weights: Floats) -> Floats:
        """Effects of the fitted rows on the weighted mean log density at others."""
        found = np.zeros(len(rows))
        for one in self.maps:
            found = found + one.effects(rows, judged, weights)
            rows, judged = one.scores(rows)[0], one.scores(judged)[0]
        return found


def fit_layers(X: Floats) -> Layers:
    """Maps of single columns, and of whole rows where they gain clearly."""
    best, reached = _judged([fit_marginals(X)], X)
    n, d = X.shape
    if d == 1 or n < _ROWS_PER_COLUMN * d or not _full(X):
        return best
    turns = d * (d - 1) / 2
    turned = _fit_turned_columns(X)
    likelihood = _judged(turned, X)[1]
    gain = likelihood - reached
    if n * gain > turns + _CLEAR_GAIN:
        # fitted to half of the rows, turns cost twice as much; where the fit is judged
        # by the rows it has seen it gains what it costs elsewhere
        more = 2 * (gain - _gain_elsewhere(X)) / 3
        if gain - more > _CLEAR_GAIN / n:
            first = replace(turned[0], cost=max(turned[0].cost + more, 0))
            best, reached = Layers([first, turned[1]]), likelihood - more
    for before in ([], best.maps):
        Z = Layers(before).scores(X)[0]
        tried, likelihood = _judged([*before, fit_lengths(Z)], X)
        if n * (likelihood - reached) > turns + _CLEAR_GAIN:
            best, reached = tried, likelihood
    return best


def _fit_turned_columns(X: Floats) -> tuple[Turned, Marginals]:
    turned = fit_turned(X)
    return turned, fit_marginals(turned.scores(X)[0])


def _gain_elsewhere(X: Floats) -> float:
    """What turning gains in rows that were not fitted; nothing if they cannot be."""
    half = np.random.default_rng(0).permutation(len(X)) % 2 == 0
    seen, others = X[half], X[~half]
    if not _full(seen):  # a column that varies in few rows
        return -np.inf
    reached = []
    for maps in ([fit_marginals(seen)], _fit_turned_columns(seen)):
        layers = Layers(maps)
        gaussian = fit_gaussian(layers.scores(seen)[0])
        Z, slopes = layers.scores(others)
        reached.append(float((gaussian.log_density(Z) + slopes).mean()))
    return reached[1] - reached[0]


def _judged(
    maps: Sequence[Marginals | Turned | Lengths], X: Floats
) -> tuple[Layers, float]:
    layers = Layers(maps)
    gaussian = fit_gaussian(layers.scores(X)[0])
    return layers, float(layers.log_density_left_out(X, gaussian).mean())


def _full(X: Floats) -> bool:
    values = np.linalg.eigvalsh(np.cov(X.T))
    return bool(values[0] > 1e-8 * values[-1])
