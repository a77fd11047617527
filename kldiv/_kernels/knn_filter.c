/* Filter and refine: a cheap lower bound on every distance, from short codes of the rows,
   decides which distances are measured in float64. Codes are float32 coordinates, or
   bytes whose products are exact integers. The bounds are derived in precision.rst. */
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
#define QUERIES (2 * MR) /* rows whose bounds are in memory at once */
#define CHUNK 4096       /* columns of them; a multiple of NR */
#define ROUNDING 5.960464477539063e-08
#define FAR 2147483647   /* bound of a row that is never measured, as a byte-code bound */

#if defined(__AVX512VNNI__)
#define HAS_BYTES 1
#else
#define HAS_BYTES 0
#endif

/* Bounds are int32 for byte codes and float32 for float codes; positive floats have the
   order of their bits, so one comparison of int32 serves both. */
typedef int32_t bound_t;

INLINE bound_t bound_of_float(float v) {
    bound_t bits;
    if (!(v > 0)) v = 0;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* The data side of a block, packed. */
typedef struct {
    const filter_t *filter;
    const codes_t *codes;
    int64_t n, padded;
    int width, groups; /* groups: columns per step, 4 bytes each, or 1 float */
    void *panels;      /* [panel][group][NR][4 bytes] */
    bound_t *norm;     /* int32 or float bits; FAR beyond n and for surplus rows */
    double radius;     /* largest radius */
    double largest;    /* largest squared norm of float codes */
} data_t;

/* ---- packing --------------------------------------------------------------------- */

/* Row i into slot r of a panel of `rows` rows; bytes of the data side are shifted to
   signed. Returns the norm: int32, or float bits. */
static bound_t pack_row(const filter_t *f, const codes_t *codes, int64_t i, int rows, int r,
                        int groups, int shift, void *panel) {
    int w = f->width;
    if (f->is_integer) {
        const uint8_t *x = (const uint8_t *)codes->codes + i * w;
        uint8_t *out = (uint8_t *)panel + r * 4;
        int32_t squares = 0, sum = 0;
        for (int j = 0; j < w; j++) {
            squares += x[j] * x[j], sum += x[j];
            out[(j / 4) * rows * 4 + (j & 3)] = (uint8_t)(shift ? x[j] - 128 : x[j]);
        }
        for (int j = w; j < 4 * groups; j++) out[(j / 4) * rows * 4 + (j & 3)] = 0;
        /* x(y - 128) = xy - 128 sum x, so |x|^2 - 256 sum x + |y|^2 - 2 x(y - 128) */
        return shift ? squares : squares - 256 * sum;
    }
    const float *x = (const float *)codes->codes + i * w;
    float *out = (float *)panel + r, total;
    double squares = 0;
    bound_t bits;
    for (int j = 0; j < w; j++) {
        squares += (double)x[j] * x[j];
        out[j * rows] = shift ? x[j] : -2 * x[j];
    }
    total = (float)squares;
    memcpy(&bits, &total, sizeof bits);
    return bits;
}

/* Mark rows that repeat at least k + 1 earlier ones: they can change no distance. Codes
   say which rows can be equal, the rows themselves whether they are. */
static int mark_surplus(const filter_t *f, const codes_t *codes, const sample_t *s, int k,
                        bound_t *norm) {
    size_t code = (size_t)f->width * (f->is_integer ? 1 : 4), slots = 64;
    size_t bytes = (size_t)s->d * (s->is_double ? 8 : 4);
    while (slots < 2 * (size_t)s->n) slots *= 2;
    int32_t *head = allocate(slots, sizeof(int32_t));
    int32_t *copies = allocate((size_t)s->n, sizeof(int32_t));
    if (head && copies) {
        memset(head, 0xff, slots * sizeof(int32_t));
        for (int64_t i = 0; i < s->n; i++) {
            const uint8_t *x = (const uint8_t *)codes->codes + (size_t)i * code;
            const uint8_t *row = (const uint8_t *)s->rows + (size_t)i * bytes;
            uint64_t hash = 1469598103934665603u, word = 0;
            for (size_t b = 0; b < code; b += 8) {
                memcpy(&word, x + b, code - b < 8 ? code - b : 8);
                hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
                hash ^= hash >> 29;
            }
            size_t at = (size_t)hash & (slots - 1);
            while (head[at] >= 0 &&
                   memcmp(row, (const uint8_t *)s->rows + (size_t)head[at] * bytes, bytes) != 0)
                at = (at + 1) & (slots - 1);
            if (head[at] < 0) head[at] = (int32_t)i, copies[i] = 0;
            if (++copies[head[at]] > k + 1) norm[i] = FAR;
        }
    }
    int status = head && copies ? KNN_OK : KNN_NO_MEMORY;
    release(head), release(copies);
    return status;
}

static void data_free(data_t *t) { release(t->panels), release(t->norm); }

static int data_make(data_t *t, const job_t *job, const filter_t *f, int which) {
    const codes_t *codes = &f->sample[which];
    memset(t, 0, sizeof *t);
    t->filter = f, t->codes = codes, t->n = codes->n, t->width = f->width;
    t->groups = f->is_integer ? (f->width + 3) / 4 : f->width;
    t->padded = (t->n + NR - 1) / NR * NR;
    size_t bytes = (size_t)t->padded * (size_t)t->groups * 4;
    t->panels = allocate(bytes, 1), t->norm = allocate((size_t)t->padded, sizeof(bound_t));
    if (!t->panels || !t->norm) return KNN_NO_MEMORY;
    for (int64_t i = 0; i < t->n; i++)
        if (codes->radius[i] > t->radius) t->radius = codes->radius[i];
#pragma omp parallel for schedule(static) num_threads(job->n_threads) if (job->n_threads > 1)
    for (int64_t p = 0; p < t->padded; p += NR) {
        char *panel = (char *)t->panels + (size_t)p * (size_t)t->groups * 4;
        if (p + NR > t->n) memset(panel, 0, (size_t)NR * (size_t)t->groups * 4);
        for (int r = 0; r < NR; r++)
            t->norm[p + r] =
                p + r < t->n ? pack_row(f, codes, p + r, NR, r, t->groups, 1, panel) : FAR;
    }
    for (int64_t i = 0; i < t->n && !f->is_integer; i++) {
        float v;
        memcpy(&v, &t->norm[i], sizeof v);
        if (v > t->largest) t->largest = v;
    }
    return mark_surplus(f, codes, &job->sample[which], job->k, t->norm);
}

/* ---- bounds ---------------------------------------------------------------------- */

#if HAS_BYTES
/* c += products of unsigned x and signed y, four at a time. The intrinsic makes gcc 12
   copy and spill the accumulators. */
INLINE void dot_bytes(__m512i *c, __m512i x, __m512i y) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*c) : "v"(x), "v"(y));
}

/* |x - y|^2 of byte codes, exact, for MR rows and the columns of one panel. */
INLINE void byte_tile(int groups, const void *left, const bound_t *row_norm, const void *right,
                   const bound_t *norm, bound_t *out) {
    const int32_t *a = left;
    const int8_t *b = right;
    __m512i c[MR][NV];
    UNROLL for (int i = 0; i < MR; i++)
        UNROLL for (int v = 0; v < NV; v++) c[i][v] = _mm512_setzero_si512();
    for (const int32_t *end = a + (int64_t)groups * MR; a < end; a += MR, b += NR * 4) {
        __m512i y0 = _mm512_loadu_si512(b), y1 = _mm512_loadu_si512(b + 64);
        PREFETCH(b + 1024), PREFETCH(b + 1088);
        UNROLL for (int i = 0; i < MR; i++) {
            __m512i x = _mm512_set1_epi32(a[i]);
            dot_bytes(&c[i][0], x, y0), dot_bytes(&c[i][1], x, y1);
        }
    }
    const __m512i far = _mm512_set1_epi32(FAR);
    UNROLL for (int v = 0; v < NV; v++) {
        __m512i n = _mm512_loadu_si512(norm + v * 16);
        __mmask16 gone = _mm512_cmpeq_epi32_mask(n, far);
        UNROLL for (int i = 0; i < MR; i++) {
            __m512i r = _mm512_add_epi32(_mm512_set1_epi32(row_norm[i]), n);
            r = _mm512_sub_epi32(r, _mm512_slli_epi32(c[i][v], 1));
            _mm512_storeu_si512(out + i * CHUNK + v * 16, _mm512_mask_mov_epi32(r, gone, far));
        }
    }
}
#endif

INLINE void float_tile(int width, const void *left, const bound_t *row_norm, const void *right,
                    const bound_t *norm, bound_t *out) {
    const float *a = left, *b = right;
    vf c[MR][NV], zero = vf_set(0);
    UNROLL for (int i = 0; i < MR; i++) UNROLL for (int v = 0; v < NV; v++) c[i][v] = zero;
    for (const float *end = a + (int64_t)width * MR; a < end; a += MR, b += NR) {
        vf y[NV];
        UNROLL for (int v = 0; v < NV; v++) y[v] = vf_load(b + v * FW);
        UNROLL for (int i = 0; i < MR; i++) {
            vf x = vf_set(a[i]);
            UNROLL for (int v = 0; v < NV; v++) c[i][v] = vf_fma(x, y[v], c[i][v]);
        }
    }
    float n[NR];
    int gone = 0;
    memcpy(n, norm, sizeof n);
    for (int v = 0; v < NR; v++)
        if (norm[v] == FAR) n[v] = 0, gone = 1;
    UNROLL for (int i = 0; i < MR; i++) {
        float x, lane[FW];
        memcpy(&x, &row_norm[i], sizeof x);
        UNROLL for (int v = 0; v < NV; v++) {
            vf r = vf_add(vf_add(c[i][v], vf_set(x)), vf_load(n + v * FW));
            vf_store(lane, vf_max(r, zero));
            memcpy(out + i * CHUNK + v * FW, lane, sizeof lane);
        }
    }
    for (int v = 0; gone && v < NR; v++)
        for (int i = 0; i < MR && norm[v] == FAR; i++) out[i * CHUNK + v] = FAR;
}

/* Bounds of QUERIES rows against columns [first, last). */
static void bounds(const data_t *t, const void *left, const bound_t *row_norm, int64_t first,
                   int64_t last, bound_t *out) {
    size_t step = (size_t)MR * (size_t)t->groups * 4;
    for (int64_t j = first; j < last; j += NR) {
        const char *right = (const char *)t->panels + (size_t)j * (size_t)t->groups * 4;
        for (int p = 0; p < QUERIES / MR; p++) {
            const char *a = (const char *)left + (size_t)p * step;
            bound_t *place = out + (size_t)p * MR * CHUNK + (j - first);
#if HAS_BYTES
            if (t->filter->is_integer) {
                byte_tile(t->groups, a, row_norm + p * MR, right, t->norm + j, place);
                continue;
            }
#endif
            float_tile(t->width, a, row_norm + p * MR, right, t->norm + j, place);
        }
    }
}

/* ---- one query ------------------------------------------------------------------- */

typedef struct {
    const sample_t *from, *into;
    int64_t row;
    int self, k, count;
    double *best;
    int32_t *index;
    double radius, slack, unit; /* see threshold() */
    int is_integer;
    int64_t measured;
} query_t;

/* A row with a bound at or above this cannot be nearer than the k-th found so far. */
static bound_t threshold(const query_t *q) {
    if (q->count < q->k) return FAR;
    double reach = sqrt(q->best[q->k - 1]) * q->unit * (1 + 1e-9) + q->radius;
    double square = reach * reach * (1 + 1e-9) + q->slack;
    if (q->is_integer) return square < 2e9 ? (bound_t)square + 1 : FAR;
    return square < 1e38 ? bound_of_float((float)(square * (1 + 2e-7))) + 1 : FAR;
}

static void measure(query_t *q, int64_t j) {
    double limit = q->count == q->k ? q->best[q->k - 1] : INFINITY;
    keep_smallest(q->best, q->index, &q->count, q->k,
                  exact_rows(q->from, q->row, q->into, j, limit), (int32_t)j);
    q->measured++;
}

INLINE void prefetch_row(const sample_t *s, int64_t j) {
    const char *row = (const char *)s->rows + j * s->d * (s->is_double ? 8 : 4);
    int bytes = s->d * (s->is_double ? 8 : 4);
    for (int b = 0; b < bytes && b < 1024; b += 64) PREFETCH(row + b);
}

/* Columns of row[0..n) with a bound below `limit`, in order, into list; their number. */
static int below(const bound_t *row, int n, bound_t limit, int32_t *list) {
    int count = 0;
#if defined(__AVX512F__)
    __m512i top = _mm512_set1_epi32(limit);
    for (int j = 0; j < n; j += 16) {
        unsigned hit = _mm512_cmplt_epi32_mask(_mm512_loadu_si512(row + j), top);
        for (; hit; hit &= hit - 1) list[count++] = j + lowest_bit(hit);
    }
#else
    for (int j = 0; j < n; j++) {
        list[count] = j;
        count += row[j] < limit;
    }
#endif
    return count;
}

/* The `wanted` smallest bounds of a row, ascending, into list; their number. */
static int smallest(const bound_t *row, int n, int wanted, int32_t *list, bound_t *value) {
    int count = 0;
    bound_t worst = FAR;
    for (int j = 0; j < n; j += 16) {
        unsigned hit = 0;
#if defined(__AVX512F__)
        hit = _mm512_cmplt_epi32_mask(_mm512_loadu_si512(row + j), _mm512_set1_epi32(worst));
#else
        for (int l = 0; l < 16 && j + l < n; l++) hit |= (unsigned)(row[j + l] < worst) << l;
#endif
        for (; hit; hit &= hit - 1) {
            int at = j + lowest_bit(hit), p;
            bound_t v = row[at];
            if (v >= worst) continue;
            p = count < wanted ? count++ : wanted - 1;
            for (; p > 0 && value[p - 1] > v; p--) value[p] = value[p - 1], list[p] = list[p - 1];
            value[p] = v, list[p] = at;
            if (count == wanted) worst = value[wanted - 1];
        }
    }
    return count;
}

/* Refine one query with the bounds of columns [first, first + n). `row` is spoiled. */
static void refine(query_t *q, bound_t *row, int64_t first, int n, int32_t *list,
                   bound_t *value) {
    int64_t own = q->row - first;
    if (q->self && own >= 0 && own < n) row[own] = FAR;
    if (q->count == q->k && q->best[q->k - 1] == 0) return;
    if (q->count < q->k) {
        int wanted = q->k < 16 ? 2 * q->k : q->k + 16;
        int seeds = smallest(row, n, wanted, list, value);
        for (int c = 0; c < seeds; c++) {
            if (c + 1 < seeds) prefetch_row(q->into, first + list[c + 1]);
            if (q->count == q->k && value[c] >= threshold(q)) break;
            measure(q, first + list[c]);
            row[list[c]] = FAR;
        }
        if (q->count == q->k && q->best[q->k - 1] == 0) return;
    }
    bound_t limit = threshold(q);
    int found = below(row, n, limit, list);
    for (int c = 0; c < found; c++) {
        if (c + 1 < found) prefetch_row(q->into, first + list[c + 1]);
        if (row[list[c]] >= limit) continue;
        double before = q->count == q->k ? q->best[q->k - 1] : INFINITY;
        measure(q, first + list[c]);
        if (q->count == q->k && q->best[q->k - 1] < before) limit = threshold(q);
    }
}

/* ---- the job --------------------------------------------------------------------- */

typedef struct {
    void *left;
    bound_t *row_norm, *bounds, *value;
    int32_t *list, *index;
    double *best;
} scratch_t;

static int scratch_make(scratch_t *s, const data_t *t, int k) {
    s->left = allocate((size_t)QUERIES * (size_t)t->groups, 4);
    s->row_norm = allocate(QUERIES, sizeof(bound_t));
    s->bounds = allocate((size_t)QUERIES * CHUNK, sizeof(bound_t));
    s->value = allocate((size_t)(2 * k + 32), sizeof(bound_t));
    s->list = allocate((size_t)(CHUNK + 2 * k + 32), sizeof(int32_t));
    s->index = allocate((size_t)(QUERIES * k), sizeof(int32_t));
    s->best = allocate((size_t)(QUERIES * k), sizeof(double));
    return s->left && s->row_norm && s->bounds && s->value && s->list && s->index && s->best
               ? KNN_OK
               : KNN_NO_MEMORY;
}

static void scratch_free(scratch_t *s) {
    release(s->left), release(s->row_norm), release(s->bounds), release(s->value);
    release(s->list), release(s->index), release(s->best);
}

static query_t query_of(const job_t *job, const filter_t *f, const block_t *block,
                        const data_t *t, int64_t row, bound_t norm, double *best, int32_t *index) {
    query_t q = {0};
    q.from = &job->sample[block->from], q.into = &job->sample[block->into];
    q.row = row, q.self = block->from == block->into, q.k = job->k;
    q.best = best, q.index = index;
    q.radius = f->sample[block->from].radius[row] + t->radius;
    q.unit = f->unit, q.is_integer = f->is_integer;
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
static int64_t filter_rows(const job_t *job, const filter_t *f, const block_t *block,
                           const data_t *t, int64_t first, scratch_t *s) {
    const codes_t *codes = &f->sample[block->from];
    int k = job->k;
    int rows = (int)(codes->n - first < QUERIES ? codes->n - first : QUERIES);
    query_t query[QUERIES];
    int64_t measured = 0;
    memset(s->left, 0, (size_t)QUERIES * (size_t)t->groups * 4);
    memset(s->row_norm, 0, QUERIES * sizeof(bound_t));
    for (int r = 0; r < rows; r++) {
        char *panel = (char *)s->left + (size_t)(r / MR) * MR * (size_t)t->groups * 4;
        int64_t row = codes->order ? codes->order[first + r] : first + r;
        s->row_norm[r] = pack_row(f, codes, row, MR, r % MR, t->groups, 0, panel);
        query[r] =
            query_of(job, f, block, t, row, s->row_norm[r], s->best + r * k, s->index + r * k);
    }
    for (int64_t c = 0; c < t->padded; c += CHUNK) {
        int64_t last = c + CHUNK < t->padded ? c + CHUNK : t->padded;
        bounds(t, s->left, s->row_norm, c, last, s->bounds);
        for (int r = 0; r < rows; r++)
            refine(&query[r], s->bounds + (size_t)r * CHUNK, c, (int)(last - c), s->list,
                   s->value);
    }
    for (int r = 0; r < rows; r++) {
        measured += query[r].measured;
        for (int i = 0; i < k; i++) {
            int64_t at = query[r].row * k + i;
            block->distances[at] = sqrt(query[r].best[i]);
            if (block->indices) block->indices[at] = query[r].index[i];
        }
    }
    return measured;
}

static int filter_block(const job_t *job, const filter_t *f, const block_t *block,
                        const data_t *t, int64_t *measured) {
    int status = KNN_OK;
    int64_t n = f->sample[block->from].n, total = 0;
#pragma omp parallel num_threads(job->n_threads) if (job->n_threads > 1) \
    reduction(| : status) reduction(+ : total)
    {
        scratch_t s;
        status |= scratch_make(&s, t, job->k);
#pragma omp for schedule(dynamic, 2)
        for (int64_t first = 0; first < n; first += QUERIES)
            if (status == KNN_OK) total += filter_rows(job, f, block, t, first, &s);
        scratch_free(&s);
    }
    *measured = total;
    return status;
}

int ISA_NAME(knn_filter)(const job_t *job, const filter_t *f) {
    data_t data[2];
    int used[2] = {0, 0}, status = KNN_OK;
    memset(data, 0, sizeof data);
    for (int b = 0; b < job->n_blocks; b++) used[job->block[b].into] = 1;
    for (int s = 0; s < 2; s++)
        if (used[s]) status |= data_make(&data[s], job, f, s);
    for (int b = 0; b < job->n_blocks && status == KNN_OK; b++)
        status = filter_block(job, f, &job->block[b], &data[job->block[b].into],
                              &f->n_candidates[b]);
    data_free(&data[0]), data_free(&data[1]);
    return status;
}
