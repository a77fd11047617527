"""Public names: what runs and what type checkers see, and where kldiv is reached."""

import ast
from pathlib import Path

import kldiv
import kldiv_attack

PACKAGE = Path(kldiv_attack.__file__).parent


def imports_of(tree):
    """(module, name) of every import from a module in a syntax tree."""
    return [
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


def test_type_checkers_see_every_public_name_where_it_is():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {name: module for module, name in imports_of(block)}
    assert seen == kldiv_attack._HOMES
    assert sorted(seen) == sorted(kldiv_attack.__all__)


def test_only_public_names_of_kldiv_are_imported():
    allowed = {*kldiv.__all__, "__version__", "datasets", "plots"}
    found = []
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for module, name in imports_of(tree):
            if module == "kldiv" or str(module).startswith("kldiv."):
                found.append((path.name, module, name))
    assert found
    assert [one for one in found if one[1] != "kldiv" or one[2] not in allowed] == []
