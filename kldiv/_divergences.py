"""Divergences as pure formulas on estimates of log p/q at the rows of X."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def kl(log_ratio: NDArray[np.float64]) -> float:
    """Kullback-Leibler divergence D(P || Q): the mean of log p/q under P, nats."""
    return float(log_ratio.mean())


DIVERGENCES: dict[str, Callable[[NDArray[np.float64]], float]] = {"kl": kl}
