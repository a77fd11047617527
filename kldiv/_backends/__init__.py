"""Ways to search for nearest neighbours, and the rule that chooses one."""

from __future__ import annotations

from functools import partial

from kldiv._backends._auto import Choice, choose_algorithm
from kldiv._backends._backend import Backend
from kldiv._backends._blas import one_blas_thread
from kldiv._backends._compiled import knn_distances
from kldiv._backends._torch import check_tensors, is_on_gpu, search_on_device
from kldiv._backends._user_metric import (
    check_user_metric,
    distances_in_slabs,
    search_any_metric,
)

METRICS = ("euclidean", "manhattan", "chebyshev")

BACKENDS = {
    "sorted": Backend(partial(knn_distances, "sorted"), METRICS, most_features=1),
    "tree": Backend(partial(knn_distances, "tree"), METRICS),
    "gemm": Backend(partial(knn_distances, "gemm")),
    "pca": Backend(partial(knn_distances, "pca")),
    "int8": Backend(partial(knn_distances, "int8")),
    "brute": Backend(search_any_metric, METRICS, functions=True),
    "torch": Backend(search_on_device),
}

__all__ = [
    "BACKENDS",
    "METRICS",
    "Backend",
    "Choice",
    "check_tensors",
    "check_user_metric",
    "choose_algorithm",
    "distances_in_slabs",
    "is_on_gpu",
    "one_blas_thread",
]
