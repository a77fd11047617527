"""Accuracy of every correction, and of installed peers, where the truth is known.

    python benchmarks/accuracy.py                          # all cases, ten repetitions
    python benchmarks/accuracy.py --cases shift null --features 2 50 --repeats 3
    python benchmarks/accuracy.py --images --emnist FOLDER # image-like pairs
    python benchmarks/accuracy.py --archive rows.npz       # image-like pairs of yours
    python benchmarks/accuracy.py --coverage --repeats 200 --features 1 2 5 10 20
    python benchmarks/accuracy.py --pvalues --repeats 200 --features 2 20
    python benchmarks/accuracy.py --cost                   # against the search alone
    python benchmarks/accuracy.py --robust --repeats 3     # laws that are not Gaussian

Prints one line per case and method: truth, mean error, spread over the repetitions,
coverage of the 95 % intervals and seconds. Peers (``pip install divergence infomeasure
unite-toolbox universal-divergence dowhy``) are left out where they are not installed.
``--images`` fits mixtures to pairs of image sets (benchmarks/image_pairs.py), with
``--emnist`` those of EMNIST, and prints median and 90th percentile of the relative
errors, for the classes on which the library was developed and for the others.
``--archive`` takes arrays that come in pairs
``<name>_train`` and ``<name>_aux``; mixtures are fitted to them.
``--robust`` takes the pairs of benchmarks/robust_cases.py: "auto" and what it
chooses from, how often its 95 % interval holds the truth, and the largest error in
standard errors; ``--cases`` picks those whose names hold one of these words.
"""

import argparse
import importlib
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from image_pairs import DEVELOPMENT_CLASSES, digits_pairs, emnist_pairs
from robust_cases import CASES as ROBUST_CASES

from kldiv import datasets, estimate_divergence, neighbor_distances

CORRECTIONS = {
    "published": None,
    "adaptive": "adaptive",
    "common": "common",
    "gaussian": "gaussian",
    "mixture": "mixture",
    "marginal": "marginal",
    "classifier": "classifier",
    "auto": "auto",
}
# What "auto" is compared with in robust cases: what it chooses from, and published.
ROBUST_METHODS = ("auto", "published", "common", "mixture", "marginal", "classifier")
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


def images(
    root: Path | None, features: list[int], repeats: int, methods: list[str]
) -> None:
    """Relative errors over pairs of image sets; n=3000, m up to 1000."""
    pairs = list(emnist_pairs(root) if root else digits_pairs())
    for method in methods:
        for d in features:
            errors: dict[str, list[float]] = {"development": [], "held out": []}
            for name, digit, train, aux in pairs:
                part = "held out"
                if root and digit in DEVELOPMENT_CLASSES:
                    part = "development"
                for seed in range(repeats):
                    X, Y, truth = datasets.make_image_like_pair(
                        train,
                        aux,
                        n_samples=(3000, min(1000, len(aux))),
                        n_features=d,
                        random_state=100 * seed + digit,
                    )
                    found = estimate_divergence(
                        X, Y, correction=CORRECTIONS[method], confidence_level=None
                    )
                    errors[part].append(found.value / truth - 1)
                    print(
                        f"{name:9s} {digit} d={d} {truth:6.2f} {found.value:6.2f} "
                        f"{errors[part][-1]:+7.1%} {found.n_components}",
                        flush=True,
                    )
            errors["all"] = errors["development"] + errors["held out"]
            for part, found in errors.items():
                if found:
                    middle, high = np.quantile(np.abs(found), [0.5, 0.9])
                    print(
                        f"{method}, d={d}, {part}, {len(found)} samples: median "
                        f"{middle:.1%}, 90th percentile {high:.1%}, "
                        f"median with sign {np.median(found):+.1%}",
                        flush=True,
                    )


def coverage(features: list[int], repeats: int, methods: list[str]) -> None:
    """How often 95 % intervals hold the truth, and how p-values are spread.

    A line per case after every quarter of the repetitions; the last block counts.
    """
    kinds = ("shift", "narrow", "corr", "null")
    cases = [
        (kind, d, method) for method in methods for kind in kinds for d in features
    ]
    held: dict = {case: [] for case in cases}
    for seed in range(repeats):
        for kind, d, method in cases:
            X, Y, truth = datasets.make_gaussian_pair(
                kind, n_features=d, random_state=seed
            )
            found = estimate_divergence(X, Y, correction=CORRECTIONS[method])
            low, high = found.confidence_interval
            error = (found.value - truth, found.standard_error)
            held[kind, d, method].append((low <= truth <= high, *error))
        if (seed + 1) % max(repeats // 4, 1) == 0 or seed + 1 == repeats:
            print(f"\n{seed + 1} repetitions\ncase     d  held   bias    spread  s.e.")
            for (kind, d, method), rows in held.items():
                share, bias, error = np.mean(rows, axis=0)
                spread = np.std([row[1] for row in rows])
                print(
                    f"{kind:7s} {d:2d} {share:6.3f} {bias:+.4f} {spread:.4f} "
                    f"{error:.4f} {method}",
                    flush=True,
                )


def pvalues(features: list[int], repeats: int) -> None:
    """Whether permutation p-values are uniform under the null, and their cost."""
    from scipy import stats

    print("   d  n/m      p of uniformity  share below 0.05  cost of 200 permutations")
    for d in features:
        found, seconds = [], []
        for seed in range(repeats):
            X, Y, _ = datasets.make_gaussian_pair(
                "null", n_features=d, random_state=seed
            )
            took = []
            for n_permutations in (0, 200):
                started = time.process_time()
                result = estimate_divergence(
                    X,
                    Y,
                    confidence_level=None,
                    n_permutations=n_permutations,
                    random_state=seed,
                )
                took.append(time.process_time() - started)
            found.append(result.pvalue)
            seconds.append(took)
        alone, both = np.min(seconds, axis=0)
        uniform = stats.kstest(found, stats.uniform.cdf).pvalue
        below = np.mean(np.array(found) <= 0.05)
        print(
            f"{d:4d}  1000/500 {uniform:16.2f} {below:17.3f} "
            f"{both / alone:13.1f} estimates",
            flush=True,
        )


def cost(repeats: int) -> None:
    """Process CPU time of the mixture correction against the neighbour search alone."""
    sizes = {"n_samples": (6000, 1000), "n_features": 50, "random_state": 0}
    cases = {
        "shift": datasets.make_gaussian_pair("shift", **sizes),
        "mixture": datasets.make_mixture_pair(**sizes),
        "images": datasets.make_image_like_pair(**sizes),
    }
    print("n=6000, m=1000, d=50; one thread, least of the repetitions, milliseconds")
    print("case     search  mixture  ratio  components")
    for name, (X, Y, _) in cases.items():
        times = []
        for _ in range(repeats):
            clock = [time.process_time()]
            neighbor_distances(X, Y, n_neighbors=5)
            clock.append(time.process_time())
            found = estimate_divergence(
                X, Y, correction="mixture", confidence_level=None
            )
            clock.append(time.process_time())
            times.append(np.diff(clock) * 1e3)
        search, whole = np.min(times, axis=0)
        print(
            f"{name:8s} {search:6.1f} {whole:8.1f} {whole / search:6.1f} "
            f"{found.n_components:5d}",
            flush=True,
        )


def robust(words: list[str], repeats: int) -> None:
    """Laws that are not Gaussian: every method, and the intervals of "auto"."""
    heads = "".join(f"{method:>11s}" for method in ROBUST_METHODS)
    print(f"{'case':24s}{'truth':>8s}{heads}{'covered':>9s}{'max z':>7s}{'noted':>7s}")
    errors, scores, noted = [], [], []
    for name, make in ROBUST_CASES.items():
        if words and not any(word in name for word in words):
            continue
        values, z, notes, truth = [], [], [], 0.0
        for seed in range(repeats):
            X, Y, truth = make(seed, 1000, 500)
            results = [robust_estimate(name, X, Y, method) for method in ROBUST_METHODS]
            values.append([result.value for result in results])
            if results[0].standard_error and np.isfinite(truth):
                low, high = results[0].confidence_interval
                reach = (results[0].value - truth) / results[0].standard_error
                z.append((low <= truth <= high, abs(reach)))
                notes.append(bool(results[0].notes))
        means = "".join(f"{mean:11.3f}" for mean in np.mean(values, axis=0))
        covered = f"{sum(one for one, _ in z)}/{len(z)}"
        largest = max((one for _, one in z), default=np.nan)
        print(
            f"{name:24s}{truth:8.3f}{means}{covered:>9s}{largest:7.1f}"
            f"{sum(notes):>5d}/{len(notes)}",
            flush=True,
        )
        scores, noted = scores + z, noted + notes
        if np.isfinite(truth):
            within = np.maximum(0.1, 0.15 * truth)
            errors += [(abs(np.array(row) - truth), within) for row in values]
    robust_summary(errors, scores, noted)


def robust_estimate(name: str, X: np.ndarray, Y: np.ndarray, method: str):
    """One estimate; the interval of "auto" only, which is what costs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimate_divergence(
            X,
            Y,
            correction=CORRECTIONS[method],
            duplicates="dither" if name.startswith("digits") else "raise",
            random_state=0,
            confidence_level=0.95 if method == "auto" else None,
        )


def robust_summary(errors: list, scores: list, noted: list) -> None:
    """Shares over all runs with a finite truth."""
    print("\nmethod         within max(.1, 15 %)   mean absolute error")
    for i, method in enumerate(ROBUST_METHODS):
        found = np.array([one[i] for one, _ in errors])
        share = np.mean(found <= [within for _, within in errors])
        print(f"{method:15s}{share:20.0%}{found.mean():22.3f}")
    held, z = np.array(scores).T
    silent = (z > 4) & ~np.array(noted)
    print(f"intervals of auto that hold the truth: {held.mean():.0%} of {len(z)}")
    print(f"misses beyond four standard errors: {np.mean(z > 4):.0%}", end="")
    print(f", without a note {silent.mean():.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", help="names of cases; default all")
    parser.add_argument(
        "--features", nargs="*", type=int, default=[1, 2, 5, 10, 20, 50, 100]
    )
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--methods", nargs="*", help="default: all")
    parser.add_argument("--archive", type=Path, help="arrays of your own")
    parser.add_argument("--images", action="store_true", help="image-like pairs only")
    parser.add_argument("--emnist", type=Path, help="folder that holds EMNIST/raw")
    parser.add_argument("--coverage", action="store_true", help="of 95 %% intervals")
    parser.add_argument("--pvalues", action="store_true", help="uniformity and cost")
    parser.add_argument("--cost", action="store_true", help="of the mixture correction")
    parser.add_argument("--robust", action="store_true", help="laws not Gaussian")
    options = parser.parse_args()
    if options.robust:
        return robust(options.cases or [], options.repeats)
    if options.images:
        methods = options.methods or ["auto"]
        return images(options.emnist, options.features, options.repeats, methods)
    if options.coverage:
        return coverage(options.features, options.repeats, options.methods or ["auto"])
    if options.pvalues:
        return pvalues(options.features, options.repeats)
    if options.cost:
        return cost(options.repeats)
    peers = installed_peers()
    if options.archive:
        cases = list(user_cases(options.archive, options.features))
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
