"""Fixtures that every test may use."""

import os
from pathlib import Path

# The variables count before numpy and torch are loaded. Threads that wait sleep: beside
# other work those that spin until all have arrived take minutes for seconds.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers are the parallel level.
    for name in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")

import kldiv._kernels._isa as _isa
import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("kldiv", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("kldiv")


@pytest.fixture
def seed():
    """Seed of a test; KLDIV_TEST_SEED sweeps it."""
    return int(os.environ.get("KLDIV_TEST_SEED", "0"))


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


@pytest.fixture(params=_isa.available_levels())
def level(request):
    """Run a test on one instruction set, and put the old one back."""
    before = _isa.set_level(request.param)
    yield request.param
    _isa.set_level(before)


@pytest.fixture(scope="session")
def emnist_root():
    """Folder of EMNIST in torchvision's layout, from KLDIV_EMNIST_ROOT."""
    return Path(os.environ["KLDIV_EMNIST_ROOT"]).resolve()


def pytest_collection_modifyitems(items):
    """Slow tests come first, and their files, so that no worker ends alone with one.

    Tests on real EMNIST need a folder; without one they say why they are skipped.
    """
    items.sort(key=lambda item: "slow" not in item.keywords)
    if os.environ.get("KLDIV_EMNIST_ROOT"):
        return
    skip = pytest.mark.skip(reason="KLDIV_EMNIST_ROOT is not set")
    for item in items:
        if "emnist" in item.keywords:
            item.add_marker(skip)
