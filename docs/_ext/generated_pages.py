"""Pages that follow from the packages: reference, changelog, measured tables.

The public names come from ``__all__``, the tables of choices from the registries, the
changelog from the fragments in ``docs/whats_new``, so that no page has to be edited
when a divergence, a backend, an attacker or a data set is added. The Markdown that
commands write to ``docs/benchmarks`` becomes pages as it stands.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SCORE = {
    "Divergences of two samples": [
        "kl_divergence",
        "divergence",
        "estimate_divergence",
        "KNNDivergence",
        "RollingWindow",
        "expected_seconds",
    ],
    "One score per class": ["ConditionalKLScorer"],
    "Kolmogorov-Smirnov": ["ks_test", "KSDistance"],
    "Neighbours": ["neighbor_distances", "NeighborDistances"],
}
ATTACK = {
    "Data": ["load_dataset", "LabelledImages"],
    "Victims": ["train_victim", "Victim"],
    "Judges": ["train_judge", "Judge", "NeighbourJudge", "train_panel"],
    "Attackers": ["make_attacker"],
    "Audit": ["audit", "AuditReport"],
}
PACKAGES = {"kldiv": SCORE, "kldiv_attack": ATTACK}
MODULES = {
    "kldiv": ["kldiv.datasets", "kldiv.plots"],
    "kldiv_attack": ["kldiv_attack.datasets", "kldiv_attack.attackers"],
}
# Heading, module and name of each family's dict, what a key is passed to.
REGISTRIES = {
    "kldiv": [
        ("Divergences", "kldiv._divergences", "DIVERGENCES", "divergence"),
        ("Corrections", "kldiv._ratio._corrections", "CORRECTIONS", "correction"),
        ("Neighbour searches", "kldiv._backends", "BACKENDS", "algorithm"),
        ("Kolmogorov-Smirnov methods", "kldiv._ks._methods", "METHODS", "method"),
    ],
    "kldiv_attack": [
        ("Attackers", "kldiv_attack.attackers", "ATTACKERS", "make_attacker(name)"),
        ("Data sets", "kldiv_attack.datasets", "DATASETS", "load_dataset(name)"),
        ("Defences", "kldiv_attack.audit.defences", "DEFENCES", "--defence"),
        ("Gate metrics", "kldiv_attack.audit.metrics", "METRICS", "--fail-below"),
    ],
}
KINDS = {
    "feature": "New",
    "change": "Changed",
    "fix": "Fixed",
    "deprecation": "Deprecated",
    "doc": "Documentation",
}


def write(docs: Path) -> None:
    """Write the reference, the changelog and the measured tables below `docs`."""
    pages = {
        docs / "api" / "index.rst": reference_page(),
        docs / "api" / "kldiv.rst": api_page("kldiv", SCORE),
        docs / "api" / "kldiv_attack.rst": api_page("kldiv_attack", ATTACK),
        docs / "whats_new" / "index.rst": changelog(docs / "whats_new"),
    }
    for path in (docs / "benchmarks").glob("*.md"):
        page = docs / "benchmarks" / "generated" / f"{path.stem}.rst"
        pages[page] = measured_page(path.read_text(encoding="utf-8"))
    for path, text in pages.items():
        path.parent.mkdir(exist_ok=True)
        # An unchanged page keeps its time stamp, so that Sphinx does not rebuild it.
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def heading(text: str, mark: str) -> list[str]:
    return [text, mark * len(text), ""]


def reference_page() -> str:
    """The page that leads to both packages."""
    lines = [*heading("Reference", "="), ".. toctree::", "   :hidden:", ""]
    lines += [*(f"   {package}" for package in PACKAGES), ""]
    for package, groups in PACKAGES.items():
        lines += [f":doc:`{package}`", f"   {first_line(resolve(package, ''))}", ""]
        for title, names in grouped_names(package, groups).items():
            lines += [f"**{title}**", ""]
            lines += [described(package, name) for name in names]
            lines += [""]
    return "\n".join(lines) + "\n"


def described(package: str, name: str) -> str:
    """A line of a list: a public name and what it is."""
    value = resolve(package, name)
    role = "class" if inspect.isclass(value) else "func"
    text = first_line(value)
    if isinstance(value, Mapping):
        role, text = "data", "by name: " + ", ".join(f"``{key}``" for key in value)
    return f"* :py:{role}:`{name} <{package}.{name}>`: {text}"


def grouped_names(
    package: str, groups: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """Public names by group, those of none under "Results and tools"."""
    module = importlib.import_module(package)
    public = [name for name in module.__all__ if resolve(package, name) is not None]
    grouped = {name for names in groups.values() for name in names}
    rest = [name for name in public if name not in grouped]
    groups = {**groups, "Results and tools": rest}
    return {
        title: [name for name in names if name in public]
        for title, names in groups.items()
    }


def api_page(package: str, groups: Mapping[str, list[str]]) -> str:
    """The reference page of one package."""
    lines = [f".. _api-{package}:", "", *heading(package, "=")]
    lines += [f".. automodule:: {package}", ""]
    for title, names in grouped_names(package, groups).items():
        lines += listing(title, names)
    for name in MODULES[package]:
        lines += module_listing(name)
    for entry in REGISTRIES[package]:
        lines += registry_table(*entry)
    return "\n".join(lines) + "\n"


def listing(title: str, names: list[str], module: str = "") -> list[str]:
    """A section with a summary table that leads to one page per name."""
    if not names:
        return []
    head = heading(title, "-") + ([f".. automodule:: {module}", ""] if module else [])
    rows = [f"   {name}" for name in names]
    return [*head, ".. autosummary::", "   :toctree: generated", "", *rows, ""]


def module_listing(name: str) -> list[str]:
    """The public functions and classes of a public module, if it exists."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return []
    names = getattr(module, "__all__", ())
    package = name.partition(".")[0]
    above = set(importlib.import_module(package).__all__)
    public = [n for n in names if callable(getattr(module, n)) and n not in above]
    if not public:
        return []
    return [
        *listing(f"``{name}``", public, name),
        f".. currentmodule:: {package}",
        "",
    ]


def registry_table(title: str, module: str, name: str, used: str) -> list[str]:
    """What each key of a family stands for; nothing if the family does not exist."""
    registry = resolve(module, name)
    if registry is None:
        return []
    lines = heading(title, "-")
    described = dict.fromkeys(registry, "")
    if isinstance(registry, Mapping):
        described = {key: first_line(value) for key, value in registry.items()}
    if len(set(described.values())) == 1 < len(described):  # nothing tells them apart
        keys = ", ".join(f"``{key!r}``" for key in described)
        return [*lines, f"Accepted by ``{used}``: {keys}.", ""]
    lines += [
        f"Accepted by ``{used}``:",
        "",
        ".. list-table::",
        "   :widths: 30 70",
        "",
    ]
    for key, text in described.items():
        lines += [f"   * - ``{key!r}``", f"     - {text}"]
    return [*lines, ""]


def resolve(module: str, name: str) -> Any:
    """The attribute, or None where the module or the name is missing."""
    try:
        home = importlib.import_module(module)
        return getattr(home, name) if name else home
    except (ImportError, AttributeError):
        return None


def first_line(described: Callable[..., Any] | Any) -> str:
    """The first line of a docstring."""
    text = inspect.getdoc(getattr(described, "func", described)) or ""
    return text.partition("\n")[0]


def changelog(folder: Path) -> str:
    """Fragments ``<number>.<kind>.rst`` by kind, under the version they are part of."""
    version = importlib.import_module("kldiv").__version__
    lines = [".. _whats-new:", "", *heading("What is new", "=")]
    lines += heading(version, "-")
    for kind, title in KINDS.items():
        fragments = sorted(
            folder.glob(f"*.{kind}.rst"), key=lambda path: int(path.name.split(".")[0])
        )
        if fragments:
            lines += heading(title, "~")
        for path in fragments:
            first, *rest = path.read_text().strip().splitlines()
            lines += [f"* {first}", *(f"  {line}".rstrip() for line in rest)]
        lines += [""] if fragments else []
    return "\n".join(lines) + "\n"


def measured_page(markdown: str) -> str:
    """Headings, paragraphs and tables of `markdown` as reStructuredText."""
    lines: list[str] = []
    for block in markdown.strip().split("\n\n"):
        rows = block.splitlines()
        if block.startswith("#"):
            marks, _, title = rows[0].partition(" ")
            lines += heading(title, "=-~"[len(marks) - 1])
            rows = rows[1:]
        if rows and rows[0].startswith("|"):
            lines += markdown_table(rows)
        else:
            lines += [*rows, ""]
    return "\n".join(lines) + "\n"


def markdown_table(rows: list[str]) -> list[str]:
    """A table of Markdown as a list-table; its second row is the ruler."""
    lines = [".. list-table::", "   :header-rows: 1", "   :class: measured", ""]
    for row in [rows[0], *rows[2:]]:
        first, *rest = [cell.strip() for cell in row.strip().strip("|").split("|")]
        lines += [f"   * - {first}", *(f"     - {cell}" for cell in rest)]
    return [*lines, ""]
