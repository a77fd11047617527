"""Brute-force search by a metric that the user wrote in Python, compiled by Numba.

Numba compiles the function together with the loop around it into one serial scan that
does not hold the interpreter's lock; Python threads run it on ranges of queries. A
``prange`` loop is not used: an exception that the metric raises in one of its worker
threads is lost (Numba 0.68), and its default thread pool may not be entered by two
Python threads at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._backends._compiled import knn_distances
from kldiv._typing import BlockArrays, FloatArray, UserMetric
from kldiv._validation import metric_name

# Numbers that one call of a scan looks at; an interrupt is heard between calls.
_NUMBERS_PER_CALL = 1 << 25
_NUMBERS_PER_SLAB = 1 << 17  # distances to all rows are looked at 1 MB at a time
_COMPILING = threading.Lock()


def check_user_metric(metric: Any) -> None:
    """Raise unless Numba is installed and `metric` is something that it compiles."""
    try:
        from numba.core.dispatcher import Dispatcher
    except ImportError as error:
        raise ImportError(
            f"metric={metric_name(metric)!r} is a function and needs Numba, which "
            "compiles it to a native loop; it is not installed. Run: pip install "
            '"kldiv[numba]"'
        ) from error
    if not isinstance(metric, FunctionType | Dispatcher):
        raise TypeError(
            "metric must be a name, a Python function of two rows, or a function "
            f"compiled by numba.njit; got {type(metric).__name__}. Write it as a "
            "function: def metric(x, y): ... return distance."
        )


def search_any_metric(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Sequence[str],
    *,
    metric: str | UserMetric = "euclidean",
    n_threads: int = 1,
    return_indices: bool = False,
) -> BlockArrays:
    """Brute force, by the compiled core for a metric with a name."""
    if isinstance(metric, str):
        return knn_distances(
            "brute",
            X,
            Y,
            n_neighbors,
            blocks,
            metric=metric,
            n_threads=n_threads,
            return_indices=return_indices,
        )
    return search_user_metric(
        metric,
        X,
        Y,
        n_neighbors,
        blocks,
        n_threads=n_threads,
        return_indices=return_indices,
    )


def search_user_metric(
    metric: UserMetric,
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Sequence[str],
    *,
    n_threads: int = 1,
    return_indices: bool = False,
) -> BlockArrays:
    """Search all `blocks`; each query is the first argument of the metric.

    Parameters
    ----------
    metric : callable
        Distance of two rows: a Python function that Numba can compile, or one that it
        has compiled.
    X, Y : ndarray of shape (n, d) and (m, d), float32 or float64
        The samples.
    n_neighbors : int
        Columns of each block.
    blocks : sequence of {"xx", "xy", "yy", "yx"}
        Searches to make.
    n_threads : int
        Threads; the result does not depend on it.
    return_indices : bool
        Whether to return row numbers as well.

    Returns
    -------
    dict of str to (ndarray of float64, ndarray of int32 or None)
        Distances, ascending, and row numbers of each block.
    """
    nearest = _compiled(metric, X.dtype, "nearest")
    samples = {"x": _writeable(X), "y": _writeable(Y)}
    arrays: BlockArrays = {}
    for block in blocks:
        queries, data = samples[block[0]], samples[block[1]]
        distances = np.empty((len(queries), n_neighbors))
        indices = np.empty((len(queries), n_neighbors), dtype=np.int32)
        within = block[0] == block[1]

        scan = partial(nearest, queries, data, within, distances, indices)
        rows = min(_NUMBERS_PER_CALL // data.size, -(-len(queries) // n_threads))
        found = _in_parallel(scan, len(queries), max(1, rows), n_threads)
        _check(found, metric, block)
        arrays[block] = distances, indices if return_indices else None
    return arrays


def distances_in_slabs(
    metric: UserMetric, queries: FloatArray, data: FloatArray, n_threads: int
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Distances from some queries at a time to all rows of `data`."""
    measure = _compiled(metric, queries.dtype, "measure")
    queries, data = _writeable(queries), _writeable(data)
    step = max(1, n_threads * _NUMBERS_PER_SLAB // len(data))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        out = np.empty((len(part), len(data)))

        scan = partial(measure, part, data, out)
        rows = -(-len(part) // n_threads)
        _check(_in_parallel(scan, len(part), rows, n_threads), metric, "xy")
        yield slice(start, start + len(part)), out


def _writeable(sample: FloatArray) -> FloatArray:
    """The sample, copied if it is read-only, which Numba takes for another type."""
    return sample if sample.flags.writeable else sample.copy()


def _in_parallel(
    scan: Callable[[int, int], Any], n: int, rows: int, n_threads: int
) -> Iterator[Any]:
    """Results of ``scan(first, last)`` over ranges of `rows` of `n`, in order."""
    starts = range(0, n, rows)
    if n_threads == 1 or len(starts) == 1:
        yield from (scan(start, min(start + rows, n)) for start in starts)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            yield from pool.map(lambda start: scan(start, min(start + rows, n)), starts)
        except BaseException:  # an interrupt must not wait for what has not begun
            pool.shutdown(cancel_futures=True)
            raise


def _check(results: Iterator[Any], metric: UserMetric, block: str) -> None:
    """Raise ValueError for the first distance that is not a number of at least 0."""
    bad = next((result for result in list(results) if result[0] >= 0), None)
    if bad is None:
        return
    query, row, distance = bad
    name, names = metric_name(metric), block.upper()
    raise ValueError(
        f"metric={name!r} returned {distance} for row {query} of {names[0]} and row "
        f"{row} of {names[1]}; a distance is a finite number of at least 0. Correct "
        f"the function {name!r}."
    )


def _compiled(metric: UserMetric, dtype: Any, scan: str) -> Any:
    """The loop called `scan` around `metric`, for samples of one dtype."""
    check_user_metric(metric)
    with _COMPILING:
        return _compile(metric, np.dtype(dtype), scan)


@lru_cache(maxsize=128)
def _compile(metric: UserMetric, dtype: np.dtype[Any], scan: str) -> Any:
    import numba
    from numba import types

    sample = types.Array(numba.from_dtype(dtype), 2, "C")
    distance = metric if hasattr(metric, "py_func") else numba.njit(metric)
    _check_return_type(distance, metric, sample)
    table = types.Array(types.float64, 2, "C")
    indices = types.Array(types.int32, 2, "C")
    outputs = {"nearest": (types.boolean, table, indices), "measure": (table,)}[scan]
    compiled = numba.njit(_scan(scan, distance), nogil=True)
    # Compiled here, under the lock: the threads that call it find it ready.
    compiled.compile((sample, sample, *outputs, types.int64, types.int64))
    return compiled


def _check_return_type(distance: Any, metric: UserMetric, sample: Any) -> None:
    """Raise TypeError unless Numba compiles the metric and it returns a real number."""
    import numba
    from numba import types

    name = metric_name(metric)

    def first_pair(sample: Any) -> Any:  # pragma: no cover - is only compiled
        return distance(sample[0], sample[1])

    probe = numba.njit(first_pair)
    try:
        probe.compile((sample,))
    # A TypeError where Numba (0.60) compares the arguments before it compiles.
    except (numba.core.errors.NumbaError, TypeError) as error:
        raise TypeError(
            f"Numba cannot compile metric={name!r} for two rows of {sample.dtype}: "
            f"{_reason(error)} Write it with loops and NumPy functions that Numba "
            "knows, taking two vectors and returning a number."
        ) from error
    returned = probe.nopython_signatures[0].return_type
    if not isinstance(returned, types.Integer | types.Float):
        raise TypeError(
            f"metric={name!r} returns {returned} for two rows; a distance is one real "
            "number."
        )


def _reason(error: Exception) -> str:
    """What a message of Numba says before it shows lines of source."""
    said: list[str] = []
    for line in map(str.strip, str(error).splitlines()):
        if line.startswith(("Failed in", "During", "There are")) or not line:
            continue
        if line.startswith(("File ", "def first_pair")):
            break
        said.append(line)
    return " ".join(said)[:400]


def _scan(name: str, distance: Any) -> Callable[..., Any]:
    """A loop around a compiled distance, to be compiled with it.

    It returns (query, row, distance) of the first distance that is not a finite number
    of at least 0, or a negative query.
    """

    def nearest(  # pragma: no cover - runs as machine code
        queries: Any,
        data: Any,
        within: bool,
        distances: Any,
        indices: Any,
        first: int,
        last: int,
    ) -> tuple[int, int, float]:
        k = distances.shape[1]
        heap, rows = np.empty(k), np.empty(k, np.int32)
        for i in range(first, last):
            heap[:] = np.inf
            rows[:] = -1
            for j in range(len(data)):
                if within and i == j:
                    continue
                apart = float(distance(queries[i], data[j]))
                if not 0.0 <= apart < np.inf:
                    return i, j, apart
                if apart >= heap[0]:
                    continue
                parent, child = 0, 1  # the largest of k leaves, the others move up
                while child < k:
                    if child + 1 < k and heap[child + 1] > heap[child]:
                        child += 1
                    if heap[child] <= apart:
                        break
                    heap[parent], rows[parent] = heap[child], rows[child]
                    parent, child = child, 2 * child + 1
                heap[parent], rows[parent] = apart, j
            order = np.argsort(heap)
            for c in range(k):
                distances[i, c], indices[i, c] = heap[order[c]], rows[order[c]]
        return -1, -1, 0.0

    def measure(  # pragma: no cover - runs as machine code
        queries: Any, data: Any, out: Any, first: int, last: int
    ) -> tuple[int, int, float]:
        for i in range(first, last):
            for j in range(len(data)):
                apart = float(distance(queries[i], data[j]))
                if not 0.0 <= apart < np.inf:
                    return i, j, apart
                out[i, j] = apart
        return -1, -1, 0.0

    return nearest if name == "nearest" else measure
