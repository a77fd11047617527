"""One wheel for all Python versions, or one for each: what would the former cost?

    python benchmarks/abi3.py

Builds a wheel for this Python and one for the stable ABI (``KLDIV_LIMITED_API=1``) from
a copy of the checkout, unpacks both, and times a call of a kernel and a whole search
where there is next to nothing to search: process CPU time, in turns, the minimum. Takes
a few minutes of compiling; needs pip and a C compiler.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "setup.py",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "kldiv",
    "kldiv_attack",
)
CODE = """
import time
import numpy as np
from kldiv import neighbor_distances
from kldiv._kernels._distances import ball_members

X, Y = np.random.default_rng(0).normal(size=(2, 20, 2))
radii, largest, counts = np.ones(20), np.empty(20), np.empty(20, dtype=np.intp)
tasks = [
    lambda: ball_members(X, Y, radii, False, counts, largest, 1),
    lambda: neighbor_distances(X, Y, n_neighbors=5),
]
for task in tasks:
    best = float("inf")
    for _ in range(15):
        started = time.process_time()
        for _ in range(1000):
            task()
        best = min(best, (time.process_time() - started) / 1000)
    print(best)
"""


def build(work, limited):
    """A wheel, and the folder that it was unpacked to."""
    source = work / f"source{limited}"
    source.mkdir()
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps"]
    subprocess.run(
        [*command, "-w", str(source / "dist"), str(source)],
        env={**os.environ, "KLDIV_LIMITED_API": str(limited)},
        check=True,
    )
    (wheel,) = (source / "dist").glob("*.whl")
    unpacked = work / f"unpacked{limited}"
    zipfile.ZipFile(wheel).extractall(unpacked)
    return wheel, unpacked


def seconds(folder):
    """Of a kernel call and of a search, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [float(line) for line in done.stdout.split()]


def main():
    with tempfile.TemporaryDirectory() as folder:
        built = [build(Path(folder), limited) for limited in (0, 1)]
        rounds = [[seconds(unpacked) for _, unpacked in built] for _ in range(3)]
        print("| wheel | bytes | kernel call, us | search, us |\n|---|--:|--:|--:|")
        for (wheel, _), *found in zip(built, *rounds, strict=True):
            call, search = (1e6 * min(times) for times in zip(*found, strict=True))
            size = wheel.stat().st_size
            print(f"| {wheel.name} | {size} | {call:.2f} | {search:.1f} |")


if __name__ == "__main__":
    main()
