"""Check an installed kldiv: where it is, what it computes, how it was built.

Usage: ``python -I smoke.py [--openmp]``; with ``--openmp`` a serial build is a failure.
Needs nothing that ``pip install kldiv`` does not bring.
"""

import sys
from pathlib import Path

import numpy as np

import kldiv
from kldiv._versions import versions

HEAVY = {"torch", "numba", "dask", "pandas", "matplotlib"}


def main():
    home = Path(kldiv.__file__).resolve()
    prefix = Path(sys.prefix).resolve()
    assert prefix in home.parents, f"{home} is not installed in {prefix}"

    rng = np.random.default_rng(0)
    X, Y = rng.normal(1, 1, (4000, 1)), rng.normal(0, 1, (4000, 1))
    found = kldiv.kl_divergence(X, Y)
    assert abs(found - 0.5) < 0.1, f"N(1, 1) against N(0, 1) is 0.5 nats, not {found}"
    assert kldiv.kl_divergence(X, Y, n_jobs=2) == found

    y = np.repeat([0, 1], 300)
    train = rng.normal(size=(600, 12)) + y[:, None], y
    aux = rng.normal(size=(600, 12)), y
    same, shifted = kldiv.ConditionalKLScorer().fit(train, aux).score_per_class()
    assert same < 0.5 < shifted, (same, shifted)

    loaded = HEAVY & set(sys.modules)
    assert not loaded, f"importing kldiv loaded {sorted(loaded)}"
    shared = [path.name for path in home.parent.glob("_kernels/*.*")]
    assert any(name.endswith((".so", ".pyd")) for name in shared), "no compiled kernel"
    assert not any(name.endswith((".pyx", ".pxd", ".c", ".h")) for name in shared), (
        shared
    )
    kldiv.show_versions()
    if "--openmp" in sys.argv:
        built = versions()["openmp"]
        assert built.startswith("yes"), f"OpenMP: {built}"


if __name__ == "__main__":
    main()
