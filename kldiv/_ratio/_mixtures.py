"""Gaussian mixtures: fitting, densities, draws, masses of balls.

Expectation-maximisation runs in single precision on at most a few thousand rows, with
one matrix product per component and step; the last maximisation, and everything that
an estimate is made of, is in double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtri
from scipy.special import gammaln, logsumexp

from kldiv._kernels._ball_mass import mixture_balls
from kldiv._ratio._coordinates import ROWS_TO_WHITEN
from kldiv._typing import FloatArray, Floats, Labels, Singles

Whitener = tuple[np.float32, Singles, Singles]

_STEPS, ROWS_TO_FIT = 30, 3000
# Gain of the mean log likelihood in a step below which fitting stops.
_MINIMUM_GAIN = 1e-3
# A row whose share in a component is smaller does not count there.
_SMALLEST_SHARE = np.float32(1e-3)
# Components whose density at a row is this much (log) below the largest are looked at
# in every eighth step only.
_FAR, _STEPS_BETWEEN = np.float32(12), 8
_ROWS_AT_A_TIME = 512
# Columns of a kernel are filled up to a multiple of so many.
_LANES = 4
# Degrees of freedom of a component that has hardly more rows than columns.
_FEWEST_DEGREES = 3.0
# Share of the largest variance that moments in single precision can tell from zero.
_SINGLE_PRECISION = 1e-6


@dataclass(frozen=True)
class Mixture:
    """Gaussian mixture in eigenbases: `weights` (c,), `means` (c, d), `eigenvalues`
    (c, d) and `bases` (c, d, d) with eigenvectors in columns.

    One Gaussian also knows to how many rows it was fitted, and how much of its
    covariance is that of the data."""

    weights: Floats
    means: Floats
    eigenvalues: Floats
    bases: Floats
    n_rows: int = 0
    data_share: float = 1.0

    def log_components(self, X: Floats) -> Floats:
        """Log of weight times density per component, shape (n, c)."""
        d = X.shape[1]
        logs = np.empty((len(X), len(self.weights)))
        for c, (mean, values, basis) in enumerate(
            zip(self.means, self.eigenvalues, self.bases, strict=True)
        ):
            scaled = (X - mean) @ (basis / np.sqrt(values))
            logs[:, c] = -0.5 * np.einsum("ij,ij->i", scaled, scaled)
            logs[:, c] -= 0.5 * (np.log(values).sum() + d * np.log(2 * np.pi))
        return logs + np.log(self.weights)

    def log_density(self, X: Floats) -> Floats:
        """Log density at each row, shape (n,)."""
        return logsumexp(self.log_components(X), axis=1)

    def log_density_left_out(self, X: Floats) -> Floats:
        """Log density at each fitted row if that row is left out; one Gaussian only.

        Leaving a row out moves the mean and takes a matrix of rank one from the
        covariance; how much the covariance is shrunk stays.
        """
        n, d = self.n_rows, X.shape[1]
        scaled = (X - self.means[0]) @ (self.bases[0] / np.sqrt(self.eigenvalues[0]))
        lengths = np.einsum("ij,ij->i", scaled, scaled)
        left = np.maximum(1 - self.data_share * lengths / (n - 1), 1e-12)
        further = (n / (n - 1)) ** 2 * lengths / left
        constant = np.log(self.eigenvalues[0]).sum() + d * np.log(2 * np.pi)
        return -0.5 * (further + np.log(left) + constant)

    def log_predictive(self, X: Floats, n_rows: int, pseudo_rows: float) -> Floats:
        """Log density of the next row, after `n_rows` that were fitted, shape (n,).

        Covariances of few rows are not known: instead of a Gaussian each component is
        the Student distribution that has their uncertainty in it (the posterior
        predictive under the prior of Jeffreys, with so many rows more). Pseudo-rows
        count as rows.
        """
        d = X.shape[1]
        logs = self.log_components(X) - np.log(self.weights)
        logs += 0.5 * (np.log(self.eigenvalues).sum(axis=1) + d * np.log(2 * np.pi))
        counts = self.weights * n_rows
        degrees = np.maximum(counts + pseudo_rows - d + 1, _FEWEST_DEGREES)
        wider = (counts + pseudo_rows) * (1 + 1 / counts) / degrees
        sizes = gammaln((degrees + d) / 2) - gammaln(degrees / 2)
        sizes -= 0.5 * (np.log(self.eigenvalues).sum(axis=1) + d * np.log(wider))
        sizes -= 0.5 * d * np.log(degrees * np.pi)
        logs = sizes - (degrees + d) / 2 * np.log1p(-2 * logs / (wider * degrees))
        return logsumexp(logs + np.log(self.weights), axis=1)

    def effects(self, rows: Floats, judged: Floats, weights: Floats) -> Floats:
        """Effects of the fitted rows on a weighted sum of log densities elsewhere.

        Of one Gaussian, times the number of rows, to first order: a row moves the mean
        and the covariance.
        """
        to_scores = self.bases[0] / np.sqrt(self.eigenvalues[0])
        fitted, others = ((U - self.means[0]) @ to_scores for U in (rows, judged))
        pull = weights @ others
        spread = (others * weights[:, None]).T @ others - weights.sum() * np.eye(
            rows.shape[1]
        )
        bent = np.einsum("ij,jk,ik->i", fitted, spread, fitted) - np.trace(spread)
        return fitted @ pull + 0.5 * self.data_share * bent

    def log_ratio_to_ball(self, X: Floats, radii: Floats, threads: int) -> Floats:
        """Log density at each row minus log mass of the ball around it."""
        n, (c, d) = len(X), self.means.shape
        centre = self.weights @ self.means
        spare = -d % _LANES if d > _LANES else 0
        bases = np.pad(self.bases, ((0, 0), (0, 0), (0, spare)))
        directions = np.ascontiguousarray(bases.transpose(1, 0, 2)).reshape(d, -1)
        shifts = np.einsum("cj,cji->ci", self.means - centre, bases)
        eigenvalues = np.pad(self.eigenvalues, ((0, 0), (0, spare)))
        squared_radii = radii**2
        density, mass = np.empty(n), np.empty(n)
        for first in range(0, n, _ROWS_AT_A_TIME):
            part = slice(first, first + _ROWS_AT_A_TIME)
            projections = ((X[part] - centre) @ directions).reshape(-1, c, d + spare)
            mixture_balls(
                projections,
                shifts,
                eigenvalues,
                np.log(self.weights),
                squared_radii[part],
                density[part],
                mass[part],
                d,
                threads,
            )
        return density - mass

    def sample(self, n_rows: int, rng: np.random.Generator) -> tuple[Floats, Labels]:
        """Independent rows, shape (n_rows, d), component by component, and their
        components."""
        labels = np.sort(rng.choice(len(self.weights), n_rows, p=self.weights))
        rows = rng.normal(size=(n_rows, self.means.shape[1]))
        ends = np.searchsorted(labels, np.arange(len(self.weights)), side="right")
        first = 0
        for c, end in enumerate(ends):
            scaled = rows[first:end] * np.sqrt(self.eigenvalues[c])
            rows[first:end] = self.means[c] + scaled @ self.bases[c].T
            first = end
        return rows, labels


def fit_gaussian(X: Floats, weight: float | None = None) -> Mixture:
    """One Gaussian, its covariance pulled towards a multiple of the identity.

    The weight of that is `shrinkage_weight` of the rows if it is not given. What stays
    of the sample covariance is inflated to give an unbiased inverse (Wishart).
    """
    n, d = X.shape
    mean = X.mean(axis=0)
    centred = X - mean
    covariance = centred.T @ centred / n
    if weight is None:
        weight = _weight(centred, covariance)
    inflation = 1.0 + (1 - weight) ** 2 * (d + 2) / max(n - d - 2, d + 2)
    target = np.trace(covariance) / d
    covariance = (1 - weight) * inflation * covariance + weight * target * np.eye(d)
    values, basis = np.linalg.eigh(covariance)
    return Mixture(
        np.ones(1),
        mean[None],
        np.maximum(values, 1e-10 * values.max())[None],
        _oriented(centred, basis)[None],
        n,
        (1 - weight) * inflation,
    )


def shrinkage_weight(X: Floats) -> float:
    """Weight of the multiple of the identity when one Gaussian is fitted to rows."""
    centred = X - X.mean(axis=0)
    return _weight(centred, centred.T @ centred / len(X))


def _weight(centred: Floats, covariance: Floats) -> float:
    n, d = centred.shape
    return 0.0 if n >= ROWS_TO_WHITEN * d else _shrinkage(centred, covariance)


def _oriented(centred: Floats, basis: Floats) -> Floats:
    """Eigenvectors with the sign that makes the data's third moment positive.

    With signs that come from the data, what is drawn from a mixture turns with the
    data, so that the estimate does not depend on the coordinates.
    """
    along = centred @ basis
    moments = np.einsum("ij,ij,ij->j", along, along, along)
    return np.ascontiguousarray(basis * np.where(moments < 0, -1.0, 1.0))


def _shrinkage(centred: Floats, covariance: Floats) -> float:
    """Weight of the multiple of the identity (Ledoit and Wolf 2004, lemma 3.4)."""
    n, d = centred.shape
    size = float((covariance**2).sum())
    spread = size - np.trace(covariance) ** 2 / d
    lengths = np.einsum("ij,ij->i", centred, centred)
    noise = (float((lengths**2).mean()) - size) / n
    return min(max(noise / spread, 0.0), 1.0) if spread > 0 else 1.0


def fit_mixture(
    X: Floats,
    labels: Labels,
    pseudo_rows: float,
    *,
    steps: int = _STEPS,
) -> Mixture:
    """Mixture by expectation-maximisation from a partition of the rows.

    The covariance of a component gets pseudo-rows of the mean covariance within
    components, which itself gets a small share of the identity.
    """
    n_components = int(labels.max()) + 1
    if n_components == 1:
        return fit_gaussian(X)
    centred = (X - X.mean(axis=0)).astype(np.float32)
    shares = _expectation_maximisation(
        centred, labels, n_components, pseudo_rows, steps
    )
    members = [np.flatnonzero(row) for row in shares]
    weights, means, covariances = _maximise(
        [X[rows] for rows in members], _taken(shares, members), pseudo_rows
    )
    values, bases = np.linalg.eigh(covariances)
    for c, rows in enumerate(members):
        centred = (X[rows] - means[c]) * np.cbrt(shares[c, rows])[:, None]
        bases[c] = _oriented(centred, bases[c])
    values = np.maximum(values, 1e-10 * values.max())
    return Mixture(weights, means, values, np.ascontiguousarray(bases))


def _expectation_maximisation(
    X: Singles, labels: Labels, n_components: int, pseudo_rows: float, steps: int
) -> Singles:
    """Shares of the components in each row, shape (c, n), 0 where they do not matter.

    A step costs one pass over the rows near each component, not over all.
    """
    shares = np.zeros((n_components, len(X)), dtype=np.float32)
    shares[labels, np.arange(len(X))] = 1.0
    near, previous = list(shares > 0), -np.inf
    logs = np.empty_like(shares)
    for step in range(steps):
        everywhere = step < 2 or step % _STEPS_BETWEEN == 0
        if everywhere:
            members = [np.flatnonzero(row) for row in near]
            blocks = [X[rows] for rows in members]
        weights, means, covariances = _maximise(
            blocks, _taken(shares, members), pseudo_rows
        )
        whiteners = whiteners_of(weights, means, covariances)
        if everywhere:
            logs = log_components(X, whiteners)
            near = list(logs > logs.max(axis=0) - _FAR)
        else:
            for c, rows in enumerate(members):
                logs[c, rows] = _log_component(blocks[c], *whiteners[c])
        shares, likelihood = _shares(logs)
        if likelihood - previous < _MINIMUM_GAIN:
            break
        previous = likelihood
    return shares


def _taken(shares: Singles, members: list[Labels]) -> list[Singles]:
    return [row[rows] for row, rows in zip(shares, members, strict=True)]


def _maximise(
    blocks: Sequence[Floats | Singles], shares: list[Singles], pseudo_rows: float
) -> tuple[Floats, Floats, Floats]:
    """Weights, means and covariances that the shares of the rows imply."""
    counts, means, scatters = moments(blocks, shares)
    weights, covariances = smooth(counts, scatters, pseudo_rows)
    return weights, means, covariances


def _shares(logs: Singles) -> tuple[Singles, float]:
    """Shares of the components in each row, and the mean log likelihood."""
    largest = logs.max(axis=0)
    shares = np.exp(logs - largest)
    total = shares.sum(axis=0)
    shares /= total
    shares[shares < _SMALLEST_SHARE] = 0.0
    likelihood = largest.mean(dtype=np.float64) + np.log(total).mean(dtype=np.float64)
    return shares, float(likelihood)


def whiteners_of(weights: Floats, means: Floats, covariances: Floats) -> list[Whitener]:
    """What `_log_component` needs to know of each component, by Cholesky factors."""
    d = means.shape[1]
    ridge = 1e-10 * np.trace(covariances.mean(axis=0)) / d * np.eye(d)
    roots = roots_of(covariances + ridge)
    constants = np.log(weights) - 0.5 * d * np.log(2 * np.pi)
    constants -= np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    whiteners: list[Whitener] = []
    for constant, mean, root in zip(constants, means, roots, strict=True):
        # the transpose of a C-ordered lower root is a Fortran-ordered upper one
        directions = dtrtri(root.T)[0]
        whiteners.append(
            (
                np.float32(constant),
                (mean @ directions).astype(np.float32),
                directions.astype(np.float32),
            )
        )
    return whiteners


def roots_of(covariances: Floats) -> FloatArray:
    """Lower Cholesky factors, shape (c, d, d).

    Covariances that rounding has made indefinite, as single precision does where a
    component holds one value of a column, get variances of what it can tell apart.
    """
    try:
        return np.linalg.cholesky(covariances)
    except np.linalg.LinAlgError:
        values, bases = np.linalg.eigh(covariances)
        least = _SINGLE_PRECISION * values.max(axis=1, keepdims=True)
        values = np.maximum(values, least)
        raised = (bases * values[:, None, :]) @ bases.transpose(0, 2, 1)
        return np.linalg.cholesky((raised + raised.transpose(0, 2, 1)) / 2)


def _log_component(
    X: Singles, constant: np.float32, shift: Singles, directions: Singles
) -> Singles:
    scaled = X @ directions
    scaled -= shift
    return constant - np.float32(0.5) * np.einsum("ij,ij->i", scaled, scaled)


def log_components(X: Singles, whiteners: list[Whitener]) -> Singles:
    """Log of weight times density per component, shape (c, n)."""
    return np.stack([_log_component(X, *one) for one in whiteners])


def moments(
    blocks: Sequence[Floats | Singles], shares: list[Singles]
) -> tuple[Floats, Floats, Floats]:
    """Sums of shares, weighted means and scatter matrices of the components."""
    d = blocks[0].shape[1]
    counts, means = np.empty(len(blocks)), np.zeros((len(blocks), d))
    scatters = np.empty((len(blocks), d, d))
    for c, (block, share) in enumerate(zip(blocks, shares, strict=True)):
        counts[c] = share.sum(dtype=np.float64) + 1e-9
        means[c] = (share @ block) / counts[c]
        centred = block - means[c].astype(block.dtype)
        centred *= np.sqrt(share)[:, None]
        scatters[c] = centred.T @ centred
    return counts, means, scatters


def smooth(
    counts: Floats, scatters: Floats, pseudo_rows: float
) -> tuple[Floats, Floats]:
    """Weights and covariances."""
    n, d = counts.sum(), scatters.shape[1]
    within = scatters.sum(axis=0) / n
    small = 0.01 * d
    within = (n * within + small * np.trace(within) / d * np.eye(d)) / (n + small)
    pulled = scatters + pseudo_rows * within
    covariances = pulled / (counts + pseudo_rows)[:, None, None]
    return (counts + 1) / (n + len(counts)), covariances


def rows_to_fit(values: NDArray[Any]) -> NDArray[Any]:
    """As many rows as a mixture needs, at equal steps: more cost time, not accuracy."""
    if len(values) <= ROWS_TO_FIT:
        return values
    return values[np.linspace(0, len(values) - 1, ROWS_TO_FIT).astype(np.intp)]
