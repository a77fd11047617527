/* Filter: packed codes, and the bounds that their products give. */
#ifndef KLDIV_KNN_FILTER_TILE_H
#define KLDIV_KNN_FILTER_TILE_H

#include "knn_bytes.h"

#define QUERIES (2 * MR) /* rows whose bounds are in memory at once */
#define CHUNK 4096       /* columns of them; a multiple of NR */
#define FAR 2147483647 /* bound of a row that is never measured, as a byte-code bound */

/* Bounds are int32 for byte codes and float32 for float codes; positive floats have the
 * order of their bits, so one comparison of int32 serves both. */
typedef int32_t code_bound;

INLINE code_bound bound_of_float(float v)
{
    code_bound bits;
    if (!(v > 0))
        v = 0;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

/* The data side of a block, packed. */
typedef struct {
    const knn_code_pair *filter;
    const knn_codes *codes;
    int64_t n, padded;
    int width, groups; /* groups: steps of GROUP columns, or of 1 float */
    void *panels;      /* [panel][group][NR][GROUP], or [panel][column][NR] */
    code_bound *norm;  /* int32 or float bits; FAR beyond n and for surplus rows */
    double radius;     /* largest radius */
    double largest;    /* largest squared norm of float codes */
} packed_codes;

/* Bytes of a packed row. */
INLINE size_t packed_size(const packed_codes *t)
{
    return (size_t)t->groups
        * (t->filter->is_integer ? sizeof(code_group) : sizeof(float));
}

/* Row i into slot r of a panel of `rows` rows; bytes of the data side are
 * shifted. Returns the norm: int32, or float bits. */
static code_bound pack_row(const knn_code_pair *f, const knn_codes *codes, int64_t i,
    int rows, int r, int groups, int shift, void *panel)
{
    int w = f->width;
    if (f->is_integer) {
        const int16_t *x = (const int16_t *)codes->codes + i * w;
        code_cell *out = (code_cell *)panel + r * GROUP;
        int32_t squares = 0, sum = 0;
        for (int j = 0; j < w; j++) {
            squares += x[j] * x[j];
            sum += x[j];
            out[(j / GROUP) * rows * GROUP + j % GROUP] =
                (code_cell)(shift ? x[j] - CODE_SHIFT : x[j]);
        }
        for (int j = w; j < GROUP * groups; j++)
            out[(j / GROUP) * rows * GROUP + j % GROUP] = 0;
        return shift ? squares : squares - 2 * CODE_SHIFT * sum;
    }
    const float *x = (const float *)codes->codes + i * w;
    float *out = (float *)panel + r, total;
    double squares = 0;
    code_bound bits;
    for (int j = 0; j < w; j++) {
        squares += (double)x[j] * x[j];
        out[j * rows] = shift ? x[j] : -2 * x[j];
    }
    total = (float)squares;
    memcpy(&bits, &total, sizeof bits);
    return bits;
}

/* Rows that can change no distance become FAR. Codes say which rows can be equal, the
 * rows themselves whether they are. */
static int mark_surplus(const knn_code_pair *f, const knn_codes *codes,
    const knn_sample *s, int k, code_bound *norm)
{
    const size_t size = (size_t)f->width * (f->is_integer ? 2 : 4);
    row_repeats repeats;
    int status = repeats_make(&repeats, s->n);
    if (status == KNN_OK) {
        repeats_begin(&repeats);
        for (int64_t i = 0; i < s->n; i++) {
            repeats.hash[i] =
                hash_bytes((const char *)codes->codes + (size_t)i * size, size);
            if (repeats_count(&repeats, s, 0, i) > k + 1)
                norm[i] = FAR;
        }
    }
    repeats_free(&repeats);
    return status;
}

static void data_free(packed_codes *t)
{
    release(t->panels);
    release(t->norm);
}

static int data_make(
    packed_codes *t, const knn_job *job, const knn_code_pair *f, int which)
{
    const knn_codes *codes = &f->sample[which];
    memset(t, 0, sizeof *t);
    t->filter = f;
    t->codes = codes;
    t->n = codes->n;
    t->width = f->width;
    t->groups = f->is_integer ? groups_of(f->width) : f->width;
    t->padded = (t->n + NR - 1) / NR * NR;
    t->panels = allocate((size_t)t->padded, packed_size(t));
    t->norm = allocate((size_t)t->padded, sizeof(code_bound));
    if (!t->panels || !t->norm)
        return KNN_NO_MEMORY;
    for (int64_t i = 0; i < t->n; i++)
        if (codes->radius[i] > t->radius)
            t->radius = codes->radius[i];
#pragma omp parallel for schedule(static) \
    num_threads(job->n_threads) if (job->n_threads > 1)
    for (int64_t p = 0; p < t->padded; p += NR) {
        char *panel = (char *)t->panels + (size_t)p * packed_size(t);
        if (stopped(job->stop))
            continue;
        if (p + NR > t->n)
            memset(panel, 0, NR * packed_size(t));
        for (int r = 0; r < NR; r++)
            t->norm[p + r] = p + r < t->n
                ? pack_row(f, codes, p + r, NR, r, t->groups, 1, panel)
                : FAR;
    }
    for (int64_t i = 0; i < t->n && !f->is_integer; i++) {
        float v;
        memcpy(&v, &t->norm[i], sizeof v);
        if (v > t->largest)
            t->largest = v;
    }
    return mark_surplus(f, codes, &job->sample[which], job->k, t->norm);
}

#if HAS_BYTES
/* |x - y|^2 of byte codes, exact, for MR rows and the columns of one panel. */
INLINE void byte_tile(int groups, const void *left, const code_bound *row_norm,
    const void *right, const code_bound *norm, code_bound *out)
{
    vi c[MR][NV];
    const vi far = vi_set(FAR);
    multiply_codes(groups, left, right, c);
    EACH(v, NV) {
        const vi n = vi_load(norm + v * FW);
        EACH(i, MR) {
            vi bound = vi_sub(vi_add(vi_set(row_norm[i]), n), vi_add(c[i][v], c[i][v]));
            vi_store(out + i * CHUNK + v * FW, vi_keep(bound, n, far));
        }
    }
}
#endif

INLINE void float_tile(int width, const void *left, const code_bound *row_norm,
    const void *right, const code_bound *norm, code_bound *out)
{
    const float *a = left, *b = right;
    vf c[MR][NV], zero = vf_set(0);
    EACH(i, MR)
        EACH(v, NV)
            c[i][v] = zero;
    for (const float *end = a + (int64_t)width * MR; a < end; a += MR, b += NR) {
        vf y[NV];
        EACH(v, NV)
            y[v] = vf_load(b + v * FW);
        EACH(i, MR) {
            vf x = vf_set(a[i]);
            EACH(v, NV)
                c[i][v] = vf_fma(x, y[v], c[i][v]);
        }
    }
    float n[NR];
    int gone = 0;
    memcpy(n, norm, sizeof n);
    for (int v = 0; v < NR; v++)
        if (norm[v] == FAR) {
            n[v] = 0;
            gone = 1;
        }
    EACH(i, MR) {
        float x, lane[FW];
        memcpy(&x, &row_norm[i], sizeof x);
        EACH(v, NV) {
            vf r = vf_add(vf_add(c[i][v], vf_set(x)), vf_load(n + v * FW));
            vf_store(lane, vf_max(r, zero));
            memcpy(out + i * CHUNK + v * FW, lane, sizeof lane);
        }
    }
    for (int v = 0; gone && v < NR; v++)
        for (int i = 0; i < MR && norm[v] == FAR; i++)
            out[i * CHUNK + v] = FAR;
}

/* Bounds of QUERIES rows against columns [first, last). */
static void bounds(const packed_codes *t, const void *left, const code_bound *row_norm,
    int64_t first, int64_t last, code_bound *out)
{
    size_t step = MR * packed_size(t);
    for (int64_t j = first; j < last; j += NR) {
        const char *right = (const char *)t->panels + (size_t)j * packed_size(t);
        for (int p = 0; p < QUERIES / MR; p++) {
            const char *a = (const char *)left + (size_t)p * step;
            code_bound *place = out + (size_t)p * MR * CHUNK + (j - first);
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

#endif
