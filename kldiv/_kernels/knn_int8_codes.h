/* Search by bytes: how rows become codes, with a radius each, and panels of codes. */
#ifndef KLDIV_KNN_INT8_CODES_H
#define KLDIV_KNN_INT8_CODES_H

#include "knn_bytes.h"

#define BLOCK 192 /* queries of a block; a multiple of MR and of NR */
#define STRIP 16  /* panels that give the first bounds */
#define LANES 16
#define NARROW 64 /* below, measuring costs less than deciding */
#define NOT_YET 2147483647
#define FAR_HALF 1073741823 /* half a squared norm that no product reaches */
#define NEVER (-1073741824) /* a test that no product passes */

/* Codes of a segment of one sample, packed, and how all codes are made. */
typedef struct {
    int d, groups, per, matrix; /* per: groups of one step */
    int exact;                  /* codes are the data, up to a shift */
    double step;
    double *low;            /* (d,) */
    const knn_sample *rows; /* what the segment is cut from */
    int64_t first, n, room; /* rows first .. first + n of it; room: of the buffers */
    uint8_t *panels;        /* [panel][group][NR][GROUP] */
    int32_t *norm, *half;   /* squared norms of codes, and half of them */
    float *radius;          /* of the rows */
    row_repeats repeats;    /* of the rows as given */
    double largest;         /* radius */
} segment;

/* Bytes of a row of codes. */
INLINE size_t codes_size(const segment *t)
{
    return sizeof(code_group) * (size_t)t->groups;
}

/* Codes of one row into `line` (padded with zeros); norm and sum of them. Returns the
 * radius in units of the step. */
#if defined(KLDIV_VNNI)
static double code_row(const segment *t, const knn_sample *s, int64_t i,
    code_cell *line, int32_t *norm, int32_t *sum)
{
    int d = s->d;
    const double *wide = (const double *)s->rows + i * d;
    const float *narrow = (const float *)s->rows + i * d;
    __m512d lost = _mm512_setzero_pd(), step = _mm512_set1_pd(t->step);
    __m512d inverse = _mm512_set1_pd(1 / t->step);
    __m256i squares = _mm256_setzero_si256(), total = squares;
    for (int j = 0; j < d; j += 8) {
        __mmask8 in = d - j < 8 ? (__mmask8)((1u << (d - j)) - 1) : 0xff;
        __m512d x = s->is_double
            ? _mm512_maskz_loadu_pd(in, wide + j)
            : _mm512_cvtps_pd(_mm256_maskz_loadu_ps(in, narrow + j));
        x = _mm512_maskz_sub_pd(in, x, _mm512_maskz_loadu_pd(in, t->low + j));
        __m256i code = _mm512_cvtpd_epi32(_mm512_mul_pd(x, inverse));
        __m512d off = _mm512_fnmadd_pd(_mm512_cvtepi32_pd(code), step, x);
        lost = _mm512_fmadd_pd(off, off, lost);
        squares = _mm256_add_epi32(squares, _mm256_madd_epi16(code, code));
        total = _mm256_add_epi32(total, code);
        _mm256_mask_cvtepi32_storeu_epi8(line + j, in, code);
    }
    memset(line + d, 0, (size_t)(GROUP * t->groups - d));
    *norm = _mm512_reduce_add_epi32(_mm512_zextsi256_si512(squares));
    *sum = _mm512_reduce_add_epi32(_mm512_zextsi256_si512(total));
    if (t->exact)
        return 0;
    double off = sqrt(_mm512_reduce_add_pd(lost)) / t->step * (1 + 1e-9);
    return (off + 1e-15 * (code_levels(d) + 1) * sqrt((double)d)) * (1 + 1e-6);
}
#else
static double code_row(const segment *t, const knn_sample *s, int64_t i,
    code_cell *line, int32_t *norm, int32_t *sum)
{
    const int d = s->d;
    const double *wide = (const double *)s->rows + i * d;
    const float *narrow = (const float *)s->rows + i * d;
    const double *low = t->low, step = t->step, inverse = 1 / t->step;
    double lost = 0;
    int32_t squares = 0, total = 0;
    SIDE_BY_SIDE(+ : lost, squares, total)
    for (int j = 0; j < d; j++) {
        const double x = (s->is_double ? wide[j] : (double)narrow[j]) - low[j];
        const int code = (int)(x * inverse + 0.5);
        const double off = x - code * step;
        line[j] = (code_cell)code;
        lost += off * off;
        squares += code * code;
        total += code;
    }
    memset(line + d, 0, (size_t)(GROUP * t->groups - d) * sizeof *line);
    *norm = squares;
    *sum = total;
    if (t->exact)
        return 0;
    double off = sqrt(lost) / t->step * (1 + 1e-9);
    return (off + 1e-15 * (code_levels(d) + 1) * sqrt((double)d)) * (1 + 1e-6);
}
#endif

/* Pack the rows of one panel of the segment; codes of the data are shifted to signed. */
static void pack_panel(const segment *t, int64_t p, uint8_t *lines)
{
    size_t width = codes_size(t);
    int rows = (int)(t->n - p < NR ? t->n - p : NR);
    code_group *out = (code_group *)(t->panels + (size_t)p * width);
    memset(lines, 0, NR * width);
    for (int r = 0; r < rows; r++) {
        int32_t sum;
        t->radius[p + r] = (float)(1.0000002
            * code_row(t, t->rows, t->first + p + r, (code_cell *)(lines + r * width),
                t->norm + p + r, &sum));
        t->half[p + r] = t->norm[p + r] >> 1;
        t->repeats.hash[p + r] =
            hash_bytes(row_at(t->rows, t->first + p + r), row_size(t->rows));
    }
    for (int r = rows; r < NR; r++) {
        t->norm[p + r] = 0;
        t->half[p + r] = FAR_HALF;
    }
    for (int r = 0; r < NR; r++)
        for (int g = 0; g < t->groups; g++) {
            code_group group;
            memcpy(&group, lines + r * width + sizeof group * g, sizeof group);
            out[g * NR + r] = CODE_SHIFT ? group ^ 0x80808080u : group;
        }
}

/* Rows of the segment that can change no distance become FAR. */
static void mark_surplus(segment *t, int k)
{
    repeats_begin(&t->repeats);
    for (int64_t i = 0; i < t->n; i++)
        if (repeats_count(&t->repeats, t->rows, t->first, i) > k + 1)
            t->half[i] = FAR_HALF;
}

typedef struct {
    double *low, *high;
    int integers;
} column_ranges;

#define DEFINE_WIDEN(name, T)                                                 \
    static void name(const T *RESTRICT x, int64_t n, int d, T *RESTRICT low,  \
        T *RESTRICT high, column_ranges *r)                                   \
    {                                                                         \
        for (int j = 0; j < d; j++)                                           \
            low[j] = high[j] = x[j];                                          \
        for (int64_t i = 0; i < n; i++, x += d) {                             \
            for (int j = 0; j < d; j++) {                                     \
                low[j] = x[j] < low[j] ? x[j] : low[j];                       \
                high[j] = x[j] > high[j] ? x[j] : high[j];                    \
            }                                                                 \
            for (int j = 0; j < d && r->integers; j++)                        \
                r->integers = (double)x[j] == rint((double)x[j]);             \
        }                                                                     \
        for (int j = 0; j < d; j++) {                                         \
            r->low[j] = low[j] < r->low[j] ? (double)low[j] : r->low[j];      \
            r->high[j] = high[j] > r->high[j] ? (double)high[j] : r->high[j]; \
        }                                                                     \
    }
DEFINE_WIDEN(widen_double, double)
DEFINE_WIDEN(widen_float, float)

#define RANGE_ROWS 256

/* Ranges of all columns of the samples that the job names. */
static int find_ranges(const knn_job *job, column_ranges *total)
{
    const int threads = job->n_threads;
    int d = job->sample[0].d, used[2] = {0, 0}, status = KNN_OK;
    for (int b = 0; b < job->n_blocks; b++)
        used[job->block[b].from] = used[job->block[b].into] = 1;
    total->integers = 1;
    for (int j = 0; j < d; j++) {
        total->low[j] = INFINITY;
        total->high[j] = -INFINITY;
    }
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status)
    {
        double *own = allocate(4 * (size_t)d, sizeof(double));
        column_ranges r = {own, own + d, 1};
        if (!own)
            status = KNN_NO_MEMORY;
        for (int j = 0; j < d && own; j++) {
            r.low[j] = INFINITY;
            r.high[j] = -INFINITY;
        }
        for (int s = 0; s < 2; s++) {
            const knn_sample *x = &job->sample[s];
#pragma omp for schedule(static)
            for (int64_t i = 0; i < (used[s] ? x->n : 0); i += RANGE_ROWS) {
                int64_t rows = x->n - i < RANGE_ROWS ? x->n - i : RANGE_ROWS;
                if (stopped(job->stop))
                    continue;
                if (own && x->is_double)
                    widen_double((const double *)x->rows + i * d, rows, d, own + 2 * d,
                        own + 3 * d, &r);
                else if (own)
                    widen_float((const float *)x->rows + i * d, rows, d,
                        (float *)(own + 2 * d), (float *)(own + 3 * d), &r);
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

static void segment_free(segment *t)
{
    release(t->low);
    release(t->panels);
    release(t->norm);
    release(t->half);
    release(t->radius);
    repeats_free(&t->repeats);
}

static int segment_make(segment *t, const knn_job *job)
{
    int d = job->sample[0].d, steps = (groups_of(d) + 15) / 16;
    int64_t most = 0;
    memset(t, 0, sizeof *t);
    t->d = d;
    t->matrix = job->matrix;
    t->per = (groups_of(d) + steps - 1) / steps;
    t->groups = t->per * steps;
    for (int b = 0; b < job->n_blocks; b++) {
        int64_t n = job->sample[job->block[b].into].n;
        most = n > most ? n : most;
    }
    t->room = job->segment_bytes / (int64_t)codes_size(t) / NR * NR;
    if (t->room < NR)
        t->room = NR;
    most = (most + NR - 1) / NR * NR;
    t->room = most < t->room ? most : t->room;
    size_t room = (size_t)t->room;
    t->low = allocate(2 * (size_t)d, sizeof(double));
    t->panels = allocate(room, codes_size(t));
    t->norm = allocate(room, sizeof(int32_t));
    t->half = allocate(room, sizeof(int32_t));
    t->radius = allocate(room, sizeof(float));
    if (repeats_make(&t->repeats, t->room) != KNN_OK || !t->low || !t->panels
        || !t->norm || !t->half || !t->radius)
        return KNN_NO_MEMORY;
    column_ranges r = {t->low, t->low + d, 1};
    if (find_ranges(job, &r) != KNN_OK)
        return KNN_NO_MEMORY;
    const int levels = code_levels(d);
    double range = 0;
    for (int j = 0; j < d; j++)
        if (r.high[j] - r.low[j] > range)
            range = r.high[j] - r.low[j];
    t->exact = range == 0 || (r.integers && range <= levels);
    t->step = t->exact ? 1 : range / levels;
    return KNN_OK;
}

/* Code and pack rows first .. first + n of one sample. */
static int load(segment *t, const knn_job *job, const knn_sample *rows, int64_t first)
{
    const int threads = job->n_threads;
    int status = KNN_OK;
    t->rows = rows;
    t->first = first;
    t->n = rows->n - first < t->room ? rows->n - first : t->room;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status)
    {
        uint8_t *lines = allocate(NR, codes_size(t));
        if (!lines)
            status = KNN_NO_MEMORY;
#pragma omp for schedule(static)
        for (int64_t p = 0; p < t->n; p += NR)
            if (lines && !stopped(job->stop))
                pack_panel(t, p, lines);
        release(lines);
    }
    t->largest = 0;
    for (int64_t i = 0; i < t->n && status == KNN_OK; i++)
        if (t->radius[i] > t->largest)
            t->largest = t->radius[i];
    if (status == KNN_OK)
        mark_surplus(t, job->k);
    return status;
}

#endif
