/* Rows in balls around other rows, by direct float64 distances.
 *
 * Squares of a block of rows are taken side by side; they decide, unless the distance is
 * within rounding of the radius or squares overflow or vanish. Then the distance itself
 * does, which is measured in units of its largest part where it must be.
 */
#ifndef KLDIV_DISTANCES_H
#define KLDIV_DISTANCES_H

#include "base.h"
#include "isa.h"
#include "stop.h"

#include <stdint.h>

#define BALL_ROWS 32    /* rows of the data that are measured side by side */
#define BALL_QUERIES 64 /* queries that they are measured against while in cache */

/* Rows of `data` within radii[i] of query i, and the largest of their distances; `skip` is
 * the row of the data that is query 0, or far below 0. Returns whether memory lacks. */
#define DISTANCES_FUNCTIONS(X)                                                   \
    X(int, rows_in_balls,                                                        \
        (const void *queries, int64_t n, const void *data, int64_t m, int64_t d, \
            int is_double, const double *radii, int64_t skip, int64_t *counts,   \
            double *largest, stop_flag *stop))

typedef struct {
    DISTANCES_FUNCTIONS(ISA_POINTER)
} distances_table;

const distances_table *distances_table_of(int level);

#ifdef KLDIV_ISA
DISTANCES_FUNCTIONS(ISA_DECLARE)
#endif

#endif
