/* Fused product: rows become panels of float32 numbers below 1. */
#ifndef KLDIV_KNN_GEMM_PACK_H
#define KLDIV_KNN_GEMM_PACK_H

#include "knn_exact.h"

#define UNIT 96     /* rows of a block; a multiple of MR and of NR */
#define NEVER 1e35f /* scaled squares are below 4 d */

/* One sample as the product sees it. */
typedef struct {
    const knn_sample *rows;
    int64_t n, padded; /* padded: rounded up to UNIT, plus UNIT */
    int64_t segment;   /* rows packed at a time, a multiple of UNIT */
    float *norm;       /* squared norms; NEVER beyond n */
    double largest;    /* largest squared norm */
} packed_sample;

/* Panels of `size` rows of a segment of one sample. */
typedef struct {
    float *cells;
    const packed_sample *of;
    int64_t first;
    int size;
    float factor;
} panel_set;

/* How rows become float32 numbers below 1. */
typedef struct {
    const double *centre;
    double scale;
    int threads;
    stop_flag *stop;
} float_view;

/* Panels of `size` rows from UNIT row-major lines; a few columns at a time stay in cache. */
INLINE void pack_panels(const int size, const float *RESTRICT lines, int d,
    float factor, float *RESTRICT out)
{
    for (int p = 0; p < UNIT;
        p += size, lines += (int64_t)size * d, out += (int64_t)size * d)
        for (int j0 = 0; j0 < d; j0 += 16) {
            int stop = j0 + 16 < d ? j0 + 16 : d;
            for (int r = 0; r < size; r++)
                for (int j = j0; j < stop; j++)
                    out[(int64_t)j * size + r] = factor * lines[(int64_t)r * d + j];
        }
}

/* Norms of rows i0 .. i0 + UNIT, and their panels unless `to` is NULL. `lines` holds UNIT
 * rows. */
static void pack_unit(packed_sample *p, int64_t i0, const float_view *view,
    const panel_set *to, float *lines)
{
    int d = p->rows->d;
    for (int r = 0; r < UNIT; r++) {
        int64_t i = i0 + r;
        float *line = lines + (int64_t)r * d;
        if (i < p->n) {
            centred_row(p->rows, i, view->centre, view->scale, line);
            p->norm[i] = (float)square_of(line, d);
        }
        else {
            memset(line, 0, sizeof(float) * (size_t)d);
            p->norm[i] = NEVER;
        }
    }
    if (!to)
        return;
    float *out = to->cells + (i0 - to->first) * d;
    if (to->size == MR)
        pack_panels(MR, lines, d, to->factor, out);
    else
        pack_panels(NR, lines, d, to->factor, out);
}

static int pack_units(packed_sample *p, int64_t first, int64_t last,
    const float_view *view, const panel_set *to)
{
    const int threads = view->threads;
    int status = KNN_OK;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status)
    {
        float *lines = allocate(UNIT * (size_t)p->rows->d, sizeof(float));
        if (!lines)
            status = KNN_NO_MEMORY;
#pragma omp for schedule(dynamic, 1)
        for (int64_t i = first; i < last; i += UNIT)
            if (lines && !stopped(view->stop))
                pack_unit(p, i, view, to, lines);
        release(lines);
    }
    return status;
}

/* Panels of the segment of p that begins at `first`, unless they are there already. */
static int pack(panel_set *to, packed_sample *p, int64_t first, const float_view *view)
{
    if (to->of == p && to->first == first)
        return KNN_OK;
    int64_t rest = p->padded - first;
    to->of = p;
    to->first = first;
    return pack_units(
        p, first, first + (rest < p->segment ? rest : p->segment), view, to);
}

static int packed_make(packed_sample *p, const knn_sample *rows, const float_view *view,
    int64_t segment_bytes)
{
    p->rows = rows;
    p->n = rows->n;
    p->largest = 0;
    p->padded = (p->n + UNIT - 1) / UNIT * UNIT + UNIT;
    p->segment = segment_bytes / 4 / rows->d / UNIT * UNIT;
    if (p->segment < UNIT)
        p->segment = UNIT;
    if (p->segment > p->padded)
        p->segment = p->padded;
    p->norm = allocate((size_t)p->padded, sizeof(float));
    if (!p->norm)
        return KNN_NO_MEMORY;
    /* in one segment, packing gives the norms */
    return p->segment < p->padded ? pack_units(p, 0, p->padded, view, NULL) : KNN_OK;
}

static void find_largest(packed_sample *p)
{
    for (int64_t i = 0; i < p->n; i++)
        if (p->norm[i] > p->largest)
            p->largest = p->norm[i];
}

/* Largest |x - centre| of one row. */
static double farthest(const knn_sample *s, int64_t i, const double *centre)
{
    int d = s->d, j = 0;
    vd most = vd_set(0);
    double lanes[DW], largest = 0;
    for (; j + DW <= d; j += DW) {
        vd x = s->is_double ? vd_load((const double *)s->rows + i * d + j)
                            : vd_widen((const float *)s->rows + i * d + j);
        most = vd_max(most, vd_abs(vd_sub(x, vd_load(centre + j))));
    }
    vd_store(lanes, most);
    for (int l = 0; l < DW; l++)
        largest = lanes[l] > largest ? lanes[l] : largest;
    for (; j < d; j++) {
        double x = fabs(number_at(s, i, j) - centre[j]);
        largest = x > largest ? x : largest;
    }
    return largest;
}

/* Whether all numbers of one row are integers. */
static int whole(const knn_sample *s, int64_t i)
{
    for (int j = 0; j < s->d; j++) {
        double x = number_at(s, i, j);
        if (x != rint(x))
            return 0;
    }
    return 1;
}

/* Centre of the second sample, and the power of two that brings |x - centre| below 1. If
 * all numbers are small integers the product is exact, and *relative becomes 0. */
static double centre_and_scale(const knn_job *job, double *centre, double *relative)
{
    int d = job->sample[0].d, integers = 1;
    double largest = 0;
    const knn_sample *y = &job->sample[1];
    int64_t step = y->n / 2048 + 1, rows = 0;
    for (int j = 0; j < d; j++)
        centre[j] = 0;
    for (int64_t i = 0; i < y->n; i += step, rows++)
        for (int j = 0; j < d; j++)
            centre[j] += number_at(y, i, j);
    for (int j = 0; j < d; j++)
        centre[j] /= (double)rows;
    for (int s = 0; s < 2; s++) {
        const knn_sample *x = &job->sample[s];
        for (int64_t i = 0; i < x->n && integers; i += step)
            for (int j = 0; j < d && integers; j++) {
                double v = number_at(x, i, j);
                integers = v == rint(v);
            }
    }
    if (integers)
        for (int j = 0; j < d; j++)
            centre[j] = rint(centre[j]);
    for (int s = 0; s < 2; s++) {
        const knn_sample *x = &job->sample[s];
        int whole_rows = integers;
#pragma omp parallel for schedule(static)                                        \
    num_threads(job->n_threads) if (job->n_threads > 1) reduction(max : largest) \
    reduction(& : whole_rows)
        for (int64_t i = 0; i < x->n; i++) {
            double most = farthest(x, i, centre);
            largest = most > largest ? most : largest;
            if (whole_rows)
                whole_rows = whole(x, i);
        }
        integers = whole_rows;
    }
    double du = d * ROUNDING;
    *relative = integers && 4.0 * d * largest * largest < 16777216.0
        ? 0
        : 0.5 * du / (1 - du) + 7 * ROUNDING;
    return largest > 0 ? ldexp(1, -ilogb(largest) - 1) : 1;
}

#endif
