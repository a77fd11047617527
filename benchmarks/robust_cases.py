"""Pairs of samples whose divergence is known and whose laws are not Gaussian.

``CASES`` maps a name to a maker; ``maker(seed, n, m)`` returns X, Y and the truth in
nats, which is infinite where P has weight that Q has not. Makers of real tables halve
one class at random: the truth is zero and the sizes are those of the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import integrate, special, stats
from sklearn.datasets import load_breast_cancer, load_digits

Pair = tuple[np.ndarray, np.ndarray, float]
Maker = Callable[[int, int, int], Pair]
Draw = Callable[[np.random.Generator, int], np.ndarray]


def drawn(of_p: Draw, of_q: Draw, truth: float) -> Maker:
    """Independent rows of two laws."""

    def make(seed: int, n: int, m: int) -> Pair:
        rng = np.random.default_rng([7, seed])
        return of_p(rng, n), of_q(rng, m), truth

    return make


class Peaks:
    """Mixture of normal laws on the line."""

    def __init__(self, weights: list, means: list, widths: list) -> None:
        self.weights, self.means, self.widths = map(np.array, (weights, means, widths))

    def logpdf(self, x: Any) -> Any:
        logs = stats.norm.logpdf(np.asarray(x)[..., None], self.means, self.widths)
        return special.logsumexp(logs + np.log(self.weights), axis=-1)

    def rvs(self, size: tuple, random_state: np.random.Generator) -> np.ndarray:
        which = random_state.choice(len(self.weights), size, p=self.weights)
        return self.means[which] + self.widths[which] * random_state.normal(size=size)


def columns(p: Any, q: Any, d: int, low: float, high: float) -> Maker:
    """Independent columns that are all alike."""
    points = [x for x in (-10.0, -2.0, 0.0, 2.0, 10.0) if low < x < high]
    one = integrate.quad(
        lambda x: np.exp(p.logpdf(x)) * (p.logpdf(x) - q.logpdf(x)),
        low,
        high,
        points=points or None,
        limit=500,
    )[0]
    return drawn(
        lambda rng, n: p.rvs((n, d), random_state=rng),
        lambda rng, m: q.rvs((m, d), random_state=rng),
        d * one,
    )


def bent(bend: Callable[[np.ndarray], np.ndarray], kind: str, d: int) -> Maker:
    """One bijection of both samples of a Gaussian pair."""
    shift, width = {"shift": (0.5, 1.0), "narrow": (0.0, 0.7), "null": (0.0, 1.0)}[kind]
    truth = d * ((width**2 + shift**2 - 1) / 2 - np.log(width))
    return drawn(
        lambda rng, n: bend(shift + width * rng.normal(size=(n, d))),
        lambda rng, m: bend(rng.normal(size=(m, d))),
        truth,
    )


def banana(rows: np.ndarray) -> np.ndarray:
    """Every second column bent along the square of the one before."""
    rows = rows.copy()
    rows[:, 1::2] += 0.8 * (rows[:, :-1:2] ** 2 - 1)
    return rows


def turned_sinh(rows: np.ndarray) -> np.ndarray:
    """Heavy tails along directions that are no columns."""
    d = rows.shape[1]
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(d, d)))[0]
    return np.sinh(1.2 * rows) @ turn


def ring(noise: float) -> Maker:
    """A direction with a preference against one without, on a circle."""

    def at(angles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        radii = 1 + noise * rng.normal(size=len(angles))
        return radii[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])

    return drawn(
        lambda rng, n: at(rng.vonmises(0, 1, n), rng),
        lambda rng, m: at(rng.uniform(-np.pi, np.pi, m), rng),
        special.i1(1) / special.i0(1) - np.log(special.i0(1)),
    )


def sheet(d: int, latent: int) -> Maker:
    """Rows near a curved surface of few dimensions in many columns."""
    fixed = np.random.default_rng(5)
    inner = fixed.normal(size=(latent, 20))
    outer = fixed.normal(size=(20, d)) / np.sqrt(20)

    def on(rng: np.random.Generator, n: int, shift: float) -> np.ndarray:
        inside = rng.normal(shift, 1, (n, latent))
        return np.tanh(inside @ inner) @ outer + 0.01 * rng.normal(size=(n, d))

    return drawn(
        lambda rng, n: on(rng, n, 0.7),
        lambda rng, m: on(rng, m, 0.0),
        0.245 * latent,
    )


def clusters(d: int, *, equal: bool = False) -> Maker:
    """Ten separated round clusters; only their weights differ, or nothing."""
    fixed = np.random.default_rng(1000 + d)
    means = fixed.normal(size=(10, d)) * 8 / np.sqrt(min(d, 10))
    p = fixed.dirichlet(np.ones(10))
    q = p if equal else np.full(10, 0.1)

    def of(weights: np.ndarray) -> Draw:
        return lambda rng, n: (
            means[rng.choice(10, n, p=weights)] + rng.normal(size=(n, d))
        )

    return drawn(of(p), of(q), float(p @ np.log(p / q)))


def copula(d: int) -> Maker:
    """Dependent against independent columns with the same gamma margins."""
    correlation = np.full((d, d), 0.5) + 0.5 * np.eye(d)
    root = np.linalg.cholesky(correlation)

    def margins(rows: np.ndarray) -> np.ndarray:
        return stats.gamma(2).ppf(stats.norm.cdf(rows))

    return drawn(
        lambda rng, n: margins(rng.normal(size=(n, d)) @ root.T),
        lambda rng, m: margins(rng.normal(size=(m, d))),
        -0.5 * np.linalg.slogdet(correlation)[1],
    )


def cube(d: int, *, outside: bool = False) -> Maker:
    """A cube with sides of 0.8 in one with sides of 1, or the other way round."""

    def small(rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.uniform(0.1, 0.9, (n, d))

    def large(rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.uniform(size=(n, d))

    if outside:
        return drawn(large, small, np.inf)
    return drawn(small, large, -d * np.log(0.8))


def series(d: int, shift: float) -> Maker:
    """Rows with a memory of 0.9: the samples hold less than their size says."""

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        rows = rng.normal(size=(n + 200, d))
        for t in range(1, len(rows)):
            rows[t] = 0.9 * rows[t - 1] + np.sqrt(0.19) * rows[t]
        return rows[200:]

    return drawn(lambda rng, n: draw(rng, n) + shift, draw, d * shift**2 / 2)


def with_flag(d: int) -> Maker:
    """Continuous columns beside one of zeros and ones."""

    def draw(rng: np.random.Generator, n: int, shift: float, share: float):
        return np.column_stack([rng.normal(shift, 1, (n, d)), rng.random(n) < share])

    truth = 0.125 * d + 0.7 * np.log(0.7 / 0.4) + 0.3 * np.log(0.3 / 0.6)
    return drawn(
        lambda rng, n: draw(rng, n, 0.5, 0.7),
        lambda rng, m: draw(rng, m, 0.0, 0.4),
        truth,
    )


def halves(load: Callable[..., Any], label: int) -> Maker:
    """Random halves of one class of a table."""

    def make(seed: int, _n: int, _m: int) -> Pair:
        data, labels = load(return_X_y=True)
        rows = np.random.default_rng([7, seed]).permutation(data[labels == label])
        half = len(rows) // 2
        return rows[:half], rows[half:], 0.0

    return make


def both(draw: Draw) -> Maker:
    """Two samples of one law."""
    return drawn(draw, draw, 0.0)


TWO = Peaks([0.5, 0.5], [-1.5, 1.5], [0.5, 0.5])
APART = Peaks([0.5, 0.5], [-2.0, 2.0], [0.5, 0.5])
MOVED = Peaks([0.3, 0.7], [-2.0, 2.2], [0.6, 0.6])

#: Name, laws of a column, where they live, numbers of columns.
COLUMNS = (
    ("bimodal/normal", TWO, stats.norm(0, 1.6), (-12, 12), (1, 2, 5, 10, 20)),
    ("bimodal/moved", APART, MOVED, (-12, 12), (2, 5, 10)),
    ("laplace/normal", stats.laplace(), stats.norm(0, 2**0.5), (-40, 40), (1, 5, 10)),
    ("gamma/exponential", stats.gamma(2), stats.expon(scale=2), (0, 80), (1, 5, 10)),
    ("beta/uniform", stats.beta(2, 5), stats.uniform(), (0, 1), (1, 5, 10)),
    ("t3/normal", stats.t(3), stats.norm(0, 1.7), (-2000, 2000), (1, 2, 5)),
    ("t1.5/t3", stats.t(1.5), stats.t(3), (-1e5, 1e5), (1, 2, 5)),
)
CASES: dict[str, Maker] = {
    **{
        f"{name}, d={d}": columns(p, q, d, *ends)
        for name, p, q, ends, features in COLUMNS
        for d in features
    },
    **{
        f"banana {kind}, d={d}": bent(banana, kind, d)
        for kind in ("shift", "narrow", "null")
        for d in (2, 10)
    },
    **{
        f"sinh {kind}, d={d}": bent(turned_sinh, kind, d)
        for kind in ("shift", "null")
        for d in (5, 10)
    },
    "ring": ring(0.05),
    "circle": ring(0.0),
    "sheet of 2 in 20": sheet(20, 2),
    "sheet of 5 in 50": sheet(50, 5),
    **{f"clusters, d={d}": clusters(d) for d in (2, 10, 20)},
    "clusters null, d=10": clusters(10, equal=True),
    **{f"copula, d={d}": copula(d) for d in (2, 10)},
    **{f"cube in cube, d={d}": cube(d) for d in (2, 10)},
    "cube out of cube, d=2": cube(2, outside=True),
    "series null, d=2": series(2, 0.0),
    "series null, d=10": series(10, 0.0),
    "series shift, d=2": series(2, 0.5),
    **{f"flag and {d} columns": with_flag(d) for d in (1, 2, 10)},
    "bimodal null, d=10": both(lambda rng, n: APART.rvs((n, 10), rng)),
    "beta(.3, .3) null, d=10": both(lambda rng, n: rng.beta(0.3, 0.3, (n, 10))),
    "uniform null, d=20": both(lambda rng, n: rng.uniform(size=(n, 20))),
    "breast cancer 0": halves(load_breast_cancer, 0),
    "breast cancer 1": halves(load_breast_cancer, 1),
    "digits 0": halves(load_digits, 0),
    "digits 3": halves(load_digits, 3),
}
