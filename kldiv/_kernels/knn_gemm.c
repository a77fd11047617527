/* Brute force through one fused product: tiles of |x|^2 + |y|^2 - 2xy in float32 choose
   candidates, float64 measures them. No tile is ever written to memory, and inside one
   sample a tile serves its rows and its columns. The bound S on the error of a tile entry
   is derived in docs/user_guide/precision.rst. */
#include "knn_exact.h"
#include <string.h>

#if defined(__AVX512F__)
#define MR 12
#elif defined(__AVX2__)
#define MR 6
#else
#define MR 4
#endif
#define NV 2
#define NR (NV * FW)
#define UNIT 96       /* rows of a block; a multiple of MR and of NR */
#define LIST 16       /* floats of a sorted list: one cache line */
#define MAX_LIST 15   /* for k up to this, the k smallest are kept sorted */
#define PRIMING 16    /* panels that give the first bounds */
#define NEVER 1e35f   /* scaled squares are below 4 d */
#define NOT_YET 1e30f
#define ROUNDING 5.960464477539063e-08

/* One sample as the product sees it. */
typedef struct {
    const sample_t *rows;
    int64_t n, padded; /* padded: rounded up to UNIT, plus UNIT */
    int64_t segment;   /* rows packed at a time, a multiple of UNIT */
    float *norm;       /* squared norms; NEVER beyond n */
    double largest;    /* largest squared norm */
} packed_t;

/* Panels of `size` rows of a segment of one sample. */
typedef struct {
    float *cells;
    const packed_t *of;
    int64_t first;
    int size;
    float factor;
} panels_t;

/* How rows become float32 numbers below 1. */
typedef struct {
    const double *centre;
    double scale;
    int threads;
} view_t;

typedef struct {
    float value;
    int32_t index;
} candidate_t;

typedef struct {
    int64_t n;
    int k, room;
    float *gate;     /* (padded,) a product below gate[i] - norm[j] may matter */
    float *limit;    /* (padded,) a squared distance below it may matter */
    float *slack;    /* (padded,) 2 S */
    float *lists;    /* one line of padding, then (n, LIST): -NEVER, the k smallest */
    candidate_t *candidates; /* (n, room) */
    int32_t *count;  /* (n,) -1: more near ties than room */
} found_t;

/* ---- packing --------------------------------------------------------------------- */

static void centred_row(const sample_t *s, int64_t i, const double *centre, double scale,
                        float *out) {
    int d = s->d;
    if (s->is_double) {
        const double *x = (const double *)s->rows + i * d;
        for (int j = 0; j < d; j++) out[j] = (float)((x[j] - centre[j]) * scale);
    } else {
        const float *x = (const float *)s->rows + i * d;
        for (int j = 0; j < d; j++) out[j] = (float)(((double)x[j] - centre[j]) * scale);
    }
}

/* Panels of `size` rows from UNIT row-major lines; a few columns at a time stay in cache. */
INLINE void pack_panels(const int size, const float *RESTRICT lines, int d, float factor,
                     float *RESTRICT out) {
    for (int p = 0; p < UNIT; p += size, lines += (int64_t)size * d, out += (int64_t)size * d)
        for (int j0 = 0; j0 < d; j0 += 16) {
            int stop = j0 + 16 < d ? j0 + 16 : d;
            for (int r = 0; r < size; r++)
                for (int j = j0; j < stop; j++)
                    out[(int64_t)j * size + r] = factor * lines[(int64_t)r * d + j];
        }
}

/* Norms of rows i0 .. i0 + UNIT, and their panels unless `to` is NULL. `lines` holds UNIT
   rows. */
static void pack_unit(packed_t *p, int64_t i0, const view_t *view, const panels_t *to,
                      float *lines) {
    int d = p->rows->d;
    for (int r = 0; r < UNIT; r++) {
        int64_t i = i0 + r;
        float *line = lines + (int64_t)r * d;
        if (i < p->n) {
            centred_row(p->rows, i, view->centre, view->scale, line);
            p->norm[i] = (float)square_of(line, d);
        } else {
            memset(line, 0, sizeof(float) * (size_t)d);
            p->norm[i] = NEVER;
        }
    }
    if (!to) return;
    float *out = to->cells + (i0 - to->first) * d;
    if (to->size == MR)
        pack_panels(MR, lines, d, to->factor, out);
    else
        pack_panels(NR, lines, d, to->factor, out);
}

static int pack_units(packed_t *p, int64_t first, int64_t last, const view_t *view,
                      const panels_t *to) {
    int status = KNN_OK;
#pragma omp parallel num_threads(view->threads) if (view->threads > 1) reduction(| : status)
    {
        float *lines = allocate(UNIT * (size_t)p->rows->d, sizeof(float));
        if (!lines) status = KNN_NO_MEMORY;
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = first; i < last; i += UNIT)
            if (lines) pack_unit(p, i, view, to, lines);
        release(lines);
    }
    return status;
}

/* Panels of the segment of p that begins at `first`, unless they are there already. */
static int pack(panels_t *to, packed_t *p, int64_t first, const view_t *view) {
    if (to->of == p && to->first == first) return KNN_OK;
    int64_t rest = p->padded - first;
    to->of = p, to->first = first;
    return pack_units(p, first, first + (rest < p->segment ? rest : p->segment), view, to);
}

static int packed_make(packed_t *p, const sample_t *rows, const view_t *view,
                       int64_t segment_bytes) {
    p->rows = rows, p->n = rows->n, p->largest = 0;
    p->padded = (p->n + UNIT - 1) / UNIT * UNIT + UNIT;
    p->segment = segment_bytes / 4 / rows->d / UNIT * UNIT;
    if (p->segment < UNIT) p->segment = UNIT;
    if (p->segment > p->padded) p->segment = p->padded;
    p->norm = allocate((size_t)p->padded, sizeof(float));
    if (!p->norm) return KNN_NO_MEMORY;
    /* in one segment, packing gives the norms */
    return p->segment < p->padded ? pack_units(p, 0, p->padded, view, NULL) : KNN_OK;
}

static void find_largest(packed_t *p) {
    for (int64_t i = 0; i < p->n; i++)
        if (p->norm[i] > p->largest) p->largest = p->norm[i];
}

/* ---- candidates ------------------------------------------------------------------ */

static int found_make(found_t *f, const packed_t *from, const packed_t *into, int k,
                      double relative) {
    int64_t n = from->n, padded = from->padded;
    f->n = n, f->k = k, f->room = 2 * k + 32;
    f->gate = allocate((size_t)padded, sizeof(float));
    f->limit = allocate((size_t)padded, sizeof(float));
    f->slack = allocate((size_t)padded, sizeof(float));
    f->lists = allocate((size_t)(k > MAX_LIST ? 1 : n + 1) * LIST, sizeof(float));
    f->candidates = allocate((size_t)n * (size_t)f->room, sizeof(candidate_t));
    f->count = allocate((size_t)n, sizeof(int32_t));
    if (!f->gate || !f->limit || !f->slack || !f->lists || !f->candidates || !f->count)
        return KNN_NO_MEMORY;
    for (int64_t i = 0; i < padded; i++) {
        double reach = i < n ? sqrt((double)from->norm[i]) + sqrt(into->largest) : 0;
        f->slack[i] = (float)(2.0001 * (relative * reach * reach) + (relative > 0 ? 1e-36 : 0));
        f->limit[i] = f->gate[i] = i < n ? NOT_YET : -NEVER;
    }
    for (int64_t i = 0; i < (k > MAX_LIST ? 1 : n + 1) * LIST; i++)
        f->lists[i] = i % LIST ? NOT_YET : -NEVER;
    for (int64_t i = 0; i < n; i++) f->count[i] = 0;
    return KNN_OK;
}

static void found_free(found_t *f) {
    release(f->gate), release(f->limit), release(f->slack), release(f->lists);
    release(f->candidates), release(f->count);
}

/* The gate is a little wider than the limit: it is compared after two roundings more. */
INLINE void set_limit(found_t *f, const float *norm, int64_t i, float kth) {
    float limit = kth + f->slack[i];
    f->limit[i] = limit;
    f->gate[i] = (limit - norm[i]) + (1e-6f * (limit + norm[i]) + f->slack[i]);
}

DEFINE_BRING_FORWARD(float)

/* Drop what can no longer be a neighbour; give up on a row with too many near ties. */
static void compact(found_t *f, const float *norm, int64_t i) {
    candidate_t *c = f->candidates + i * f->room;
    int kept = 0, count = f->count[i];
    if (f->k > MAX_LIST && count >= f->k) {
        bring_forward(c, count, f->k);
        set_limit(f, norm, i, c[f->k - 1].value);
    }
    for (int at = 0; at < count; at++)
        if (c[at].value <= f->limit[i]) c[kept++] = c[at];
    f->count[i] = kept;
    if (kept > f->room - 8) {
        f->count[i] = -1;
        f->limit[i] = f->gate[i] = -NEVER;
    }
}

/* Put v into the sorted list: new[c] = min(old[c], max(old[c - 1], v)). */
INLINE void insert(float *list, float v) {
    vf shifted[LIST / FW], own[LIST / FW], x = vf_set(v);
    UNROLL for (int c = 0; c < LIST / FW; c++) {
        shifted[c] = vf_load(list + c * FW - 1), own[c] = vf_load(list + c * FW);
    }
    UNROLL for (int c = 0; c < LIST / FW; c++)
        vf_store(list + c * FW, vf_min(own[c], vf_max(shifted[c], x)));
}

/* Row j at squared distance v (known to be within the limit) for query i. */
INLINE void offer(found_t *f, const float *norm, int64_t i, float v, int32_t j) {
    if (UNLIKELY(f->count[i] == f->room)) {
        compact(f, norm, i);
        if (!(v < f->limit[i])) return;
    }
    candidate_t *c = f->candidates + i * f->room + f->count[i]++;
    c->value = v, c->index = j;
    if (f->k > MAX_LIST) return;
    float *list = f->lists + (i + 1) * LIST;
    if (!(v < list[f->k])) return;
    insert(list, v);
    set_limit(f, norm, i, list[f->k]);
}

/* ---- tiles ----------------------------------------------------------------------- */

typedef struct {
    const packed_t *from, *into;
    found_t *rows, *columns; /* columns: NULL, or who looks the other way */
    int same;                /* from == into: only pairs with column > row count */
    const panels_t *left, *right;
    int64_t row_end, column_end; /* of the two segments, which begin where panels do */
} product_t;

INLINE const float *left_panel(const product_t *p, int64_t row) {
    return p->left->cells + (row - p->left->first) * p->from->rows->d;
}

INLINE const float *right_panel(const product_t *p, int64_t column) {
    return p->right->cells + (column - p->right->first) * p->from->rows->d;
}

/* Entries of one vector of a tile that passed the gate. */
static void handle(const product_t *p, int64_t row, int64_t column, const float *c, unsigned hit) {
    const float *left = p->from->norm, *right = p->into->norm;
    for (; hit; hit &= hit - 1) {
        int64_t j = column + lowest_bit(hit);
        if (p->same && j <= row) continue;
        float v = (c[j - column] + left[row]) + right[j];
        if (v < p->rows->limit[row]) offer(p->rows, left, row, v, (int32_t)j);
        if (p->columns && v < p->columns->limit[j])
            offer(p->columns, right, j, v, (int32_t)row);
    }
}

/* c = left panel times right panel. */
INLINE void multiply(int d, const float *RESTRICT a, const float *RESTRICT b, vf c[MR][NV]) {
    UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) c[i][v] = vf_set(0);
    for (const float *end = a + (int64_t)d * MR; a < end; a += MR, b += NR) {
        vf y[NV];
        PREFETCH(b + 8 * NR), PREFETCH(b + 8 * NR + FW);
        UNROLL for (int v = 0; v < NV; v++) y[v] = vf_load(b + v * FW);
        UNROLL for (int i = 0; i < MR; i++) {
            vf x = vf_set(a[i]);
            UNROLL for (int v = 0; v < NV; v++) c[i][v] = vf_fma(x, y[v], c[i][v]);
        }
    }
}

INLINE void tile(const int BOTH, const product_t *p, int64_t row, int64_t column) {
    int d = p->from->rows->d;
    vf c[MR][NV];
    multiply(d, left_panel(p, row), right_panel(p, column), c);
    const float *row_gate = p->rows->gate + row, *row_norm = p->from->norm + row;
    UNROLL for (int i = 0; i < MR; i++) {
        unsigned hit[NV], any = 0;
        UNROLL for (int v = 0; v < NV; v++) {
            int64_t at = column + v * FW;
            vf bound = vf_sub(vf_set(row_gate[i]), vf_load(p->into->norm + at));
            if (BOTH)
                bound = vf_max(bound, vf_sub(vf_load(p->columns->gate + at), vf_set(row_norm[i])));
            any |= hit[v] = vf_less(c[i][v], bound);
        }
        if (UNLIKELY(any)) {
            float entries[NV][FW];
            UNROLL for (int v = 0; v < NV; v++) {
                if (!hit[v]) continue;
                vf_store(entries[v], c[i][v]);
                handle(p, row + i, column + v * FW, entries[v], hit[v]);
            }
        }
    }
}

/* Start the rows of one panel with an upper bound on their k-th entry: each of NR lanes
   keeps the smallest entry of its columns in a few panels, and the k-th smallest lane is
   such a bound, because the lanes hold different columns (one of them the row itself, if
   rows look into their own sample). Without it the first entries of a row all pass. */
static void prime_panel(const product_t *p, int64_t row) {
    int d = p->from->rows->d, k = p->rows->k, wanted = k + p->same;
    int64_t panels = (p->column_end - p->right->first) / NR, step = panels / PRIMING * NR;
    vf least[MR], c[MR][NV];
    UNROLL for (int i = 0; i < MR; i++) least[i] = vf_set(NOT_YET);
    for (int s = 0; s < PRIMING; s++) {
        int64_t column = p->right->first + s * step;
        multiply(d, left_panel(p, row), right_panel(p, column), c);
        UNROLL for (int i = 0; i < MR; i++)
            UNROLL for (int v = 0; v < NV; v++)
                least[i] =
                    vf_min(least[i], vf_add(c[i][v], vf_load(p->into->norm + column + v * FW)));
    }
    for (int i = 0; i < MR && row + i < p->row_end; i++) {
        float lane[FW], sorted[2 * LIST], *own = p->rows->lists + (row + i + 1) * LIST;
        float norm = p->from->norm[row + i];
        vf_store(lane, least[i]);
        for (int l = 0; l < LIST; l++) sorted[LIST + l] = l ? NOT_YET : -NEVER;
        sorted[LIST - 1] = -NEVER;
        for (int l = 0; l < FW; l++)
            if (lane[l] < sorted[LIST + wanted]) insert(sorted + LIST, lane[l]);
        /* just above, because rows at the bound itself are still to be found */
        float bound = nextafterf(sorted[LIST + wanted] + norm, INFINITY);
        if (bound >= NOT_YET) continue;
        for (int l = 1; l <= k; l++) own[l] = bound < own[l] ? bound : own[l];
        set_limit(p->rows, p->from->norm, row + i, own[k]);
    }
}

static void prime(const product_t *p, int threads) {
    int wanted = p->rows->k + p->same;
    int64_t columns = p->column_end - p->right->first;
    if (wanted > FW || wanted > MAX_LIST || columns < 4 * PRIMING * NR) return;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t i = p->left->first; i < p->row_end; i += MR) prime_panel(p, i);
}

/* All pairs of rows [i0, i1) and columns [j0, j1). */
static void product(const product_t *p, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    for (int64_t block = i0; block < i1; block += UNIT) {
        int64_t end = block + UNIT < i1 ? block + UNIT : i1;
        int64_t first = p->same && j0 < block ? block : j0;
        for (int64_t j = first / NR * NR; j < j1; j += NR)
            for (int64_t i = block; i < end; i += MR) {
                if (p->same && j + NR <= i) break;
                if (p->columns)
                    tile(1, p, i, j);
                else
                    tile(0, p, i, j);
            }
    }
}

/* Rows and columns are cut into parts; in each round every part is used by one thread, so
   that both sides of a pair can be updated without locks. */
static void product_rounds(const product_t *p, int threads) {
    int64_t i0 = p->left->first, j0 = p->right->first, parts = threads == 1 ? 1 : 4 * threads;
    int64_t n = p->row_end - i0, m = p->column_end - j0;
    int64_t rows = ((n + parts - 1) / parts + UNIT - 1) / UNIT * UNIT;
    int64_t columns = ((m + parts - 1) / parts + UNIT - 1) / UNIT * UNIT;
    int triangle = p->same && i0 == j0;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        if (triangle) {
#pragma omp for schedule(dynamic, 1)
            for (int64_t s = 0; s < parts; s++) {
                int64_t end = (s + 1) * rows < n ? (s + 1) * rows : n;
                product(p, i0 + s * rows, i0 + end, j0 + s * rows, j0 + end);
            }
        }
        /* round r: a tournament inside one segment, shifted partners across two */
        for (int64_t r = 0; r < (triangle ? parts - 1 : parts); r++) {
#pragma omp for schedule(dynamic, 1)
            for (int64_t s = 0; s < (triangle ? parts / 2 : parts); s++) {
                int64_t a = s, b = (s + r) % parts;
                if (triangle) {
                    int64_t q = parts - 1;
                    a = s == 0 ? q : (r + s) % q;
                    b = s == 0 ? r : (r + q - s) % q;
                    if (a > b) {
                        int64_t swap = a;
                        a = b, b = swap;
                    }
                }
                int64_t end = (a + 1) * rows < n ? (a + 1) * rows : n;
                int64_t last = (b + 1) * columns < m ? (b + 1) * columns : m;
                product(p, i0 + a * rows, i0 + end, j0 + b * columns, j0 + last);
            }
        }
    }
}

static void product_rows(const product_t *p, int threads) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (int64_t i = p->left->first; i < p->row_end; i += UNIT)
        product(p, i, i + UNIT < p->row_end ? i + UNIT : p->row_end, p->right->first,
                p->column_end);
}

/* ---- exact answers --------------------------------------------------------------- */

/* A row with too many near ties: scan the data in float64, skipping rows that repeat k
   earlier ones, and stop once k zeros are found. */
static int64_t scan_alone(const sample_t *from, int64_t i, const sample_t *into, int self, int k,
                          const uint8_t *surplus, double *best, int32_t *index) {
    int count = 0;
    int64_t measured = 0;
    for (int64_t j = 0; j < into->n; j++) {
        if ((self && i == j) || (surplus && surplus[j])) continue;
        double limit = count == k ? best[k - 1] : INFINITY;
        if (limit == 0) break;
        keep_smallest(best, index, &count, k, exact_rows(from, i, into, j, limit), (int32_t)j);
        measured++;
    }
    return measured;
}

static int64_t finish_row(const job_t *job, const block_t *block, found_t *f, int64_t i,
                          const uint8_t *surplus, double *best, int32_t *index) {
    const sample_t *from = &job->sample[block->from], *into = &job->sample[block->into];
    int k = job->k, count = 0, self = block->from == block->into;
    int64_t measured = f->count[i];
    if (f->count[i] >= 0 && k > MAX_LIST) compact(f, f->slack, i);
    if (f->count[i] < 0)
        measured = scan_alone(from, i, into, self, k, surplus, best, index);
    else
        for (int at = 0; at < f->count[i]; at++) {
            candidate_t c = f->candidates[i * f->room + at];
            if (c.value > f->limit[i]) continue;
            double limit = count == k ? best[k - 1] : INFINITY;
            keep_smallest(best, index, &count, k, exact_rows(from, i, into, c.index, limit),
                          c.index);
        }
    for (int c = 0; c < k; c++) {
        block->distances[i * k + c] = sqrt(best[c]);
        if (block->indices) block->indices[i * k + c] = index[c];
    }
    return measured;
}

/* surplus[j] = 1 if row j repeats at least k + 1 earlier rows (one of which may be the
   query itself): it can change no distance. NULL if there is no memory: only slower. */
static uint8_t *surplus_rows(const sample_t *s, int k) {
    size_t bytes = (size_t)s->d * (s->is_double ? 8 : 4), slots = 64;
    while (slots < 2 * (size_t)s->n) slots *= 2;
    int32_t *head = allocate(slots, sizeof(int32_t));
    int32_t *copies = allocate((size_t)s->n, sizeof(int32_t));
    uint8_t *surplus = allocate((size_t)s->n, 1);
    if (head && copies && surplus) {
        memset(head, 0xff, slots * sizeof(int32_t));
        for (int64_t i = 0; i < s->n; i++) {
            const unsigned char *row = (const unsigned char *)s->rows + (size_t)i * bytes;
            uint64_t hash = 1469598103934665603u;
            for (size_t b = 0; b < bytes; b += 4) {
                uint32_t word;
                memcpy(&word, row + b, 4);
                hash = (hash ^ word) * 1099511628211u;
            }
            hash ^= hash >> 32;
            size_t at = (size_t)hash & (slots - 1);
            while (head[at] >= 0 && memcmp(row, (const unsigned char *)s->rows +
                                                    (size_t)head[at] * bytes, bytes) != 0)
                at = (at + 1) & (slots - 1);
            if (head[at] < 0) head[at] = (int32_t)i, copies[i] = 0;
            surplus[i] = ++copies[head[at]] > k + 1;
        }
    } else {
        release(surplus);
        surplus = NULL;
    }
    release(head), release(copies);
    return surplus;
}

static int finish(const job_t *job, const block_t *block, found_t *f, int64_t *n_candidates) {
    int status = KNN_OK, k = job->k, any = 0;
    int64_t total = 0;
    uint8_t *surplus = NULL;
    for (int64_t i = 0; i < f->n && !any; i++) any = f->count[i] < 0;
    if (any) surplus = surplus_rows(&job->sample[block->into], k);
#pragma omp parallel num_threads(job->n_threads) if (job->n_threads > 1) \
    reduction(| : status) reduction(+ : total)
    {
        double *best = allocate((size_t)k, sizeof(double));
        int32_t *index = allocate((size_t)k, sizeof(int32_t));
        if (!best || !index) status = KNN_NO_MEMORY;
#pragma omp for schedule(dynamic, 64)
        for (int64_t i = 0; i < f->n; i++)
            if (best && index) total += finish_row(job, block, f, i, surplus, best, index);
        release(best), release(index);
    }
    release(surplus);
    *n_candidates += total;
    return status;
}

/* ---- the job --------------------------------------------------------------------- */

/* Largest |x - centre| of one row. */
static double farthest(const sample_t *s, int64_t i, const double *centre) {
    int d = s->d, j = 0;
    vd most = vd_set(0);
    double lanes[DW], largest = 0;
    for (; j + DW <= d; j += DW) {
        vd x = s->is_double ? vd_load((const double *)s->rows + i * d + j)
                            : vd_widen((const float *)s->rows + i * d + j);
        most = vd_max(most, vd_abs(vd_sub(x, vd_load(centre + j))));
    }
    vd_store(lanes, most);
    for (int l = 0; l < DW; l++) largest = lanes[l] > largest ? lanes[l] : largest;
    for (; j < d; j++) {
        double x = s->is_double ? ((const double *)s->rows)[i * d + j]
                                : ((const float *)s->rows)[i * d + j];
        x = fabs(x - centre[j]);
        largest = x > largest ? x : largest;
    }
    return largest;
}

/* Whether all numbers of one row are integers. */
static int whole(const sample_t *s, int64_t i) {
    for (int j = 0; j < s->d; j++) {
        double x = s->is_double ? ((const double *)s->rows)[i * s->d + j]
                                : ((const float *)s->rows)[i * s->d + j];
        if (x != rint(x)) return 0;
    }
    return 1;
}

/* Centre of the second sample, and the power of two that brings |x - centre| below 1. If
   all numbers are small integers the product is exact, and *relative becomes 0. */
static double centre_and_scale(const job_t *job, double *centre, double *relative) {
    int d = job->sample[0].d, integers = 1;
    double largest = 0;
    const sample_t *y = &job->sample[1];
    int64_t step = y->n / 2048 + 1, rows = 0;
    for (int j = 0; j < d; j++) centre[j] = 0;
    for (int64_t i = 0; i < y->n; i += step, rows++)
        for (int j = 0; j < d; j++)
            centre[j] += y->is_double ? ((const double *)y->rows)[i * d + j]
                                      : ((const float *)y->rows)[i * d + j];
    for (int j = 0; j < d; j++) centre[j] /= (double)rows;
    for (int s = 0; s < 2; s++) {
        const sample_t *x = &job->sample[s];
        for (int64_t i = 0; i < x->n && integers; i += step)
            for (int j = 0; j < d && integers; j++) {
                double v = x->is_double ? ((const double *)x->rows)[i * d + j]
                                        : ((const float *)x->rows)[i * d + j];
                integers = v == rint(v);
            }
    }
    if (integers)
        for (int j = 0; j < d; j++) centre[j] = rint(centre[j]);
    for (int s = 0; s < 2; s++) {
        const sample_t *x = &job->sample[s];
        int whole_rows = integers;
#pragma omp parallel for schedule(static) num_threads(job->n_threads) \
    if (job->n_threads > 1) reduction(max : largest) reduction(& : whole_rows)
        for (int64_t i = 0; i < x->n; i++) {
            double most = farthest(x, i, centre);
            largest = most > largest ? most : largest;
            if (whole_rows) whole_rows = whole(x, i);
        }
        integers = whole_rows;
    }
    double du = d * ROUNDING;
    *relative = integers && 4.0 * d * largest * largest < 16777216.0
                    ? 0
                    : 0.5 * du / (1 - du) + 7 * ROUNDING;
    return largest > 0 ? ldexp(1, -ilogb(largest) - 1) : 1;
}

typedef struct {
    packed_t sample[2];
    panels_t left, right;
    view_t view;
    double relative;
} gemm_t;

/* All pairs of two samples, a pair of segments at a time. */
static int all_products(gemm_t *g, product_t *p) {
    packed_t *from = (packed_t *)p->from, *into = (packed_t *)p->into;
    int status = KNN_OK, threads = g->view.threads;
    p->left = &g->left, p->right = &g->right;
    for (int64_t i = 0; i < from->n; i += from->segment) {
        int64_t rows = from->n - i < from->segment ? from->n - i : from->segment;
        for (int64_t j = p->same ? i : 0; j < into->n; j += into->segment) {
            int64_t columns = into->n - j < into->segment ? into->n - j : into->segment;
            status |= pack(&g->left, from, i, &g->view);
            status |= pack(&g->right, into, j, &g->view);
            if (status != KNN_OK) return status;
            p->row_end = i + rows, p->column_end = j + columns;
            if (j == (p->same ? i : 0)) prime(p, threads);
            if (p->columns)
                product_rounds(p, threads);
            else
                product_rows(p, threads);
        }
    }
    return status;
}

static int gemm_block(const job_t *job, gemm_t *g, int row_block, int column_block,
                      int64_t *n_candidates) {
    const block_t *block = &job->block[row_block];
    packed_t *from = &g->sample[block->from], *into = &g->sample[block->into];
    found_t rows, columns;
    memset(&rows, 0, sizeof rows), memset(&columns, 0, sizeof columns);
    int same = from == into, other = column_block >= 0;
    int status = pack(&g->left, from, 0, &g->view) | pack(&g->right, into, 0, &g->view);
    if (status != KNN_OK) return status;
    find_largest(from), find_largest(into);
    status = found_make(&rows, from, into, job->k, g->relative);
    if (other) status |= found_make(&columns, into, from, job->k, g->relative);
    if (status == KNN_OK) {
        product_t p = {from, into, &rows, same ? &rows : other ? &columns : NULL, same,
                       NULL, NULL, 0, 0};
        status = all_products(g, &p);
        if (status == KNN_OK) status = finish(job, block, &rows, n_candidates);
        if (other && status == KNN_OK)
            status = finish(job, &job->block[column_block], &columns, n_candidates);
    }
    found_free(&rows), found_free(&columns);
    return status;
}

static int gemm_make(gemm_t *g, const job_t *job, double *centre) {
    int d = job->sample[0].d, status = KNN_OK;
    int64_t most = 0;
    g->view.centre = centre, g->view.threads = job->n_threads;
    g->view.scale = centre_and_scale(job, centre, &g->relative);
    for (int s = 0; s < 2; s++) {
        int used = 0;
        for (int b = 0; b < job->n_blocks; b++)
            used |= job->block[b].from == s || job->block[b].into == s;
        if (used)
            status |= packed_make(&g->sample[s], &job->sample[s], &g->view, job->segment_bytes);
        if (used && g->sample[s].segment > most) most = g->sample[s].segment;
    }
    g->left.size = MR, g->left.factor = -2, g->right.size = NR, g->right.factor = 1;
    g->left.cells = allocate((size_t)most * (size_t)d, sizeof(float));
    g->right.cells = allocate((size_t)most * (size_t)d, sizeof(float));
    return g->left.cells && g->right.cells ? status : KNN_NO_MEMORY;
}

int ISA_NAME(knn_gemm)(const job_t *job, int64_t *n_candidates) {
    int status, crossed = -1;
    gemm_t g;
    double *centre = allocate((size_t)job->sample[0].d, sizeof(double));
    memset(&g, 0, sizeof g);
    status = centre ? gemm_make(&g, job, centre) : KNN_NO_MEMORY;
    for (int b = 0; b < job->n_blocks && status == KNN_OK; b++) {
        int other = -1;
        if (b == crossed) continue;
        for (int c = b + 1; c < job->n_blocks; c++)
            if (job->block[b].from != job->block[b].into &&
                job->block[c].from == job->block[b].into && job->block[c].into == job->block[b].from)
                other = crossed = c;
        status = gemm_block(job, &g, b, other, n_candidates);
    }
    for (int s = 0; s < 2; s++) release(g.sample[s].norm);
    release(g.left.cells), release(g.right.cells), release(centre);
    return status;
}
