"""Estimated log p/q at the rows of X, and everything it was computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kldiv._neighbors import NeighborDistances
from kldiv._ratio._balls import Balls
from kldiv._ratio._references import References
from kldiv._typing import FloatArray, Floats, Rows, UserMetric
from kldiv._validation import Weights

RowEffectsOf = Callable[[Floats], tuple[Floats, Floats]]


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
    exclusion_window : int
        Rows of one sample that came at most so far apart are no neighbours.
    """

    n_neighbors: int
    scale: str | None = "auto"
    algorithm: str = "auto"
    metric: str | UserMetric = "euclidean"
    threads: int = 1
    zeros: bool = True
    exclusion_window: int = 0


@dataclass(frozen=True)
class LocalWeights:
    """Weights of the rows of one sample around the rows of X.

    Attributes
    ----------
    log_means : ndarray of shape (n,)
        Log of the mean weight there over the mean weight of the sample.
    rows : ndarray of shape (n, k)
        The rows of which it is the mean.
    shares : ndarray of shape (n, k)
        The share of each of them.
    """

    log_means: Floats
    rows: Rows
    shares: Floats


@dataclass(frozen=True)
class Weighting:
    """Weights of the rows of both samples, and those around the rows of X.

    Attributes
    ----------
    weights : Weights
        Of all rows.
    x, y : LocalWeights
        Of the rows of X and of Y around each row of X.
    missed : float
        What means over neighbours do not see of weights that follow the place, nats.
    """

    weights: Weights
    x: LocalWeights
    y: LocalWeights
    missed: float = 0.0


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
    row_effects : callable or None
        From weights of the rows of X, shape (n,), to the effects of the rows of X and
        of Y on the weighted sum of log ratios through what was fitted to them.
    fit_error : float
        What the estimate may be off by because it is known only that the truth lies
        between two values; a standard deviation in nats.
    parts : tuple of (float, LogRatio)
        Weights and log ratios that this one is the mean of, if it is one.
    held : bool
        Whether values of single rows that lie where no other does were held back.
    misfit : float
        Mean log ratio of the masses that references and samples have in the balls,
        absolute values of both samples added up: about zero if references are right.
    proven : float
        What rows that no fit has seen prove: a lower confidence limit in nats.
    claimed : float
        Largest mean at rows of X that no fit has seen, in nats, of the candidates that
        do not surely tell rows apart worse than the best once scales are set.
    unseen : tuple of (float, ndarray)
        Weights and log p/q at the judged rows of X, then of Y, of the fits that have
        not seen the row; empty where there was no judgement.
    weighting : Weighting or None
        What the weights of rows made of it, where they do not all count alike.
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
    row_effects: RowEffectsOf | None = None
    fit_error: float = 0.0
    parts: tuple[tuple[float, LogRatio], ...] = ()
    held: bool = False
    misfit: float = 0.0
    proven: float = -np.inf
    claimed: float = -np.inf
    unseen: tuple[tuple[float, Floats], ...] = ()
    weighting: Weighting | None = None

    @property
    def weights(self) -> Floats | None:
        """Weights of the rows of X, None where all count alike."""
        return None if self.weighting is None else self.weighting.weights.of_x

    @property
    def mean(self) -> float:
        """The mean of the log ratios: the Kullback-Leibler divergence in nats."""
        return float(np.average(self.values, weights=self.weights))

    def row_effects_of(self, slopes: Floats) -> tuple[Floats, Floats]:
        """Effects on the mean of the log ratios, each weighed by a slope."""
        assert self.row_effects is not None
        return self.row_effects(slopes / len(self.values))
