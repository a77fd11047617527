"""Processor time of the indicator stage of `paper`: one auxiliary set of EMNIST.

    python benchmarks/indicator.py FOLDER                     # holds EMNIST/raw
    python benchmarks/indicator.py FOLDER --against CHECKOUT  # built, of another commit

60,000 digits against a split, all choices of features of the paper's table, hard and
soft. Answers come from the means of the classes and features of the judge from fixed
random numbers, so that nothing is trained. Every run is a process of its own, commits
take turns, and the least of the repetitions counts. With ``--against``, how far apart
the values of both commits are is printed for each choice of features.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).parent.parent


class Judge:
    """Features of images by fixed random numbers."""

    def features(self, images: np.ndarray) -> np.ndarray:
        """Shape (n, 128)."""
        flat = np.asarray(images, np.float32).reshape(len(images), -1)
        weights = np.random.default_rng(5).normal(size=(flat.shape[1], 128))
        return np.maximum(flat @ weights.astype(np.float32) / 28, 0)


def answers(images: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Probabilities that fall with the distance from the mean of a class."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    logits = flat @ means.T - (means**2).sum(axis=1) / 2
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def stage(options: argparse.Namespace) -> None:
    """Seconds and values of one run, as JSON."""
    from kldiv_attack._indicator import INDICATOR, score_indicators
    from kldiv_attack.datasets import load_dataset

    try:
        from kldiv_attack._studies.paper import INDICATORS
    except ImportError:  # where it was until November 2026
        from kldiv_attack.paper import INDICATORS
    load = {"root": str(options.emnist)}
    train = load_dataset("emnist", **load, split="mnist", part="train")
    aux = load_dataset("emnist", **load, split=options.split, part="test")
    if options.small:
        train, aux = (part.subset(np.arange(0, len(part), 10)) for part in (train, aux))
    flat = train.images.reshape(len(train), -1).astype(np.float64)
    means = np.stack([flat[train.labels == c].mean(axis=0) for c in range(10)])
    given = answers(aux.images, means), answers(train.images, means)
    entries = [{**INDICATOR, **one} for one in INDICATORS]
    with TemporaryDirectory() as folder:
        began = time.process_time()
        reports = score_indicators(
            entries, train, aux, given[0], Judge(), Path(folder, "indicator.json"),
            random_state=0, verbose=0, train_responses=given[1],
        )  # fmt: skip
        seconds = time.process_time() - began
    columns = ("kl", "soft", "floor", "coverage")
    values = {k: [v[c].tolist() for c in columns] for k, v in reports.items()}
    print(json.dumps({"seconds": seconds, "values": values}))


def measured(root: Path, options: argparse.Namespace) -> dict:
    """One run of a checkout, in a process of its own."""
    words = [sys.executable, __file__, str(options.emnist), "--split", options.split]
    threads = {f"{lib}_NUM_THREADS": "1" for lib in ("OMP", "OPENBLAS", "MKL")}
    small = ["--small"] if options.small else []
    done = subprocess.run(
        [*words, *small, "--stage"],
        env={**os.environ, **threads, "PYTHONPATH": str(root)},
        cwd=root, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("emnist", type=Path, metavar="FOLDER")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--split", default="letters")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="a tenth of the images")
    parser.add_argument("--stage", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        return stage(options)
    options.emnist = options.emnist.resolve()
    roots = {"this": ROOT, **({"other": options.against} if options.against else {})}
    runs = {name: [] for name in roots}
    for _ in range(options.repeats):
        for name, root in roots.items():
            runs[name].append(measured(root.resolve(), options))
            print(name, f"{runs[name][-1]['seconds']:.1f} s", flush=True)
    least = {name: min(one["seconds"] for one in of) for name, of in runs.items()}
    print(", ".join(f"{name}: {took:.1f} s" for name, took in least.items()))
    if options.against:
        print(f"this takes {least['this'] / least['other']:.0%} of the other")
        for name, one in runs["this"][0]["values"].items():
            a, b = (np.array(v, float) for v in (one, runs["other"][0]["values"][name]))
            apart = np.nanmax(np.abs(a - b) / np.maximum(np.abs(b), 1e-300))
            print(f"{name:<24} farthest apart, relative: {apart:.1e}")
    return None


if __name__ == "__main__":
    main()
