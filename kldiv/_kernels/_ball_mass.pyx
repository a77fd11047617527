"""Log mass that a Gaussian gives to balls, by saddlepoint; see ball_mass.h."""

from cython.parallel cimport prange

cdef extern from "ball_mass.h" nogil:
    double kldiv_log_ball_mass(
        const double *b2, const double *lam, int d, double lam_max, double s
    )


def log_ball_mass(
    const double[:, ::1] squared_offsets,
    const double[::1] eigenvalues,
    const double[::1] squared_radii,
    double[::1] out,
    int n_threads,
):
    """Fill out[i] with the log mass of ball i.

    squared_offsets[i, j] is the squared distance of centre i from the mean along
    eigenvector j. Rows are independent, so the result does not depend on n_threads.
    """
    cdef Py_ssize_t i, n = squared_offsets.shape[0]
    cdef int j, d = <int>squared_offsets.shape[1]
    cdef double largest = 0.0
    for j in range(d):
        largest = max(largest, eigenvalues[j])
    for i in prange(n, nogil=True, num_threads=n_threads, schedule="static"):
        out[i] = kldiv_log_ball_mass(
            &squared_offsets[i, 0], &eigenvalues[0], d, largest, squared_radii[i]
        )
