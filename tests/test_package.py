"""The package roots: names, imports, import cost."""

import importlib
import subprocess
import sys

import pytest

HEAVY = ("torch", "numba", "dask", "pandas", "matplotlib")


@pytest.mark.parametrize("package", ["kldiv", "kldiv_attack"])
def test_every_public_name_resolves(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert isinstance(name, str)
        assert getattr(module, name) is not None
    assert set(module.__all__) == set(module._HOMES)


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
    import kldiv

    kldiv.show_versions()
    text = capsys.readouterr().out
    for name in ("python", "numpy", "scikit-learn", "kldiv"):
        assert name in text
