"""The range of two samples: the plane that holds their rows, and who leaves it.

What is asked of the rows is their scatter, and the scatter of both samples together is
a sum: rows are multiplied once, however many questions follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg import qr, svd

from kldiv._typing import FloatArray, Floats, Mask

# Singular values below this share of the largest are rounding, not data.
_RANK_TOLERANCE = {np.dtype(np.float32): 3e-6, np.dtype(np.float64): 1e-10}
# A scatter squares the condition number: eigenvalues below this share are doubtful.
_CLEAR = 1e-11
# Directions below this share are looked at in the rows; those above stay apart.
_LOW = 1e-6


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

    def of_columns(self, columns: Mask) -> Moments:
        """Moments of some of the columns."""
        scatter = self.scatter[np.ix_(columns, columns)]
        return replace(self, mean=self.mean[columns], scatter=scatter)

    def along(self, basis: Floats, origin: Floats) -> Moments:
        """Moments of the rows less `origin`, times `basis`."""
        scatter = basis.T @ self.scatter @ basis
        return replace(self, mean=(self.mean - origin) @ basis, scatter=scatter)

    def sizes(self) -> Floats:
        """Standard deviations of the columns; 1 where a column does not vary."""
        size = np.sqrt(np.maximum(self.scatter.diagonal(), 0.0) / self.n)
        return np.where(size > 0, size, 1.0)


def moments_of(rows: FloatArray) -> Moments:
    """Moments of rows, in float64."""
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean
    return Moments(len(rows), mean, centred.T @ centred)


class Sample:
    """Rows, and what is found out about them once, however often it is asked."""

    def __init__(self, rows: FloatArray) -> None:
        self.rows = rows

    @cached_property
    def moments(self) -> Moments:
        """Moments of all rows."""
        return moments_of(self.rows)

    @cached_property
    def part(self) -> Moments:
        """Moments of some evenly spaced rows, enough to span all columns."""
        n, d = self.rows.shape
        return moments_of(self.rows[:: max(1, n // (3 * d + 50))])


def informative_columns(X: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both samples without the columns that hold one value in all rows of both.

    Such a column has no density; counting it in the dimension scales the estimate.
    """
    constant = (X[0] == X).all(axis=0) & (X[0] == Y).all(axis=0)
    if not constant.any() or constant.all():
        return X, Y
    return np.ascontiguousarray(X[:, ~constant]), np.ascontiguousarray(Y[:, ~constant])


@dataclass(frozen=True)
class Span:
    """Two samples in the plane that holds their rows.

    Attributes
    ----------
    X, Y : ndarray of shape (n, rank) and (m, rank)
        The samples: as given, or in an orthonormal basis of the plane.
    flat : (str, int) or None
        A sample that lies on a plane without the other, and its dimension.
    """

    X: FloatArray
    Y: FloatArray
    flat: tuple[str, int] | None


def span_of(X: Sample, Y: Sample) -> Span:
    """The plane that holds the rows of both samples, and who leaves it.

    The samples stay as they are if no plane of fewer dimensions holds them, or if
    there are so few rows that one always does. The divergence of rows on a plane is
    their divergence within the plane.
    """
    n, d = X.rows.shape
    parts = X.part, Y.part, X.part + Y.part
    size = parts[2].sizes()
    if all(part.n > d + 1 and _is_clear(part, size) for part in parts):
        return Span(X.rows, Y.rows, None)
    rows, moments = (X.rows, Y.rows), (X.moments, Y.moments)
    together = moments[0] + moments[1]
    size = together.sizes()
    if together.n <= d or not _is_clear(together, size):
        pooled = (np.concatenate(rows) - together.mean) / size
        basis = _basis(pooled, together, np.dtype(X.rows.dtype))
        rank = basis.shape[1]
        if 0 < rank < min(d, together.n - 1):
            pooled = pooled @ basis
            rows, basis = (pooled[:n], pooled[n:]), basis / size[:, None]
            origin = together.mean
            moments = moments[0].along(basis, origin), moments[1].along(basis, origin)
            size = (moments[0] + moments[1]).sizes()
    return Span(*rows, _flat_sample(rows, moments, size))


def _scaled(moments: Moments, size: Floats) -> Floats:
    return moments.scatter / np.outer(size, size)


def _is_clear(moments: Moments, size: Floats) -> bool:
    """Whether rows vary clearly in all directions, columns in units of `size`."""
    values = np.linalg.eigvalsh(_scaled(moments, size))
    return bool(values[0] > _CLEAR * values[-1])


def _basis(pooled: Floats, moments: Moments, dtype: np.dtype[Any]) -> Floats:
    """Orthonormal basis of the directions in which standardised rows vary."""
    if len(pooled) <= pooled.shape[1]:
        _, singular, directions = svd_of(pooled)
        return directions[singular > _RANK_TOLERANCE[dtype] * singular[0]].T
    values, vectors = np.linalg.eigh(_scaled(moments, moments.sizes()))
    low = values <= _LOW * values[-1]
    singular, within = _singular_values(pooled, vectors[:, low])
    varies = singular > _RANK_TOLERANCE[dtype] * np.sqrt(values[-1])
    kept = vectors[:, low] @ within[varies].T
    return np.hstack([vectors[:, ~low][:, ::-1], kept])


def _singular_values(rows: Floats, directions: Floats) -> tuple[Floats, Floats]:
    """Singular values of rows along a few directions, and their right vectors.

    The directions belong to small eigenvalues of the scatter, which has only half of
    the digits there; the rows themselves have all of them.
    """
    _, singular, within = svd_of(qr(rows @ directions, mode="r", check_finite=False)[0])
    return singular, within


def svd_of(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """Thin singular value decomposition, by the slower algorithm if need be."""
    try:
        left, singular, right = svd(matrix, full_matrices=False)
    except LinAlgError:  # divide and conquer can fail to converge
        left, singular, right = svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return left, singular, right


def _flat_sample(
    rows: tuple[FloatArray, FloatArray], moments: tuple[Moments, Moments], size: Floats
) -> tuple[str, int] | None:
    """Which sample lies on a plane without the other, and its dimension.

    The samples together span all columns. A sample on a plane that does not hold the
    other one has weight where the other law has none.
    """
    for name, sample, one in zip("XY", rows, moments, strict=True):
        rank = _rank_of(sample, one, size)
        if rank < sample.shape[1]:
            return name, rank
    return None


def _rank_of(rows: FloatArray, moments: Moments, size: Floats) -> int:
    """Dimensions in which rows vary, columns in units of `size`.

    All columns if there are so few rows that a plane always holds them.
    """
    d = int(rows.shape[1])
    if len(rows) <= d + 1:
        return d
    values, vectors = np.linalg.eigh(_scaled(moments, size))
    low = values <= _LOW * values[-1]
    if values[0] > _CLEAR * values[-1]:
        return d
    centred = (rows - moments.mean) / size
    singular, _ = _singular_values(centred, vectors[:, low])
    least = _RANK_TOLERANCE[np.dtype(rows.dtype)] * np.sqrt(max(values[-1], 0.0))
    return d - int((singular <= least).sum())
