"""The plane that holds the rows of two samples that are read in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class StoredSpan:
    """Two stored samples in the plane that holds their rows.

    Attributes
    ----------
    samples : tuple of Stored
        The samples: as given, or brought into the plane as they are read.
    flat : (str, int) or None
        A sample that lies on a plane without the other, and its dimension.
    """

    samples: Sequence[Stored]
    flat: tuple[str, int] | None


@dataclass(frozen=True)
class _InPlane:
    """Rows that are brought into a plane as they are read."""

    rows: Stored
    centre: Floats
    size: Floats
    change: Change
    width: int
    dtype = np.dtype(np.float64)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), self.width

    def __getitem__(self, rows: slice, /) -> NDArray[np.float64]:
        return self.change((self.rows[rows] - self.centre) / self.size)


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
    size = together.sizes()
    least = rounding(samples[0], samples[1], together.mean, size)
    values, vectors = np.linalg.eigh(together.scaled(size))
    if not is_surely_full(values):
        scaled = [Scaled(one, together.mean, size, step) for one in samples]
        change = into_plane(scaled, values, vectors, least, any_basis=True)
        if change is not None:
            width = change(np.zeros((1, d))).shape[1]
            moments = (
                moments[0].changed(change, together.mean, size),
                moments[1].changed(change, together.mean, size),
            )
            samples = (
                _InPlane(samples[0], together.mean, size, change, width),
                _InPlane(samples[1], together.mean, size, change, width),
            )
            d, size = width, np.ones(width)
    ranks = (
        rank_of(rows, one, size, least, step)
        for rows, one in zip(samples, moments, strict=True)
    )
    return StoredSpan(samples, flat_sample(ranks, d))
