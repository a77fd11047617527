"""Size and power of every permutation test of `kldiv.ks_test`, as a table.

    python benchmarks/ks_power.py [--rows 100] [--repetitions 500] [--jobs 2]

Two samples of as many rows each, 199 permutations, level 0.05. "none" is the size: both
samples are standard normal, so the share of rejections is 0.05 up to binomial error.
"""

import argparse

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import binom

from kldiv import ks_test
from kldiv._ks._methods import METHODS
from kldiv._ks._orthants import LARGEST_DIMENSION

PERMUTATIONS, LEVEL = 199, 0.05


def shifted_once(rng, n, d):
    return rng.normal(size=(n, d)) + 0.5 * np.eye(d)[0]


def shifted_everywhere(rng, n, d):
    return rng.normal(size=(n, d)) + 0.5 / np.sqrt(d)


def scaled_once(rng, n, d):
    return rng.normal(size=(n, d)) * (1 + np.eye(d)[0])


def scaled_everywhere(rng, n, d):
    return rng.normal(size=(n, d)) * 1.5


def correlated(rng, n, d):
    sample = rng.normal(size=(n, d))
    sample[:, 1] = 0.8 * sample[:, 0] + 0.6 * sample[:, 1]
    return sample


def equicorrelated(rng, n, d):
    return np.sqrt(0.5) * (rng.normal(size=(n, d)) + rng.normal(size=(n, 1)))


ALTERNATIVES = {
    "none (size)": lambda rng, n, d: rng.normal(size=(n, d)),
    "mean + 0.5 in one column": shifted_once,
    "mean + 0.5 along the diagonal": shifted_everywhere,
    "one column scaled by 2": scaled_once,
    "all columns scaled by 1.5": scaled_everywhere,
    "correlation 0.8 of two columns": correlated,
    "correlation 0.5 of all columns": equicorrelated,
}


def rejects(method, alternative, n, d, repetition):
    """Whether the test rejects in one repetition; every test sees the same samples."""
    rng = np.random.default_rng([repetition, d, list(ALTERNATIVES).index(alternative)])
    X, Y = rng.normal(size=(n, d)), ALTERNATIVES[alternative](rng, n, d)
    result = ks_test(
        X, Y, method=method, n_permutations=PERMUTATIONS, random_state=repetition
    )
    return result.global_pvalue <= LEVEL


def share(method, alternative, n, d, repetitions, jobs):
    if method == "fasano-franceschini" and d > LARGEST_DIMENSION:
        return None
    tasks = (delayed(rejects)(method, alternative, n, d, r) for r in range(repetitions))
    return np.mean(Parallel(n_jobs=jobs)(tasks))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--columns", type=int, nargs="+", default=[2, 5, 20])
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    inside = binom.interval(0.99, options.repetitions, LEVEL)
    print(
        f"Size is within binomial error (99 %) from {inside[0] / options.repetitions:g}"
        f" to {inside[1] / options.repetitions:g}."
    )
    print("alternative, d," + ",".join(METHODS))
    for d in options.columns:
        for alternative in ALTERNATIVES:
            found = [
                share(
                    method,
                    alternative,
                    options.rows,
                    d,
                    options.repetitions,
                    options.jobs,
                )
                for method in METHODS
            ]
            cells = ["--" if one is None else f"{one:.3f}" for one in found]
            print(", ".join([alternative, str(d), *cells]), flush=True)


if __name__ == "__main__":
    main()
