"""A forked child searches on, although OpenMP has lost its threads."""

import os
import subprocess
import sys

import pytest

CODE = """
import os, signal, warnings
import numpy as np
from kldiv import estimate_divergence, ks_test, neighbor_distances
rng = np.random.default_rng(0)
X, Y = rng.normal(0.5, 1, (200, 6)), rng.normal(size=(150, 6))
def work():
    found = [neighbor_distances(X, Y, algorithm=a, n_jobs=2).xy.sum()
             for a in ("tree", "gemm", "pca", "brute")]
    found += [estimate_divergence(X, Y, correction=c, n_jobs=2).value
              for c in ("adaptive", "mixture")]
    return found + [ks_test(X, Y, method="sliced", n_jobs=2, random_state=0).statistic]
expected = work()
child = os.fork()
if child == 0:
    signal.alarm(60)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        same = work() == expected
    forked = [w for w in told if "forked" in str(w.message)]
    os._exit(0 if same and forked else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_gets_the_same_answers():
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n", done.stderr
