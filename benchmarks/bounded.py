"""Bounded divergences where the truth is known: errors, and intervals that hold it.

    python benchmarks/bounded.py                       # ten repetitions
    python benchmarks/bounded.py --repeats 3 --features 5 --correction none

Pairs of Gaussians of 1000 and 500 rows: alike, shifted by 1.2 in all, or narrower.
``--correction none`` is the published estimator, whose plug-in formulas see the noise
of single log ratios. One line per case and divergence: truth, mean error, spread over
the repetitions, and the share of 95 % intervals that hold the truth.
"""

import argparse

import numpy as np
from scipy import special

from kldiv import estimate_divergence

_ROWS, _DRAWS = (1000, 500), 400_000
CASES = {"alike": (0.0, 1.0), "shifted": (1.2, 1.0), "narrower": (0.0, 0.6)}


def integrands(log_ratio: np.ndarray) -> dict[str, np.ndarray]:
    """What a row of (P + Q) / 2 adds to each divergence."""
    share = special.expit(log_ratio)
    root = 1 / np.cosh(log_ratio / 2)
    entropy = special.entr(share) + special.entr(1 - share)
    return {
        "hellinger": 1 - root,
        "tsallis": 2 * (1 - root),
        "jensen-shannon": np.log(2) - entropy,
        "total-variation": np.abs(2 * share - 1),
    }


def truths(shift: float, variance: float, d: int) -> dict[str, float]:
    """By drawing from the mean of both distributions."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(_DRAWS, d))
    rows[::2] = shift / np.sqrt(d) + np.sqrt(variance) * rows[::2]
    squares = (rows - shift / np.sqrt(d)) ** 2 / variance - rows**2
    log_ratio = -(squares + np.log(variance)).sum(axis=1) / 2
    return {name: float(one.mean()) for name, one in integrands(log_ratio).items()}


def pair(shift: float, variance: float, d: int, seed: int) -> tuple:
    rng = np.random.default_rng([d, seed])
    X, Y = (rng.normal(size=(n, d)) for n in _ROWS)
    return shift / np.sqrt(d) + np.sqrt(variance) * X, Y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--features", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--correction", default="auto")
    options = parser.parse_args()
    correction = None if options.correction == "none" else options.correction
    print(f"{'case':9s} {'d':>3s} {'divergence':16s}   truth    error  spread  held")
    for d in options.features:
        for case, (shift, variance) in CASES.items():
            for name, truth in truths(shift, variance, d).items():
                results = [
                    estimate_divergence(
                        *pair(shift, variance, d, seed),
                        divergence=name,
                        correction=correction,
                    )
                    for seed in range(options.repeats)
                ]
                errors = np.array([one.value for one in results]) - truth
                ends = [one.confidence_interval for one in results]
                held = [end[0] <= truth <= end[1] for end in ends if end]
                cover = f"{np.mean(held):5.2f}" if held else "    -"
                print(
                    f"{case:9s} {d:3d} {name:16s} {truth:7.3f} {errors.mean():+8.3f} "
                    f"{errors.std():7.3f} {cover}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
