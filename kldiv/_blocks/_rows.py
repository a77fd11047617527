"""Rows in blocks, none of which needs to be here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kldiv._blocks._collections import dask_array, is_collection, threads_here
from kldiv._typing import FloatArray
from kldiv._validation import as_array, check_sample

# Neighbouring chunks are searched together up to the first number of bytes, because
# starting a task costs more than it does; chunks above the last are split. Threads of
# this process hold a block only once, and search many rows at less cost than few.
_LEAST_BYTES, _LEAST_BYTES_HERE, _MOST_BYTES = 1 << 21, 1 << 25, 1 << 26


@dataclass(frozen=True)
class BlockRows:
    """Rows in blocks.

    Attributes
    ----------
    blocks : tuple of dask.delayed.Delayed
        Checked rows of each block, C-contiguous.
    lengths : tuple of int
        Rows of each block, at least one.
    n_features : int
        Columns.
    """

    blocks: tuple[Any, ...]
    lengths: tuple[int, ...]
    n_features: int

    def __len__(self) -> int:
        return sum(self.lengths)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), self.n_features

    @property
    def starts(self) -> list[int]:
        """Number of the first row of each block."""
        return [0, *np.cumsum(self.lengths)[:-1].tolist()]


def block_rows(sample: Any, name: str) -> BlockRows:
    """Blocks of a dask array, a data frame or an array; computed, they are checked.

    Raises
    ------
    ValueError
        For chunks of unknown size or along columns, and for no rows or columns.
    """
    if isinstance(sample, BlockRows):
        return sample
    try:
        import dask
    except ImportError as error:
        raise ImportError(
            "algorithm='dask' needs dask, which is not installed. Run: pip install "
            "\"kldiv[dask]\", or choose algorithm='auto'."
        ) from error
    array = dask_array(sample, name) if is_collection(sample) else sample
    d = int(np.prod(array.shape[1:]))
    if 0 in array.shape:
        check_sample(np.empty(array.shape), name)
    chunks, sizes = [array], (len(array),)
    if array is not sample or is_collection(sample):
        chunks, sizes = array.to_delayed().reshape(-1), array.chunks[0]
    each, check = d * array.dtype.itemsize, dask.delayed(_checked)
    least = _LEAST_BYTES_HERE if threads_here() else _LEAST_BYTES
    blocks: list[Any] = []
    lengths: list[int] = []
    for whole, n in _groups(chunks, sizes, max(1, least // each)):
        most = max(1, _MOST_BYTES // each)
        step = -(-n // -(-n // most))  # pieces of nearly one size
        for first in range(0, n, step):
            size = min(step, n - first)
            blocks.append(check(whole, first, size, name, sum(lengths)))
            lengths.append(size)
    return BlockRows(tuple(blocks), tuple(lengths), d)


def _groups(
    chunks: Sequence[Any], sizes: Sequence[int], least: int
) -> list[tuple[list[Any], int]]:
    """Chunks with their neighbours until they have enough rows; none without rows."""
    groups: list[tuple[list[Any], int]] = []
    for chunk, size in zip(chunks, sizes, strict=True):
        if groups and groups[-1][1] < least:
            groups[-1] = [*groups[-1][0], chunk], groups[-1][1] + size
        elif size:
            groups.append(([chunk], size))
    return groups


def _checked(
    chunks: list[Any], first: int, size: int, name: str, start: int
) -> FloatArray:
    parts = [as_array(chunk, name) for chunk in chunks]
    rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
    called = f"{name}, counted from row {start},"
    return check_sample(rows[first : first + size], called)
