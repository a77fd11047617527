"""log p/q from rows counted in balls that both samples share.

The ball around a row of X reaches to the farther one of its k-th neighbours in X and
in Y. Its volume is the same for both samples and cancels, whatever the dimension in
which the rows really vary. A ratio that was learned elsewhere can be carried in: rows
of Y are counted by it, and the balls see what it misses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from scipy.special import digamma

from kldiv._backends._exclusion import Apart
from kldiv._neighbors import search, search_apart
from kldiv._preparation import PreparedPair
from kldiv._ratio._balls import adaptive_balls, closed_balls, distances_to_all
from kldiv._ratio._classifier import judged_rows
from kldiv._ratio._coordinates import coordinates
from kldiv._ratio._correction import Correction, Evidence, apart_of, search_balls
from kldiv._ratio._log_ratio import LogRatio, Settings
from kldiv._ratio._votes import neighbor_votes
from kldiv._typing import FloatArray, Floats, Mask, Rows

# Balls of which the members are looked at; more cost time, not accuracy.
_MOST_BALLS = 2000
_RADIUS_SLACK = 1e-12
# Balls of so many times as many rows show what is lost; if they are hardly larger,
# as in a hundred columns, they do not.
_TIMES_AS_MANY, _HARDLY_LARGER = 4, 0.05
# So many standard errors of what is seen to be lost are noise. This share of the rest
# is added and all of it is an error: it may be seen too large, or not in full.
_SURE, SHARE = 2.0, 0.5
_FOUND: WeakKeyDictionary[PreparedPair, dict[Any, Any]] = WeakKeyDictionary()


def common_balls(pair: PreparedPair, settings: Settings) -> LogRatio:
    """log p/q from counts where columns in different units count alike.

    Several corrections look at the same balls; they are searched once for a pair.
    """
    found: LogRatio = _once(pair, settings, lambda: _search(pair, settings))
    return found


def common_members(pair: PreparedPair, settings: Settings) -> Members:
    """Members of the common balls of a pair, looked at once."""
    found = common_balls(pair, settings)
    apart = apart_of(pair, settings)
    members: Members = _once(
        pair, ("members", settings), lambda: members_of(found, apart)
    )
    return members


def _once(pair: PreparedPair, key: Any, make: Callable[[], Any]) -> Any:
    """What is made of a pair, kept as long as the pair."""
    known = _FOUND.setdefault(pair, {})
    if key not in known:
        known[key] = make()
    return known[key]


def _search(pair: PreparedPair, settings: Settings) -> LogRatio:
    asked = settings
    if settings.scale == "auto":
        settings = replace(settings, scale="standard")
    common = coordinates(pair.X, pair.Y, settings.scale)
    X, Y = pair.with_equal_rows(common.X, common.Y)
    found = counted_in_balls(X, Y, pair.dimension, settings, apart_of(pair, settings))
    return replace(found, scale=common.scale, settings=asked)


def counted_in_balls(
    X: FloatArray,
    Y: FloatArray,
    dimension: int,
    settings: Settings,
    apart: Apart | None = None,
) -> LogRatio:
    """log p/q from counts, of rows in coordinates in which columns count alike."""
    neighbors, balls = search_balls(X, Y, dimension, settings, apart)
    counted = adaptive_balls(X, Y, balls, settings.threads, settings.metric)
    in_x, others = counted.k_rho, np.full(len(X), len(X) - 1)
    if apart is not None:
        in_x = in_x - apart.inside(X, np.maximum(balls.rho, balls.nu))
        others = apart.others()
    values = _counted(balls.rho, balls.nu, in_x, counted.k_nu)
    values += np.log(len(Y) / others)
    return LogRatio(values, X, Y, balls, neighbors, CommonBalls.name, None, settings)


def _counted(rho: Floats, nu: Floats, in_x: Rows, in_y: Rows) -> Floats:
    """Log ratio of the masses of balls that reach to the k-th row of X or of Y.

    A ball that ends at the k-th row of a sample holds it for sure; of one whose radius
    comes from elsewhere the expected log mass is that of one row more.
    """
    ends_in_x = rho >= nu
    found: Floats = digamma(in_x + ~ends_in_x) - digamma(in_y + ends_in_x)
    return found


class CommonBalls(Correction):
    """Rows of both samples counted in the larger of the two balls."""

    name: ClassVar[str] = "common"
    euclidean = True
    varying_k = True

    def evidence(self, pair: PreparedPair, settings: Settings) -> Evidence:
        found = common_balls(pair, settings)
        X, Y = found.X.astype(np.float64), found.Y.astype(np.float64)
        votes = neighbor_votes(X, Y, settings.threads)
        apart = apart_of(pair, settings)

        def effects(weights: Floats) -> tuple[Floats, Floats]:
            return common_members(pair, settings).effects(weights)

        def ratio() -> LogRatio:
            share, error = _lost_within_balls(settings, found, apart)
            return replace(
                found,
                values=found.values + share,
                row_effects=effects,
                fit_error=error,
            )

        return Evidence(votes, ratio)


def _lost_within_balls(
    settings: Settings, found: LogRatio, apart: Apart | None
) -> tuple[float, float]:
    """What is added for what the ratio varies within balls, and its error.

    Balls of more rows are larger, and show less. If what is lost is proportional to the
    radius, balls of no extent would show this much more.
    """
    X, Y, k = found.X, found.Y, _TIMES_AS_MANY * settings.n_neighbors
    if k >= min(len(X), len(Y)) - 1:
        return 0.0, 0.0
    rows, threads = judged_rows(len(X)), settings.threads
    some = np.ascontiguousarray(X[rows])
    radii = np.maximum(found.balls.rho, found.balls.nu)[rows]
    rho, nu = (
        np.maximum(radii, distances)
        for distances in _kth_distances(X, Y, k, rows, threads, apart)
    )
    larger = np.maximum(rho, nu)
    growth = float(np.expm1(np.log(larger / radii).mean()))
    if growth < _HARDLY_LARGER:
        return 0.0, 0.0
    in_x, in_y = (closed_balls(some, one, larger, False, threads)[0] for one in (X, Y))
    in_x, others = in_x - 1, np.full(len(X), len(X) - 1)
    if apart is not None:
        everywhere = np.zeros(len(X))
        everywhere[rows] = larger
        in_x, others = in_x - apart.inside(X, everywhere)[rows], apart.others()
    seen = _counted(rho, nu, in_x, in_y) + np.log(len(Y) / others[rows])
    lost, _ = more_than_noise((found.values[rows] - seen) / growth)
    return SHARE * lost, abs(lost)


def _kth_distances(
    X: FloatArray, Y: FloatArray, k: int, rows: Rows, threads: int, apart: Apart | None
) -> tuple[Floats, Floats]:
    """Distances from some rows of X to their k-th neighbours in X and in Y."""
    if apart is not None:
        near = search_apart(X, Y, k, (apart.places,) * 2, apart.window, threads=threads)
        return near.block("xx")[rows, -1], near.block("xy")[rows, -1]
    some = np.ascontiguousarray(X[rows])
    # each row is in its own sample
    to_x, to_y = (
        search(some, one, more, blocks=("xy",), threads=threads).block("xy")[:, -1]
        for one, more in ((X, k + 1), (Y, k))
    )
    return to_x, to_y


def more_than_noise(lost: Floats) -> tuple[float, float]:
    """What is lost on average, as far as it is more than noise, and the noise."""
    mean = float(lost.mean())
    noise = float(lost.std()) / np.sqrt(len(lost))
    return beyond_noise(mean, noise), noise


def beyond_noise(mean: float, noise: float) -> float:
    """A mean, the smaller the less it is more than its noise."""
    certain = max(0.0, 1 - (_SURE * noise / mean) ** 2) if mean else 0.0
    return certain * mean


@dataclass(frozen=True)
class Members:
    """Which rows lie in some of the balls.

    Attributes
    ----------
    balls : ndarray of shape (b,)
        Rows of X around which they lie.
    in_x, in_y : ndarray of shape (b, n) and (b, m)
        Whether each row is in the ball.
    """

    balls: Rows
    in_x: Mask
    in_y: Mask

    def effects(self, weights: Floats) -> tuple[Floats, Floats]:
        """Effects of all rows on the weighted sum of log ratios, through counts."""
        (b, n), m = self.in_x.shape, self.in_y.shape[1]
        shares = weights[self.balls] * n / b
        of_x = _sum_of_balls(self.in_x, shares / self.in_x.sum(axis=1))
        of_y = _sum_of_balls(self.in_y, shares / self.in_y.sum(axis=1))
        return of_x * n, -of_y * m


def _sum_of_members(inside: Mask, values: Floats) -> Floats:
    """Sum over each ball of a value that its members have; few rows are members."""
    balls, rows = np.nonzero(inside)
    sums = np.bincount(balls, values[rows], minlength=len(inside))
    return sums.astype(np.float64)


def _sum_of_balls(inside: Mask, values: Floats) -> Floats:
    """Sum for each row of a value of the balls that hold it."""
    balls, rows = np.nonzero(inside)
    sums = np.bincount(rows, values[balls], minlength=inside.shape[1])
    return sums.astype(np.float64)


def members_of(
    found: LogRatio, apart: Apart | None = None, most: int = _MOST_BALLS
) -> Members:
    """Members of at most so many of the balls, at equal steps."""
    n = len(found.X)
    rows = judged_rows(n, most)
    radii = np.maximum(found.balls.rho, found.balls.nu)[rows] * (1 + _RADIUS_SLACK)
    in_x = np.empty((len(rows), n), dtype=bool)
    in_y = np.empty((len(rows), len(found.Y)), dtype=bool)
    X, Y = found.X.astype(np.float64), found.Y.astype(np.float64)
    for data, inside in ((X, in_x), (Y, in_y)):
        for part, distances in distances_to_all(X[rows], data, 1, "euclidean"):
            inside[part] = distances <= radii[part, None]
    in_x[np.arange(len(rows)), rows] = False
    if apart is not None:
        for inside, row in zip(in_x, rows, strict=True):
            inside[np.abs(apart.places - apart.places[row]) <= apart.window] = False
    return Members(rows, in_x, in_y)


def missed_by(found: LogRatio, members: Members, log_ratios: Floats) -> Floats:
    """What a learned log p/q misses at the rows around which the balls lie.

    `log_ratios` holds it at the rows of X, then of Y. Rows of Y that are weighed by
    the learned ratio are a sample of P if it is right.
    """
    of_y = log_ratios[len(found.X) :]
    top = float(of_y.max())
    inside = _sum_of_members(members.in_y, np.exp(of_y - top))
    carried = np.log(inside / members.in_y.sum(axis=1)) + top
    missed: Floats = found.values[members.balls] - carried
    return missed
