/* Largest gap between two empirical distribution functions.
 *
 * Values are counted into buckets that keep their order; only the buckets inside which
 * the gap could still beat the largest gap seen at a bucket edge are opened and treated
 * the same way. On ordinary data that is linear in the number of values, without a sort.
 */
#include <math.h>
#include <string.h>

#include "ks.h"

#define SMALL 24
#define LEVELS 512  /* so few occupied buckets suggest discrete data */
#define SLACK 1e-12 /* rounding of an edge gap; only widens what is opened */

/* The gap just after `value`, with i rows of X and j of Y at or below it. */
static inline void visit(ks_gap *gap, double value, int64_t i, int64_t j, int in_x)
{
    double difference = (double)i / gap->n - (double)j / gap->m;
    if (difference > gap->high
        || (difference == gap->high && in_x && !gap->high_in_x)) {
        gap->high = difference;
        gap->high_at = value;
        gap->high_in_x = in_x;
        if (gap->above && difference > gap->bar)
            gap->bar = difference;
    }
    if (difference < gap->low || (difference == gap->low && in_x && !gap->low_in_x)) {
        gap->low = difference;
        gap->low_at = value;
        gap->low_in_x = in_x;
        if (gap->below && -difference > gap->bar)
            gap->bar = -difference;
    }
}

static void sift(double *value, uint8_t *in_x, int64_t root, int64_t size)
{
    double v = value[root];
    uint8_t x = in_x[root];
    for (int64_t child; (child = 2 * root + 1) < size; root = child) {
        if (child + 1 < size && value[child + 1] > value[child])
            child++;
        if (value[child] <= v)
            break;
        value[root] = value[child];
        in_x[root] = in_x[child];
    }
    value[root] = v;
    in_x[root] = x;
}

static void sort_values(double *value, uint8_t *in_x, int64_t size)
{
    if (size <= SMALL) {
        for (int64_t a = 1; a < size; a++) {
            double v = value[a];
            uint8_t x = in_x[a];
            int64_t b = a;
            for (; b > 0 && value[b - 1] > v; b--) {
                value[b] = value[b - 1];
                in_x[b] = in_x[b - 1];
            }
            value[b] = v;
            in_x[b] = x;
        }
        return;
    }
    for (int64_t root = size / 2 - 1; root >= 0; root--)
        sift(value, in_x, root, size);
    for (int64_t end = size - 1; end > 0; end--) {
        double v = value[0];
        uint8_t x = in_x[0];
        value[0] = value[end];
        in_x[0] = in_x[end];
        value[end] = v;
        in_x[end] = x;
        sift(value, in_x, 0, end);
    }
}

/* Visit the distinct points of a segment after sorting it in place. */
static void sweep(
    ks_gap *gap, double *value, uint8_t *in_x, int64_t size, int64_t i, int64_t j)
{
    sort_values(value, in_x, size);
    for (int64_t a = 0; a < size;) {
        int64_t first = a, before = i;
        for (; a < size && value[a] == value[first]; a++) {
            i += in_x[a];
            j += !in_x[a];
        }
        visit(gap, value[first], i, j, i > before);
    }
}

static void find_range(const double *value, int64_t size, double *low, double *high)
{
    double lo[8], hi[8];
    for (int k = 0; k < 8; k++)
        lo[k] = hi[k] = value[0];
    int64_t a = 0;
    for (; a + 8 <= size; a += 8)
        for (int k = 0; k < 8; k++) {
            double v = value[a + k];
            lo[k] = v < lo[k] ? v : lo[k];
            hi[k] = v > hi[k] ? v : hi[k];
        }
    for (; a < size; a++) {
        lo[0] = value[a] < lo[0] ? value[a] : lo[0];
        hi[0] = value[a] > hi[0] ? value[a] : hi[0];
    }
    for (int k = 1; k < 8; k++) {
        lo[0] = lo[k] < lo[0] ? lo[k] : lo[0];
        hi[0] = hi[k] > hi[0] ? hi[k] : hi[0];
    }
    *low = lo[0];
    *high = hi[0];
}

static void assign_buckets(
    const double *value, int64_t size, double low, double scale, int32_t *bucket)
{
    for (int64_t a = 0; a < size; a++)
        bucket[a] = (int32_t)((value[a] - low) * scale);
}

/* Count X and Y per bucket; two tables, so that runs of equal values do not queue. */
static void count_buckets(const int32_t *bucket, const uint8_t *in_x, int64_t size,
    int64_t buckets, int64_t *count)
{
    static const int64_t step[2] = {1, (int64_t)1 << 32};
    int64_t *other = count + buckets, a = 0;
    memset(count, 0, 2 * (size_t)buckets * sizeof(int64_t));
    for (; a + 2 <= size; a += 2) {
        count[bucket[a]] += step[in_x[a]];
        other[bucket[a + 1]] += step[in_x[a + 1]];
    }
    if (a < size)
        count[bucket[a]] += step[in_x[a]];
    for (int64_t k = 0; k < buckets; k++)
        count[k] += other[k];
}

/* Whether no bucket holds two different values; if so `level` has the values. */
static int is_discrete(
    const double *value, const int32_t *bucket, int64_t size, double *level)
{
    int64_t different = 0;
    for (int64_t a = 0; a < size; a++)
        level[bucket[a]] = value[a];
    for (int64_t a = 0; a < size; a++)
        different += level[bucket[a]] != value[a];
    return different == 0;
}

/* Raise the bar to the largest gap at a bucket edge; return how many are occupied. */
static int64_t raise_bar(
    ks_gap *gap, const int64_t *count, int64_t buckets, int64_t i, int64_t j)
{
    double rn = 1.0 / gap->n, rm = 1.0 / gap->m, high = 0.0, low = 0.0;
    int64_t occupied = 0;
    for (int64_t k = 0; k < buckets; k++) {
        i += count[k] >> 32;
        j += count[k] & 0xffffffff;
        double difference = i * rn - j * rm;
        high = difference > high ? difference : high;
        low = difference < low ? difference : low;
        occupied += count[k] != 0;
    }
    if (gap->above && high - SLACK > gap->bar)
        gap->bar = high - SLACK;
    if (gap->below && -low - SLACK > gap->bar)
        gap->bar = -low - SLACK;
    return occupied;
}

static inline int may_beat(
    const ks_gap *gap, int64_t i, int64_t j, int64_t more_i, int64_t more_j)
{
    double high = (double)(i + more_i) / gap->n - (double)j / gap->m;
    double low = (double)i / gap->n - (double)(j + more_j) / gap->m;
    double bar = gap->bar - SLACK;
    return (gap->above && high >= bar) || (gap->below && -low >= bar);
}

/* Give each bucket worth opening its place in the workspace; return their total size. */
static int64_t choose_buckets(const ks_gap *gap, const int64_t *count, int64_t buckets,
    int64_t i, int64_t j, int32_t *start)
{
    double rn = 1.0 / gap->n, rm = 1.0 / gap->m, bar = gap->bar - SLACK;
    double above = gap->above ? 1.0 : 0.0, below = gap->below ? 1.0 : 0.0;
    int64_t used = 0;
    for (int64_t k = 0; k < buckets; k++) {
        int64_t x = count[k] >> 32, y = count[k] & 0xffffffff;
        double high = ((i + x) * rn - j * rm) * above;
        double low = ((j + y) * rm - i * rn) * below;
        i += x;
        j += y;
        if (x + y > 0 && (high >= bar || low >= bar)) {
            start[k] = (int32_t)used;
            used += x + y;
        }
        else {
            start[k] = -1;
        }
    }
    return used;
}

/* Search one stretch of values, with i rows of X and j of Y below it. `value` and
 * `in_x` may be reordered. Returns -1 when memory runs out. */
static int open_stretch(ks_gap *gap, double *value, uint8_t *in_x, int64_t size,
    int64_t i, int64_t j, ks_space *given)
{
    double low, high;
    if (size <= SMALL) {
        sweep(gap, value, in_x, size, i, j);
        return 0;
    }
    find_range(value, size, &low, &high);
    if (low == high) {
        int64_t x = 0;
        for (int64_t a = 0; a < size; a++)
            x += in_x[a];
        visit(gap, low, i + x, j + size - x, x > 0);
        return 0;
    }
    int64_t buckets = ks_bucket_count(size);
    double scale = (double)(buckets - 1) / (high - low);
    if (!(scale > 0.0 && scale < INFINITY)) { /* the range or its inverse overflows */
        sweep(gap, value, in_x, size, i, j);
        return 0;
    }
    ks_space own, *space = given;
    if (!given) {
        if (ks_space_make(&own, size))
            return -1;
        space = &own;
    }
    assign_buckets(value, size, low, scale, space->bucket);
    count_buckets(space->bucket, in_x, size, buckets, space->count);
    int64_t occupied = raise_bar(gap, space->count, buckets, i, j);
    choose_buckets(gap, space->count, buckets, i, j, space->start);
    int discrete =
        occupied <= LEVELS && is_discrete(value, space->bucket, size, space->level);
    for (int64_t a = 0; a < size && !discrete; a++) {
        int32_t *place = &space->start[space->bucket[a]];
        if (*place < 0)
            continue;
        space->value[*place] = value[a];
        space->in_x[(*place)++] = in_x[a];
    }
    int failed = 0;
    for (int64_t k = 0; k < buckets && !failed; k++) {
        int64_t x = space->count[k] >> 32, y = space->count[k] & 0xffffffff;
        const int opened = space->start[k] >= 0 && may_beat(gap, i, j, x, y);
        if (opened && discrete) {
            visit(gap, space->level[k], i + x, j + y, x > 0);
        }
        else if (opened) {
            int64_t first =
                space->start[k] - x - y; /* filling moved start to the end */
            failed = open_stretch(
                gap, space->value + first, space->in_x + first, x + y, i, j, NULL);
        }
        i += x;
        j += y;
    }
    if (!given)
        ks_space_free(&own);
    return failed;
}

int ISA_NAME(ks_segment)(
    ks_gap *gap, double *value, uint8_t *in_x, int64_t size, ks_space *space)
{
    gap->bar = 0.0; /* reached beyond the last value */
    gap->high = -INFINITY;
    gap->low = INFINITY;
    gap->high_at = gap->low_at = 0.0;
    gap->high_in_x = gap->low_in_x = 0;
    return open_stretch(gap, value, in_x, size, 0, 0, space);
}
