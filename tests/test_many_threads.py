"""Many threads call at once: right answers, and no more threads than there is work."""

import os
import subprocess
import sys

import pytest

CODE = """
import sys, threading, warnings
import numpy as np
from kldiv import *
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X, Y = rng.normal(0.5, 1, (120, 4)), rng.normal(size=(100, 4))
y, z = np.arange(120) % 2, np.arange(100) % 2
calls = [
    lambda j: kl_divergence(X, Y, correction=None, n_jobs=j),
    lambda j: divergence(X, Y, divergence="hellinger", correction=None, n_jobs=j),
    lambda j: divergence(X, Y, divergence="energy", n_jobs=j),
    lambda j: estimate_divergence(X, Y, correction="adaptive", n_jobs=j).value,
    lambda j: KNNDivergence(correction="gaussian", n_jobs=j).fit(Y).score(X),
    lambda j: KSDistance(n_jobs=j).fit(Y).score(X),
    lambda j: ConditionalKLScorer(KNNDivergence(correction=None), n_jobs=j)
        .fit((X, y), (Y, z)).score_per_class().tolist(),
] + [
    lambda j, m=m: ks_test(
        X, Y, method=m, n_permutations=99, n_jobs=j, random_state=0).pvalue
    for m in ("sliced", "max-sliced")
] + [
    lambda j, a=a: neighbor_distances(X, Y, algorithm=a, n_jobs=j).xy.sum()
    for a in ("tree", "gemm", "pca", "brute")
]
expected = [call(None) for call in calls]
most, wrong, done = 0, [], threading.Event()
def watch():
    global most
    while not done.wait(0.002):
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("Threads"))
        most = max(most, int(line.split()[1]))
def work(first):
    try:
        for i in range(4):
            at = (first + i) % len(calls)
            if calls[at](4) != expected[at]:
                wrong.append(at)
    except BaseException as error:
        wrong.append(repr(error))
watcher = threading.Thread(target=watch)
watcher.start()
threads = [threading.Thread(target=work, args=(i,)) for i in range(int(sys.argv[1]))]
for thread in threads: thread.start()
for thread in threads: thread.join(100)
done.set(); watcher.join()
print(wrong, sum(thread.is_alive() for thread in threads), most)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts in /proc")
@pytest.mark.parametrize("callers", [8, 64])
def test_many_callers(callers):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(callers)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    wrong, hung, most = done.stdout.rsplit(" ", 2)
    assert (wrong, hung) == ("[]", "0"), done.stderr
    # Each caller may keep some that it once had, but not four.
    assert int(most) <= 2 * callers + 30


NESTED = """
from joblib import Parallel, delayed
from kldiv._validation import n_threads
print(n_threads(4), n_threads(3),
      Parallel(2, backend="threading")(delayed(n_threads)(j) for j in (-1, 3)),
      Parallel(2, backend="loky")(delayed(n_threads)(j) for j in (2, 2)))
"""


def test_nested_parallelism_is_one_level():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NESTED],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "4 3 [1, 1] [2, 2]\n"
