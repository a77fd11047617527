"""The report as HTML and as Markdown."""

from __future__ import annotations

from html import escape
from importlib import resources
from typing import Any

from kldiv_attack._tables import plain
from kldiv_attack.audit import blocks
from kldiv_attack.audit.sections import all_blocks


def to_html(report: Any) -> str:
    """The report as one page that needs no other file."""
    title = escape(f"Audit of {report.victims[0].name}")
    style, script = _file("report.css"), _file("report.js")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{title}</h1>\n{body(report)}\n</main>\n"
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def body(report: Any) -> str:
    """The content of the page."""
    lead, *parts = all_blocks(report)
    return "\n".join(
        [blocks.html(lead), blocks.contents(parts), *map(blocks.html, parts)]
    )


def to_markdown(report: Any) -> str:
    """The report as Markdown."""
    title = plain(f"Audit of {report.victims[0].name}")
    texts = [f"# {title}", *map(blocks.markdown, all_blocks(report))]
    return "\n\n".join(texts) + "\n"


def _file(name: str) -> str:
    source = resources.files("kldiv_attack.audit").joinpath(name)
    return source.read_text(encoding="utf-8")
