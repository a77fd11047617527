"""Formulas as MathML: drawn by the browser itself, without a script or a network."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

# Environments that the converter knows by another name.
SYNONYMS = {"aligned": "split", "gathered": "split"}


def mathml(latex: str, display: str) -> str:
    for name, known in SYNONYMS.items():
        for word in ("begin", "end"):
            latex = latex.replace(f"\\{word}{{{name}}}", f"\\{word}{{{known}}}")
    if "\\\\" in latex and "\\begin" not in latex:
        latex = f"\\begin{{split}}{latex}\\end{{split}}"
    return convert(latex, display=display)


def visit_inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(writer: Any, node: nodes.math_block) -> None:
    label = f"({node['number']})" if node.get("number") else ""
    writer.body.append(writer.starttag(node, "div", CLASS="math"))
    # A blank line separates formulas that stand below each other.
    for part in node.astext().split("\n\n"):
        if part.strip():
            writer.body.append(mathml(part.strip(), "block"))
    writer.body.append(f'<span class="eqno">{label}</span></div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
