"""How far it goes: memory within a limit, dask on one machine, and one against two.

    python benchmarks/scale.py memory      # 60,000 x 784 with memory_limit
    python benchmarks/scale.py memory --divergence   # the published estimator on them
    python benchmarks/scale.py memory --interval     # with a standard error
    python benchmarks/scale.py memory --scorer --limits 10 50   # scores of ten classes
    python benchmarks/scale.py overhead    # dask threads against arrays in memory
    python benchmarks/scale.py processes   # 1,000,000 x 10 on one and on two workers
    python benchmarks/scale.py kills       # workers killed at random moments
    python benchmarks/scale.py stages      # processor time of search and estimates
    python benchmarks/scale.py cluster     # workers and a network, by a cost model

Each prints one table. Times are wall time where nothing else is said: workers are
processes of their own.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import kldiv

MB = 1 << 20
# What memory is measured of, instead of a search.
KINDS = ("divergence", "interval", "scorer")


class Peak(threading.Thread):
    """Most memory of this process that no file backs, in MB, looked at all the time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.done = 0.0, threading.Event()

    def run(self) -> None:
        """Look every five milliseconds until told to stop."""
        while not self.done.wait(0.005):
            self.most = max(self.most, status("RssAnon"))

    def stop(self) -> float:
        """The peak."""
        self.done.set()
        self.join()
        return self.most


def status(name: str) -> float:
    """A number of MB that Linux knows of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if name in line)


def seconds(call: Callable[[], Any]) -> float:
    """Wall time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def images(n: int, d: int, seed: int) -> np.ndarray:
    """Rows near a plane of thirty dimensions, as images are; float32."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 30)).astype(np.float32)
    plane = np.random.default_rng(0).normal(size=(30, d)).astype(np.float32)
    rows = rows @ plane
    rows += 0.1 * rng.normal(size=rows.shape).astype(np.float32)
    return rows


def memory(options: argparse.Namespace) -> None:
    """Peak memory beyond inputs and answer, for arrays and for memory maps."""
    with TemporaryDirectory() as folder:
        for name, seed in (("X", 1), ("Y", 2)):
            rows = images(options.rows, options.columns, seed)
            rows += options.scorer and name == "Y"  # auxiliary rows from elsewhere
            np.save(Path(folder, name), rows)
            del rows
        print(f"{options.rows:,} x {options.columns} float32, one thread")
        print("inputs | memory_limit, MB | peak beyond inputs and answer, MB | seconds")
        for how in ("array", "map"):
            for limit in (None, *options.limits):
                if how == "map" and limit is None:
                    continue
                words = [sys.executable, __file__, "one", folder, how, str(limit or 0)]
                for kind in KINDS:
                    words += [f"--{kind}"] * getattr(options, kind)
                # Freed memory goes back at once, and is not hidden in what is kept.
                env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
                subprocess.run(words, check=True, env=env)
        if options.scorer:
            side_by_side(Path(folder))


def side_by_side(folder: Path) -> None:
    """Scores of all classes, however rows were read, and how far they are apart."""
    found = {path.stem: np.load(path) for path in sorted(folder.glob("scores*.npy"))}
    print(" | ".join(["class", *(name.partition(" ")[2] for name in found)]))
    for label, row in enumerate(zip(*found.values(), strict=True)):
        print(" | ".join([str(label), *(f"{value:.15g}" for value in row)]))
    scores = np.array(list(found.values()))
    apart = np.ptp(scores, axis=0) / np.abs(scores).min(axis=0)
    print(f"largest relative difference: {apart.max():.1e}")


def scored(X: np.ndarray, Y: np.ndarray, limit: int | None) -> np.ndarray:
    """Scores of ten classes whose rows are everywhere in the samples."""
    estimator = kldiv.KNNDivergence(correction=None)
    scorer = kldiv.ConditionalKLScorer(estimator, memory_limit=limit)
    labels = (np.arange(len(rows)) * 7 % 10 for rows in (X, Y))
    return scorer.fit(*zip((X, Y), labels, strict=True)).score_per_class()


def one(options: argparse.Namespace) -> None:
    """One search, divergence or score in a process of its own."""
    mode = "r" if options.how == "map" else None
    X, Y = (np.load(Path(options.folder, f"{n}.npy"), mmap_mode=mode) for n in "XY")
    small = np.zeros((50, X.shape[1]), np.float32)
    kldiv.neighbor_distances(small, small)  # what is loaded once is not counted
    rows = images(900, X.shape[1], 3)
    if options.divergence or options.interval:
        kldiv.estimate_divergence(rows[::2], rows[1::2], correction=None)
    if options.scorer:
        scored(rows[::2], rows[1::2], None)
    before, limit = status("RssAnon"), options.limit * MB or None
    watch = Peak()
    watch.start()
    call: Callable[[], Any] = partial(
        kldiv.neighbor_distances, X, Y, memory_limit=limit
    )
    if options.scorer:
        name = f"scores {options.how} {options.limit or 'no limit'}"
        path = Path(options.folder, name)
        call = lambda: np.save(path, scored(X, Y, limit))  # noqa: E731
    if options.divergence or options.interval:
        wanted = {"correction": None, "discrete": None, "memory_limit": limit}
        wanted["confidence_level"] = 0.95 if options.interval else None
        call = partial(kldiv.estimate_divergence, X, Y, **wanted)
    took = seconds(call)
    answer = 0 if options.scorer else 2 * len(X) * 5 * 8
    beyond = watch.stop() - before - answer / MB
    print(f"{options.how} | {options.limit or 'none'} | {beyond:.0f} | {took:.1f}")


def overhead(options: argparse.Namespace) -> None:
    """Dask in threads of this process against the same call on arrays."""
    import dask.array as da

    X, Y = (images(options.rows, options.columns, seed) for seed in (1, 2))
    chunks = (max(1, options.rows // 4), -1)
    collections = [da.from_array(rows, chunks=chunks) for rows in (X, Y)]
    calls = {
        "arrays, one thread": lambda: kldiv.neighbor_distances(X, Y),
        "arrays, all threads": lambda: kldiv.neighbor_distances(X, Y, n_jobs=-1),
        "dask threads": lambda: kldiv.neighbor_distances(*collections),
    }
    best = dict.fromkeys(calls, np.inf)
    for _ in range(options.repeats):
        for name, call in calls.items():
            best[name] = min(best[name], seconds(call))
    print(f"{options.rows:,} x {options.columns}, {os.cpu_count()} processors")
    for name, took in best.items():
        print(f"{name} | {took:.3f} s | {took / best['arrays, all threads']:.2f}")


def processes(options: argparse.Namespace) -> None:
    """The same search on one worker process and on two, with their peak memory."""
    import dask.array as da
    import distributed

    def rows(seed: int) -> Any:
        random = da.random.default_rng(seed)
        chunks = (options.rows // 8, options.columns)
        return random.normal(size=(options.rows, options.columns), chunks=chunks)

    size = 2 * options.rows * options.columns * 8 / MB
    print(f"{options.rows:,} x {options.columns}: {size:.0f} MB of data in two samples")
    print(
        "workers | seconds | CPU seconds of the busiest worker | "
        "peak of a worker beyond its start, its part of the data included, MB"
    )
    for workers in options.workers:
        with (
            distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            small = da.random.default_rng(0).normal(size=(64, options.columns))
            kldiv.neighbor_distances(small, small)
            client.run(import_kldiv)  # what is loaded once is not counted
            start = client.run(_reset_peak)
            X, Y = (one.persist() for one in (rows(1), rows(2)))
            distributed.wait([X, Y])
            before = client.run(time.process_time)
            took = seconds(lambda: kldiv.neighbor_distances(X, Y))  # noqa: B023
            after, peaks = client.run(time.process_time), client.run(_peak)
            busiest = max(after[one] - before[one] for one in after)
            most = max(peaks[one] - start[one] for one in peaks)
            print(f"{workers} | {took:.1f} | {busiest:.1f} | {most:.0f}", flush=True)


def import_kldiv() -> None:
    """Load what a worker needs, and search once."""
    small = np.random.default_rng(0).normal(size=(64, 3))
    kldiv.neighbor_distances(small, small)


def kills(options: argparse.Namespace) -> None:
    """Searches while a worker is killed at a random moment; the same numbers or not."""
    import dask.array as da
    import distributed

    samples = [images(options.rows, options.columns, seed) for seed in (1, 2)]
    chunks = (max(1, options.rows // 8), -1)
    expected = kldiv.neighbor_distances(*samples)
    random, agree = np.random.default_rng(options.seed), 0
    for _ in range(options.times):
        collections = [da.from_array(rows, chunks=chunks) for rows in samples]
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=":0",
                silence_logs=50,
            ) as cluster,
            distributed.Client(cluster) as client,
        ):  # fmt: skip
            victim = next(iter(client.run(os.getpid).values()))
            after = random.uniform(0, options.within)
            killer = threading.Timer(after, os.kill, (victim, signal.SIGKILL))
            killer.start()
            found = kldiv.neighbor_distances(*collections)
            killer.join()
        same = all(
            np.allclose(found.block(b), expected.block(b), rtol=1e-12, atol=0)
            for b in ("xx", "xy")
        )
        agree += same
        print(f"killed after {after:.2f} s: {'the same' if same else 'DIFFERS'}")
    print(f"{agree} of {options.times} searches give the same distances")


def stages(options: argparse.Namespace) -> None:
    """Processor time by the number of rows, and the power of it that fits."""
    calls: dict[str, Callable[..., Any]] = {
        "search": kldiv.neighbor_distances,
        "published estimator": partial(kldiv.kl_divergence, correction=None),
        "correction 'auto'": kldiv.kl_divergence,
    }
    sizes = [options.rows << step for step in range(4)]
    print(f"{options.columns} columns, rows of each sample against processor seconds")
    print(" | ".join(["stage", *(f"{n:,}" for n in sizes), "power of the rows"]))
    for name, call in calls.items():
        took = []
        for n in sizes:
            rng = np.random.default_rng(0)
            X, Y = rng.normal(size=(2, n, options.columns))
            start = time.process_time()
            call(X, Y)
            took.append(time.process_time() - start)
        power = np.polyfit(np.log(sizes[1:]), np.log(took[1:]), 1)[0]
        print(" | ".join([name, *(f"{t:.2f}" for t in took), f"{power:.2f}"]))


def cluster(options: argparse.Namespace) -> None:
    """Search on a cluster: work shared evenly, bytes over a network of one speed.

    One block of `rows` per chunk is searched in another in ``seconds *
    (chunk / 1e5) ** power`` for each 100,000 queries. A worker receives every block
    of data it does not hold, and the caller all columns of neighbours; a scheduler
    starts a task each millisecond.
    """
    n, k = options.rows, 5
    size = n * options.columns * 8
    n_blocks = -(-size // (64 * MB))
    chunk = n / n_blocks
    tasks = 2 * n_blocks**2
    each = options.seconds * chunk / 1e5 * (chunk / 1e5) ** options.power
    bandwidth = options.gigabits / 8 * 1e9
    print(f"{n:,} x {options.columns}: {n_blocks} blocks a sample, {tasks:,} tasks")
    print("workers | searching, s | receiving, s | scheduling, s | to the caller, s")
    for workers in options.workers:
        searching = each * -(-tasks // workers)
        receiving = 2 * size * (1 - 1 / workers) / bandwidth
        caller = 2 * n * k * 8 / bandwidth
        print(
            f"{workers} | {searching:,.0f} | {receiving:,.1f} | {tasks / 1000:,.1f} | "
            f"{caller:,.1f}"
        )


def _reset_peak() -> float:
    """Memory of this process now; its peak starts anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmHWM")


def _peak() -> float:
    return status("VmHWM")


def main() -> None:
    """Read the command line and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True)

    def command(run: Callable[..., None], rows: int, columns: int) -> Any:
        added = commands.add_parser(run.__name__, help=run.__doc__)
        added.set_defaults(run=run)
        added.add_argument("--rows", type=int, default=rows)
        added.add_argument("--columns", type=int, default=columns)
        return added

    bounded = command(memory, 60_000, 784)
    bounded.add_argument("--limits", type=int, nargs="+", default=[100])
    for kind in KINDS:
        bounded.add_argument(f"--{kind}", action="store_true")
    command(overhead, 6_000, 784).add_argument("--repeats", type=int, default=5)
    command(processes, 1_000_000, 10).add_argument(
        "--workers", type=int, nargs="+", default=[1, 2]
    )
    deadly = command(kills, 12_000, 10)
    deadly.add_argument("--times", type=int, default=10)
    deadly.add_argument("--within", type=float, default=1.5, help="seconds")
    deadly.add_argument("--seed", type=int, default=0)
    command(stages, 2_000, 10)
    shared = command(cluster, 10_000_000, 10)
    shared.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2, 8, 32, 128, 512]
    )
    shared.add_argument("--seconds", type=float, default=1.0)
    shared.add_argument("--power", type=float, default=0.8)
    shared.add_argument("--gigabits", type=float, default=10.0, help="per second")
    single = commands.add_parser("one")
    single.set_defaults(run=one)
    single.add_argument("folder")
    single.add_argument("how", choices=("array", "map"))
    single.add_argument("limit", type=int)
    for kind in KINDS:
        single.add_argument(f"--{kind}", action="store_true")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
