/* What the neighbour kernels share: the job, the table of functions per instruction set,
 * and the exact float64 measurement of one distance. */
#ifndef KLDIV_KNN_H
#define KLDIV_KNN_H

#include "isa.h"
#include "stop.h"

#include <stddef.h>
#include <stdint.h>

enum { METRIC_EUCLIDEAN = 0, METRIC_MANHATTAN = 1, METRIC_CHEBYSHEV = 2 };
/* A kernel that was told to stop returns anything: whoever told it knows. */
enum { KNN_OK = 0, KNN_NO_MEMORY = 1, KNN_NOT_BUILT = 2, KNN_STOPPED = 4 };

/* One sample: n rows of d numbers, row major, float32 or float64. */
typedef struct {
    const void *rows;
    int64_t n;
    int d;
    int is_double;
} knn_sample;

/* One block of answers: queries `from`, data `into` (0 = X, 1 = Y). distances is
 * (n, k), indices is (n, k) or NULL. Self is excluded by index when from == into. */
typedef struct {
    int from, into;
    double *distances;
    int32_t *indices;
} knn_block;

typedef struct {
    knn_sample sample[2];
    knn_block block[4];
    int n_blocks;
    int k;
    int metric;
    int n_threads;
    int matrix;   /* whether byte products may use the matrix registers of AMX */
    double scale; /* power of two that brings the data near 1 */
    int64_t segment_bytes; /* of packed data in memory at a time, for gemm and int8 */
    stop_flag *stop;
} knn_job;

/* Row codes of the filter (precision.rst, "Projection" and "Bytes"). */
typedef struct {
    const void *codes;    /* (n, width) float32, or int16 from 0 to the levels */
    const float *radius;  /* (n,) bound on |f(x) - code(x)| in code units */
    const int32_t *order; /* (n,) in which order to query, or NULL */
    int64_t n;
} knn_codes;

typedef struct {
    knn_codes sample[2];
    int width;
    int is_integer;
    double unit;           /* code units per unit of the data */
    int64_t *n_candidates; /* (n_blocks,) exact measurements made, or NULL */
} knn_code_pair;

#define KNN_FUNCTIONS(X)                                                              \
    X(int, knn_sorted, (const knn_job *))                                             \
    X(int, knn_tree, (const knn_job *))                                               \
    X(int, knn_direct, (const knn_job *))                                             \
    X(int, knn_gemm, (const knn_job *, int64_t *n_candidates))                        \
    X(int, knn_project,                                                               \
        (const knn_sample *, const double *centre, double scale, const float *basis,  \
            int q, int q_padded, double skew, int threads, stop_flag *, float *out,   \
            float *radius))                                                           \
    X(int, knn_whole_codes,                                                           \
        (const knn_sample *, const double *low, double step, int levels, int threads, \
            stop_flag *, int16_t *codes, float *radius))
#define KNN_BYTE_FUNCTIONS(X)                                  \
    X(int, knn_code_levels, (int width))                       \
    X(int, knn_int8, (const knn_job *, int64_t *n_candidates)) \
    X(int, knn_filter, (const knn_job *, const knn_code_pair *))

typedef struct {
    KNN_FUNCTIONS(ISA_POINTER)
    KNN_BYTE_FUNCTIONS(ISA_POINTER)
} knn_table;

const knn_table *knn_table_of(int level);
void knn_range(const void *values, int64_t n, int is_double, double *low, double *high);

#ifdef KLDIV_ISA
KNN_FUNCTIONS(ISA_DECLARE)
KNN_BYTE_FUNCTIONS(ISA_DECLARE)
int ISA_NAME(knn_tree_double)(const knn_job *);
int ISA_NAME(knn_tree_float)(const knn_job *);
#endif

#endif
