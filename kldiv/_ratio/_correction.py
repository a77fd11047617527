"""What a correction is, and those that look at neighbour balls and references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from kldiv._backends._exclusion import Apart
from kldiv._neighbors import NeighborDistances, search, search_apart
from kldiv._preparation import PreparedPair
from kldiv._ratio._balls import (
    Balls,
    adaptive_balls,
    ball_log_ratio,
    positive_balls,
    refuse_zeros,
)
from kldiv._ratio._classifier import judged_rows
from kldiv._ratio._coordinates import Coordinates, coordinates
from kldiv._ratio._log_ratio import LogRatio, RowEffectsOf, Settings
from kldiv._ratio._references import (
    fit_again,
    fit_reference,
    fit_references,
    left_out_densities,
    unseen_density,
)
from kldiv._ratio._selection import COMPONENTS, Plan, choose_coordinates
from kldiv._ratio._votes import neighbor_votes
from kldiv._typing import FloatArray, Floats, Mask, Side

#: Distances from the rows of X to their k-th neighbours among the rows that stay.
RadiiAmong = Callable[[Side, Mask], Floats]
#: log p/q at the rows of X that stay, if of one sample only some rows do.
LeaveOut = Callable[[Side, Mask], Floats]


@dataclass(frozen=True)
class Evidence:
    """What a correction makes of two samples before it is asked for an estimate.

    Attributes
    ----------
    log_ratios : ndarray
        log p/q at the judged rows of X, then of Y, each from a fit that has not seen
        the row.
    estimate : callable
        The estimate itself.
    """

    log_ratios: Floats
    estimate: Callable[[], LogRatio]


class Correction:
    """One way from two samples to log p/q at the rows of X.

    Attributes
    ----------
    euclidean : bool
        Whether it needs Euclidean balls.
    varying_k : bool
        Whether k varies from row to row without a bound. Then the noise of a ratio is
        not known, and what a row does is not a matter of its neighbours alone.
    fewest_rows : int
        Rows of each sample without which nothing can be fitted.
    """

    euclidean: ClassVar[bool] = False
    varying_k: ClassVar[bool] = False
    fewest_rows: ClassVar[int] = 1

    def evidence(self, pair: PreparedPair, settings: Settings) -> Evidence:
        """How well the samples are told apart, and a way to the estimate."""
        raise NotImplementedError

    def log_ratio(self, pair: PreparedPair, settings: Settings) -> LogRatio:
        """Estimate log p/q at each row of X."""
        return self.evidence(pair, settings).estimate()

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
        apart = apart_of(pair, settings)
        neighbors, balls = search_balls(X, Y, pair.dimension, settings, apart)
        balls = self._chosen(X, Y, balls, settings)
        values = ball_log_ratio(balls, neighbors)
        if apart is not None:
            values += np.log((len(X) - 1) / apart.others())
        return LogRatio(
            values,
            X,
            Y,
            balls,
            neighbors,
            self.name,
            scale,
            settings,
            row_effects=None if apart is None else _shared_by(neighbors),
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

    def evidence(self, pair: PreparedPair, settings: Settings) -> Evidence:
        if settings.scale == "auto":  # columns in different units count alike
            settings = replace(settings, scale="standard")
        common = coordinates(pair.X, pair.Y, settings.scale)
        votes = neighbor_votes(common.X, common.Y, settings.threads)
        return Evidence(votes, lambda: self.log_ratio(pair, settings))

    def leave_out(self, ratio: LogRatio, radii: RadiiAmong) -> LeaveOut:
        # zeros were refused, and an algorithm named, for the samples as a whole
        settings = replace(ratio.settings, algorithm="auto", zeros=True)

        def without(side: Side, stays: Mask) -> Floats:
            X = ratio.X[stays] if side == "x" else ratio.X
            Y = ratio.Y if side == "x" else ratio.Y[stays]
            dimension = ratio.neighbors.n_features
            neighbors, balls = search_balls(X, Y, dimension, settings)
            return ball_log_ratio(self._chosen(X, Y, balls, settings), neighbors)

        return without


class GaussianReferences(Correction):
    """Ball masses from a Gaussian that is fitted to each sample."""

    name: ClassVar[str] = "gaussian"
    euclidean = True
    fewest_rows = 3
    candidates: ClassVar[tuple[int, ...]] = (1,)

    def evidence(self, pair: PreparedPair, settings: Settings) -> Evidence:
        common, plan = choose_coordinates(
            pair.X, pair.Y, settings.scale, self.candidates
        )
        labels = plan.labels or (None, None)
        of_x = fit_reference(common.X, labels[0])
        of_y = fit_reference(common.Y, labels[1])
        at_x = left_out_densities(common.X, of_x)
        at_x -= unseen_density(of_y, common.X, len(common.Y))
        at_y = unseen_density(of_x, common.Y, len(common.X))
        at_y -= left_out_densities(common.Y, of_y)
        return Evidence(
            np.concatenate(
                [at_x[judged_rows(len(at_x))], at_y[judged_rows(len(at_y))]]
            ),
            lambda: self._estimate(pair, settings, common, plan),
        )

    def log_ratio(self, pair: PreparedPair, settings: Settings) -> LogRatio:
        chosen = choose_coordinates(pair.X, pair.Y, settings.scale, self.candidates)
        return self._estimate(pair, settings, *chosen)

    def _estimate(
        self, pair: PreparedPair, settings: Settings, common: Coordinates, plan: Plan
    ) -> LogRatio:
        X, Y = pair.with_equal_rows(common.X, common.Y)
        neighbors, balls = search_balls(X, Y, pair.dimension, settings)
        k, threads = settings.n_neighbors, settings.threads
        references = fit_references(common.X, common.Y, balls, plan, k, threads)
        log_p = references.log_p(common.X, balls, len(X), threads)
        log_q = references.log_q(common.X, balls, len(Y), threads)
        return LogRatio(
            log_p - log_q,
            X,
            Y,
            balls,
            neighbors,
            self.name,
            common.scale,
            settings,
            plan.n_components,
            references,
            misfit=references.misfit(common.X, log_p, log_q),
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


def apart_of(pair: PreparedPair, settings: Settings) -> Apart | None:
    """When the rows of X came, if neighbours have to be further apart."""
    window = settings.exclusion_window
    return Apart(pair.places[0], window) if window else None


def _shared_by(neighbors: NeighborDistances) -> RowEffectsOf:
    """Effects of rows in a ball, which they share, on the sum of log ratios."""
    near_x, near_y = neighbors.xx_indices, neighbors.xy_indices
    assert near_x is not None
    assert near_y is not None
    n, m, k = neighbors.n, neighbors.m, neighbors.n_neighbors

    def effects(weights: Floats) -> tuple[Floats, Floats]:
        shares = np.repeat(weights / k, k)
        of_x = np.bincount(near_x.ravel(), n * shares, minlength=n)
        of_y = np.bincount(near_y.ravel(), -m * shares, minlength=m)
        return of_x.astype(np.float64), of_y.astype(np.float64)

    return effects


def search_balls(
    X: FloatArray,
    Y: FloatArray,
    dimension: int,
    settings: Settings,
    apart: Apart | None = None,
) -> tuple[NeighborDistances, Balls]:
    """Neighbours in the dimension of the plane that holds the rows, and their balls."""
    metric, threads = settings.metric, settings.threads
    options: dict[str, Any] = {
        "algorithm": settings.algorithm,
        "metric": metric,
        "threads": threads,
    }
    if apart is None:
        neighbors = search(X, Y, settings.n_neighbors, **options)
    else:
        options["return_indices"] = True
        neighbors = search_apart(
            X, Y, settings.n_neighbors, (apart.places,) * 2, apart.window, **options
        )
    neighbors = replace(neighbors, n_features=dimension)
    if not settings.zeros:
        refuse_zeros(neighbors)
    return neighbors, positive_balls(X, Y, neighbors, threads, metric)
