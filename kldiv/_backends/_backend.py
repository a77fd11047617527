"""What one way of searching has to say about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kldiv._typing import BlockArrays


@dataclass(frozen=True)
class Backend:
    """One way to search for nearest neighbours.

    Attributes
    ----------
    knn_distances : callable
        ``knn_distances(X, Y, n_neighbors, blocks, *, metric, n_threads,
        return_indices)`` on checked, C-contiguous arrays of one dtype; returns by block
        the distances, ascending, and their row numbers, or None.
    metrics : tuple of str
        Metrics that it knows by name.
    functions : bool
        Whether the metric may be a function of the user's.
    most_features : int or None
        Columns that it can search at most; None for any number.
    """

    knn_distances: Callable[..., BlockArrays]
    metrics: tuple[str, ...] = ("euclidean",)
    functions: bool = False
    most_features: int | None = None

    def knows(self, metric: object) -> bool:
        """Whether it searches by this metric."""
        return metric in self.metrics if isinstance(metric, str) else self.functions


def too_far_apart(low: float, high: float) -> ValueError:
    """What to raise where a distance is infinite, for numbers of these magnitudes."""
    return ValueError(
        f"distances of these samples pass {np.finfo(float).max:.3g}, the largest "
        "number that float64 holds; in magnitude their numbers reach from "
        f"{low:.3g} to {high:.3g}. Measure the columns in a larger unit."
    )
