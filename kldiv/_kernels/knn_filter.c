/* Filter and refine: a cheap lower bound on every distance, from short codes of the rows,
 * decides which distances are measured in float64. Codes are float32 coordinates, or
 * bytes whose products are exact integers (docs/user_guide/precision.rst, "Filter and
 * refine"). */
#include "knn_filter_tile.h"

typedef struct {
    const knn_sample *from, *into;
    int64_t row;
    int self, k, count;
    double *best;
    int32_t *index;
    double radius, slack, unit; /* see threshold() */
    int is_integer;
    int64_t measured;
} filter_query;

/* A row with a bound at or above this cannot be nearer than the k-th found so far. */
static code_bound threshold(const filter_query *q)
{
    if (q->count < q->k)
        return FAR;
    double reach = sqrt(q->best[q->k - 1]) * q->unit * (1 + 1e-9) + q->radius;
    double square = reach * reach * (1 + 1e-9) + q->slack;
    if (q->is_integer)
        return square < 2e9 ? (code_bound)square + 1 : FAR;
    return square < 1e38 ? bound_of_float((float)(square * (1 + 2e-7))) + 1 : FAR;
}

static void measure(filter_query *q, int64_t j)
{
    double limit = q->count == q->k ? q->best[q->k - 1] : INFINITY;
    keep_smallest(q->best, q->index, &q->count, q->k,
        exact_rows(q->from, q->row, q->into, j, limit), (int32_t)j);
    q->measured++;
}

/* Columns of row[0..n) with a bound below `limit`, in order, into list; their number. n is
 * a multiple of NR. */
static int below(const code_bound *row, int n, code_bound limit, int32_t *list)
{
    int count = 0;
#if HAS_BYTES
    const vi top = vi_set(limit);
    for (int j = 0; j < n; j += FW) {
        unsigned hit = vi_less(vi_load(row + j), top);
        for (; hit; hit &= hit - 1)
            list[count++] = j + lowest_bit(hit);
    }
#else
    for (int j = 0; j < n; j++) {
        list[count] = j;
        count += row[j] < limit;
    }
#endif
    return count;
}

/* The `wanted` smallest bounds of a row, ascending, into list; their number. n is a
 * multiple of NR. */
static int smallest(
    const code_bound *row, int n, int wanted, int32_t *list, code_bound *value)
{
    int count = 0;
    code_bound worst = FAR;
    for (int j = 0; j < n; j += FW) {
#if HAS_BYTES
        unsigned hit = vi_less(vi_load(row + j), vi_set(worst));
#else
        unsigned hit = 0;
        for (int l = 0; l < FW; l++)
            hit |= (unsigned)(row[j + l] < worst) << l;
#endif
        for (; hit; hit &= hit - 1) {
            int at = j + lowest_bit(hit), p;
            code_bound v = row[at];
            if (v >= worst)
                continue;
            p = count < wanted ? count++ : wanted - 1;
            for (; p > 0 && value[p - 1] > v; p--) {
                value[p] = value[p - 1];
                list[p] = list[p - 1];
            }
            value[p] = v;
            list[p] = at;
            if (count == wanted)
                worst = value[wanted - 1];
        }
    }
    return count;
}

/* Refine one query with the bounds of columns [first, first + n). `row` is spoiled. */
static void refine(filter_query *q, code_bound *row, int64_t first, int n,
    int32_t *list, code_bound *value)
{
    int64_t own = q->row - first;
    if (q->self && own >= 0 && own < n)
        row[own] = FAR;
    if (q->count == q->k && q->best[q->k - 1] == 0)
        return;
    if (q->count < q->k) {
        int wanted = q->k < 16 ? 2 * q->k : q->k + 16;
        int seeds = smallest(row, n, wanted, list, value);
        for (int c = 0; c < seeds; c++) {
            if (c + 1 < seeds)
                prefetch_row(q->into, first + list[c + 1]);
            if (q->count == q->k && value[c] >= threshold(q))
                break;
            measure(q, first + list[c]);
            row[list[c]] = FAR;
        }
        if (q->count == q->k && q->best[q->k - 1] == 0)
            return;
    }
    code_bound limit = threshold(q);
    int found = below(row, n, limit, list);
    for (int c = 0; c < found; c++) {
        if (c + 1 < found)
            prefetch_row(q->into, first + list[c + 1]);
        if (row[list[c]] >= limit)
            continue;
        double before = q->count == q->k ? q->best[q->k - 1] : INFINITY;
        measure(q, first + list[c]);
        if (q->count == q->k && q->best[q->k - 1] < before)
            limit = threshold(q);
    }
}

typedef struct {
    void *left;
    code_bound *row_norm, *bounds, *value;
    int32_t *list, *index;
    double *best;
} scratch;

static int scratch_make(scratch *s, const packed_codes *t, int k)
{
    s->left = allocate(QUERIES, packed_size(t));
    s->row_norm = allocate(QUERIES, sizeof(code_bound));
    s->bounds = allocate((size_t)QUERIES * CHUNK, sizeof(code_bound));
    s->value = allocate((size_t)(2 * k + 32), sizeof(code_bound));
    s->list = allocate((size_t)(CHUNK + 2 * k + 32), sizeof(int32_t));
    s->index = allocate((size_t)(QUERIES * k), sizeof(int32_t));
    s->best = allocate((size_t)(QUERIES * k), sizeof(double));
    return s->left && s->row_norm && s->bounds && s->value && s->list && s->index
            && s->best
        ? KNN_OK
        : KNN_NO_MEMORY;
}

static void scratch_free(scratch *s)
{
    release(s->left);
    release(s->row_norm);
    release(s->bounds);
    release(s->value);
    release(s->list);
    release(s->index);
    release(s->best);
}

static filter_query query_of(const knn_job *job, const knn_code_pair *f,
    const knn_block *block, const packed_codes *t, int64_t row, code_bound norm,
    double *best, int32_t *index)
{
    filter_query q = {0};
    q.from = &job->sample[block->from];
    q.into = &job->sample[block->into];
    q.row = row;
    q.self = block->from == block->into;
    q.k = job->k;
    q.best = best;
    q.index = index;
    q.radius = f->sample[block->from].radius[row] + t->radius;
    q.unit = f->unit;
    q.is_integer = f->is_integer;
    if (!f->is_integer) {
        float square;
        memcpy(&square, &norm, sizeof square);
        double u = ROUNDING, gamma = f->width * u / (1 - f->width * u);
        double reach = sqrt((double)square) + sqrt(t->largest);
        q.slack = (gamma / 2 + 7 * u) * reach * reach + 1e-36;
    }
    return q;
}

/* Answers of the rows first .. first + QUERIES of one block. */
static int64_t filter_rows(const knn_job *job, const knn_code_pair *f,
    const knn_block *block, const packed_codes *t, int64_t first, scratch *s)
{
    const knn_codes *codes = &f->sample[block->from];
    int k = job->k;
    int rows = (int)(codes->n - first < QUERIES ? codes->n - first : QUERIES);
    filter_query query[QUERIES];
    int64_t measured = 0;
    memset(s->left, 0, QUERIES * packed_size(t));
    memset(s->row_norm, 0, QUERIES * sizeof(code_bound));
    for (int r = 0; r < rows; r++) {
        char *panel = (char *)s->left + (size_t)(r / MR) * MR * packed_size(t);
        int64_t row = codes->order ? codes->order[first + r] : first + r;
        s->row_norm[r] = pack_row(f, codes, row, MR, r % MR, t->groups, 0, panel);
        query[r] = query_of(
            job, f, block, t, row, s->row_norm[r], s->best + r * k, s->index + r * k);
    }
    for (int64_t c = 0; c < t->padded; c += CHUNK) {
        int64_t last = c + CHUNK < t->padded ? c + CHUNK : t->padded;
        bounds(t, s->left, s->row_norm, c, last, s->bounds);
        for (int r = 0; r < rows; r++)
            refine(&query[r], s->bounds + (size_t)r * CHUNK, c, (int)(last - c),
                s->list, s->value);
    }
    for (int r = 0; r < rows; r++) {
        measured += query[r].measured;
        for (int i = 0; i < k; i++) {
            int64_t at = query[r].row * k + i;
            block->distances[at] = sqrt(query[r].best[i]);
            if (block->indices)
                block->indices[at] = query[r].index[i];
        }
    }
    return measured;
}

static int filter_block(const knn_job *job, const knn_code_pair *f,
    const knn_block *block, const packed_codes *t, int64_t *measured)
{
    const int threads = job->n_threads;
    int status = KNN_OK;
    int64_t n = f->sample[block->from].n, total = 0;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status) \
    reduction(+ : total)
    {
        scratch s;
        status |= scratch_make(&s, t, job->k);
#pragma omp for schedule(dynamic, 2)
        for (int64_t first = 0; first < n; first += QUERIES)
            if (status == KNN_OK && !stopped(job->stop))
                total += filter_rows(job, f, block, t, first, &s);
        scratch_free(&s);
    }
    *measured = total;
    return status;
}

int ISA_NAME(knn_code_levels)(int width)
{
    return code_levels(width);
}

int ISA_NAME(knn_filter)(const knn_job *job, const knn_code_pair *f)
{
    packed_codes data[2];
    int used[2] = {0, 0}, status = KNN_OK;
    memset(data, 0, sizeof data);
    for (int b = 0; b < job->n_blocks; b++)
        used[job->block[b].into] = 1;
    for (int s = 0; s < 2; s++)
        if (used[s])
            status |= data_make(&data[s], job, f, s);
    for (int b = 0; b < job->n_blocks && status == KNN_OK && !job->stop->told; b++)
        status = filter_block(
            job, f, &job->block[b], &data[job->block[b].into], &f->n_candidates[b]);
    data_free(&data[0]);
    data_free(&data[1]);
    return status;
}
