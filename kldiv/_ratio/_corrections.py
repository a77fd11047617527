"""Ways from two samples to log p/q at the rows of X, and the rule behind "auto"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import numpy as np

from kldiv._neighbors import NeighborDistances, search
from kldiv._preparation import PreparedPair
from kldiv._ratio._balls import (
    Balls,
    adaptive_balls,
    ball_log_ratio,
    positive_balls,
    refuse_zeros,
)
from kldiv._ratio._coordinates import coordinates
from kldiv._ratio._log_ratio import LogRatio, Settings
from kldiv._ratio._references import fit_again, fit_references
from kldiv._ratio._selection import COMPONENTS, choose_coordinates
from kldiv._typing import FloatArray, Floats, Mask, Side, UserMetric

# "auto" fits references to samples of at least this many rows.
_ROWS_FOR_REFERENCES = 20
# Mixtures are tried up to this many columns; beyond, one Gaussian.
_COLUMNS_FOR_MIXTURES = 150

#: Distances from the rows of X to their k-th neighbours among the rows that stay.
RadiiAmong = Callable[[Side, Mask], Floats]
#: log p/q at the rows of X that stay, if of one sample only some rows do.
LeaveOut = Callable[[Side, Mask], Floats]


class Correction:
    """One way from two samples to log p/q at the rows of X.

    Attributes
    ----------
    euclidean : bool
        Whether it needs Euclidean balls.
    varying_k : bool
        Whether k varies from row to row without a bound. Then the noise of a ratio is
        not known, and what a row does is not a matter of its neighbours alone.
    """

    euclidean: ClassVar[bool] = False
    varying_k: ClassVar[bool] = False

    def log_ratio(self, pair: PreparedPair, settings: Settings) -> LogRatio:
        """Estimate log p/q at each row of X."""
        raise NotImplementedError

    def leaves_out_groups(self, ratio: LogRatio) -> bool:
        """Whether the effects of single rows do not say everything."""
        return self.varying_k

    def leave_out(self, ratio: LogRatio, radii: RadiiAmong) -> LeaveOut:
        """How to estimate the ratio again without some rows.

        `radii` may be called only if k does not vary.
        """
        raise NotImplementedError


class FixedBalls(Correction):
    """Published estimator with fixed k: densities are constant in the balls."""

    name: ClassVar[str | None] = None

    def log_ratio(self, pair: PreparedPair, settings: Settings) -> LogRatio:
        X, Y, scale = pair.X, pair.Y, None
        if settings.scale not in (None, "auto"):
            common = coordinates(X, Y, settings.scale)
            X, Y, scale = common.X, common.Y, common.scale
        X, Y = pair.with_equal_rows(X, Y)
        neighbors, balls = _search_balls(X, Y, pair.dimension, settings)
        balls = self._chosen(X, Y, balls, settings)
        return LogRatio(
            ball_log_ratio(balls, neighbors),
            X,
            Y,
            balls,
            neighbors,
            self.name,
            scale,
            settings,
        )

    def _chosen(
        self, X: FloatArray, Y: FloatArray, balls: Balls, settings: Settings
    ) -> Balls:
        return balls


class AdaptiveBalls(FixedBalls):
    """k chosen per row: both samples are counted in the larger of the two balls."""

    name = "adaptive"
    varying_k = True

    def _chosen(
        self, X: FloatArray, Y: FloatArray, balls: Balls, settings: Settings
    ) -> Balls:
        return adaptive_balls(X, Y, balls, settings.threads, settings.metric)

    def leave_out(self, ratio: LogRatio, radii: RadiiAmong) -> LeaveOut:
        # zeros were refused, and an algorithm named, for the samples as a whole
        settings = replace(ratio.settings, algorithm="auto", zeros=True)

        def without(side: Side, stays: Mask) -> Floats:
            X = ratio.X[stays] if side == "x" else ratio.X
            Y = ratio.Y if side == "x" else ratio.Y[stays]
            dimension = ratio.neighbors.n_features
            neighbors, balls = _search_balls(X, Y, dimension, settings)
            return ball_log_ratio(self._chosen(X, Y, balls, settings), neighbors)

        return without


class GaussianReferences(Correction):
    """Ball masses from a Gaussian that is fitted to each sample."""

    name: ClassVar[str] = "gaussian"
    euclidean = True
    candidates: ClassVar[tuple[int, ...]] = (1,)

    def log_ratio(self, pair: PreparedPair, settings: Settings) -> LogRatio:
        common, plan = choose_coordinates(
            pair.X, pair.Y, settings.scale, self.candidates
        )
        X, Y = pair.with_equal_rows(common.X, common.Y)
        neighbors, balls = _search_balls(X, Y, pair.dimension, settings)
        k, threads = settings.n_neighbors, settings.threads
        references = fit_references(common.X, common.Y, balls, plan, k, threads)
        values = references.log_p(common.X, balls, len(X), threads)
        values -= references.log_q(common.X, balls, len(Y), threads)
        return LogRatio(
            values,
            X,
            Y,
            balls,
            neighbors,
            self.name,
            common.scale,
            settings,
            plan.n_components,
            references,
        )

    def leaves_out_groups(self, ratio: LogRatio) -> bool:
        return ratio.n_components != 1

    def leave_out(self, ratio: LogRatio, radii: RadiiAmong) -> LeaveOut:
        """References are fitted again; what stays whole keeps its density."""
        references, threads = ratio.references, ratio.settings.threads
        assert references is not None
        X = ratio.X.astype(np.float64)
        log_p = references.log_p(X, ratio.balls, len(X), threads)
        log_q = log_p - ratio.values

        def without(side: Side, stays: Mask) -> Floats:
            among, balls = radii(side, stays), ratio.balls
            if side == "y":
                Y = ratio.Y[stays].astype(np.float64)
                of_y = fit_again(references.of_y, Y)
                fitted, balls = replace(references, of_y=of_y), replace(balls, nu=among)
                return log_p - fitted.log_q(X, balls, len(Y), threads)
            rows = ratio.X[stays].astype(np.float64)
            fitted = replace(references, of_x=fit_again(references.of_x, rows))
            nu, k_rho, k_nu = balls.nu[stays], balls.k_rho[stays], balls.k_nu[stays]
            balls = Balls(among[stays], nu, k_rho, k_nu)
            return fitted.log_p(rows, balls, len(rows), threads) - log_q[stays]

        return without


class MixtureReferences(GaussianReferences):
    """Ball masses from Gaussian mixtures whose size held-out likelihood chooses."""

    name = "mixture"
    candidates = COMPONENTS


CORRECTIONS: dict[str | None, Correction] = {
    None: FixedBalls(),
    "adaptive": AdaptiveBalls(),
    "gaussian": GaussianReferences(),
    "mixture": MixtureReferences(),
}


def _search_balls(
    X: FloatArray, Y: FloatArray, dimension: int, settings: Settings
) -> tuple[NeighborDistances, Balls]:
    """Neighbours in the dimension of the plane that holds the rows, and their balls."""
    metric, threads = settings.metric, settings.threads
    neighbors = search(
        X,
        Y,
        settings.n_neighbors,
        algorithm=settings.algorithm,
        metric=metric,
        threads=threads,
    )
    neighbors = replace(neighbors, n_features=dimension)
    if not settings.zeros:
        refuse_zeros(neighbors)
    return neighbors, positive_balls(X, Y, neighbors, threads, metric)


def choose_correction(
    correction: str | None,
    n: int,
    m: int,
    d: int,
    metric: str | UserMetric = "euclidean",
) -> str | None:
    """The correction that ``"auto"`` stands for; evidence in the user guide.

    References whenever both samples have enough rows to fit one and balls are
    Euclidean; otherwise the adaptive choice of k, which has the smaller bias up to five
    dimensions, or the fixed one.
    """
    if correction != "auto":
        return correction
    if min(n, m) >= _ROWS_FOR_REFERENCES and metric == "euclidean":
        return "mixture" if d <= _COLUMNS_FOR_MIXTURES else "gaussian"
    return "adaptive" if d <= 5 else None


def estimate_log_ratio(
    pair: PreparedPair, correction: str | None, settings: Settings
) -> LogRatio:
    """log p/q at each row of X by a correction, or by the rule of "auto"."""
    chosen = choose_correction(
        correction, len(pair.X), len(pair.Y), pair.dimension, settings.metric
    )
    return CORRECTIONS[chosen].log_ratio(pair, settings)
