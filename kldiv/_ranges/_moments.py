"""Numbers, means and scatters of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from kldiv._typing import FloatArray, Floats, Rows

#: Rows of standardised columns, or their scatter, in coordinates of a plane.
Change = Callable[[Floats], Floats]

# Rows are multiplied in parts that stay in the cache, but of so many rows at least.
_NUMBERS_AT_A_TIME, _ROWS_AT_A_TIME = 1 << 20, 256


@dataclass(frozen=True)
class Moments:
    """Number, mean and scatter of rows.

    Attributes
    ----------
    n : int
        Rows.
    mean : ndarray of shape (d,), float64
        Their mean.
    scatter : ndarray of shape (d, d), float64
        Sum of the products of centred columns.
    """

    n: int
    mean: Floats
    scatter: Floats

    def __add__(self, other: Moments) -> Moments:
        """Moments of the rows of both."""
        n, gap = self.n + other.n, other.mean - self.mean
        between = np.outer(gap, gap) * (self.n * other.n / n)
        mean = self.mean + gap * (other.n / n)
        return Moments(n, mean, self.scatter + other.scatter + between)

    def of_columns(self, columns: Rows) -> Moments:
        """Moments of some of the columns, in this order."""
        scatter = self.scatter[np.ix_(columns, columns)]
        return replace(self, mean=self.mean[columns], scatter=scatter)

    def changed(self, change: Change, centre: Floats, size: Floats) -> Moments:
        """Moments of ``change((rows - centre) / size)``, which is linear."""
        scatter = change(change(self.scaled(size)).T)
        mean = change(((self.mean - centre) / size)[np.newaxis])[0]
        return Moments(self.n, mean, scatter)

    def scaled(self, size: Floats) -> Floats:
        """Scatter of the columns in units of `size`."""
        return self.scatter / np.outer(size, size)

    def sizes(self) -> Floats:
        """Standard deviations of the columns; 1 where a column does not vary."""
        size = np.sqrt(np.maximum(self.scatter.diagonal(), 0.0) / self.n)
        return np.where(size > 0, size, 1.0)


def moments_of(rows: FloatArray) -> Moments:
    """Moments of rows, in float64."""
    n, d = rows.shape
    mean, scatter = rows.mean(axis=0, dtype=np.float64), np.zeros((d, d))
    step = rows_at_a_time(d)
    for first in range(0, n, step):
        centred = rows[first : first + step] - mean
        scatter += centred.T @ centred
    return Moments(n, mean, scatter)


def rows_at_a_time(d: int) -> int:
    """Rows of d columns that are multiplied together."""
    return max(_ROWS_AT_A_TIME, _NUMBERS_AT_A_TIME // max(d, 1))


class Sample:
    """Rows, and what is found out about them once, however often it is asked.

    `find` finds their moments, if they may be known already.
    """

    def __init__(
        self, rows: FloatArray, find: Callable[[], Moments] | None = None
    ) -> None:
        self.rows, self._find = rows, find or partial(moments_of, rows)

    @cached_property
    def moments(self) -> Moments:
        """Moments of all rows."""
        return self._find()

    @cached_property
    def part(self) -> Moments:
        """Moments of some evenly spaced rows, enough to span all columns."""
        n, d = self.rows.shape
        step = n // (3 * d + 50)
        return moments_of(self.rows[::step]) if step > 1 else self.moments
