"""Tables as text: the cells of a column are as wide as its widest."""

import csv
import io
from collections.abc import Iterable, Sequence

Row = Sequence[str]


def text_lines(rows: Sequence[Row], *, n_left: int = 1) -> list[str]:
    """One line per row.

    Parameters
    ----------
    rows : sequence of rows
        Cells, the header among them.
    n_left : int, default=1
        Leading columns that are flush left; numbers are flush right.

    Returns
    -------
    list of str
        Lines of equal length.
    """
    return ["  ".join(cells) for cells in _aligned(rows, n_left)]


def markdown_table(header: Row, rows: Sequence[Row]) -> str:
    """A Markdown table; the first column names the row."""
    titles, *cells = _aligned([header, *rows], n_left=1)
    first, *others = ("-" * (len(title) + 1) for title in titles)
    rule = "|".join([f":{first}", *(f"{dashes}:" for dashes in others)])
    lines = ["| " + " | ".join(line) + " |" for line in (titles, *cells)]
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _aligned(rows: Sequence[Row], n_left: int) -> list[list[str]]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.ljust(width) if i < n_left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


_SIGNS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|", "](": "\\]("}


def plain(text: str) -> str:
    """Text that Markdown shows as it is, also where it is read as HTML."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for sign, instead in _SIGNS.items():
        text = text.replace(sign, instead)
    return text


def csv_line(cells: Iterable[object]) -> str:
    """A line of a file of comma-separated values, without formulas."""
    out = io.StringIO()
    # Only what may end a line is quoted, and readers end lines at either sign.
    csv.writer(out, lineterminator="\r\n").writerow(map(_cell_of_csv, cells))
    return out.getvalue().removesuffix("\r\n") + "\n"


def _cell_of_csv(value: object) -> object:
    """A value that no spreadsheet takes for a formula, as in the tables of kldiv.

    A public name there for these lines would make spreadsheets part of its interface.
    """
    if not isinstance(value, str) or not value.startswith(tuple("=+-@\t\r\n")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    plain = value[0] in "+-" and value == value.strip()  # float takes blanks
    return value if plain else f"'{value}"
