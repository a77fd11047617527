/* One dimension: sort, then slide a window of k. */
#include "knn_rows.h"

typedef struct {
    double x;
    int32_t row;
    uint32_t key;
} point;

static int by_value(const void *a, const void *b)
{
    double x = ((const point *)a)->x, y = ((const point *)b)->x;
    return (x > y) - (x < y);
}

/* Runs of equal keys are sorted by value: by insertion if short, else by qsort. */
static void sort_runs(point *p, int64_t n)
{
    for (int64_t s = 0, e; s < n; s = e) {
        for (e = s + 1; e < n && p[e].key == p[s].key; e++) { }
        if (e - s > 16) {
            qsort(p + s, (size_t)(e - s), sizeof *p, by_value);
            continue;
        }
        for (int64_t i = s + 1; i < e; i++) {
            point moving = p[i];
            int64_t j = i;
            for (; j > s && p[j - 1].x > moving.x; j--)
                p[j] = p[j - 1];
            p[j] = moving;
        }
    }
}

/* Radix sort of a monotone linear key: fills p with rows in the order of the keys. */
static int sort_keys(const knn_sample *s, point *p)
{
    enum { BITS = 11, BUCKETS = 1 << BITS };
    int64_t n = s->n;
    uint64_t *a = allocate(2 * (size_t)n, sizeof *a), *b = a + n, *base = a;
    if (!a)
        return KNN_NO_MEMORY;
    double low = number_at(s, 0, 0), high = low;
    for (int64_t i = 1; i < n; i++) {
        double x = number_at(s, i, 0);
        low = x < low ? x : low;
        high = x > high ? x : high;
    }
    int passes = n > 200000 ? 3 : 2;
    double top = passes == 3 ? 4294967295.0 : 4194303.0;
    double factor = high > low ? top / (high - low) : 0;
    if (!(factor < 1e300))
        factor = 0;
    uint32_t start[3][BUCKETS + 1];
    memset(start, 0, sizeof start);
    for (int64_t i = 0; i < n; i++) {
        uint32_t key = factor > 0 ? (uint32_t)((number_at(s, i, 0) - low) * factor) : 0;
        a[i] = (uint64_t)key << 32 | (uint32_t)i;
        for (int r = 0; r < passes; r++)
            start[r][((key >> (BITS * r)) & (BUCKETS - 1)) + 1]++;
    }
    for (int r = 0; r < passes; r++) {
        for (int i = 0; i < BUCKETS; i++)
            start[r][i + 1] += start[r][i];
        for (int64_t i = 0; i < n; i++)
            b[start[r][(a[i] >> (32 + BITS * r)) & (BUCKETS - 1)]++] = a[i];
        uint64_t *swap = a;
        a = b;
        b = swap;
    }
    for (int64_t i = 0; i < n; i++) {
        p[i].row = (int32_t)(a[i] & 0xffffffffu);
        p[i].key = (uint32_t)(a[i] >> 32);
        p[i].x = number_at(s, p[i].row, 0);
    }
    release(base);
    return KNN_OK;
}

/* Sorted copy of a column with k sentinels at infinity on either side. */
static point *sorted_column(const knn_sample *s, int k, stop_flag *stop)
{
    point *p = allocate((size_t)(s->n + 2 * k), sizeof *p);
    if (!p || sort_keys(s, p + k) != KNN_OK || stopped(stop)) {
        release(p);
        return NULL;
    }
    sort_runs(p + k, s->n);
    for (int i = 0; i < k; i++) {
        p[i].x = -INFINITY;
        p[k + s->n + i].x = INFINITY;
    }
    return p;
}

/* Answers for the sorted queries first..last of one block: the k nearest of a query are
 * merged outwards from its place; the sentinels stand beyond the ends. */
static void sorted_block(const knn_block *block, const point *from, int64_t first,
    int64_t last, const point *into, int64_t m, int k)
{
    int self = block->from == block->into;
    int64_t at = 0, high = m;
    while (at < high) { /* first place of `into` that is not below the first query */
        int64_t mid = (at + high) / 2;
        if (into[mid].x < from[first].x)
            at = mid + 1;
        else
            high = mid;
    }
    for (int64_t i = first; i < last; i++) {
        double x = from[i].x, *out = block->distances + (int64_t)from[i].row * k;
        if (self)
            at = i;
        else
            while (at < m && into[at].x < x)
                at++;
        const point *left = into + at - 1, *right = into + at + self;
        for (int c = 0; c < k; c++) {
            double a = x - left->x, b = right->x - x;
            int take = a <= b;
            if (block->indices)
                block->indices[(int64_t)from[i].row * k + c] =
                    take ? left->row : right->row;
            out[c] = take ? a : b;
            left -= take;
            right += !take;
        }
    }
}

int ISA_NAME(knn_sorted)(const knn_job *job)
{
    point *points[2] = {NULL, NULL};
    int status = KNN_OK, threads = job->n_threads, used[2] = {0, 0};
    for (int b = 0; b < job->n_blocks; b++)
        used[job->block[b].from] = used[job->block[b].into] = 1;
#pragma omp parallel for schedule(dynamic, 1) \
    num_threads(threads) if (threads > 1 && used[0] && used[1])
    for (int s = 0; s < 2; s++)
        if (used[s])
            points[s] = sorted_column(&job->sample[s], job->k, job->stop);
    for (int s = 0; s < 2; s++)
        if (used[s] && !points[s])
            status = KNN_NO_MEMORY;
    for (int b = 0; b < job->n_blocks && status == KNN_OK; b++) {
        const knn_block *block = &job->block[b];
        const point *from = points[block->from] + job->k;
        const point *into = points[block->into] + job->k;
        int64_t n = job->sample[block->from].n, m = job->sample[block->into].n;
        int64_t chunk = n / (8 * threads) + 1, chunks = (n + chunk - 1) / chunk;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
        for (int64_t c = 0; c < chunks; c++) {
            int64_t last = (c + 1) * chunk < n ? (c + 1) * chunk : n;
            if (!stopped(job->stop))
                sorted_block(block, from, c * chunk, last, into, m, job->k);
        }
    }
    release(points[0]);
    release(points[1]);
    return status;
}
