/* One k-d tree in the number type REAL; included once per type by knn_tree.c.

   Distances are sums of squared differences. A box distance is computed by the same
   operations in the same order as the distance of a point, and each of them is monotone
   under rounding, so a box is never farther than what it holds: pruning loses nothing. */

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
} TN(tree_t);

#define CUT_BUCKETS 4096

/* Stable sort of order[s..e) by a 32-bit linear key: for data that defeats the buckets. */
static void TN(sort_by_key)(TN(tree_t) * t, int64_t s, int64_t e, int dim, double low,
                            double width) {
    int64_t n = e - s;
    if (!t->keys) t->keys = allocate(2 * (size_t)t->n, sizeof(uint64_t));
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
        for (int64_t i = 0; i < n; i++) start[((from[i] >> shift) & 255) + 1]++;
        for (int b = 0; b < 256; b++) start[b + 1] += start[b];
        for (int64_t i = 0; i < n; i++) to[start[(from[i] >> shift) & 255]++] = from[i];
        uint64_t *swap = from;
        from = to, to = swap;
    }
    for (int64_t i = 0; i < n; i++) t->order[s + i] = (int32_t)(from[i] & 0xffffffffu);
}

/* Bring order[s..e) into ascending order of one column, up to buckets far narrower than
   one of the 2^levels slabs that it will be cut into. Order inside a bucket is free: it
   changes how tight the boxes are, never an answer. */
static void TN(sort_slabs)(TN(tree_t) * t, int64_t s, int64_t e, int dim, REAL low, REAL high,
                           int levels) {
    int64_t n = e - s;
    uint32_t start[CUT_BUCKETS + 1];
    uint16_t *bucket = (uint16_t *)(t->spare + s); /* n values, then moved to the key */
    int n_buckets = 32;
    double width = (double)high - (double)low;
    if (!(width > 0)) return;
    while (n_buckets < CUT_BUCKETS && n_buckets < n) n_buckets *= 2;
    double factor = (n_buckets - 0.5) / width;
    if (!(factor < 1e300)) return;
    memset(start, 0, sizeof(uint32_t) * (size_t)(n_buckets + 1));
    const REAL *column = t->rows + dim;
    for (int64_t i = 0; i < n; i++) {
        double x = ((double)column[(int64_t)t->order[s + i] * t->d] - (double)low) * factor;
        int b = (int)x;
        bucket[i] = (uint16_t)b;
        start[b + 1]++;
    }
    uint32_t largest = 0;
    for (int b = 0; b < n_buckets; b++) {
        if (start[b + 1] > largest) largest = start[b + 1];
        start[b + 1] += start[b];
    }
    if ((int64_t)largest > (n >> levels) / 2 + 4) {
        TN(sort_by_key)(t, s, e, dim, (double)low, width);
        return;
    }
    /* `bucket` fills the first half of spare[s..e); the second pass needs a place for the
       rows, so they go through the points array, which is filled only later. */
    int32_t *sorted = (int32_t *)t->points + s;
    for (int64_t i = 0; i < n; i++) sorted[start[bucket[i]]++] = t->order[s + i];
    memcpy(t->order + s, sorted, sizeof(int32_t) * (size_t)n);
}

/* Column extents of order[s..e) into low, high. */
static void TN(extents)(const TN(tree_t) * t, int64_t s, int64_t e, REAL *low, REAL *high) {
    int d = t->d;
    for (int j = 0; j < d; j++) low[j] = BIG, high[j] = -BIG;
    for (int64_t i = s; i < e; i++) {
        const REAL *x = t->rows + (int64_t)t->order[i] * d;
        for (int j = 0; j < d; j++) {
            low[j] = x[j] < low[j] ? x[j] : low[j];
            high[j] = x[j] > high[j] ? x[j] : high[j];
        }
    }
}

/* In how many levels the widest column should be cut at once: as many as bring it to the
   side of the cubes that the leaves would ideally be. */
static int TN(levels_at_once)(const REAL *low, const REAL *high, int d, int dim,
                              int64_t leaves) {
    double widest = (double)high[dim] - (double)low[dim], logs = 0;
    int wide = 0, levels = 1;
    for (int j = 0; j < d; j++) {
        double w = (double)high[j] - (double)low[j];
        if (w > 0.25 * widest) logs += log(widest / w), wide++;
    }
    if (!wide) return 1;
    /* side = (product of widths / leaves)^(1/wide), in units of the widest: exp(-x) */
    double x = (logs + log((double)leaves)) / wide;
    levels = (int)(x / 0.6931471805599453 + 0.5);
    if (levels > 6) levels = 6;
    while (levels > 1 && (leaves >> levels) < 1) levels--;
    return levels < 1 ? 1 : levels;
}

/* Put rows into tree order: cut order[s..e) into L leaves below `node`. */
static void TN(arrange)(TN(tree_t) * t, int64_t node, int64_t L, int64_t s, int64_t e,
                        int levels, int dim) {
    if (L == 1) return;
    if (levels == 0) {
        REAL *low = t->low + node * t->d, *high = t->high + node * t->d;
        TN(extents)(t, s, e, low, high);
        dim = 0;
        for (int j = 1; j < t->d; j++)
            if (high[j] - low[j] > high[dim] - low[dim]) dim = j;
        levels = TN(levels_at_once)(low, high, t->d, dim, L);
        TN(sort_slabs)(t, s, e, dim, low[dim], high[dim], levels);
    }
    int64_t left = L / 2, mid = s + left * t->leaf;
    t->cut_dim[node] = dim;
    t->cut[node] = t->rows[(int64_t)t->order[mid] * t->d + dim];
    TN(arrange)(t, node + 1, left, s, mid, levels - 1, dim);
    TN(arrange)(t, node + 2 * left, L - left, mid, e, levels - 1, dim);
}

/* Copy the rows of the leaves and make the boxes, from the leaves up. */
static void TN(fill)(TN(tree_t) * t, int64_t node, int64_t L, int64_t leaf) {
    int d = t->d, size = t->leaf;
    REAL *low = t->low + node * d, *high = t->high + node * d;
    if (L == 1) {
        REAL *points = t->points + leaf * size * d;
        for (int i = 0; i < size; i++) {
            int64_t p = leaf * size + i;
            const REAL *x = t->rows + (int64_t)t->order[p < t->n ? p : t->n - 1] * d;
            for (int j = 0; j < d; j++) points[i * d + j] = x[j];
        }
        for (int j = 0; j < d; j++) low[j] = high[j] = points[j];
        for (int i = 1; i < size; i++)
            for (int j = 0; j < d; j++) {
                REAL x = points[i * d + j];
                low[j] = x < low[j] ? x : low[j], high[j] = x > high[j] ? x : high[j];
            }
        return;
    }
    int64_t left = L / 2;
    TN(fill)(t, node + 1, left, leaf);
    TN(fill)(t, node + 2 * left, L - left, leaf + left);
    const REAL *l0 = low + d, *h0 = high + d, *l1 = low + 2 * left * d, *h1 = high + 2 * left * d;
    for (int j = 0; j < d; j++) {
        low[j] = l0[j] < l1[j] ? l0[j] : l1[j];
        high[j] = h0[j] > h1[j] ? h0[j] : h1[j];
    }
}

static void TN(tree_free)(TN(tree_t) * t) {
    release(t->points), release(t->low), release(t->high);
    release(t->cut), release(t->cut_dim), release(t->order), release(t->spare);
    release(t->keys);
}

static int TN(tree_make)(TN(tree_t) * t, const REAL *rows, int64_t n, int d, int leaf) {
    int64_t L = (n + leaf - 1) / leaf;
    size_t nodes = 2 * (size_t)L, room = (size_t)(L * leaf) * (size_t)d * sizeof(REAL);
    memset(t, 0, sizeof *t);
    t->rows = rows, t->n = n, t->n_leaves = L, t->d = d, t->leaf = leaf;
    t->points = allocate(room, 1);
    t->low = allocate(nodes * (size_t)d, sizeof(REAL));
    t->high = allocate(nodes * (size_t)d, sizeof(REAL));
    t->cut = allocate(nodes, sizeof(REAL));
    t->cut_dim = allocate(nodes, sizeof(int32_t));
    t->order = allocate((size_t)n, sizeof(int32_t));
    t->spare = allocate((size_t)n, sizeof(int32_t));
    if (!t->points || !t->low || !t->high || !t->cut || !t->cut_dim || !t->order || !t->spare)
        return KNN_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) t->order[i] = (int32_t)i;
    TN(arrange)(t, 0, L, 0, n, 0, 0);
    if (t->failed) return KNN_NO_MEMORY;
    release(t->spare), release(t->keys);
    t->spare = NULL, t->keys = NULL;
    TN(fill)(t, 0, L, 0);
    return KNN_OK;
}

/* ---- search ---------------------------------------------------------------------- */

#define MAX_LEAF 32
#define MAX_GROUPS (MAX_LEAF / W)

/* What one block of queries has found so far. */
typedef struct {
    REAL *value;      /* (MAX_LEAF, room) candidates of each query */
    int32_t *position; /* their tree positions */
    int count[MAX_LEAF]; /* -1: too many ties, the query is measured alone */
    int room, k;
    REAL threshold[MAX_LEAF]; /* k > MAX_CHAIN only */
    double *best;
    int32_t *best_index;
    REAL *queries; /* (d, MAX_LEAF) the rows of one leaf, one column after the other */
} TN(found_t);

/* Relative width of the band that may hold a neighbour: see precision.rst. */
INLINE REAL TN(band)(int d) {
    return (REAL)(1.0 + WIDEN * 4.0 * (d + 4) * 5.960464477539063e-08);
}

static REAL TN(select)(REAL *value, int32_t *position, int n, int k) {
    int l = 0, r = n - 1;
    while (l < r) {
        REAL pivot = value[(l + r) / 2];
        int i = l, j = r;
        while (i <= j) {
            while (value[i] < pivot) i++;
            while (value[j] > pivot) j--;
            if (i <= j) {
                REAL v = value[i];
                int32_t p = position[i];
                value[i] = value[j], value[j] = v;
                position[i] = position[j], position[j] = p;
                i++, j--;
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
   Returns the new strict threshold. */
static REAL TN(compact)(TN(found_t) * f, int lane, REAL limit, int d) {
    REAL *value = f->value + (int64_t)lane * f->room;
    int32_t *position = f->position + (int64_t)lane * f->room;
    int count = f->count[lane], kept = 0;
    if (count > f->k) {
        REAL kth = TN(select)(value, position, count, f->k - 1);
        if (kth * TN(band)(d) < limit) limit = kth * TN(band)(d);
        kept = f->k; /* select leaves the k smallest in front */
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

static REAL TN(append)(TN(found_t) * f, int lane, REAL v, int32_t position, REAL limit, int d) {
    if (f->count[lane] < 0) return limit;
    if (f->count[lane] == f->room) {
        limit = TN(compact)(f, lane, limit, d);
        if (f->count[lane] < 0) return limit;
        if (!(v <= limit)) return limit;
    }
    int64_t at = (int64_t)lane * f->room + f->count[lane]++;
    f->value[at] = v, f->position[at] = position;
    return limit;
}

#define CHAIN_INSERT(K, top, v)                                                       \
    do {                                                                              \
        VEC moving_ = v;                                                              \
        UNROLL for (int c_ = 0; c_ < (K); c_++) {                                            \
            VEC small_ = V(min)(top[c_], moving_);                                    \
            moving_ = V(max)(top[c_], moving_), top[c_] = small_;                     \
        }                                                                             \
    } while (0)

INLINE VEC TN(step)(const int METRIC, VEC x, REAL y, VEC a) {
    VEC t = V(sub)(x, V(set)(y));
    if (METRIC == METRIC_EUCLIDEAN) return V(fma)(t, t, a);
    t = V(abs)(t);
    return METRIC == METRIC_MANHATTAN ? V(add)(a, t) : V(max)(a, t);
}

INLINE VEC TN(hide_lane)(VEC a, int lane) {
    if (lane < 0 || lane >= W) return a;
    REAL lanes[W];
    V(store)(lanes, a);
    lanes[lane] = BIG;
    return V(load)(lanes);
}

/* Measure W queries against the rows of one leaf. own >= 0: the leaf is the queries' own,
   and lane l is row own + l. */
INLINE void TN(scan)(const int D, const int K, const int COLLECT, const int METRIC, const int LEAF,
                  const REAL *RESTRICT q, const TN(tree_t) * t, int64_t leaf, VEC *chain,
                  VEC *chain_limit, TN(found_t) * found, int group, int own) {
    VEC top[MAX_CHAIN], threshold = *chain_limit;
    UNROLL for (int c = 0; c < K; c++) top[c] = chain[c];
    int d = D ? D : t->d, rows = (int)(t->n - leaf * LEAF < LEAF ? t->n - leaf * LEAF : LEAF);
    const REAL *y = t->points + leaf * LEAF * d;
    for (int p = 0; p < rows; p += 4, y += 4 * d) {
        VEC a[4];
        UNROLL for (int i = 0; i < 4; i++) a[i] = V(set)(0);
        for (int j = 0; j < d; j++) {
            VEC x = V(load)(q + j * LEAF);
            UNROLL for (int i = 0; i < 4; i++) a[i] = TN(step)(METRIC, x, y[i * d + j], a[i]);
        }
        if (UNLIKELY(own >= 0))
            for (int i = 0; i < 4; i++) a[i] = TN(hide_lane)(a[i], p + i - own);
        if (UNLIKELY(p + 4 > rows))
            for (int i = rows - p; i < 4; i++) a[i] = V(set)(BIG);
        UNROLL for (int i = 0; i < 4; i++) {
            unsigned hit = V(less)(a[i], threshold);
            if (!hit) continue;
            if (K) {
                CHAIN_INSERT(K, top, a[i]);
                threshold = WIDEN > 0 ? V(mul)(top[K - 1], V(set)(TN(band)(d))) : top[K - 1];
            }
            if (COLLECT) {
                REAL value[W], limit[W];
                V(store)(value, a[i]), V(store)(limit, threshold);
                for (; hit; hit &= hit - 1) {
                    int l = lowest_bit(hit);
                    limit[l] = TN(append)(found, group * W + l, value[l],
                                          (int32_t)(leaf * LEAF + p + i), limit[l], d);
                }
                if (!K) threshold = V(load)(limit);
            }
        }
    }
    UNROLL for (int c = 0; c < K; c++) chain[c] = top[c];
    *chain_limit = threshold;
}

INLINE unsigned TN(box_hits)(const int D, const int METRIC, const int LEAF, const REAL *q,
                          const TN(tree_t) * t, int64_t node, VEC threshold) {
    int d = D ? D : t->d;
    const REAL *low = t->low + node * d, *high = t->high + node * d;
    VEC a = V(set)(0), zero = a;
    for (int j = 0; j < d; j++) {
        VEC x = V(load)(q + j * LEAF);
        VEC gap = V(max)(V(max)(V(sub)(V(set)(low[j]), x), V(sub)(x, V(set)(high[j]))), zero);
        if (METRIC == METRIC_EUCLIDEAN)
            a = V(fma)(gap, gap, a);
        else
            a = METRIC == METRIC_MANHATTAN ? V(add)(a, gap) : V(max)(a, gap);
    }
    return V(less)(a, threshold);
}

typedef struct {
    int64_t node, leaves, leaf;
} TN(frame_t);

/* Distance of tree row p of `from` to tree row q of `into`, squared if Euclidean. */
INLINE double TN(measure)(const TN(tree_t) * from, int64_t p, const TN(tree_t) * into, int64_t q) {
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
   more near ties than room. Strict pruning keeps exact ties cheap. */
static void TN(search_alone)(const TN(tree_t) * from, int64_t p, const TN(tree_t) * into, int self,
                             TN(found_t) * f, int *count) {
    int d = from->d, top = 0;
    const REAL *q = from->points + p * d;
    TN(frame_t) stack[MAX_DEPTH];
    stack[top++] = (TN(frame_t)){0, into->n_leaves, 0};
    *count = 0;
    while (top) {
        TN(frame_t) at = stack[--top];
        const REAL *low = into->low + at.node * d, *high = into->high + at.node * d;
        double gap2 = 0;
        for (int j = 0; j < d; j++) {
            double x = (double)q[j], gap = (double)low[j] - x, other = x - (double)high[j];
            gap = gap > other ? gap : other;
            if (gap > 0) gap2 += gap * gap;
        }
        if (*count == f->k && !(gap2 < f->best[f->k - 1])) continue;
        if (at.leaves == 1) {
            for (int64_t i = at.leaf * into->leaf;
                 i < into->n && i < (at.leaf + 1) * into->leaf; i++)
                if (!self || i != p)
                    keep_smallest(f->best, f->best_index, count, f->k,
                                  TN(measure)(from, p, into, i), (int32_t)i);
            continue;
        }
        int64_t left = at.leaves / 2;
        TN(frame_t) a = {at.node + 1, left, at.leaf};
        TN(frame_t) b = {at.node + 2 * left, at.leaves - left, at.leaf + left};
        int near_left = q[into->cut_dim[at.node]] < into->cut[at.node];
        stack[top++] = near_left ? b : a;
        stack[top++] = near_left ? a : b;
    }
}

/* Answers of one query from its candidates. */
static void TN(finish)(const job_t *job, const block_t *block, const TN(tree_t) * from, int64_t p,
                       const TN(tree_t) * into, TN(found_t) * f, int lane, int self) {
    int k = f->k, count = 0;
    int64_t row = from->order[p];
    const REAL *value = f->value + (int64_t)lane * f->room;
    const int32_t *position = f->position + (int64_t)lane * f->room;
    if (f->count[lane] < 0)
        TN(search_alone)(from, p, into, self, f, &count);
    else {
        if (f->count[lane] > k) TN(compact)(f, lane, BIG, from->d);
        if (f->count[lane] < 0)
            TN(search_alone)(from, p, into, self, f, &count);
        else
            for (int i = 0; i < f->count[lane]; i++)
                keep_smallest(f->best, f->best_index, &count, k,
                              WIDEN > 0 ? TN(measure)(from, p, into, position[i])
                                        : (double)value[i],
                              position[i]);
    }
    for (int i = 0; i < k; i++) {
        double v = f->best[i];
        block->distances[row * k + i] =
            (job->metric == METRIC_EUCLIDEAN ? sqrt(v) : v) / job->scale;
        if (block->indices) block->indices[row * k + i] = into->order[f->best_index[i]];
    }
}

/* Search the queries of one leaf of `from` in `into`. */
INLINE void TN(search_block)(const int D, const int K, const int COLLECT, const int METRIC,
                          const int LEAF, const job_t *job, const block_t *block,
                          const TN(tree_t) * from, const TN(tree_t) * into, int64_t b,
                          TN(found_t) * found) {
    int d = D ? D : from->d, self = block->from == block->into, k = job->k;
    const int G = LEAF / W;
    const REAL *rows_of_leaf = from->points + b * d * LEAF;
    REAL *RESTRICT q = found->queries;
    for (int j = 0; j < d; j++)
        for (int i = 0; i < LEAF; i++) q[j * LEAF + i] = rows_of_leaf[i * d + j];
    VEC top[MAX_GROUPS][MAX_CHAIN], threshold[MAX_GROUPS];
    TN(frame_t) stack[MAX_DEPTH];
    int depth = 0;
    for (int g = 0; g < G; g++) {
        threshold[g] = V(set)(BIG);
        for (int c = 0; c < K; c++) top[g][c] = V(set)(BIG);
    }
    if (COLLECT)
        for (int i = 0; i < LEAF; i++) found->count[i] = 0;
    if (self)
        for (int g = 0; g < G; g++)
            TN(scan)(D, K, COLLECT, METRIC, LEAF, q + g * W, into, b, top[g], &threshold[g], found,
                     g, g * W);
    stack[depth++] = (TN(frame_t)){0, into->n_leaves, 0};
    while (depth) {
        TN(frame_t) at = stack[--depth];
        unsigned hits[MAX_GROUPS], any = 0;
        for (int g = 0; g < G; g++)
            any |= hits[g] =
                TN(box_hits)(D, METRIC, LEAF, q + g * W, into, at.node, threshold[g]);
        if (!any) continue;
        if (at.leaves == 1) {
            if (self && at.leaf == b) continue;
            for (int g = 0; g < G; g++)
                if (hits[g])
                    TN(scan)(D, K, COLLECT, METRIC, LEAF, q + g * W, into, at.leaf, top[g],
                             &threshold[g], found, g, -1);
            continue;
        }
        int64_t left = at.leaves / 2;
        TN(frame_t) l = {at.node + 1, left, at.leaf};
        TN(frame_t) r = {at.node + 2 * left, at.leaves - left, at.leaf + left};
        int near_left = q[into->cut_dim[at.node] * LEAF + LEAF / 2] < into->cut[at.node];
        stack[depth++] = near_left ? r : l;
        stack[depth++] = near_left ? l : r;
    }
    int rows = (int)(from->n - b * LEAF < LEAF ? from->n - b * LEAF : LEAF);
    if (COLLECT) {
        for (int i = 0; i < rows; i++)
            TN(finish)(job, block, from, b * LEAF + i, into, found, i, self);
        return;
    }
    REAL answer[MAX_CHAIN][MAX_LEAF];
    for (int g = 0; g < G; g++)
        for (int c = 0; c < K; c++) V(store)(answer[c] + g * W, V(sqrt)(top[g][c]));
    for (int i = 0; i < rows; i++) {
        double *out = block->distances + (int64_t)from->order[b * LEAF + i] * k;
        for (int c = 0; c < K && c < k; c++) out[c] = (double)answer[c][i] / job->scale;
    }
}

#define SEARCH_ARGS                                                                   \
    const job_t *job, const block_t *block, const TN(tree_t) * from,                  \
        const TN(tree_t) * into, int64_t first, int64_t last, TN(found_t) * found
#define SEARCH_LOOP(D, K, COLLECT, METRIC, LEAF)                                      \
    for (int64_t b = first; b < last; b++)                                            \
    TN(search_block)(D, K, COLLECT, METRIC, LEAF, job, block, from, into, b, found)
#define SEARCH_CASES(D, COLLECT, METRIC, LEAF)                                        \
    if (k == 1) SEARCH_LOOP(D, 1, COLLECT, METRIC, LEAF);                             \
    else if (k <= 3) SEARCH_LOOP(D, 3, COLLECT, METRIC, LEAF);                        \
    else if (k <= 5) SEARCH_LOOP(D, 5, COLLECT, METRIC, LEAF);                        \
    else if (k <= 8) SEARCH_LOOP(D, 8, COLLECT, METRIC, LEAF);                        \
    else SEARCH_LOOP(D, 16, COLLECT, METRIC, LEAF)

static void TN(search_collect)(SEARCH_ARGS) {
    int k = job->k;
    if (k > MAX_CHAIN) SEARCH_LOOP(0, 0, 1, METRIC_EUCLIDEAN, 32);
    else if (k <= 5) SEARCH_LOOP(0, 5, 1, METRIC_EUCLIDEAN, 32);
    else SEARCH_LOOP(0, 16, 1, METRIC_EUCLIDEAN, 32);
}

#ifndef TREE_IS_FLOAT
static void TN(search_values_2)(SEARCH_ARGS) {
    int k = job->k;
    SEARCH_CASES(2, 0, METRIC_EUCLIDEAN, 16);
}
static void TN(search_values_3)(SEARCH_ARGS) {
    int k = job->k;
    SEARCH_CASES(3, 0, METRIC_EUCLIDEAN, 16);
}
static void TN(search_values_4)(SEARCH_ARGS) {
    int k = job->k;
    SEARCH_CASES(4, 0, METRIC_EUCLIDEAN, 32);
}
static void TN(search_values_5)(SEARCH_ARGS) {
    int k = job->k;
    SEARCH_CASES(5, 0, METRIC_EUCLIDEAN, 32);
}
static void TN(search_values)(SEARCH_ARGS) {
    int k = job->k;
    SEARCH_CASES(0, 0, METRIC_EUCLIDEAN, 32);
}
static void TN(search_manhattan)(SEARCH_ARGS) {
    SEARCH_LOOP(0, 0, 1, METRIC_MANHATTAN, 32);
}
static void TN(search_chebyshev)(SEARCH_ARGS) {
    SEARCH_LOOP(0, 0, 1, METRIC_CHEBYSHEV, 32);
}
#endif

static int TN(collects)(const job_t *job, const block_t *block) {
    return WIDEN > 0 || job->metric != METRIC_EUCLIDEAN || job->k > MAX_CHAIN ||
           block->indices != NULL;
}

static void TN(search)(SEARCH_ARGS) {
#ifndef TREE_IS_FLOAT
    if (job->metric == METRIC_MANHATTAN)
        TN(search_manhattan)(job, block, from, into, first, last, found);
    else if (job->metric == METRIC_CHEBYSHEV)
        TN(search_chebyshev)(job, block, from, into, first, last, found);
    else if (!TN(collects)(job, block) && from->d == 2)
        TN(search_values_2)(job, block, from, into, first, last, found);
    else if (!TN(collects)(job, block) && from->d == 3)
        TN(search_values_3)(job, block, from, into, first, last, found);
    else if (!TN(collects)(job, block) && from->d == 4)
        TN(search_values_4)(job, block, from, into, first, last, found);
    else if (!TN(collects)(job, block) && from->d == 5)
        TN(search_values_5)(job, block, from, into, first, last, found);
    else if (!TN(collects)(job, block))
        TN(search_values)(job, block, from, into, first, last, found);
    else
#endif
        TN(search_collect)(job, block, from, into, first, last, found);
}

static int TN(found_make)(TN(found_t) * f, const job_t *job) {
    memset(f, 0, sizeof *f);
    f->k = job->k, f->room = 2 * job->k + APPEND_ROOM;
    size_t cells = (size_t)MAX_LEAF * (size_t)f->room;
    f->value = allocate(cells, sizeof(REAL));
    f->position = allocate(cells, sizeof(int32_t));
    f->best = allocate((size_t)job->k, sizeof(double));
    f->best_index = allocate((size_t)job->k, sizeof(int32_t));
    f->queries = allocate((size_t)job->sample[0].d * MAX_LEAF, sizeof(REAL));
    return f->value && f->position && f->best && f->best_index && f->queries ? KNN_OK
                                                                           : KNN_NO_MEMORY;
}

static void TN(found_free)(TN(found_t) * f) {
    release(f->value), release(f->position), release(f->best), release(f->best_index), release(f->queries);
}

static int TN(search_all)(const job_t *job, const block_t *block, const TN(tree_t) * from,
                          const TN(tree_t) * into) {
    int status = KNN_OK, threads = job->n_threads;
    int64_t chunk = from->n_leaves / (16 * threads) + 1;
    int64_t chunks = (from->n_leaves + chunk - 1) / chunk;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status)
    {
        TN(found_t) found;
        status |= TN(found_make)(&found, job);
#pragma omp for schedule(dynamic, 1)
        for (int64_t c = 0; c < chunks; c++) {
            int64_t last = (c + 1) * chunk;
            if (status == KNN_OK)
                TN(search)(job, block, from, into, c * chunk,
                           last < from->n_leaves ? last : from->n_leaves, &found);
        }
        TN(found_free)(&found);
    }
    return status;
}

/* Rows in the tree's number type, scaled by a power of two; NULL if there is no memory. */
static const REAL *TN(rows_of)(const sample_t *s, double scale, REAL **copy) {
    *copy = NULL;
    if (s->is_double == (sizeof(REAL) == 8) && scale == 1) return s->rows;
    int64_t cells = s->n * s->d;
    REAL *rows = *copy = allocate((size_t)cells, sizeof(REAL));
    if (!rows) return NULL;
    if (s->is_double)
        for (int64_t i = 0; i < cells; i++)
            rows[i] = (REAL)(((const double *)s->rows)[i] * scale);
    else
        for (int64_t i = 0; i < cells; i++) rows[i] = (REAL)(((const float *)s->rows)[i] * scale);
    return rows;
}

static int TN(tree_job)(const job_t *job) {
    TN(tree_t) tree[2];
    REAL *copy[2] = {NULL, NULL};
    int used[2] = {0, 0}, status = KNN_OK, small = 1;
    memset(tree, 0, sizeof tree);
    for (int b = 0; b < job->n_blocks; b++) {
        used[job->block[b].from] = used[job->block[b].into] = 1;
        if (TN(collects)(job, &job->block[b])) small = 0;
    }
    if (job->sample[0].d != 2 && job->sample[0].d != 3) small = 0;
#pragma omp parallel for schedule(dynamic, 1) num_threads(job->n_threads) \
    if (job->n_threads > 1 && used[0] && used[1]) reduction(| : status)
    for (int s = 0; s < 2; s++) {
        if (!used[s]) continue;
        const REAL *rows = TN(rows_of)(&job->sample[s], job->scale, &copy[s]);
        status |= rows ? TN(tree_make)(&tree[s], rows, job->sample[s].n, job->sample[s].d,
                                       small ? 16 : 32)
                       : KNN_NO_MEMORY;
    }
    for (int b = 0; b < job->n_blocks && status == KNN_OK; b++)
        status = TN(search_all)(job, &job->block[b], &tree[job->block[b].from],
                                &tree[job->block[b].into]);
    for (int s = 0; s < 2; s++) TN(tree_free)(&tree[s]), release(copy[s]);
    return status;
}
