"""Rows that occur more than once, and values that do: copies, leaks, discrete data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._typing import FloatArray, Floats, Mask, Rows

# Rows are hashed in blocks of about this many bytes.
_BLOCK_BYTES = 1 << 20
_ANOTHER_TIME = np.uint64(0x9E3779B97F4A7C15)
# A column is coarse if this many rows show at most an eighth as many values; data are
# discrete if a fifth of their columns is.
_ROWS_TO_LOOK_AT, _FEWEST_ROWS = 200, 16
_VALUES_PER_ROW, _COARSE_SHARE = 1 / 8, 1 / 5
# Gaps between the values of a column on a grid are multiples of the step up to this.
_GRID_TOLERANCE, _MOST_TOLERANCE = 0.01, 0.2


def row_ids(*samples: FloatArray) -> Rows:
    """Integer per row: the first row that is equal to it, counted through all samples.

    Rows are compared through a 64-bit hash; rows that share a hash are compared entry
    by entry, so that a collision cannot join two different rows. The samples are not
    copied.
    """
    hashes = np.concatenate([row_hashes(rows) for rows in samples])
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ids = np.arange(len(hashes))
    if starts.size == ids.size:
        return ids
    ids[order] = np.repeat(order[starts], np.diff(np.r_[starts, ids.size]))
    repeats = np.flatnonzero(ids != np.arange(ids.size))
    differ = (_gather(samples, repeats) != _gather(samples, ids[repeats])).any(axis=1)
    if differ.any():  # two different rows share a 64-bit hash
        groups = np.flatnonzero(np.isin(ids, ids[repeats[differ]]))
        ids[groups] = groups[row_ids_exact(_gather(samples, groups))]
    return ids


def _gather(samples: tuple[FloatArray, ...], indices: Rows) -> FloatArray:
    """Rows of the samples by their index through all of them."""
    out = np.empty((indices.size, samples[0].shape[1]), dtype=samples[0].dtype)
    start = 0
    for rows in samples:
        inside = (indices >= start) & (indices < start + len(rows))
        out[inside] = rows[indices[inside] - start]
        start += len(rows)
    return out


def row_ids_exact(rows: FloatArray) -> Rows:
    """Like `row_ids`, by sorting whole rows: slow and without a hash."""
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.reshape(-1)], dtype=np.intp)


def row_hashes(rows: Any) -> NDArray[np.uint64]:
    """64-bit hash per row: random odd multiples of its words, summed modulo 2**64."""
    if not isinstance(rows, np.ndarray):  # read in parts
        return np.concatenate([row_hashes(part) for part in rows.parts()])
    n, d = rows.shape
    word = np.uint32 if rows.dtype == np.float32 else np.uint64
    multipliers = np.random.default_rng(0x6B6C646976).integers(
        1, 2**63, size=d, dtype=np.uint64
    ) * np.uint64(2) + np.uint64(1)
    hashes = np.empty(n, dtype=np.uint64)
    step = max(1, _BLOCK_BYTES // (8 * d))
    for start in range(0, n, step):
        block = rows[start : start + step] + rows.dtype.type(0)  # -0.0 becomes 0.0
        words = block.view(word).astype(np.uint64)
        # Low bits of floats are often all zero: fold the high half down.
        words ^= words >> np.uint64(29)
        hashes[start : start + step] = words @ multipliers
    return hashes


def hash_order(rows: FloatArray) -> Rows:
    """Row numbers in an order that contents decide: cheap, but by columns as given."""
    return np.argsort(row_hashes(rows), kind="stable")


def row_keys(rows: FloatArray) -> NDArray[np.uint64]:
    """A number per row that the same row of another sample has.

    Repeated rows have different ones, in the order in which they come.
    """
    keys = row_hashes(rows)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    times = np.arange(keys.size) - np.repeat(starts, np.diff(np.r_[starts, keys.size]))
    keys[order] += times.astype(np.uint64) * _ANOTHER_TIME
    return keys


@dataclass(frozen=True)
class DuplicateCounts:
    """How many rows repeat an earlier row, per sample, and how many are shared.

    Attributes
    ----------
    within_x, within_y : int
        Rows that repeat an earlier row of the same sample.
    shared : int
        Rows of Y that also occur in X.
    same_sample : bool
        Whether X and Y hold the same rows, each equally often.
    """

    within_x: int
    within_y: int
    shared: int
    same_sample: bool

    @property
    def total(self) -> int:
        """All repeated and shared rows."""
        return self.within_x + self.within_y + self.shared

    def describe(self, names: tuple[str, str] = ("X", "Y")) -> str:
        """The counts in words, without a full stop."""
        x, y = names
        parts = [
            f"{count} {text}"
            for count, text in [
                (self.within_x, f"rows of {x} repeat an earlier row of {x}"),
                (self.within_y, f"rows of {y} repeat an earlier row of {y}"),
                (self.shared, f"rows of {y} also occur in {x}"),
            ]
            if count
        ]
        return ", ".join(parts) or "no row occurs twice"


def count_duplicates(
    X: FloatArray, Y: FloatArray
) -> tuple[DuplicateCounts, Mask, Mask]:
    """Count repeated rows and mark those to keep under ``duplicates="drop"``.

    Returns
    -------
    counts : DuplicateCounts
    keep_x, keep_y : ndarray of bool, shapes (n,) and (m,)
        First occurrences; rows of Y that also occur in X are not kept.
    """
    n, m = len(X), len(Y)
    ids = row_ids(X, Y)
    keep = ids == np.arange(n + m)  # the id of a row is its first occurrence
    in_x = ids[n:] < n
    within_x = int(n - keep[:n].sum())
    # Repeats inside Y, counted by their own ids, shared rows included.
    within_y = int(m - np.unique(ids[n:]).size)
    same = n == m and bool((np.sort(ids[:n]) == np.sort(ids[n:])).all())
    counts = DuplicateCounts(within_x, within_y, int(in_x.sum()), same)
    return counts, keep[:n], keep[n:]


def discrete_columns(X: FloatArray, Y: FloatArray) -> str:
    """What makes the samples look discrete or rounded, in words; "" if nothing does."""
    coarse, d = int(_coarse(X, Y).sum()), X.shape[1]
    if coarse >= _COARSE_SHARE * d:
        few = "the column holds" if d == 1 else f"{coarse} of {d} columns hold"
        return f"{few} only a few different values"
    return ""


def _coarse(X: FloatArray, Y: FloatArray) -> Mask:
    """Columns with few different values among the rows of both samples."""
    half = _ROWS_TO_LOOK_AT // 2
    parts = [rows[:: max(1, len(rows) // half)][:half] for rows in (X, Y)]
    looked_at = np.sort(np.concatenate(parts), axis=0)
    n_values = 1 + (looked_at[1:] != looked_at[:-1]).sum(axis=0)
    few = n_values <= max(2, _VALUES_PER_ROW * len(looked_at))
    # one value in each sample: a plane, not a grid
    varies = np.any([(part != part[0]).any(axis=0) for part in parts], axis=0)
    return few & varies & (len(looked_at) >= _FEWEST_ROWS)


def grid_steps(X: FloatArray, Y: FloatArray) -> Floats:
    """Step of the grid on which the values of each column lie; 0 without a grid."""
    steps = np.zeros(X.shape[1])
    for column in range(X.shape[1]):
        values = np.unique(np.concatenate([X[:, column], Y[:, column]]))
        gaps = np.diff(values).astype(np.float64)
        # 0.1 + 0.2 and 0.3 are one value
        gaps = gaps[gaps > 4 * np.finfo(values.dtype).eps * np.abs(values).max()]
        if gaps.size == 0:
            continue
        step = _common_step(gaps)
        multiples = gaps / step
        off = np.abs(multiples - np.round(multiples))
        if (off < _grid_tolerance(values, step)).all():
            steps[column] = step
    return steps


def _common_step(gaps: Floats) -> float:
    """The length of which all gaps are multiples, if there is one.

    Each gap is rounded: the smallest ones say how many steps are in wider ones, and
    those say more about the step.
    """
    step, reach = float(gaps.min()), 1.5 * float(gaps.min())
    while True:
        near = gaps[gaps <= reach]
        step = float(near.sum() / np.round(near / step).sum())
        if near.size == gaps.size:
            return step
        reach *= 2


def _grid_tolerance(values: FloatArray, step: float) -> float:
    """How far a gap may be from a multiple of the step, in steps."""
    with np.errstate(over="ignore", under="ignore"):  # then they are others
        single = values.astype(np.float32)
    if (single != values).any():
        return _GRID_TOLERANCE
    # values that came in single precision were rounded to it, whatever holds them now
    rounding = float(np.finfo(np.float32).eps * np.abs(values).max())
    return min(max(_GRID_TOLERANCE, 2 * rounding / step), _MOST_TOLERANCE)


def dither(
    X: FloatArray, Y: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Both samples with values on a grid spread evenly over the cells of the grid.

    The spread distributions have densities, and their divergence is exactly that of the
    discrete distributions: inside a cell both densities are constant.

    Raises
    ------
    ValueError
        If no column lies on a grid.
    """
    steps = grid_steps(X, Y)
    if not steps.any():
        raise ValueError(
            "duplicates='dither' spreads whole numbers and rounded values over their "
            "grid, but no column lies on one. Apply transformers to spread values, not "
            "before; if rows were copied by accident, choose duplicates='drop'."
        )
    on_grid = np.flatnonzero(steps)
    spread = []
    for sample in (X, Y):
        moved = sample.astype(np.float64)
        noise = rng.uniform(-0.5, 0.5, (len(sample), on_grid.size))
        moved[:, on_grid] += noise * steps[on_grid]
        spread.append(moved)
    return spread[0], spread[1]


def refuse_duplicates(
    counts: DuplicateCounts,
    names: tuple[str, str] = ("X", "Y"),
    discrete: str = "",
    *,
    in_parts: bool = False,
) -> None:
    """Raise ValueError that names the counts and the ways out."""
    limit = " These choices need all rows in memory: no memory_limit then."
    leak = (
        f" Rows in both samples mean that members of {names[0]} are in {names[1]} "
        "(leaked training data): their distance is zero and the density assumption "
        "fails."
        if counts.shared
        else ""
    )
    advice = (
        f" {discrete[0].upper()}{discrete[1:]}: if the data are discrete or rounded, "
        "rows repeat by chance; choose duplicates='dither' (spread each value evenly "
        "over its grid cell, which leaves the divergence as it is), or compute the "
        "divergence from the frequencies of the values."
        if discrete
        else ""
    )
    raise ValueError(
        f"{counts.describe(names)}; nearest-neighbour divergences assume continuous "
        f"data without ties.{leak}{advice} If rows were copied, remove them, or choose "
        f"duplicates='drop' (keep first occurrences, remove shared rows from "
        f"{names[1]}) or duplicates='expand' (grow n_neighbors per row to the first "
        f"positive distance).{limit if in_parts else ''}"
    )
