"""What the ranks of values say of a sample: an order of rows, and facts found once."""

from kldiv._order._by_contents import (
    column_order,
    equal_runs,
    in_order,
    next_row_correlation,
    quartiles,
    row_order,
    taken,
)
from kldiv._order._once import kept_in_mind, of_rows
from kldiv._order._parts import extremes, in_columns, in_parts

__all__ = [
    "column_order",
    "equal_runs",
    "extremes",
    "in_columns",
    "in_order",
    "in_parts",
    "kept_in_mind",
    "next_row_correlation",
    "of_rows",
    "quartiles",
    "row_order",
    "taken",
]
