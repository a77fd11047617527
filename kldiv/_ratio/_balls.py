"""Neighbour balls around rows, and log p/q from their radii and counts.

With x_1..x_n from P, y_1..y_m from Q, rho_i the distance from x_i to its k-th
neighbour among the other x and nu_i to its k-th neighbour among the y,

    log p(x_i) / q(x_i)  is estimated by  d log(nu_i / rho_i) + log(m / (n - 1)),

Perez-Cruz 2008 (eq. 14), Wang, Kulkarni and Verdu 2009 (eq. 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import digamma

from kldiv._backends import distances_in_slabs
from kldiv._duplicates import row_ids
from kldiv._kernels._distances import ball_members
from kldiv._neighbors import NeighborDistances, search
from kldiv._typing import FloatArray, Floats, Rows, UserMetric
from kldiv._validation import metric_name

# A closed ball holds the row that defines its radius, however the two were rounded.
_RADIUS_SLACK = 1e-12
# Distances of other metrics than the Euclidean are looked at 1 MB at a time.
_NUMBERS_PER_SLAB = 1 << 17


@dataclass(frozen=True)
class Balls:
    """Neighbour balls around the rows of X.

    Attributes
    ----------
    rho, nu : ndarray of shape (n,)
        Radius in X and in Y.
    k_rho, k_nu : ndarray of shape (n,)
        Rows of X (without the centre) and of Y in the ball.
    """

    rho: Floats
    nu: Floats
    k_rho: Rows
    k_nu: Rows


def ball_log_ratio(balls: Balls, neighbors: NeighborDistances) -> Floats:
    """log p/q at each row of X if the densities were constant in the balls, nats.

    A ball that holds k of N other rows has expected log mass digamma(k) up to a
    term in N alone (Wang, Kulkarni and Verdu 2009, eq. 29).
    """
    return (
        neighbors.n_features * np.log(balls.nu / balls.rho)
        + digamma(balls.k_rho)
        - digamma(balls.k_nu)
        + np.log(neighbors.m / (neighbors.n - 1))
    )


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
    k_rho, rho = closed_balls(X, X, radii, True, threads, metric)
    k_nu, nu = closed_balls(X, Y, radii, False, threads, metric)
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
    own, other = neighbors.block("xx"), neighbors.block("xy")
    rho, k_rho = grown_balls(X, X, own, "X", threads, metric)
    nu, k_nu = grown_balls(X, Y, other, "Y", threads, metric)
    return Balls(rho, nu, k_rho, k_nu)


def grown_balls(
    queries: FloatArray,
    data: FloatArray,
    distances: Floats,
    name: str,
    threads: int,
    metric: str | UserMetric = "euclidean",
) -> tuple[Floats, Rows]:
    """Radii of the balls around queries in one sample, and rows of it within them.

    `distances` are those to the nearest rows; a query that is itself in the sample
    called X does not count.
    """
    radius = distances[:, -1].copy()
    count = np.full(len(queries), distances.shape[1], dtype=np.intp)
    rows = np.flatnonzero(radius == 0)
    if rows.size:
        some = np.ascontiguousarray(queries[rows])
        radius[rows] = _first_positive(some, data, name, threads, metric)
        members = closed_balls(some, data, radius[rows], False, threads, metric)[0]
        count[rows] = members - (name == "X")
    return radius, count


def refuse_zeros(neighbors: NeighborDistances) -> None:
    """Raise ValueError if a metric says that different rows are at distance zero."""
    for block in ("xx", "xy"):
        rows = np.flatnonzero(neighbors.block(block)[:, -1] == 0)
        if rows.size and neighbors.metric == "euclidean":
            raise ValueError(
                "different rows are at distance zero, because their differences are "
                "too small to be squared. Bring the samples to a larger unit."
            )
        if rows.size:
            raise ValueError(
                f"metric={neighbors.metric!r} is zero between different rows: row "
                f"{rows[0]} of X has {neighbors.n_neighbors} neighbours in "
                f"{block[1].upper()} at distance 0 ({rows.size} rows have). Without a "
                "positive distance there is no density; use a metric that is zero for "
                "equal rows only, or duplicates='expand'."
            )


def _first_positive(
    queries: FloatArray,
    data: FloatArray,
    name: str,
    threads: int,
    metric: str | UserMetric,
) -> Floats:
    """Smallest positive distance from each query to a row of data."""
    distinct = np.ascontiguousarray(data[np.unique(row_ids(data))])
    if len(distinct) < 2:
        raise ValueError(
            f"all {len(data)} rows of {name} are equal, so no neighbour has a positive "
            "distance: the sample has no density and the divergence is infinite or "
            "undefined."
        )
    if isinstance(metric, str):
        nearest = search(
            queries, distinct, 2, blocks=("xy",), metric=metric, threads=threads
        ).block("xy")
        return np.where(nearest[:, 0] > 0, nearest[:, 0], nearest[:, 1])
    first = np.empty(len(queries))
    for rows, far in distances_to_all(queries, distinct, threads, metric):
        first[rows] = np.where(far > 0, far, np.inf).min(axis=1)
    if not np.isfinite(first).all():
        raise ValueError(
            f"metric={metric_name(metric)!r} is zero from a row to every row of "
            f"{name}: the sample has no density."
        )
    return first


def closed_balls(
    queries: FloatArray,
    data: FloatArray,
    radii: Floats,
    exclude_self: bool,
    threads: int,
    metric: str | UserMetric = "euclidean",
) -> tuple[Rows, Floats]:
    """Rows of data in each ball and the largest of their distances."""
    counts, largest = np.empty(len(queries), dtype=np.intp), np.empty(len(queries))
    radii = radii * (1 + _RADIUS_SLACK)
    if metric == "euclidean":
        ball_members(queries, data, radii, exclude_self, counts, largest, threads)
        return counts, largest
    for rows, far in distances_to_all(queries, data, threads, metric):
        if exclude_self:
            far[np.arange(len(far)), np.arange(rows.start, rows.stop)] = np.inf
        inside = far <= radii[rows, None]
        counts[rows] = inside.sum(axis=1)
        largest[rows] = np.where(inside, far, 0).max(axis=1)
    return counts, largest


def distances_to_all(
    queries: FloatArray, data: FloatArray, threads: int, metric: str | UserMetric
) -> Iterator[tuple[slice, Floats]]:
    """Distances from some queries at a time to all rows of data."""
    if not isinstance(metric, str):
        yield from distances_in_slabs(metric, queries, data, threads)
        return
    name = {"manhattan": "cityblock"}.get(metric, metric)
    step = max(1, _NUMBERS_PER_SLAB // len(data))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        yield slice(start, start + len(part)), cdist(part, data, name)


def local_dimension(distances: FloatArray) -> float:
    """In how many dimensions rows vary, from distances to the k nearest, (n, k).

    Levina and Bickel 2004 (eq. 8), averaged as MacKay and Ghahramani 2005 do; infinite
    where one neighbour, or none that is not a row like it, says nothing.
    """
    apart = distances[distances[:, 0] > 0]
    logs = np.log(apart[:, -1:] / apart[:, :-1])
    return float(1 / logs.mean()) if logs.any() else np.inf
