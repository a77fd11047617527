"""Rows in balls around other rows, by direct float64 distances; see distances.h."""

from cython.parallel cimport prange
from libc.stdint cimport int64_t

from kldiv._kernels._isa cimport level
from kldiv._kernels._stop cimport ask, raise_if

cdef extern from "stop.h" nogil:
    ctypedef struct stop_flag:
        int (*ask)() noexcept nogil
        int told

cdef extern from "distances.h" nogil:
    int BALL_QUERIES
    ctypedef struct distances_table:
        int (*rows_in_balls)(
            const void *queries, int64_t n, const void *data, int64_t m, int64_t d,
            int is_double, const double *radii, int64_t skip, int64_t *counts,
            double *largest, stop_flag *stop
        ) noexcept nogil
    const distances_table *distances_table_of(int level)

ctypedef fused real:
    float
    double


def ball_members(
    const real[:, ::1] queries,
    const real[:, ::1] data,
    const double[::1] radii,
    bint exclude_self,
    int64_t[::1] counts,
    double[::1] largest,
    int n_threads,
):
    """Rows of data within radii[i] of queries[i]: their number, largest distance."""
    cdef const distances_table *table = distances_table_of(level())
    cdef int64_t n = queries.shape[0], m = data.shape[0], d = data.shape[1]
    cdef int64_t block, first
    cdef int lacking = 0
    cdef stop_flag stop
    stop.ask, stop.told = ask, 0
    for block in prange(
        (n + BALL_QUERIES - 1) // BALL_QUERIES,
        nogil=True, num_threads=n_threads, schedule="static",
    ):
        first = block * BALL_QUERIES
        lacking += table.rows_in_balls(
            &queries[first, 0], min(BALL_QUERIES, n - first), &data[0, 0], m, d,
            real is double, &radii[first], first if exclude_self else -n - m,
            &counts[first], &largest[first], &stop
        )
    raise_if(stop.told)
    if lacking:
        raise MemoryError("not enough memory to count rows in balls")
