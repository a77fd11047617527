"""Numbers and tables as text, HTML, CSV and JSON, for every result."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# JSON has no word for these; NaN becomes null.
_INFINITIES = {"Infinity": np.inf, "-Infinity": -np.inf}
_LARGEST_DECIMALS = 6
_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { margin: 1rem auto; max-width: 64rem; padding: 0 1rem; overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .5rem; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; }
"""


def decimals_of(values: ArrayLike, errors: ArrayLike | None = None) -> int:
    """Decimals that numbers deserve: two digits of their standard error.

    Without errors, three decimals for numbers of order one, fewer for larger numbers
    and three significant digits for smaller ones.
    """
    of_errors = np.asarray([] if errors is None else errors, dtype=float)
    of_errors = of_errors[np.isfinite(of_errors) & (of_errors > 0)]
    if of_errors.size:
        wanted = 1 - _order(float(np.median(of_errors)))
    else:
        sizes = np.abs(np.asarray(values, dtype=float))
        sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
        order = _order(float(sizes.max())) if sizes.size else 0
        wanted = 3 - order if order >= 0 else max(3, 2 - order)
    return min(max(wanted, 0), _LARGEST_DECIMALS)


def _order(value: float) -> int:
    return int(np.floor(np.log10(value)))


def number_text(value: Any, decimals: int | None = None) -> str:
    """A value as people read it; integers and words as they are."""
    if isinstance(value, np.ndarray | list | tuple):
        return ", ".join(number_text(v, decimals) for v in value)
    if not isinstance(value, float | np.floating):
        return str(value)
    if not np.isfinite(value):
        return str(float(value))
    places = decimals_of(value) if decimals is None else decimals
    text = f"{value:.{places}f}"
    return text if value == 0 or float(text) != 0 else f"{value:.2g}"


def unit_of(base: float | None) -> str:
    """What a logarithm of this base is measured in."""
    if base is None:
        return "nats"
    return "bits" if base == 2 else f"logarithms of base {base:g}"


def column_texts(
    name: str, values: NDArray[Any], errors: NDArray[Any] | None = None
) -> list[str]:
    """One text per value of a column; counts, whose names begin with ``n_``, whole."""
    if values.dtype.kind != "f":
        return [str(value) for value in values.tolist()]
    decimals = 0 if name.startswith("n_") else decimals_of(values, errors)
    return [number_text(value, decimals) for value in values.tolist()]


def markdown_text(text: str) -> str:
    """Text on one line that Markdown shows as text: no cell, tag, link or picture."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text.replace("|", "\\|").replace("<", "&lt;").replace("](", "\\](")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    lines = [[markdown_text(text) for text in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "| " + " | ".join(t.rjust(w) for t, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    table.insert(1, "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|")
    return "\n".join(table)


def markdown_blocks(
    header: Sequence[str], rows: Sequence[Sequence[str]], *listings: Sequence[str]
) -> str:
    """A table and what is to be listed below it."""
    points = ["\n".join(f"* {markdown_text(t)}" for t in texts) for texts in listings]
    return "\n\n".join([markdown_table(header, rows), *filter(None, points)])


def html_table(
    caption: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    remarks: Sequence[str] = (),
) -> str:
    """A table and, below it, a list of remarks."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>"
        for row in rows
    )
    listed = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
    return (
        f"<table><caption>{escape(caption)}</caption>"
        + (f"<thead><tr>{head}</tr></thead>" if header else "")
        + f"<tbody>{body}</tbody></table>"
        + (f"<ul>{listed}</ul>" if remarks else "")
    )


def html_page(title: str, body: str) -> str:
    """A file that a browser opens, light or dark as its reader prefers."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def csv_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Comma-separated values with every digit; NaN and None are empty."""
    # NaN alone differs from itself
    cells = [["" if v != v else _no_formula(v) for v in row] for row in rows]
    return "".join(_csv_line(row) for row in (header, *cells))


def _csv_line(cells: Sequence[Any]) -> str:
    out = io.StringIO()
    # Only what may end a line is quoted, and readers end lines at either sign.
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().removesuffix("\r\n") + "\n"


def _no_formula(value: Any) -> Any:
    """The value, with a sign before it where a spreadsheet would compute it."""
    if not isinstance(value, str) or not value.startswith(tuple("=+-@\t\r\n")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    plain = value[0] in "+-" and value == value.strip()  # float takes blanks
    return value if plain else f"'{value}"


def json_text(values: Mapping[str, Any]) -> str:
    """JSON of numbers, words, arrays and mappings; other objects as their `str`."""
    return json.dumps(_encoded(values), indent=2, allow_nan=False)


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _encoded(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else ("" if value > 0 else "-") + "Infinity"
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(k): _encoded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded(v) for v in value]
    return str(value)


def decoded(value: Any) -> Any:
    """A value from JSON with its infinities."""
    if isinstance(value, str):
        return _INFINITIES.get(value, value)
    if isinstance(value, dict):
        return {k: decoded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [decoded(v) for v in value]
    return value


def array_of(values: Sequence[Any]) -> NDArray[Any]:
    """An array from a list of JSON; null is NaN among numbers."""
    if any(isinstance(value, str) for value in decoded(values)):
        return np.asarray(["" if value is None else value for value in values])
    return np.asarray([np.nan if v is None else v for v in decoded(values)])


def written(text: str, path: str | os.PathLike[str] | None) -> str:
    """The text, also in a file if there is a path."""
    if path is not None:
        Path(path).write_text(text, encoding="utf-8", newline="")
    return text


def stored_values(
    source: str | os.PathLike[str] | Mapping[str, Any], keys: Sequence[str]
) -> dict[str, Any]:
    """What a JSON text, a JSON file or parsed JSON holds, if it holds the `keys`."""
    stored: Any = source
    if not isinstance(source, Mapping):
        text, name = _text_of(source)
        try:
            stored = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{name} is no JSON: {error}") from error
    missing = [k for k in keys if not isinstance(stored, Mapping) or k not in stored]
    if missing:
        raise ValueError(
            f"the JSON lacks {missing}; give what to_json of the same class wrote."
        )
    return dict(stored)


def _text_of(source: Any) -> tuple[str, str]:
    """JSON text, as it was given or from a file, and what to call it."""
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            "from_json takes JSON text, a file that holds it, or a mapping; got "
            f"{source!r}."
        )
    text = str(source)
    if text.lstrip().startswith(("{", "[")):
        return text, "the text"
    try:
        return Path(text).read_text(encoding="utf-8"), text
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{text[:80]!r} is neither JSON text nor a file that holds it."
        ) from error


def import_pandas() -> Any:
    """The module pandas, or an error that says how to get it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "to_frame needs pandas: pip install 'kldiv[frames]'."
        ) from error
    return pd
