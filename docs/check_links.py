"""Check that every link inside built pages leads somewhere.

Usage: ``python docs/check_links.py docs/_build/html``. Pages, anchors, images, styles
and scripts of the site itself are checked; addresses outside are not opened.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

OUTSIDE = ("http:", "https:", "mailto:", "data:", "javascript:", "//")


class Links(HTMLParser):
    """Targets that a page offers and addresses that it points to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.addresses: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ("href", "src"):
                self.addresses.append(value)


def broken(site: Path) -> list[str]:
    """One line for each address inside `site` that leads nowhere."""
    pages = {
        path.resolve(): Links(path)
        for path in site.rglob("*.html")
        if "_static" not in path.parts
    }
    found = []
    for page, links in pages.items():
        for address in links.addresses:
            if address.startswith(OUTSIDE):
                continue
            parts = urlsplit(address)
            target = (page.parent / unquote(parts.path)).resolve()
            target = page if not parts.path else target
            missing = not target.exists()
            anchor = unquote(parts.fragment)
            if not missing and anchor and target in pages:
                missing = anchor not in pages[target].anchors
            if missing:
                found.append(f"{page.relative_to(site.resolve())}: {address}")
    return found


if __name__ == "__main__":
    lines = broken(Path(sys.argv[1]))
    print("\n".join(lines) or "all links inside lead somewhere")
    sys.exit(bool(lines))
