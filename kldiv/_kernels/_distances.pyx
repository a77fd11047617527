"""Rows in balls around other rows, by direct float64 distances."""

from cython.parallel cimport prange
from libc.math cimport fabs, isinf, sqrt

from kldiv._kernels._stop cimport ask, raise_if

cdef extern from "stop.h" nogil:
    ctypedef struct stop_flag:
        int (*ask)() noexcept nogil
        int told
    int stopped(stop_flag *stop)

# Sums of squares between these have lost nothing that counts to overflow or underflow.
cdef double SMALLEST_SQUARE = 1e-280, LARGEST_SQUARE = 1e300
# Share of the square of a radius that no rounding takes across it.
cdef double OUTSIDE = 1 + 1e-9

ctypedef fused real:
    float
    double


cdef inline double squared_distance(
    const real *a, const real *b, Py_ssize_t d
) noexcept nogil:
    """Sum of squared differences in float64, four partial sums."""
    cdef double s0 = 0, s1 = 0, s2 = 0, s3 = 0, t0, t1, t2, t3
    cdef Py_ssize_t i, tail = d - d % 4
    for i in range(0, tail, 4):
        t0 = <double> a[i] - b[i]
        t1 = <double> a[i + 1] - b[i + 1]
        t2 = <double> a[i + 2] - b[i + 2]
        t3 = <double> a[i + 3] - b[i + 3]
        s0 += t0 * t0
        s1 += t1 * t1
        s2 += t2 * t2
        s3 += t3 * t3
    for i in range(tail, d):
        t0 = <double> a[i] - b[i]
        s0 += t0 * t0
    return (s0 + s1) + (s2 + s3)


cdef double careful_distance(
    const real *a, const real *b, Py_ssize_t d
) noexcept nogil:
    """The distance where squares overflow or vanish: in units of the largest gap."""
    cdef double largest = 0, total = 0, t
    cdef Py_ssize_t i
    for i in range(d):
        largest = max(largest, fabs(<double> a[i] - b[i]))
    if largest == 0 or isinf(largest):
        return largest
    for i in range(d):
        t = (<double> a[i] - b[i]) / largest
        total += t * t
    return largest * sqrt(total)


cdef Py_ssize_t scan_ball(
    const real *query,
    const real[:, ::1] data,
    double radius,
    Py_ssize_t skip,
    double *largest,
) noexcept nogil:
    """Count rows of data within radius; write the largest of their distances.

    Most rows are outside: a square that is clearly larger needs no root.
    """
    cdef Py_ssize_t j, count = 0, d = data.shape[1]
    cdef double square, distance, top = 0, outside = radius * radius * OUTSIDE
    if not SMALLEST_SQUARE < outside < LARGEST_SQUARE:
        outside = LARGEST_SQUARE
    for j in range(data.shape[0]):
        square = squared_distance(query, &data[j, 0], d)
        if outside < square < LARGEST_SQUARE or j == skip:
            continue
        if SMALLEST_SQUARE < square < LARGEST_SQUARE:
            distance = sqrt(square)
        else:
            distance = careful_distance(query, &data[j, 0], d)
        if distance <= radius:
            count += 1
            if distance > top:
                top = distance
    largest[0] = top
    return count


def ball_members(
    const real[:, ::1] queries,
    const real[:, ::1] data,
    const double[::1] radii,
    bint exclude_self,
    Py_ssize_t[::1] counts,
    double[::1] largest,
    int n_threads,
):
    """Rows of data within radii[i] of queries[i]: their number, largest distance."""
    cdef Py_ssize_t i
    cdef stop_flag stop
    stop.ask, stop.told = ask, 0
    for i in prange(
        queries.shape[0], nogil=True, num_threads=n_threads, schedule="static"
    ):
        if stopped(&stop):
            continue
        counts[i] = scan_ball(
            &queries[i, 0], data, radii[i], i if exclude_self else -1, &largest[i]
        )
    raise_if(stop.told)
