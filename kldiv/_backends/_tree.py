"""Search by scipy's k-d tree, distances measured again in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from kldiv._kernels._distances import pair_distances
from kldiv._validation import FloatArray


def knn_distances(
    queries: FloatArray,
    data: FloatArray,
    n_neighbors: int,
    *,
    exclude_self: bool,
    n_threads: int,
) -> NDArray[np.float64]:
    """Distances of each query to its nearest rows of `data`, ascending.

    Parameters
    ----------
    queries, data : ndarray of shape (n, d) and (m, d), float32 or float64
        Checked, C-contiguous, of one dtype.
    n_neighbors : int
        Columns of the result.
    exclude_self : bool
        Whether `queries` is `data` and row i must not find row i.
    n_threads : int
        Threads.

    Returns
    -------
    ndarray of shape (n, n_neighbors), float64
    """
    # Unbalanced and uncompacted: blocks of equal rows would make the build quadratic.
    tree = cKDTree(data, balanced_tree=False, compact_nodes=False)
    n_found = n_neighbors + exclude_self
    indices = tree.query(queries, k=np.arange(1, n_found + 1), workers=n_threads)[1]
    if exclude_self:
        indices = _without_self(indices)
    indices = np.ascontiguousarray(indices, dtype=np.intp)
    distances = np.empty(indices.shape)
    pair_distances(queries, data, indices, distances, n_threads)
    distances.sort(axis=1)
    return distances


def _without_self(indices: NDArray[np.intp]) -> NDArray[np.intp]:
    """Remove each row's own index, or its last entry where it was not found."""
    n, k = indices.shape
    own = indices == np.arange(n)[:, None]
    own[~own.any(axis=1), -1] = True  # more than k rows equal to this one
    others: NDArray[np.intp] = indices[~own].reshape(n, k - 1)
    return others
