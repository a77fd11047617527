/* Balls block by block, compiled once per instruction set. */
#include "distances.h"
#include "simd.h"

#include <math.h>

/* Sums of squares between these have lost nothing that counts to overflow or underflow. */
#define SMALLEST_SQUARE 1e-280
#define LARGEST_SQUARE 1e300
/* Share of the square of a radius that no rounding takes across it. */
#define EDGE 1e-9

#define VECTORS (BALL_ROWS / DW)

INLINE double number(const void *rows, int is_double, int64_t i)
{
    return is_double ? ((const double *)rows)[i] : (double)((const float *)rows)[i];
}

/* The distance where squares overflow or vanish: in units of the largest part. */
static double careful_distance(const double *query, const double *column, int64_t d)
{
    double largest = 0, total = 0;
    for (int64_t c = 0; c < d; c++)
        largest = fmax(largest, fabs(query[c] - column[c * BALL_ROWS]));
    if (largest == 0 || isinf(largest))
        return largest;
    for (int64_t c = 0; c < d; c++) {
        const double part = (query[c] - column[c * BALL_ROWS]) / largest;
        total += part * part;
    }
    return largest * sqrt(total);
}

static void squared_distances(
    const double *query, const double *columns, int64_t d, double *squares)
{
    vd sums[VECTORS];
    EACH(v, VECTORS)
        sums[v] = vd_set(0);
    for (int64_t c = 0; c < d; c++) {
        const vd at = vd_set(query[c]);
        EACH(v, VECTORS) {
            const vd apart = vd_sub(at, vd_load(columns + c * BALL_ROWS + v * DW));
            sums[v] = vd_add(sums[v], vd_mul(apart, apart));
        }
    }
    EACH(v, VECTORS)
        vd_store(squares + v * DW, sums[v]);
}

/* Counts the rows of a block that `left` has a bit for, given their squares; `top` is the
 * largest square so far of those clearly inside, `farthest` the largest distance of the
 * others. */
static int64_t count_inside(const double *query, const double *columns, int64_t d,
    uint64_t left, const double *squares, double radius, double *top, double *farthest)
{
    const double inside = radius * radius * (1 - EDGE),
                 outside = radius * radius * (1 + EDGE);
    int64_t count = 0;
    if (inside > SMALLEST_SQUARE && outside < LARGEST_SQUARE) {
        uint64_t is_in = 0, is_out = 0;
        EACH(v, VECTORS) {
            const vd at = vd_load(squares + v * DW);
            const unsigned safe = vd_less(vd_set(SMALLEST_SQUARE), at)
                & vd_less(at, vd_set(LARGEST_SQUARE));
            is_in |= (uint64_t)(safe & vd_less(at, vd_set(inside))) << (v * DW);
            is_out |= (uint64_t)(safe & vd_less(vd_set(outside), at)) << (v * DW);
        }
        is_in &= left;
        left &= ~(is_in | is_out);
        for (uint64_t bits = is_in; bits; bits &= bits - 1) {
            const double square = squares[lowest_bit((unsigned)bits)];
            *top = square > *top ? square : *top;
        }
        count += count_bits(is_in);
    }
    for (; left; left &= left - 1) {
        const int i = lowest_bit((unsigned)left);
        const int safe = squares[i] > SMALLEST_SQUARE && squares[i] < LARGEST_SQUARE;
        const double distance =
            safe ? sqrt(squares[i]) : careful_distance(query, columns + i, d);
        if (distance <= radius) {
            count++;
            *farthest = fmax(*farthest, distance);
        }
    }
    return count;
}

int ISA_NAME(rows_in_balls)(const void *queries, int64_t n, const void *data, int64_t m,
    int64_t d, int is_double, const double *radii, int64_t skip, int64_t *counts,
    double *largest, stop_flag *stop)
{
    double top[BALL_QUERIES] = {0};
    double *columns = allocate((size_t)d * BALL_ROWS, sizeof(double));
    double *from = allocate((size_t)(d * n), sizeof(double));
    const int lacking = !columns || !from;
    if (lacking)
        m = n = 0;
    for (int64_t i = 0; i < n * d; i++)
        from[i] = number(queries, is_double, i);
    for (int64_t q = 0; q < n; q++) {
        counts[q] = 0;
        largest[q] = 0;
    }
    for (int64_t first = 0; first < m && !stopped(stop); first += BALL_ROWS) {
        const int rows = (int)(m - first < BALL_ROWS ? m - first : BALL_ROWS);
        for (int64_t c = 0; c < d; c++)
            for (int i = 0; i < BALL_ROWS; i++)
                columns[c * BALL_ROWS + i] =
                    i < rows ? number(data, is_double, (first + i) * d + c) : 0;
        for (int64_t q = 0; q < n; q++) {
            double squares[BALL_ROWS];
            uint64_t left = ((uint64_t)1 << rows) - 1;
            const int64_t self = skip + q - first;
            if (self >= 0 && self < rows)
                left &= ~((uint64_t)1 << self);
            squared_distances(from + q * d, columns, d, squares);
            counts[q] += count_inside(from + q * d, columns, d, left, squares, radii[q],
                &top[q], &largest[q]);
        }
    }
    for (int64_t q = 0; q < n; q++)
        largest[q] = fmax(largest[q], sqrt(top[q]));
    release(columns);
    release(from);
    return lacking;
}
