"""Thin front of the compiled neighbour search: buffers in, distances out.

Nothing is checked here beyond the layout of the buffers; `kldiv._neighbors` does that.
"""

import numpy as np

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdint cimport int16_t, int32_t, int64_t

from kldiv._kernels._isa cimport level, matrix_is_lent
from kldiv._kernels._stop cimport ask, raise_if

from kldiv._kernels._isa import current_level

cdef extern from "knn.h" nogil:
    ctypedef struct stop_flag:
        int (*ask)() noexcept nogil
        int told
    enum:
        KNN_NOT_BUILT
    ctypedef struct knn_sample:
        const void *rows
        int64_t n
        int d
        int is_double
    ctypedef struct knn_block:
        int origin "from"
        int into
        double *distances
        int32_t *indices
    ctypedef struct knn_job:
        knn_sample sample[2]
        knn_block block[4]
        int n_blocks
        int k
        int metric
        int n_threads
        int matrix
        double scale
        int64_t segment_bytes
        stop_flag *stop
    ctypedef struct knn_codes:
        const void *codes
        const float *radius
        const int32_t *order
        int64_t n
    ctypedef struct knn_code_pair:
        knn_codes sample[2]
        int width
        int is_integer
        double unit
        int64_t *n_candidates
    ctypedef struct knn_table:
        int (*knn_sorted)(const knn_job *) noexcept nogil
        int (*knn_tree)(const knn_job *) noexcept nogil
        int (*knn_direct)(const knn_job *) noexcept nogil
        int (*knn_gemm)(const knn_job *, int64_t *) noexcept nogil
        int (*knn_int8)(const knn_job *, int64_t *) noexcept nogil
        int (*knn_filter)(const knn_job *, const knn_code_pair *) noexcept nogil
        int (*knn_project)(
            const knn_sample *, const double *, double, const float *, int, int,
            double, int, stop_flag *, float *, float *
        ) noexcept nogil
        int (*knn_whole_codes)(
            const knn_sample *, const double *, double, int, int, stop_flag *,
            int16_t *, float *
        ) noexcept nogil
        int (*knn_code_levels)(int) noexcept nogil
    const knn_table *knn_table_of(int level)
    void knn_range(
        const void *values, int64_t n, int is_double, double *low, double *high
    )

SEGMENT_BYTES = 16 << 20  # of packed data in memory at a time
METRICS = {"euclidean": 0, "manhattan": 1, "chebyshev": 2}
BLOCKS = {"xx": (0, 0), "xy": (0, 1), "yy": (1, 1), "yx": (1, 0)}


cdef class _Job:
    """A job and the buffers that it points into."""

    cdef knn_job job
    cdef Py_buffer views[10]
    cdef int n_views
    cdef stop_flag stop

    def __cinit__(self):
        self.stop.ask = ask
        self.stop.told = 0
        self.job.stop = &self.stop

    cdef void *hold(self, object array, bint writable) except NULL:
        cdef int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
        if writable:
            flags |= PyBUF_WRITABLE
        PyObject_GetBuffer(array, &self.views[self.n_views], flags)
        self.n_views += 1
        return self.views[self.n_views - 1].buf

    def __dealloc__(self):
        cdef int i
        for i in range(self.n_views):
            PyBuffer_Release(&self.views[i])


cdef int _set_sample(_Job held, int which, object array) except -1:
    cdef knn_sample *sample = &held.job.sample[which]
    cdef Py_buffer *view = &held.views[held.n_views]
    sample.rows = held.hold(array, False)
    sample.n = view.shape[0]
    sample.d = <int> view.shape[1]
    sample.is_double = view.itemsize == 8
    return 0


cdef _Job _make_job(X, Y, k, blocks, metric, n_threads, scale):
    cdef _Job held = _Job()
    cdef int b = 0
    _set_sample(held, 0, X)
    if Y is None:
        held.job.sample[1] = held.job.sample[0]
    else:
        _set_sample(held, 1, Y)
    for name, distances, indices in blocks:
        held.job.block[b].origin, held.job.block[b].into = BLOCKS[name]
        held.job.block[b].distances = <double *> held.hold(distances, True)
        held.job.block[b].indices = NULL
        if indices is not None:
            held.job.block[b].indices = <int32_t *> held.hold(indices, True)
        b += 1
    held.job.n_blocks = b
    held.job.k = k
    held.job.metric = METRICS[metric]
    held.job.n_threads = n_threads
    held.job.matrix = matrix_is_lent()
    held.job.scale = scale
    held.job.segment_bytes = SEGMENT_BYTES
    return held


cdef int _check(_Job held, int status) except -1:
    raise_if(held.stop.told)
    if status == KNN_NOT_BUILT:
        raise RuntimeError(f"instruction set {current_level()!r} has no such kernel")
    if status:
        raise MemoryError("not enough memory for the neighbour search")
    return 0


def value_range(array):
    """Smallest positive and largest absolute value; (0, 0) if all are zero."""
    cdef double low = 0, high = 0
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
    try:
        knn_range(
            view.buf, view.len // view.itemsize, view.itemsize == 8, &low, &high
        )
    finally:
        PyBuffer_Release(&view)
    return low, high


def project(
    X, const double[::1] centre, double scale, const float[:, ::1] basis, int q,
    double skew, int n_threads
):
    """Coordinates of rows on a basis, the norm of the rest, and their radii.

    `basis` is (d, padded q); the padding is a multiple of 32. Returns the arrays
    (n, q + 1) and (n,), float32.
    """
    cdef _Job held = _Job()
    cdef const knn_table *table = knn_table_of(level())
    cdef int status
    _set_sample(held, 0, X)
    out = np.empty((len(X), q + 1), dtype=np.float32)
    radius = np.empty(len(X), dtype=np.float32)
    cdef float[:, ::1] out_view = out
    cdef float[::1] radius_view = radius
    with nogil:
        status = table.knn_project(
            &held.job.sample[0], &centre[0], scale, &basis[0, 0], q,
            <int> basis.shape[1], skew, n_threads, &held.stop, &out_view[0, 0],
            &radius_view[0]
        )
    _check(held, status)
    return out, radius


def code_levels(int width):
    """Largest whole-number code that products of this width can use; 0 if none."""
    return knn_table_of(level()).knn_code_levels(width)


def whole_codes(
    X, const double[::1] low, double step, int levels, float[::1] radius, int n_threads
):
    """Codes (n, d) int16 of rows, from 0 to `levels`; `radius` grows by what they lose,
    in steps.
    """
    cdef _Job held = _Job()
    cdef const knn_table *table = knn_table_of(level())
    cdef int status
    _set_sample(held, 0, X)
    codes = np.empty((len(X), len(low)), dtype=np.int16)
    cdef int16_t[:, ::1] view = codes
    with nogil:
        status = table.knn_whole_codes(
            &held.job.sample[0], &low[0], step, levels, n_threads, &held.stop,
            &view[0, 0], &radius[0]
        )
    _check(held, status)
    return codes


def search_filtered(
    X, Y, k, blocks, n_threads, codes_x, codes_y, const float[::1] radius_x,
    const float[::1] radius_y, double unit, order_x=None, order_y=None
):
    """Fill `blocks` like `search`, measuring only what the codes cannot rule out.

    `codes_x` and `codes_y` are both float32 or both int16 of one width, with `unit`
    code units to one unit of the data; radii are in code units. `order_x`,
    `order_y` (int32): in which order to query; close rows in a row share cache.
    Returns the number of exact measurements in each block.
    """
    cdef _Job held = _make_job(X, Y, k, blocks, "euclidean", n_threads, 1.0)
    cdef _Job views = _Job()
    cdef const knn_table *table = knn_table_of(level())
    cdef knn_code_pair filter
    cdef int64_t[4] candidates
    cdef int status
    filter.sample[0].codes = views.hold(codes_x, False)
    filter.sample[1].codes = views.hold(codes_y, False)
    filter.sample[0].n = views.views[0].shape[0]
    filter.sample[1].n = views.views[1].shape[0]
    filter.sample[0].radius = &radius_x[0]
    filter.sample[1].radius = &radius_y[0]
    filter.width = <int> views.views[0].shape[1]
    filter.is_integer = views.views[0].itemsize == 2
    filter.unit = unit
    filter.sample[0].order = filter.sample[1].order = NULL
    if order_x is not None:
        filter.sample[0].order = <const int32_t *> views.hold(order_x, False)
    if order_y is not None:
        filter.sample[1].order = <const int32_t *> views.hold(order_y, False)
    filter.n_candidates = candidates
    with nogil:
        status = table.knn_filter(&held.job, &filter)
    _check(held, status)
    return [candidates[i] for i in range(len(blocks))]


def search(
    algorithm, X, Y, k, blocks, metric="euclidean", n_threads=1, double scale=1.0
):
    """Fill `blocks`, a list of (name, distances, indices or None), by one algorithm.

    Returns the number of exact measurements for "gemm" and "int8", else 0.
    """
    cdef _Job held = _make_job(X, Y, k, blocks, metric, n_threads, scale)
    cdef const knn_table *table = knn_table_of(level())
    cdef int64_t candidates = 0
    cdef int status
    if algorithm == "sorted":
        with nogil:
            status = table.knn_sorted(&held.job)
    elif algorithm == "tree":
        with nogil:
            status = table.knn_tree(&held.job)
    elif algorithm == "gemm":
        with nogil:
            status = table.knn_gemm(&held.job, &candidates)
    elif algorithm == "int8":
        with nogil:
            status = table.knn_int8(&held.job, &candidates)
    else:
        with nogil:
            status = table.knn_direct(&held.job)
    _check(held, status)
    return candidates
