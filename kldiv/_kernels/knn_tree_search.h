/* k-d trees: the compiled cases of a search, and the job. */
#ifndef KLDIV_KNN_TREE_SEARCH_H
#define KLDIV_KNN_TREE_SEARCH_H

#include "knn_tree_block.h"

#define SEARCH_ARGS                                                  \
    const knn_job *job, const knn_block *block, const kd_tree *from, \
        const kd_tree *into, int64_t first, int64_t last, leaf_lists *found
#define SEARCH_LOOP(D, K, COLLECT, METRIC, LEAF)                              \
    for (int64_t b = first; b < last && (b % 16 || !stopped(job->stop)); b++) \
    search_block(D, K, COLLECT, METRIC, LEAF, job, block, from, into, b, found)
#define SEARCH_CASES(D, COLLECT, METRIC, LEAF)    \
    if (k == 1)                                   \
        SEARCH_LOOP(D, 1, COLLECT, METRIC, LEAF); \
    else if (k <= 3)                              \
        SEARCH_LOOP(D, 3, COLLECT, METRIC, LEAF); \
    else if (k <= 5)                              \
        SEARCH_LOOP(D, 5, COLLECT, METRIC, LEAF); \
    else if (k <= 8)                              \
        SEARCH_LOOP(D, 8, COLLECT, METRIC, LEAF); \
    else                                          \
        SEARCH_LOOP(D, 16, COLLECT, METRIC, LEAF)

static void search_collect(SEARCH_ARGS)
{
    int k = job->k;
    if (k > MAX_CHAIN)
        SEARCH_LOOP(0, 0, 1, METRIC_EUCLIDEAN, 32);
    else if (k <= 5)
        SEARCH_LOOP(0, 5, 1, METRIC_EUCLIDEAN, 32);
    else
        SEARCH_LOOP(0, 16, 1, METRIC_EUCLIDEAN, 32);
}

#ifndef TREE_IS_FLOAT
static void search_values_2(SEARCH_ARGS)
{
    int k = job->k;
    SEARCH_CASES(2, 0, METRIC_EUCLIDEAN, 16);
}
static void search_values_3(SEARCH_ARGS)
{
    int k = job->k;
    SEARCH_CASES(3, 0, METRIC_EUCLIDEAN, 16);
}
static void search_values_4(SEARCH_ARGS)
{
    int k = job->k;
    SEARCH_CASES(4, 0, METRIC_EUCLIDEAN, 32);
}
static void search_values_5(SEARCH_ARGS)
{
    int k = job->k;
    SEARCH_CASES(5, 0, METRIC_EUCLIDEAN, 32);
}
static void search_values(SEARCH_ARGS)
{
    int k = job->k;
    SEARCH_CASES(0, 0, METRIC_EUCLIDEAN, 32);
}
static void search_manhattan(SEARCH_ARGS)
{
    SEARCH_LOOP(0, 0, 1, METRIC_MANHATTAN, 32);
}
static void search_chebyshev(SEARCH_ARGS)
{
    SEARCH_LOOP(0, 0, 1, METRIC_CHEBYSHEV, 32);
}
#endif

static int collects(const knn_job *job, const knn_block *block)
{
    return WIDEN > 0 || job->metric != METRIC_EUCLIDEAN || job->k > MAX_CHAIN
        || block->indices != NULL;
}

#ifdef TREE_IS_FLOAT
static void search(SEARCH_ARGS)
{
    search_collect(job, block, from, into, first, last, found);
}
#else
static void search(SEARCH_ARGS)
{
    if (job->metric == METRIC_MANHATTAN)
        search_manhattan(job, block, from, into, first, last, found);
    else if (job->metric == METRIC_CHEBYSHEV)
        search_chebyshev(job, block, from, into, first, last, found);
    else if (collects(job, block))
        search_collect(job, block, from, into, first, last, found);
    else if (from->d == 2)
        search_values_2(job, block, from, into, first, last, found);
    else if (from->d == 3)
        search_values_3(job, block, from, into, first, last, found);
    else if (from->d == 4)
        search_values_4(job, block, from, into, first, last, found);
    else if (from->d == 5)
        search_values_5(job, block, from, into, first, last, found);
    else
        search_values(job, block, from, into, first, last, found);
}
#endif

static int lists_make(leaf_lists *f, const knn_job *job)
{
    memset(f, 0, sizeof *f);
    f->k = job->k;
    f->room = 2 * job->k + APPEND_ROOM;
    size_t cells = (size_t)MAX_LEAF * (size_t)f->room;
    f->value = allocate(cells, sizeof(REAL));
    f->position = allocate(cells, sizeof(int32_t));
    f->best = allocate((size_t)job->k, sizeof(double));
    f->best_index = allocate((size_t)job->k, sizeof(int32_t));
    f->queries = allocate((size_t)job->sample[0].d * MAX_LEAF, sizeof(REAL));
    return f->value && f->position && f->best && f->best_index && f->queries
        ? KNN_OK
        : KNN_NO_MEMORY;
}

static void lists_free(leaf_lists *f)
{
    release(f->value);
    release(f->position);
    release(f->best);
    release(f->best_index);
    release(f->queries);
}

static int search_all(const knn_job *job, const knn_block *block, const kd_tree *from,
    const kd_tree *into)
{
    int status = KNN_OK, threads = job->n_threads;
    int64_t chunk = from->n_leaves / (16 * threads) + 1;
    int64_t chunks = (from->n_leaves + chunk - 1) / chunk;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status)
    {
        leaf_lists found;
        status |= lists_make(&found, job);
#pragma omp for schedule(dynamic, 1)
        for (int64_t c = 0; c < chunks; c++) {
            int64_t last = (c + 1) * chunk;
            if (status == KNN_OK && !job->stop->told)
                search(job, block, from, into, c * chunk,
                    last < from->n_leaves ? last : from->n_leaves, &found);
        }
        lists_free(&found);
    }
    return status;
}

/* Rows in the tree's number type, scaled by a power of two; NULL if there is no memory. */
static const REAL *rows_of(const knn_sample *s, double scale, REAL **copy)
{
    *copy = NULL;
    if (s->is_double == (sizeof(REAL) == 8) && scale == 1)
        return s->rows;
    int64_t cells = s->n * s->d;
    REAL *rows = *copy = allocate((size_t)cells, sizeof(REAL));
    if (!rows)
        return NULL;
    if (s->is_double)
        for (int64_t i = 0; i < cells; i++)
            rows[i] = (REAL)(((const double *)s->rows)[i] * scale);
    else
        for (int64_t i = 0; i < cells; i++)
            rows[i] = (REAL)(((const float *)s->rows)[i] * scale);
    return rows;
}

static int tree_job(const knn_job *job)
{
    kd_tree tree[2];
    REAL *copy[2] = {NULL, NULL};
    int used[2] = {0, 0}, status = KNN_OK, small = 1;
    memset(tree, 0, sizeof tree);
    for (int b = 0; b < job->n_blocks; b++) {
        used[job->block[b].from] = used[job->block[b].into] = 1;
        if (collects(job, &job->block[b]))
            small = 0;
    }
    if (job->sample[0].d != 2 && job->sample[0].d != 3)
        small = 0;
#pragma omp parallel for schedule(dynamic, 1)                                 \
    num_threads(job->n_threads) if (job->n_threads > 1 && used[0] && used[1]) \
    reduction(| : status)
    for (int s = 0; s < 2; s++) {
        if (!used[s])
            continue;
        const REAL *rows = rows_of(&job->sample[s], job->scale, &copy[s]);
        tree[s].stop = job->stop;
        status |= rows ? tree_make(&tree[s], rows, job->sample[s].n, job->sample[s].d,
                             small ? 16 : 32)
                       : KNN_NO_MEMORY;
    }
    for (int b = 0; b < job->n_blocks && status == KNN_OK; b++)
        status = search_all(
            job, &job->block[b], &tree[job->block[b].from], &tree[job->block[b].into]);
    for (int s = 0; s < 2; s++) {
        tree_free(&tree[s]);
        release(copy[s]);
    }
    return status;
}

#endif
