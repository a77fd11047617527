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

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma

from kldiv._neighbors import search
from kldiv._ratio._balls import Balls
from kldiv._ratio._clusters import Hierarchy, quarters
from kldiv._ratio._mixtures import (
    ROWS_TO_FIT,
    Mixture,
    fit_gaussian,
    fit_mixture,
    rows_to_fit,
    shrinkage_weight,
)
from kldiv._ratio._reference_effects import effect_of_draws
from kldiv._ratio._selection import COMPONENTS, ROWS_PER_COMPONENT, Plan
from kldiv._ratio._single_rows import single_rows
from kldiv._typing import Floats, Labels, Rows

# Pseudo-rows with which the covariance of a component is pulled towards the mean
# covariance of all. For choosing the number of components (there one per column)
# prediction counts; for the estimate less smoothing is better, because what smoothing
# does to the narrow directions of Q decides the divergence, while the bias of too
# little is measured and subtracted (docs/user_guide/accuracy.rst).
SMOOTHING = 5.0
# Bootstrap samples from the references of X and of Y if they are mixtures. One Gaussian
# gets as many as these rows make up, the more the fewer rows there are, within limits;
# in Y the linear part of what a sample does is known, so that few are enough.
_REPEATS = (1, 2)
_LIMITS, _ROWS_OF_ALL_REPEATS = ((1, 6), (4, 20)), (6000, 4000)
_STEPS_AGAIN = 3
_ROWS_TO_SCORE = 1000


def fit_reference(X: Floats, labels: Labels | None) -> Mixture:
    """A mixture from a partition of the rows that are fitted, or one Gaussian."""
    if labels is None:
        return fit_gaussian(X)
    return fit_mixture(rows_to_fit(X), labels, SMOOTHING)


def fit_again(mixture: Mixture, X: Floats) -> Mixture:
    """The same mixture fitted to other rows like these, starting from it."""
    if len(mixture.weights) == 1:
        return fit_gaussian(X)
    X = rows_to_fit(X)
    labels = np.unique(mixture.log_components(X).argmax(axis=1), return_inverse=True)[1]
    return fit_mixture(X, labels, SMOOTHING, steps=_STEPS_AGAIN)


def left_out_densities(X: Floats, reference: Mixture) -> Floats:
    """Log density at each row of X under references that have not seen it.

    One Gaussian is fitted without a row at a time, a mixture without every fourth row,
    clusters included.
    """
    n_components = len(reference.weights)
    if n_components == 1:
        return reference.log_density_left_out(X)
    densities = np.empty(len(X))
    for judged in quarters(len(X)):
        rows = rows_to_fit(X[~judged])
        most = min(max(COMPONENTS), len(rows) // ROWS_PER_COMPONENT)
        labels = Hierarchy(rows, most).labels(n_components)
        fitted = fit_mixture(rows, labels, SMOOTHING)
        densities[judged] = unseen_density(fitted, X[judged], len(rows))
    return densities


def unseen_density(reference: Mixture, X: Floats, n_rows: int) -> Floats:
    """Log density at rows that were not among the `n_rows` fitted."""
    if len(reference.weights) == 1:
        return reference.log_density(X)
    return reference.log_predictive(X, min(n_rows, ROWS_TO_FIT), SMOOTHING)


@dataclass(frozen=True)
class References:
    """References of both samples and what fitting them to few rows does.

    Attributes
    ----------
    of_x, of_y : Mixture
        Fitted to X and to Y.
    x_bias, y_bias : float
        How much too large the estimates of E log p and of E log q under P are.
    x_scored : int
        At how many rows of bootstrap samples `x_bias` was measured.
    y_noise : float
        Variance of `y_bias`, over the bootstrap samples.
    """

    of_x: Mixture
    of_y: Mixture
    x_bias: float
    y_bias: float
    x_scored: int
    y_noise: float

    def log_p(self, X: Floats, balls: Balls, n: int, threads: int) -> Floats:
        """Estimated log p at each of the n rows of X, shape (n,), nats."""
        log_p = self.of_x.log_ratio_to_ball(X, balls.rho, threads)
        return log_p + digamma(balls.k_rho) - digamma(n) - self.x_bias

    def log_q(self, X: Floats, balls: Balls, m: int, threads: int) -> Floats:
        """Estimated log q at each row of X, from m rows of Y, shape (n,), nats."""
        log_q = self.of_y.log_ratio_to_ball(X, balls.nu, threads)
        return log_q + digamma(balls.k_nu) - digamma(m + 1) - self.y_bias

    def misfit(self, X: Floats, log_p: Floats, log_q: Floats) -> float:
        """How far balls move the log densities of both references at the rows of X."""
        sides = (self.of_x, log_p, self.x_bias), (self.of_y, log_q, self.y_bias)
        return sum(
            abs(float((seen - of.log_density(X)).mean()) + bias)
            for of, seen, bias in sides
        )


def fit_references(
    X: Floats, Y: Floats, balls: Balls, plan: Plan, k: int, threads: int
) -> References:
    """Fit a reference to each sample and measure what the fit does to the estimate.

    The bias comes from a parametric bootstrap: samples of the same size are drawn from
    a reference, whose density is known, and go through the same fit. In X the reference
    scores the rows that it has seen; in Y it does not.
    """
    rng = np.random.default_rng(0)
    of_x, of_y = (
        fit_reference(sample, plan.labels and plan.labels[i])
        for i, sample in enumerate((X, Y))
    )
    repeats = [
        _repeats(plan.n_components, i, len(sample)) for i, sample in enumerate((X, Y))
    ]
    excess = _x_excess(of_x, X, k, repeats[0], threads, rng)
    rows = _some_rows(len(X), rng)
    changes = _y_excess(of_y, Y, X[rows], balls.nu[rows], repeats[1], threads, rng)
    return References(
        of_x,
        of_y,
        float(excess.mean()),
        float(changes.mean()),
        repeats[0] * len(rows),
        float(changes.var(ddof=1) / repeats[1]),
    )


def bias_of_x(
    gaussian: Mixture, X: Floats, k: int, threads: int, rng: np.random.Generator
) -> float:
    """How much too large E log p is estimated with one Gaussian fitted to X."""
    repeats = _repeats(1, 0, len(X))
    return float(_x_excess(gaussian, X, k, repeats, threads, rng).mean())


def bias_of_y(
    gaussian: Mixture,
    Y: Floats,
    centres: Floats,
    radii: Floats,
    threads: int,
    rng: np.random.Generator,
) -> float:
    """How much too large E log q at the centres is with one Gaussian fitted to Y."""
    rows, repeats = _some_rows(len(centres), rng), _repeats(1, 1, len(Y))
    judged = centres[rows], radii[rows]
    return float(_y_excess(gaussian, Y, *judged, repeats, threads, rng).mean())


def _repeats(n_components: int, sample: int, n_rows: int) -> int:
    if n_components > 1:
        return _REPEATS[sample]
    least, most = _LIMITS[sample]
    return min(most, max(least, -(-_ROWS_OF_ALL_REPEATS[sample] // n_rows)))


def _fit_to_draws(mixture: Mixture, rows: Floats) -> Callable[[Floats], Mixture]:
    """How to fit to rows drawn from a mixture what was fitted to `rows`.

    One Gaussian is shrunk as much as it was for `rows`: what a fit does depends on it.
    A mixture knows nothing but the drawn rows.
    """
    n_components = len(mixture.weights)
    if n_components == 1:
        weight = shrinkage_weight(rows)
        return lambda draws: fit_gaussian(draws, weight)
    few = len(rows_to_fit(rows))
    most = min(max(COMPONENTS), few // ROWS_PER_COMPONENT)
    return lambda draws: fit_reference(
        draws, Hierarchy(rows_to_fit(draws), most).labels(n_components)
    )


def _some_rows(n_rows: int, rng: np.random.Generator) -> Rows:
    return np.sort(rng.permutation(n_rows)[:_ROWS_TO_SCORE])


def _x_excess(
    mixture: Mixture,
    X: Floats,
    k: int,
    repeats: int,
    threads: int,
    rng: np.random.Generator,
) -> Floats:
    """Excess of mean estimated over mean true log density in samples drawn from the
    reference of X, shape (repeats,)."""
    fit_draws, n = _fit_to_draws(mixture, X), len(X)
    excess = np.empty(repeats)
    for i in range(repeats):
        rows = mixture.sample(n, rng)[0]
        again = fit_draws(rows)
        scored = rows[_some_rows(n, rng)]
        # the first neighbour of a row in its own sample is the row itself
        near = search(scored, rows, k + 1, blocks=("xy",), threads=threads)
        logs = again.log_ratio_to_ball(scored, near.block("xy")[:, -1], threads)
        logs += digamma(k) - digamma(n) - mixture.log_density(scored)
        excess[i] = logs.mean()
    return excess


def _y_excess(
    mixture: Mixture,
    Y: Floats,
    centres: Floats,
    radii: Floats,
    repeats: int,
    threads: int,
    rng: np.random.Generator,
) -> Floats:
    """Changes of the mean estimated log density at centres, when the reference of Y is
    fitted again to samples drawn from it, shape (repeats,).

    To first order the change by one Gaussian is a mean over the drawn rows, and its
    expectation is zero: subtracted, it leaves little noise. A centre at which the
    reference falls off so steeply that it would decide the mean is no place to measure.
    """
    fit_draws = _fit_to_draws(mixture, Y)
    before = mixture.log_ratio_to_ball(centres, radii, threads)
    steady = ~single_rows(before)
    centres, radii, before = centres[steady], radii[steady], before[steady]
    alone = len(mixture.weights) == 1
    effect = effect_of_draws(mixture, Y, centres, radii) if alone else None
    changes = np.empty(repeats)
    for i in range(repeats):
        rows = mixture.sample(len(Y), rng)[0]
        after = fit_draws(rows).log_ratio_to_ball(centres, radii, threads).mean()
        changes[i] = after - before.mean() - (effect(rows) if effect else 0.0)
    return changes
