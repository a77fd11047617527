"""Whatever lasts longer than a second is left within a second of Ctrl-C."""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from kldiv._backends._compiled import ALGORITHMS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal"),
]


def patience():
    """Seconds: one for the kernel, one to end the process, more beside other work."""
    return 2.0 * max(1.0, os.getloadavg()[0] / os.cpu_count())


PROLOGUE = """
import os, signal, sys, traceback
signal.signal(signal.SIGINT, signal.default_int_handler)  # shells hide it from jobs
import numpy as np
from kldiv import *
rng = np.random.default_rng(0)
def samples(n, d, dtype=np.float64):
    return [rng.random(size=(n, d), dtype=dtype) for _ in "XY"]
"""
# Imports once and forks for each case that it reads, which then ends as any process.
SERVER = (
    PROLOGUE
    + """
for case in sys.stdin:
    if os.fork() == 0:
        setup, call = eval(case)
        exec(setup)
        try:
            print(os.getpid(), flush=True)
            exec(call)
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception:
            traceback.print_exc()
        sys.exit("finished")
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
)

# Samples, then what would last for minutes or at least many seconds.
CASES = {
    f"{name} {threads}": (
        f"X, Y = samples({n}, {d}, np.{dtype})",
        f"neighbor_distances(X, Y, algorithm={name!r}, n_jobs={threads}, "
        "blocks=('xx', 'xy', 'yy', 'yx'))",
    )
    for name, n, d, dtype in [
        ("tree", 150_000, 16, "float64"),
        ("gemm", 120_000, 200, "float32"),
        ("pca", 80_000, 400, "float32"),
        ("int8", 150_000, 200, "float32"),
        ("brute", 60_000, 50, "float64"),
        ("torch", 60_000, 50, "float64"),
    ]
    for threads in (1, 2)
}
CASES |= {
    "sorted": (
        "X = rng.random(size=(12_000_000, 1)); X[::2] = 1",
        "[neighbor_distances(X, X, n_neighbors=9, blocks=[b]) for b in 4 * ['xx']]",
    ),
    "manhattan": (
        "X, Y = samples(100_000, 20)",
        "neighbor_distances(X, Y, algorithm='tree', metric='manhattan')",
    ),
    "balls": (
        "X, Y = samples(60_000, 30)",
        "kl_divergence(X, Y, correction='adaptive')",
    ),
    "references": (
        "X, Y = samples(60_000, 60)",
        "kl_divergence(X, Y, correction='mixture')",
    ),
    "auto": ("X, Y = samples(40_000, 20)", "estimate_divergence(X, Y)"),
    "energy": (
        "X, Y = samples(40_000, 20)",
        "estimate_divergence(X, Y, divergence='energy')",
    ),
    "permutations": (
        "X, Y = samples(5_000, 2)",
        "estimate_divergence(X, Y, correction=None, n_permutations=100_000)",
    ),
    "scorer": (
        "X, Y = samples(60_000, 12); y = np.arange(60_000) % 3",
        "ConditionalKLScorer(n_jobs=2).fit((X, y), (Y, y))",
    ),
    "ks columns": (
        "X, Y = samples(300_000, 80)",
        "[ks_test(X, Y) for _ in range(20)]",
    ),
    "ks exact": (
        "X, Y = samples(9_973, 40); Y = Y[:9_000]",
        "[ks_test(X, Y, pvalue_method='exact') for _ in range(5_000)]",
    ),
} | {
    f"ks {method} {threads}": (
        f"X, Y = samples({n}, {d})",
        f"ks_test(X, Y, method={method!r}, n_permutations=100_000, n_jobs={threads})",
    )
    for method, n, d in [
        ("columns", 20_000, 20),
        ("rows", 5_000, 20),
        ("sliced", 20_000, 20),
        ("max-sliced", 10_000, 20),
        ("fasano-franceschini", 20_000, 2),
        ("fasano-franceschini", 20_000, 4),
    ]
    for threads in (1, 2)
}


def test_every_search_is_interrupted():
    for name in (*ALGORITHMS, "torch"):
        assert any(case.split()[0] == name for case in CASES)


@pytest.fixture(scope="module")
def server():
    """A process that runs what is written to it as (setup, call), one a line."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as started:
        yield started
        started.stdin.close()


def interrupted(child, output):
    """What is said of a process after Ctrl-C, and how long it took to end.

    Python drops an exception that a signal raises inside a callback from C, which
    libraries that look for thread pools use: a person would press the keys again.
    """
    for _ in range(6):
        with suppress(ProcessLookupError):  # done already, as its status says
            os.kill(child, signal.SIGINT)
        sent = time.monotonic()
        if select.select([output], [], [], 2 * patience())[0]:
            return output.readline(), time.monotonic() - sent
    os.kill(child, signal.SIGKILL)
    raise AssertionError("six signals were not heard")


@pytest.mark.parametrize("name", CASES)
def test_ctrl_c_is_heard_within_a_second(server, name):
    if name.startswith("torch"):
        pytest.importorskip("torch")
    server.stdin.write(f"{CASES[name]!r}\n".encode())
    child = int(server.stdout.readline())
    time.sleep(0.25)
    status, took = interrupted(child, server.stdout)
    assert status == b"130\n", f"{name} was done before the signal came, or failed"
    assert took < patience()


def test_what_a_handler_raises_comes_out():
    code = (
        PROLOGUE
        + """
class Late(Exception): pass
def late(number, frame): raise Late
signal.signal(signal.SIGALRM, late)
X, Y = samples(60_000, 50)
signal.setitimer(signal.ITIMER_REAL, 0.5)
try:
    neighbor_distances(X, Y, algorithm="brute", n_jobs=2)
except Late:
    signal.setitimer(signal.ITIMER_REAL, 0)
    found = neighbor_distances(X[:50], Y[:50], algorithm="brute", n_jobs=2)
    print(np.isfinite(found.xy).all())
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"
