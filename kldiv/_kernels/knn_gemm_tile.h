/* Fused product: tiles, the first bounds, and the order in which threads take pairs. */
#ifndef KLDIV_KNN_GEMM_TILE_H
#define KLDIV_KNN_GEMM_TILE_H

#include "knn_gemm_lists.h"

#define PRIMING 16 /* panels that give the first bounds */

typedef struct {
    const packed_sample *from, *into;
    row_lists *rows, *columns; /* columns: NULL, or who looks the other way */
    int same;                  /* from == into: only pairs with column > row count */
    const panel_set *left, *right;
    int64_t row_end, column_end; /* of the two segments, which begin where panels do */
    stop_flag *stop;
} sample_pair;

INLINE const float *left_panel(const sample_pair *p, int64_t row)
{
    return p->left->cells + (row - p->left->first) * p->from->rows->d;
}

INLINE const float *right_panel(const sample_pair *p, int64_t column)
{
    return p->right->cells + (column - p->right->first) * p->from->rows->d;
}

/* Entries of one vector of a tile that passed the gate. */
static void handle(
    const sample_pair *p, int64_t row, int64_t column, const float *c, unsigned hit)
{
    const float *left = p->from->norm, *right = p->into->norm;
    for (; hit; hit &= hit - 1) {
        int64_t j = column + lowest_bit(hit);
        if (p->same && j <= row)
            continue;
        float v = (c[j - column] + left[row]) + right[j];
        if (v < p->rows->limit[row])
            offer(p->rows, left, row, v, (int32_t)j);
        if (p->columns && v < p->columns->limit[j])
            offer(p->columns, right, j, v, (int32_t)row);
    }
}

/* c = left panel times right panel. */
INLINE void multiply(
    int d, const float *RESTRICT a, const float *RESTRICT b, vf c[MR][NV])
{
    EACH(i, MR)
        EACH(v, NV)
            c[i][v] = vf_set(0);
    for (const float *end = a + (int64_t)d * MR; a < end; a += MR, b += NR) {
        vf y[NV];
        PREFETCH(b + 8 * NR);
        PREFETCH(b + 8 * NR + FW);
        EACH(v, NV)
            y[v] = vf_load(b + v * FW);
        EACH(i, MR) {
            vf x = vf_set(a[i]);
            EACH(v, NV)
                c[i][v] = vf_fma(x, y[v], c[i][v]);
        }
    }
}

INLINE void tile(const int BOTH, const sample_pair *p, int64_t row, int64_t column)
{
    int d = p->from->rows->d;
    vf c[MR][NV];
    multiply(d, left_panel(p, row), right_panel(p, column), c);
    const float *row_gate = p->rows->gate + row, *row_norm = p->from->norm + row;
    EACH(i, MR) {
        unsigned hit[NV], any = 0;
        EACH(v, NV) {
            int64_t at = column + v * FW;
            vf bound = vf_sub(vf_set(row_gate[i]), vf_load(p->into->norm + at));
            if (BOTH)
                bound = vf_max(
                    bound, vf_sub(vf_load(p->columns->gate + at), vf_set(row_norm[i])));
            any |= hit[v] = vf_less(c[i][v], bound);
        }
        if (UNLIKELY(any)) {
            float entries[NV][FW];
            EACH(v, NV) {
                if (!hit[v])
                    continue;
                vf_store(entries[v], c[i][v]);
                handle(p, row + i, column + v * FW, entries[v], hit[v]);
            }
        }
    }
}

/* Start the rows of one panel with an upper bound on their k-th entry: each of NR lanes
 * keeps the smallest entry of its columns in a few panels, and the k-th smallest lane is
 * such a bound, because the lanes hold different columns (one of them the row itself, if
 * rows look into their own sample). Without it the first entries of a row all pass. */
static void prime_panel(const sample_pair *p, int64_t row)
{
    int d = p->from->rows->d, k = p->rows->k, wanted = k + p->same;
    int64_t panels = (p->column_end - p->right->first) / NR,
            step = panels / PRIMING * NR;
    vf least[MR], c[MR][NV];
    EACH(i, MR)
        least[i] = vf_set(NOT_YET);
    for (int s = 0; s < PRIMING; s++) {
        int64_t column = p->right->first + s * step;
        multiply(d, left_panel(p, row), right_panel(p, column), c);
        EACH(i, MR)
            EACH(v, NV)
                least[i] = vf_min(least[i],
                    vf_add(c[i][v], vf_load(p->into->norm + column + v * FW)));
    }
    for (int i = 0; i < MR && row + i < p->row_end; i++) {
        float lane[FW], sorted[2 * LIST], *own = p->rows->lists + (row + i + 1) * LIST;
        float norm = p->from->norm[row + i];
        vf_store(lane, least[i]);
        for (int l = 0; l < LIST; l++)
            sorted[LIST + l] = l ? NOT_YET : -NEVER;
        sorted[LIST - 1] = -NEVER;
        for (int l = 0; l < FW; l++)
            if (lane[l] < sorted[LIST + wanted])
                insert(sorted + LIST, lane[l]);
        /* just above, because rows at the bound itself are still to be found */
        float bound = nextafterf(sorted[LIST + wanted] + norm, INFINITY);
        if (bound >= NOT_YET)
            continue;
        for (int l = 1; l <= k; l++)
            own[l] = bound < own[l] ? bound : own[l];
        set_limit(p->rows, p->from->norm, row + i, own[k]);
    }
}

static void prime(const sample_pair *p, int threads)
{
    int wanted = p->rows->k + p->same;
    int64_t columns = p->column_end - p->right->first;
    if (wanted > FW || wanted > MAX_LIST || columns < 4 * PRIMING * NR)
        return;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int64_t i = p->left->first; i < p->row_end; i += MR)
        if (!stopped(p->stop))
            prime_panel(p, i);
}

/* All pairs of rows [i0, i1) and columns [j0, j1). */
static void product(
    const sample_pair *p, int64_t i0, int64_t i1, int64_t j0, int64_t j1)
{
    for (int64_t block = i0; block < i1; block += UNIT) {
        int64_t end = block + UNIT < i1 ? block + UNIT : i1;
        if (stopped(p->stop))
            return;
        int64_t first = p->same && j0 < block ? block : j0;
        for (int64_t j = first / NR * NR; j < j1; j += NR)
            for (int64_t i = block; i < end; i += MR) {
                if (p->same && j + NR <= i)
                    break;
                if (p->columns)
                    tile(1, p, i, j);
                else
                    tile(0, p, i, j);
            }
    }
}

/* Rows and columns are cut into parts; in each round every part is used by one thread, so
 * that both sides of a pair can be updated without locks. */
static void product_rounds(const sample_pair *p, int threads)
{
    int64_t i0 = p->left->first, j0 = p->right->first,
            parts = threads == 1 ? 1 : 4 * threads;
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
                        a = b;
                        b = swap;
                    }
                }
                int64_t end = (a + 1) * rows < n ? (a + 1) * rows : n;
                int64_t last = (b + 1) * columns < m ? (b + 1) * columns : m;
                product(p, i0 + a * rows, i0 + end, j0 + b * columns, j0 + last);
            }
        }
    }
}

static void product_rows(const sample_pair *p, int threads)
{
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (int64_t i = p->left->first; i < p->row_end; i += UNIT)
        product(p, i, i + UNIT < p->row_end ? i + UNIT : p->row_end, p->right->first,
            p->column_end);
}

#endif
