"""What an estimate needs to know of two samples that are read in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kldiv._duplicates import count_duplicates, refuse_duplicates, row_hashes
from kldiv._preparation._pair import same_sample_note, singular_notes
from kldiv._ranges import Moments, Stored, moments_of, span_of_stored
from kldiv._typing import FloatArray, Mask, Rows
from kldiv._warnings import Note


class Source(Protocol):
    """Rows that are read and checked in ranges."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def __len__(self) -> int: ...

    def read(self, start: int, stop: int) -> FloatArray:
        """Rows from `start` up to `stop`."""
        ...


@dataclass(frozen=True)
class PreparedStore:
    """Two samples of which nothing needs to be found out any more.

    Attributes
    ----------
    samples : tuple of Stored
        Rows in the plane that holds them, brought there as they are read.
    dimension : int
        Of that plane.
    same_sample : bool
        Whether both held the same rows: then there is nothing to estimate.
    notes : tuple of Note
        What stands against an estimate.
    """

    samples: tuple[Stored, Stored]
    dimension: int
    same_sample: bool
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Columns:
    """Some columns of a source, as numbers of one kind."""

    source: Source
    columns: Rows
    dtype: Any

    def __len__(self) -> int:
        return len(self.source)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), self.columns.size

    def __getitem__(self, rows: slice, /) -> FloatArray:
        start, stop, _ = rows.indices(len(self))
        found = self.source.read(start, stop)
        if self.columns.size < found.shape[1]:
            found = found.take(self.columns, axis=1)
        return found.astype(self.dtype, copy=False)


@dataclass(frozen=True)
class _Seen:
    """What one reading of a sample finds out."""

    hashes: NDArray[np.uint64]
    moments: Moments
    varies: Mask


def prepare_stored(
    X: Source, Y: Source, dtype: Any, step: int, *, finite: bool
) -> PreparedStore:
    """Prepare two samples, so many rows of which are read at a time.

    Raises
    ------
    ValueError
        For rows that repeat, and for values whose squares are no finite numbers.
    """
    whole = np.arange(X.shape[1])
    given = _Columns(X, whole, dtype), _Columns(Y, whole, dtype)
    first = given[0][:1]
    seen = [_seen(one, first, step) for one in given]
    hashes: list[Any] = [one.hashes[:, np.newaxis] for one in seen]
    counts, _, _ = count_duplicates(*hashes)
    if counts.same_sample:
        return PreparedStore(given, whole.size, True, (same_sample_note(len(X)),))
    if counts.total:
        refuse_duplicates(counts)
    columns = np.flatnonzero(seen[0].varies | seen[1].varies)
    span = span_of_stored(
        (_Columns(X, columns, dtype), _Columns(Y, columns, dtype)),
        (seen[0].moments.of_columns(columns), seen[1].moments.of_columns(columns)),
        step,
    )
    d = span.samples[0].shape[1]
    notes = singular_notes(span.flat, d, finite=finite)
    return PreparedStore((span.samples[0], span.samples[1]), d, False, notes)


def _seen(rows: Stored, first: FloatArray, step: int) -> _Seen:
    hashes = np.empty(len(rows), dtype=np.uint64)
    varies, moments = np.zeros(rows.shape[1], dtype=bool), None
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        hashes[start : start + step] = row_hashes(part)
        varies |= (part != first).any(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            found = moments_of(part)
            moments = found if moments is None else moments + found
    assert moments is not None
    if not np.isfinite(moments.scatter).all():
        raise ValueError(
            "the samples hold values whose squares are no finite numbers. With "
            "memory_limit, bring them to a smaller unit first."
        )
    return _Seen(hashes, moments, varies)
