"""Distances to the nearest neighbours inside and across two samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kldiv._backends import (
    BACKENDS,
    METRICS,
    ChunkedRows,
    check_blocks,
    check_chunked,
    check_tensors,
    check_user_metric,
    choose_algorithm,
    is_collection,
    is_on_gpu,
)
from kldiv._backends._exclusion import Apart, Find, check_in_memory
from kldiv._typing import BlockArrays, FloatArray, Floats, Rows, UserMetric
from kldiv._validation import (
    check_choice,
    check_integer,
    check_memory_limit,
    check_n_jobs,
    check_pair,
    check_sizes,
    metric_name,
    n_threads,
    shared,
)

BLOCKS = ("xx", "xy", "yy", "yx")
_LIMITED = ("torch", "chunks")  # searches that keep to a memory_limit


@dataclass(frozen=True, repr=False)
class NeighborDistances:
    """Distances to the first `n_neighbors` neighbours, named by who looks where.

    Attributes
    ----------
    xx, xy : ndarray of shape (n, n_neighbors), float64, or None
        From each row of X to its neighbours inside X (itself excluded, by row
        index) and in Y, ascending.
    yy, yx : ndarray of shape (m, n_neighbors), float64, or None
        The same from each row of Y. A block that was not asked for is None.
    n, m : int
        Rows of X and Y.
    n_features : int
        Columns.
    n_neighbors : int
        Columns of each block.
    algorithm : str
        The search that ran, a key of ``BACKENDS``.
    metric : str
        Metric of the distances; the name of the function for one of the user's own.
    predicted_seconds : float or None
        What ``algorithm="auto"`` expected the search to cost on one thread of the
        machine where the cost model was measured; None if it did not choose.
    xx_indices, xy_indices, yy_indices, yx_indices : ndarray of int32, or None
        Row numbers of the neighbours, for ``return_indices=True``. Among equal
        distances any row may be named.

    Examples
    --------
    >>> from kldiv import neighbor_distances
    >>> nearest = neighbor_distances([[0.0], [1.0]], [[4.0], [6.0]], n_neighbors=1)
    >>> nearest.block("xy").tolist()
    [[4.0], [3.0]]
    """

    n: int
    m: int
    n_features: int
    n_neighbors: int
    algorithm: str
    metric: str = "euclidean"
    xx: NDArray[np.float64] | None = None
    xy: NDArray[np.float64] | None = None
    yy: NDArray[np.float64] | None = None
    yx: NDArray[np.float64] | None = None
    predicted_seconds: float | None = None
    xx_indices: NDArray[np.int32] | None = None
    xy_indices: NDArray[np.int32] | None = None
    yy_indices: NDArray[np.int32] | None = None
    yx_indices: NDArray[np.int32] | None = None

    def __repr__(self) -> str:
        found = [name for name in BLOCKS if getattr(self, name) is not None]
        return (
            f"NeighborDistances({', '.join(found)}; n={self.n}, m={self.m}, "
            f"n_features={self.n_features}, n_neighbors={self.n_neighbors}, "
            f"algorithm={self.algorithm!r}, metric={self.metric!r})"
        )

    def block(self, name: str) -> NDArray[np.float64]:
        """The block called `name`, or ValueError if it was not searched."""
        values: NDArray[np.float64] | None = getattr(self, name)
        if values is None:
            raise ValueError(f"block {name!r} was not asked for in neighbor_distances.")
        return values


def neighbor_distances(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    n_neighbors: int = 5,
    blocks: Sequence[str] = ("xx", "xy"),
    algorithm: str = "auto",
    metric: str | UserMetric = "euclidean",
    n_jobs: int | None = None,
    return_indices: bool = False,
    memory_limit: int | None = None,
    exclusion_window: int = 0,
) -> NeighborDistances:
    """Exact distances to the nearest neighbours inside and across two samples.

    Parameters
    ----------
    X : array-like of shape (n, n_features)
        First sample, float32 or float64; other numbers become float64.
    Y : array-like of shape (m, n_features)
        Second sample.
    n_neighbors : int, default=5
        How many neighbours of each row.
    blocks : sequence of {"xx", "xy", "yy", "yx"}, default=("xx", "xy")
        Which searches to make: "xy" looks from the rows of X into Y.
    algorithm : {"auto", "sorted", "tree", "gemm", "pca", "int8", "brute", \
            "torch", "chunks", "dask"}, default="auto"
        How to search; each gives the same distances. "auto" takes the one that a cost
        model expects to be the fastest, "torch" for tensors on a GPU, "dask" for dask
        arrays and data frames, of which only neighbours come here, and "chunks" for a
        given `memory_limit`. "chunks" reads rows of X and Y when it needs them, from
        whatever has ``shape``, ``dtype`` and slices: memory maps, zarr, HDF5.
    metric : {"euclidean", "manhattan", "chebyshev"} or callable, default="euclidean"
        Metric. Only "sorted", "tree" and "brute" know the last two names. A Python
        function ``metric(x, y)`` of two rows, or one compiled by ``numba.njit``, runs
        as a native loop over all pairs (needs the extra ``numba``); a row that looks
        for neighbours is its first argument, so it need not be symmetric.
    n_jobs : int, optional
        Threads; None is one, -1 all available ones. The result does not depend on it.
    return_indices : bool, default=False
        Whether to fill ``xx_indices`` and its siblings.
    memory_limit : int, optional
        Bytes of working memory beyond samples and answer, for "chunks", and for "torch"
        on each device; the other algorithms refuse it. By default half of what is free
        on a GPU, 256 MB on the processor.
    exclusion_window : int, default=0
        Within a sample, rows whose numbers differ by at most this are no neighbours
        (Theiler 1986): for rows that come in the order of time. Not for "torch",
        "chunks" and "dask".

    Returns
    -------
    NeighborDistances
        float64 distances, measured by direct differences. Tensors on the device of X
        if both samples are tensors that ``algorithm="torch"`` has searched.

    Raises
    ------
    ValueError
        For NaN, infinity, different widths, an unknown block or algorithm, too few
        rows for `n_neighbors`, or a metric that returns NaN, infinity or a negative
        number.
    TypeError
        For sparse or non-numeric input, a non-integer `n_neighbors`, or a metric that
        Numba cannot compile.
    ImportError
        For a function as `metric` where Numba is not installed.

    Examples
    --------
    >>> from kldiv import neighbor_distances
    >>> nearest = neighbor_distances([[0.0], [1.0]], [[0.5], [3.0]], n_neighbors=1)
    >>> nearest.xx.tolist(), nearest.xy.tolist()
    ([[1.0], [1.0]], [[0.5], [0.5]])
    """
    memory_limit = check_memory_limit(memory_limit)
    algorithm = of_samples(algorithm, metric, X, Y, memory_limit)
    if window := check_integer(exclusion_window, "exclusion_window", 0):
        check_in_memory(algorithm)
    x, y = _checked(algorithm, X, Y, memory_limit)
    n_neighbors = check_integer(n_neighbors, "n_neighbors")
    for block in blocks:
        check_choice(block, BLOCKS, "each of blocks")
    check_metric(metric)
    check_algorithm(algorithm, metric, x.shape[1])
    _check_block_sizes(n_neighbors, blocks, len(x), len(y))
    options: dict[str, Any] = {
        "blocks": blocks,
        "algorithm": algorithm,
        "metric": metric,
        "threads": n_threads(check_n_jobs(n_jobs)),
        "return_indices": return_indices,
    }
    if window:
        places = np.arange(len(x)), np.arange(len(y))
        return search_apart(x, y, n_neighbors, places, window, **options)
    return search(x, y, n_neighbors, memory_limit=memory_limit, **options)


def _check_block_sizes(n_neighbors: int, blocks: Sequence[str], n: int, m: int) -> None:
    """Raise ValueError if a block has fewer rows to find than neighbours."""
    short_of = {"xx": n - 1, "xy": m, "yy": m - 1, "yx": n}
    for block in blocks:
        if short_of[block] < n_neighbors:
            raise ValueError(
                f"n_neighbors={n_neighbors} is more than the {short_of[block]} rows "
                f"that block {block!r} can find (X has {n} rows, Y has {m}). "
                "Lower n_neighbors or add rows."
            )


def _checked(
    algorithm: str, X: Any, Y: Any, memory_limit: int | None
) -> tuple[Any, Any]:
    """Both samples as their search takes them: where they are, or as arrays here."""
    if algorithm == "torch" and (tensors := check_tensors(X, Y)) is not None:
        return tensors
    if algorithm == "dask" and (in_blocks := check_blocks(X, Y)) is not None:
        return in_blocks
    if algorithm == "chunks":
        return check_chunked(X, Y, memory_limit)
    return check_pair(X, Y)


def of_samples(
    algorithm: str,
    metric: str | UserMetric,
    X: Any,
    Y: Any,
    memory_limit: int | None = None,
) -> str:
    """The algorithm, and for "auto" the search where the samples are.

    Raises
    ------
    ValueError
        For a `memory_limit` that the search would not keep.
    """
    if algorithm == "auto" and memory_limit is None and is_collection(X, Y):
        return "dask"
    here = algorithm == "auto" and BACKENDS["torch"].knows(metric)
    if here and is_on_gpu(X, Y):
        return "torch"
    if memory_limit is None or algorithm in _LIMITED:
        return algorithm
    if algorithm == "auto":
        return "chunks"
    able = ", ".join(repr(name) for name in ("auto", *_LIMITED))
    raise ValueError(
        f"memory_limit={memory_limit}: algorithm={algorithm!r} does not bound its "
        f"memory. These do: {able}."
    )


def check_metric(metric: Any) -> None:
    """Raise unless `metric` is a known name or a function that Numba can take."""
    if callable(metric):
        check_user_metric(metric)
        return
    if not isinstance(metric, str) or metric not in METRICS:
        accepted = ", ".join(repr(name) for name in METRICS)
        raise ValueError(
            f"metric must be one of {accepted}, or a function of two rows; got "
            f"{metric!r}."
        )


def check_algorithm(algorithm: str, metric: str | UserMetric, n_features: int) -> None:
    """Raise ValueError if `algorithm` is unknown or cannot search this."""
    check_choice(algorithm, ("auto", *BACKENDS), "algorithm")
    if algorithm == "auto":
        return
    most = BACKENDS[algorithm].most_features
    if most is not None and n_features > most:
        raise ValueError(
            f"algorithm={algorithm!r} needs {_features(most)}; the samples have "
            f"{n_features}. Use algorithm='auto'."
        )
    if not BACKENDS[algorithm].knows(metric):
        able = [name for name, backend in BACKENDS.items() if backend.knows(metric)]
        raise ValueError(
            f"algorithm={algorithm!r} does not know metric={metric_name(metric)!r}; "
            f"these do: {', '.join(able)}. Use algorithm='auto'."
        )


def _features(most: int) -> str:
    return "exactly one feature" if most == 1 else f"at most {most} features"


def search(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    *,
    blocks: Sequence[str] = ("xx", "xy"),
    algorithm: str = "auto",
    metric: str | UserMetric = "euclidean",
    threads: int = 1,
    return_indices: bool = False,
    memory_limit: int | None = None,
) -> NeighborDistances:
    """Search on checked arrays of one dtype; see `neighbor_distances`."""
    if "xx" in blocks and "xy" in blocks:
        check_sizes(n_neighbors, len(X), len(Y))
    predicted = None
    hints: dict[str, Any] = {"metric": metric, "return_indices": return_indices}
    if algorithm == "auto" and isinstance(X, ChunkedRows):
        algorithm = "chunks"
    if algorithm == "auto":
        algorithm, predicted, axes = choose_algorithm(X, Y, n_neighbors, blocks, metric)
        hints |= {} if axes is None else {"axes": axes}
    elif check_choice(algorithm, tuple(BACKENDS), "algorithm") in _LIMITED:
        hints["memory_limit"] = memory_limit
    with shared(threads) as free:
        found = BACKENDS[algorithm].knn_distances(
            X, Y, n_neighbors, blocks, n_threads=free, **hints
        )
    return NeighborDistances(
        n=len(X),
        m=len(Y),
        n_features=X.shape[1],
        n_neighbors=n_neighbors,
        algorithm=algorithm,
        metric=metric_name(metric),
        predicted_seconds=predicted,
        **_by_field(found),
    )


def search_apart(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    places: tuple[Rows, Rows],
    window: int,
    *,
    blocks: Sequence[str] = ("xx", "xy"),
    return_indices: bool = False,
    **options: Any,
) -> NeighborDistances:
    """`search` with neighbours within X and within Y more than a window apart.

    `places` say when the rows of both samples came.
    """
    across = [block for block in blocks if block[0] != block[1]]
    found = search(
        X,
        Y,
        n_neighbors if across else 1,
        blocks=across or ("xy",),
        return_indices=return_indices,
        **options,
    )
    if not across:
        found = replace(found, n_neighbors=n_neighbors, xy=None, xy_indices=None)
    within: BlockArrays = {}
    for block in (block for block in blocks if block[0] == block[1]):
        sample, of_rows = (X, places[0]) if block == "xx" else (Y, places[1])
        spaced = Apart(of_rows, window)
        spaced.check(n_neighbors, block[0].upper())
        find = _finder(sample, options)
        distances, rows = spaced.nearest(find, n_neighbors)
        within[block] = distances, rows.astype(np.int32) if return_indices else None
    return replace(found, **_by_field(within))


def _finder(sample: FloatArray, options: dict[str, Any]) -> Find:
    """Nearest rows of a sample to some of its own."""

    def find(rows: Rows, k: int) -> tuple[Floats, NDArray[np.int32]]:
        some = np.ascontiguousarray(sample[rows])
        near = search(some, sample, k, blocks=("xy",), return_indices=True, **options)
        assert near.xy_indices is not None
        return near.block("xy"), near.xy_indices

    return find


def _by_field(found: BlockArrays) -> dict[str, Any]:
    arrays: dict[str, Any] = {b: distances for b, (distances, _) in found.items()}
    return arrays | {f"{b}_indices": rows for b, (_, rows) in found.items()}
