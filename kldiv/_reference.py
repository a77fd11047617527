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
from numpy.typing import NDArray
from scipy.special import digamma

from kldiv._coordinates import Coordinates, coordinates, normalise
from kldiv._mixtures import (
    Hierarchy,
    Labels,
    Mixture,
    Singles,
    evenly,
    fit_gaussian,
    fit_mixture,
    folds,
    shrinkage_weight,
)
from kldiv._neighbors import search
from kldiv._reference_effects import effect_of_draws
from kldiv._validation import FloatArray

Floats = NDArray[np.float64]

COMPONENTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16)
# Pseudo-rows with which the covariance of a component is pulled towards the mean
# covariance of all. For choosing the number of components (there one per column)
# prediction counts; for the estimate less smoothing is better, because what smoothing
# does to the narrow directions of Q decides the divergence, while the bias of too
# little is measured and subtracted (docs/user_guide/accuracy.rst).
SMOOTHING_TO_SELECT = 1.0
SMOOTHING = 5.0
# Held-out log likelihood per column, summed over both samples, that more components
# may cost.
_LOSS_PER_COLUMN = 0.015
# Where as many of the smallest mixtures all fall short of one Gaussian, larger ones are
# not tried.
_SIZES_TO_GAIN = 3
# Rows per component at least.
_ROWS_PER_COMPONENT = 8
# Bootstrap samples from the references of X and of Y if they are mixtures. One Gaussian
# gets as many as these rows make up, the more the fewer rows there are, within limits;
# in Y the linear part of what a sample does is known, so that few are enough.
_REPEATS = (1, 2)
_LIMITS, _ROWS_OF_ALL_REPEATS = ((1, 6), (4, 20)), (6000, 4000)
_STEPS_AGAIN = 3
_ROWS_TO_SCORE = 1000
# Held-out log likelihood per column, summed over both samples, that Gaussian-looking
# columns must gain.
_GAIN_PER_COLUMN = 0.04


@dataclass(frozen=True)
class Plan:
    """What to fit: `n_components`, and for more than one a partition of the rows of
    each sample to start from."""

    n_components: int
    labels: tuple[Labels, Labels] | None
    log_likelihood: float


def fit(X: Floats, labels: Labels | None) -> Mixture:
    """A mixture from a partition of the rows that are fitted, or one Gaussian."""
    if labels is None:
        return fit_gaussian(X)
    return fit_mixture(evenly(X), labels, SMOOTHING)


def refit(mixture: Mixture, X: Floats) -> Mixture:
    """The same mixture fitted to other rows of the same law, starting from it."""
    if len(mixture.weights) == 1:
        return fit_gaussian(X)
    X = evenly(X)
    labels = np.unique(mixture.log_components(X).argmax(axis=1), return_inverse=True)[1]
    return fit_mixture(X, labels, SMOOTHING, steps=_STEPS_AGAIN)


def choose_components(
    X: Floats, Y: Floats, candidates: tuple[int, ...] = COMPONENTS
) -> Plan:
    """Common number of components with the best held-out likelihood of both samples.

    A common number makes what the references miss cancel in the ratio. One Gaussian
    gives way only to a gain of two standard errors; otherwise it is the largest number
    that is little worse than the best, because what too many components do to the
    estimate is measured and subtracted, and what too few do is not.
    """
    judged = [_judge_gaussian(sample) for sample in (X, Y)]
    alone = Plan(1, None, _total(judged))
    most = min(max(candidates), min(len(X), len(Y)) // _ROWS_PER_COMPONENT)
    sizes = [size for size in candidates if 1 < size <= most]
    if not sizes:
        return alone
    trees = [Hierarchy(evenly(sample), most) for sample in (X, Y)]
    logs: dict[int, list[Singles]] = {}
    allowed = _LOSS_PER_COLUMN * X.shape[1]
    for size in sizes:
        if any(tree.collapsed(size) for tree in trees):
            break  # points without a density between them
        logs[size] = [t.held_out(size, SMOOTHING_TO_SELECT * X.shape[1]) for t in trees]
        best = max(logs, key=lambda tried: _total(logs[tried]))
        if _total(logs[best]) - _total(logs[size]) > 4 * allowed:
            break
        if len(logs) == _SIZES_TO_GAIN and _total(logs[best]) < alone.log_likelihood:
            break
    if not logs or _gain(logs[best], judged) < 2:
        return alone
    enough = _total(logs[best]) - allowed
    chosen = max(size for size in logs if _total(logs[size]) >= enough)
    labels = (trees[0].labels(chosen), trees[1].labels(chosen))
    return Plan(chosen, labels, _total(logs[chosen]))


def _judge_gaussian(X: Floats) -> Singles:
    X = evenly(X)
    logs = [fit_gaussian(X[~judged]).log_density(X[judged]) for judged in folds(len(X))]
    return np.concatenate(logs).astype(np.float32)


def _total(logs: list[Singles]) -> float:
    """Mean log likelihood of a row of X plus that of a row of Y."""
    return float(sum(values.mean(dtype=np.float64) for values in logs))


def _gain(logs: list[Singles], others: list[Singles]) -> float:
    """How much larger the total likelihood is, in standard errors."""
    differences = [one - two for one, two in zip(logs, others, strict=True)]
    error = np.sqrt(sum(values.var() / len(values) for values in differences))
    return _total(differences) / error if error > 0 else 0.0


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
    own_scored : int
        At how many drawn rows `own_bias` was measured.
    other_noise : float
        Variance of `other_bias`, over the samples that were drawn for it.
    """

    own: Mixture
    other: Mixture
    own_bias: float
    other_bias: float
    own_scored: int
    other_noise: float

    def log_p(self, X: Floats, balls: Balls, n: int, threads: int) -> Floats:
        """Estimated log p at each of the n rows of X, shape (n,), nats."""
        log_p = self.own.log_ratio_to_ball(X, balls.rho, threads)
        found: Floats = log_p + digamma(balls.k_rho) - digamma(n) - self.own_bias
        return found

    def log_q(self, X: Floats, balls: Balls, m: int, threads: int) -> Floats:
        """Estimated log q at each row of X, from m rows of Y, shape (n,), nats."""
        log_q = self.other.log_ratio_to_ball(X, balls.nu, threads)
        found: Floats = log_q + digamma(balls.k_nu) - digamma(m + 1) - self.other_bias
        return found


def fit_references(
    X: Floats, Y: Floats, balls: Balls, plan: Plan, k: int, threads: int
) -> References:
    """Fit a reference to each sample and measure what the fit does to the estimate.

    The bias comes from a parametric bootstrap: samples of the same size are drawn from
    a reference, whose density is known, and go through the same fit. In X the reference
    scores the rows that it has seen; in Y it does not.
    """
    rng = np.random.default_rng(0)
    own, other = (
        fit(sample, plan.labels and plan.labels[i]) for i, sample in enumerate((X, Y))
    )
    repeats = [_repeats(plan, i, len(sample)) for i, sample in enumerate((X, Y))]
    excess = _own_excess(own, X, k, repeats[0], threads, rng)
    rows = _some_rows(len(X), rng)
    changes = _other_excess(other, Y, X[rows], balls.nu[rows], repeats[1], threads, rng)
    return References(
        own,
        other,
        float(excess.mean()),
        float(changes.mean()),
        repeats[0] * len(rows),
        float(changes.var(ddof=1) / repeats[1]),
    )


def _repeats(plan: Plan, sample: int, n_rows: int) -> int:
    if plan.n_components > 1:
        return _REPEATS[sample]
    least, most = _LIMITS[sample]
    return min(most, max(least, -(-_ROWS_OF_ALL_REPEATS[sample] // n_rows)))


def _fit_again(mixture: Mixture, rows: Floats) -> Callable[[Floats], Mixture]:
    """How to fit to rows drawn from a mixture what was fitted to `rows`.

    One Gaussian is shrunk as much as it was for `rows`: what a fit does depends on it.
    A mixture knows nothing but the drawn rows.
    """
    n_components = len(mixture.weights)
    if n_components == 1:
        weight = shrinkage_weight(rows)
        return lambda drawn: fit_gaussian(drawn, weight)
    few = len(evenly(rows))
    most = min(max(COMPONENTS), few // _ROWS_PER_COMPONENT)
    return lambda drawn: fit(drawn, Hierarchy(evenly(drawn), most).labels(n_components))


def _some_rows(n_rows: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.sort(rng.permutation(n_rows)[:_ROWS_TO_SCORE])


def _own_excess(
    mixture: Mixture,
    X: Floats,
    k: int,
    repeats: int,
    threads: int,
    rng: np.random.Generator,
) -> Floats:
    """Excess of mean estimated over mean true log density in samples drawn from the
    reference of X, shape (repeats,)."""
    refit, n = _fit_again(mixture, X), len(X)
    excess = np.empty(repeats)
    for i in range(repeats):
        drawn = mixture.sample(n, rng)[0]
        again = refit(drawn)
        scored = drawn[_some_rows(n, rng)]
        # the first neighbour of a row in its own sample is the row itself
        found = search(scored, drawn, k + 1, blocks=("xy",), threads=threads)
        logs = again.log_ratio_to_ball(scored, found.block("xy")[:, -1], threads)
        logs += digamma(k) - digamma(n) - mixture.log_density(scored)
        excess[i] = logs.mean()
    return excess


def _other_excess(
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
    expectation is zero: subtracted, it leaves little noise.
    """
    refit = _fit_again(mixture, Y)
    before = mixture.log_ratio_to_ball(centres, radii, threads).mean()
    alone = len(mixture.weights) == 1
    effect = effect_of_draws(mixture, Y, centres, radii) if alone else None
    changes = np.empty(repeats)
    for i in range(repeats):
        drawn = mixture.sample(len(Y), rng)[0]
        after = refit(drawn).log_ratio_to_ball(centres, radii, threads).mean()
        changes[i] = after - before - (effect(drawn) if effect else 0.0)
    return changes


def choose_coordinates(
    X: FloatArray, Y: FloatArray, scale: str | None, candidates: tuple[int, ...]
) -> tuple[Coordinates, Plan]:
    """Coordinates in which references fit best, and what to fit there.

    With ``scale="auto"`` the coordinates with nearly Gaussian columns are taken if they
    gain clearly in held-out likelihood.
    """
    plain = coordinates(X, Y, scale)
    plan = choose_components(plain.X, plain.Y, candidates)
    changed = normalise(plain.X, plain.Y) if scale == "auto" else None
    if changed is None:
        return plain, plan
    shaped, slopes = changed
    # Where a mixture in the plain coordinates gains far more than other coordinates do
    # for one Gaussian, these are not what the data ask for.
    alone = _total([_judge_gaussian(sample) for sample in (plain.X, plain.Y)])
    gain = _total([_judge_gaussian(sample) for sample in (shaped.X, shaped.Y)])
    if gain + sum(slopes) - alone < 0.5 * (plan.log_likelihood - alone):
        return plain, plan
    shaped_plan = choose_components(shaped.X, shaped.Y, candidates)
    gain = shaped_plan.log_likelihood + sum(slopes) - plan.log_likelihood
    if gain < _GAIN_PER_COLUMN * X.shape[1]:
        return plain, plan
    return shaped, shaped_plan
