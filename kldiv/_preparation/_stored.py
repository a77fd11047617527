"""What an estimate needs to know of two samples that are read in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kldiv._duplicates import (
    count_duplicates,
    discrete_columns,
    refuse_duplicates,
    row_hashes,
)
from kldiv._order import row_order
from kldiv._preparation._flat import singular_notes
from kldiv._preparation._pair import (
    PreparedPair,
    duplicate_notes,
    same_sample_note,
)
from kldiv._ranges import Moments, Stored, moments_of, span_of_stored
from kldiv._typing import FloatArray, Mask
from kldiv._validation import check_sizes


class Source(Stored, Protocol):
    """Rows that are read and checked in parts."""

    @property
    def step(self) -> int:
        """Rows that may be held at a time."""
        ...

    def parts(self) -> Iterator[FloatArray]:
        """All rows, some at a time."""
        ...


@dataclass(frozen=True)
class _Seen:
    """What one reading of a sample finds out."""

    hashes: NDArray[np.uint64]
    moments: Moments
    varies: Mask


def prepare_stored(X: Any, Y: Any, n_neighbors: int, *, finite: bool) -> PreparedPair:
    """Prepare two samples that are read in parts for estimators that search them.

    `finite` says that the divergence is finite whatever the distributions are.

    Returns
    -------
    PreparedPair
        Its X and Y are read in parts, in the order of `prepare`.

    Raises
    ------
    ValueError
        For rows that repeat, and for values whose squares are no finite numbers.
    """
    first = X[:1]
    seen = [_seen(one, first) for one in (X, Y)]
    hashes: list[Any] = [one.hashes[:, np.newaxis] for one in seen]
    counts, *stays = count_duplicates(*hashes)
    order = row_order(X), row_order(Y)
    d = X.shape[1]
    if counts.same_sample:
        note = same_sample_note(len(X))
        return PreparedPair(X, Y, d, counts.total, True, None, (note,), order)
    discrete = discrete_columns(X, Y)
    if counts.total:
        refuse_duplicates(counts, discrete=discrete, in_parts=True)
    notes = duplicate_notes(counts, discrete, "raise", *stays)
    check_sizes(n_neighbors, len(X), len(Y))
    columns = np.flatnonzero(seen[0].varies | seen[1].varies)
    samples = X, Y
    if columns.size < d:
        taken = partial(np.take, indices=columns, axis=1)
        samples = tuple(one.changed(taken, columns.size, one.dtype) for one in samples)
    moments = seen[0].moments.of_columns(columns), seen[1].moments.of_columns(columns)
    span = span_of_stored(samples, moments, min(one.step for one in samples))
    x, y = span.samples
    notes += singular_notes(x, y, span.flat, finite=finite)
    x, y, d = x[order[0]], y[order[1]], x.shape[1]
    return PreparedPair(x, y, d, 0, False, None, notes, order)


def _seen(rows: Source, first: FloatArray) -> _Seen:
    hashes, varies, moments = [], np.zeros(rows.shape[1], dtype=bool), None
    for part in rows.parts():
        hashes.append(row_hashes(part))
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
    return _Seen(np.concatenate(hashes), moments, varies)
