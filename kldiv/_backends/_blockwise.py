"""Neighbours among rows in blocks: search pairs of blocks, merge what was found.

The nearest of a union are among the nearest of its parts, so that the blocks of the
data can be searched in any order and anywhere; only k columns travel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._blocks._collections import is_collection, run, threads_here
from kldiv._blocks._rows import BlockRows, block_rows
from kldiv._typing import BlockArrays, FloatArray, UserMetric
from kldiv._validation import check_same_columns, check_sample

Nearest = tuple[NDArray[np.float64], NDArray[np.int32] | None]


@dataclass(frozen=True)
class PairSearch:
    """How the rows of two blocks are searched, whichever they are.

    Attributes
    ----------
    search : callable
        ``search(X, Y, n_neighbors, blocks, metric=, n_threads=, return_indices=)`` by
        the algorithm that suits them.
    n_neighbors : int
        Neighbours asked for.
    metric : str or callable
        Metric.
    n_threads : int
        Threads of one search.
    return_indices : bool
        Whether to return the rows found as well.
    """

    search: Callable[..., BlockArrays]
    n_neighbors: int
    metric: str | UserMetric
    n_threads: int
    return_indices: bool

    def whole(self, X: FloatArray, Y: FloatArray, blocks: Sequence[str]) -> BlockArrays:
        """All neighbours of samples of one block each."""
        return self._search(X, Y, self.n_neighbors, blocks)

    def nearest(
        self, queries: FloatArray, data: FloatArray, itself: bool, start: int
    ) -> Nearest:
        """As many neighbours in a block as it has; `start` is its first row."""
        k = min(self.n_neighbors, len(data) - itself)
        block = "xx" if itself else "xy"
        if k == 0:
            none = np.empty((len(queries), 0))
            return none, none.astype(np.int32) if self.return_indices else None
        far, rows = self._search(queries, data, k, (block,))[block]
        return far, None if rows is None else rows + np.int32(start)

    def merge(self, *parts: Nearest) -> Nearest:
        """The nearest of two; among equal distances those of the first."""
        far = np.concatenate([far for far, _ in parts], axis=1)
        order = np.argsort(far, axis=1, kind="stable")[:, : self.n_neighbors]
        nearest = np.take_along_axis(far, order, 1)
        if not self.return_indices:
            return nearest, None
        rows = np.concatenate([rows for _, rows in parts if rows is not None], axis=1)
        return nearest, np.take_along_axis(rows, order, 1)

    def _search(
        self, X: FloatArray, Y: FloatArray, k: int, blocks: Sequence[str]
    ) -> BlockArrays:
        return self.search(
            X,
            Y,
            k,
            blocks,
            metric=self.metric,
            n_threads=self.n_threads,
            return_indices=self.return_indices,
        )


def search_blocks(
    search: Callable[..., BlockArrays],
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

    Samples of one block each that threads of this process compute are searched as if
    they had been arrays, by as many threads.

    Parameters
    ----------
    search : callable
        How two blocks of rows are searched.
    X, Y : BlockRows, dask array, dask data frame or ndarray
        The samples.
    n_neighbors : int
        Columns of each block.
    blocks : sequence of {"xx", "xy", "yy", "yx"}
        Searches to make.
    metric : str or callable
        Metric.
    n_threads : int
        Not used: the scheduler says how many there are.
    return_indices : bool
        Whether to return the rows found as well.

    Returns
    -------
    dict of str to (ndarray of float64, ndarray of int32 or None)
        Distances, ascending, and row numbers of each block, in this process.
    """
    samples = {"x": block_rows(X, "X"), "y": block_rows(Y, "Y")}
    threads = threads_here()
    pair = PairSearch(search, n_neighbors, metric, threads or 1, return_indices)
    if threads and all(len(rows.blocks) == 1 for rows in samples.values()):
        x, y = run([rows.blocks[0] for rows in samples.values()])
        return pair.whole(x, y, blocks)
    found = {}
    for block in blocks:  # one after the other: workers hold less at a time
        queries, data = (samples[side] for side in block)
        some = run(
            [
                _one_query_block(pair, queries, data, i, block)
                for i in range(len(queries.blocks))
            ]
        )
        rows = [rows for _, rows in some]
        found[block] = (
            np.concatenate([far for far, _ in some]),
            np.concatenate(rows) if return_indices else None,
        )
    return found


def _one_query_block(
    pair: PairSearch, queries: BlockRows, data: BlockRows, i: int, block: str
) -> Any:
    """The tree of tasks that finds the neighbours of one block of queries."""
    import dask

    nearest, merged = dask.delayed(pair.nearest), dask.delayed(pair.merge)
    own, within = queries.blocks[i], block[0] == block[1]
    found = [
        nearest(own, other, within and i == j, start)
        for j, (other, start) in enumerate(zip(data.blocks, data.starts, strict=True))
    ]
    while len(found) > 1:
        pairs = [found[j : j + 2] for j in range(0, len(found), 2)]
        found = [merged(*parts) for parts in pairs]
    return found[0]


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
