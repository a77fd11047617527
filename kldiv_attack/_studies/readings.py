"""The simulation of Table 1, and what "apply the Kolmogorov-Smirnov test" can mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression

from kldiv import ks_test

Array = NDArray[np.float64]


N_TRAIN, N_AUX, N_RECONSTRUCTIONS = 1000, 500, 500


PERMUTATIONS = 199


@dataclass(frozen=True)
class Simulation:
    """One draw of the paper's data and its victim.

    Attributes
    ----------
    train : ndarray of shape (1000, d)
        Private rows of class 0.
    aux : ndarray of shape (500, d)
        The attacker's rows.
    answers : ndarray of shape (500,)
        The victim's labels of `aux`.
    victim : LogisticRegression
        Fitted on both classes.
    """

    train: Array
    aux: Array
    answers: NDArray[np.int64]
    victim: LogisticRegression


def simulate(d: int, rng: np.random.Generator) -> Simulation:
    """Draw the data of section 5.1 in d dimensions and fit the victim."""
    train = rng.standard_normal((N_TRAIN, d)) - 1
    other = rng.standard_normal((N_TRAIN, d)) + 1
    labels = np.repeat([0, 1], N_TRAIN)
    victim = LogisticRegression(max_iter=200).fit(np.r_[train, other], labels)
    aux = rng.standard_normal((N_AUX, d))
    return Simulation(train, aux, victim.predict(aux), victim)


def ideal_reconstructions(data: Simulation, rng: np.random.Generator) -> Array:
    """Fresh auxiliary rows given f(x') = 0: the best that a GAN can do."""
    found: list[Array] = []
    while sum(map(len, found)) < N_RECONSTRUCTIONS:
        drawn = rng.standard_normal((2 * N_RECONSTRUCTIONS, data.aux.shape[1]))
        found.append(drawn[data.victim.predict(drawn) == 0])
    return np.concatenate(found)[:N_RECONSTRUCTIONS]


def _rows(x: Array, _: Array) -> float:
    return float(ks_test(x, stats.norm(-1), method="rows").pvalue)


def _rows_valid(x: Array, _: Array) -> float:
    return ks_test(x, stats.norm(-1), method="rows").global_pvalue


def _rows_two_sample(x: Array, train: Array) -> float:
    return float(ks_test(x, train, method="rows").pvalue)


def _one_row(x: Array, _: Array) -> float:
    return float(ks_test(x[:1], stats.norm(-1), method="rows").pvalue)


def _first_coordinate(x: Array, _: Array) -> float:
    return float(ks_test(x[:, 0], stats.norm(-1)).pvalue)


def _bonferroni(x: Array, _: Array) -> float:
    return ks_test(x, stats.norm(-1)).global_pvalue


def _pooled(x: Array, _: Array) -> float:
    return float(ks_test(x.ravel(), stats.norm(-1)).pvalue)


def _projection(x: Array, _: Array) -> float:
    root = np.sqrt(x.shape[1])
    return float(ks_test(x.sum(axis=1) / root, stats.norm(-root)).pvalue)


def _distance(x: Array, _: Array) -> float:
    squared = ((x + 1) ** 2).sum(axis=1)
    return float(ks_test(squared, stats.chi2(x.shape[1])).pvalue)


def _max_sliced(x: Array, train: Array) -> float:
    found = ks_test(
        x, train, method="max-sliced", n_permutations=PERMUTATIONS, random_state=0
    )
    return float(found.pvalue)


#: Reading -> p-value of "the reconstructions (first argument) follow class 0".
READINGS: dict[str, Callable[[Array, Array], float]] = {
    "rows: coordinates of each row, mean p": _rows,
    "rows, valid bound: twice the mean p": _rows_valid,
    "rows, against the private rows, mean p": _rows_two_sample,
    "coordinates of the first row only": _one_row,
    "first coordinate": _first_coordinate,
    "every coordinate, Bonferroni": _bonferroni,
    "all numbers pooled": _pooled,
    "projection on the diagonal": _projection,
    "squared distance from the mean": _distance,
    "max-sliced, two samples, permutations": _max_sliced,
}


MAIN_READING = next(iter(READINGS))
