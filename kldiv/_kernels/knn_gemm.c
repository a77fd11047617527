/* Brute force through one fused product: tiles of |x|^2 + |y|^2 - 2xy in float32 choose
 * candidates, float64 measures them. No tile is ever written to memory, and inside one
 * sample a tile serves its rows and its columns. The bound S on the error of a tile entry
 * is derived in docs/user_guide/precision.rst, "Fused product". */
#include "knn_gemm_tile.h"

/* A row with too many near ties: scan the data in float64, skipping rows that repeat k
 * earlier ones, and stop once k zeros are found. */
static int64_t scan_alone(const knn_sample *from, int64_t i, const knn_sample *into,
    int self, int k, const uint8_t *surplus, double *best, int32_t *index)
{
    int count = 0;
    int64_t measured = 0;
    for (int64_t j = 0; j < into->n; j++) {
        if ((self && i == j) || (surplus && surplus[j]))
            continue;
        double limit = count == k ? best[k - 1] : INFINITY;
        if (limit == 0)
            break;
        keep_smallest(
            best, index, &count, k, exact_rows(from, i, into, j, limit), (int32_t)j);
        measured++;
    }
    return measured;
}

static int64_t finish_row(const knn_job *job, const knn_block *block, row_lists *f,
    int64_t i, const uint8_t *surplus, double *best, int32_t *index)
{
    const knn_sample *from = &job->sample[block->from],
                     *into = &job->sample[block->into];
    int k = job->k, count = 0, self = block->from == block->into;
    int64_t measured = f->count[i];
    if (f->count[i] >= 0 && k > MAX_LIST)
        compact(f, f->slack, i);
    if (f->count[i] < 0)
        measured = scan_alone(from, i, into, self, k, surplus, best, index);
    else
        for (int at = 0; at < f->count[i]; at++) {
            candidate c = f->candidates[i * f->room + at];
            if (c.value > f->limit[i])
                continue;
            double limit = count == k ? best[k - 1] : INFINITY;
            keep_smallest(best, index, &count, k,
                exact_rows(from, i, into, c.index, limit), c.index);
        }
    for (int c = 0; c < k; c++) {
        block->distances[i * k + c] = sqrt(best[c]);
        if (block->indices)
            block->indices[i * k + c] = index[c];
    }
    return measured;
}

/* surplus[j] = 1 if row j can change no distance. NULL if there is no memory: only
 * slower. */
static uint8_t *surplus_rows(const knn_sample *s, int k, stop_flag *stop)
{
    row_repeats repeats;
    uint8_t *surplus = allocate((size_t)s->n, 1);
    if (repeats_make(&repeats, s->n) == KNN_OK && surplus) {
        repeats_begin(&repeats);
        for (int64_t i = 0; i < s->n && !stopped(stop); i++) {
            repeats.hash[i] = hash_bytes(row_at(s, i), row_size(s));
            surplus[i] = repeats_count(&repeats, s, 0, i) > k + 1;
        }
    }
    else {
        release(surplus);
        surplus = NULL;
    }
    repeats_free(&repeats);
    return surplus;
}

static int finish(
    const knn_job *job, const knn_block *block, row_lists *f, int64_t *n_candidates)
{
    const int threads = job->n_threads;
    int status = KNN_OK, k = job->k, any = 0;
    int64_t total = 0;
    uint8_t *surplus = NULL;
    for (int64_t i = 0; i < f->n && !any; i++)
        any = f->count[i] < 0;
    if (any)
        surplus = surplus_rows(&job->sample[block->into], k, job->stop);
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status) \
    reduction(+ : total)
    {
        double *best = allocate((size_t)k, sizeof(double));
        int32_t *index = allocate((size_t)k, sizeof(int32_t));
        if (!best || !index)
            status = KNN_NO_MEMORY;
#pragma omp for schedule(dynamic, 64)
        for (int64_t i = 0; i < f->n; i++)
            if (best && index && !stopped(job->stop))
                total += finish_row(job, block, f, i, surplus, best, index);
        release(best);
        release(index);
    }
    release(surplus);
    *n_candidates += total;
    return status;
}

typedef struct {
    packed_sample sample[2];
    panel_set left, right;
    float_view view;
    double relative;
} gemm_state;

/* All pairs of two samples, a pair of segments at a time. */
static int all_products(gemm_state *g, sample_pair *p)
{
    packed_sample *from = (packed_sample *)p->from, *into = (packed_sample *)p->into;
    int status = KNN_OK, threads = g->view.threads;
    p->left = &g->left;
    p->right = &g->right;
    for (int64_t i = 0; i < from->n; i += from->segment) {
        int64_t rows = from->n - i < from->segment ? from->n - i : from->segment;
        for (int64_t j = p->same ? i : 0; j < into->n; j += into->segment) {
            int64_t columns = into->n - j < into->segment ? into->n - j : into->segment;
            status |= pack(&g->left, from, i, &g->view);
            status |= pack(&g->right, into, j, &g->view);
            if (status != KNN_OK)
                return status;
            p->row_end = i + rows;
            p->column_end = j + columns;
            if (j == (p->same ? i : 0))
                prime(p, threads);
            if (p->columns)
                product_rounds(p, threads);
            else
                product_rows(p, threads);
            if (p->stop->told)
                return KNN_STOPPED;
        }
    }
    return status;
}

static int gemm_block(const knn_job *job, gemm_state *g, int row_block,
    int column_block, int64_t *n_candidates)
{
    const knn_block *block = &job->block[row_block];
    packed_sample *from = &g->sample[block->from], *into = &g->sample[block->into];
    row_lists rows, columns;
    memset(&rows, 0, sizeof rows);
    memset(&columns, 0, sizeof columns);
    int same = from == into, other = column_block >= 0;
    int status = pack(&g->left, from, 0, &g->view) | pack(&g->right, into, 0, &g->view);
    if (status != KNN_OK)
        return status;
    find_largest(from);
    find_largest(into);
    status = lists_make(&rows, from, into, job->k, g->relative);
    if (other)
        status |= lists_make(&columns, into, from, job->k, g->relative);
    if (status == KNN_OK) {
        sample_pair p = {from, into, &rows,
            same        ? &rows
                : other ? &columns
                        : NULL,
            same, NULL, NULL, 0, 0, job->stop};
        status = all_products(g, &p);
        if (status == KNN_OK)
            status = finish(job, block, &rows, n_candidates);
        if (other && status == KNN_OK)
            status = finish(job, &job->block[column_block], &columns, n_candidates);
    }
    lists_free(&rows);
    lists_free(&columns);
    return status;
}

static int gemm_make(gemm_state *g, const knn_job *job, double *centre)
{
    int d = job->sample[0].d, status = KNN_OK;
    int64_t most = 0;
    g->view.centre = centre;
    g->view.threads = job->n_threads;
    g->view.stop = job->stop;
    g->view.scale = centre_and_scale(job, centre, &g->relative);
    for (int s = 0; s < 2; s++) {
        int used = 0;
        for (int b = 0; b < job->n_blocks; b++)
            used |= job->block[b].from == s || job->block[b].into == s;
        if (used)
            status |= packed_make(
                &g->sample[s], &job->sample[s], &g->view, job->segment_bytes);
        if (used && g->sample[s].segment > most)
            most = g->sample[s].segment;
    }
    g->left.size = MR;
    g->left.factor = -2;
    g->right.size = NR;
    g->right.factor = 1;
    g->left.cells = allocate((size_t)most * (size_t)d, sizeof(float));
    g->right.cells = allocate((size_t)most * (size_t)d, sizeof(float));
    return g->left.cells && g->right.cells ? status : KNN_NO_MEMORY;
}

int ISA_NAME(knn_gemm)(const knn_job *job, int64_t *n_candidates)
{
    int status, crossed = -1;
    gemm_state g;
    double *centre = allocate((size_t)job->sample[0].d, sizeof(double));
    memset(&g, 0, sizeof g);
    status = centre ? gemm_make(&g, job, centre) : KNN_NO_MEMORY;
    for (int b = 0; b < job->n_blocks && status == KNN_OK; b++) {
        int other = -1;
        if (b == crossed)
            continue;
        for (int c = b + 1; c < job->n_blocks; c++)
            if (job->block[b].from != job->block[b].into
                && job->block[c].from == job->block[b].into
                && job->block[c].into == job->block[b].from)
                other = crossed = c;
        status = gemm_block(job, &g, b, other, n_candidates);
    }
    for (int s = 0; s < 2; s++)
        release(g.sample[s].norm);
    release(g.left.cells);
    release(g.right.cells);
    release(centre);
    return status;
}
