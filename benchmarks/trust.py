"""How often notes on a result raise a false alarm, on pairs whose divergence is known.

    python benchmarks/trust.py                     # ten repetitions
    python benchmarks/trust.py --repeats 3 --sizes 500 800
    python benchmarks/trust.py --far               # divergences above three nats too
    python benchmarks/trust.py --floors            # halves of one sample

Prints one line per note: what it measures, its threshold, and how often it is said of
samples that have nothing wrong: independent rows of Gaussian, log-normal and Student
pairs whose divergence is at most three nats. ``--far`` adds larger divergences, where
"low coverage" and "beyond the evidence" are right to speak. Then, as a control, how
often "dependent rows" is said of series with a memory, and the mean and the spread of
values with an exclusion window of 20 rows, where nothing differs.
"""

import argparse
import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy.signal import lfilter

from kldiv import datasets, estimate_divergence
from kldiv._trust import NOTES

_FAR, _PERMUTATIONS = 3.0, 39
_FEATURES = (1, 2, 5, 10, 20, 50)


def pairs(seed: int, sizes: tuple[int, int], far: bool) -> Iterator[tuple]:
    makers = {
        kind: lambda kind=kind, **options: datasets.make_gaussian_pair(kind, **options)
        for kind in datasets.GAUSSIAN_KINDS
    }
    makers |= {
        "student": datasets.make_student_pair,
        "lognormal": datasets.make_lognormal_pair,
        "mixture": datasets.make_mixture_pair,
    }
    for name, make in makers.items():
        for d in _FEATURES:
            X, Y, truth = make(n_features=d, n_samples=sizes, random_state=seed)
            if far or truth <= _FAR:
                yield name, X, Y, truth


def false_alarms(repeats: int, sizes: tuple[int, int], far: bool) -> None:
    said: Counter = Counter()
    runs = trusted = 0
    for seed in range(repeats):
        for _, X, Y, _ in pairs(seed, sizes, far):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = estimate_divergence(
                    X, Y, n_permutations=_PERMUTATIONS, random_state=seed
                )
            said.update({note.name for note in result.notes})
            runs, trusted = runs + 1, trusted + (result.trust == "good")
    print(
        f"{runs} runs, n = {sizes[0]}, m = {sizes[1]}; 'good': {trusted / runs:.1%}\n"
    )
    for name, check in NOTES.items():
        print(f"{said.pop(name, 0) / runs:6.1%}  {name:20s} {check.measured}")
        print(f"{'':8s}{'':20s} {check.threshold}")
    for name, times in said.items():
        print(f"{times / runs:6.1%}  {name}")


def series(repeats: int, sizes: tuple[int, int]) -> None:
    """How often a memory is noticed where nothing else is different."""
    print("\ndependent rows: memory, columns, share noticed; value in a window, spread")
    for memory in (0.3, 0.5, 0.7, 0.9):
        for d in (2, 10):
            noticed, values = 0, []
            for seed in range(repeats):
                rng = np.random.default_rng([memory > 0, int(100 * memory), d, seed])
                X, Y = (
                    lfilter([1.0], [1.0, -memory], rng.normal(size=(n, d)), axis=0)
                    for n in sizes
                )
                names = {note.name for note in estimate_divergence(X, Y).notes}
                noticed += "dependent rows" in names
                apart = estimate_divergence(X, Y, exclusion_window=20)
                values.append(apart.value)
            print(
                f"{memory:4.1f} {d:4d} {noticed / repeats:6.0%} "
                f"{np.mean(values):6.2f} {np.std(values):5.2f}"
            )


def floors(repeats: int) -> None:
    """How far apart halves of one sample seem, which differ in nothing."""
    makers = {
        "null": datasets.make_gaussian_pair,
        "corr": datasets.make_gaussian_pair,
        "student": datasets.make_student_pair,
        "lognormal": datasets.make_lognormal_pair,
        "mixture": datasets.make_mixture_pair,
    }
    print("rows of the sample, share of floors beyond 0.1, 0.25 and 0.5 nat")
    for n in (100, 300, 1000):
        found = []
        for kind, make in makers.items():
            kinds = (kind,) if make is datasets.make_gaussian_pair else ()
            for d in _FEATURES:
                for seed in range(repeats):
                    options = {"n_features": d, "random_state": seed}
                    X, _, _ = make(*kinds, n_samples=(n, 50), **options)
                    X = np.random.default_rng(seed).permutation(X)
                    halves = X[::2], X[1::2]
                    found.append(
                        estimate_divergence(*halves, confidence_level=None).value
                    )
        shares = [np.mean(np.abs(found) > size) for size in (0.1, 0.25, 0.5)]
        print(f"{n:5d} " + " ".join(f"{share:7.1%}" for share in shares), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--sizes", type=int, nargs=2, default=(1000, 500))
    parser.add_argument("--far", action="store_true", help="large divergences too")
    parser.add_argument("--floors", action="store_true", help="halves of a sample")
    options = parser.parse_args()
    if options.floors:
        floors(options.repeats)
        return
    false_alarms(options.repeats, tuple(options.sizes), options.far)
    series(options.repeats, tuple(options.sizes))


if __name__ == "__main__":
    main()
