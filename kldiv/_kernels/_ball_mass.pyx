"""Log mass that Gaussians and their mixtures give to balls; see ball_mass.h."""

from cython.parallel cimport prange
from libc.stdint cimport int64_t

from kldiv._kernels._isa cimport level
from kldiv._kernels._stop cimport ask, raise_if

cdef extern from "stop.h" nogil:
    ctypedef struct stop_flag:
        int (*ask)() noexcept nogil
        int told
    int stopped(stop_flag *stop)

cdef extern from "ball_mass.h" nogil:
    int BALL_MOST_COMPONENTS
    ctypedef struct ball_table:
        void (*ball_log_masses)(
            const double *squared_offsets, const double *eigenvalues, int64_t n, int d,
            const double *squared_radii, double *out
        ) noexcept nogil
        void (*ball_mixture)(
            double *projections, const double *shifts, const double *eigenvalues,
            const double *log_weights, int64_t n, int c, int d, int width,
            const double *squared_radii, double *density, double *mass
        ) noexcept nogil
    const ball_table *ball_table_of(int level)

cdef Py_ssize_t BLOCK = 64
MOST_COMPONENTS = BALL_MOST_COMPONENTS


def log_ball_mass(
    const double[:, ::1] squared_offsets,
    const double[::1] eigenvalues,
    const double[::1] squared_radii,
    double[::1] out,
    int n_threads,
):
    """Fill out[i] with the log mass that a Gaussian gives to ball i.

    squared_offsets[i, j] is the squared distance of centre i from the mean along
    eigenvector j. Rows are independent, so the result does not depend on n_threads.
    """
    cdef const ball_table *table = ball_table_of(level())
    cdef Py_ssize_t i, n = squared_offsets.shape[0]
    cdef int d = <int>squared_offsets.shape[1]
    cdef stop_flag stop
    stop.ask, stop.told = ask, 0
    for i in prange(
        (n + BLOCK - 1) // BLOCK, nogil=True, num_threads=n_threads, schedule="static"
    ):
        if stopped(&stop):
            continue
        table.ball_log_masses(
            &squared_offsets[i * BLOCK, 0], &eigenvalues[0],
            min(BLOCK, n - i * BLOCK), d, &squared_radii[i * BLOCK], &out[i * BLOCK]
        )
    raise_if(stop.told)


def mixture_balls(
    double[:, :, ::1] projections,
    const double[:, ::1] shifts,
    const double[:, ::1] eigenvalues,
    const double[::1] log_weights,
    const double[::1] squared_radii,
    double[::1] density,
    double[::1] mass,
    int d,
    int n_threads,
):
    """Fill density and mass with the logs of a mixture's density at each row and of the
    mass of the ball around it.

    projections[i, c, j] is the coordinate of row i along eigenvector j of component c,
    shifts[c, j] that of the component's mean. From j = d on all are zero, eigenvalues
    too: lanes that are filled cost less than a remainder. Overwrites projections.
    """
    cdef const ball_table *table = ball_table_of(level())
    cdef Py_ssize_t i, n = projections.shape[0]
    cdef int c = <int>projections.shape[1], width = <int>projections.shape[2]
    cdef stop_flag stop
    stop.ask, stop.told = ask, 0
    for i in prange(
        (n + BLOCK - 1) // BLOCK, nogil=True, num_threads=n_threads, schedule="static"
    ):
        if stopped(&stop):
            continue
        table.ball_mixture(
            &projections[i * BLOCK, 0, 0], &shifts[0, 0], &eigenvalues[0, 0],
            &log_weights[0], min(BLOCK, n - i * BLOCK), c, d, width,
            &squared_radii[i * BLOCK], &density[i * BLOCK], &mass[i * BLOCK]
        )
    raise_if(stop.told)
