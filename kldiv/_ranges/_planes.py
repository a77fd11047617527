"""The range of two samples: the plane that holds their rows, and who leaves it.

What is asked of the rows is their scatter, and the scatter of both samples together is
a sum: rows are multiplied once, however many questions follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from scipy.linalg import qr, svd

from kldiv._ranges._moments import Change, Moments, Sample, moments_of, rows_at_a_time
from kldiv._typing import FloatArray, Floats, Mask

# Directions in which rows vary by less than so many times the rounding of their numbers
# are rounding, not data: columns that were computed from others carry more of it.
_ROUNDING = {np.dtype(np.float32): 16, np.dtype(np.float64): 200}
# A scatter squares the condition number: eigenvalues below this share are doubtful.
_CLEAR, _SURELY_CLEAR = 1e-11, 1e-8
# Directions below this share are looked at in the rows; those above stay apart.
_LOW = 1e-6


def informative_columns(X: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both samples without the columns that hold one value in all rows of both.

    Such a column has no density; counting it in the dimension scales the estimate.
    """
    told = informative(X, Y)
    if told.all():
        return X, Y
    return np.ascontiguousarray(X[:, told]), np.ascontiguousarray(Y[:, told])


def informative(X: FloatArray, Y: FloatArray) -> Mask:
    """Which columns `informative_columns` leaves; all if no column varies."""
    varies = (X[0] != X).any(axis=0) | (X[0] != Y).any(axis=0)
    return varies | (not varies.any())


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


def span_of(X: Sample, Y: Sample, *, any_basis: bool = False) -> Span:
    """The plane that holds the rows of both samples, and who leaves it.

    The samples stay as they are if they vary clearly in all directions, or are so few
    rows that a plane always holds them. Otherwise directions in which they vary little,
    such as the difference of two times, become columns of their own, so that no other
    column hides them; in `any_basis` they need not, for those who only ask how far rows
    are apart. The divergence of rows on a plane is that within the plane.
    """
    n, d = X.rows.shape
    if n + len(Y.rows) <= d + 1:
        return _span_of_few(X.rows, Y.rows)
    if _parts_are_clear(X, Y):
        return Span(X.rows, Y.rows, None)
    rows, moments = (X.rows, Y.rows), (X.moments, Y.moments)
    together = moments[0] + moments[1]
    size = together.sizes()
    least = rounding(*rows, together.mean, size)
    values, vectors = np.linalg.eigh(together.scaled(size))
    if not is_surely_full(values):
        scaled = [Scaled(one, together.mean, size) for one in rows]
        change = into_plane(scaled, values, vectors, least, any_basis=any_basis)
        if change is not None:
            plane = [one.changed(change) for one in scaled]
            ranks = (
                _rank_in_plane(*one, change, least)
                for one in zip(plane, scaled, moments, strict=True)
            )
            return Span(plane[0], plane[1], flat_sample(ranks, plane[0].shape[1]))
    ranks = (rank_of(*one, size, least) for one in zip(rows, moments, strict=True))
    return Span(*rows, flat_sample(ranks, d))


@dataclass(frozen=True)
class Scaled:
    """Centred rows in units of `size`, `step` at a time: no copy of all is made."""

    rows: Any
    centre: Floats
    size: Floats
    step: int | None = None

    def __iter__(self) -> Iterator[Floats]:
        step = self.step or rows_at_a_time(self.rows.shape[1])
        for first in range(0, len(self.rows), step):
            part = self.rows[first : first + step] - self.centre
            part /= self.size
            yield part

    def changed(self, change: Change) -> Floats:
        """All rows after a change."""
        width = change(np.zeros((1, len(self.size)))).shape[1]
        found, first = np.empty((len(self.rows), width)), 0
        for part in self:
            found[first : first + len(part)] = change(part)
            first += len(part)
        return found


def _parts_are_clear(X: Sample, Y: Sample) -> bool:
    """Whether parts of each sample and of both vary clearly in all directions."""
    for one in (X, Y):
        # a column of one value, as at the edge of images, needs no second look
        if (
            one.part.n <= len(one.part.mean) + 1
            or not one.part.scatter.diagonal().all()
        ):
            return False
    parts = X.part, Y.part, X.part + Y.part
    size = parts[2].sizes()
    return all(_is_clear(part, size) for part in parts)


def _span_of_few(X: FloatArray, Y: FloatArray) -> Span:
    """`span_of` rows that are too few to span all columns, without their scatter."""
    pooled = np.concatenate([X, Y]).astype(np.float64)
    mean, size = pooled.mean(axis=0), pooled.std(axis=0)
    size = np.where(size > 0, size, 1.0)
    least = rounding(X, Y, mean, size)
    pooled = (pooled - mean) / size
    values = np.linalg.eigvalsh(pooled @ pooled.T)
    if values[1] > _CLEAR * values[-1]:  # the first one is that of the mean
        return Span(X, Y, None)
    _, singular, directions = svd_of(pooled)
    varies = singular > least
    if not 0 < varies.sum() < len(pooled) - 1:
        return Span(X, Y, None)
    pooled = pooled @ directions[varies].T
    plane, d = (pooled[: len(X)], pooled[len(X) :]), pooled.shape[1]
    ranks = (rank_of(one, moments_of(one), np.ones(d), least) for one in plane)
    return Span(*plane, flat_sample(ranks, d))


def rounding(X: Any, Y: Any, mean: Floats, size: Floats) -> float:
    """Singular value of rows, columns in units of `size`, that rounding explains.

    A column far from the origin has fewer digits left for what varies.
    """
    n, dtype = len(X) + len(Y), np.dtype(X.dtype)
    lengths = np.sqrt(n * (mean**2 + size**2)) / size
    return float(_ROUNDING[dtype] * np.finfo(dtype).eps * lengths.max())


def is_surely_full(values: FloatArray) -> bool:
    """Whether eigenvalues of a scatter, ascending, are all clear of rounding."""
    return bool(values[0] > _CLEAR * values[-1])


def _is_clear(moments: Moments, size: Floats) -> bool:
    """Whether rows vary clearly in all directions, columns in units of `size`."""
    if not moments.scatter.diagonal().all():  # a column of one value
        return False
    scaled = moments.scaled(size)
    if _surely_clear(scaled):
        return True
    values = np.linalg.eigvalsh(scaled)
    return is_surely_full(values)


def _surely_clear(scatter: Floats) -> bool:
    """Whether the smallest eigenvalue is clear of rounding, without eigenvalues.

    No eigenvalue exceeds the trace; what is left after this share of it was taken off
    has a factor of Cholesky only if every eigenvalue is larger.
    """
    less = scatter.copy()
    np.fill_diagonal(less, less.diagonal() - _SURELY_CLEAR * scatter.trace())
    try:
        np.linalg.cholesky(less)
    except LinAlgError:
        return False
    return True


def into_plane(
    samples: Sequence[Scaled],
    values: Floats,
    vectors: Floats,
    least: float,
    *,
    any_basis: bool,
) -> Change | None:
    """Into the directions in which standardised rows vary; None if they do not.

    From eigenvalues and eigenvectors of their scatter.
    """
    low = values <= _LOW * values[-1]
    singular, directions = _singular_values(samples, values, vectors, low)
    varies = singular > least
    rank = len(values) - int((~varies).sum())
    if not rank:
        return None
    if any_basis and 0 < 2 * (len(values) - rank) < rank:
        return _without(directions[:, ~varies])
    basis = np.hstack([vectors[:, ~low][:, ::-1], directions[:, varies]])
    return lambda rows: rows @ basis


def _without(directions: Floats) -> Change:
    """Coordinates in the plane across a few directions.

    A reflection turns the directions into the first axes, whose coordinates are left
    out (Schreiber and Parlett 1988, block reflectors): cheaper than a product with the
    many others, and the same distances.
    """
    directions = qr(directions, mode="economic")[0]
    r = directions.shape[1]
    left, cosines, right = svd_of(directions[:r])
    away = directions.copy()
    away[:r] += left @ right
    back = right.T @ (right / (1 + cosines)[:, np.newaxis]) @ away[r:].T

    return lambda rows: rows[:, r:] - rows @ away @ back


def _singular_values(
    samples: Sequence[Scaled], values: Floats, vectors: Floats, low: Mask
) -> tuple[Floats, Floats]:
    """Singular values of rows along the few low directions, and these directions.

    They belong to small eigenvalues of the scatter, which has only half of the digits
    there; the rows themselves have all of them. Rounding of the scatter turns some of
    the other directions into the low ones, where rows vary far more: that is seen in
    the rows, and taken out.
    """
    high, directions = vectors[:, ~low], vectors[:, low]
    products = np.zeros(directions.shape)
    for part in chain(*samples):
        products += part.T @ (part @ directions)
    directions = directions - high @ (high.T @ products / values[~low, np.newaxis])
    along = np.concatenate([part @ directions for part in chain(*samples)])
    _, singular, within = svd_of(qr(along, mode="r", check_finite=False)[0])
    return singular, directions @ within.T


def svd_of(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """Thin singular value decomposition, by the slower algorithm if need be."""
    try:
        left, singular, right = svd(matrix, full_matrices=False)
    except LinAlgError:  # divide and conquer can fail to converge
        left, singular, right = svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return left, singular, right


def flat_sample(ranks: Iterable[int], d: int) -> tuple[str, int] | None:
    """Which sample lies on a plane without the other, and its dimension.

    The samples together span all columns. A sample on a plane that does not hold the
    other one has weight where the other distribution has none.
    """
    named = zip("XY", ranks, strict=True)
    return next(((name, rank) for name, rank in named if rank < d), None)


def _rank_in_plane(
    rows: Floats, given: Scaled, moments: Moments, change: Change, least: float
) -> int:
    """Dimensions in which rows vary, which were brought into a plane by `change`."""
    d = rows.shape[1]
    varies = np.flatnonzero(moments.scatter.diagonal())
    if len(rows) > d + 1 and varies.size < d:  # they are less work than the plane
        some, size = given.rows.take(varies, axis=1), given.size[varies]
        return rank_of(some, moments.of_columns(varies), size, least)
    there = moments.changed(change, given.centre, given.size)
    return rank_of(rows, there, np.ones(d), least)


def rank_of(
    rows: Any, moments: Moments, size: Floats, least: float, step: int | None = None
) -> int:
    """Dimensions in which rows vary, columns in units of `size`; `step` as in `Scaled`.

    All columns if there are so few rows that a plane always holds them.
    """
    d = int(rows.shape[1])
    if len(rows) <= d + 1:
        return d
    scaled = moments.scaled(size)
    if _surely_clear(scaled):
        return d
    values, vectors = np.linalg.eigh(scaled)
    low = values <= _LOW * values[-1]
    if values[0] > _CLEAR * values[-1]:
        return d
    centred = Scaled(rows, moments.mean, size, step)
    singular, _ = _singular_values([centred], values, vectors, low)
    return d - int((singular <= least).sum())
