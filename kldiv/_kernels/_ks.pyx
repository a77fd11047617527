"""Kolmogorov-Smirnov kernels: gaps between distribution functions, relabellings."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, malloc

from kldiv._kernels._isa cimport level
from kldiv._kernels._stop cimport ask, raise_if

ctypedef fused real:
    float
    double

ctypedef fused integer:
    int32_t
    int64_t

cdef extern from "ks.h" nogil:
    ctypedef struct stop_flag:
        int (*ask)() noexcept nogil
        int told
    int stopped(stop_flag *stop)
    ctypedef struct ks_gap:
        int64_t n, m
        int above, below
        double high, low, high_at, low_at
    ctypedef struct ks_space:
        pass
    int ks_space_make(ks_space *space, int64_t size)
    void ks_space_free(ks_space *space)

    ctypedef struct ks_table:
        int (*ks_segment)(
            ks_gap *gap, double *value, uint8_t *in_x, int64_t size, ks_space *space
        ) noexcept nogil
        double (*ks_exact_equal)(int64_t n, int64_t h, int two_sided) noexcept nogil
        double (*ks_exact_lattice)(
            int64_t n, int64_t m, int64_t n1, int64_t m1, int64_t h, int two_sided,
            double *row
        ) noexcept nogil
        void (*ks_one_sided_sf)(
            const double *statistic, int64_t size, const double *log_factorial,
            int64_t n, double *pvalue
        ) noexcept nogil
        double (*ks_durbin_cdf)(double x, int64_t n) noexcept nogil
        void (*ks_relabel)(
            uint8_t *labels, int64_t rows, int64_t n, const uint64_t *seed
        ) noexcept nogil
        void (*ks_scan)(
            const int32_t *order, const uint8_t *last, int64_t rows,
            const uint8_t *labels, int64_t up, int64_t down, int64_t multiple,
            int side, int64_t *best
        ) noexcept nogil
        void (*ks_plane32)(
            const int32_t *first, const uint8_t *last, const int32_t *second,
            int64_t rows, int64_t ranks, const uint8_t *labels, int64_t up,
            int64_t down, int32_t *tree, int32_t *below, int64_t *best_x,
            int64_t *best_y, stop_flag *stop
        ) noexcept nogil
        void (*ks_plane64)(
            const int32_t *first, const uint8_t *last, const int32_t *second,
            int64_t rows, int64_t ranks, const uint8_t *labels, int64_t up,
            int64_t down, int64_t *tree, int64_t *below, int64_t *best_x,
            int64_t *best_y, stop_flag *stop
        ) noexcept nogil
        void (*ks_rows)(
            const int32_t *row, const int32_t *before, const int32_t *after,
            const uint8_t *last, int64_t size, const uint8_t *labels, int64_t m,
            int64_t *gap
        ) noexcept nogil
        void (*ks_orthants)(
            const int32_t *rank, int64_t rows, int d, const uint64_t *label,
            int64_t lanes, int64_t up, int64_t down, uint64_t *set, uint8_t *flag,
            int64_t *best_x, int64_t *best_y, stop_flag *stop
        ) noexcept nogil
    const ks_table *ks_table_of(int level)


cdef inline stop_flag question() noexcept nogil:
    cdef stop_flag stop
    stop.ask, stop.told = ask, 0
    return stop


cdef inline const ks_table *table() noexcept nogil:
    return ks_table_of(level())


# Columns copied together, so that rows are read a cache line at a time.
cdef int64_t BLOCK = 16


cdef void _fill_block(
    const real[:, :] X, int64_t column, int64_t width, int64_t size, double *value
) noexcept nogil:
    """Copy columns to contiguous doubles, eight rows at a time."""
    cdef int64_t first, row, last, k
    first = 0
    while first < X.shape[0]:
        last = min(first + 8, X.shape[0])
        for k in range(width):
            for row in range(first, last):
                value[k * size + row] = X[row, column + k]
        first += 8


def column_gaps(
    const real[:, :] X, const real[:, :] Y, bint above, bint below,
    double[::1] high, double[::1] high_at, double[::1] low, double[::1] low_at,
):
    """Extremes of F_X - F_Y per column and where they are reached first.

    Exact for the extreme that decides; the other may be short of its value when both
    `above` and `below` are asked for.
    """
    cdef int64_t n = X.shape[0], m = Y.shape[0], d = X.shape[1], size = n + m
    cdef int64_t column, width, k, a
    cdef int failed = 0
    cdef ks_gap gap
    cdef ks_space space
    cdef double *value
    cdef uint8_t *in_x
    cdef stop_flag stop = question()
    gap.n, gap.m, gap.above, gap.below = n, m, above, below
    with nogil:
        value = <double *> malloc(BLOCK * size * sizeof(double))
        in_x = <uint8_t *> malloc(size)
        failed = ks_space_make(&space, size)
        if failed == 0 and value != NULL and in_x != NULL:
            column = 0
            while column < d and not stopped(&stop):
                width = min(BLOCK, d - column)
                _fill_block(X, column, width, size, value)
                _fill_block(Y, column, width, size, value + n)
                for k in range(width):
                    if stopped(&stop):
                        break
                    for a in range(size):
                        in_x[a] = a < n
                    failed |= table().ks_segment(
                        &gap, value + k * size, in_x, size, &space
                    )
                    high[column + k] = gap.high
                    high_at[column + k] = gap.high_at
                    low[column + k] = gap.low
                    low_at[column + k] = gap.low_at
                column += BLOCK
            ks_space_free(&space)
        else:
            failed = 1
        free(value)
        free(in_x)
    raise_if(stop.told)
    if failed:
        raise MemoryError("no room for the workspace of the column gaps")


def labelled_gaps(
    double[:, ::1] values, const uint8_t[:, ::1] labels, int64_t first, int64_t n,
    double[::1] signed_gap, double[::1] location,
):
    """Gap of row k of `values` under relabelling first + k, and where it is.

    The gap is F_X - F_Y where that is the larger side, minus F_Y - F_X otherwise. Rows
    of `values` may be reordered.
    """
    cdef int64_t lanes = values.shape[0], size = values.shape[1], lane, a
    cdef int failed = 0
    cdef ks_gap gap
    cdef ks_space space
    cdef uint8_t *in_x
    cdef stop_flag stop = question()
    gap.n, gap.m, gap.above, gap.below = n, size - n, True, True
    with nogil:
        in_x = <uint8_t *> malloc(size)
        failed = ks_space_make(&space, size)
        if failed == 0 and in_x != NULL:
            for lane in range(lanes):
                if stopped(&stop):
                    break
                for a in range(size):
                    in_x[a] = labels[a, first + lane]
                failed |= table().ks_segment(&gap, &values[lane, 0], in_x, size, &space)
                if -gap.low > gap.high:
                    signed_gap[lane] = gap.low
                    location[lane] = gap.low_at
                else:
                    signed_gap[lane] = gap.high
                    location[lane] = gap.high_at
            ks_space_free(&space)
        else:
            failed = 1
        free(in_x)
    raise_if(stop.told)
    if failed:
        raise MemoryError("no room for the workspace of the labelled gaps")


def exact_pvalues(
    const int64_t[::1] steps, int64_t n, int64_t m, int64_t divisor, bint two_sided,
    double[::1] pvalue,
):
    """P(gap >= steps / lcm(n, m)) over all orders of n + m distinct values."""
    cdef int64_t k
    cdef stop_flag stop = question()
    cdef double *row = <double *> malloc(2 * (n + 3) * sizeof(double))
    if row == NULL:
        raise MemoryError("no room for the exact distribution")
    with nogil:
        for k in range(steps.shape[0]):
            if stopped(&stop):
                break
            if steps[k] <= 0:
                pvalue[k] = 1.0
            elif n == m:
                pvalue[k] = table().ks_exact_equal(n, steps[k], two_sided)
            else:
                pvalue[k] = table().ks_exact_lattice(
                    n, m, n // divisor, m // divisor, steps[k], two_sided, row
                )
        free(row)
    raise_if(stop.told)


def one_sided_sf(
    const double[::1] statistic, const double[::1] log_factorial, double[::1] pvalue
):
    """P(D_n^+ >= x) for x in (0, 1); log_factorial holds log k! for k = 0 to n."""
    with nogil:
        table().ks_one_sided_sf(
            &statistic[0], statistic.shape[0], &log_factorial[0],
            log_factorial.shape[0] - 1, &pvalue[0],
        )


def durbin_cdf(const double[::1] statistic, int64_t n, double[::1] probability):
    """P(D_n < x) for x between 1 / n and 1 / 2."""
    cdef int64_t k
    cdef stop_flag stop = question()
    with nogil:
        for k in range(statistic.shape[0]):
            if stopped(&stop):
                break
            probability[k] = table().ks_durbin_cdf(statistic[k], n)
            if probability[k] < 0:
                with gil:
                    raise MemoryError("no room for the matrices of Durbin's formula")
    raise_if(stop.told)


def relabel(uint8_t[:, ::1] labels, int64_t n, const uint64_t[::1] seed):
    """Fill `labels` (rows, 64) with 64 random ways to call n rows X."""
    with nogil:
        table().ks_relabel(&labels[0, 0], labels.shape[0], n, &seed[0])


def scan(
    const int32_t[:, ::1] order, const uint8_t[:, ::1] last,
    const uint8_t[:, ::1] labels, int64_t up, int64_t down, int64_t multiple, int side,
    int64_t[:, ::1] best,
):
    """Largest weighted prefix sum of each row of `order` under each relabelling.

    `multiple` = lcm(n, m) bounds every sum and so chooses the width of the integers.
    """
    cdef int64_t column, rows = labels.shape[0]
    cdef stop_flag stop = question()
    with nogil:
        for column in range(order.shape[0]):
            if stopped(&stop):
                break
            table().ks_scan(
                &order[column, 0], &last[column, 0], rows, &labels[0, 0], up, down,
                multiple, side, &best[column, 0],
            )
    raise_if(stop.told)


def plane(
    const int32_t[::1] first, const uint8_t[::1] last, const int32_t[::1] second,
    int64_t ranks, const uint8_t[:, ::1] labels, int64_t up, int64_t down,
    integer[:, ::1] tree, integer[:, ::1] below, int64_t[::1] best_x,
    int64_t[::1] best_y,
):
    """Largest quadrant sums centred on rows of X and of Y, for 64 relabellings."""
    cdef stop_flag stop = question()
    with nogil:
        if integer is int32_t:
            table().ks_plane32(
                &first[0], &last[0], &second[0], labels.shape[0], ranks,
                &labels[0, 0], up, down, &tree[0, 0], &below[0, 0], &best_x[0],
                &best_y[0], &stop,
            )
        else:
            table().ks_plane64(
                &first[0], &last[0], &second[0], labels.shape[0], ranks,
                &labels[0, 0], up, down, &tree[0, 0], &below[0, 0], &best_x[0],
                &best_y[0], &stop,
            )
    raise_if(stop.told)


def orthants(
    const int32_t[:, ::1] rank, const uint64_t[:, ::1] label, int64_t up, int64_t down,
    uint64_t[:, ::1] scratch, uint8_t[::1] flag, int64_t[::1] best_x,
    int64_t[::1] best_y,
):
    """Largest orthant sums centred on rows of X and of Y; labels are packed bits."""
    cdef stop_flag stop = question()
    with nogil:
        table().ks_orthants(
            &rank[0, 0], rank.shape[1], <int> rank.shape[0], &label[0, 0],
            label.shape[0], up, down, &scratch[0, 0], &flag[0], &best_x[0], &best_y[0],
            &stop,
        )
    raise_if(stop.told)


def row_gaps(
    const int32_t[::1] row, const int32_t[::1] before, const int32_t[::1] after,
    const uint8_t[::1] last, const uint8_t[:, ::1] labels, int64_t m,
    int64_t[:, ::1] gap,
):
    """Gap of each row's coordinates to the pooled rows of Y, for 64 relabellings."""
    with nogil:
        table().ks_rows(
            &row[0], &before[0], &after[0], &last[0], row.shape[0], &labels[0, 0], m,
            &gap[0, 0],
        )
