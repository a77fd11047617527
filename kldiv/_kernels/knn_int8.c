/* Brute force on bytes: every number becomes one byte, products of bytes are exact, and
   |code distance - distance| is at most the sum of two radii. So codes alone bound the
   k-th distance from above and every distance from below; what is left is measured in
   float64. Data are coded and packed in segments of bounded size, and only a block of
   queries is in memory at a time. The bounds are derived in precision.rst. */
#include "knn_exact.h"
#include <string.h>

#if defined(__AVX512VNNI__) && defined(__AVX512F__)

#define NR 32                    /* rows of a panel of the data */
#define MR 12                    /* queries of a tile without matrix registers */
#define BLOCK 192                /* queries of a block; a multiple of MR and of NR */
#define STRIP 16                  /* panels that give the first bounds */
#define LANES 16
#define NARROW 64                /* below, measuring costs less than deciding */
#define NOT_YET 2147483647
#define FAR_HALF 1073741823 /* half a squared norm that no product reaches */
#define NEVER (-1073741824) /* a test that no product passes */

/* Codes of a segment of one sample, packed, and how all codes are made. */
typedef struct {
    int d, groups, per, matrix; /* groups of 4 columns; per: groups of one step */
    int exact;                  /* codes are the data, up to a shift */
    double step;
    double *low;             /* (d,) */
    const sample_t *rows;    /* what the segment is cut from */
    int64_t first, n, room;  /* rows first .. first + n of it; room: of the buffers */
    uint8_t *panels;         /* [panel][group][NR][4] */
    int32_t *norm, *half;    /* squared norms of codes, and half of them */
    uint64_t *hash;          /* of the rows as given */
    float *radius;           /* of the rows */
    int32_t *head, *copies;  /* table of different rows */
    double largest;          /* radius */
} segment_t;

typedef struct {
    int32_t index, value;
} candidate_t;

/* A block of queries at work; one per thread. */
typedef struct {
    uint8_t *left, *lines;
    int32_t *products; /* (STRIP, BLOCK, NR) */
    int32_t *test;     /* (BLOCK,) a product above half[j] - test[i] may matter */
    int32_t *limit;    /* (BLOCK,) a squared code distance below it may matter */
    int32_t *norm;     /* (BLOCK,) |x|^2 - 256 sum x */
    int32_t *list;     /* (BLOCK, LANES) smallest squared code distances */
    int32_t *applied;  /* (BLOCK,) k-th of them when the limit was set */
    double *radius;    /* (BLOCK,) of query and segment together */
    candidate_t *candidates; /* (BLOCK, room) */
    int *count, *known;      /* candidates; neighbours measured */
    double *best;            /* (BLOCK, k) squares */
    int32_t *index;
    int room;
    int64_t measured;
} work_t;

/* ---- codes ----------------------------------------------------------------------- */

INLINE uint64_t mix(uint64_t h) {
    h = (h ^ (h >> 32)) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

/* Hash of the bytes of a row. */
static uint64_t hash_row(const sample_t *s, int64_t i) {
    size_t bytes = (size_t)s->d * (s->is_double ? 8 : 4), b = 0;
    const uint8_t *row = (const uint8_t *)s->rows + (size_t)i * bytes;
    uint64_t lane[8], h = 0;
    __m512i sum = _mm512_set1_epi64(0x51ed270b);
    for (; b + 64 <= bytes; b += 64) {
        sum = _mm512_add_epi64(_mm512_rol_epi64(sum, 11), _mm512_loadu_si512(row + b));
        sum = _mm512_xor_si512(sum, _mm512_srli_epi64(sum, 29));
    }
    _mm512_storeu_si512(lane, sum);
    for (int l = 0; l < 8; l++) h = mix(h ^ lane[l]);
    for (; b < bytes; b += 4) {
        uint32_t word;
        memcpy(&word, row + b, 4);
        h = mix(h ^ word);
    }
    return h;
}

/* Codes of one row into `line` (padded with zeros); norm and sum of them. Returns the
   radius in units of the step. */
static double code_row(const segment_t *t, const sample_t *s, int64_t i, uint8_t *line,
                       int32_t *norm, int32_t *sum) {
    int d = s->d;
    const double *wide = (const double *)s->rows + i * d;
    const float *narrow = (const float *)s->rows + i * d;
    __m512d lost = _mm512_setzero_pd(), step = _mm512_set1_pd(t->step);
    __m512d inverse = _mm512_set1_pd(1 / t->step);
    __m256i squares = _mm256_setzero_si256(), total = squares;
    for (int j = 0; j < d; j += 8) {
        __mmask8 in = d - j < 8 ? (__mmask8)((1u << (d - j)) - 1) : 0xff;
        __m512d x = s->is_double ? _mm512_maskz_loadu_pd(in, wide + j)
                                 : _mm512_cvtps_pd(_mm256_maskz_loadu_ps(in, narrow + j));
        x = _mm512_maskz_sub_pd(in, x, _mm512_maskz_loadu_pd(in, t->low + j));
        __m256i code = _mm512_cvtpd_epi32(_mm512_mul_pd(x, inverse));
        __m512d off = _mm512_fnmadd_pd(_mm512_cvtepi32_pd(code), step, x);
        lost = _mm512_fmadd_pd(off, off, lost);
        squares = _mm256_add_epi32(squares, _mm256_madd_epi16(code, code));
        total = _mm256_add_epi32(total, code);
        _mm256_mask_cvtepi32_storeu_epi8(line + j, in, code);
    }
    memset(line + d, 0, (size_t)(4 * t->groups - d));
    *norm = _mm512_reduce_add_epi32(_mm512_zextsi256_si512(squares));
    *sum = _mm512_reduce_add_epi32(_mm512_zextsi256_si512(total));
    if (t->exact) return 0;
    double off = sqrt(_mm512_reduce_add_pd(lost)) / t->step * (1 + 1e-9);
    return (off + 2.56e-13 * sqrt((double)d)) * (1 + 1e-6);
}

/* Pack the rows of one panel of the segment; codes of the data are shifted to signed. */
static void pack_panel(const segment_t *t, int64_t p, uint8_t *lines) {
    size_t width = 4 * (size_t)t->groups;
    int rows = (int)(t->n - p < NR ? t->n - p : NR);
    uint32_t *out = (uint32_t *)(t->panels + (size_t)p * width);
    memset(lines, 0, NR * width);
    for (int r = 0; r < rows; r++) {
        int32_t sum;
        t->radius[p + r] = (float)(1.0000002 * code_row(t, t->rows, t->first + p + r,
                                                        lines + r * width, t->norm + p + r,
                                                        &sum));
        t->half[p + r] = t->norm[p + r] >> 1;
        t->hash[p + r] = hash_row(t->rows, t->first + p + r);
    }
    for (int r = rows; r < NR; r++) t->norm[p + r] = 0, t->half[p + r] = FAR_HALF;
    for (int r = 0; r < NR; r++)
        for (int g = 0; g < t->groups; g++) {
            uint32_t word;
            memcpy(&word, lines + r * width + 4 * g, 4);
            out[g * NR + r] = word ^ 0x80808080u;
        }
}

/* Rows that repeat more than k + 1 earlier ones of the segment (one of which may be the
   query itself) can change no distance: they become FAR. */
static void mark_surplus(segment_t *t, int k) {
    size_t bytes = (size_t)t->d * (t->rows->is_double ? 8 : 4), slots = 64;
    const uint8_t *rows = (const uint8_t *)t->rows->rows + (size_t)t->first * bytes;
    while (slots < 2 * (size_t)t->n) slots *= 2;
    memset(t->head, 0xff, slots * sizeof(int32_t));
    for (int64_t i = 0; i < t->n; i++) {
        size_t at = (size_t)(t->hash[i] >> 7) & (slots - 1);
        while (t->head[at] >= 0 &&
               (t->hash[t->head[at]] != t->hash[i] ||
                memcmp(rows + (size_t)i * bytes, rows + (size_t)t->head[at] * bytes, bytes)))
            at = (at + 1) & (slots - 1);
        if (t->head[at] < 0) t->head[at] = (int32_t)i, t->copies[i] = 0;
        if (++t->copies[t->head[at]] > k + 1) t->half[i] = FAR_HALF;
    }
}

/* ---- how codes are made ---------------------------------------------------------- */

typedef struct {
    double *low, *high;
    int integers;
} ranges_t;

#define DEFINE_WIDEN(name, T)                                                         \
    static void name(const T *RESTRICT x, int64_t n, int d, T *RESTRICT low,          \
                     T *RESTRICT high, ranges_t *r) {                                 \
        for (int j = 0; j < d; j++) low[j] = high[j] = x[j];                          \
        for (int64_t i = 0; i < n; i++, x += d) {                                     \
            for (int j = 0; j < d; j++) {                                             \
                low[j] = x[j] < low[j] ? x[j] : low[j];                               \
                high[j] = x[j] > high[j] ? x[j] : high[j];                            \
            }                                                                         \
            for (int j = 0; j < d && r->integers; j++)                                \
                r->integers = (double)x[j] == rint((double)x[j]);                     \
        }                                                                             \
        for (int j = 0; j < d; j++) {                                                 \
            r->low[j] = low[j] < r->low[j] ? (double)low[j] : r->low[j];              \
            r->high[j] = high[j] > r->high[j] ? (double)high[j] : r->high[j];         \
        }                                                                             \
    }
DEFINE_WIDEN(widen_double, double)
DEFINE_WIDEN(widen_float, float)

#define RANGE_ROWS 256

/* Ranges of all columns of the samples that the job names. */
static int find_ranges(const job_t *job, ranges_t *total) {
    int d = job->sample[0].d, used[2] = {0, 0}, status = KNN_OK;
    for (int b = 0; b < job->n_blocks; b++)
        used[job->block[b].from] = used[job->block[b].into] = 1;
    total->integers = 1;
    for (int j = 0; j < d; j++) total->low[j] = INFINITY, total->high[j] = -INFINITY;
#pragma omp parallel num_threads(job->n_threads) if (job->n_threads > 1) reduction(| : status)
    {
        double *own = allocate(4 * (size_t)d, sizeof(double));
        ranges_t r = {own, own + d, 1};
        if (!own) status = KNN_NO_MEMORY;
        for (int j = 0; j < d && own; j++) r.low[j] = INFINITY, r.high[j] = -INFINITY;
        for (int s = 0; s < 2; s++) {
            const sample_t *x = &job->sample[s];
#pragma omp for schedule(static)
            for (int64_t i = 0; i < (used[s] ? x->n : 0); i += RANGE_ROWS) {
                int64_t rows = x->n - i < RANGE_ROWS ? x->n - i : RANGE_ROWS;
                if (own && x->is_double)
                    widen_double((const double *)x->rows + i * d, rows, d, own + 2 * d,
                                 own + 3 * d, &r);
                else if (own)
                    widen_float((const float *)x->rows + i * d, rows, d, (float *)(own + 2 * d),
                                (float *)(own + 3 * d), &r);
            }
        }
#pragma omp critical
        for (int j = 0; j < d && own; j++) {
            total->low[j] = r.low[j] < total->low[j] ? r.low[j] : total->low[j];
            total->high[j] = r.high[j] > total->high[j] ? r.high[j] : total->high[j];
            total->integers &= r.integers;
        }
        release(own);
    }
    return status;
}

static void segment_free(segment_t *t) {
    release(t->low), release(t->panels), release(t->norm), release(t->half);
    release(t->hash), release(t->radius), release(t->head), release(t->copies);
}

static int segment_make(segment_t *t, const job_t *job) {
    int d = job->sample[0].d, steps = ((d + 3) / 4 + 15) / 16;
    int64_t most = 0;
    memset(t, 0, sizeof *t);
    t->d = d, t->matrix = job->matrix;
    t->per = ((d + 3) / 4 + steps - 1) / steps, t->groups = t->per * steps;
    for (int b = 0; b < job->n_blocks; b++) {
        int64_t n = job->sample[job->block[b].into].n;
        most = n > most ? n : most;
    }
    t->room = job->segment_bytes / (4 * t->groups) / NR * NR;
    if (t->room < NR) t->room = NR;
    most = (most + NR - 1) / NR * NR;
    t->room = most < t->room ? most : t->room;
    size_t room = (size_t)t->room, slots = 64;
    while (slots < 2 * room) slots *= 2;
    t->low = allocate(2 * (size_t)d, sizeof(double));
    t->panels = allocate(room * (size_t)t->groups, 4);
    t->norm = allocate(room, sizeof(int32_t));
    t->half = allocate(room, sizeof(int32_t));
    t->hash = allocate(room, sizeof(uint64_t));
    t->radius = allocate(room, sizeof(float));
    t->head = allocate(slots, sizeof(int32_t));
    t->copies = allocate(room, sizeof(int32_t));
    if (!t->low || !t->panels || !t->norm || !t->half || !t->hash || !t->radius || !t->head ||
        !t->copies)
        return KNN_NO_MEMORY;
    ranges_t r = {t->low, t->low + d, 1};
    if (find_ranges(job, &r) != KNN_OK) return KNN_NO_MEMORY;
    double range = 0;
    for (int j = 0; j < d; j++)
        if (r.high[j] - r.low[j] > range) range = r.high[j] - r.low[j];
    t->exact = range == 0 || (r.integers && range <= 255);
    t->step = t->exact ? 1 : range / 255;
    return KNN_OK;
}

/* ---- tiles ----------------------------------------------------------------------- */

/* c += products of unsigned x and signed y, four at a time. The intrinsic makes gcc 12
   copy and spill the accumulators. */
INLINE void dot_bytes(__m512i *c, __m512i x, __m512i y) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*c) : "v"(x), "v"(y));
}

/* Products of MR queries [group][MR][4] and a panel into out (MR, NR). */
static void vector_tile(int groups, const uint8_t *left, const uint8_t *right, int32_t *out) {
    const int32_t *a = (const int32_t *)left;
    __m512i c[MR][2];
    UNROLL for (int i = 0; i < MR; i++)
        UNROLL for (int v = 0; v < 2; v++) c[i][v] = _mm512_setzero_si512();
    for (const int32_t *end = a + (int64_t)groups * MR; a < end; a += MR, right += NR * 4) {
        __m512i y0 = _mm512_loadu_si512(right), y1 = _mm512_loadu_si512(right + 64);
        PREFETCH(right + 1024), PREFETCH(right + 1088);
        UNROLL for (int i = 0; i < MR; i++) {
            __m512i x = _mm512_set1_epi32(a[i]);
            dot_bytes(&c[i][0], x, y0), dot_bytes(&c[i][1], x, y1);
        }
    }
    UNROLL for (int i = 0; i < MR; i++)
        UNROLL for (int v = 0; v < 2; v++)
            _mm512_storeu_si512(out + i * NR + v * LANES, c[i][v]);
}

#if ISA_KNOWS_MATRIX
/* Not inlined: the intrinsics of gcc do not say which memory they read. */
#define ON_MATRIX __attribute__((noinline, target("amx-tile,amx-int8")))

typedef struct {
    uint8_t palette, start, unused[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_shapes_t;

/* Tiles 0..3: sums; 4, 5: queries; 6, 7: data. */
ON_MATRIX static void matrix_begin(int per) {
    tile_shapes_t shapes;
    memset(&shapes, 0, sizeof shapes);
    shapes.palette = 1;
    for (int i = 0; i < 8; i++) shapes.rows[i] = 16, shapes.bytes[i] = 64;
    for (int i = 4; i < 6; i++) shapes.bytes[i] = (uint16_t)(4 * per);
    for (int i = 6; i < 8; i++) shapes.rows[i] = (uint8_t)per;
    __asm__ volatile("ldtilecfg %0" ::"m"(shapes));
}

ON_MATRIX static void matrix_end(void) { _tile_release(); }

/* Products of NR queries (row major) and a panel into out (NR, NR). */
ON_MATRIX static void matrix_tile(int groups, int per, const uint8_t *left,
                                  const uint8_t *right, int32_t *out) {
    const size_t width = 4 * (size_t)groups;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int g = 0; g < groups; g += per, left += 4 * per, right += (size_t)per * NR * 4) {
        _tile_loadd(4, left, width);
        _tile_loadd(6, right, NR * 4);
        _tile_dpbusd(0, 4, 6);
        _tile_loadd(7, right + 64, NR * 4);
        _tile_dpbusd(1, 4, 7);
        _tile_loadd(5, left + 16 * width, width);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_stored(0, out, NR * 4);
    _tile_stored(1, out + LANES, NR * 4);
    _tile_stored(2, out + LANES * NR, NR * 4);
    _tile_stored(3, out + LANES * NR + LANES, NR * 4);
}
#else
static void matrix_begin(int per) { (void)per; }
static void matrix_end(void) {}
#endif

/* Products of queries [row, row + tile_rows) and the panel at column j. */
INLINE int tile_rows(const segment_t *t) { return t->matrix ? NR : MR; }

INLINE void tile(const segment_t *t, const work_t *w, int row, int64_t j, int32_t *out) {
    const uint8_t *left = w->left + (size_t)row * 4 * (size_t)t->groups;
    const uint8_t *right = t->panels + (size_t)j * 4 * (size_t)t->groups;
#if ISA_KNOWS_MATRIX
    if (t->matrix) {
        matrix_tile(t->groups, t->per, left, right, out);
        return;
    }
#endif
    vector_tile(t->groups, left, right, out);
}

/* ---- one query ------------------------------------------------------------------- */

static void set_limit(work_t *w, int i, int32_t limit) {
    if (limit >= w->limit[i]) return;
    int64_t twice = (int64_t)limit - w->norm[i];
    w->limit[i] = limit;
    w->test[i] = limit > 0 ? (int32_t)((twice + 1) >> 1) : NEVER;
}

static int32_t limit_of(double reach) {
    double square = reach * reach * (1 + 1e-9);
    return square < 2e9 ? (int32_t)square + 1 : NOT_YET;
}

/* At least k rows have squared code distances of at most v: the k-th distance is within
   the radius of its root, and a row that near has a code within the radius again. */
static void limit_by_code(const segment_t *t, work_t *w, int i, int32_t v, int strict) {
    if (t->exact)
        set_limit(w, i, strict ? v : v + 1);
    else
        set_limit(w, i, limit_of((double)sqrtf((float)v) * (1 + 2e-7) + 2 * w->radius[i]));
}

/* k neighbours are measured: a row nearer than the k-th has a code within one radius. */
static void limit_by_distance(const segment_t *t, work_t *w, int i, double square) {
    if (square == 0)
        set_limit(w, i, 0);
    else if (t->exact)
        set_limit(w, i, square < 2e9 ? (int32_t)square : NOT_YET);
    else
        set_limit(w, i, limit_of(sqrt(square) / t->step * (1 + 1e-9) + w->radius[i]));
}

DEFINE_BRING_FORWARD(int32_t)

INLINE void prefetch_row(const sample_t *s, int64_t j) {
    size_t bytes = (size_t)s->d * (s->is_double ? 8 : 4);
    const char *row = (const char *)s->rows + (size_t)j * bytes;
    for (size_t b = 0; b < bytes && b < 1024; b += 64) PREFETCH(row + b);
}

/* |row i of s - row j of t|^2 of a few columns. */
static double exact_narrow(const sample_t *s, int64_t i, const sample_t *t, int64_t j) {
    int d = s->d;
    __m512d sum = _mm512_setzero_pd(), x, y;
    for (int c = 0; c < d; c += 8) {
        __mmask8 in = d - c < 8 ? (__mmask8)((1u << (d - c)) - 1) : 0xff;
        if (s->is_double) {
            x = _mm512_maskz_loadu_pd(in, (const double *)s->rows + i * d + c);
            y = _mm512_maskz_loadu_pd(in, (const double *)t->rows + j * d + c);
        } else {
            x = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(in, (const float *)s->rows + i * d + c));
            y = _mm512_cvtps_pd(_mm256_maskz_loadu_ps(in, (const float *)t->rows + j * d + c));
        }
        x = _mm512_sub_pd(x, y);
        sum = _mm512_fmadd_pd(x, x, sum);
    }
    return _mm512_reduce_add_pd(sum);
}

/* Measure the candidates of query i of the block. Long rows: the smallest first, and
   those that the k-th distance rules out not at all. */
static void measure(const job_t *job, const block_t *block, const segment_t *t, work_t *w, int i,
                    int64_t query) {
    const sample_t *from = &job->sample[block->from], *into = t->rows;
    candidate_t *c = w->candidates + (int64_t)i * w->room;
    int k = job->k, n = 0, narrow = t->d < NARROW;
    double *best = w->best + (int64_t)i * k;
    int32_t *index = w->index + (int64_t)i * k;
    if (k <= LANES && w->list[i * LANES + k - 1] < w->applied[i])
        limit_by_code(t, w, i, w->list[i * LANES + k - 1], 1);
    for (int at = 0; at < w->count[i]; at++)
        if (c[at].value <= w->limit[i]) c[n++] = c[at];
    w->count[i] = 0, w->measured += n;
    if (narrow) {
        for (int at = 0; at < n; at++)
            keep_smallest(best, index, &w->known[i], k,
                          exact_narrow(from, query, into, c[at].index), c[at].index);
        if (n && w->known[i] == k) limit_by_distance(t, w, i, best[k - 1]);
        return;
    }
    if (k < n) bring_forward(c, n, k);
    for (int at = 0; at < n; at++) {
        if (at + 1 < n) prefetch_row(into, c[at + 1].index);
        if (c[at].value > w->limit[i]) {
            w->measured--;
            continue;
        }
        double before = w->known[i] == k ? best[k - 1] : INFINITY;
        keep_smallest(best, index, &w->known[i], k,
                      exact_rows(from, query, into, c[at].index, before), c[at].index);
        if (w->known[i] == k && best[k - 1] < before) limit_by_distance(t, w, i, best[k - 1]);
    }
}

/* Drop what can no longer be a neighbour; measure if that leaves too much. */
static void make_room(const job_t *job, const block_t *block, const segment_t *t, work_t *w,
                      int i, int64_t query) {
    candidate_t *c = w->candidates + (int64_t)i * w->room;
    int kept = 0, n = w->count[i], k = job->k;
    if (k > LANES) {
        bring_forward(c, n, k);
        limit_by_code(t, w, i, c[k - 1].value, 0);
    }
    for (int at = 0; at < n; at++)
        if (c[at].value <= w->limit[i]) c[kept++] = c[at];
    w->count[i] = kept;
    if (kept > w->room / 2) measure(job, block, t, w, i, query);
}

/* Put v into the sorted list: new[c] = min(old[c], max(old[c - 1], v)). */
INLINE void insert(int32_t *list, int32_t v) {
    __m512i own = _mm512_loadu_si512(list);
    __m512i shifted = _mm512_alignr_epi32(own, _mm512_set1_epi32(-NOT_YET), 15);
    shifted = _mm512_max_epi32(shifted, _mm512_set1_epi32(v));
    _mm512_storeu_si512(list, _mm512_min_epi32(own, shifted));
}

/* ---- a block of queries ---------------------------------------------------------- */

typedef struct {
    const job_t *job;
    const block_t *block;
    const segment_t *data;
    work_t *work;
    int64_t first; /* row of the first query */
    int rows;
} task_t;

/* Products of query i and half a panel that passed the test. */
static void handle(const task_t *a, int i, int64_t column, const int32_t *c, unsigned hit) {
    const segment_t *t = a->data;
    work_t *w = a->work;
    int k = a->job->k, self = a->block->from == a->block->into;
    int32_t *list = w->list + i * LANES;
    for (; hit; hit &= hit - 1) {
        int64_t at = column + lowest_bit(hit), row = t->first + at;
        int64_t v = (int64_t)w->norm[i] + t->norm[at] - 2 * (int64_t)c[at - column];
        if (v >= w->limit[i] || t->half[at] == FAR_HALF || (self && row == a->first + i))
            continue;
        if (w->count[i] == w->room) {
            make_room(a->job, a->block, t, w, i, a->first + i);
            if (v >= w->limit[i]) continue;
        }
        candidate_t *place = w->candidates + (int64_t)i * w->room + w->count[i]++;
        place->index = (int32_t)row, place->value = (int32_t)v;
        if (k > LANES) continue;
        if (v < list[k - 1]) insert(list, (int32_t)v);
    }
    /* A limit that is a little wide costs less than a new one after every row. */
    if (k <= LANES && (t->exact || list[k - 1] < w->applied[i] - (w->applied[i] >> 5))) {
        w->applied[i] = list[k - 1];
        limit_by_code(t, w, i, list[k - 1], 1);
    }
}

/* Queries [row, end), at most NR, against one panel. Those with hits are listed first, so
   that no branch is guessed per query. */
INLINE void scan(const task_t *a, int row, int end, int64_t j, const int32_t *out) {
    const segment_t *t = a->data;
    uint32_t hits[NR];
    int list[NR + 1], found = 0;
    __m512i h0 = _mm512_loadu_si512(t->half + j);
    __m512i h1 = _mm512_loadu_si512(t->half + j + LANES);
    for (int i = row; i < end; i++) {
        const int32_t *c = out + (i - row) * NR;
        __m512i test = _mm512_set1_epi32(a->work->test[i]);
        unsigned low = _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(c), _mm512_sub_epi32(h0, test));
        unsigned high =
            _mm512_cmpgt_epi32_mask(_mm512_loadu_si512(c + LANES), _mm512_sub_epi32(h1, test));
        hits[found] = low | high << LANES;
        list[found] = i;
        found += hits[found] != 0;
    }
    for (int f = 0; f < found; f++)
        handle(a, list[f], j, out + (list[f] - row) * NR, hits[f]);
}

/* An upper bound on the k-th squared code distance of query i: each of NR lanes keeps
   its smallest in a few panels, and the k-th smallest lane is such a bound, because the
   lanes hold different rows (one of them the query, if it looks into its own sample). */
static void prime(const task_t *a, int i, int panels) {
    const segment_t *t = a->data;
    work_t *w = a->work;
    int wanted = a->job->k + (a->block->from == a->block->into);
    int32_t lane[NR], list[LANES];
    const __m512i far = _mm512_set1_epi32(FAR_HALF), never = _mm512_set1_epi32(NOT_YET);
    __m512i least[2] = {never, never};
    if (wanted > LANES) return;
    for (int p = 0; p < panels; p++)
        for (int v = 0; v < 2; v++) {
            __m512i half = _mm512_loadu_si512(t->half + p * NR + v * LANES);
            __m512i c = _mm512_loadu_si512(w->products + (p * BLOCK + i) * NR + v * LANES);
            __mmask16 there = _mm512_cmpneq_epi32_mask(half, far);
            least[v] = _mm512_mask_min_epi32(least[v], there, least[v], _mm512_sub_epi32(half, c));
        }
    for (int v = 0; v < 2; v++) _mm512_storeu_si512(lane + v * LANES, least[v]);
    for (int l = 0; l < LANES; l++) list[l] = NOT_YET;
    for (int l = 0; l < NR; l++)
        if (lane[l] < list[wanted - 1]) insert(list, lane[l]);
    if (list[wanted - 1] == NOT_YET) return;
    int64_t v = 2 * (int64_t)list[wanted - 1] + 1 + w->norm[i];
    if (v < 2000000000) limit_by_code(t, w, i, (int32_t)v, 0);
}

/* Codes and state of the queries of a block. Results of earlier segments are squares. */
static void begin(const task_t *a) {
    const segment_t *t = a->data;
    work_t *w = a->work;
    const sample_t *from = &a->job->sample[a->block->from];
    size_t width = 4 * (size_t)t->groups;
    int k = a->job->k;
    uint8_t *lines = t->matrix ? w->left : w->lines;
    memset(lines, 0, BLOCK * width);
    for (int i = 0; i < BLOCK; i++) {
        int32_t norm, sum;
        w->count[i] = w->known[i] = 0;
        w->limit[i] = w->applied[i] = NOT_YET, w->norm[i] = 0, w->test[i] = NEVER;
        if (i >= a->rows) continue;
        w->radius[i] = code_row(t, from, a->first + i, lines + i * width, &norm, &sum);
        w->radius[i] += t->largest;
        w->norm[i] = norm - 256 * sum;
        w->test[i] = (int32_t)(((int64_t)NOT_YET - w->norm[i] + 1) >> 1);
        for (int l = 0; l < LANES; l++) w->list[i * LANES + l] = NOT_YET;
        if (t->first == 0) continue;
        for (int c = 0; c < k; c++) {
            int64_t at = (a->first + i) * k + c;
            double square = a->block->distances[at];
            w->best[i * k + c] = square, w->known[i] += square < INFINITY;
            w->index[i * k + c] = a->block->indices ? a->block->indices[at] : 0;
        }
        if (w->known[i] == k) limit_by_distance(t, w, i, w->best[i * k + k - 1]);
    }
    if (t->matrix) return;
    uint32_t *out = (uint32_t *)w->left;
    for (int p = 0; p < BLOCK; p += MR)
        for (int r = 0; r < MR; r++)
            for (int g = 0; g < t->groups; g++)
                memcpy(out + p * t->groups + g * MR + r, lines + (p + r) * width + 4 * g, 4);
}

/* Measure what is left, and write squares, or distances after the last segment. */
static void end(const task_t *a, int last) {
    work_t *w = a->work;
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

static void run_block(const task_t *a, int last) {
    const segment_t *t = a->data;
    work_t *w = a->work;
    int64_t padded = (t->n + NR - 1) / NR * NR, j = 0;
    int size = tile_rows(t);
    begin(a);
    if (t->first == 0) {
        int panels = (int)(padded / NR / 4 + 1 < STRIP ? padded / NR / 4 + 1 : STRIP);
        for (int p = 0; p < panels; p++)
            for (int i = 0; i < a->rows; i += size)
                tile(t, w, i, p * NR, w->products + (p * BLOCK + i) * NR);
        for (int i = 0; i < a->rows; i++) prime(a, i, panels);
        for (int p = 0; p < panels; p++)
            for (int i = 0; i < a->rows; i += size)
                scan(a, i, i + size < a->rows ? i + size : a->rows, p * NR,
                     w->products + (p * BLOCK + i) * NR);
        j = panels * NR;
    }
    for (; j < padded; j += NR)
        for (int i = 0; i < a->rows; i += size) {
            tile(t, w, i, j, w->products);
            scan(a, i, i + size < a->rows ? i + size : a->rows, j, w->products);
        }
    end(a, last);
}

/* ---- the job --------------------------------------------------------------------- */

static void work_free(work_t *w) {
    release(w->left), release(w->lines), release(w->products), release(w->test);
    release(w->limit), release(w->applied), release(w->norm), release(w->list), release(w->radius);
    release(w->candidates), release(w->count), release(w->known), release(w->best);
    release(w->index);
}

static int work_make(work_t *w, const segment_t *t, int k) {
    size_t lines = BLOCK * 4 * (size_t)t->groups;
    memset(w, 0, sizeof *w);
    w->room = k > LANES ? 4 * k + 48 : 96;
    w->left = allocate(lines, 1), w->lines = allocate(lines, 1);
    w->products = allocate(STRIP * BLOCK * NR, sizeof(int32_t));
    w->test = allocate(BLOCK, sizeof(int32_t));
    w->limit = allocate(BLOCK, sizeof(int32_t));
    w->applied = allocate(BLOCK, sizeof(int32_t));
    w->norm = allocate(BLOCK, sizeof(int32_t));
    w->list = allocate(BLOCK * LANES, sizeof(int32_t));
    w->radius = allocate(BLOCK, sizeof(double));
    w->candidates = allocate(BLOCK * (size_t)w->room, sizeof(candidate_t));
    w->count = allocate(BLOCK, sizeof(int)), w->known = allocate(BLOCK, sizeof(int));
    w->best = allocate(BLOCK * (size_t)k, sizeof(double));
    w->index = allocate(BLOCK * (size_t)k, sizeof(int32_t));
    return w->left && w->lines && w->products && w->test && w->limit && w->applied && w->norm && w->list &&
                   w->radius && w->candidates && w->count && w->known && w->best && w->index
               ? KNN_OK
               : KNN_NO_MEMORY;
}

/* Code and pack rows first .. first + n of one sample. */
static int load(segment_t *t, const job_t *job, const sample_t *rows, int64_t first) {
    int status = KNN_OK;
    t->rows = rows, t->first = first;
    t->n = rows->n - first < t->room ? rows->n - first : t->room;
#pragma omp parallel num_threads(job->n_threads) if (job->n_threads > 1) reduction(| : status)
    {
        uint8_t *lines = allocate(NR * 4 * (size_t)t->groups, 1);
        if (!lines) status = KNN_NO_MEMORY;
#pragma omp for schedule(static)
        for (int64_t p = 0; p < t->n; p += NR)
            if (lines) pack_panel(t, p, lines);
        release(lines);
    }
    t->largest = 0;
    for (int64_t i = 0; i < t->n && status == KNN_OK; i++)
        if (t->radius[i] > t->largest) t->largest = t->radius[i];
    if (status == KNN_OK) mark_surplus(t, job->k);
    return status;
}

static int search(const segment_t *t, const job_t *job, const block_t *block, int64_t *measured) {
    int status = KNN_OK;
    int64_t n = job->sample[block->from].n, total = 0;
    int last = t->first + t->n == t->rows->n;
#pragma omp parallel num_threads(job->n_threads) if (job->n_threads > 1) \
    reduction(| : status) reduction(+ : total)
    {
        work_t w;
        status |= work_make(&w, t, job->k);
        if (t->matrix) matrix_begin(t->per);
#pragma omp for schedule(dynamic, 1)
        for (int64_t first = 0; first < n; first += BLOCK) {
            task_t a = {job, block, t, &w, first, (int)(n - first < BLOCK ? n - first : BLOCK)};
            if (status == KNN_OK) run_block(&a, last);
        }
        if (t->matrix) matrix_end();
        total += w.measured;
        work_free(&w);
    }
    *measured += total;
    return status;
}

int ISA_NAME(knn_int8)(const job_t *job, int64_t *n_candidates) {
    segment_t t;
    int status = segment_make(&t, job);
    for (int s = 0; s < 2; s++) {
        int wanted = 0;
        for (int b = 0; b < job->n_blocks; b++) wanted |= job->block[b].into == s;
        for (int64_t first = 0; wanted && first < job->sample[s].n && status == KNN_OK;
             first += t.room) {
            status = load(&t, job, &job->sample[s], first);
            for (int b = 0; b < job->n_blocks && status == KNN_OK; b++)
                if (job->block[b].into == s)
                    status = search(&t, job, &job->block[b], n_candidates);
        }
    }
    segment_free(&t);
    return status;
}

#else

int ISA_NAME(knn_int8)(const job_t *job, int64_t *n_candidates) {
    (void)job, (void)n_candidates;
    return KNN_NOT_BUILT;
}

#endif
