"""Pages, docstrings and messages use plain words, and numbers a leading zero."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# What not to write -> what to write instead.
WORDS = {
    r"\blaws?\b(?!\s+of large)": "distribution",
    r"\b(held|holds?) the (truth|true)": "covered the true value",
    r"\bbeside the peers\b": "compared with other packages",
    r"(?<![\w.:/\\\[(=,%-])\.\d+(?![\d%efgs])": "a zero before the decimal point",
}
pytestmark = pytest.mark.skipif(
    not (ROOT / "docs").exists(), reason="pages are those of a checkout"
)
PAGES = [
    path
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.rst"))
    if not {"auto_examples", "api", "generated", "_build"} & set(path.parts)
]
MODULES = [
    path
    for package in ("kldiv", "kldiv_attack")
    for path in (ROOT / package).rglob("*.py")
]
# What is not prose.
CODE = r"``[^`]*``|:math:`[^`]*`|`[^`]*`|>>> .*|\.\.\. .*|\{[^}]*\}"


def faults(text):
    """Words of a text that have a plainer one."""
    prose = re.sub(CODE, "", text)
    return [
        f"{found.group()!r}: write {better!r}"
        for word, better in WORDS.items()
        for found in re.finditer(word, prose, re.IGNORECASE)
    ]


def test_faults_are_found():
    text = "One law. The interval held the truth. A share of .5, beside the peers."
    assert len(faults(text)) == 4
    assert not faults("``law``, 0.5, :math:`.5`, a lawyer, and v1.5; it held the row")


def named(path):
    """A page or module; none are in reach of tests beside an installed package."""
    return path.relative_to(ROOT).as_posix() if isinstance(path, Path) else None


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_pages(page):
    assert not faults(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_docstrings_and_messages(module):
    tree = ast.parse(module.read_text(encoding="utf-8"))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    # one word is a name or a key
    assert not [fault for text in texts if " " in text for fault in faults(text)]
