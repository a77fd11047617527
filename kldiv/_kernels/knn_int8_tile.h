/* Search by bytes: a block of queries, and products of its codes with a panel by vectors
 * or by matrix registers. */
#ifndef KLDIV_KNN_INT8_TILE_H
#define KLDIV_KNN_INT8_TILE_H

#include "knn_int8_codes.h"
#include "knn_int8_matrix.h"

typedef struct {
    int32_t index, value;
} candidate;

/* A block of queries at work; one per thread. */
typedef struct {
    uint8_t *left, *lines; /* codes as tiles read them; as rows */
    int32_t *used;         /* (BLOCK / MR, groups) groups of a tile that are not zero */
    int32_t *n_used;       /* (BLOCK / MR,) */
    int32_t *products;     /* (STRIP, BLOCK, NR) */
    int32_t *test;         /* (BLOCK,) a product above half[j] - test[i] may matter */
    int32_t *limit;        /* (BLOCK,) a squared code distance below it may matter */
    int32_t *norm;         /* (BLOCK,) |x|^2 - 2 CODE_SHIFT sum x */
    int32_t *list;         /* (BLOCK, LANES) smallest squared code distances */
    int32_t *applied;      /* (BLOCK,) k-th of them when the limit was set */
    double *radius;        /* (BLOCK,) of query and segment together */
    candidate *candidates; /* (BLOCK, room) */
    int *count, *known;    /* candidates; neighbours measured */
    double *best;          /* (BLOCK, k) squares */
    int32_t *index;
    int room;
    int64_t measured;
} query_block;

static void work_free(query_block *w)
{
    release(w->left);
    release(w->lines);
    release(w->used);
    release(w->n_used);
    release(w->products);
    release(w->test);
    release(w->limit);
    release(w->applied);
    release(w->norm);
    release(w->list);
    release(w->radius);
    release(w->candidates);
    release(w->count);
    release(w->known);
    release(w->best);
    release(w->index);
}

static int work_make(query_block *w, const segment *t, int k)
{
    memset(w, 0, sizeof *w);
    w->room = k > LANES ? 4 * k + 48 : 96;
    w->left = allocate(BLOCK, codes_size(t));
    w->lines = allocate(BLOCK, codes_size(t));
    w->used = allocate(BLOCK / MR * (size_t)t->groups, sizeof(int32_t));
    w->n_used = allocate(BLOCK / MR, sizeof(int32_t));
    w->products = allocate(STRIP * BLOCK * NR, sizeof(int32_t));
    w->test = allocate(BLOCK, sizeof(int32_t));
    w->limit = allocate(BLOCK, sizeof(int32_t));
    w->applied = allocate(BLOCK, sizeof(int32_t));
    w->norm = allocate(BLOCK, sizeof(int32_t));
    w->list = allocate(BLOCK * LANES, sizeof(int32_t));
    w->radius = allocate(BLOCK, sizeof(double));
    w->candidates = allocate(BLOCK * (size_t)w->room, sizeof(candidate));
    w->count = allocate(BLOCK, sizeof(int));
    w->known = allocate(BLOCK, sizeof(int));
    w->best = allocate(BLOCK * (size_t)k, sizeof(double));
    w->index = allocate(BLOCK * (size_t)k, sizeof(int32_t));
    return w->left && w->lines && w->used && w->n_used && w->products && w->test
            && w->limit && w->applied && w->norm && w->list && w->radius
            && w->candidates && w->count && w->known && w->best && w->index
        ? KNN_OK
        : KNN_NO_MEMORY;
}

/* Codes of the rows [row, row + MR) of the block from lines into tile order, without the
 * groups in which all of them are zero: images have wide margins. */
static void pack_tile(const segment *t, query_block *w, int row)
{
    const size_t width = codes_size(t);
    const uint8_t *line = w->lines + row * width;
    code_group *out = (code_group *)(w->left + row * width);
    int32_t *used = w->used + row / MR * t->groups;
    int n = 0;
    for (int g = 0; g < t->groups; g++) {
        code_group any = 0;
        for (int r = 0; r < MR; r++) {
            memcpy(out + n * MR + r, line + r * width + sizeof any * g, sizeof any);
            any |= out[n * MR + r];
        }
        used[n] = g;
        n += any != 0;
    }
    w->n_used[row / MR] = n;
}

static void vector_tile(const segment *t, const query_block *w, int row,
    const uint8_t *left, const uint8_t *right, int32_t *out)
{
    vi c[MR][NV];
    const int n = w->n_used[row / MR];
    if (n == t->groups)
        multiply_codes(n, left, right, c);
    else
        multiply_used_codes(n, w->used + row / MR * t->groups, left, right, c);
    EACH(i, MR)
        EACH(v, NV)
            vi_store(out + i * NR + v * FW, c[i][v]);
}

/* Products of queries [row, row + tile_rows) and the panel at column j. */
INLINE int tile_rows(const segment *t)
{
    return t->matrix ? NR : MR;
}

INLINE void tile(
    const segment *t, const query_block *w, int row, int64_t j, int32_t *out)
{
    const uint8_t *left = w->left + (size_t)row * codes_size(t);
    const uint8_t *right = t->panels + (size_t)j * codes_size(t);
#if ISA_KNOWS_MATRIX
    if (t->matrix) {
        matrix_tile(t->groups, t->per, left, right, out);
        return;
    }
#endif
    vector_tile(t, w, row, left, right, out);
}

#endif
