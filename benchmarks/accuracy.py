"""Accuracy of every correction, and of installed peers, where the truth is known.

    python benchmarks/accuracy.py                          # all cases, ten repetitions
    python benchmarks/accuracy.py --cases shift null --features 2 50 --repeats 3
    python benchmarks/accuracy.py --emnist features.npz    # image-like pairs of yours

Prints one line per case and method: truth, mean error, spread over the repetitions,
coverage of the 95 % intervals and seconds. ``--emnist`` takes an archive whose arrays
come in pairs ``<name>_train`` and ``<name>_aux``; mixtures are fitted to them.
"""

import argparse
import importlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from kldiv import datasets, estimate_divergence

CORRECTIONS = {
    "published": None,
    "adaptive": "adaptive",
    "gaussian": "gaussian",
    "mixture": "mixture",
    "auto": "auto",
}
# name: module, function, keyword arguments for k neighbours
PEERS = {
    "divergence": ("divergence.knn", "knn_kl_divergence", lambda k: {"k": k}),
    "infomeasure": (
        "infomeasure",
        "kld",
        lambda k: {"approach": "metric", "k": k, "minkowski_p": 2, "base": "e"},
    ),
    "unite-toolbox": (
        "unite_toolbox.knn_estimators",
        "calc_knn_kld",
        lambda k: {"k": k},
    ),
    "universal-divergence": ("universal_divergence", "estimate", lambda k: {"k": k}),
    "dowhy": (
        "dowhy.gcm.divergence",
        "estimate_kl_divergence_continuous_knn",
        lambda k: {"k": k},
    ),
}
Case = tuple[str, int, Callable[[int], tuple[np.ndarray, np.ndarray, float]]]


def gaussian_cases(features: list[int]) -> Iterator[Case]:
    for kind in datasets.GAUSSIAN_KINDS:
        for d in features:
            yield (
                kind,
                d,
                lambda seed, kind=kind, d=d: datasets.make_gaussian_pair(
                    kind, n_features=d, random_state=seed
                ),
            )


def other_cases(features: list[int]) -> Iterator[Case]:
    makers = {
        "student": datasets.make_student_pair,
        "lognormal": datasets.make_lognormal_pair,
        "mixture": datasets.make_mixture_pair,
    }
    for name, make in makers.items():
        for d in features:
            if d <= 50:
                yield (
                    name,
                    d,
                    lambda seed, make=make, d=d: make(n_features=d, random_state=seed),
                )
    for sizes in ((1000, 100), (100, 1000)):
        yield (
            f"null{sizes[0]}/{sizes[1]}",
            50,
            lambda seed, sizes=sizes: datasets.make_gaussian_pair(
                "null", n_samples=sizes, n_features=50, random_state=seed
            ),
        )
    yield "embedded", 50, lambda seed: datasets.make_embedded_pair(random_state=seed)
    for d in (10, 20):
        yield (
            "images",
            d,
            lambda seed, d=d: datasets.make_image_like_pair(
                n_features=d, random_state=seed
            ),
        )


def user_cases(archive: Path, features: list[int]) -> Iterator[Case]:
    arrays = np.load(archive)
    names = sorted(name[:-6] for name in arrays if name.endswith("_train"))
    for d in features:
        for name in names:
            train, aux = arrays[f"{name}_train"], arrays[f"{name}_aux"]
            yield (
                name,
                d,
                lambda seed, train=train, aux=aux, d=d: datasets.make_image_like_pair(
                    train,
                    aux,
                    n_samples=(3000, min(1000, len(aux))),
                    n_features=d,
                    random_state=seed,
                ),
            )


def installed_peers() -> dict[str, Callable[[np.ndarray, np.ndarray, int], float]]:
    found = {}
    for name, (module, function, options) in PEERS.items():
        try:
            call = getattr(importlib.import_module(module), function)
        except ImportError:
            continue
        found[name] = lambda X, Y, k, call=call, options=options: float(
            call(X, Y, **options(k))
        )
    return found


def measure(case: Case, method: str, repeats: int, peers: dict) -> tuple[float, float]:
    """Print one line; return the truth and the mean estimate."""
    name, d, make = case
    values, truths, covered, seconds = [], [], [], 0.0
    for seed in range(repeats):
        X, Y, truth = make(seed)
        started = time.process_time()
        if method in peers:
            value, interval = peers[method](X, Y, 5), None
        else:
            result = estimate_divergence(X, Y, correction=CORRECTIONS[method])
            value, interval = result.value, result.confidence_interval
        seconds += time.process_time() - started
        values.append(value)
        truths.append(truth)
        if interval is not None:
            covered.append(interval[0] <= truth <= interval[1])
    truth, mean = float(np.mean(truths)), float(np.mean(values))
    spread = float(np.std(np.subtract(values, truths)))
    cover = f"{np.mean(covered):8.2f}" if covered else "       -"
    print(
        f"{name:12s} {d:4d} {method:20s} {truth:8.3f} {mean - truth:+9.3f} "
        f"{spread:8.3f} {cover} {seconds / repeats:8.2f}",
        flush=True,
    )
    return truth, mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", help="names of cases; default all")
    parser.add_argument(
        "--features", nargs="*", type=int, default=[1, 2, 5, 10, 20, 50, 100]
    )
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--methods", nargs="*", help="default: all")
    parser.add_argument("--emnist", type=Path)
    options = parser.parse_args()
    peers = installed_peers()
    if options.emnist:
        cases = list(user_cases(options.emnist, options.features))
    else:
        cases = [*gaussian_cases(options.features), *other_cases(options.features)]
    if options.cases:
        cases = [case for case in cases if case[0] in options.cases]
    methods = options.methods or [*CORRECTIONS, *peers]
    print(
        f"{'case':12s} {'d':>4s} {'method':20s} {'truth':>8s} {'error':>9s} "
        f"{'spread':>8s} {'coverage':>8s} {'seconds':>8s}"
    )
    relative: dict[str, list[float]] = {method: [] for method in methods}
    for case in cases:
        for method in methods:
            truth, mean = measure(case, method, options.repeats, peers)
            if truth > 0.1:
                relative[method].append(abs(mean - truth) / truth)
    print("\nrelative error where the truth is above 0.1: median, 90th percentile")
    for method, errors in relative.items():
        if errors:
            median, high = np.quantile(errors, [0.5, 0.9])
            print(f"{method:20s} {median:7.1%} {high:7.1%}")


if __name__ == "__main__":
    main()
