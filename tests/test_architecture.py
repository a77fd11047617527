"""The walls of the packages: who imports whom, and how large the parts are."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("kldiv", "kldiv_attack")
pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="the walls are those of a checkout"
)
MOST_IMPORTS, MOST_LINES, MOST_LINES_OF_FUNCTION = 60, 400, 40
# Why a file or a function may be longer.
LONG_FILES = {
    "kldiv/_estimators.py": "public functions and a class, half of it docstrings",
    "kldiv/datasets.py": "one maker of a pair beside the other, half of it docstrings",
}
PARAMETERS = "one line per parameter, twice"
DRAWING = "one drawing call after the other"
WORDS = "mostly words of a report"
MODEL = "networks and optimisers of one game, put together"
LONG_FUNCTIONS = {
    "kldiv._backends._user_metric._scan": "two loops that Numba compiles as they stand",
    "kldiv._estimators.divergence": PARAMETERS,
    "kldiv._estimators.estimate_divergence": PARAMETERS,
    "kldiv_attack.__main__._parser": "a table of commands and options",
    "kldiv_attack._figures.draw_scatter": DRAWING,
    "kldiv_attack._studies.paper.write_paper": "a table of contents",
    "kldiv_attack.attackers._brep_mi.__init__": PARAMETERS,
    "kldiv_attack.attackers._cgan.__init__": PARAMETERS,
    "kldiv_attack.attackers._cgan_training.__init__": MODEL,
    "kldiv_attack.attackers._genetic.__init__": PARAMETERS,
    "kldiv_attack.attackers._gmi.__init__": PARAMETERS,
    "kldiv_attack.attackers._lomma.__init__": PARAMETERS,
    "kldiv_attack.attackers._plg_mi.__init__": PARAMETERS,
    "kldiv_attack.attackers._preimage_gan.__init__": PARAMETERS,
    "kldiv_attack.audit.charts.scatter": DRAWING,
    "kldiv_attack.audit.command.run_audit": PARAMETERS,
    "kldiv_attack.audit.evidence.curves_section": WORDS,
    "kldiv_attack.audit.evidence.defences_section": WORDS,
    "kldiv_attack.audit.nearest.nearest_rows": WORDS,
    "kldiv_attack.audit.run.audit": PARAMETERS,
    "kldiv_attack.evaluate.evaluate_attack": PARAMETERS,
}


def files(package):
    return sorted((ROOT / package).rglob("*.py"))


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(path, modules):
    """Modules among `modules` that a file imports, type checkers aside.

    ``from package import name`` means the module ``package.name`` if there is one.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{name.name}" for name in node.names} & modules
            found |= inner
            if len(inner) < len(node.names):
                found.add(node.module)
    return found & modules


def graph(*packages):
    paths = {module_of(path): path for package in packages for path in files(package)}
    return {name: imported_by(path, set(paths)) for name, path in paths.items()}


def circle(edges):
    """The modules of a circle of imports, or nothing."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        path.append(name)
        for other in sorted(edges[name]):
            if found := visit(other):
                return found
        path.pop()
        done.add(name)
        return []

    for name in sorted(edges):
        if found := visit(name):
            return found
    return []


def test_a_circle_is_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_of_imports(package):
    assert circle(graph(package)) == []


def room(module):
    """A folder of the package, or a file beside the folders."""
    return ".".join(module.split(".")[:2])


def test_imports_among_the_rooms_of_kldiv():
    """Names of array kinds (_typing) say nothing about the flow of data."""
    between = {
        (room(name), room(other))
        for name, imported in graph("kldiv").items()
        for other in imported - {"kldiv._typing"}
        if room(name) != room(other)
    }
    assert len(between) <= MOST_IMPORTS


def test_kldiv_never_imports_kldiv_attack():
    edges = graph(*PACKAGES)
    for name, imported in edges.items():
        if name.partition(".")[0] == "kldiv":
            assert not [other for other in imported if other.startswith("kldiv_attack")]


def test_kldiv_attack_imports_public_names_of_kldiv_only():
    private = {
        f"{name} imports {other}"
        for name, imported in graph(*PACKAGES).items()
        for other in imported
        if name.startswith("kldiv_attack") and other.startswith("kldiv._")
    }
    assert not private


@pytest.mark.parametrize("package", PACKAGES)
def test_every_folder_says_what_it_holds(package):
    for path in (ROOT / package).rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def lines_of_code(function):
    """Lines of a function without its docstring."""
    body = function.body
    length = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        length -= body[0].end_lineno - body[0].lineno + 1
    return length


@pytest.mark.parametrize("package", PACKAGES)
def test_files_are_short_or_have_a_reason(package):
    long = {
        path.relative_to(ROOT).as_posix()
        for path in files(package)
        if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES
    }
    assert long == {name for name in LONG_FILES if name.startswith(f"{package}/")}


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_are_short_or_have_a_reason(package):
    long = {
        f"{module_of(path)}.{node.name}"
        for path in files(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and lines_of_code(node) > MOST_LINES_OF_FUNCTION
    }
    assert long == {name for name in LONG_FUNCTIONS if name.startswith(f"{package}.")}
