"""Rows that lie so far out that each would decide a mean."""

from __future__ import annotations

import numpy as np

from kldiv._typing import Floats, Mask

# A row this many interquartile ranges from the median, which moves the mean by so many
# nats, decides it alone.
RANGES_AWAY, MOVES_MEAN = 20.0, 0.05


def reach_of(values: Floats) -> tuple[float, float]:
    """The median, and how far from it a number is not yet far from all others."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(middle), float(RANGES_AWAY * (high - low))


def single_rows(values: Floats, size: float = 1.0) -> Mask:
    """Which numbers, one of each row, decide their mean alone.

    Of a value of more than one nat they move as large a share.
    """
    middle, reach = reach_of(values)
    away = np.abs(values - middle)
    decide: Mask = away > max(reach, MOVES_MEAN * max(1.0, size) * away.size)
    return decide
