"""Estimated log p/q at the rows of X, and everything it was computed from."""

from __future__ import annotations

from dataclasses import dataclass

from kldiv._neighbors import NeighborDistances
from kldiv._ratio._balls import Balls
from kldiv._ratio._references import References
from kldiv._typing import FloatArray, Floats, UserMetric


@dataclass(frozen=True)
class Settings:
    """How a log ratio is to be estimated.

    Attributes
    ----------
    n_neighbors : int
        k.
    scale : str or None
        Coordinates asked for, a member of `SCALES`.
    algorithm : str
        How neighbours are searched.
    metric : str or callable
        Metric of the neighbours.
    threads : int
        Threads.
    zeros : bool
        Whether a k-th distance may be zero.
    """

    n_neighbors: int
    scale: str | None = "auto"
    algorithm: str = "auto"
    metric: str | UserMetric = "euclidean"
    threads: int = 1
    zeros: bool = True


@dataclass(frozen=True)
class LogRatio:
    """Estimated log p/q at the rows of X, and everything it was computed from.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Estimates in nats.
    X, Y : ndarray
        The samples in the coordinates in which neighbours were searched.
    balls : Balls
        Radii and counts.
    neighbors : NeighborDistances
        Blocks xx and xy in these coordinates.
    correction : str or None
        The key of ``CORRECTIONS`` that was applied.
    scale : str or None
        Coordinates that were used.
    settings : Settings
        What was asked for.
    n_components : int or None
        Components of the references.
    references : References or None
        What was fitted.
    """

    values: Floats
    X: FloatArray
    Y: FloatArray
    balls: Balls
    neighbors: NeighborDistances
    correction: str | None
    scale: str | None
    settings: Settings
    n_components: int | None = None
    references: References | None = None
