"""Fixed calls of the public functions, to show that a change left results alike.

    python benchmarks/fixed_calls.py > before.txt     (then change something)
    python benchmarks/fixed_calls.py > after.txt
    diff before.txt after.txt

One line per call: what was called, its number with all digits, and a hash of all arrays
of the result. Results do not depend on threads, but they do on the processor and on the
versions of NumPy and SciPy: compare lines of one machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

import kldiv
from kldiv import datasets

SIZES = (260, 220)
SEARCHES = [
    ("sorted", 1, "euclidean"),
    ("tree", 3, "euclidean"),
    ("tree", 3, "chebyshev"),
    ("gemm", 20, "euclidean"),
    ("pca", 40, "euclidean"),
    ("int8", 40, "euclidean"),
    ("brute", 7, "euclidean"),
    ("brute", 7, "manhattan"),
    ("auto", 60, "euclidean"),
]
KS_METHODS = {
    "columns": 3,
    "rows": 3,
    "sliced": 4,
    "max-sliced": 4,
    "fasano-franceschini": 2,
}


def pair(maker: str, **options: Any) -> tuple[Any, Any]:
    options = {"n_samples": SIZES, "random_state": 0} | options
    X, Y, _ = getattr(datasets, f"make_{maker}_pair")(**options)
    return X, Y


def lengths(x: Any, y: Any) -> float:
    """A user's metric."""
    total = 0.0
    for i in range(len(x)):
        total += (x[i] - y[i]) ** 2
    return float(total**0.5)


def estimates() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Calls of `estimate_divergence` by correction, scale, divergence, ties, metric."""
    pairs = {
        "gaussian d=1": pair("gaussian", n_features=1),
        "gaussian d=3": pair("gaussian", n_features=3, kind="corr"),
        "gaussian d=30": pair("gaussian", n_features=30, kind="narrow"),
        "lognormal d=4": pair("lognormal", n_features=4),
        "mixture d=5": pair("mixture", n_features=5, n_samples=(900, 700)),
        "embedded d=20": pair("embedded", n_features=20),
        "wide d=160": pair("gaussian", n_features=160),
    }
    for data, (X, Y) in pairs.items():
        for correction in ("auto", None, "adaptive", "gaussian", "mixture"):
            yield call(f"{data}, {correction}", X, Y, correction=correction)
    X, Y = pairs["gaussian d=3"]
    for scale in (None, "standard", "whiten"):
        for correction in (None, "mixture"):
            yield call(
                f"{scale}, {correction}", X, Y, scale=scale, correction=correction
            )
    for name in ("jeffreys", "renyi", "tsallis", "hellinger", "bhattacharyya", "chi2"):
        yield call(name, X, Y, divergence=name)
    for name in ("jensen-shannon", "total-variation", "energy", "mmd"):
        yield call(name, X, Y, divergence=name)
        yield call(
            f"{name}, adaptive", X, Y, divergence=name, correction="adaptive", order=2
        )
    yield call("generator", X, Y, divergence=lambda r: r * np.log(r))
    yield call("float32", X.astype(np.float32), Y.astype(np.float32))
    yield call("permutations", X, Y, n_permutations=99, random_state=1, n_neighbors=3)
    yield call("k=1", X, Y, n_neighbors=1)
    yield call("same sample", X, X)
    for metric in ("manhattan", "chebyshev", lengths):
        for correction in ("auto", None):
            name = metric if isinstance(metric, str) else metric.__name__
            yield call(
                f"{name}, {correction}", X, Y, metric=metric, correction=correction
            )
    ties = np.concatenate([X[:10], X]), np.concatenate([Y, X[:3]])
    for duplicates in ("drop", "expand"):
        yield call(f"ties, {duplicates}", *ties, duplicates=duplicates)
    counts = pair("poisson", n_features=2)
    for duplicates in ("drop", "expand", "dither"):
        yield call(f"counts, {duplicates}", *counts, duplicates=duplicates)
    yield call("rounded, dither", *pair("rounded"), duplicates="dither", random_state=3)
    yield call("few rows", X[:12], Y[:12])
    large = pair("mixture", n_features=4, n_samples=(3600, 3100))
    yield call("many rows", *large)
    yield call("mixture, jeffreys", *pairs["mixture d=5"], divergence="jeffreys")
    yield call("tsallis of order 3", X, Y, divergence="tsallis", order=3)
    yield call("apart", X, Y + 100)
    flat = np.column_stack([X, X[:, 0]])
    yield call("flat", flat, np.column_stack([Y, Y[:, 1]]))


def call(name: str, X: Any, Y: Any, **options: Any) -> tuple[str, Callable[[], Any]]:
    options = {"random_state": 0} | options
    return (
        f"estimate_divergence: {name}",
        lambda: kldiv.estimate_divergence(X, Y, **options),
    )


def other_calls() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Calls of the estimators, the scorer, the tests and the searches."""
    X, Y = pair("gaussian", n_features=3)
    yield "kl_divergence", lambda: kldiv.kl_divergence(X, Y)
    yield "divergence: renyi", lambda: kldiv.divergence(X, Y, divergence="renyi")
    yield "KNNDivergence", lambda: kldiv.KNNDivergence().fit(Y).estimate(X, 0.9)
    train, aux = labelled_pairs()
    for level in (None, 0.95):
        scorer = kldiv.ConditionalKLScorer(confidence_level=level)
        yield f"scorer: hard, {level}", lambda s=scorer: s.fit(train, aux).report()
    soft = kldiv.ConditionalKLScorer(conditioning="soft", confidence_level=0.95)
    triple = *train, aux[1][: len(train[0])]
    yield "scorer: soft", lambda: soft.fit(triple, aux).report()
    paper = kldiv.ConditionalKLScorer.from_paper(random_state=0)
    yield "scorer: from_paper", lambda: paper.fit(train, aux).report()
    yield "scorer: compare", lambda: compared(train, aux)
    for method, d in KS_METHODS.items():
        for n_permutations in (0, 39):
            samples = pair("gaussian", n_features=d, n_samples=(60, 50))
            options = {"method": method, "n_permutations": n_permutations}
            yield (
                f"ks_test: {method}, {n_permutations}",
                lambda s=samples, o=options: kldiv.ks_test(*s, random_state=0, **o),
            )
    distance = kldiv.KSDistance(method="sliced", random_state=0)
    yield "KSDistance", lambda: distance.fit(Y[:60]).score(X[:60])
    for algorithm, d, metric in SEARCHES:
        samples = pair("gaussian", n_features=d)
        options = {"algorithm": algorithm, "metric": metric, "n_neighbors": 6}
        options |= {"blocks": ("xx", "xy", "yy", "yx"), "return_indices": True}
        yield (
            f"neighbor_distances: {algorithm}, {metric}",
            lambda s=samples, o=options: kldiv.neighbor_distances(*s, **o),
        )


def labelled_pairs() -> tuple[Any, Any]:
    """Training rows with labels, auxiliary rows with the victim's probabilities."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], (150, 180, 8))
    rows = rng.normal(size=(len(y), 17)) + 0.5 * y[:, None]
    others = rng.normal(size=(500, 17))
    answers = rng.dirichlet([2.0, 2.0, 0.02], size=500)
    return (rows, y), (others, answers)


def compared(train: Any, aux: Any) -> Any:
    scorer = kldiv.ConditionalKLScorer(confidence_level=0.95)
    first = scorer.fit(train, aux).report()
    second = scorer.fit(train, (aux[0] + 0.2, aux[1])).report()
    return first.compare(second)


def arrays(value: Any) -> Iterator[Any]:
    """All arrays that a result holds, however deep."""
    if isinstance(value, np.ndarray):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from arrays(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from arrays(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from arrays(entry)


def digest(value: Any) -> str:
    """Hash of all arrays, whatever their names and order."""
    hashes = sorted(
        hashlib.sha256(str((a.dtype, a.shape)).encode() + a.tobytes()).hexdigest()
        for a in arrays(value)
        if a.size and a.dtype.kind != "O"
    )
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:12]


def number(value: Any) -> str:
    """The number of a result, its error and its p-value, with all digits."""
    if isinstance(value, float):
        return repr(value)
    names = ("value", "standard_error", "pvalue", "global_statistic", "global_pvalue")
    found = [repr(getattr(value, name)) for name in names if hasattr(value, name)]
    circumstances = ("correction", "scale", "n_components", "n_duplicates", "coverage")
    found += [repr(getattr(value, name, "-")) for name in circumstances]
    found += [f"{len(getattr(value, 'notes', ()))} notes"]
    columns = getattr(value, "columns", {})
    return " ".join(found + [repr(np.asarray(c).tolist()) for c in columns.values()])


def main() -> None:
    for source in (estimates, other_calls):
        for name, make in source():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    value = make()
                except (ValueError, ImportError) as error:
                    print(f"{name} | {type(error).__name__}: {error}")
                    continue
            print(f"{name} | {number(value)} | {digest(value)}", flush=True)


if __name__ == "__main__":
    main()
