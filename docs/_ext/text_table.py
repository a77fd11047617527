"""A directive that sets what a command printed in columns as a real table.

Text in a terminal's columns cannot fold, scroll or be read out on a page::

    .. text-table::

       divergence        cgan     gmi
       ------------------------------
       KL              -0.38*  -0.23

Columns are told apart by two blanks or more; the first line is the header, a line of
dashes is left out. A row with another number of columns is an error.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class TextTable(SphinxDirective):
    """A table from lines whose columns are two blanks or more apart."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The table, of the classes "measured" and "numbers"."""
        lines = [line.strip() for line in self.content if line.strip(" -")]
        rows = [re.split(r" {2,}", line) for line in lines]
        width = len(rows[0])
        for line, row in zip(lines, rows, strict=True):
            if len(row) != width:
                raise self.error(f"{len(row)} columns, not {width}: {line}")
        group = nodes.tgroup("", cols=width)
        group += [nodes.colspec("", colwidth=1) for _ in rows[0]]
        group += nodes.thead("", self.row(rows[0]))
        group += nodes.tbody("", *map(self.row, rows[1:]))
        return [nodes.table("", group, classes=["measured", "numbers"])]

    @staticmethod
    def row(cells: list[str]) -> nodes.row:
        """One row; every cell is plain text."""
        return nodes.row(
            "", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells)
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive to Sphinx."""
    app.add_directive("text-table", TextTable)
    return {"parallel_read_safe": True}
