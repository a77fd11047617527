"""Distances to the nearest neighbours inside and across two samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray

from kldiv._backends import BACKENDS, choose_algorithm
from kldiv._validation import (
    FloatArray,
    check_choice,
    check_n_jobs,
    check_n_neighbors,
    check_pair,
    check_sizes,
)

BLOCKS = ("xx", "xy", "yy", "yx")
METRICS = ("euclidean",)


@dataclass(frozen=True)
class NeighborDistances:
    """Distances to the first `n_neighbors` neighbours, named by who looks where.

    Attributes
    ----------
    xx, xy : ndarray of shape (n, n_neighbors), float64, or None
        From each row of X to its neighbours inside X (itself excluded, by row
        index) and in Y, ascending.
    yy, yx : ndarray of shape (m, n_neighbors), float64, or None
        The same from each row of Y. A block that was not asked for is None.
    n, m : int
        Rows of X and Y.
    n_features : int
        Columns.
    n_neighbors : int
        Columns of each block.
    algorithm : str
        The search that ran, a key of ``BACKENDS``.
    metric : str
        Metric of the distances.
    """

    n: int
    m: int
    n_features: int
    n_neighbors: int
    algorithm: str
    metric: str = "euclidean"
    xx: NDArray[np.float64] | None = None
    xy: NDArray[np.float64] | None = None
    yy: NDArray[np.float64] | None = None
    yx: NDArray[np.float64] | None = None

    def block(self, name: str) -> NDArray[np.float64]:
        """The block called `name`, or ValueError if it was not searched."""
        values: NDArray[np.float64] | None = getattr(self, name)
        if values is None:
            raise ValueError(f"block {name!r} was not asked for in neighbor_distances.")
        return values


def n_threads(n_jobs: int | None) -> int:
    """Threads that ``n_jobs`` stands for: None is one, -1 all that joblib counts."""
    return 1 if n_jobs is None else int(effective_n_jobs(n_jobs))


def neighbor_distances(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    n_neighbors: int = 5,
    blocks: Sequence[str] = ("xx", "xy"),
    algorithm: str = "auto",
    metric: str = "euclidean",
    n_jobs: int | None = None,
) -> NeighborDistances:
    """Exact distances to the nearest neighbours inside and across two samples.

    Parameters
    ----------
    X : array-like of shape (n, n_features)
        First sample, float32 or float64; other numbers become float64.
    Y : array-like of shape (m, n_features)
        Second sample.
    n_neighbors : int, default=5
        How many neighbours of each row.
    blocks : sequence of {"xx", "xy", "yy", "yx"}, default=("xx", "xy")
        Which searches to make: "xy" looks from the rows of X into Y.
    algorithm : {"auto", ...}, default="auto"
        A key of the backends, or "auto" for the cheapest one.
    metric : {"euclidean"}, default="euclidean"
        Metric.
    n_jobs : int, optional
        Threads; None is one, -1 all available ones. The result does not depend on it.

    Returns
    -------
    NeighborDistances
        float64 distances, measured by direct differences.

    Raises
    ------
    ValueError
        For NaN, infinity, different widths, an unknown block or algorithm, or too
        few rows for `n_neighbors`.
    TypeError
        For sparse or non-numeric input or a non-integer `n_neighbors`.

    Examples
    --------
    >>> from kldiv import neighbor_distances
    >>> found = neighbor_distances([[0.0], [1.0]], [[0.5], [3.0]], n_neighbors=1)
    >>> found.xx.tolist(), found.xy.tolist()
    ([[1.0], [1.0]], [[0.5], [0.5]])
    """
    X, Y = check_pair(X, Y)
    n_neighbors = check_n_neighbors(n_neighbors)
    for block in blocks:
        check_choice(block, BLOCKS, "each of blocks")
    check_choice(metric, METRICS, "metric")
    check_choice(algorithm, ("auto", *BACKENDS), "algorithm")
    short_of = {"xx": len(X) - 1, "xy": len(Y), "yy": len(Y) - 1, "yx": len(X)}
    for block in blocks:
        if short_of[block] < n_neighbors:
            raise ValueError(
                f"n_neighbors={n_neighbors} is more than the {short_of[block]} rows "
                f"that block {block!r} can find (X has {len(X)} rows, Y has {len(Y)}). "
                "Lower n_neighbors or add rows."
            )
    return search(
        X,
        Y,
        n_neighbors,
        blocks=blocks,
        algorithm=algorithm,
        threads=n_threads(check_n_jobs(n_jobs)),
    )


def search(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    *,
    blocks: Sequence[str] = ("xx", "xy"),
    algorithm: str = "auto",
    threads: int = 1,
) -> NeighborDistances:
    """Search on checked arrays of one dtype; see `neighbor_distances`."""
    if "xx" in blocks and "xy" in blocks:
        check_sizes(n_neighbors, len(X), len(Y))
    if algorithm == "auto":
        algorithm = choose_algorithm(len(X), len(Y), X.shape[1], n_neighbors)
    knn_distances = BACKENDS[algorithm]
    samples = {"x": X, "y": Y}
    found = {
        block: knn_distances(
            samples[block[0]],
            samples[block[1]],
            n_neighbors,
            exclude_self=block[0] == block[1],
            n_threads=threads,
        )
        for block in blocks
    }
    return NeighborDistances(
        n=len(X),
        m=len(Y),
        n_features=X.shape[1],
        n_neighbors=n_neighbors,
        algorithm=algorithm,
        xx=found.get("xx"),
        xy=found.get("xy"),
        yy=found.get("yy"),
        yx=found.get("yx"),
    )
