/* What the Kolmogorov-Smirnov kernels share, and their table per instruction set. */
#ifndef KLDIV_KS_H
#define KLDIV_KS_H

#include "base.h"
#include "isa.h"
#include "stop.h"

/* Extremes of F_x - F_y over one column. */
typedef struct {
    int64_t n, m;            /* sizes of X and Y */
    int above, below;        /* which of F_x - F_y and F_y - F_x are searched */
    double bar;              /* largest gap seen so far, at a point or an edge */
    double high, low;        /* extremes of F_x - F_y */
    double high_at, low_at;  /* where */
    int high_in_x, low_in_x; /* whether a row of X lies there */
} ks_gap;

/* Room for the values that are looked at more closely. */
typedef struct {
    double *value;
    uint8_t *in_x;
    int32_t *bucket;
    int32_t *start;
    int64_t *count; /* two per bucket; X in the high half, Y in the low half */
    double *level;  /* the value of a bucket that holds only one */
} ks_space;

int64_t ks_bucket_count(int64_t size);
int ks_space_make(ks_space *space, int64_t size); /* -1 when memory runs out */
void ks_space_free(ks_space *space);

#define KS_FUNCTIONS(X)                                                            \
    X(int, ks_segment,                                                             \
        (ks_gap *, double *value, uint8_t *in_x, int64_t size, ks_space *))        \
    X(double, ks_exact_equal, (int64_t n, int64_t h, int two_sided))               \
    X(double, ks_exact_lattice,                                                    \
        (int64_t n, int64_t m, int64_t n1, int64_t m1, int64_t h, int two_sided,   \
            double *row))                                                          \
    X(void, ks_one_sided_sf,                                                       \
        (const double *statistic, int64_t size, const double *log_factorial,       \
            int64_t n, double *pvalue))                                            \
    X(double, ks_durbin_cdf, (double x, int64_t n))                                \
    X(void, ks_relabel,                                                            \
        (uint8_t *labels, int64_t rows, int64_t n, const uint64_t *seed))          \
    X(void, ks_scan,                                                               \
        (const int32_t *order, const uint8_t *last, int64_t rows,                  \
            const uint8_t *labels, int64_t up, int64_t down, int64_t multiple,     \
            int side, int64_t *best))                                              \
    X(void, ks_plane32,                                                            \
        (const int32_t *first, const uint8_t *last, const int32_t *second,         \
            int64_t rows, int64_t ranks, const uint8_t *labels, int64_t up,        \
            int64_t down, int32_t *tree, int32_t *below, int64_t *best_x,          \
            int64_t *best_y, stop_flag *))                                         \
    X(void, ks_plane64,                                                            \
        (const int32_t *first, const uint8_t *last, const int32_t *second,         \
            int64_t rows, int64_t ranks, const uint8_t *labels, int64_t up,        \
            int64_t down, int64_t *tree, int64_t *below, int64_t *best_x,          \
            int64_t *best_y, stop_flag *))                                         \
    X(void, ks_rows,                                                               \
        (const int32_t *row, const int32_t *before, const int32_t *after,          \
            const uint8_t *last, int64_t size, const uint8_t *labels, int64_t m,   \
            int64_t *gap))                                                         \
    X(void, ks_orthants,                                                           \
        (const int32_t *rank, int64_t rows, int d, const uint64_t *label,          \
            int64_t lanes, int64_t up, int64_t down, uint64_t *set, uint8_t *flag, \
            int64_t *best_x, int64_t *best_y, stop_flag *))

typedef struct {
    KS_FUNCTIONS(ISA_POINTER)
} ks_table;

const ks_table *ks_table_of(int level);

#ifdef KLDIV_ISA
KS_FUNCTIONS(ISA_DECLARE)
#endif

#endif
