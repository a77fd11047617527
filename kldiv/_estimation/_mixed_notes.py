"""What is said of discrete columns: which they are, and what their cells lack."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kldiv._estimation._cells import Cells, Group
from kldiv._estimation._chain import Part
from kldiv._estimation._columns import Asked, Split
from kldiv._estimation._options import Options
from kldiv._estimation._overlap import apart_notes
from kldiv._typing import Floats, Mask
from kldiv._warnings import DiscreteDataWarning, Note, SingularSampleWarning

# Rows of Y that a cell without any should hold, if the shares were those of X: below
# the first number that is chance, and above the second Y has less than a tenth of them
# at the confidence of 95 % (0.9 ** 30 is 4 %).
_EXPECTED, _EXPECTED_FOR_SURE = 3.0, 30.0
# Share of the rows of X whose continuous columns are compared in a wider cell.
_JOINED = 0.05
# Shares of the rows of X in cells with fewer rows of Y than this.
_FEW_IN_CELL, _THIN, _VERY_THIN = 5, 0.2, 0.5
_SHOWN = 5


def infinite_cells(cells: Cells, options: Options) -> Mask:
    """Cells of one sample that the other never shows, where that is infinite."""
    entry = options.entry
    power = entry.power(options.order) if callable(entry.power) else entry.power
    if not (entry.linear or power > 0):
        return np.zeros(len(cells.n_x), dtype=bool)
    infinite = _unseen(cells) >= _EXPECTED_FOR_SURE
    if entry.needs == "xy":
        infinite |= _unseen(cells.exchanged()) >= _EXPECTED_FOR_SURE
    return infinite


def _unseen(cells: Cells) -> Floats:
    """Rows of Y that cells without any should hold by the share of X."""
    expected = cells.n_x * (cells.n_y.sum() / cells.n_x.sum())
    return np.where(cells.n_y == 0, expected, 0.0)


def cell_notes(
    cells: Cells,
    groups: Sequence[Group],
    split: Split,
    asked: Asked,
    options: Options,
) -> tuple[Note, ...]:
    """Which columns were taken for discrete, cells of one sample, and joined cells."""
    notes = [_which(cells, split, asked)]
    if not options.entry.is_finite(options.order):
        sides = [("X", "Y", cells)]
        if options.entry.needs == "xy":
            sides.append(("Y", "X", cells.exchanged()))
        for one, other, side in sides:
            notes += _unseen_note(side, one, other, split, asked)
    notes += _thin_note(cells) + _joined_note(cells, groups)
    return tuple(notes)


def _thin_note(cells: Cells) -> list[Note]:
    thin = float((cells.n_y[cells.of_x] < _FEW_IN_CELL).mean())
    if thin > _THIN:
        text = (
            f"{thin:.0%} of the rows of X are in cells of the discrete columns with "
            f"less than {_FEW_IN_CELL} rows of Y: what such cells say is mostly "
            "chance. Use fewer discrete columns, or join categories."
        )
        severity = "do not use" if thin > _VERY_THIN else "caution"
        return [Note(text, None, severity, "thin cells")]
    return []


def _joined_note(cells: Cells, groups: Sequence[Group]) -> list[Note]:
    joined = [group for group in groups if group.comparable and group.cells.size > 1]
    share = sum(group.x.size for group in joined) / len(cells.of_x)
    if share > _JOINED:
        n_joined = sum(group.cells.size for group in joined)
        text = (
            f"{n_joined} of {len(groups) - len(joined) + n_joined} cells of the "
            f"discrete columns have too few rows ({share:.0%} of those of X): their "
            "continuous columns are compared together, as if they did not depend on "
            "the cell. Use fewer discrete columns, or join categories."
        )
        return [Note(text, None, "caution", "joined cells")]
    return []


def _which(cells: Cells, split: Split, asked: Asked) -> Note:
    columns = [asked.names[column] for column in np.flatnonzero(split.discrete)]
    said = [f"{_listed(columns)} as discrete"] if columns else []
    said += [
        f"{', '.join(f'{value:g}' for value in values)} in {asked.names[column]} as a "
        "point mass"
        for column, values in list(split.atoms.items())[:_SHOWN]
    ]
    text = (
        f"taken: {'; '.join(said)} ({len(cells.n_x)} cells). The divergence is that of "
        "the cells plus that of the other columns within them."
    )
    return Note(text, None, "good", "discrete columns")


def _unseen_note(
    cells: Cells, one: str, other: str, split: Split, asked: Asked
) -> list[Note]:
    expected = _unseen(cells)
    lacking = np.flatnonzero(expected >= _EXPECTED)
    if not lacking.size:
        return []
    lacking = lacking[np.argsort(-expected[lacking], kind="stable")]
    named = [_described(cells, cell, split, asked) for cell in lacking[:_SHOWN]]
    rows = int(cells.n_x[lacking].sum())
    for_sure = bool((expected >= _EXPECTED_FOR_SURE).any())
    text = (
        f"{rows} rows of {one} are in cells that {other} never shows "
        f"({_listed(named)}): "
    )
    text += (
        "there the divergence is infinite. Leave these rows out, or join categories."
        if for_sure
        else "if it never does, the divergence is infinite; the value takes them for "
        "rare."
    )
    category = DiscreteDataWarning if for_sure else None
    severity = "do not use" if for_sure else "caution"
    return [Note(text, category, severity, "unseen cells")]


def _described(cells: Cells, cell: int, split: Split, asked: Asked) -> str:
    """What the rows of a cell share, in words."""
    codes = cells.codes[cell]
    discrete = np.flatnonzero(split.discrete)
    said = [
        asked.described(int(column), code)
        for column, code in zip(discrete, codes[: discrete.size], strict=True)
    ]
    for (column, values), which in zip(
        split.atoms.items(), codes[discrete.size :], strict=True
    ):
        if which > 0:
            said.append(f"{asked.names[column]} = {values[int(which) - 1]:g}")
    return " and ".join(said) or "off the point masses"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def part_notes(parts: Sequence[Part], options: Options) -> tuple[Note, ...]:
    """Where the samples lie apart within a cell."""
    if options.entry.is_finite(options.order):
        return ()
    for part in parts:
        if part.ratios and (found := apart_notes(part.ratios[0])):
            return found
    return ()


def point_mass_note(group: Group, of_x: bool) -> Note:
    """That one sample has equal rows in a cell, and the other has not."""
    one, other = ("X", "Y") if of_x else ("Y", "X")
    text = (
        f"in a cell of the discrete columns all rows of {one} "
        f"({group.x.size if of_x else group.y.size}) are equal and those of {other} "
        "are not: between such distributions the divergence is infinite, and the "
        "value leaves out the difference."
    )
    return Note(text, SingularSampleWarning, name="point mass")
