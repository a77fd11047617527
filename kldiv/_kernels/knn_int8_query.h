/* Search by bytes: the limit of one query, and the measurement of its candidates. */
#ifndef KLDIV_KNN_INT8_QUERY_H
#define KLDIV_KNN_INT8_QUERY_H

#include "knn_int8_tile.h"

static void set_limit(query_block *w, int i, int32_t limit)
{
    if (limit >= w->limit[i])
        return;
    int64_t twice = (int64_t)limit - w->norm[i];
    w->limit[i] = limit;
    w->test[i] = limit > 0 ? (int32_t)((twice + 1) >> 1) : NEVER;
}

static int32_t limit_of(double reach)
{
    double square = reach * reach * (1 + 1e-9);
    return square < 2e9 ? (int32_t)square + 1 : NOT_YET;
}

/* At least k rows have squared code distances of at most v: the k-th distance is within
 * the radius of its root, and a row that near has a code within the radius again. */
static void limit_by_code(
    const segment *t, query_block *w, int i, int32_t v, int strict)
{
    if (t->exact)
        set_limit(w, i, strict ? v : v + 1);
    else
        set_limit(
            w, i, limit_of((double)sqrtf((float)v) * (1 + 2e-7) + 2 * w->radius[i]));
}

/* k neighbours are measured: a row nearer than the k-th has a code within one radius. */
static void limit_by_distance(const segment *t, query_block *w, int i, double square)
{
    if (square == 0)
        set_limit(w, i, 0);
    else if (t->exact)
        set_limit(w, i, square < 2e9 ? (int32_t)square : NOT_YET);
    else
        set_limit(w, i, limit_of(sqrt(square) / t->step * (1 + 1e-9) + w->radius[i]));
}

DEFINE_BRING_FORWARD(int32_t)

#if defined(__AVX512F__)
/* |row i of s - row j of t|^2 of a few columns. */
static double exact_narrow(
    const knn_sample *s, int64_t i, const knn_sample *t, int64_t j)
{
    int d = s->d;
    __m512d sum = _mm512_setzero_pd(), x, y;
    for (int c = 0; c < d; c += 8) {
        __mmask8 in = d - c < 8 ? (__mmask8)((1u << (d - c)) - 1) : 0xff;
        if (s->is_double) {
            x = _mm512_maskz_loadu_pd(in, (const double *)s->rows + i * d + c);
            y = _mm512_maskz_loadu_pd(in, (const double *)t->rows + j * d + c);
        }
        else {
            x = _mm512_cvtps_pd(
                _mm256_maskz_loadu_ps(in, (const float *)s->rows + i * d + c));
            y = _mm512_cvtps_pd(
                _mm256_maskz_loadu_ps(in, (const float *)t->rows + j * d + c));
        }
        x = _mm512_sub_pd(x, y);
        sum = _mm512_fmadd_pd(x, x, sum);
    }
    return _mm512_reduce_add_pd(sum);
}
#else
static double exact_narrow(
    const knn_sample *s, int64_t i, const knn_sample *t, int64_t j)
{
    return exact_rows(s, i, t, j, INFINITY);
}
#endif

/* Measure the candidates of query i of the block. Long rows: the smallest first, and
 * those that the k-th distance rules out not at all. */
static void measure(const knn_job *job, const knn_block *block, const segment *t,
    query_block *w, int i, int64_t query)
{
    const knn_sample *from = &job->sample[block->from], *into = t->rows;
    candidate *c = w->candidates + (int64_t)i * w->room;
    int k = job->k, n = 0, narrow = t->d < NARROW;
    double *best = w->best + (int64_t)i * k;
    int32_t *index = w->index + (int64_t)i * k;
    if (k <= LANES && w->list[i * LANES + k - 1] < w->applied[i])
        limit_by_code(t, w, i, w->list[i * LANES + k - 1], 1);
    for (int at = 0; at < w->count[i]; at++)
        if (c[at].value <= w->limit[i])
            c[n++] = c[at];
    w->count[i] = 0;
    w->measured += n;
    if (narrow) {
        for (int at = 0; at < n; at++)
            keep_smallest(best, index, &w->known[i], k,
                exact_narrow(from, query, into, c[at].index), c[at].index);
        if (n && w->known[i] == k)
            limit_by_distance(t, w, i, best[k - 1]);
        return;
    }
    if (k < n)
        bring_forward(c, n, k);
    for (int at = 0; at < n; at++) {
        if (at + 1 < n)
            prefetch_row(into, c[at + 1].index);
        if (c[at].value > w->limit[i]) {
            w->measured--;
            continue;
        }
        double before = w->known[i] == k ? best[k - 1] : INFINITY;
        keep_smallest(best, index, &w->known[i], k,
            exact_rows(from, query, into, c[at].index, before), c[at].index);
        if (w->known[i] == k && best[k - 1] < before)
            limit_by_distance(t, w, i, best[k - 1]);
    }
}

/* Drop what can no longer be a neighbour; measure if that leaves too much. */
static void make_room(const knn_job *job, const knn_block *block, const segment *t,
    query_block *w, int i, int64_t query)
{
    candidate *c = w->candidates + (int64_t)i * w->room;
    int kept = 0, n = w->count[i], k = job->k;
    if (k > LANES) {
        bring_forward(c, n, k);
        limit_by_code(t, w, i, c[k - 1].value, 0);
    }
    for (int at = 0; at < n; at++)
        if (c[at].value <= w->limit[i])
            c[kept++] = c[at];
    w->count[i] = kept;
    if (kept > w->room / 2)
        measure(job, block, t, w, i, query);
}

/* Put v into the sorted list: new[c] = min(old[c], max(old[c - 1], v)). */
INLINE void insert(int32_t *list, int32_t v)
{
#if defined(__AVX512F__)
    __m512i own = _mm512_loadu_si512(list);
    __m512i shifted = _mm512_alignr_epi32(own, _mm512_set1_epi32(-NOT_YET), 15);
    shifted = _mm512_max_epi32(shifted, _mm512_set1_epi32(v));
    _mm512_storeu_si512(list, _mm512_min_epi32(own, shifted));
#else
    int p = LANES - 1;
    for (; p > 0 && list[p - 1] > v; p--)
        list[p] = list[p - 1];
    if (v < list[p])
        list[p] = v;
#endif
}

#endif
