"""Parts of a page, which is written as HTML and as Markdown."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from kldiv_attack._tables import markdown_table, plain

Cell = str | float | int | None
MISSING = "\N{EN DASH}"


@dataclass(frozen=True)
class Heading:
    """Title of a section."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; `strong` for the one that is read first."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Points:
    """A list; one with a title is folded under it."""

    items: Sequence[str]
    folded: str = ""


@dataclass(frozen=True)
class Grid:
    """A table that can be sorted; the first column names the row."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False


@dataclass(frozen=True)
class Drawing:
    """An SVG figure."""

    svg: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Photo:
    """A PNG in base64."""

    png: str
    alt: str
    caption: str


Block = Heading | Text | Points | Grid | Drawing | Photo

_INTERVAL = re.compile(r"-?[\d.]+ to -?[\d.]+")
_BADGES = {
    "leaked": "bad",
    "exposed": "bad",
    "fail": "bad",
    "partly exposed": "mild",
    "caution": "mild",
    "not evaluable": "mild",
    "do not use": "bad",
    "apart": "fine",
    "pass": "fine",
    "good": "fine",
    "waived": "mild",
}


def decimals(values: Iterable[Cell]) -> int:
    """Decimals of the numbers of a column: three, fewer for large, more for small ones.

    Examples
    --------
    >>> decimals([0.25, None, "text"]), decimals([0.25, -12.0]), decimals([0.0, 3e-4])
    (3, 1, 4)
    """
    largest = max((abs(v) for v in values if isinstance(v, float)), default=0.0)
    return 1 if largest >= 10 else 4 if 0 < largest < 0.005 else 3


def cell_text(value: Cell, places: int = 3) -> str:
    """How a value is written."""
    if value is None:
        return MISSING
    if isinstance(value, float):
        return f"{round(value, places) + 0.0:.{places}f}"  # -0.0 is 0.0
    return f"{value:,}" if isinstance(value, int) else value


def interval_text(low: float | None, high: float | None, places: int = 3) -> Cell:
    """Both ends of an interval, in one cell."""
    if low is None or high is None:
        return None
    return f"{low:.{places}f} to {high:.{places}f}"


def _places(grid: Grid) -> list[int]:
    """Decimals of every column."""
    return [decimals(column) for column in zip(*grid.rows, strict=True)]


def html(block: Block) -> str:
    """One block as HTML; every text is escaped."""
    match block:
        case Heading(text, level):
            return f'<h{level} id="{_anchor(text)}">{escape(text)}</h{level}>'
        case Text(text, strong):
            kind = ' class="lead"' if strong else ""
            return f"<p{kind}>{escape(text)}</p>"
        case Points(items, folded):
            points = "".join(f"<li>{escape(item)}</li>" for item in items)
            return _folded(f"<ul>{points}</ul>", folded)
        case Grid():
            return _table(block)
        case Drawing(svg, _, caption):
            return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"
        case Photo(png, alt, caption):
            return (
                '<figure class="photo"><div class="scroll" tabindex="0"><img '
                f'src="data:image/png;base64,{png}" alt="{escape(alt, quote=True)}">'
                f"</div><figcaption>{escape(caption)}</figcaption></figure>"
            )


def _table(grid: Grid) -> str:
    head = "".join(
        f'<th scope="col"><button type="button">{escape(t)}</button></th>'
        for t in grid.header
    )
    places = _places(grid)
    rows = "".join(
        "<tr>"
        + "".join(
            _cell(v, i, n) for i, (v, n) in enumerate(zip(row, places, strict=True))
        )
        + "</tr>\n"
        for row in grid.rows
    )
    label = escape(grid.caption, quote=True)
    table = (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table '
        f'class="sortable"><caption>{escape(grid.caption)}</caption><thead><tr>{head}'
        f"</tr></thead>\n<tbody>{rows}</tbody></table></div>"
    )
    return _folded(table, grid.caption if grid.folded else "")


def _folded(content: str, title: str) -> str:
    if not title:
        return content
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _cell(value: Cell, place: int, decimals: int) -> str:
    text = escape(cell_text(value, decimals))
    if isinstance(value, str) and value in _BADGES and place:
        return f'<td><span class="badge {_BADGES[value]}">{text}</span></td>'
    number = isinstance(value, int | float)
    order = f' data-order="{value}"' if number else ""
    numeric = number or value is None or _INTERVAL.fullmatch(text)
    kind = ' class="number"' if numeric else ""
    tag = 'th scope="row"' if place == 0 else "td"
    if place == 0:
        text = f"<span>{text}</span>"
    return f"<{tag}{order}{kind}>{text}</{tag.split()[0]}>"


def contents(parts: Sequence[Block]) -> str:
    """Links to the sections of a page."""
    titles = [p.text for p in parts if isinstance(p, Heading) and p.level == 2]
    links = "".join(f'<a href="#{_anchor(t)}">{escape(t)}</a>' for t in titles)
    return f'<nav aria-label="Sections">{links}</nav>' if titles else ""


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"


def markdown(block: Block) -> str:
    """One block as Markdown."""
    match block:
        case Heading(text, level):
            return f"{'#' * level} {plain(text)}"
        case Text(text, strong):
            return f"**{plain(text)}**" if strong else plain(text)
        case Points(items, folded):
            points = "\n".join(f"* {plain(item)}" for item in items)
            return f"{folded}:\n\n{points}" if folded else points
        case Grid(caption, header, rows):
            places = _places(block)
            cells = [
                [plain(cell_text(v, n)) for v, n in zip(row, places, strict=True)]
                for row in rows
            ]
            table = markdown_table([plain(title) for title in header], cells)
            return f"{plain(caption)}\n\n{table}"
        case Drawing(_, alt, caption) | Photo(_, alt, caption):
            return f"*Figure in report.html: {plain(caption)} {plain(alt)}*"
