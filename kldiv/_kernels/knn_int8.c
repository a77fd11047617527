/* Brute force on bytes: every number becomes one byte (or one word of 16 bits, where the
 * processor does not multiply bytes), products of codes are exact, and |code distance -
 * distance| is at most the sum of two radii. So codes alone bound the
 * k-th distance from above and every distance from below; what is left is measured in
 * float64. Data are coded and packed in segments of bounded size, and only a block of
 * queries is in memory at a time. The bounds are derived in docs/user_guide/precision.rst,
 * "Bytes". */
#include "knn_bytes.h"

#if HAS_BYTES

#include "knn_int8_query.h"

typedef struct {
    const knn_job *job;
    const knn_block *block;
    const segment *data;
    query_block *work;
    int64_t first; /* row of the first query */
    int rows;
} block_task;

/* Products of query i and half a panel that passed the test. */
static void handle(
    const block_task *a, int i, int64_t column, const int32_t *c, unsigned hit)
{
    const segment *t = a->data;
    query_block *w = a->work;
    int k = a->job->k, self = a->block->from == a->block->into;
    int32_t *list = w->list + i * LANES;
    for (; hit; hit &= hit - 1) {
        int64_t at = column + lowest_bit(hit), row = t->first + at;
        int64_t v = (int64_t)w->norm[i] + t->norm[at] - 2 * (int64_t)c[at - column];
        if (v >= w->limit[i] || t->half[at] == FAR_HALF
            || (self && row == a->first + i))
            continue;
        if (w->count[i] == w->room) {
            make_room(a->job, a->block, t, w, i, a->first + i);
            if (v >= w->limit[i])
                continue;
        }
        candidate *place = w->candidates + (int64_t)i * w->room + w->count[i]++;
        place->index = (int32_t)row;
        place->value = (int32_t)v;
        if (k > LANES)
            continue;
        if (v < list[k - 1])
            insert(list, (int32_t)v);
    }
    /* A limit that is a little wide costs less than a new one after every row. */
    if (k <= LANES
        && (t->exact || list[k - 1] < w->applied[i] - (w->applied[i] >> 5))) {
        w->applied[i] = list[k - 1];
        limit_by_code(t, w, i, list[k - 1], 1);
    }
}

#define TILE_ROWS (MR > NR ? MR : NR) /* with vectors or with matrix registers */

/* Queries [row, end), at most TILE_ROWS, against one panel. Those with hits are listed first, so
 * that no branch is guessed per query. */
INLINE void scan(const block_task *a, int row, int end, int64_t j, const int32_t *out)
{
    const segment *t = a->data;
    uint32_t hits[TILE_ROWS];
    int list[TILE_ROWS + 1], found = 0;
    vi half[NV];
    EACH(v, NV)
        half[v] = vi_load(t->half + j + v * FW);
    for (int i = row; i < end; i++) {
        const int32_t *c = out + (i - row) * NR;
        const vi test = vi_set(a->work->test[i]);
        uint32_t hit = 0;
        EACH(v, NV)
            hit |= vi_less(vi_sub(half[v], test), vi_load(c + v * FW)) << (v * FW);
        hits[found] = hit;
        list[found] = i;
        found += hit != 0;
    }
    for (int f = 0; f < found; f++)
        handle(a, list[f], j, out + (list[f] - row) * NR, hits[f]);
}

/* An upper bound on the k-th squared code distance of query i: each of NR lanes keeps
 * its smallest in a few panels, and the k-th smallest lane is such a bound, because the
 * lanes hold different rows (one of them the query, if it looks into its own sample). */
static void prime(const block_task *a, int i, int panels)
{
    const segment *t = a->data;
    query_block *w = a->work;
    int wanted = a->job->k + (a->block->from == a->block->into);
    int32_t lane[NR], list[LANES];
    if (wanted > LANES)
        return;
    for (int l = 0; l < NR; l++)
        lane[l] = NOT_YET;
    for (int p = 0; p < panels; p++) {
        const int32_t *half = t->half + p * NR, *c = w->products + (p * BLOCK + i) * NR;
        for (int l = 0; l < NR; l++) {
            int32_t v = half[l] == FAR_HALF ? NOT_YET : half[l] - c[l];
            lane[l] = v < lane[l] ? v : lane[l];
        }
    }
    for (int l = 0; l < LANES; l++)
        list[l] = NOT_YET;
    for (int l = 0; l < NR; l++)
        if (lane[l] < list[wanted - 1])
            insert(list, lane[l]);
    if (list[wanted - 1] == NOT_YET)
        return;
    int64_t v = 2 * (int64_t)list[wanted - 1] + 1 + w->norm[i];
    if (v < 2000000000)
        limit_by_code(t, w, i, (int32_t)v, 0);
}

/* Codes and state of the queries of a block. Results of earlier segments are squares. */
static void begin(const block_task *a)
{
    const segment *t = a->data;
    query_block *w = a->work;
    const knn_sample *from = &a->job->sample[a->block->from];
    size_t width = codes_size(t);
    int k = a->job->k;
    uint8_t *lines = t->matrix ? w->left : w->lines;
    memset(lines, 0, BLOCK * width);
    for (int i = 0; i < BLOCK; i++) {
        int32_t norm, sum;
        w->count[i] = w->known[i] = 0;
        w->limit[i] = w->applied[i] = NOT_YET;
        w->norm[i] = 0;
        w->test[i] = NEVER;
        if (i >= a->rows)
            continue;
        w->radius[i] = code_row(
            t, from, a->first + i, (code_cell *)(lines + i * width), &norm, &sum);
        w->radius[i] += t->largest;
        w->norm[i] = norm - 2 * CODE_SHIFT * sum;
        w->test[i] = (int32_t)(((int64_t)NOT_YET - w->norm[i] + 1) >> 1);
        for (int l = 0; l < LANES; l++)
            w->list[i * LANES + l] = NOT_YET;
        if (t->first == 0)
            continue;
        for (int c = 0; c < k; c++) {
            int64_t at = (a->first + i) * k + c;
            double square = a->block->distances[at];
            w->best[i * k + c] = square;
            w->known[i] += square < INFINITY;
            w->index[i * k + c] = a->block->indices ? a->block->indices[at] : 0;
        }
        if (w->known[i] == k)
            limit_by_distance(t, w, i, w->best[i * k + k - 1]);
    }
    if (t->matrix)
        return;
    for (int row = 0; row < BLOCK; row += MR)
        pack_tile(t, w, row);
}

/* Measure what is left, and write squares, or distances after the last segment. */
static void end(const block_task *a, int last)
{
    query_block *w = a->work;
    int k = a->job->k;
    for (int i = 0; i < a->rows; i++) {
        measure(a->job, a->block, a->data, w, i, a->first + i);
        for (int c = 0; c < k; c++) {
            int64_t at = (a->first + i) * k + c;
            double square = c < w->known[i] ? w->best[i * k + c] : INFINITY;
            a->block->distances[at] = last ? sqrt(square) : square;
            if (a->block->indices && c < w->known[i])
                a->block->indices[at] = w->index[i * k + c];
        }
    }
}

static void run_block(const block_task *a, int last)
{
    const segment *t = a->data;
    query_block *w = a->work;
    int64_t padded = (t->n + NR - 1) / NR * NR, j = 0;
    int size = tile_rows(t);
    begin(a);
    if (t->first == 0) {
        int panels = (int)(padded / NR / 4 + 1 < STRIP ? padded / NR / 4 + 1 : STRIP);
        for (int p = 0; p < panels; p++)
            for (int i = 0; i < a->rows; i += size)
                tile(t, w, i, p * NR, w->products + (p * BLOCK + i) * NR);
        for (int i = 0; i < a->rows; i++)
            prime(a, i, panels);
        for (int p = 0; p < panels; p++)
            for (int i = 0; i < a->rows; i += size)
                scan(a, i, i + size < a->rows ? i + size : a->rows, p * NR,
                    w->products + (p * BLOCK + i) * NR);
        j = panels * NR;
    }
    for (; j < padded && !a->job->stop->told; j += NR)
        for (int i = 0; i < a->rows; i += size) {
            tile(t, w, i, j, w->products);
            scan(a, i, i + size < a->rows ? i + size : a->rows, j, w->products);
        }
    end(a, last);
}

static int search(
    const segment *t, const knn_job *job, const knn_block *block, int64_t *measured)
{
    const int threads = job->n_threads;
    int status = KNN_OK;
    int64_t n = job->sample[block->from].n, total = 0;
    int last = t->first + t->n == t->rows->n;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status) \
    reduction(+ : total)
    {
        query_block w;
        status |= work_make(&w, t, job->k);
        if (t->matrix)
            matrix_begin(t->per);
#pragma omp for schedule(dynamic, 1)
        for (int64_t first = 0; first < n; first += BLOCK) {
            block_task a = {
                job, block, t, &w, first, (int)(n - first < BLOCK ? n - first : BLOCK)};
            if (status == KNN_OK && !stopped(job->stop))
                run_block(&a, last);
        }
        if (t->matrix)
            matrix_end();
        total += w.measured;
        work_free(&w);
    }
    *measured += total;
    return status;
}

int ISA_NAME(knn_int8)(const knn_job *job, int64_t *n_candidates)
{
    segment t;
    int status = segment_make(&t, job);
    for (int s = 0; s < 2; s++) {
        int wanted = 0;
        for (int b = 0; b < job->n_blocks; b++)
            wanted |= job->block[b].into == s;
        for (int64_t first = 0; wanted && first < job->sample[s].n && status == KNN_OK;
            first += t.room) {
            if (stopped(job->stop))
                break;
            status = load(&t, job, &job->sample[s], first);
            for (int b = 0; b < job->n_blocks && status == KNN_OK; b++)
                if (job->block[b].into == s && !job->stop->told)
                    status = search(&t, job, &job->block[b], n_candidates);
        }
    }
    segment_free(&t);
    return status;
}

#else

int ISA_NAME(knn_int8)(const knn_job *job, int64_t *n_candidates)
{
    (void)job;
    (void)n_candidates;
    return KNN_NOT_BUILT;
}

#endif
