"""Kolmogorov-Smirnov: `kldiv` beside scipy, ndtest and DDKS.

    python benchmarks/peers/ks.py [--ndtest ndtest.py] [--ddks ddks/methods/ddks.py]

Process CPU time, contestants in turns, minimum over repetitions, one thread. ndtest
(github.com/syrte/ndtest) and DDKS (github.com/pnnl/DDKS) are not on the package index:
without their file, or an installed module, their lines say "not installed".
"""

import argparse
import importlib
import importlib.util
import platform
import time
import warnings

import numpy as np
import scipy
from scipy import stats
from threadpoolctl import threadpool_limits

from kldiv import ks_test


def seconds(functions, repetitions):
    """Smallest CPU time of each function; they take turns."""
    best = [np.inf] * len(functions)
    for _ in range(repetitions):
        for k, function in enumerate(functions):
            start = time.process_time()
            function()
            best[k] = min(best[k], time.process_time() - start)
    return best


def load(path, module):
    """A module from its file, or an installed one, or None."""
    if path is None:
        try:
            return importlib.import_module(module)
        except ImportError:
            return None
    spec = importlib.util.spec_from_file_location(module.rsplit(".", 1)[-1], path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def line(question, ours, peer, peer_seconds, wanted, note=""):
    if peer_seconds is None:
        print(
            f"| {question} | {1e3 * ours:.4g} | {peer}: not installed | | {wanted} | |"
        )
        return
    ratio = f"{peer_seconds / ours:.4g}"
    print(
        f"| {question} | {1e3 * ours:.4g} | {peer}: {1e3 * peer_seconds:.4g} | "
        f"{ratio} | {wanted} | {note} |"
    )


def gaussian_columns(rng):
    X, Y = rng.standard_normal((6000, 784)), rng.standard_normal((1000, 784)) + 0.05
    return X.astype(np.float32), Y.astype(np.float32)


def pixel_columns(rng):
    def image(rows):
        ink = rng.integers(0, 256, (rows, 784)) * (rng.random((rows, 784)) < 0.2)
        return (ink / 255).astype(np.float32)

    return image(6000), image(1000)


def columns(question, X, Y, wanted):
    def ours():
        return ks_test(X, Y, pvalue_method="asymp")

    def theirs():
        return stats.ks_2samp(X, Y, axis=0, method="asymp")

    found, expected = ours(), theirs()
    errors = [
        np.abs(getattr(found, name) - getattr(expected, name)).max()
        for name in ("statistic", "pvalue")
    ]
    mine, peer = seconds([ours, theirs], 5)
    line(question, mine, "scipy", peer, wanted, "errors {:.0e}, {:.0e}".format(*errors))


def permutations(rng):
    x, y = rng.standard_normal(6000), rng.standard_normal(1000)

    def ours():
        return ks_test(x, y, n_permutations=1000, random_state=0)

    def statistic(a, b):
        return stats.ks_2samp(a, b, method="asymp").statistic

    def theirs():
        return stats.permutation_test((x, y), statistic, n_resamples=1000)

    (mine,) = seconds([ours], 50)
    mine, peer = min(mine, seconds([ours, theirs], 2)[0]), seconds([theirs], 2)[0]
    line("1000 permutations, one column, N=7000", mine, "scipy", peer, 500)


def plane(rng, ndtest):
    X, Y = rng.standard_normal((5000, 2)), rng.standard_normal((5000, 2)) + 0.1

    def ours():
        return ks_test(X, Y, method="fasano-franceschini")

    def theirs():
        return ndtest.ks2d2s(*X.T, *Y.T, extra=True)

    question = "2-d, n=m=5000, statistic"
    if ndtest is None:
        line(question, seconds([ours], 5)[0], "ndtest", None, 20)
        return
    # ndtest gives the centre itself to whichever quadrant enlarges the difference.
    note = f"statistics {ours().statistic:.4f}, {theirs()[1]:.4f}"
    line(question, *interleave(ours, "ndtest", theirs), 20, note)
    mine = seconds(
        [lambda: ks_test(X, Y, method="fasano-franceschini", n_permutations=999)], 2
    )[0]
    print(f"| the same with 999 permutations | {1e3 * mine:.4g} | | | | |")


def interleave(ours, name, theirs):
    mine, peer = seconds([ours, theirs], 3)
    return mine, name, peer


def large_plane(rng):
    X, Y = rng.standard_normal((100_000, 2)), rng.standard_normal((100_000, 2))
    (mine,) = seconds([lambda: ks_test(X, Y, method="fasano-franceschini")], 2)
    print(f"| 2-d, n=m=100000, statistic | {1e3 * mine:.4g} | | | finishes | |")


def space(rng, ddks):
    X, Y = rng.standard_normal((2000, 3)), rng.standard_normal((2000, 3)) + 0.1

    def ours():
        return ks_test(X, Y, method="fasano-franceschini")

    question = "3-d, n=m=2000, against 2-d, n=m=1000"
    if ddks is None:
        line(question, seconds([ours], 3)[0], "DDKS", None, 1)
        return
    import torch

    torch.set_num_threads(1)
    A, B = (torch.as_tensor(sample[:1000, :2]) for sample in (X, Y))
    line(question, *interleave(ours, "DDKS", lambda: ddks.ddKS()(A, B)), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ndtest", help="file ndtest.py")
    parser.add_argument("--ddks", help="file ddks/methods/ddks.py")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    rng = np.random.default_rng(0)
    print(f"{platform.machine()}, numpy {np.__version__}, scipy {scipy.__version__}")
    print("| task | kldiv, ms | peer, ms | times faster | wanted | note |")
    print("|---|---|---|---|---|---|")
    X, Y = gaussian_columns(rng)
    columns("784 columns, 6000 and 1000 rows, Gaussian float32", X, Y, 4)
    X, Y = pixel_columns(rng)
    columns("the same, pixels with 256 levels", X, Y, 8)
    permutations(rng)
    plane(rng, load(options.ndtest, "ndtest"))
    large_plane(rng)
    space(rng, load(options.ddks, "ddks.methods.ddks"))


if __name__ == "__main__":
    main()
