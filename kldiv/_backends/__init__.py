"""Ways to search for nearest neighbours, and the rule that chooses one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from kldiv._backends._auto import Choice, choose_algorithm
from kldiv._backends._backend import Backend
from kldiv._backends._blockwise import check_blocks, search_blocks
from kldiv._backends._chunked import search_chunks
from kldiv._backends._compiled import knn_distances
from kldiv._backends._parts import ChunkedRows, check_chunked, is_stored
from kldiv._backends._torch import check_tensors, is_on_gpu, search_on_device
from kldiv._backends._user_metric import (
    check_user_metric,
    distances_in_slabs,
    search_any_metric,
)
from kldiv._blocks._collections import is_collection
from kldiv._typing import BlockArrays, FloatArray, UserMetric

METRICS = ("euclidean", "manhattan", "chebyshev")


def search_pair(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Sequence[str],
    *,
    metric: str | UserMetric,
    **options: Any,
) -> BlockArrays:
    """Neighbours among two blocks of rows, by the search that suits them."""
    if X.dtype != Y.dtype:
        X, Y = X.astype("float64"), Y.astype("float64")
    algorithm, _, axes = choose_algorithm(X, Y, n_neighbors, blocks, metric)
    if axes is not None:
        options["axes"] = axes
    knn_distances = BACKENDS[algorithm].knn_distances
    return knn_distances(X, Y, n_neighbors, blocks, metric=metric, **options)


BACKENDS = {
    "sorted": Backend(partial(knn_distances, "sorted"), METRICS, most_features=1),
    "tree": Backend(partial(knn_distances, "tree"), METRICS),
    "gemm": Backend(partial(knn_distances, "gemm")),
    "pca": Backend(partial(knn_distances, "pca")),
    "int8": Backend(partial(knn_distances, "int8")),
    "brute": Backend(search_any_metric, METRICS, functions=True),
    "torch": Backend(search_on_device),
    "chunks": Backend(partial(search_chunks, search_pair), METRICS, functions=True),
    "dask": Backend(partial(search_blocks, search_pair), METRICS, functions=True),
}

__all__ = [
    "BACKENDS",
    "METRICS",
    "Backend",
    "Choice",
    "ChunkedRows",
    "check_blocks",
    "check_chunked",
    "check_tensors",
    "check_user_metric",
    "choose_algorithm",
    "distances_in_slabs",
    "is_collection",
    "is_on_gpu",
    "is_stored",
]
