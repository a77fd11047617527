"""Neighbours among rows that are further apart in time than an exclusion window.

Rows of a series lie near each other because they follow each other. Neighbours within a
sample that came less than a window apart say so and nothing about the distribution
(Theiler 1986).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kldiv._typing import FloatArray, Floats, Mask, Rows

#: From rows and k to distances and numbers of their k nearest, themselves included.
Find = Callable[[Rows, int], tuple[Floats, NDArray[np.integer]]]

# A closed ball holds the row that defines its radius, however the two were rounded.
_RADIUS_SLACK = 1e-12
_NUMBERS_AT_A_TIME = 1 << 22


@dataclass(frozen=True, eq=False)
class Apart:
    """When the rows of a sample came, and how far apart they must be.

    Attributes
    ----------
    places : ndarray of shape (n,)
        Place of each row in the series.
    window : int
        Rows at most so many places apart are no neighbours.
    """

    places: Rows
    window: int

    def others(self) -> Rows:
        """How many rows can be neighbours of each row."""
        ordered = np.sort(self.places)
        first = np.searchsorted(ordered, self.places - self.window, "left")
        last = np.searchsorted(ordered, self.places + self.window, "right")
        found: Rows = len(ordered) - (last - first)
        return found

    def check(self, k: int, name: str) -> None:
        """Raise ValueError if a row has fewer than k possible neighbours."""
        least = int(self.others().min())
        if least < k:
            raise ValueError(
                f"exclusion_window={self.window} leaves a row of {name} {least} of "
                f"{len(self.places)} rows as neighbours, and n_neighbors={k} needs "
                f"{k}. Lower exclusion_window, or bring a longer series."
            )

    def nearest(self, find: Find, k: int) -> tuple[Floats, Rows]:
        """Distances to the k nearest rows outside the window, and which they are."""
        n = len(self.places)
        distances, indices = np.empty((n, k)), np.empty((n, k), dtype=np.intp)
        rows, listed = np.arange(n), k + 1 + min(2 * self.window, k + 8)
        while rows.size:
            listed = min(listed, n)
            short = []
            for some in _parts(rows, _NUMBERS_AT_A_TIME // listed):
                far, near = find(some, listed)
                allowed = ~self.within(some, near)
                enough = allowed.sum(axis=1) >= k
                first = np.argsort(~allowed[enough], axis=1, kind="stable")[:, :k]
                done = some[enough]
                distances[done] = np.take_along_axis(far[enough], first, axis=1)
                indices[done] = np.take_along_axis(near[enough], first, axis=1)
                short.append(some[~enough])
            rows, listed = np.concatenate(short), 2 * listed
        return distances, indices

    def within(self, rows: Rows, others: NDArray[np.integer]) -> Mask:
        """Whether others, shape (b, any), are in the windows of rows, shape (b,)."""
        gaps = np.abs(self.places[others] - self.places[rows][:, None])
        inside: Mask = gaps <= self.window
        return inside

    def inside(self, X: FloatArray, radii: Floats) -> Rows:
        """How many other rows of its window lie in the closed ball around each row."""
        order = np.argsort(self.places, kind="stable")
        places, rows = self.places[order], X[order].astype(np.float64)
        reach = radii[order] * (1 + _RADIUS_SLACK)
        counts = np.zeros(len(order), dtype=np.intp)
        for step in range(1, min(self.window, len(order) - 1) + 1):
            near = places[step:] - places[:-step] <= self.window
            far = np.sqrt(((rows[step:] - rows[:-step]) ** 2).sum(axis=1))
            counts[step:] += near & (far <= reach[step:])
            counts[:-step] += near & (far <= reach[:-step])
        found = np.empty_like(counts)
        found[order] = counts
        return found


def check_in_memory(algorithm: str) -> None:
    """Raise ValueError if a search looks at samples elsewhere."""
    if algorithm in ("torch", "chunks", "dask"):
        raise ValueError(
            f"exclusion_window is for samples in memory; algorithm={algorithm!r} "
            "searches them elsewhere. Give arrays and algorithm='auto'."
        )


def _parts(rows: Rows, most: int) -> Iterator[Rows]:
    for first in range(0, len(rows), max(1, most)):
        yield rows[first : first + max(1, most)]
