"""Searches that can run here: some need a package that is optional."""

from importlib.util import find_spec

from kldiv._backends import BACKENDS

NEEDS = {"torch": "torch", "dask": "dask"}
AVAILABLE = tuple(
    name for name in BACKENDS if name not in NEEDS or find_spec(NEEDS[name])
)
