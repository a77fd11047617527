"""Docstrings of public names are complete, and every example in them and in the pages
prints what it says."""

import ast
import doctest
import importlib
import inspect
from importlib.util import find_spec
from pathlib import Path

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate

ROOT = Path(__file__).parent.parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# numpydoc's codes for what a public name must have: sections in order and with their
# underlines, a one-line summary, every parameter by its name and no other, what is
# returned, an example. Codes of style (where a summary starts, "See Also" everywhere)
# are left to the author.
REQUIRED = {
    *("GL03", "GL06", "GL07", "GL08", "GL09", "GL10"),
    *("SS01", "SS03", "SS04", "SS06"),
    *("PR01", "PR02", "PR03", "PR10", "RT01", "EX01"),
}
# A method may say all there is in one line; if it has sections, they must fit.
REQUIRED_OF_METHODS = REQUIRED - {"PR01", "RT01", "EX01"}

PUBLIC_MODULES = {
    "kldiv": "kldiv/__init__.py",
    "kldiv.datasets": "kldiv/datasets.py",
    "kldiv.plots": "kldiv/plots.py",
    "kldiv_attack": "kldiv_attack/__init__.py",
    "kldiv_attack.attackers": "kldiv_attack/attackers/__init__.py",
    "kldiv_attack.datasets": "kldiv_attack/datasets/__init__.py",
}


def public_names(module):
    """``__all__`` of a module, read without importing: kldiv_attack needs torch."""
    package, *rest = Path(PUBLIC_MODULES[module]).parts
    source = Path(find_spec(package).submodule_search_locations[0], *rest)
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{source} has no literal list __all__")


PUBLIC = [
    f"{module}.{name}"
    for module in PUBLIC_MODULES
    for name in public_names(module)
    if not name.isupper()  # a registry has no docstring of its own
]


def with_examples(folder, pattern):
    """Files below `folder` that hold an example, relative to its parent."""
    return [
        path.relative_to(folder.parent).as_posix()
        for path in sorted(folder.rglob(pattern))
        if ">>> " in path.read_text(encoding="utf-8") and "_build" not in path.parts
    ]


MODULES = [  # found without importing, because kldiv_attack needs torch
    path
    for package in ("kldiv", "kldiv_attack")
    for folder in find_spec(package).submodule_search_locations
    for path in with_examples(Path(folder), "*.py")
]
PAGES = [
    name
    for name in with_examples(ROOT / "docs", "*.rst")
    if not name.startswith(("docs/api/", "docs/auto_examples/"))
]
# Trainings and repetitions of several seconds.
LONG = {
    "kldiv_attack/_studies/result.py",
    *("docs/tutorial.rst", "docs/tasks/audit_torch.rst"),
    *("docs/tasks/audit_scikit_learn.rst", "docs/tasks/drift_over_time.rst"),
}


def tiered(paths):
    """Files as parameters, long ones in the statistical tier."""
    return [
        pytest.param(path, marks=pytest.mark.statistical) if path in LONG else path
        for path in paths
    ]


def public_object(name):
    module, _, attribute = name.rpartition(".")
    if module.startswith("kldiv_attack"):
        pytest.importorskip("torch")
    if module == "kldiv.plots":
        pytest.importorskip("matplotlib")
    return getattr(importlib.import_module(module), attribute)


def complaints(name, required):
    return [
        f"{name}: {code} {text}"
        for code, text in validate(name)["errors"]
        if code in required
    ]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_docstrings_are_complete(name):
    described = public_object(name)
    required = set(REQUIRED)
    if inspect.isclass(described) and hasattr(described, "__dataclass_fields__"):
        # The fields of a record are its attributes; both lists must agree.
        required.discard("PR01")
        sections = get_doc_object(described)
        documented = {
            part.strip()
            for entry in [*sections["Parameters"], *sections["Attributes"]]
            for part in entry.name.split(",")
        }
        assert documented >= set(described.__dataclass_fields__)
    if getattr(described, "_is_protocol", False):
        required.discard("PR01")  # nobody calls it
    found = complaints(name, required)
    if inspect.isclass(described):
        for method, function in vars(described).items():
            if not method.startswith("_") and inspect.isroutine(function):
                found += complaints(f"{name}.{method}", REQUIRED_OF_METHODS)
    assert not found, "\n".join(found)


def run_doctest(test):
    report = []
    results = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert results.attempted > 0
    assert not results.failed, "".join(report)


@pytest.mark.parametrize("path", tiered(MODULES))
def test_examples_in_docstrings(path):
    if path.startswith("kldiv_attack"):
        pytest.importorskip("torch")
    if path == "kldiv/plots.py":
        pyplot = pytest.importorskip("matplotlib.pyplot")
        pyplot.close("all")
        pyplot.switch_backend("agg")
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [t for t in finder.find(importlib.import_module(name)) if t.examples]
    assert tests
    for test in tests:
        run_doctest(test)


@pytest.mark.parametrize("path", tiered(PAGES))
def test_examples_in_pages(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    code = "".join(line for line in text.splitlines() if ">>>" in line)
    if "kldiv_attack" in code or "import torch" in code:
        pytest.importorskip("torch")
    run_doctest(doctest.DocTestParser().get_doctest(text, {}, path, path, 0))
