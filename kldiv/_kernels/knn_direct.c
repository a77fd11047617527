/* Direct scan: every distance in float64. The reference, and the way for metrics that
 * nothing else handles in many dimensions. */
#include "knn_exact.h"

#define PATIENCE 512 /* rows measured between two questions whether to stop */
#define QUERIES 8    /* queries measured while one row of the data is in cache */

INLINE double manhattan(const knn_sample *s, int64_t i, const knn_sample *t, int64_t j)
{
    int d = s->d;
    double total = 0;
    if (s->is_double) {
        const double *a = (const double *)s->rows + i * d,
                     *b = (const double *)t->rows + j * d;
        for (int c = 0; c < d; c++)
            total += fabs(a[c] - b[c]);
    }
    else {
        const float *a = (const float *)s->rows + i * d,
                    *b = (const float *)t->rows + j * d;
        for (int c = 0; c < d; c++)
            total += fabs((double)a[c] - (double)b[c]);
    }
    return total;
}

INLINE double chebyshev(const knn_sample *s, int64_t i, const knn_sample *t, int64_t j)
{
    int d = s->d;
    double largest = 0;
    if (s->is_double) {
        const double *a = (const double *)s->rows + i * d,
                     *b = (const double *)t->rows + j * d;
        for (int c = 0; c < d; c++) {
            double x = fabs(a[c] - b[c]);
            largest = x > largest ? x : largest;
        }
    }
    else {
        const float *a = (const float *)s->rows + i * d,
                    *b = (const float *)t->rows + j * d;
        for (int c = 0; c < d; c++) {
            double x = fabs((double)a[c] - (double)b[c]);
            largest = x > largest ? x : largest;
        }
    }
    return largest;
}

/* Largest |a - b| tells the scale, so that squares neither overflow nor vanish. */
static double euclidean_any_range(
    const knn_sample *s, int64_t i, const knn_sample *t, int64_t j)
{
    int d = s->d;
    double largest = chebyshev(s, i, t, j), total = 0;
    if (!(largest > 0) || isinf(largest))
        return largest;
    const double *a = (const double *)s->rows + i * d,
                 *b = (const double *)t->rows + j * d;
    for (int c = 0; c < d; c++) {
        double x = (a[c] - b[c]) / largest;
        total += x * x;
    }
    return largest * sqrt(total);
}

/* job->scale == 0 asks for distances that are safe for any range of float64. */
INLINE double measure(const knn_job *job, const knn_sample *s, int64_t i,
    const knn_sample *t, int64_t j, double limit)
{
    if (job->metric == METRIC_MANHATTAN)
        return manhattan(s, i, t, j);
    if (job->metric == METRIC_CHEBYSHEV)
        return chebyshev(s, i, t, j);
    if (job->scale == 0)
        return euclidean_any_range(s, i, t, j);
    return exact_rows(s, i, t, j, limit);
}

static int direct_block(const knn_job *job, const knn_block *block)
{
    const int threads = job->n_threads;
    const knn_sample *from = &job->sample[block->from],
                     *into = &job->sample[block->into];
    int self = block->from == block->into, k = job->k, status = KNN_OK;
    int root = job->metric == METRIC_EUCLIDEAN && job->scale != 0;
    int64_t chunks = (from->n + QUERIES - 1) / QUERIES;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status)
    {
        double *best = allocate((size_t)(QUERIES * k), sizeof(double));
        int32_t *index = allocate((size_t)(QUERIES * k), sizeof(int32_t));
        if (!best || !index)
            status = KNN_NO_MEMORY;
#pragma omp for schedule(dynamic, 4)
        for (int64_t c = 0; c < chunks; c++) {
            int count[QUERIES] = {0};
            int64_t first = c * QUERIES;
            int rows = (int)(from->n - first < QUERIES ? from->n - first : QUERIES);
            if (status != KNN_OK)
                continue;
            for (int64_t j = 0; j < into->n; j++) {
                if (j % PATIENCE == 0 && stopped(job->stop))
                    break;
                for (int q = 0; q < rows; q++) {
                    if (self && first + q == j)
                        continue;
                    double limit = count[q] == k ? best[q * k + k - 1] : INFINITY;
                    double v = measure(job, from, first + q, into, j, limit);
                    keep_smallest(
                        best + q * k, index + q * k, &count[q], k, v, (int32_t)j);
                }
            }
            for (int q = 0; q < rows; q++)
                for (int i = 0; i < k; i++) {
                    double v = best[q * k + i];
                    block->distances[(first + q) * k + i] = root ? sqrt(v) : v;
                    if (block->indices)
                        block->indices[(first + q) * k + i] = index[q * k + i];
                }
        }
        release(best);
        release(index);
    }
    return status;
}

int ISA_NAME(knn_direct)(const knn_job *job)
{
    for (int b = 0; b < job->n_blocks; b++)
        if (direct_block(job, &job->block[b]) != KNN_OK)
            return KNN_NO_MEMORY;
    return KNN_OK;
}
