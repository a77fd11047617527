"""Divergences as pure formulas on neighbour distances.

With x_1..x_n from P, y_1..y_m from Q, rho_i the distance from x_i to its k-th
neighbour among the other x and nu_i to its k-th neighbour among the y,

    log p(x_i) / q(x_i)  is estimated by  d log(nu_i / rho_i) + log(m / (n - 1)),

and the Kullback-Leibler divergence is the mean over i: Perez-Cruz 2008 (eq. 14),
Wang, Kulkarni and Verdu 2009 (eq. 5).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from kldiv._backends import BACKENDS
from kldiv._duplicates import row_ids
from kldiv._kernels._distances import ball_members
from kldiv._neighbors import NeighborDistances
from kldiv._validation import FloatArray

CORRECTIONS = (None, "adaptive")

# A closed ball holds the row that defines its radius, however the two were rounded.
_RADIUS_SLACK = 1e-12


def fixed_log_ratio(neighbors: NeighborDistances) -> NDArray[np.float64]:
    """log p/q at each row of X by the published estimator, shape (n,), nats."""
    rho, nu = neighbors.block("xx")[:, -1], neighbors.block("xy")[:, -1]
    ratio: NDArray[np.float64] = neighbors.n_features * np.log(nu / rho) + np.log(
        neighbors.m / (neighbors.n - 1)
    )
    return ratio


def ball_log_ratio(
    rho: NDArray[np.float64],
    nu: NDArray[np.float64],
    k_rho: NDArray[np.intp],
    k_nu: NDArray[np.intp],
    neighbors: NeighborDistances,
) -> NDArray[np.float64]:
    """log p/q at each row of X when the neighbour counts differ per row, nats.

    A ball that holds k of N other rows has expected log mass digamma(k) up to a
    term in N alone (Wang, Kulkarni and Verdu 2009, eq. 29).
    """
    ratio: NDArray[np.float64] = (
        neighbors.n_features * np.log(nu / rho)
        + digamma(k_rho)
        - digamma(k_nu)
        + np.log(neighbors.m / (neighbors.n - 1))
    )
    return ratio


def adaptive_log_ratio(
    X: FloatArray, Y: FloatArray, neighbors: NeighborDistances, threads: int
) -> NDArray[np.float64]:
    """log p/q at each row of X with k chosen per row, shape (n,), nats.

    Both samples are counted in the larger of the two k-th neighbour balls (Wang,
    Kulkarni and Verdu 2009, section IV), and each radius is that of the farthest
    row counted.
    """
    rho, nu, _, _ = positive_balls(X, Y, neighbors, threads)
    radii = np.maximum(rho, nu)
    k_rho, rho = _closed_balls(X, X, radii, True, threads)
    k_nu, nu = _closed_balls(X, Y, radii, False, threads)
    return ball_log_ratio(rho, nu, k_rho, k_nu, neighbors)


def expanded_log_ratio(
    X: FloatArray, Y: FloatArray, neighbors: NeighborDistances, threads: int
) -> NDArray[np.float64]:
    """log p/q at each row of X, k grown to the first positive distance, nats."""
    return ball_log_ratio(*positive_balls(X, Y, neighbors, threads), neighbors)


def positive_balls(
    X: FloatArray, Y: FloatArray, neighbors: NeighborDistances, threads: int
) -> tuple[
    NDArray[np.float64], NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]
]:
    """Radii in X and in Y, and rows in each ball, where k-th distances may be zero.

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
        radius[rows] = _first_positive(queries, data, "XY"[own == 0], threads)
        # The row itself is a member of its own sample; it does not count.
        count[rows] = (
            _closed_balls(queries, data, radius[rows], False, threads)[0] - own
        )
    return rho, nu, k_rho, k_nu


def _first_positive(
    queries: FloatArray, data: FloatArray, name: str, threads: int
) -> NDArray[np.float64]:
    """Smallest positive distance from each query to a row of data."""
    distinct = np.ascontiguousarray(data[np.unique(row_ids(data))])
    if len(distinct) < 2:
        raise ValueError(
            f"all {len(data)} rows of {name} are equal, so no neighbour has a positive "
            "distance: the sample has no density and the divergence is infinite or "
            "undefined."
        )
    nearest = BACKENDS["tree"](
        queries, distinct, 2, exclude_self=False, n_threads=threads
    )
    return np.where(nearest[:, 0] > 0, nearest[:, 0], nearest[:, 1])


def _closed_balls(
    queries: FloatArray,
    data: FloatArray,
    radii: NDArray[np.float64],
    exclude_self: bool,
    threads: int,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows of data in each ball and the largest of their distances."""
    counts, largest = np.empty(len(queries), dtype=np.intp), np.empty(len(queries))
    ball_members(
        queries,
        data,
        radii * (1 + _RADIUS_SLACK),
        exclude_self,
        counts,
        largest,
        threads,
    )
    return counts, largest


def kl(log_ratio: NDArray[np.float64]) -> float:
    """Kullback-Leibler divergence D(P || Q): the mean of log p/q under P, nats."""
    return float(log_ratio.mean())


DIVERGENCES: dict[str, Callable[[NDArray[np.float64]], float]] = {"kl": kl}
