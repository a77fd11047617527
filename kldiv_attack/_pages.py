"""Reports of runs: one list of parts, written as Markdown and as one HTML file."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from kldiv_attack._files import write_atomic
from kldiv_attack._tables import markdown_table, plain

__all__ = ["Figure", "Heading", "Listing", "Paragraph", "Part", "Table", "write_pages"]


@dataclass(frozen=True)
class Heading:
    """A section title."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Listing:
    """Bullet points."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str


@dataclass(frozen=True)
class Figure:
    """A picture with a text for those who do not see it.

    Attributes
    ----------
    name : str
        File name without suffix, in the folder ``figures``.
    png : bytes
        The picture.
    alt : str
        What it shows.
    caption : str
        Text below.
    pixels : bool
        Whether it is made of small images that must not be smoothed.
    """

    name: str
    png: bytes
    alt: str
    caption: str
    pixels: bool = False


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side where the screen is wide enough, below each other else."""

    figures: Sequence[Figure]


Part = Heading | Paragraph | Listing | Table | Figure | Gallery

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem clamp(.75rem, 3vw, 2rem) 3rem;
  color: #1b1f24; background: #fff; line-height: 1.5;
  font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d8dee4;
  padding-bottom: .25rem; }
p, li { max-width: 44rem; }
.scroll { overflow-x: auto; margin: .4rem 0 1.25rem; }
table { border-collapse: collapse; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
p.caption { color: #424a53; font-size: .875rem; margin: 1rem 0 0; }
th, td { padding: .22rem .6rem; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #8c959f; font-weight: 600; vertical-align: bottom; }
td { border-bottom: 1px solid #eaeef2; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: #fff; }
tbody tr:hover td { background: #f3f6f9; }
figure { margin: 1rem 0 1.5rem; max-width: 44rem; }
.gallery { display: grid; gap: 1rem; margin: 1rem 0 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(13.5rem, 100%), 1fr)); }
.gallery figure { margin: 0; max-width: 26rem; }
figure img { max-width: 100%; height: auto; display: block; }
figure img.pixels { image-rendering: pixelated; }
figcaption { color: #424a53; font-size: .875rem; margin-top: .4rem; max-width: 44rem; }
"""


def write_pages(folder: Path, title: str, parts: Sequence[Part]) -> None:
    """Write report.md with its figures, and report.html that needs no other file.

    Parameters
    ----------
    folder : Path
        Where to write.
    title : str
        Heading of the page.
    parts : sequence of parts
        The content in order.
    """
    for part in parts:
        figures = part.figures if isinstance(part, Gallery) else [part]
        for figure in figures:
            if isinstance(figure, Figure):
                write_atomic(folder / "figures" / f"{figure.name}.png", figure.png)
    write_atomic(folder / "report.md", to_markdown(title, parts).encode())
    write_atomic(folder / "report.html", to_html(title, parts).encode())


def to_markdown(title: str, parts: Sequence[Part]) -> str:
    """The page as Markdown; pictures are linked in ``figures/``."""
    blocks = [f"# {plain(title)}"]
    for part in parts:
        match part:
            case Heading(text):
                blocks.append(f"## {plain(text)}")
            case Paragraph(text):
                blocks.append(plain(text))
            case Listing(items):
                blocks.append("\n".join(f"* {plain(item)}" for item in items))
            case Table(header, rows, caption):
                cells = [[plain(text) for text in row] for row in rows]
                titles = [plain(text) for text in header]
                blocks += [plain(caption), markdown_table(titles, cells)]
            case Figure():
                blocks += _markdown_figure(part)
            case Gallery(figures):
                for figure in figures:
                    blocks += _markdown_figure(figure)
    return "\n\n".join(blocks) + "\n"


def _markdown_figure(figure: Figure) -> list[str]:
    alt = plain(figure.alt)
    return [f"![{alt}](figures/{figure.name}.png)", plain(figure.caption)]


def to_html(title: str, parts: Sequence[Part]) -> str:
    """The page as one HTML file with its style and pictures inside."""
    body = "\n".join(map(_html, parts))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _html(part: Part) -> str:
    match part:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Listing(items):
            return "<ul>" + "".join(f"<li>{escape(i)}</li>" for i in items) + "</ul>"
        case Table(header, rows, caption):
            head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
            body = "".join(
                "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>\n"
                for row in rows
            )
            return (
                f'<p class="caption">{escape(caption)}</p>\n'
                '<div class="scroll" tabindex="0"><table>\n'
                f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>"
                "</table></div>"
            )
        case Figure():
            return _html_figure(part)
        case Gallery(figures):
            inside = "\n".join(map(_html_figure, figures))
            return f'<div class="gallery">{inside}</div>'


def _html_figure(figure: Figure) -> str:
    source = base64.b64encode(figure.png).decode("ascii")
    style = ' class="pixels"' if figure.pixels else ""
    return (
        f'<figure><img{style} src="data:image/png;base64,{source}" '
        f'alt="{escape(figure.alt, quote=True)}"><figcaption>{escape(figure.caption)}'
        "</figcaption></figure>"
    )
