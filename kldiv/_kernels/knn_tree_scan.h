/* k-d trees: lane = query. What the queries of one leaf keep, and the scan of a leaf and
 * of a box. */
#ifndef KLDIV_KNN_TREE_SCAN_H
#define KLDIV_KNN_TREE_SCAN_H

#include "knn_tree_build.h"

#define APPEND_ROOM 64
#define MAX_CHAIN 16
#define MAX_LEAF 32
#define MAX_GROUPS (MAX_LEAF / W)

/* What one block of queries has found so far. */
typedef struct {
    REAL *value;         /* (MAX_LEAF, room) candidates of each query */
    int32_t *position;   /* their tree positions */
    int count[MAX_LEAF]; /* -1: too many ties, the query is measured alone */
    int room, k;
    double *best;
    int32_t *best_index;
    REAL *queries; /* (d, MAX_LEAF) the rows of one leaf, one column after the other */
} leaf_lists;

/* Relative width of the band that may hold a neighbour (precision.rst, "k-d trees"). */
INLINE REAL band(int d)
{
    return (REAL)(1.0 + WIDEN * 4.0 * (d + 4) * ROUNDING);
}

static REAL kth_smallest(REAL *value, int32_t *position, int n, int k)
{
    int l = 0, r = n - 1;
    while (l < r) {
        REAL pivot = value[(l + r) / 2];
        int i = l, j = r;
        while (i <= j) {
            while (value[i] < pivot)
                i++;
            while (value[j] > pivot)
                j--;
            if (i <= j) {
                REAL v = value[i];
                int32_t p = position[i];
                value[i] = value[j];
                value[j] = v;
                position[i] = position[j];
                position[j] = p;
                i++;
                j--;
            }
        }
        if (k <= j)
            r = j;
        else if (k >= i)
            l = i;
        else
            break;
    }
    return value[k];
}

/* Drop candidates that can no longer matter; `limit` is the strict threshold in force.
 * Returns the new strict threshold. */
static REAL compact(leaf_lists *f, int lane, REAL limit, int d)
{
    REAL *value = f->value + (int64_t)lane * f->room;
    int32_t *position = f->position + (int64_t)lane * f->room;
    int count = f->count[lane], kept = 0;
    if (count > f->k) {
        REAL kth = kth_smallest(value, position, count, f->k - 1);
        if (kth * band(d) < limit)
            limit = kth * band(d);
        kept = f->k; /* it leaves the k smallest in front */
    }
    if (WIDEN > 0)
        for (int i = kept; i < count; i++)
            if (value[i] <= limit) {
                value[kept] = value[i];
                position[kept++] = position[i];
            }
    f->count[lane] = kept > f->room - f->room / 8 ? -1 : kept;
    return limit;
}

static REAL append(leaf_lists *f, int lane, REAL v, int32_t position, REAL limit, int d)
{
    if (f->count[lane] < 0)
        return limit;
    if (f->count[lane] == f->room) {
        limit = compact(f, lane, limit, d);
        if (f->count[lane] < 0)
            return limit;
        if (!(v <= limit))
            return limit;
    }
    int64_t at = (int64_t)lane * f->room + f->count[lane]++;
    f->value[at] = v;
    f->position[at] = position;
    return limit;
}

#define CHAIN_INSERT(K, top, v)                    \
    do {                                           \
        VEC moving_ = v;                           \
        EACH(c_, (K)) {                            \
            VEC small_ = V(min)(top[c_], moving_); \
            moving_ = V(max)(top[c_], moving_);    \
            top[c_] = small_;                      \
        }                                          \
    } while (0)

INLINE VEC step(const int METRIC, VEC x, REAL y, VEC a)
{
    VEC t = V(sub)(x, V(set)(y));
    if (METRIC == METRIC_EUCLIDEAN)
        return V(fma)(t, t, a);
    t = V(abs)(t);
    return METRIC == METRIC_MANHATTAN ? V(add)(a, t) : V(max)(a, t);
}

INLINE VEC hide_lane(VEC a, int lane)
{
    if (lane < 0 || lane >= W)
        return a;
    REAL lanes[W];
    V(store)(lanes, a);
    lanes[lane] = BIG;
    return V(load)(lanes);
}

/* Measure W queries against the rows of one leaf. own >= 0: the leaf is the queries' own,
 * and lane l is row own + l. */
INLINE void scan(const int D, const int K, const int COLLECT, const int METRIC,
    const int LEAF, const REAL *RESTRICT q, const kd_tree *t, int64_t leaf, VEC *chain,
    VEC *chain_limit, leaf_lists *found, int group, int own)
{
    VEC top[MAX_CHAIN], threshold = *chain_limit;
    EACH(c, K)
        top[c] = chain[c];
    int d = D ? D : t->d,
        rows = (int)(t->n - leaf * LEAF < LEAF ? t->n - leaf * LEAF : LEAF);
    const REAL *y = t->points + leaf * LEAF * d;
    for (int p = 0; p < rows; p += 4, y += 4 * d) {
        VEC a[4];
        EACH(i, 4)
            a[i] = V(set)(0);
        for (int j = 0; j < d; j++) {
            VEC x = V(load)(q + j * LEAF);
            EACH(i, 4)
                a[i] = step(METRIC, x, y[i * d + j], a[i]);
        }
        if (UNLIKELY(own >= 0))
            for (int i = 0; i < 4; i++)
                a[i] = hide_lane(a[i], p + i - own);
        if (UNLIKELY(p + 4 > rows))
            for (int i = rows - p; i < 4; i++)
                a[i] = V(set)(BIG);
        EACH(i, 4) {
            unsigned hit = V(less)(a[i], threshold);
            if (!hit)
                continue;
            if (K) {
                CHAIN_INSERT(K, top, a[i]);
                threshold =
                    WIDEN > 0 ? V(mul)(top[K - 1], V(set)(band(d))) : top[K - 1];
            }
            if (COLLECT) {
                REAL value[W], limit[W];
                V(store)(value, a[i]);
                V(store)(limit, threshold);
                for (; hit; hit &= hit - 1) {
                    int l = lowest_bit(hit);
                    limit[l] = append(found, group * W + l, value[l],
                        (int32_t)(leaf * LEAF + p + i), limit[l], d);
                }
                if (!K)
                    threshold = V(load)(limit);
            }
        }
    }
    EACH(c, K)
        chain[c] = top[c];
    *chain_limit = threshold;
}

INLINE unsigned box_hits(const int D, const int METRIC, const int LEAF, const REAL *q,
    const kd_tree *t, int64_t node, VEC threshold)
{
    int d = D ? D : t->d;
    const REAL *low = t->low + node * d, *high = t->high + node * d;
    VEC a = V(set)(0), zero = a;
    for (int j = 0; j < d; j++) {
        VEC x = V(load)(q + j * LEAF);
        VEC gap =
            V(max)(V(max)(V(sub)(V(set)(low[j]), x), V(sub)(x, V(set)(high[j]))), zero);
        if (METRIC == METRIC_EUCLIDEAN)
            a = V(fma)(gap, gap, a);
        else
            a = METRIC == METRIC_MANHATTAN ? V(add)(a, gap) : V(max)(a, gap);
    }
    return V(less)(a, threshold);
}

#endif
