"""Rows that are read in parts, from memory, a memory map or a store on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kldiv._blocks._collections import dask_array, is_collection
from kldiv._typing import FloatArray, Rows
from kldiv._validation import as_array, check_same_columns, check_sample, is_sparse

DEFAULT_LIMIT = 1 << 28
# Copies of a part of the rows, in float64, that are held at a time, and the share of
# the limit that some columns of all rows take.
_COPIES, _COLUMNS_SHARE = 6, 4
_ROWS_TO_CHECK = 1 << 10


@dataclass(frozen=True, eq=False)
class ChunkedRows:
    """Rows that are read in parts, each of which is checked.

    Slices give rows, ``[:, columns]`` gives columns, and an array of row numbers or
    truth values another sample, of which nothing is read yet.

    Attributes
    ----------
    source : object with ``shape``, ``dtype`` and slices of rows
        Where they are.
    name : str
        What messages call the sample.
    dtype : dtype
        What its numbers become.
    limit : int
        Bytes that are held at a time.
    rows : ndarray of int, or None
        Which of the source's rows these are; None for all, as they come. They are read
        in the order of the source.
    change : callable or None
        What is made of rows as they are read.
    width : int
        Columns after the change.
    """

    source: Any
    name: str
    dtype: Any
    limit: int = DEFAULT_LIMIT
    rows: Rows | None = None
    change: Callable[[FloatArray], FloatArray] | None = None
    width: int = 0

    def __len__(self) -> int:
        return int(self.source.shape[0]) if self.rows is None else self.rows.size

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), self.width if self.change else self._given_width

    @property
    def _given_width(self) -> int:
        return int(np.prod(self.source.shape[1:]))

    @cached_property
    def _reading(self) -> tuple[Rows | None, Rows | None]:
        """Rows of the source in its order, and which of these rows each one is."""
        if self.rows is None or (np.diff(self.rows) > 0).all():
            return self.rows, None
        order = np.argsort(self.rows)
        return self.rows[order], order

    @property
    def _step(self) -> int:
        """Rows of the source that are held at a time."""
        return max(1, self.limit // (8 * _COPIES * self._given_width))

    @property
    def columns_at_a_time(self) -> int:
        """Columns of all rows that are held at a time."""
        return max(1, self.limit // (8 * _COLUMNS_SHARE * len(self)))

    @property
    def step(self) -> int:
        """Rows that are held at a time."""
        return max(1, self.limit // (8 * _COPIES * max(self.shape[1], 1)))

    def changed(
        self,
        change: Callable[[FloatArray], FloatArray],
        width: int,
        dtype: Any = np.float64,
    ) -> ChunkedRows:
        """What becomes of these rows by another change, as they are read."""
        before = self.change

        def both(rows: FloatArray) -> FloatArray:
            return change(rows if before is None else before(rows))

        return replace(self, change=both, width=width, dtype=np.dtype(dtype))

    def numbers(self, read: Any) -> Any:
        """Which of these rows some are, of which is known when they are read."""
        order = self._reading[1]
        return read if order is None else order[read]

    def read(self, start: int, stop: int) -> FloatArray:
        """Rows from `start` up to `stop` in the order in which they are read."""
        stop = min(stop, len(self))
        if self.change is None:
            return self._given(start, stop)
        found = np.empty((stop - start, self.width), dtype=self.dtype)
        for first in range(start, stop, self._step):  # more columns than it has after
            last = min(first + self._step, stop)
            found[first - start : last - start] = self.change(self._given(first, last))
        return found

    def parts(self) -> Iterator[FloatArray]:
        """All rows, some at a time, in the order in which they are read."""
        for start in range(0, len(self), self.step):
            yield self.read(start, start + self.step)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return self._columns(key[1])
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self.read(start, stop)
            some = self[np.arange(start, stop, step)]
            return some.read(0, len(some))
        rows = np.flatnonzero(key) if key.dtype == bool else key
        return replace(self, rows=rows if self.rows is None else self.rows[rows])

    def _columns(self, columns: Any) -> FloatArray:
        here = isinstance(self.source, np.ndarray) and self.source.ndim == 2
        if here and self.change is None and isinstance(columns, slice):
            some = replace(self, source=self.source[:, columns])
            return some.read(0, len(self))  # the others need not be read
        shape = np.empty(self.shape[1])[columns].shape
        found, first = np.empty((len(self), *shape), dtype=self.dtype), 0
        for part in self.parts():
            found[first : first + len(part)] = part[:, columns]
            first += len(part)
        return found

    def _given(self, start: int, stop: int) -> FloatArray:
        rows = self._reading[0]
        if rows is None:
            found = self.source[start:stop]
        elif isinstance(self.source, np.ndarray):
            found = self.source[rows[start:stop]]
        else:
            found = self._picked(rows[start:stop])
        checked = check_sample(found, f"{self.name}, counted from row {start},")
        return checked if self.change else checked.astype(self.dtype, copy=False)

    def _picked(self, rows: Rows) -> Any:
        """Rows of a source that gives slices only, from as few as hold them."""
        found, first = [], 0
        while first < rows.size:
            start = rows[first]
            last = int(np.searchsorted(rows, start + self._step))
            window = as_array(self.source[start : rows[last - 1] + 1], self.name)
            found.append(window[rows[first:last] - start])
            first = last
        return np.concatenate(found)


def check_chunked(
    X: Any,
    Y: Any,
    memory_limit: int | None = None,
    names: tuple[str, str] = ("X", "Y"),
) -> tuple[ChunkedRows, ChunkedRows]:
    """Two samples that can be read in parts; rows elsewhere are checked when read.

    Raises
    ------
    ValueError
        For no rows or columns, or different columns.
    """
    if isinstance(X, ChunkedRows) and isinstance(Y, ChunkedRows):
        return X, Y
    check_same_columns(X, Y, names)
    limit = memory_limit or DEFAULT_LIMIT
    float64 = np.dtype(np.float64)
    x, y = (
        ChunkedRows(_sliceable(S, name), name, float64, limit)
        for S, name in zip((X, Y), names, strict=True)
    )
    d = x.shape[1]
    check_sample(np.zeros((min(1, len(x)), d)), names[0])
    check_sample(np.zeros((min(1, len(y)), y.shape[1])), names[1], n_features=d)
    first = [check_sample(rows.source[0:1], rows.name) for rows in (x, y)]
    x, y = (replace(rows, dtype=np.result_type(*first)) for rows in (x, y))
    for rows in (x, y):
        if type(rows.source) is np.ndarray:  # in memory: refused before any search
            for start in range(0, len(rows), _ROWS_TO_CHECK):
                rows.read(start, start + _ROWS_TO_CHECK)
    return x, y


def is_stored(sample: Any) -> bool:
    """Whether rows may be elsewhere than in memory, and come when asked for."""
    if is_collection(sample) or isinstance(sample, ChunkedRows):
        return True
    if type(sample) is np.ndarray or is_sparse(sample):
        return False
    frame = hasattr(sample, "iloc")  # slices of it go by labels
    known = isinstance(getattr(sample, "dtype", None), np.dtype)
    return known and not frame and len(sample.shape) > 0


def _sliceable(sample: Any, name: str) -> Any:
    """The sample if rows of it can be read, otherwise an array of it."""
    if is_collection(sample):
        return dask_array(sample, name)
    if is_stored(sample):
        return sample
    array = as_array(sample, name)
    return array.reshape(-1, 1) if array.ndim == 1 else array
