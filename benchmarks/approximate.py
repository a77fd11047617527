"""Approximate neighbours: what they cost in a divergence, and what they save.

    python benchmarks/approximate.py --rows 25000 50000 100000 --columns 10

Needs ``faiss-cpu``. Samples are Gaussian, shifted in one column, D = 0.5 nats, and the
published estimator reads distances to the fifth neighbour. Times are of the processor,
one thread, index and both searches together.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import kldiv

K = 5


def exact(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the K-th neighbour in X and in Y by ``algorithm="auto"``."""
    found = kldiv.neighbor_distances(X, Y, n_neighbors=K)
    return found.block("xx")[:, -1], found.block("xy")[:, -1]


def graph(effort: int) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """The same from a navigable graph (HNSW) of 16 links a row."""

    def search(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import faiss

        def index(rows: np.ndarray) -> object:
            made = faiss.IndexHNSWFlat(rows.shape[1], 16)
            made.hnsw.efConstruction, made.hnsw.efSearch = 40, effort
            made.add(rows)
            return made

        return by_index(index, X, Y)

    return search


def cells(probes: int) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """The same from the nearest cells of a k-means partition (IVF)."""

    def search(X: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import faiss

        def index(rows: np.ndarray) -> object:
            centres = faiss.IndexFlatL2(rows.shape[1])
            n_cells = int(2 * np.sqrt(len(rows)))
            made = faiss.IndexIVFFlat(centres, rows.shape[1], n_cells)
            made.train(rows[: 40 * n_cells])
            made.add(rows)
            made.nprobe = probes
            return made

        return by_index(index, X, Y)

    return search


def by_index(index: Callable, X: np.ndarray, Y: np.ndarray) -> tuple:
    """Rows found by an index, measured again in float64; each row finds itself."""
    columns = []
    for rows, k in ((X, K + 1), (Y, K)):
        _, found = index(rows.astype(np.float32)).search(X.astype(np.float32), k)
        lost = found < 0  # fewer than k rows in the cells
        distances = np.empty(found.shape)
        for column in range(k):
            distances[:, column] = np.linalg.norm(X - rows[found[:, column]], axis=1)
        distances[lost] = np.inf
        distances.sort(axis=1)
        columns.append(distances[:, -1])
    return columns[0], columns[1]


def divergence(rho: np.ndarray, nu: np.ndarray, d: int) -> tuple[float, float, int]:
    """Mean, standard error and rows without K neighbours; the rest is left out."""
    known = np.isfinite(rho) & np.isfinite(nu)
    log_ratio = d * np.log(nu[known] / rho[known])
    error = log_ratio.std() / np.sqrt(known.sum())
    return float(log_ratio.mean()), float(error), int((~known).sum())


def main() -> None:
    """Print one table for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[25_000, 50_000])
    parser.add_argument("--columns", type=int, default=10)
    options = parser.parse_args()
    import faiss

    faiss.omp_set_num_threads(1)
    ways = {"exact": exact}
    ways |= {f"HNSW, ef {e}": graph(e) for e in (16, 64, 256)}
    ways |= {f"IVF, {p} cells": cells(p) for p in (4, 16, 64)}
    print("rows | columns | search | CPU s | off by, nats | standard error | lost rows")
    for n in options.rows:
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(2, n, options.columns))
        X[:, 0] += 1
        truth = None
        for name, search in ways.items():
            start = time.process_time()
            distances = search(X, Y)
            took = time.process_time() - start
            value, error, lost = divergence(*distances, options.columns)
            truth = value if truth is None else truth
            print(
                f"{n:,} | {options.columns} | {name} | {took:.1f} | "
                f"{value - truth:+.4f} | {error:.4f} | {lost}",
                flush=True,
            )


if __name__ == "__main__":
    main()
