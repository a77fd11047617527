"""The range of two samples: the plane that holds their rows, and who leaves it."""

from __future__ import annotations

import numpy as np

from kldiv._typing import FloatArray, Floats

# Singular values below this share of the largest are rounding, not data.
_RANK_TOLERANCE = {np.dtype(np.float32): 3e-6, np.dtype(np.float64): 1e-10}


def informative_columns(X: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both samples without the columns that hold one value in all rows of both.

    Such a column has no density; counting it in the dimension scales the estimate.
    """
    constant = (X[0] == X).all(axis=0) & (X[0] == Y).all(axis=0)
    if not constant.any() or constant.all():
        return X, Y
    return np.ascontiguousarray(X[:, ~constant]), np.ascontiguousarray(Y[:, ~constant])


def in_range(X: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both samples in an orthonormal basis of the plane that holds the pooled rows.

    The same arrays if no plane of fewer dimensions holds them, or if there are so few
    rows that one always does. The divergence of rows on a plane is their divergence
    within the plane.
    """
    d = X.shape[1]
    step = max(1, (len(X) + len(Y)) // (3 * d + 50))
    for part in (slice(None, None, step), slice(None)):
        pooled = np.concatenate([X[part], Y[part]]).astype(np.float64)
        pooled -= pooled.mean(axis=0)
        size = np.sqrt((pooled**2).mean(axis=0))
        pooled /= np.where(size > 0, size, 1.0)
        if len(pooled) <= d:
            continue
        values = np.linalg.eigvalsh(pooled.T @ pooled)
        # a Gram matrix squares the condition number: doubtful cases go on
        if values[0] > 1e-11 * values[-1]:
            return X, Y
    _, singular, rows = np.linalg.svd(pooled, full_matrices=False)
    tolerance = _RANK_TOLERANCE[np.dtype(X.dtype)] * singular[0]
    rank = int((singular > tolerance).sum())
    if rank == 0 or rank >= min(d, len(pooled) - 1):
        return X, Y
    projected = pooled @ rows[:rank].T
    return projected[: len(X)], projected[len(X) :]


def rank_of(rows: FloatArray, size: Floats) -> int:
    """Dimensions in which rows vary, columns measured in units of `size`.

    All columns if there are so few rows that a plane always holds them.
    """
    d = int(rows.shape[1])
    step = max(1, len(rows) // (3 * d + 50))
    for part in (rows[::step], rows):
        scaled = (part - part.mean(axis=0, dtype=np.float64)) / size
        if len(scaled) <= d + 1:
            continue
        values = np.linalg.eigvalsh(scaled.T @ scaled)
        if values[0] > 1e-11 * values[-1]:
            return d
    if len(rows) <= d + 1:
        return d
    singular = np.linalg.svd(scaled, compute_uv=False)
    return int((singular > _RANK_TOLERANCE[np.dtype(rows.dtype)] * singular[0]).sum())


def flat_sample(X: FloatArray, Y: FloatArray) -> tuple[str, int] | None:
    """Which sample lies on a plane without the other, and its dimension.

    The samples together must span all columns. A sample on a plane that does not hold
    the other one has weight where the other law has none.
    """
    size = np.concatenate([X, Y]).std(axis=0, dtype=np.float64)
    size = np.where(size > 0, size, 1.0)
    for rows, name in ((X, "X"), (Y, "Y")):
        rank = rank_of(rows, size)
        if rank < X.shape[1]:
            return name, rank
    return None
