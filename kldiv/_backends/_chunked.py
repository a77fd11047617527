"""Neighbours within a limit of memory: pairs of chunks, read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from kldiv._backends._blockwise import Nearest, PairSearch
from kldiv._backends._parts import ChunkedRows, check_chunked
from kldiv._typing import BlockArrays, FloatArray, UserMetric

# Bytes for each row of a chunk, of d columns: what searches make of queries and data
# (centred, and brought into a safe range), and the neighbours found so far. Measured by
# benchmarks/scale.py. Rows that are read or converted come on top, for queries, data
# and data read ahead.
_OF_SEARCH, _OF_COPIES, _OF_NEIGHBOR, _OF_ROW = 25, 24, 80, 128


def search_chunks(
    search: Callable[..., BlockArrays],
    X: Any,
    Y: Any,
    n_neighbors: int,
    blocks: Sequence[str],
    *,
    metric: str | UserMetric = "euclidean",
    n_threads: int = 1,
    return_indices: bool = False,
    memory_limit: int | None = None,
) -> BlockArrays:
    """Search all `blocks`, a pair of chunks at a time.

    Parameters
    ----------
    search : callable
        How two chunks of rows are searched.
    X, Y : ChunkedRows or ndarray
        The samples.
    n_neighbors : int
        Columns of each block.
    blocks : sequence of {"xx", "xy", "yy", "yx"}
        Searches to make.
    metric : str or callable
        Metric.
    n_threads : int
        Threads of each search.
    return_indices : bool
        Whether to return the rows found as well.
    memory_limit : int, optional
        Bytes of working memory beyond samples and answer; by default those that X
        says.

    Returns
    -------
    dict of str to (ndarray of float64, ndarray of int32 or None)
        Distances, ascending, and row numbers of each block.
    """
    x, y = check_chunked(X, Y)
    samples = {"x": x, "y": y}
    step = _rows_within(memory_limit or x.limit, samples.values(), n_neighbors)
    pair = PairSearch(search, n_neighbors, metric, n_threads, return_indices)
    found: BlockArrays = {}
    for block in blocks:
        queries, data = (samples[side] for side in block)
        shape = (len(queries), n_neighbors)
        distances = np.empty(shape)
        rows = np.empty(shape, np.int32) if return_indices else None
        for start, chunk in _read_ahead(queries, step):
            own = start if block[0] == block[1] else None
            far, near = _search_chunk(pair, chunk, data, step, own)
            at = queries.numbers(slice(start, start + len(chunk)))
            distances[at] = far
            if rows is not None and near is not None:
                rows[at] = data.numbers(near)
        found[block] = distances, rows
    return found


def _rows_within(limit: int, samples: Iterable[ChunkedRows], n_neighbors: int) -> int:
    """Rows of a chunk."""
    as_they_are = all(map(_as_they_are, samples))
    d = max(rows.shape[1] for rows in samples)
    each = d * (_OF_SEARCH + (0 if as_they_are else _OF_COPIES))
    return max(1, limit // (each + n_neighbors * _OF_NEIGHBOR + _OF_ROW))


def _as_they_are(rows: ChunkedRows) -> bool:
    """Whether parts are read without a copy."""
    source = rows.source
    here = isinstance(source, np.ndarray) and source.flags.c_contiguous
    alike = bool(source.dtype == rows.dtype) and rows.rows is None
    return here and alike and rows.change is None


def _search_chunk(
    pair: PairSearch,
    queries: FloatArray,
    data: ChunkedRows,
    step: int,
    own: int | None,
) -> Nearest:
    """The nearest of one chunk of queries, which is the one from `own`, in all data."""
    best: Nearest | None = None
    for start, chunk in _read_ahead(data, step):
        found = pair.nearest(queries, chunk, start == own, start)
        best = found if best is None else pair.merge(best, found)
    assert best is not None
    return best


def _read_ahead(rows: ChunkedRows, step: int) -> Iterator[tuple[int, FloatArray]]:
    """Start and rows of each chunk; the next one is read while one is used."""
    starts = range(0, len(rows), step)
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(rows.read, 0, step)
        for start in starts:
            chunk = ahead.result()
            if start + step < len(rows):
                ahead = pool.submit(rows.read, start + step, start + 2 * step)
            yield start, chunk
