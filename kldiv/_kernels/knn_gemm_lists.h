/* Fused product: what a row keeps while tiles pass, its limit and candidates. */
#ifndef KLDIV_KNN_GEMM_LISTS_H
#define KLDIV_KNN_GEMM_LISTS_H

#include "knn_gemm_pack.h"

#define LIST 16     /* floats of a sorted list: one cache line */
#define MAX_LIST 15 /* for k up to this, the k smallest are kept sorted */
#define NOT_YET 1e30f

typedef struct {
    float value;
    int32_t index;
} candidate;

typedef struct {
    int64_t n;
    int k, room;
    float *gate;  /* (padded,) a product below gate[i] - norm[j] may matter */
    float *limit; /* (padded,) a squared distance below it may matter */
    float *slack; /* (padded,) 2 S */
    float *lists; /* one line of padding, then (n, LIST): -NEVER, the k smallest */
    candidate *candidates; /* (n, room) */
    int32_t *count;        /* (n,) -1: more near ties than room */
} row_lists;

static int lists_make(row_lists *f, const packed_sample *from,
    const packed_sample *into, int k, double relative)
{
    int64_t n = from->n, padded = from->padded;
    f->n = n;
    f->k = k;
    f->room = 2 * k + 32;
    f->gate = allocate((size_t)padded, sizeof(float));
    f->limit = allocate((size_t)padded, sizeof(float));
    f->slack = allocate((size_t)padded, sizeof(float));
    f->lists = allocate((size_t)(k > MAX_LIST ? 1 : n + 1) * LIST, sizeof(float));
    f->candidates = allocate((size_t)n * (size_t)f->room, sizeof(candidate));
    f->count = allocate((size_t)n, sizeof(int32_t));
    if (!f->gate || !f->limit || !f->slack || !f->lists || !f->candidates || !f->count)
        return KNN_NO_MEMORY;
    for (int64_t i = 0; i < padded; i++) {
        double reach = i < n ? sqrt((double)from->norm[i]) + sqrt(into->largest) : 0;
        f->slack[i] =
            (float)(2.0001 * (relative * reach * reach) + (relative > 0 ? 1e-36 : 0));
        f->limit[i] = f->gate[i] = i < n ? NOT_YET : -NEVER;
    }
    for (int64_t i = 0; i < (k > MAX_LIST ? 1 : n + 1) * LIST; i++)
        f->lists[i] = i % LIST ? NOT_YET : -NEVER;
    for (int64_t i = 0; i < n; i++)
        f->count[i] = 0;
    return KNN_OK;
}

static void lists_free(row_lists *f)
{
    release(f->gate);
    release(f->limit);
    release(f->slack);
    release(f->lists);
    release(f->candidates);
    release(f->count);
}

/* The gate is a little wider than the limit: it is compared after two roundings more. */
INLINE void set_limit(row_lists *f, const float *norm, int64_t i, float kth)
{
    float limit = kth + f->slack[i];
    f->limit[i] = limit;
    f->gate[i] = (limit - norm[i]) + (1e-6f * (limit + norm[i]) + f->slack[i]);
}

DEFINE_BRING_FORWARD(float)

/* Drop what can no longer be a neighbour; give up on a row with too many near ties. */
static void compact(row_lists *f, const float *norm, int64_t i)
{
    candidate *c = f->candidates + i * f->room;
    int kept = 0, count = f->count[i];
    if (f->k > MAX_LIST && count >= f->k) {
        bring_forward(c, count, f->k);
        set_limit(f, norm, i, c[f->k - 1].value);
    }
    for (int at = 0; at < count; at++)
        if (c[at].value <= f->limit[i])
            c[kept++] = c[at];
    f->count[i] = kept;
    if (kept > f->room - 8) {
        f->count[i] = -1;
        f->limit[i] = f->gate[i] = -NEVER;
    }
}

/* Put v into the sorted list: new[c] = min(old[c], max(old[c - 1], v)). */
INLINE void insert(float *list, float v)
{
    vf shifted[LIST / FW], own[LIST / FW], x = vf_set(v);
    EACH(c, LIST / FW) {
        shifted[c] = vf_load(list + c * FW - 1);
        own[c] = vf_load(list + c * FW);
    }
    EACH(c, LIST / FW)
        vf_store(list + c * FW, vf_min(own[c], vf_max(shifted[c], x)));
}

/* Row j at squared distance v (known to be within the limit) for query i. */
INLINE void offer(row_lists *f, const float *norm, int64_t i, float v, int32_t j)
{
    if (UNLIKELY(f->count[i] == f->room)) {
        compact(f, norm, i);
        if (!(v < f->limit[i]))
            return;
    }
    candidate *c = f->candidates + i * f->room + f->count[i]++;
    c->value = v;
    c->index = j;
    if (f->k > MAX_LIST)
        return;
    float *list = f->lists + (i + 1) * LIST;
    if (!(v < list[f->k]))
        return;
    insert(list, v);
    set_limit(f, norm, i, list[f->k]);
}

#endif
