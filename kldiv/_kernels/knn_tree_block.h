/* k-d trees: the search of one block of queries, which is one leaf of the query tree. */
#ifndef KLDIV_KNN_TREE_BLOCK_H
#define KLDIV_KNN_TREE_BLOCK_H

#include "knn_tree_scan.h"

#define MAX_DEPTH 128

typedef struct {
    int64_t node, leaves, leaf;
} node_frame;

/* Distance of tree row p of `from` to tree row q of `into`, squared if Euclidean. */
INLINE double measure(const kd_tree *from, int64_t p, const kd_tree *into, int64_t q)
{
    int d = from->d;
    const REAL *a = from->points + p * d, *b = into->points + q * d;
    double total = 0;
    for (int j = 0; j < d; j++) {
        double x = (double)a[j] - (double)b[j];
        total += x * x;
    }
    return total;
}

/* One query measured in float64 against everything that its boxes leave: for queries with
 * more near ties than room. Strict pruning keeps exact ties cheap. */
static void search_alone(const kd_tree *from, int64_t p, const kd_tree *into, int self,
    leaf_lists *f, int *count)
{
    int d = from->d, top = 0;
    const REAL *q = from->points + p * d;
    node_frame stack[MAX_DEPTH];
    stack[top++] = (node_frame) {0, into->n_leaves, 0};
    *count = 0;
    while (top) {
        node_frame at = stack[--top];
        const REAL *low = into->low + at.node * d, *high = into->high + at.node * d;
        double gap2 = 0;
        for (int j = 0; j < d; j++) {
            double x = (double)q[j], gap = (double)low[j] - x,
                   other = x - (double)high[j];
            gap = gap > other ? gap : other;
            if (gap > 0)
                gap2 += gap * gap;
        }
        if (*count == f->k && !(gap2 < f->best[f->k - 1]))
            continue;
        if (at.leaves == 1) {
            for (int64_t i = at.leaf * into->leaf;
                i < into->n && i < (at.leaf + 1) * into->leaf; i++)
                if (!self || i != p)
                    keep_smallest(f->best, f->best_index, count, f->k,
                        measure(from, p, into, i), (int32_t)i);
            continue;
        }
        int64_t left = at.leaves / 2;
        node_frame a = {at.node + 1, left, at.leaf};
        node_frame b = {at.node + 2 * left, at.leaves - left, at.leaf + left};
        int near_left = q[into->cut_dim[at.node]] < into->cut[at.node];
        stack[top++] = near_left ? b : a;
        stack[top++] = near_left ? a : b;
    }
}

/* Answers of one query from its candidates. */
static void finish(const knn_job *job, const knn_block *block, const kd_tree *from,
    int64_t p, const kd_tree *into, leaf_lists *f, int lane, int self)
{
    int k = f->k, count = 0;
    int64_t row = from->order[p];
    const REAL *value = f->value + (int64_t)lane * f->room;
    const int32_t *position = f->position + (int64_t)lane * f->room;
    if (f->count[lane] < 0)
        search_alone(from, p, into, self, f, &count);
    else {
        if (f->count[lane] > k)
            compact(f, lane, BIG, from->d);
        if (f->count[lane] < 0)
            search_alone(from, p, into, self, f, &count);
        else
            for (int i = 0; i < f->count[lane]; i++)
                keep_smallest(f->best, f->best_index, &count, k,
                    WIDEN > 0 ? measure(from, p, into, position[i]) : (double)value[i],
                    position[i]);
    }
    for (int i = 0; i < k; i++) {
        double v = f->best[i];
        block->distances[row * k + i] =
            (job->metric == METRIC_EUCLIDEAN ? sqrt(v) : v) / job->scale;
        if (block->indices)
            block->indices[row * k + i] = into->order[f->best_index[i]];
    }
}

/* Search the queries of one leaf of `from` in `into`. */
INLINE void search_block(const int D, const int K, const int COLLECT, const int METRIC,
    const int LEAF, const knn_job *job, const knn_block *block, const kd_tree *from,
    const kd_tree *into, int64_t b, leaf_lists *found)
{
    int d = D ? D : from->d, self = block->from == block->into, k = job->k;
    const int G = LEAF / W;
    const REAL *rows_of_leaf = from->points + b * d * LEAF;
    REAL *RESTRICT q = found->queries;
    for (int j = 0; j < d; j++)
        for (int i = 0; i < LEAF; i++)
            q[j * LEAF + i] = rows_of_leaf[i * d + j];
    VEC top[MAX_GROUPS][MAX_CHAIN], threshold[MAX_GROUPS];
    node_frame stack[MAX_DEPTH];
    int depth = 0;
    for (int g = 0; g < G; g++) {
        threshold[g] = V(set)(BIG);
        for (int c = 0; c < K; c++)
            top[g][c] = V(set)(BIG);
    }
    if (COLLECT)
        for (int i = 0; i < LEAF; i++)
            found->count[i] = 0;
    if (self)
        for (int g = 0; g < G; g++)
            scan(D, K, COLLECT, METRIC, LEAF, q + g * W, into, b, top[g], &threshold[g],
                found, g, g * W);
    stack[depth++] = (node_frame) {0, into->n_leaves, 0};
    while (depth) {
        node_frame at = stack[--depth];
        unsigned hits[MAX_GROUPS], any = 0;
        for (int g = 0; g < G; g++)
            any |= hits[g] =
                box_hits(D, METRIC, LEAF, q + g * W, into, at.node, threshold[g]);
        if (!any)
            continue;
        if (at.leaves == 1) {
            if (self && at.leaf == b)
                continue;
            for (int g = 0; g < G; g++)
                if (hits[g])
                    scan(D, K, COLLECT, METRIC, LEAF, q + g * W, into, at.leaf, top[g],
                        &threshold[g], found, g, -1);
            continue;
        }
        int64_t left = at.leaves / 2;
        node_frame l = {at.node + 1, left, at.leaf};
        node_frame r = {at.node + 2 * left, at.leaves - left, at.leaf + left};
        int near_left =
            q[into->cut_dim[at.node] * LEAF + LEAF / 2] < into->cut[at.node];
        stack[depth++] = near_left ? r : l;
        stack[depth++] = near_left ? l : r;
    }
    int rows = (int)(from->n - b * LEAF < LEAF ? from->n - b * LEAF : LEAF);
    if (COLLECT) {
        for (int i = 0; i < rows; i++)
            finish(job, block, from, b * LEAF + i, into, found, i, self);
        return;
    }
    REAL answer[MAX_CHAIN][MAX_LEAF];
    for (int g = 0; g < G; g++)
        for (int c = 0; c < K; c++)
            V(store)(answer[c] + g * W, V(sqrt)(top[g][c]));
    for (int i = 0; i < rows; i++) {
        double *out = block->distances + (int64_t)from->order[b * LEAF + i] * k;
        for (int c = 0; c < K && c < k; c++)
            out[c] = (double)answer[c][i] / job->scale;
    }
}

#endif
