"""Divergences as formulas on estimates of the log density ratio.

`x` holds estimates of log p/q at the rows of X, `y` of log q/p at the rows of Y. With k
neighbours the error of such an estimate is, given the densities, the log of a ratio of
two independent Gamma(k) variables, so that its mean is zero and the mean of the s-th
power of the ratio is known (Poczos and Schneider 2011): `power_mean` divides by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.special import gammaln

from kldiv._generators import Generator, evaluator_of
from kldiv._typing import Floats

#: From log p/q at rows of X and of Y and the order, terms whose means add up.
Terms = Callable[[Floats, Floats, float], tuple[Floats, Floats]]
#: How numbers at the rows of a sample are averaged.
Mean = Callable[[Floats], float]
#: In X and in Y.
Means = tuple[Mean, Mean]


def plain_mean(values: Floats) -> float:
    """The mean where rows count alike."""
    return float(values.mean())


PLAIN: Means = (plain_mean, plain_mean)

_NUMBERS_PER_BLOCK = 1 << 23  # between two chances to interrupt
_ROWS_FOR_MEDIAN = 1000
_LARGEST_LOG_RATIO = 700
# Log ratios this small may have either sign by chance.
_NO_SIGN = 0.2


@dataclass(frozen=True)
class Divergence:
    """One divergence.

    Attributes
    ----------
    compute : callable
        ``compute(x, y, k, order, means)`` for needs "x" and "xy", with log ratios and
        how they are averaged in each sample; or ``compute(X, Y)`` for needs "samples".
    needs : {"x", "xy", "samples"}
        Log ratios at the rows of X, at the rows of both, or the samples themselves.
    evaluated_by : {"numpy", "numba"}
        ``"numba"`` for a user's generator that was compiled.
    bounded : bool or callable
        Whether it is finite whatever the distributions are; of the order, if that
        depends on it.
    linear : bool
        Whether it is a sum of mean log ratios, so that noise in single rows averages.
    degree : int
        It grows with this power of the unit of the samples.
    power : float or callable
        Power of the ratio whose mean it takes, 0 for others; of the order, if that
        depends on it.
    logarithmic : bool
        Whether it is a logarithm or a mean of logarithms, which can have a base.
    plug_in : bool
        Whether `compute` takes noise in single ratios for divergence.
    terms : callable or None
        A lower bound on the divergence for every log ratio, with equality for the
        true one, as ``terms(x, y, order)``: what rows of X and of Y add, both with
        log p/q. At rows that no fit has seen it cannot exceed the truth but by chance.
    """

    compute: Callable[..., float]
    needs: str = "x"
    evaluated_by: str = "numpy"
    bounded: bool | Callable[[float], bool] = False
    linear: bool = False
    degree: int = 0
    power: float | Callable[[float], float] = 0.0
    logarithmic: bool = False
    plug_in: bool = False
    terms: Terms | None = None

    def is_finite(self, order: float) -> bool:
        """Whether the divergence of this order is finite for all distributions."""
        return self.bounded(order) if callable(self.bounded) else self.bounded

    def noise(self, k: int | None, order: float) -> float:
        """What the formula takes off a log ratio for the noise of k neighbours.

        Ratios without such noise are raised by it beforehand.
        """
        s = self.power(order) if callable(self.power) else self.power
        return log_noise(s, k) / s if s else 0.0


def log_noise(s: float, k: int | None) -> float:
    """Log of what k neighbours make of the mean of the s-th power of a ratio."""
    return float(gammaln(k + s) + gammaln(k - s) - 2 * gammaln(k)) if k else 0.0


def power_mean(x: Floats, s: float, k: int | None, mean: Mean = plain_mean) -> float:
    """Mean under P of (p/q)**s; unbiased for densities constant in the balls."""
    if k is not None and abs(s) >= k:
        raise ValueError(
            f"the power {s:g} of the density ratio has a mean only for n_neighbors "
            f"above {abs(s):g}; got n_neighbors={k}. Raise n_neighbors."
        )
    top = (s * x).max()
    with np.errstate(over="ignore"):  # laws far apart: infinite, as it may be in truth
        return float(np.exp(top - log_noise(s, k)) * mean(np.exp(s * x - top)))


def _log(mean: float) -> float:
    """Log of a mean of powers, which is zero for distributions far apart."""
    return float(np.log(mean)) if mean > 0 else -np.inf


def kl(
    x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
) -> float:
    """Kullback-Leibler: mean of log p/q under P."""
    return means[0](x)


def jeffreys(
    x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
) -> float:
    """Sum of the Kullback-Leibler divergences in both directions."""
    return means[0](x) + means[1](y)


def renyi(
    x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
) -> float:
    """Renyi divergence of the given order; order 1 is Kullback-Leibler."""
    if order == 1:
        return means[0](x)
    return _log(power_mean(x, order - 1, k, means[0])) / (order - 1)


def tsallis(
    x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
) -> float:
    """Tsallis divergence of the given order; order 1 is Kullback-Leibler."""
    if order == 1:
        return means[0](x)
    return (power_mean(x, order - 1, k, means[0]) - 1) / (order - 1)


def hellinger(
    x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
) -> float:
    """Squared Hellinger distance, 1 minus the integral of sqrt(p q)."""
    return 1 - power_mean(x, -0.5, k, means[0])


def bhattacharyya(
    x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
) -> float:
    """Bhattacharyya distance, minus the log of the integral of sqrt(p q)."""
    return -_log(power_mean(x, -0.5, k, means[0]))


def chi2(
    x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
) -> float:
    """Pearson's chi-square divergence, the integral of p**2/q, minus 1."""
    return power_mean(x, 1.0, k, means[0]) - 1


def jensen_shannon(
    x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
) -> float:
    """Jensen-Shannon divergence, in truth between 0 and log 2; never above log 2.

    Plug-in: noise in the ratios moves it, to either side.
    """
    halves = [
        np.log(2) - mean(np.logaddexp(0, -side))
        for side, mean in zip((x, y), means, strict=True)
    ]
    return float(sum(halves) / 2)


def total_variation(
    x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
) -> float:
    """Total variation distance, between 0 and 1.

    Plug-in: noise in the ratios raises it.
    """
    halves = [
        mean(np.maximum(-np.expm1(-side), 0))
        for side, mean in zip((x, y), means, strict=True)
    ]
    return float(sum(halves) / 2)


def energy(X: Floats, Y: Floats) -> float:
    """Energy distance (Szekely and Rizzo 2013), unbiased: the square of a metric."""
    return 2 * _mean_across(X, Y) - _mean_within(X) - _mean_within(Y)


def mmd(X: Floats, Y: Floats) -> float:
    """Squared maximum mean discrepancy (Gretton et al. 2012, eq. 3), unbiased.

    Gaussian kernel exp(-d**2 / (2 h**2)) with h the median distance of pooled rows.
    """
    pooled = np.concatenate([X, Y])
    step = max(1, len(pooled) // _ROWS_FOR_MEDIAN)
    width = float(np.median(pdist(pooled[::step])))
    if width == 0:
        raise ValueError(
            "the kernel of divergence='mmd' is as wide as the median distance of "
            "pooled rows, which is 0: more than half of the pairs are equal rows. Use "
            "divergence='energy', or compare the frequencies of the rows."
        )

    def kernel(distances: Floats) -> Floats:
        return np.exp(-((distances / width) ** 2) / 2)

    return (
        _mean_within(X, kernel)
        + _mean_within(Y, kernel)
        - 2 * _mean_across(X, Y, kernel)
    )


def _same(distances: Floats) -> Floats:
    return distances


def _mean_across(
    X: Floats, Y: Floats, kernel: Callable[[Floats], Floats] = _same
) -> float:
    step = max(1, _NUMBERS_PER_BLOCK // Y.size)
    blocks = range(0, len(X), step)
    total = sum(kernel(cdist(X[i : i + step], Y)).sum() for i in blocks)
    return float(total / (len(X) * len(Y)))


def _mean_within(X: Floats, kernel: Callable[[Floats], Floats] = _same) -> float:
    n = len(X)
    diagonal = n * float(kernel(np.zeros(1))[0])
    return (_mean_across(X, X, kernel) * n * n - diagonal) / (n * (n - 1))


def jensen_shannon_terms(x: Floats, y: Floats, order: float) -> tuple[Floats, Floats]:
    """Log score of "row of X" beyond that of a fair coin (Lin 1991)."""
    coin = np.log(2)
    return (coin - np.logaddexp(0, -x)) / 2, (coin - np.logaddexp(0, y)) / 2


def total_variation_terms(x: Floats, y: Floats, order: float) -> tuple[Floats, Floats]:
    """No function within -1/2 and 1/2 differs more on average than the distance.

    The best one has the sign of the log ratio. It rises steadily where the sign is
    chance.
    """
    votes = [np.clip(side / _NO_SIGN, -1, 1) / 2 for side in (x, y)]
    return votes[0], -votes[1]


def tsallis_terms(x: Floats, y: Floats, order: float) -> tuple[Floats, Floats]:
    """Young's inequality for p**order q**(1 - order), orders between 0 and 1."""
    of_x = -np.expm1((order - 1) * x) * order / (1 - order)
    return of_x, -np.expm1(order * y)


def hellinger_terms(x: Floats, y: Floats, order: float) -> tuple[Floats, Floats]:
    """Half the Tsallis divergence of order one half."""
    of_x, of_y = tsallis_terms(x, y, 0.5)
    return of_x / 2, of_y / 2


def of_generator(generator: Generator) -> Divergence:
    """The f-divergence, mean of f(p/q) under Q, of a user's generator f (plug-in)."""
    evaluate, by = evaluator_of(generator)

    def compute(
        x: Floats, y: Floats, k: int | None, order: float, means: Means = PLAIN
    ) -> float:
        if np.abs(x).max() > _LARGEST_LOG_RATIO:
            raise ValueError(
                "the generator of an f-divergence takes ratios of densities, and "
                f"their logs reach from {x.min():.4g} to {x.max():.4g}: beyond "
                f"{_LARGEST_LOG_RATIO} float64 holds none. The distributions are too "
                "far apart; use one of the divergences that have a name."
            )
        ratios = np.exp(x)
        with np.errstate(all="ignore"):  # what the user's function meets is told below
            values = np.asarray(evaluate(ratios), dtype=np.float64)
            if values.shape != ratios.shape:
                raise ValueError(
                    "the generator of an f-divergence must return one number for each "
                    f"ratio; for {ratios.shape} ratios it returned shape "
                    f"{values.shape}."
                )
            terms = values / ratios
            mean = means[0](terms)
        if np.isnan(mean):
            bad = ratios[np.isnan(terms)] if np.isnan(terms).any() else ratios
            raise ValueError(
                "the mean of the generator of an f-divergence is not a number: it gave "
                f"NaN, or infinity of either sign, at ratios such as {bad[0]:.4g}."
            )
        return mean

    return Divergence(compute, evaluated_by=by, plug_in=True)


DIVERGENCES: dict[str, Divergence] = {
    "kl": Divergence(kl, linear=True, logarithmic=True),
    "jeffreys": Divergence(jeffreys, "xy", linear=True, logarithmic=True),
    "renyi": Divergence(renyi, power=lambda order: order - 1, logarithmic=True),
    "tsallis": Divergence(
        tsallis,
        bounded=lambda order: order < 1,
        power=lambda order: order - 1,
        terms=tsallis_terms,
    ),
    "hellinger": Divergence(hellinger, bounded=True, power=-0.5, terms=hellinger_terms),
    "bhattacharyya": Divergence(bhattacharyya, power=-0.5, logarithmic=True),
    "chi2": Divergence(chi2, power=1.0),
    "jensen-shannon": Divergence(
        jensen_shannon,
        "xy",
        bounded=True,
        logarithmic=True,
        plug_in=True,
        terms=jensen_shannon_terms,
    ),
    "total-variation": Divergence(
        total_variation,
        "xy",
        bounded=True,
        plug_in=True,
        terms=total_variation_terms,
    ),
    "energy": Divergence(energy, "samples", bounded=True, degree=1),
    "mmd": Divergence(mmd, "samples", bounded=True),
}
