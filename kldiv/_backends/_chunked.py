"""Neighbours within a limit of memory: pairs of chunks, read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from kldiv._backends._blockwise import Nearest, PairSearch
from kldiv._blocks._collections import dask_array, is_collection
from kldiv._typing import BlockArrays, FloatArray, UserMetric
from kldiv._validation import as_array, check_same_columns, check_sample

# Bytes for each row of a chunk, of d columns: what searches make of queries and data
# (centred, and brought into a safe range), and the neighbours found so far. Measured by
# benchmarks/scale.py. Rows that are read or converted come on top, for queries, data
# and data read ahead.
_OF_SEARCH, _OF_COPIES, _OF_NEIGHBOR, _OF_ROW = 25, 24, 80, 128
_DEFAULT_LIMIT = 1 << 28
_ROWS_TO_CHECK = 1 << 10


@dataclass(frozen=True)
class ChunkedRows:
    """Rows that are read in ranges, from memory, a memory map or a store on disk.

    Attributes
    ----------
    source : object with ``shape``, ``dtype`` and slices of rows
        Where they are.
    name : str
        What messages call the sample.
    """

    source: Any
    name: str

    def __len__(self) -> int:
        return int(self.source.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), int(np.prod(self.source.shape[1:]))

    def read(self, start: int, stop: int) -> FloatArray:
        """Rows from `start` up to `stop`, checked."""
        called = f"{self.name}, counted from row {start},"
        return check_sample(self.source[start:stop], called)


def check_chunked(X: Any, Y: Any) -> tuple[ChunkedRows, ChunkedRows]:
    """Two samples that can be read in chunks; rows elsewhere are checked when read.

    Raises
    ------
    ValueError
        For no rows or columns, or different columns.
    """
    check_same_columns(X, Y, ("X", "Y"))
    x, y = (ChunkedRows(_sliceable(S, n), n) for S, n in ((X, "X"), (Y, "Y")))
    check_sample(np.zeros((min(1, len(x)), x.shape[1])), "X")
    check_sample(np.zeros((min(1, len(y)), y.shape[1])), "Y", n_features=x.shape[1])
    for rows in (x, y):
        if type(rows.source) is np.ndarray:  # in memory: refused before any search
            for start in range(0, len(rows), _ROWS_TO_CHECK):
                rows.read(start, start + _ROWS_TO_CHECK)
    return x, y


def _sliceable(sample: Any, name: str) -> Any:
    """The sample if rows of it can be read, otherwise an array of it."""
    if is_collection(sample):
        return dask_array(sample, name)
    frame = hasattr(sample, "iloc")  # slices of it go by labels
    known = isinstance(getattr(sample, "dtype", None), np.dtype)
    if known and not frame and len(sample.shape):
        return sample
    array = as_array(sample, name)
    return array.reshape(-1, 1) if array.ndim == 1 else array


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
        Bytes of working memory beyond samples and answer; 256 MB by default.

    Returns
    -------
    dict of str to (ndarray of float64, ndarray of int32 or None)
        Distances, ascending, and row numbers of each block.
    """
    samples = {
        name: S if isinstance(S, ChunkedRows) else ChunkedRows(S, name.upper())
        for name, S in (("x", X), ("y", Y))
    }
    step = _rows_within(memory_limit or _DEFAULT_LIMIT, samples.values(), n_neighbors)
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
            distances[start : start + len(chunk)] = far
            if rows is not None and near is not None:
                rows[start : start + len(chunk)] = near
        found[block] = distances, rows
    return found


def _rows_within(limit: int, samples: Iterable[ChunkedRows], n_neighbors: int) -> int:
    """Rows of a chunk."""
    dtypes = set()
    for rows in samples:
        d = rows.shape[1]
        here = isinstance(rows.source, np.ndarray) and rows.source.flags.c_contiguous
        dtypes.add(rows.source.dtype if here else None)
    as_they_are = len(dtypes) == 1 and dtypes <= {np.dtype("f4"), np.dtype("f8")}
    each = d * (_OF_SEARCH + (0 if as_they_are else _OF_COPIES))
    return max(1, limit // (each + n_neighbors * _OF_NEIGHBOR + _OF_ROW))


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
