"""Everything to ask a GPU at once: tests, searches, steps; written to a page.

    python benchmarks/gpu.py                 # within eight minutes on one GPU
    python benchmarks/gpu.py --device cpu --rows 2000 --out -    # try the program

Needs `python -m pip install -e ".[test]"`. Tests of the code that runs on a device come
first: tables of a search that is wrong are worth nothing. All searches of a case take
turns, the fastest of three rounds counts, and the clock is read after the device has
finished. The page names device and versions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kldiv

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/benchmarks/gpu.rst"
TESTS = ("tests/test_torch_search.py", "tests/attack/test_stepping.py")
CASES = ((60_000, 784), (200_000, 100), (1_000_000, 10))
K, BUDGET = 5, 480  # neighbours; seconds for everything


def main() -> None:
    """Run tests, then print all tables, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rows", type=int, help="at most as many rows per case")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", default=str(PAGE), help="page to write; - for none")
    options = parser.parse_args()
    place, started = torch.device(options.device), time.perf_counter()
    parts = [heading(place), tests()]
    for n, d in CASES:
        if time.perf_counter() - started < BUDGET / 2:
            parts.append(searches(min(n, options.rows or n), d, place, options.rounds))
    parts.append(divergences(min(20_000, options.rows or 20_000), place))
    parts.append(steps(options.device, BUDGET - (time.perf_counter() - started)))
    parts.append(f"All of it took {time.perf_counter() - started:.0f} s.\n")
    page = "\n".join(parts)
    print(page)
    if options.out != "-":
        Path(options.out).write_text(page, encoding="utf-8")


def heading(place: torch.device) -> str:
    """Title of the page, with device and versions."""
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else "processor"
    return (
        ".. _gpu-benchmark:\n\nOn a GPU\n========\n\n"
        f"{name}; torch {torch.__version__}, kldiv {kldiv.__version__}. Printed by "
        "``python benchmarks/gpu.py``.\n"
    )


def block(title: str, text: str) -> str:
    """A titled piece of output, as it was printed."""
    lines = "\n".join(f"   {line}".rstrip() for line in text.strip().splitlines())
    return f"{title}\n{'-' * len(title)}\n\n.. code-block:: text\n\n{lines}\n"


def tests() -> str:
    """Tests of what runs on a device; the last lines of their output."""
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", *TESTS]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr[-500:]]
    return block("Tests on the device", "\n".join([*failed, *last]))


def fastest(
    calls: dict[str, Callable[[], Any]], place: torch.device, rounds: int
) -> dict[str, float]:
    """Least wall time of each call, in turns; NaN if memory is short of it."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            try:
                finish(place)
                start = time.perf_counter()
                call()
                finish(place)
                best[name] = min(best[name], time.perf_counter() - start)
            except (torch.OutOfMemoryError, MemoryError):
                best[name] = float("nan")
    return best


def finish(place: torch.device) -> None:
    """Wait for the device."""
    if place.type == "cuda":
        torch.cuda.synchronize(place)


def searches(n: int, d: int, place: torch.device, rounds: int) -> str:
    """Neighbours inside one sample by this library, by torch, and the product alone."""
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(n, d))).float()
    rows = rows.to(place)
    piece = max(1, (1 << 28) // n)  # a gigabyte of distances at a time

    def plain() -> None:
        for start in range(0, n, piece):
            far = torch.cdist(rows[start : start + piece], rows)
            far.topk(K + 1, largest=False)

    def product() -> None:
        for start in range(0, n, piece):
            torch.mm(rows[start : start + piece], rows.T)

    best = fastest(
        {
            "kldiv": lambda: kldiv.neighbor_distances(
                rows, rows, n_neighbors=K, blocks=("xx",), algorithm="torch"
            ),
            "torch.cdist and topk": plain,
            "product alone": product,
        },
        place,
        rounds,
    )
    lines = [
        f"{name:22} {1000 * took:10.1f} ms {took / best['kldiv']:6.2f}"
        for name, took in best.items()
    ]
    title = f"{n:,} rows inside themselves, {d} columns, float32"
    return block(title, "\n".join(lines))


def divergences(n: int, place: torch.device) -> str:
    """The default estimate of tensors on the device, and of the same arrays."""
    rng = np.random.default_rng(0)
    pair = [torch.from_numpy(rng.normal(size=(n, 10)) + i) for i in range(2)]
    there, here = [one.to(place) for one in pair], [one.numpy() for one in pair]
    calls = {
        "tensors on the device": lambda: kldiv.kl_divergence(*there),
        "arrays, one thread": lambda: kldiv.kl_divergence(*here),
    }
    best = fastest(calls, place, 1)
    lines = [f"{name:22} {took:8.2f} s" for name, took in best.items()]
    title = f"kl_divergence, {n:,} + {n:,} rows, 10 columns"
    return block(title, "\n".join(lines))


def steps(device: str, seconds: float) -> str:
    """Training steps of the attackers, by benchmarks/attack_steps.py."""
    title = "Training steps of the attackers"
    if seconds < 30:
        return block(title, "not measured: no time was left")
    command = ROOT / "benchmarks/attack_steps.py"
    words = [sys.executable, str(command), "--device", device]
    words += ["--steps", "50" if device == "cuda" else "2", "--rounds", "2"]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return block(title, f"not measured: more than the {seconds:.0f} s left")
    return block(title, done.stdout)


if __name__ == "__main__":
    main()
