"""Permutation p-values of "both samples have one distribution"."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._neighbors import search, search_apart
from kldiv._typing import FloatArray, Floats, Mask, UserMetric


def permutation_pvalue(
    X: FloatArray,
    Y: FloatArray,
    k: int,
    n_permutations: int,
    rng: np.random.Generator,
    threads: int,
    metric: str | UserMetric = "euclidean",
    window: int = 0,
) -> float:
    """p-value of "both samples have one distribution" from one search of all rows.

    The statistic is the generalised edge count of Chen and Friedman (2017) on the
    k-nearest-neighbour graph: how far the numbers of edges inside X and inside Y are
    from what permuted labels give, in the metric of their covariance. It sees shifts as
    well as changes of scale in many columns. Labels are permuted, the graph stays. Only
    for the Euclidean metric are columns scaled to unit variance.

    Rows that came at most `window` apart are no neighbours, and labels are permuted in
    blocks of as many rows and one.
    """
    pooled: FloatArray = np.concatenate([X, Y])
    if metric == "euclidean":
        pooled = pooled.astype(np.float64)
        pooled -= pooled.mean(axis=0)
        size = pooled.std(axis=0)
        pooled /= np.where(size > 0, size, 1.0)
    k = min(k, len(pooled) - 1)
    options: dict[str, Any] = {
        "blocks": ("xx",),
        "metric": metric,
        "threads": threads,
        "return_indices": True,
    }
    if window:
        # rows of different samples are never close in time
        places = np.arange(len(pooled))
        places[len(X) :] += window
        graph = search_apart(pooled, pooled, k, (places, places), window, **options)
    else:
        graph = search(pooled, pooled, k, **options)
    neighbours = graph.xx_indices
    assert neighbours is not None
    labels = labellings(len(X), len(Y), n_permutations, rng, window + 1)
    statistics = edge_statistics(labels, neighbours)
    at_least = (statistics[1:] >= statistics[0] * (1 - 1e-12)).sum()
    return float((1 + at_least) / (1 + n_permutations))


def labellings(
    n: int, m: int, n_permutations: int, rng: np.random.Generator, block: int = 1
) -> Mask:
    """Which pooled rows are of X: as given, then permuted in blocks of rows."""
    labels = np.zeros((n_permutations + 1, n + m), dtype=bool)
    labels[0, :n] = True
    blocks = np.arange(n + m) // block
    for row in labels[1:]:
        ranks = np.argsort(rng.permutation(blocks[-1] + 1))
        order = np.argsort(ranks[blocks], kind="stable")
        row[order[:n]] = True
    return labels


def edge_statistics(labels: Mask, neighbours: NDArray[np.integer]) -> Floats:
    """Generalised edge count of each labelling."""
    edges = np.array([_inner_edges(row, neighbours) for row in labels], dtype=float)
    # moments over all labellings, the observed one included: they are exchangeable
    edges -= edges.mean(axis=0)
    precision = np.linalg.pinv(edges.T @ edges / len(edges))
    return np.asarray(np.einsum("ij,jk,ik->i", edges, precision, edges))


def _inner_edges(in_x: Mask, neighbours: NDArray[np.integer]) -> tuple[int, int]:
    """Edges of the neighbour graph inside X and inside Y."""
    ends = in_x[neighbours].sum(axis=1)
    in_both = int(ends[in_x].sum())
    in_neither = int((neighbours.shape[1] - ends[~in_x]).sum())
    return in_both, in_neither
