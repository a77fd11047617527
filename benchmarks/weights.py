"""Weighted rows: error and coverage of intervals, by simulation.

P and Q are Gaussians whose divergence is known. Rows are drawn from wider Gaussians
and weighted to stand for P and Q, or drawn from P and Q themselves and weighted at
random (chance). ``python benchmarks/weights.py`` prints one line per case: effective
rows, mean and root mean square error in nats, and the share of 95 % intervals that hold
the truth.
"""

from __future__ import annotations

import argparse

import numpy as np

from kldiv import estimate_divergence

ROWS, REFERENCE_ROWS = 1000, 500
KINDS = ("none", "X", "Y", "X and Y", "chance")


def importance_pair(kind, d, seed):
    """Samples, their weights (None for one) and the true divergence."""
    rng = np.random.default_rng([seed, d])
    mean = np.zeros(d)
    mean[:2] = 0.8
    # so wide that about a third of the rows is left in effect
    wide = 1.3 if d <= 5 else 1.1
    samples, weights = [], []
    for name, rows, centre in (("X", ROWS, mean), ("Y", REFERENCE_ROWS, 0 * mean)):
        if name not in kind.split():
            samples.append(rng.normal(centre, 1, (rows, d)))
            weights.append(rng.exponential(size=rows) if kind == "chance" else None)
            continue
        drawn = rng.normal(0, wide, (rows, d))
        logs = 0.5 * (drawn**2).sum(axis=1) / wide**2
        logs -= 0.5 * ((drawn - centre) ** 2).sum(axis=1)
        samples.append(drawn)
        weights.append(np.exp(logs))
    return *samples, *weights, 0.5 * float(mean @ mean)


def measure(kind, d, seeds, correction):
    """Effective rows, mean error, root mean square error, coverage."""
    effective, errors, held = [], [], []
    for seed in range(seeds):
        X, Y, of_x, of_y, truth = importance_pair(kind, d, seed)
        result = estimate_divergence(
            X, Y, correction=correction, sample_weight=of_x, reference_weight=of_y
        )
        low, high = result.confidence_interval
        effective.append([result.n_effective or ROWS, result.m_effective or len(Y)])
        errors.append(result.value - truth)
        held.append(low <= truth <= high)
    n, m = np.mean(effective, axis=0)
    return n, m, np.mean(errors), np.sqrt(np.mean(np.square(errors))), np.mean(held)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--columns", type=int, nargs="+", default=[2, 5, 10])
    parser.add_argument("--correction", default="auto")
    options = parser.parse_args()
    correction = None if options.correction == "none" else options.correction
    print("columns weights  effective n, m    error     rms  coverage")
    for d in options.columns:
        for kind in KINDS:
            n, m, error, rms, held = measure(kind, d, options.seeds, correction)
            print(
                f"{d:7} {kind:8} {n:9.0f} {m:6.0f} {error:8.3f} {rms:7.3f} {held:9.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
