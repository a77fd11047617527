"""The plane that holds the rows of two samples that are read in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np

from kldiv._ranges._moments import Change, Moments, Sample
from kldiv._ranges._planes import (
    Scaled,
    flat_sample,
    into_plane,
    is_surely_full,
    rank_of,
    rounding,
    span_of,
)
from kldiv._typing import FloatArray, Floats


class Stored(Protocol):
    """Rows that are read by ranges."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def dtype(self) -> Any:
        """Of the numbers."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> FloatArray: ...

    def changed(
        self, change: Callable[[FloatArray], FloatArray], width: int, dtype: Any = ...
    ) -> Stored:
        """What becomes of the rows as they are read, and its columns."""
        ...


@dataclass(frozen=True)
class StoredSpan:
    """Two stored samples in the plane that holds their rows.

    Attributes
    ----------
    samples : tuple of Stored or ndarray
        The samples: as given, or brought into the plane as they are read.
    flat : (str, int) or None
        A sample that lies on a plane without the other, and its dimension.
    """

    samples: Sequence[Any]
    flat: tuple[str, int] | None


def span_of_stored(
    samples: tuple[Stored, Stored], moments: tuple[Moments, Moments], step: int
) -> StoredSpan:
    """The plane that holds the rows of both samples, so many of which are read at once.

    Distances are those of `span_of` with any basis.
    """
    d = samples[0].shape[1]
    if sum(map(len, samples)) <= d + 1:
        X, Y = (Sample(one[:]) for one in samples)
        span = span_of(X, Y, any_basis=True)
        return StoredSpan((span.X, span.Y), span.flat)
    together = moments[0] + moments[1]
    centre, size = together.mean, together.sizes()
    least = rounding(samples[0], samples[1], centre, size)
    values, vectors = np.linalg.eigh(together.scaled(size))
    if not is_surely_full(values):
        scaled = [Scaled(one, centre, size, step) for one in samples]
        change = into_plane(scaled, values, vectors, least, any_basis=True)
        if change is not None:
            d = change(np.zeros((1, d))).shape[1]
            moments = (
                moments[0].changed(change, centre, size),
                moments[1].changed(change, centre, size),
            )
            of_rows = partial(_changed, change, centre, size)
            samples = samples[0].changed(of_rows, d), samples[1].changed(of_rows, d)
            size = np.ones(d)
    ranks = (
        rank_of(rows, one, size, least, step)
        for rows, one in zip(samples, moments, strict=True)
    )
    return StoredSpan(samples, flat_sample(ranks, d))


def _changed(change: Change, centre: Floats, size: Floats, rows: FloatArray) -> Floats:
    return change((rows - centre) / size)
