/* One k-d tree in the number type REAL: rows in tree order, and the boxes of its nodes.
 *
 * Distances are sums of squared differences. A box distance is computed by the same
 * operations in the same order as the distance of a point, and each of them is monotone
 * under rounding, so a box is never farther than what it holds: pruning loses nothing. */
#ifndef KLDIV_KNN_TREE_BUILD_H
#define KLDIV_KNN_TREE_BUILD_H

#include "knn_exact.h"

typedef struct {
    const REAL *rows; /* as given */
    int64_t n, n_leaves;
    int d, leaf;
    REAL *points;     /* (n_leaves * leaf, d) in tree order, the last row repeated */
    REAL *low, *high; /* (2 * n_leaves, d) boxes of the nodes */
    REAL *cut;        /* (2 * n_leaves,) */
    int32_t *cut_dim; /* (2 * n_leaves,) */
    int32_t *order;   /* (n,) tree position -> row */
    int32_t *spare;   /* (n,) */
    uint64_t *keys;   /* (2 n,) only made when a sort by full keys is needed */
    int failed;
    stop_flag *stop;
} kd_tree;

#define CUT_BUCKETS 4096
#define PATIENCE 4096 /* rows of a node that is not built without asking first */

/* Stable sort of order[s..e) by a 32-bit linear key: for data that defeats the buckets. */
static void sort_by_key(
    kd_tree *t, int64_t s, int64_t e, int dim, double low, double width)
{
    int64_t n = e - s;
    if (!t->keys)
        t->keys = allocate(2 * (size_t)t->n, sizeof(uint64_t));
    if (!t->keys) {
        t->failed = 1;
        return;
    }
    uint64_t *from = t->keys, *to = t->keys + n;
    for (int64_t i = 0; i < n; i++) {
        int32_t row = t->order[s + i];
        double x = ((double)t->rows[(int64_t)row * t->d + dim] - low) / width;
        from[i] = ((uint64_t)(x * 4294967295.0) << 32) | (uint32_t)row;
    }
    for (int shift = 32; shift < 64; shift += 8) {
        int64_t start[257] = {0};
        for (int64_t i = 0; i < n; i++)
            start[((from[i] >> shift) & 255) + 1]++;
        for (int b = 0; b < 256; b++)
            start[b + 1] += start[b];
        for (int64_t i = 0; i < n; i++)
            to[start[(from[i] >> shift) & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    for (int64_t i = 0; i < n; i++)
        t->order[s + i] = (int32_t)(from[i] & 0xffffffffu);
}

/* Bring order[s..e) into ascending order of one column, up to buckets far narrower than
 * one of the 2^levels slabs that it will be cut into. Order inside a bucket is free: it
 * changes how tight the boxes are, never an answer. */
static void sort_slabs(
    kd_tree *t, int64_t s, int64_t e, int dim, REAL low, REAL high, int levels)
{
    int64_t n = e - s;
    uint32_t start[CUT_BUCKETS + 1];
    uint16_t *bucket = (uint16_t *)(t->spare + s); /* n values, then moved to the key */
    int n_buckets = 32;
    double width = (double)high - (double)low;
    if (!(width > 0))
        return;
    while (n_buckets < CUT_BUCKETS && n_buckets < n)
        n_buckets *= 2;
    double factor = (n_buckets - 0.5) / width;
    if (!(factor < 1e300))
        return;
    memset(start, 0, sizeof(uint32_t) * (size_t)(n_buckets + 1));
    const REAL *column = t->rows + dim;
    for (int64_t i = 0; i < n; i++) {
        double x =
            ((double)column[(int64_t)t->order[s + i] * t->d] - (double)low) * factor;
        int b = (int)x;
        bucket[i] = (uint16_t)b;
        start[b + 1]++;
    }
    uint32_t largest = 0;
    for (int b = 0; b < n_buckets; b++) {
        if (start[b + 1] > largest)
            largest = start[b + 1];
        start[b + 1] += start[b];
    }
    if ((int64_t)largest > (n >> levels) / 2 + 4) {
        sort_by_key(t, s, e, dim, (double)low, width);
        return;
    }
    /* `bucket` fills the first half of spare[s..e); the second pass needs a place for the
     * rows, so they go through the points array, which is filled only later. */
    int32_t *sorted = (int32_t *)t->points + s;
    for (int64_t i = 0; i < n; i++)
        sorted[start[bucket[i]]++] = t->order[s + i];
    memcpy(t->order + s, sorted, sizeof(int32_t) * (size_t)n);
}

/* Column extents of order[s..e) into low, high. */
static void extents(const kd_tree *t, int64_t s, int64_t e, REAL *low, REAL *high)
{
    int d = t->d;
    for (int j = 0; j < d; j++) {
        low[j] = BIG;
        high[j] = -BIG;
    }
    for (int64_t i = s; i < e; i++) {
        const REAL *x = t->rows + (int64_t)t->order[i] * d;
        for (int j = 0; j < d; j++) {
            low[j] = x[j] < low[j] ? x[j] : low[j];
            high[j] = x[j] > high[j] ? x[j] : high[j];
        }
    }
}

/* In how many levels the widest column should be cut at once: as many as bring it to the
 * side of the cubes that the leaves would ideally be. */
static int levels_at_once(
    const REAL *low, const REAL *high, int d, int dim, int64_t leaves)
{
    double widest = (double)high[dim] - (double)low[dim], logs = 0;
    int wide = 0, levels = 1;
    for (int j = 0; j < d; j++) {
        double w = (double)high[j] - (double)low[j];
        if (w > 0.25 * widest) {
            logs += log(widest / w);
            wide++;
        }
    }
    if (!wide)
        return 1;
    /* side = (product of widths / leaves)^(1/wide), in units of the widest: exp(-x) */
    double x = (logs + log((double)leaves)) / wide;
    levels = (int)(x / 0.6931471805599453 + 0.5);
    if (levels > 6)
        levels = 6;
    while (levels > 1 && (leaves >> levels) < 1)
        levels--;
    return levels < 1 ? 1 : levels;
}

/* Put rows into tree order: cut order[s..e) into L leaves below `node`. */
static void arrange(
    kd_tree *t, int64_t node, int64_t L, int64_t s, int64_t e, int levels, int dim)
{
    if (L == 1)
        return;
    if (e - s >= PATIENCE && stopped(t->stop))
        return;
    if (levels == 0) {
        REAL *low = t->low + node * t->d, *high = t->high + node * t->d;
        extents(t, s, e, low, high);
        dim = 0;
        for (int j = 1; j < t->d; j++)
            if (high[j] - low[j] > high[dim] - low[dim])
                dim = j;
        levels = levels_at_once(low, high, t->d, dim, L);
        sort_slabs(t, s, e, dim, low[dim], high[dim], levels);
    }
    int64_t left = L / 2, mid = s + left * t->leaf;
    t->cut_dim[node] = dim;
    t->cut[node] = t->rows[(int64_t)t->order[mid] * t->d + dim];
    arrange(t, node + 1, left, s, mid, levels - 1, dim);
    arrange(t, node + 2 * left, L - left, mid, e, levels - 1, dim);
}

/* Copy the rows of the leaves and make the boxes, from the leaves up. */
static void fill(kd_tree *t, int64_t node, int64_t L, int64_t leaf)
{
    int d = t->d, size = t->leaf;
    REAL *low = t->low + node * d, *high = t->high + node * d;
    if (L == 1) {
        REAL *points = t->points + leaf * size * d;
        for (int i = 0; i < size; i++) {
            int64_t p = leaf * size + i;
            const REAL *x = t->rows + (int64_t)t->order[p < t->n ? p : t->n - 1] * d;
            for (int j = 0; j < d; j++)
                points[i * d + j] = x[j];
        }
        for (int j = 0; j < d; j++)
            low[j] = high[j] = points[j];
        for (int i = 1; i < size; i++)
            for (int j = 0; j < d; j++) {
                REAL x = points[i * d + j];
                low[j] = x < low[j] ? x : low[j];
                high[j] = x > high[j] ? x : high[j];
            }
        return;
    }
    int64_t left = L / 2;
    fill(t, node + 1, left, leaf);
    fill(t, node + 2 * left, L - left, leaf + left);
    const REAL *l0 = low + d, *h0 = high + d, *l1 = low + 2 * left * d,
               *h1 = high + 2 * left * d;
    for (int j = 0; j < d; j++) {
        low[j] = l0[j] < l1[j] ? l0[j] : l1[j];
        high[j] = h0[j] > h1[j] ? h0[j] : h1[j];
    }
}

static void tree_free(kd_tree *t)
{
    release(t->points);
    release(t->low);
    release(t->high);
    release(t->cut);
    release(t->cut_dim);
    release(t->order);
    release(t->spare);
    release(t->keys);
}

static int tree_make(kd_tree *t, const REAL *rows, int64_t n, int d, int leaf)
{
    int64_t L = (n + leaf - 1) / leaf;
    size_t nodes = 2 * (size_t)L, room = (size_t)(L * leaf) * (size_t)d * sizeof(REAL);
    stop_flag *stop = t->stop;
    memset(t, 0, sizeof *t);
    t->stop = stop;
    t->rows = rows;
    t->n = n;
    t->n_leaves = L;
    t->d = d;
    t->leaf = leaf;
    t->points = allocate(room, 1);
    t->low = allocate(nodes * (size_t)d, sizeof(REAL));
    t->high = allocate(nodes * (size_t)d, sizeof(REAL));
    t->cut = allocate(nodes, sizeof(REAL));
    t->cut_dim = allocate(nodes, sizeof(int32_t));
    t->order = allocate((size_t)n, sizeof(int32_t));
    t->spare = allocate((size_t)n, sizeof(int32_t));
    if (!t->points || !t->low || !t->high || !t->cut || !t->cut_dim || !t->order
        || !t->spare)
        return KNN_NO_MEMORY;
    for (int64_t i = 0; i < n; i++)
        t->order[i] = (int32_t)i;
    arrange(t, 0, L, 0, n, 0, 0);
    if (t->failed)
        return KNN_NO_MEMORY;
    if (stop->told)
        return KNN_STOPPED;
    release(t->spare);
    release(t->keys);
    t->spare = NULL;
    t->keys = NULL;
    fill(t, 0, L, 0);
    return KNN_OK;
}

#endif
