"""Which columns are discrete, and which values of the others are point masses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kldiv._duplicates import row_hashes, row_ids
from kldiv._order import in_parts, of_rows
from kldiv._typing import FloatArray, Floats, Mask, Rows

# A column is looked at closely if a value repeats among this many rows.
_ROWS_TO_LOOK_AT, _FEWEST_ROWS = 200, 16
# Codes: at most as many values as the root of the rows, and at most this many, of which
# rows that show a value of their own are at most this share.
_MOST_VALUES, _SINGLE_ROWS = 100, 0.01
# A point mass: at least this share of the rows of a sample, and this many rows, while
# of the other rows at least this share show values of their own.
_MASS, _ROWS_OF_MASS, _OWN_VALUES = 0.05, 10, 0.8
# Columns are taken for discrete unasked if this share of the rows lies in cells of at
# least this many.
_ROWS_IN_CELLS, _ROWS_OF_CELL = 0.8, 10


@dataclass(frozen=True)
class Asked:
    """What was said of the columns.

    Attributes
    ----------
    discrete : ndarray of bool, shape (d,)
        Columns that are discrete for certain: by name, or by their dtype.
    look : bool
        Whether others may be found to be.
    names : tuple of str
        What messages call the columns.
    levels : dict of int to tuple
        What the codes of a column stand for.
    named : bool
        Whether the names are those of data frames.
    """

    discrete: Mask
    look: bool
    names: tuple[str, ...]
    levels: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    named: bool = False

    def described(self, column: int, code: float) -> str:
        """A column and a value of it, in words."""
        levels = self.levels.get(column)
        value = f"{code:g}" if levels is None else repr(levels[int(code)])
        return f"{self.names[column]} = {value}"


def renamed(asked: Asked, width: int) -> Asked:
    """What was said once so many new features come before the discrete columns."""
    kept = np.flatnonzero(asked.discrete)
    names = [f"feature {column}" for column in range(width)]
    return Asked(
        np.r_[np.zeros(width, dtype=bool), np.ones(kept.size, dtype=bool)],
        asked.look,
        (*names, *(asked.names[column] for column in kept)),
        {
            width + place: asked.levels[int(column)]
            for place, column in enumerate(kept)
            if int(column) in asked.levels
        },
    )


@dataclass(frozen=True)
class Split:
    """Columns apart by what they are.

    Attributes
    ----------
    discrete : ndarray of bool, shape (d,)
        Columns that hold categories.
    atoms : dict of int to tuple of float
        Values of the other columns that are point masses.
    """

    discrete: Mask
    atoms: dict[int, tuple[float, ...]]

    def codes(self, rows: FloatArray) -> Floats:
        """What is discrete of each row: categories, and at which point masses it is."""
        at = [
            # 0 off the point masses, else which one
            (rows[:, [column]] == np.array(values)) @ np.arange(1.0, len(values) + 1)
            for column, values in self.atoms.items()
        ]
        return np.column_stack([rows[:, self.discrete].astype(np.float64), *at])

    def at_atoms(self, rows: FloatArray) -> Mask:
        """Entries that are at a point mass, or discrete."""
        held = np.tile(self.discrete, (len(rows), 1))
        for column, values in self.atoms.items():
            held[:, column] = np.isin(rows[:, column], values)
        return held


def split_columns(
    X: FloatArray, Y: FloatArray, asked: Asked, *, once: bool
) -> Split | None:
    """What is discrete of two samples; None if nothing is.

    Columns that merely look discrete count only if other columns vary, and if their
    cells, with those of the columns named, are well filled: else whole numbers in many
    columns, such as the pixels of images, would leave each row alone in a cell. `once`
    says that rows which repeat in full are copies, of which one is looked at.
    """
    certain = Split(asked.discrete, {})
    if asked.look and len(X) + len(Y) >= _FEWEST_ROWS:
        seen = _look(X, Y, asked.discrete, once=once)
        found = seen.discrete.any() or seen.atoms
        if found and _some_vary(X, Y, seen) and _well_filled(X, Y, seen):
            return seen
    return certain if certain.discrete.any() else None


def _look(X: FloatArray, Y: FloatArray, certain: Mask, *, once: bool) -> Split:
    """Columns that hold codes, and point masses of the others."""
    discrete, atoms = certain.copy(), {}
    repeating = _repeating(X, Y) & ~certain
    if once and repeating.any():
        X, Y = np.unique(X, axis=0), np.unique(Y, axis=0)
    for column, *values in _values_of(X, Y, np.flatnonzero(repeating)):
        counted = _Counted.of(*values)
        if counted.codes():
            discrete[column] = True
        elif masses := counted.point_masses():
            atoms[column] = masses
    return Split(discrete, atoms)


def _repeating(X: FloatArray, Y: FloatArray) -> Mask:
    """Columns in which some value repeats, among some rows of both samples."""
    half = _ROWS_TO_LOOK_AT // 2
    parts = [rows[:: max(1, len(rows) // half)] for rows in (X, Y)]
    ordered = np.sort(np.concatenate(parts), axis=0)
    return np.asarray((ordered[1:] == ordered[:-1]).any(axis=0))


def _values_of(X: Any, Y: Any, columns: Rows) -> Iterator[tuple[int, Any, Any]]:
    """Some columns, and what `_counted` says of each in both samples.

    Of rows that are read in parts several columns are read together.
    """
    if isinstance(X, np.ndarray):
        for column in columns.tolist():
            yield column, _values(X, column), _values(Y, column)
        return
    step = max(1, min(X.columns_at_a_time, Y.columns_at_a_time) // 2)
    for first in range(0, columns.size, step):
        some = columns[first : first + step]
        for column, x, y in zip(some.tolist(), X[:, some].T, Y[:, some].T, strict=True):
            yield column, _counted(x), _counted(y)


@of_rows
def _values(sample: FloatArray, column: int) -> tuple[FloatArray, Rows]:
    """Values of a column, ascending, and how many rows have them."""
    return _counted(sample[:, column])


def _counted(values: FloatArray) -> tuple[FloatArray, Rows]:
    """Different values, ascending, and how many rows have them."""
    ascending = np.sort(values)
    edges = np.flatnonzero(np.append(_is_new(ascending), True))
    return ascending[edges[:-1]], edges[1:] - edges[:-1]


def _is_new(ascending: FloatArray) -> Mask:
    """Whether each value is another than the one before it."""
    return np.append(True, ascending[1:] != ascending[:-1])


@dataclass(frozen=True)
class _Counted:
    """Values of one column, ascending, and how many rows of each sample have them."""

    values: FloatArray
    x: Rows
    y: Rows

    @classmethod
    def of(
        cls, of_x: tuple[FloatArray, Rows], of_y: tuple[FloatArray, Rows]
    ) -> _Counted:
        """From the values of each sample alone and their counts."""
        values = np.sort(np.concatenate([of_x[0], of_y[0]]))
        values = values[_is_new(values)]
        x, y = np.zeros((2, values.size), dtype=np.intp)
        x[values.searchsorted(of_x[0])] = of_x[1]
        y[values.searchsorted(of_y[0])] = of_y[1]
        return cls(values, x, y)

    def codes(self) -> bool:
        """Whether few values make up the column, and each of them repeats."""
        counts = self.x + self.y
        n_rows = counts.sum()
        if counts.size > min(np.sqrt(n_rows), _MOST_VALUES):
            return False
        if (self.x > 0).sum() == 1 and (self.y > 0).sum() == 1:
            return False  # constant, or a plane for each sample
        return bool((counts == 1).sum() <= _SINGLE_ROWS * n_rows)

    def point_masses(self) -> tuple[float, ...]:
        """Values that many rows share, if the other values do not repeat.

        A whole sample that a value is alone with is a plane, and no mass.
        """
        counts = self.x + self.y
        if counts.max() < _ROWS_OF_MASS:
            return ()
        shares = self.x / self.x.sum(), self.y / self.y.sum()
        least, most = np.minimum(*shares), np.maximum(*shares)
        mass = (counts >= _ROWS_OF_MASS) & (most >= _MASS) & ((least > 0) | (most < 1))
        rows_off = counts[~mass].sum()
        if not mass.any() or (~mass).sum() < _OWN_VALUES * rows_off or rows_off == 0:
            return ()
        return tuple(self.values[mass].tolist())


def _some_vary(X: FloatArray, Y: FloatArray, split: Split) -> bool:
    """Whether something varies continuously in both samples."""
    return not any(
        all(split.at_atoms(part).all() for part in in_parts(rows)) for rows in (X, Y)
    )


def _well_filled(X: FloatArray, Y: FloatArray, split: Split) -> bool:
    ids = row_ids(*(_codes_of(rows, split) for rows in (X, Y)))
    sizes = np.bincount(ids, minlength=ids.size)
    return bool((sizes[ids] >= _ROWS_OF_CELL).mean() >= _ROWS_IN_CELLS)


def _codes_of(rows: Any, split: Split) -> Any:
    """What is discrete of each row; a hash of it where rows are read in parts."""
    if isinstance(rows, np.ndarray):
        return split.codes(rows)
    hashes = [row_hashes(split.codes(part)) for part in in_parts(rows)]
    return np.concatenate(hashes)[:, np.newaxis]


def unique_rows(codes: Floats) -> tuple[Floats, Rows, Rows]:
    """Distinct rows, the one of each row, and how many rows each has."""
    distinct, of_row, counts = np.unique(
        codes, axis=0, return_inverse=True, return_counts=True
    )
    return distinct, of_row.reshape(-1), counts
