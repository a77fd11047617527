"""Nearest rows, by the searches of kldiv."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kldiv import neighbor_distances

Rows = NDArray[np.float64]


def nearest(rows: Rows, among: Rows, k: int = 1) -> tuple[Rows, NDArray[np.int64]]:
    """Distances and places of the k nearest rows of another sample.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Rows that look.
    among : ndarray of shape (m, d)
        Rows that are found.
    k : int, default=1
        How many; fewer where there are fewer.

    Returns
    -------
    tuple of ndarray of shape (n, k)
        Distances, ascending, and places in `among`.
    """
    found = neighbor_distances(
        rows,
        among,
        n_neighbors=min(k, len(among)),
        blocks=("xy",),
        return_indices=True,
    )
    return found.block("xy"), np.asarray(found.xy_indices)


def own_radius(rows: Rows, k: int) -> NDArray[np.float64]:
    """Distance of every row to its k-th neighbour in its own sample.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        More than k rows.
    k : int
        Which neighbour.

    Returns
    -------
    ndarray of shape (n,)
        The radii.
    """
    found = neighbor_distances(rows, rows[:1], n_neighbors=k, blocks=("xx",))
    radius: NDArray[np.float64] = found.block("xx")[:, -1]
    return radius
