"""Under a limit of memory every call computes or raises MemoryError, and none hangs."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="counts address space as Linux does"
)

CODE = """
import os, resource, signal, sys, warnings
from importlib.util import find_spec
import numpy as np
from kldiv import *
from kldiv._validation import _parameters
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X, Y = rng.normal(0.3, 1, (900, 40)), rng.normal(size=(900, 40))
y = np.arange(900) % 2
calls = {
    f"neighbors {name} {n_jobs}": lambda name=name, n_jobs=n_jobs: neighbor_distances(
        X, Y, algorithm=name, n_jobs=n_jobs)
    for name in ("brute", "tree", "gemm", "pca", "int8") for n_jobs in (1, 3)
} | {
    f"kl {name}": lambda name=name: kl_divergence(X, Y, correction=name, n_jobs=2)
    for name in (None, "adaptive", "gaussian", "mixture", "classifier", "auto")
} | {
    f"ks {name}": lambda name=name: ks_test(
        X, Y, method=name, n_permutations=99, n_jobs=2, random_state=0)
    for name in ("columns", "rows", "sliced", "max-sliced")
} | {
    "energy": lambda: divergence(X, Y, divergence="energy"),
    "scorer": lambda: ConditionalKLScorer(
        KNNDivergence(correction=None), transformer="auto", n_jobs=2
    ).fit((X, y), (Y, y)),
}
if find_spec("torch"):
    import torch
    wide = rng.normal(size=(10000, 40))  # more than the limits leave for tiles
    calls["torch"] = lambda: neighbor_distances(X, Y, algorithm="torch")
    calls["torch wide"] = lambda: neighbor_distances(wide, X, algorithm="torch")
def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
def child(call, extra):
    _parameters._PROCESS = os.getpid()  # no OpenMP has run in the parent
    signal.alarm(60)
    limit = used() + extra * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        call()
        return 0
    except MemoryError:
        return 10
for name, call in calls.items():
    for extra in map(int, sys.argv[1:]):
        pid = os.fork()
        if pid == 0:
            try:
                code = child(call, extra)
            except BaseException:
                code = 11
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(name, extra, code, sep=",", flush=True)
"""


@pytest.mark.slow
def test_no_call_ends_the_process():
    done = subprocess.run(
        [sys.executable, "-c", CODE, "1", "24", "60", "6000"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = [line.split(",") for line in done.stdout.splitlines()]
    assert len(found) == 4 * (24 if find_spec("torch") else 22)
    wrong = [one for one in found if one[2] not in ("0", "10")]
    assert not wrong, (wrong, done.stderr[-2000:])
    with_room = {name: code for name, extra, code in found if extra == "6000"}
    assert set(with_room.values()) == {"0"}, with_room
    with_none = [name for name, extra, code in found if extra == "1" and code == "10"]
    assert len(with_none) > len(with_room) // 2, "the limit was not felt"


def test_threads_that_cannot_be_started_are_told():
    code = """
import resource
import numpy as np
from kldiv import neighbor_distances
X = np.random.default_rng(0).normal(size=(300, 3))
before = neighbor_distances(X, X, algorithm="tree").xx
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**24, used + 2**24))
try:
    neighbor_distances(X, X, algorithm="tree", n_jobs=40)
except MemoryError as error:
    print(error)
print((neighbor_distances(X, X, algorithm="tree").xx == before).all())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    assert "Raise the limit of memory, or use fewer" in first
    assert second == "True"
