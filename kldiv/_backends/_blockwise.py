"""Neighbours among rows in blocks: search pairs of blocks, merge what was found.

The nearest of a union are among the nearest of its parts, so that the blocks of the
data can be searched in any order and anywhere; only k columns travel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._blocks._collections import is_collection, run
from kldiv._blocks._rows import BlockRows, block_rows
from kldiv._typing import BlockArrays, FloatArray, UserMetric
from kldiv._validation import check_same_columns, check_sample

Nearest = tuple[NDArray[np.float64], NDArray[np.int64]]
# Searches one pair of blocks: queries, data, k, whether they are the same rows, metric,
# threads.
Search = Callable[[FloatArray, FloatArray, int, bool, Any, int], Nearest]


def search_blocks(
    search: Search,
    X: Any,
    Y: Any,
    n_neighbors: int,
    blocks: Sequence[str],
    *,
    metric: str | UserMetric = "euclidean",
    n_threads: int = 1,  # noqa: ARG001 - workers are the parallel level
    return_indices: bool = False,
) -> BlockArrays:
    """Search all `blocks` on the dask scheduler in force.

    Parameters
    ----------
    search : callable
        How one block of queries is searched in one block of data.
    X, Y : BlockRows, dask array, dask data frame or ndarray
        The samples.
    n_neighbors : int
        Columns of each block.
    blocks : sequence of {"xx", "xy", "yy", "yx"}
        Searches to make.
    metric : str or callable
        Metric.
    n_threads : int
        Not used: a task is one thread.
    return_indices : bool
        Whether to return the rows found as well.

    Returns
    -------
    dict of str to (ndarray of float64, ndarray of int32 or None)
        Distances, ascending, and row numbers of each block, in this process.
    """
    samples = {"x": block_rows(X, "X"), "y": block_rows(Y, "Y")}
    tasks = [
        _one_query_block(
            search, samples[block[0]], samples[block[1]], i, block, n_neighbors, metric
        )
        for block in blocks
        for i in range(len(samples[block[0]].blocks))
    ]
    results, per_block = run(tasks), {}
    for block in blocks:
        size = len(samples[block[0]].blocks)
        some, results = results[:size], results[size:]
        distances = np.concatenate([far for far, _ in some])
        rows = np.concatenate([rows for _, rows in some]).astype(np.int32)
        per_block[block] = distances, rows if return_indices else None
    return per_block


def _one_query_block(
    search: Search,
    queries: BlockRows,
    data: BlockRows,
    i: int,
    block: str,
    n_neighbors: int,
    metric: Any,
) -> Any:
    """The tree of tasks that finds the neighbours of one block of queries."""
    import dask

    nearest, merged = dask.delayed(nearest_in_block), dask.delayed(merge)
    own, within = queries.blocks[i], block[0] == block[1]
    found = [
        nearest(search, own, other, n_neighbors, within and i == j, start, metric)
        for j, (other, start) in enumerate(zip(data.blocks, data.starts, strict=True))
    ]
    while len(found) > 1:
        pairs = [found[j : j + 2] for j in range(0, len(found), 2)]
        found = [merged(n_neighbors, *pair) for pair in pairs]
    return found[0]


def nearest_in_block(
    search: Search,
    queries: FloatArray,
    data: FloatArray,
    n_neighbors: int,
    itself: bool,
    start: int,
    metric: Any,
    n_threads: int = 1,
) -> Nearest:
    """As many neighbours in one block as it has; rows are counted over all blocks."""
    k = min(n_neighbors, len(data) - itself)
    if k == 0:
        return np.empty((len(queries), 0)), np.empty((len(queries), 0), np.int64)
    far, rows = search(queries, data, k, itself, metric, n_threads)
    return far, rows + start


def merge(n_neighbors: int, *parts: Nearest) -> Nearest:
    """The nearest of two; among equal distances those of the first."""
    far = np.concatenate([far for far, _ in parts], axis=1)
    rows = np.concatenate([rows for _, rows in parts], axis=1)
    order = np.argsort(far, axis=1, kind="stable")[:, :n_neighbors]
    return np.take_along_axis(far, order, 1), np.take_along_axis(rows, order, 1)


def check_blocks(X: Any, Y: Any) -> tuple[BlockRows, BlockRows] | None:
    """Two samples in blocks; None if neither is a dask collection.

    Raises
    ------
    ValueError
        For different columns, and what `block_rows` refuses. Numbers are checked when
        they are computed.
    """
    if not is_collection(X, Y):
        return None
    check_same_columns(X, Y, ("X", "Y"))
    pair = block_rows(X, "X"), block_rows(Y, "Y")
    if pair[0].n_features != pair[1].n_features:
        check_sample(
            np.zeros((1, pair[1].n_features)), "Y", n_features=pair[0].n_features
        )
    return pair
