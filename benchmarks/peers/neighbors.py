"""Neighbour distances: `kldiv` beside every exact peer.

    pip install "kldiv[bench]"
    python benchmarks/peers/neighbors.py [--emnist FOLDER] [--rows d2,d784]
        [--all-threads] [--name neighbors]

The work of each row: the distance to the k-th neighbour inside X (self excluded) and
from X into Y, building of any index included. Contestants take turns in one process;
minimum over repetitions. One thread is process CPU time (a busy machine does not spoil
it); all threads is wall time. Prints a table and writes
docs/benchmarks/NAME.{json,md}: one page per class of processors, for which
``KLDIV_ISA=avx2`` stands in where the processor has more, though not for peers. A peer
without an installed wheel is listed as not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

K = 5
ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "docs" / "benchmarks"
LOW = ("ckdtree", "ckdtree_fast", "sk_kdtree", "pykdtree", "napf", "pynanoflann")
HIGH = ("sk_brute", "faiss", "sklearnex_brute", "torch")
# name: (data, d, n, m, dtype, peers, ratio to reach, ratio aimed at)
ROWS = {
    "d1": ("gaussian", 1, 60000, 60000, "float64", LOW, 8, 12),
    "d2": ("gaussian", 2, 60000, 60000, "float64", LOW, 3, 5),
    "d3": ("gaussian", 3, 60000, 60000, "float64", LOW, 3, 5),
    "d5": ("gaussian", 5, 6000, 6000, "float64", LOW, 3.5, 5),
    "d10": ("gaussian", 10, 6000, 6000, "float32", ("pykdtree", *HIGH), 2.5, 4),
    "d20": ("gaussian", 20, 6000, 6000, "float32", ("pykdtree", *HIGH), 1.8, 2.5),
    "d50": ("gaussian", 50, 6000, 6000, "float32", HIGH, 1.5, 2),
    "d100": ("gaussian", 100, 6000, 6000, "float32", HIGH, 1.5, 2),
    "d784": ("gaussian", 784, 6000, 6000, "float32", HIGH, 1.3, 1.8),
    "emnist600": ("emnist", 784, 600, 600, "float32", HIGH, 1.2, 1.6),
    "emnist6000": ("emnist", 784, 6000, 6000, "float32", HIGH, 4.5, 8),
    "emnist20000": ("emnist", 784, 20000, 10000, "float32", HIGH[1:3], 6, 10),
}
PACKAGES = {
    "ckdtree": "scipy",
    "ckdtree_fast": "scipy",
    "sk_kdtree": "scikit-learn",
    "sk_brute": "scikit-learn",
    "pykdtree": "pykdtree",
    "napf": "napf",
    "pynanoflann": "pynanoflann",
    "faiss": "faiss-cpu",
    "sklearnex_brute": "scikit-learn-intelex",
    "torch": "torch",
}


def kldiv_(X, Y, threads):
    from kldiv._neighbors import search

    found = search(X, Y, K, threads=threads)
    return found.xx[:, -1], found.xy[:, -1]


def ckdtree(X, Y, threads, **options):
    from scipy.spatial import cKDTree

    own = cKDTree(X, **options).query(X, k=[K + 1], workers=threads)[0][:, 0]
    return own, cKDTree(Y, **options).query(X, k=[K], workers=threads)[0][:, 0]


def ckdtree_fast(X, Y, threads):
    return ckdtree(X, Y, threads, balanced_tree=False, compact_nodes=False)


def nearest_neighbors(cls, X, Y, threads, algorithm):
    own = cls(n_neighbors=K + 1, algorithm=algorithm, n_jobs=threads).fit(X)
    other = cls(n_neighbors=K, algorithm=algorithm, n_jobs=threads).fit(Y)
    return own.kneighbors(X)[0][:, -1], other.kneighbors(X)[0][:, -1]


def sk_kdtree(X, Y, threads):
    from sklearn.neighbors import NearestNeighbors

    return nearest_neighbors(NearestNeighbors, X, Y, threads, "kd_tree")


def sk_brute(X, Y, threads):
    from sklearn.neighbors import NearestNeighbors

    return nearest_neighbors(NearestNeighbors, X, Y, threads, "brute")


def sklearnex_brute(X, Y, threads):
    from sklearnex.neighbors import NearestNeighbors

    return nearest_neighbors(NearestNeighbors, X, Y, threads, "brute")


def pykdtree(X, Y, threads):
    del threads  # follows OMP_NUM_THREADS
    from pykdtree.kdtree import KDTree

    return KDTree(X).query(X, k=K + 1)[0][:, -1], KDTree(Y).query(X, k=K)[0][:, -1]


def napf(X, Y, threads):
    import napf

    own = napf.KDT(X, nthread=threads).knn_search(X, K + 1, nthread=threads)[0]
    other = napf.KDT(Y, nthread=threads).knn_search(X, K, nthread=threads)[0]
    return np.sqrt(own[:, -1]), np.sqrt(other[:, -1])


def pynanoflann(X, Y, threads):
    from pynanoflann import KDTree

    own = KDTree(n_neighbors=K + 1, metric="L2", leaf_size=10)
    other = KDTree(n_neighbors=K, metric="L2", leaf_size=10)
    own.fit(X), other.fit(Y)
    found = own.kneighbors(X, n_jobs=threads)[0][:, -1]
    return found, other.kneighbors(X, n_jobs=threads)[0][:, -1]


def faiss(X, Y, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    found = []
    for data, k in ((X, K + 1), (Y, K)):
        index = faiss.IndexFlatL2(X.shape[1])
        index.add(np.ascontiguousarray(data, np.float32))
        squares = index.search(np.ascontiguousarray(X, np.float32), k)[0][:, -1]
        found.append(np.sqrt(np.maximum(squares, 0)))
    return tuple(found)


def torch(X, Y, threads):
    import torch

    torch.set_num_threads(threads)
    queries = torch.from_numpy(X)
    found = []
    for data, k in ((queries, K + 1), (torch.from_numpy(Y), K)):
        rows = max(1, int(2e8 // (8 * len(data))))
        parts = [
            torch.cdist(part, data).topk(k, largest=False).values[:, -1]
            for part in queries.split(rows)
        ]
        found.append(torch.cat(parts).numpy())
    return tuple(found)


PEERS = {
    function.__name__: function
    for function in (
        *(ckdtree, ckdtree_fast, sk_kdtree, sk_brute, pykdtree, napf, pynanoflann),
        *(faiss, sklearnex_brute, torch),
    )
}


def emnist_images(folder, split, n_rows):
    """Digits of EMNIST as float32 rows in [0, 1]."""
    path = Path(folder) / "EMNIST" / "raw" / f"emnist-mnist-{split}-images-idx3-ubyte"
    pixels = np.fromfile(path, np.uint8, offset=16).reshape(-1, 784)
    rows = np.random.default_rng(0).permutation(len(pixels))[:n_rows]
    return np.ascontiguousarray(pixels[rows] / np.float32(255))


def make_samples(data, d, n, m, dtype, emnist):
    if data == "emnist":
        return emnist_images(emnist, "train", n), emnist_images(emnist, "test", m)
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((n, d)), rng.standard_normal((m, d)) + 0.1
    return X.astype(dtype), Y.astype(dtype)


def available(names):
    """Which peers import, and the names of those that do not."""
    found, missing = [], []
    modules = {"faiss": "faiss", "sklearnex_brute": "sklearnex", "torch": "torch"}
    for name in names:
        module = modules.get(name, name if name in ("pykdtree", "napf") else None)
        module = "pynanoflann" if name == "pynanoflann" else module
        try:
            if module:
                import_module(module)
        except ImportError:
            missing.append(name)
        else:
            found.append(name)
    return found, missing


def time_row(name, emnist, threads, budget):
    """Seconds of every contestant of one row, and errors against the first."""
    data, d, n, m, dtype, peers, *_ = ROWS[name]
    X, Y = make_samples(data, d, n, m, dtype, emnist)
    found, missing = available(peers)
    contestants = {"kldiv": kldiv_, **{peer: PEERS[peer] for peer in found}}
    clock = time.process_time if threads == 1 else time.perf_counter
    for function in contestants.values():  # thread pools, lazy imports
        function(X[:500], Y[:500], threads)
    best, answers, started = {}, {}, time.perf_counter()
    for repetition in range(30):
        for peer, function in contestants.items():
            if repetition and time.perf_counter() - started > budget:
                continue
            start = clock()
            answers[peer] = function(X, Y, threads)
            best[peer] = min(best.get(peer, np.inf), clock() - start)
    ours = answers["kldiv"]
    errors = {
        peer: float(max(np.abs(a / b - 1).max() for a, b in zip(x, ours, strict=True)))
        for peer, x in answers.items()
    }
    from kldiv._neighbors import search

    return {
        "row": name,
        "threads": threads,
        "seconds": best,
        "difference": errors,
        "missing": missing,
        "algorithm": search(X, Y, K).algorithm,
    }


def run_row(name, arguments, threads):
    """`time_row` in a fresh process, whose libraries see the number of threads."""
    limits = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    environment = {
        **os.environ,
        "KMP_BLOCKTIME": "0",
        **{f"{limit}_NUM_THREADS": str(threads) for limit in limits},
    }
    command = [sys.executable, __file__, "--one", name, "--threads", str(threads)]
    command += ["--emnist", str(arguments.emnist), "--budget", str(arguments.budget)]
    done = subprocess.run(
        command,
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def table_line(result):
    data, d, n, m, dtype, *_ = ROWS[result["row"]]
    seconds = dict(result["seconds"])
    ours, algorithm = seconds.pop("kldiv"), result["algorithm"]
    order = sorted(seconds, key=seconds.__getitem__)
    best = order[0]
    others = ", ".join(f"{peer} {1e3 * seconds[peer]:.4g}" for peer in order[1:])
    return (
        f"| {data} | {d} | {n}/{m} | {dtype} | {1e3 * ours:.4g} ({algorithm}) "
        f"| {1e3 * seconds[best]:.4g} ({best}) | {seconds[best] / ours:.2f} "
        f"| {result['difference'][best]:.0e} | {others} |"
    )


HEADER = (
    "| data | d | n/m | dtype | kldiv, ms | fastest other, ms | ratio "
    "| results differ by | others, ms |\n|" + "---|" * 9
)


def machine():
    """Name of the processor, and versions of what was timed."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [x for x in cpuinfo.read_text().splitlines() if "model name" in x]
        name = lines[0].split(":")[1].strip() if lines else name
    packages = {}
    for package in ("kldiv", "numpy", *dict.fromkeys(PACKAGES.values())):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "from a checkout" if package == "kldiv" else "absent"
    import kldiv._kernels._isa as _isa

    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "kernels": _isa.current_level(),
        "packages": packages,
    }


def report(results, about, scaling):
    parts = [
        "# Neighbour distances compared with other packages: " + about["kernels"],
        "",
        "Printed by `python benchmarks/peers/neighbors.py`. k = 5, inside X and from "
        "X into Y, index building included; one thread, process CPU time, minimum over "
        "interleaved repetitions. EMNIST: digits, pixels / 255, train against test.",
        "",
        f"Processor: {about['processor']}, {about['cores']} cores; kernels: "
        f"{about['kernels']}; {about['system']}; Python {about['python']}; "
        + ", ".join(f"{k} {v}" for k, v in about["packages"].items())
        + ".",
        "",
        HEADER,
        *(table_line(result) for result in results),
    ]
    if scaling:
        parts += [
            "",
            "Wall time of `kldiv` on one thread and on all cores, same process:",
            "",
            "| row | 1 thread, ms | all cores, ms | times faster |\n|---|---|---|---|",
            *scaling,
        ]
    return "\n".join(parts) + "\n"


def time_scaling(name, emnist, budget):
    """Wall seconds of `kldiv` on one thread and on all cores, in turns."""
    data, d, n, m, dtype, *_ = ROWS[name]
    X, Y = make_samples(data, d, n, m, dtype, emnist)
    best = {1: np.inf, os.cpu_count(): np.inf}
    started = time.perf_counter()
    while time.perf_counter() - started < budget:
        for threads in best:
            start = time.perf_counter()
            kldiv_(X, Y, threads)
            best[threads] = min(best[threads], time.perf_counter() - start)
    one, many = (1e3 * wall for wall in best.values())
    return f"| {name} | {one:.4g} | {many:.4g} | {one / many:.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--emnist", default=os.environ.get("KLDIV_EMNIST_ROOT", ""))
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--budget", type=float, default=15, help="seconds per row")
    parser.add_argument("--all-threads", action="store_true", help="also wall time")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--name", default="neighbors", help="of the files written")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    if arguments.one:
        row = time_row(
            arguments.one, arguments.emnist, arguments.threads, arguments.budget
        )
        print(json.dumps(row))
        return
    names = [name for name in arguments.rows.split(",") if name]
    if not arguments.emnist:
        names = [name for name in names if ROWS[name][0] != "emnist"]
        print("Rows on EMNIST are left out: give --emnist or KLDIV_EMNIST_ROOT.")
    results, scaling, about = [], [], machine()
    print(HEADER)
    for name in names:
        results.append(run_row(name, arguments, 1))
        print(table_line(results[-1]), flush=True)
    if arguments.all_threads:
        for name in names:
            if ROWS[name][2] >= 6000:
                scaling.append(time_scaling(name, arguments.emnist, 3))
                print(scaling[-1], flush=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    written = {"machine": about, "rows": results, "scaling": scaling}
    place = arguments.output / arguments.name
    place.with_suffix(".json").write_text(json.dumps(written, indent=1) + "\n")
    place.with_suffix(".md").write_text(report(results, about, scaling))


if __name__ == "__main__":
    main()
