"""Divergences that may predict an outcome, and the outcomes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kldiv import KNNDivergence, ks_test

Floats = NDArray[np.float64]


K = 5


Measure = Callable[[Floats, Floats], float]


def _neighbours(name: str, *, reverse: bool = False, order: float = 0.5) -> Measure:
    def measure(train: Floats, aux: Floats) -> float:
        first, second = (aux, train) if reverse else (train, aux)
        estimator = KNNDivergence(
            name, n_neighbors=K, correction=None, duplicates="drop", order=order
        )
        return float(estimator.fit(second).score(first))

    return measure


def _largest_gap(train: Floats, aux: Floats) -> float:
    return float(ks_test(train, aux, method="columns").global_statistic)


#: Name to a function of private and auxiliary features of one class.
PREDICTORS: dict[str, Measure] = {
    "KL": _neighbours("kl"),
    "reverse KL": _neighbours("kl", reverse=True),
    "Jensen-Shannon": _neighbours("jensen-shannon"),
    "Hellinger": _neighbours("hellinger"),
    "Renyi 2": _neighbours("renyi", order=2),
    "energy": _neighbours("energy"),
    "MMD": _neighbours("mmd"),
    "KS": _largest_gap,
}


#: Name of an outcome to the sign that its correlation with a divergence should have.
OUTCOMES: dict[str, int] = {
    "accuracy": -1,
    "coverage": -1,
    "clipped coverage": -1,
    "distance": 1,
}
