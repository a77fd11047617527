"""log p/q at the rows of X from neighbour distances, by every correction.

With x_1..x_n from P, y_1..y_m from Q, rho_i the distance from x_i to its k-th
neighbour among the other x and nu_i to its k-th neighbour among the y,

    log p(x_i) / q(x_i)  is estimated by  d log(nu_i / rho_i) + log(m / (n - 1)),

Perez-Cruz 2008 (eq. 14), Wang, Kulkarni and Verdu 2009 (eq. 5). The corrections change
how the two balls are chosen or how their mass becomes density.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import digamma

from kldiv._backends import UserMetric
from kldiv._backends._user_metric import distances_in_slabs, metric_name
from kldiv._coordinates import coordinates
from kldiv._duplicates import row_ids
from kldiv._kernels._distances import ball_members
from kldiv._neighbors import NeighborDistances, search
from kldiv._reference import (
    COMPONENTS,
    Balls,
    References,
    choose_coordinates,
    fit_references,
)
from kldiv._validation import FloatArray

# A closed ball holds the row that defines its radius, however the two were rounded.
_RADIUS_SLACK = 1e-12
# Distances of other metrics than the Euclidean are looked at 1 MB at a time.
_NUMBERS_PER_SLAB = 1 << 17
# "auto" fits references to samples of at least this many rows.
_ROWS_FOR_REFERENCES = 20
# Mixtures are tried up to this many columns; beyond, one Gaussian.
_COLUMNS_FOR_MIXTURES = 150


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
    correction, scale : str or None
        What was applied.
    n_components : int or None
        Components of the references.
    references : References or None
        What was fitted.
    metric : str or callable
        Metric of the neighbours.
    """

    values: NDArray[np.float64]
    X: FloatArray
    Y: FloatArray
    balls: Balls
    neighbors: NeighborDistances
    correction: str | None
    scale: str | None
    n_components: int | None = None
    references: References | None = None
    metric: str | UserMetric = "euclidean"


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
    X: FloatArray,
    Y: FloatArray,
    k: int,
    *,
    correction: str | None,
    scale: str | None,
    algorithm: str,
    threads: int,
    ids: NDArray[np.intp] | None = None,
    metric: str | UserMetric = "euclidean",
    dimension: int | None = None,
    zeros: bool = True,
) -> LogRatio:
    """log p/q at each row of X by the correction asked for; see `LogRatio`.

    `ids` names the first row of X and Y that equals each row, where rows repeat: equal
    rows must get equal coordinates, and a matrix product can round them differently.
    `dimension` is that of the plane which holds the rows, if they have more columns.
    `zeros` says whether a k-th distance may be zero.
    """
    n_components: int | None = None
    if correction in ("gaussian", "mixture"):
        candidates = COMPONENTS if correction == "mixture" else (1,)
        place, plan = choose_coordinates(X, Y, scale, candidates)
        n_components = plan.n_components
        X, Y, scale = place.X, place.Y, place.scale
    elif scale in (None, "auto"):
        scale = None
    else:
        place = coordinates(X, Y, scale)
        X, Y = place.X, place.Y
    if ids is not None:
        X, Y = _with_equal_rows(X, Y, ids)
    neighbors = search(X, Y, k, algorithm=algorithm, metric=metric, threads=threads)
    if dimension is not None:
        neighbors = replace(neighbors, n_features=dimension)
    if not zeros:
        _refuse_zeros(neighbors)
    balls = positive_balls(X, Y, neighbors, threads, metric)
    references = None
    if n_components is not None:
        references = fit_references(place.X, place.Y, balls, plan, k, threads)
        values = references.log_p(place.X, balls, len(X), threads)
        values -= references.log_q(place.X, balls, len(Y), threads)
    elif correction == "adaptive":
        balls = adaptive_balls(X, Y, balls, threads, metric)
        values = ball_log_ratio(balls, neighbors)
    else:
        values = ball_log_ratio(balls, neighbors)
    return LogRatio(
        values,
        X,
        Y,
        balls,
        neighbors,
        correction,
        scale,
        n_components,
        references,
        metric,
    )


def _refuse_zeros(neighbors: NeighborDistances) -> None:
    """Raise ValueError if a metric says that different rows are at distance zero."""
    for block in ("xx", "xy"):
        rows = np.flatnonzero(neighbors.block(block)[:, -1] == 0)
        if rows.size:
            raise ValueError(
                f"metric={neighbors.metric!r} is zero between different rows: row "
                f"{rows[0]} of X has {neighbors.n_neighbors} neighbours in "
                f"{block[1].upper()} at distance 0 ({rows.size} rows have). Without a "
                "positive distance there is no density; use a metric that is zero for "
                "equal rows only, or duplicates='expand'."
            )


def _with_equal_rows(
    X: FloatArray, Y: FloatArray, ids: NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    rows = np.concatenate([X, Y])[ids]
    return rows[: len(X)], rows[len(X) :]


def ball_log_ratio(balls: Balls, neighbors: NeighborDistances) -> NDArray[np.float64]:
    """log p/q at each row of X if the densities were constant in the balls, nats.

    A ball that holds k of N other rows has expected log mass digamma(k) up to a
    term in N alone (Wang, Kulkarni and Verdu 2009, eq. 29).
    """
    ratio: NDArray[np.float64] = (
        neighbors.n_features * np.log(balls.nu / balls.rho)
        + digamma(balls.k_rho)
        - digamma(balls.k_nu)
        + np.log(neighbors.m / (neighbors.n - 1))
    )
    return ratio


def adaptive_balls(
    X: FloatArray,
    Y: FloatArray,
    balls: Balls,
    threads: int,
    metric: str | UserMetric = "euclidean",
) -> Balls:
    """Balls in which k is chosen per row.

    Both samples are counted in the larger of the two k-th neighbour balls (Wang,
    Kulkarni and Verdu 2009, section IV), and each radius is that of the farthest
    row counted.
    """
    radii = np.maximum(balls.rho, balls.nu)
    k_rho, rho = _closed_balls(X, X, radii, True, threads, metric)
    k_nu, nu = _closed_balls(X, Y, radii, False, threads, metric)
    return Balls(rho, nu, k_rho, k_nu)


def positive_balls(
    X: FloatArray,
    Y: FloatArray,
    neighbors: NeighborDistances,
    threads: int,
    metric: str | UserMetric = "euclidean",
) -> Balls:
    """k-th neighbour balls, grown where the k-th distance is zero.

    Rows with a positive k-th distance keep it and k. The others get the first
    positive distance and the number of rows at most that far away.
    """
    rho, nu = neighbors.block("xx")[:, -1].copy(), neighbors.block("xy")[:, -1].copy()
    k_rho = np.full(len(X), neighbors.n_neighbors, dtype=np.intp)
    k_nu = k_rho.copy()
    for radius, count, data, own in ((rho, k_rho, X, 1), (nu, k_nu, Y, 0)):
        rows = np.flatnonzero(radius == 0)
        if rows.size == 0:
            continue
        queries = np.ascontiguousarray(X[rows])
        name = "XY"[own == 0]
        radius[rows] = _first_positive(queries, data, name, threads, metric)
        # The row itself is a member of its own sample; it does not count.
        count[rows] = (
            _closed_balls(queries, data, radius[rows], False, threads, metric)[0] - own
        )
    return Balls(rho, nu, k_rho, k_nu)


def _first_positive(
    queries: FloatArray,
    data: FloatArray,
    name: str,
    threads: int,
    metric: str | UserMetric,
) -> NDArray[np.float64]:
    """Smallest positive distance from each query to a row of data."""
    distinct = np.ascontiguousarray(data[np.unique(row_ids(data))])
    if len(distinct) < 2:
        raise ValueError(
            f"all {len(data)} rows of {name} are equal, so no neighbour has a positive "
            "distance: the sample has no density and the divergence is infinite or "
            "undefined."
        )
    if isinstance(metric, str):
        found = search(
            queries, distinct, 2, blocks=("xy",), metric=metric, threads=threads
        )
        nearest = found.block("xy")
        return np.where(nearest[:, 0] > 0, nearest[:, 0], nearest[:, 1])
    first = np.empty(len(queries))
    for rows, far in _slabs(queries, distinct, threads, metric):
        first[rows] = np.where(far > 0, far, np.inf).min(axis=1)
    if not np.isfinite(first).all():
        raise ValueError(
            f"metric={metric_name(metric)!r} is zero from a row to every row of "
            f"{name}: the sample has no density."
        )
    return first


def _closed_balls(
    queries: FloatArray,
    data: FloatArray,
    radii: NDArray[np.float64],
    exclude_self: bool,
    threads: int,
    metric: str | UserMetric = "euclidean",
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows of data in each ball and the largest of their distances."""
    counts, largest = np.empty(len(queries), dtype=np.intp), np.empty(len(queries))
    radii = radii * (1 + _RADIUS_SLACK)
    if metric == "euclidean":
        ball_members(queries, data, radii, exclude_self, counts, largest, threads)
        return counts, largest
    for rows, far in _slabs(queries, data, threads, metric):
        if exclude_self:
            far[np.arange(len(far)), np.arange(rows.start, rows.stop)] = np.inf
        inside = far <= radii[rows, None]
        counts[rows] = inside.sum(axis=1)
        largest[rows] = np.where(inside, far, 0).max(axis=1)
    return counts, largest


def _slabs(
    queries: FloatArray, data: FloatArray, threads: int, metric: str | UserMetric
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Distances from some queries at a time to all rows of data."""
    if not isinstance(metric, str):
        yield from distances_in_slabs(metric, queries, data, threads)
        return
    name = {"manhattan": "cityblock"}.get(metric, metric)
    step = max(1, _NUMBERS_PER_SLAB // len(data))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        yield slice(start, start + len(part)), cdist(part, data, name)
