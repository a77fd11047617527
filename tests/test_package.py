"""The package roots: names, imports, import cost."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import kldiv

HEAVY = ("torch", "numba", "dask", "pandas", "matplotlib")


@pytest.mark.parametrize("package", ["kldiv", "kldiv_attack"])
def test_every_public_name_resolves(package):
    if package == "kldiv_attack":
        pytest.importorskip("torch")
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert isinstance(name, str)
        assert getattr(module, name) is not None
    assert set(module.__all__) == set(module._HOMES)


def test_type_checkers_see_every_public_name():
    """What stands under TYPE_CHECKING is what is loaded on first use."""
    tree = ast.parse(Path(kldiv.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert block.test.id == "TYPE_CHECKING"
    seen = {name.name: node.module for node in block.body for name in node.names}
    modules = {name: seen.pop(name) for name in kldiv._MODULES}
    assert set(modules.values()) == {"kldiv"}
    assert seen == kldiv._HOMES
    assert set(seen) == set(kldiv.__all__)


@pytest.mark.parametrize("package", ["kldiv", "kldiv_attack"])
def test_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = importlib.import_module(package).nothing


@pytest.mark.parametrize("package", ["kldiv", "kldiv_attack"])
def test_import_is_light(package):
    code = (
        f"import sys, {package}; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_using_kldiv_loads_nothing_heavy():
    # scikit-learn itself loads pandas where it is installed.
    code = (
        "import sys, numpy as np, sklearn.decomposition, sklearn.pipeline\n"
        "before = set(sys.modules)\n"
        "import kldiv\n"
        "rng = np.random.default_rng(0)\n"
        "X, y = rng.normal(size=(60, 3)), np.repeat([0, 1], 30)\n"
        "kldiv.kl_divergence(X[:30], X[30:])\n"
        "aux = rng.normal(size=(60, 3)), y\n"
        "kldiv.ConditionalKLScorer().fit((X, y), aux).report().to_markdown()\n"
        f"print([name for name in {HEAVY!r} if name in set(sys.modules) - before])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_star_import():
    namespace = {}
    exec("from kldiv import *", namespace)
    assert "kl_divergence" in namespace


def test_show_versions_names_the_dependencies(capsys):
    kldiv.show_versions()
    text = capsys.readouterr().out
    for name in ("python", "numpy", "scikit-learn", "kldiv"):
        assert name in text


def cpu_seconds(code):
    """What a fresh interpreter prints: seconds of process CPU time."""
    done = subprocess.run(
        [sys.executable, "-c", f"import time\n{code}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(done.stdout)


def test_import_costs_no_more_than_numpy():
    codes = [
        f"import {name}\nprint(time.process_time())" for name in ("numpy", "kldiv")
    ]
    numpy = kldiv = np.inf
    for _ in range(5):  # until both were undisturbed
        found = [cpu_seconds(code) for code in codes]
        numpy, kldiv = np.minimum([numpy, kldiv], found)
        if kldiv <= 1.3 * numpy:
            break
    assert kldiv <= 1.3 * numpy


def test_first_call_compiles_nothing():
    code = (
        "import numpy as np\n"
        "from kldiv import kl_divergence\n"
        "X, Y = np.random.default_rng(0).normal(size=(2, 50, 2))\n"
        "started = time.process_time()\n"
        "kl_divergence(X, Y)\n"
        "print(time.process_time() - started)\n"
    )
    # A compiler takes seconds; a few hundredths are those of the estimate.
    assert any(cpu_seconds(code) < 0.5 for _ in range(3))
