"""Reference measures whose ball masses correct the estimator.

The k-th neighbour ball of a row of X holds an expected log mass of P that is known
without any assumption. The published estimator turns mass into density by "density
times volume". Here the mass of the same ball under a reference g is used instead,

    log p(x) = log g(x) + log P(ball) - log g(ball),

which only assumes that p/g is constant inside the ball. References are Gaussian
mixtures fitted by expectation-maximisation with a conjugate prior on the covariances
(one component: a shrunk Gaussian). What a reference does to the estimate because it was
fitted to few rows is measured on samples drawn from it and subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, logsumexp

from kldiv._coordinates import (
    ROWS_TO_WHITEN,
    Coordinates,
    coordinates,
    normalise,
)
from kldiv._kernels._ball_mass import log_ball_mass
from kldiv._neighbors import search
from kldiv._validation import FloatArray

Floats = NDArray[np.float64]

COMPONENTS = (1, 2, 4, 8, 12, 16, 24, 32)
# Pseudo-rows with which the covariance of a component is pulled towards the mean
# covariance of all. For choosing the number of components (there one per column)
# prediction counts; for the estimate less smoothing is better, because what smoothing
# does to the narrow directions of Q decides the divergence, while the bias of too
# little is measured and subtracted (docs/user_guide/accuracy.rst).
SMOOTHING_TO_SELECT = 1.0
SMOOTHING = 2.5
_STEPS, _LLOYD_STEPS, _SEEDS_TRIED = 60, 15, 4
_FOLDS, _ROWS_TO_JUDGE = 4, 500
_ROWS_TO_FIT = 3000
# Bootstrap samples from the reference of X and of Y: mixtures, and one Gaussian.
_REPEATS, _REPEATS_OF_ONE = (1, 3), (6, 20)
_ROWS_TO_SCORE = 1000
# Held-out log likelihood per column, summed over both samples, that Gaussian-looking
# columns must gain.
_GAIN_PER_COLUMN = 0.04
_MINIMUM_GAIN, _MINIMUM_GAIN_TO_SELECT = 1e-3, 1e-2


@dataclass(frozen=True)
class Mixture:
    """Gaussian mixture in eigenbases: `weights` (c,), `means` (c, d), `eigenvalues`
    (c, d) and `bases` (c, d, d) with eigenvectors in columns."""

    weights: Floats
    means: Floats
    eigenvalues: Floats
    bases: Floats

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
        total: Floats = logsumexp(self.log_components(X), axis=1)
        return total

    def log_ratio_to_ball(self, X: Floats, radii: Floats, threads: int) -> Floats:
        """Log density at each row minus log mass of the ball around it."""
        logs = self.log_components(X)
        density = logsumexp(logs, axis=1)
        squared_radii = np.ascontiguousarray(radii**2)
        masses = np.empty((len(self.weights), len(X)))
        for c, (mean, values, basis) in enumerate(
            zip(self.means, self.eigenvalues, self.bases, strict=True)
        ):
            offsets = (X - mean) @ basis
            log_ball_mass(offsets**2, values, squared_radii, masses[c], threads)
        masses += np.log(self.weights)[:, None]
        ratio: Floats = density - logsumexp(masses, axis=0)
        return ratio

    def sample(self, n_rows: int, rng: np.random.Generator) -> Floats:
        """Independent rows, shape (n_rows, d)."""
        labels = np.sort(rng.choice(len(self.weights), n_rows, p=self.weights))
        rows = rng.normal(size=(n_rows, self.means.shape[1]))
        for c in np.unique(labels):
            chosen = labels == c
            rows[chosen] = (
                self.means[c]
                + (rows[chosen] * np.sqrt(self.eigenvalues[c])) @ self.bases[c].T
            )
        return rows


def fit_gaussian(X: Floats) -> Mixture:
    """One Gaussian, its covariance pulled towards a multiple of the identity.

    The weight is that of Ledoit and Wolf (2004). What stays of the sample covariance is
    inflated to give an unbiased inverse (Wishart).
    """
    n, d = X.shape
    mean = X.mean(axis=0)
    centred = X - mean
    covariance = centred.T @ centred / n
    weight = 0.0
    if n < ROWS_TO_WHITEN * d:
        weight = _shrinkage(centred, covariance)
    inflation = 1.0 + (1 - weight) ** 2 * (d + 2) / max(n - d - 2, d + 2)
    target = np.trace(covariance) / d
    covariance = (1 - weight) * inflation * covariance + weight * target * np.eye(d)
    values, basis = np.linalg.eigh(covariance)
    return Mixture(
        np.ones(1),
        mean[None],
        np.maximum(values, 1e-10 * values.max())[None],
        _oriented(centred, basis)[None],
    )


def _oriented(centred: Floats, basis: Floats) -> Floats:
    """Eigenvectors with the sign that makes the data's third moment positive.

    With signs that come from the data, what is drawn from a mixture turns with the
    data, so that the estimate does not depend on the coordinates.
    """
    moments = ((centred @ basis) ** 3).sum(axis=0)
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
    n_components: int,
    pseudo_rows: float,
    *,
    start: Floats | None = None,
    steps: int = _STEPS,
    minimum_gain: float = _MINIMUM_GAIN,
) -> tuple[Mixture, Floats]:
    """Mixture by expectation-maximisation, and the responsibilities, shape (n, c).

    The covariance of a component gets pseudo-rows of the mean covariance within
    components, which itself gets a small share of the identity.
    """
    if n_components == 1:
        return fit_gaussian(X), np.ones((len(X), 1))
    if len(X) > _ROWS_TO_FIT:
        X = _evenly(X)
    shares = _start(X, n_components) if start is None else start
    previous = -np.inf
    for _ in range(steps):
        weights, means, covariances = _maximise(X, shares, pseudo_rows)
        logs = _log_components(X, weights, means, covariances)
        total = logsumexp(logs, axis=1)
        shares = np.exp(logs - total[:, None])
        likelihood = float(total.mean())
        if likelihood - previous < minimum_gain:
            break
        previous = likelihood
    values, bases = np.linalg.eigh(covariances)
    for c, mean in enumerate(means):
        centred = (X - mean) * np.cbrt(shares[:, c])[:, None]
        bases[c] = _oriented(centred, bases[c])
    values = np.maximum(values, 1e-10 * values.max())
    return Mixture(weights, means, values, np.ascontiguousarray(bases)), shares


def _log_components(
    X: Floats, weights: Floats, means: Floats, covariances: Floats
) -> Floats:
    """Log of weight times density per component by Cholesky factors, shape (n, c)."""
    d = X.shape[1]
    ridge = 1e-10 * np.trace(covariances.mean(axis=0)) / d * np.eye(d)
    inverses = np.linalg.inv(np.linalg.cholesky(covariances + ridge))
    logs = np.empty((len(X), len(weights)))
    for c, (mean, inverse) in enumerate(zip(means, inverses, strict=True)):
        scaled = (X - mean) @ inverse.T
        logs[:, c] = np.log(np.diag(inverse)).sum()
        logs[:, c] -= 0.5 * np.einsum("ij,ij->i", scaled, scaled)
    found: Floats = logs + np.log(weights) - 0.5 * d * np.log(2 * np.pi)
    return found


def _evenly(X: Floats) -> Floats:
    """As many rows as a mixture needs, at equal steps: more cost time, not accuracy."""
    return X[np.linspace(0, len(X) - 1, _ROWS_TO_FIT).astype(np.intp)]


def _start(X: Floats, n_components: int) -> Floats:
    """Responsibilities of k-means clusters (k-means++ seeds, a few Lloyd steps)."""
    rng = np.random.default_rng(0)
    norms = np.einsum("ij,ij->i", X, X)
    centres = X[[rng.integers(len(X))]]
    nearest = _squared_distances(X, norms, centres)[:, 0]
    while len(centres) < n_components:
        total = nearest.sum()
        if not total > 0:
            break
        # the best of a few seeds, as every good k-means++ does
        tried = X[rng.choice(len(X), _SEEDS_TRIED, p=nearest / total)]
        left = np.minimum(nearest[:, None], _squared_distances(X, norms, tried))
        chosen = left.sum(axis=0).argmin()
        centres = np.concatenate([centres, tried[[chosen]]])
        nearest = left[:, chosen]
    for _ in range(_LLOYD_STEPS):
        labels = _squared_distances(X, norms, centres).argmin(axis=1)
        shares = np.eye(n_components)[labels]
        counts = shares.sum(axis=0)[: len(centres), None]
        moved = shares.T[: len(centres)] @ X / np.maximum(counts, 1)
        centres = np.where(counts > 0, moved, centres)
    found: Floats = shares
    return found


def _squared_distances(X: Floats, norms: Floats, centres: Floats) -> Floats:
    squared = norms[:, None] - 2 * (X @ centres.T) + (centres**2).sum(axis=1)
    found: Floats = np.maximum(squared, 0.0)
    return found


def _maximise(
    X: Floats, shares: Floats, pseudo_rows: float
) -> tuple[Floats, Floats, Floats]:
    """Weights, means and covariances that the responsibilities imply."""
    n, d = X.shape
    counts = shares.sum(axis=0) + 1e-9
    means = (shares.T @ X) / counts[:, None]
    scatters = np.empty((len(counts), d, d))
    for c, mean in enumerate(means):
        centred = (X - mean) * np.sqrt(shares[:, c])[:, None]
        scatters[c] = centred.T @ centred
    within = scatters.sum(axis=0) / n
    small = 0.01 * d
    within = (n * within + small * np.trace(within) / d * np.eye(d)) / (n + small)
    pulled = scatters + pseudo_rows * within
    covariances = pulled / (counts + pseudo_rows)[:, None, None]
    return (counts + 1) / (n + len(counts)), means, covariances


def refit(mixture: Mixture, X: Floats) -> Mixture:
    """The same mixture fitted to other rows of the same law, starting from it."""
    if len(mixture.weights) == 1:
        return fit_gaussian(X)
    if len(X) > _ROWS_TO_FIT:
        X = _evenly(X)
    logs = mixture.log_components(X)
    shares = np.exp(logs - logsumexp(logs, axis=1)[:, None])
    return fit_mixture(X, len(mixture.weights), SMOOTHING, start=shares, steps=3)[0]


def choose_components(
    X: Floats, Y: Floats, candidates: tuple[int, ...] = COMPONENTS
) -> tuple[int, tuple[float, float]]:
    """Common number of components with the best held-out likelihood of both samples.

    A common number makes what the references miss cancel in the ratio. Candidates are
    tried in order; the search stops when one does not gain a standard error on the best
    so far (two on a single Gaussian).

    Returns
    -------
    n_components : int
        The choice.
    log_likelihoods : tuple of float
        Mean held-out log likelihood of a row of X and of Y.
    """
    best, best_logs = 1, [_held_out(sample, 1) for sample in (X, Y)]
    for n_components in candidates:
        if n_components == 1:
            continue
        if min(len(X), len(Y)) < 8 * n_components:
            break
        logs = [_held_out(sample, n_components) for sample in (X, Y)]
        gains = [new - old for new, old in zip(logs, best_logs, strict=True)]
        error = np.sqrt(sum(gain.var() / len(gain) for gain in gains))
        # one Gaussian gives way only to a clear gain
        if sum(gain.mean() for gain in gains) < (2 if best == 1 else 1) * error:
            break
        best, best_logs = n_components, logs
    return best, (float(best_logs[0].mean()), float(best_logs[1].mean()))


def _held_out(X: Floats, n_components: int) -> Floats:
    """Log likelihood of rows under mixtures fitted to other rows.

    A quarter of the rows is held out, in turn until enough rows have been judged.
    """
    order = np.random.default_rng(0).permutation(len(X)) % _FOLDS
    folds = range(min(_FOLDS, -(-_FOLDS * _ROWS_TO_JUDGE // len(X))))
    logs = []
    for fold in folds:
        mixture, _ = fit_mixture(
            X[order != fold],
            n_components,
            SMOOTHING_TO_SELECT * X.shape[1],
            minimum_gain=_MINIMUM_GAIN_TO_SELECT,
        )
        logs.append(mixture.log_density(X[order == fold]))
    return np.concatenate(logs)


@dataclass(frozen=True)
class Balls:
    """Neighbour balls around the rows of X.

    Attributes
    ----------
    rho, nu : ndarray of shape (n,)
        Radius in X and in Y.
    k_rho, k_nu : ndarray of shape (n,)
        Rows of X (without the centre) and of Y in the ball.
    """

    rho: Floats
    nu: Floats
    k_rho: NDArray[np.intp]
    k_nu: NDArray[np.intp]


@dataclass(frozen=True)
class References:
    """References of both samples and what fitting them to few rows does.

    Attributes
    ----------
    own, other : Mixture
        Fitted to X and to Y.
    own_bias, other_bias : float
        How much too large the estimates of E log p and of E log q under P are.
    """

    own: Mixture
    other: Mixture
    own_bias: float
    other_bias: float

    def log_ratio(
        self, X: Floats, balls: Balls, n: int, m: int, threads: int
    ) -> Floats:
        """Estimated log p/q at each row of X, shape (n,), nats."""
        log_p = self.own.log_ratio_to_ball(X, balls.rho, threads)
        log_q = self.other.log_ratio_to_ball(X, balls.nu, threads)
        log_p += digamma(balls.k_rho) - digamma(n) - self.own_bias
        log_q += digamma(balls.k_nu) - digamma(m + 1) - self.other_bias
        return log_p - log_q


def fit_references(
    X: Floats, Y: Floats, balls: Balls, n_components: int, k: int, threads: int
) -> References:
    """Fit a reference to each sample and measure what the fit does to the estimate.

    The bias comes from a parametric bootstrap: samples of the same size are drawn from
    a reference, whose density is known, and go through the same fit. In X the reference
    scores the rows that it has seen; in Y it does not.
    """
    rng = np.random.default_rng(0)
    own = fit_mixture(X, n_components, SMOOTHING)[0]
    other = fit_mixture(Y, n_components, SMOOTHING)[0]
    repeats = _REPEATS if n_components > 1 else _REPEATS_OF_ONE
    own_bias = [
        _own_excess(own, len(X), n_components, k, threads, rng)
        for _ in range(repeats[0])
    ]
    rows = _some_rows(len(X), rng)
    before = other.log_ratio_to_ball(X[rows], balls.nu[rows], threads)
    other_bias = []
    for _ in range(repeats[1]):
        again = fit_mixture(other.sample(len(Y), rng), n_components, SMOOTHING)[0]
        after = again.log_ratio_to_ball(X[rows], balls.nu[rows], threads)
        other_bias.append(float((after - before).mean()))
    return References(own, other, float(np.mean(own_bias)), float(np.mean(other_bias)))


def _some_rows(n_rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.sort(rng.permutation(n_rows)[:_ROWS_TO_SCORE])


def _own_excess(
    mixture: Mixture,
    n_rows: int,
    n_components: int,
    k: int,
    threads: int,
    rng: np.random.Generator,
) -> float:
    """Excess of estimated over true log density at rows drawn from a mixture."""
    drawn = mixture.sample(n_rows, rng)
    refit = fit_mixture(drawn, n_components, SMOOTHING)[0]
    rows = _some_rows(n_rows, rng)
    # the first neighbour of a row in its own sample is the row itself
    found = search(drawn[rows], drawn, k + 1, blocks=("xy",), threads=threads)
    radii = found.block("xy")[:, -1]
    logs = refit.log_ratio_to_ball(drawn[rows], radii, threads)
    logs += digamma(k) - digamma(n_rows) - mixture.log_density(drawn[rows])
    return float(logs.mean())


def choose_coordinates(
    X: FloatArray, Y: FloatArray, scale: str | None, candidates: tuple[int, ...]
) -> tuple[Coordinates, int]:
    """Coordinates in which references fit best, and their number of components.

    With ``scale="auto"`` the coordinates with nearly Gaussian columns are taken if they
    gain clearly in held-out likelihood.
    """
    plain = coordinates(X, Y, scale)
    n_components, logs = choose_components(plain.X, plain.Y, candidates)
    changed = normalise(plain.X, plain.Y) if scale == "auto" else None
    if changed is None:
        return plain, n_components
    shaped, slopes = changed
    n_shaped, shaped_logs = choose_components(shaped.X, shaped.Y, candidates)
    gain = sum(shaped_logs) + sum(slopes) - sum(logs)
    if gain < _GAIN_PER_COLUMN * X.shape[1]:
        return plain, n_components
    return shaped, n_shaped
