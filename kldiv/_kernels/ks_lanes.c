/* Permutation tests: 64 relabellings of the pooled rows are followed side by side.
 *
 * labels[row * 64 + lane] is 1 where the row belongs to X in that relabelling. A row of X
 * weighs `up`, a row of Y `-down`; these are m / g and n / g with g = gcd(n, m), so that
 * sums are lcm(n, m) times a difference of distribution functions, in whole numbers.
 */
#include <math.h>
#include <string.h>

#include "ks.h"

#define LANES 64

/* xoshiro256++ (Blackman and Vigna 2021), eight streams side by side. */
static inline void random_bytes(uint64_t state[4][8], uint64_t out[8])
{
    for (int k = 0; k < 8; k++) {
        uint64_t a = state[0][k], b = state[1][k], c = state[2][k], d = state[3][k];
        uint64_t sum = a + d, shifted = b << 17;
        out[k] = ((sum << 23) | (sum >> 41)) + a;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        d = (d << 45) | (d >> 19);
        state[0][k] = a;
        state[1][k] = b;
        state[2][k] = c;
        state[3][k] = d;
    }
}

/* Independent coins, 1 with probability threshold / 256, and how many came up 1 per
 * lane; `flip` turns them over as they are written. */
#if defined(__GNUC__)
typedef uint64_t words64 __attribute__((vector_size(64)));
typedef uint8_t bytes64 __attribute__((vector_size(64)));

static void coin_labels(uint8_t *labels, int64_t rows, int threshold, uint8_t flip,
    uint64_t state[4][8], int64_t *count)
{
    words64 a, b, c, d;
    memcpy(&a, state[0], 64);
    memcpy(&b, state[1], 64);
    memcpy(&c, state[2], 64);
    memcpy(&d, state[3], 64);
    bytes64 limit = (bytes64) {0} + (uint8_t)threshold;
    bytes64 turn = (bytes64) {0} + flip;
    for (int lane = 0; lane < LANES; lane++)
        count[lane] = 0;
    for (int64_t start = 0; start < rows; start += 255) {
        int64_t stop = start + 255 < rows ? start + 255 : rows;
        bytes64 seen = {0};
        for (int64_t row = start; row < stop; row++) {
            words64 sum = a + d, shifted = b << 17;
            words64 random = ((sum << 23) | (sum >> 41)) + a;
            c ^= a;
            d ^= b;
            b ^= c;
            a ^= d;
            c ^= shifted;
            d = (d << 45) | (d >> 19);
            bytes64 one = (bytes64)((bytes64)random < limit) & 1;
            seen += one;
            one ^= turn;
            memcpy(labels + row * LANES, &one, 64);
        }
        for (int lane = 0; lane < LANES; lane++)
            count[lane] += seen[lane];
    }
    memcpy(state[0], &a, 64);
    memcpy(state[1], &b, 64);
    memcpy(state[2], &c, 64);
    memcpy(state[3], &d, 64);
}
#else
static void coin_labels(uint8_t *labels, int64_t rows, int threshold, uint8_t flip,
    uint64_t state[4][8], int64_t *count)
{
    uint64_t words[8];
    for (int lane = 0; lane < LANES; lane++)
        count[lane] = 0;
    for (int64_t row = 0; row < rows; row++) {
        random_bytes(state, words);
        for (int lane = 0; lane < LANES; lane++) {
            uint8_t one = ((const uint8_t *)words)[lane] < threshold;
            labels[row * LANES + lane] = one ^ flip;
            count[lane] += one;
        }
    }
}
#endif

typedef struct {
    uint64_t state[4][8];
    uint64_t words[8];
    int used;
} random_stream;

/* Uniform in [0, bound), without bias (Lemire 2019). bound < 2^32. */
static inline int64_t random_below(random_stream *stream, uint32_t bound)
{
    for (;;) {
        if (stream->used == 16) {
            random_bytes(stream->state, stream->words);
            stream->used = 0;
        }
        uint64_t word = stream->words[stream->used >> 1];
        uint32_t half = (uint32_t)(stream->used & 1 ? word >> 32 : word);
        stream->used++;
        uint64_t product = (uint64_t)half * bound;
        if ((uint32_t)product >= bound || (uint32_t)product >= (0u - bound) % bound)
            return (int64_t)(product >> 32);
    }
}

/* 64 uniformly random ways to call n of `rows` rows X. Coins with the same bias for
 * every row give a uniform subset of each size; the size is then put right by flipping
 * uniformly chosen rows. `seed` holds 32 words. */
void ISA_NAME(ks_relabel)(
    uint8_t *labels, int64_t rows, int64_t n, const uint64_t *seed)
{
    random_stream stream;
    int64_t count[LANES], few = 2 * n <= rows ? n : rows - n;
    for (int a = 0; a < 4; a++)
        for (int k = 0; k < 8; k++)
            stream.state[a][k] = seed[a * 8 + k];
    stream.used = 16;
    /* A row to add is found sooner than one to take away, so aim a little low. */
    double expected = (double)few / (double)rows;
    double spread = sqrt(expected * (1.0 - expected) / (double)rows);
    double share = expected - (1.0 - 2.0 * expected) * spread;
    int threshold = share > 0.0 ? (int)(256.0 * share + 0.5) : 0;
    uint8_t flip = few != n;
    coin_labels(labels, rows, threshold, flip, stream.state, count);
    for (int lane = 0; lane < LANES; lane++) {
        uint8_t wanted = (uint8_t)((count[lane] < few) ^ flip);
        int64_t missing = count[lane] < few ? few - count[lane] : count[lane] - few;
        while (missing > 0) { /* without a branch on what the drawn row is called */
            int64_t row = random_below(&stream, (uint32_t)rows);
            uint8_t *label = labels + row * LANES + lane;
            missing -= *label != wanted;
            *label = wanted;
        }
    }
}

/* Largest weighted prefix sum over the sorted order; `last` marks the end of each run
 * of equal values. side: 0 both, 1 upwards, -1 downwards. */
#define DEFINE_SCAN(NAME, T)                                                        \
    static void NAME(const int32_t *order, const uint8_t *last, int64_t rows,       \
        const uint8_t *labels, int64_t up, int64_t down, int side, int64_t *best)   \
    {                                                                               \
        T sum[LANES] = {0}, top[LANES] = {0}, bottom[LANES] = {0};                  \
        const T step = (T)(up + down), fall = (T)down;                              \
        for (int64_t a = 0; a < rows; a++) {                                        \
            const uint8_t *label = labels + (int64_t)order[a] * LANES;              \
            for (int lane = 0; lane < LANES; lane++)                                \
                sum[lane] += (T)((T) - (T)label[lane] & step) - fall;               \
            if (!last[a])                                                           \
                continue;                                                           \
            for (int lane = 0; lane < LANES; lane++) {                              \
                top[lane] = sum[lane] > top[lane] ? sum[lane] : top[lane];          \
                bottom[lane] = sum[lane] < bottom[lane] ? sum[lane] : bottom[lane]; \
            }                                                                       \
        }                                                                           \
        for (int lane = 0; lane < LANES; lane++) {                                  \
            int64_t high = side >= 0 ? top[lane] : 0;                               \
            int64_t low = side <= 0 ? -(int64_t)bottom[lane] : 0;                   \
            best[lane] = high > low ? high : low;                                   \
        }                                                                           \
    }

DEFINE_SCAN(scan16, int16_t)
DEFINE_SCAN(scan32, int32_t)
DEFINE_SCAN(scan64, int64_t)

/* No sum exceeds multiple = lcm(n, m), which chooses the width of the integers. */
void ISA_NAME(ks_scan)(const int32_t *order, const uint8_t *last, int64_t rows,
    const uint8_t *labels, int64_t up, int64_t down, int64_t multiple, int side,
    int64_t *best)
{
    if (multiple < INT16_MAX)
        scan16(order, last, rows, labels, up, down, side, best);
    else if (multiple < INT32_MAX)
        scan32(order, last, rows, labels, up, down, side, best);
    else
        scan64(order, last, rows, labels, up, down, side, best);
}

#define PATIENCE 4096 /* rows between two questions whether to stop */

/* Fasano-Franceschini in the plane: 64 relabellings, O(rows log rows).
 * first: row numbers by ascending coordinate one, `last` its run ends; second: dense
 * rank of coordinate two, from 0 to ranks - 1. tree: (ranks + 1) * 64 zeros; below:
 * ranks * 64 zeros. Results: largest |orthant sum| centred on rows of X, of Y. */
#define DEFINE_PLANE(NAME, T)                                                         \
    void NAME(const int32_t *first, const uint8_t *last, const int32_t *second,       \
        int64_t rows, int64_t ranks, const uint8_t *labels, int64_t up, int64_t down, \
        T *tree, T *below, int64_t *best_x, int64_t *best_y, stop_flag *stop)         \
    {                                                                                 \
        T left[LANES] = {0}, on_x[LANES] = {0}, on_y[LANES] = {0};                    \
        const T step = (T)(up + down), fall = (T)down;                                \
        for (int64_t row = 0; row < rows; row++) {                                    \
            T *to = below + (int64_t)second[row] * LANES;                             \
            const uint8_t *label = labels + row * LANES;                              \
            for (int lane = 0; lane < LANES; lane++)                                  \
                to[lane] += ((T) - (T)label[lane] & step) - fall;                     \
        }                                                                             \
        for (int64_t k = 1; k < ranks; k++)                                           \
            for (int lane = 0; lane < LANES; lane++)                                  \
                below[k * LANES + lane] += below[(k - 1) * LANES + lane];             \
        for (int64_t a = 0, start = 0; a < rows; a++) {                               \
            const uint8_t *label = labels + (int64_t)first[a] * LANES;                \
            T weight[LANES];                                                          \
            if (a % PATIENCE == 0 && stopped(stop))                                   \
                return;                                                               \
            for (int lane = 0; lane < LANES; lane++) {                                \
                weight[lane] = ((T) - (T)label[lane] & step) - fall;                  \
                left[lane] += weight[lane];                                           \
            }                                                                         \
            for (int64_t k = second[first[a]] + 1; k <= ranks; k += k & -k)           \
                for (int lane = 0; lane < LANES; lane++)                              \
                    tree[k * LANES + lane] += weight[lane];                           \
            if (!last[a])                                                             \
                continue;                                                             \
            for (; start <= a; start++) {                                             \
                int64_t row = first[start];                                           \
                const uint8_t *centre = labels + row * LANES;                         \
                const T *under = below + (int64_t)second[row] * LANES;                \
                T both[LANES] = {0};                                                  \
                for (int64_t k = second[row] + 1; k > 0; k &= k - 1)                  \
                    for (int lane = 0; lane < LANES; lane++)                          \
                        both[lane] += tree[k * LANES + lane];                         \
                for (int lane = 0; lane < LANES; lane++) {                            \
                    T p = both[lane], q = left[lane] - p, r = under[lane] - p;        \
                    T s = p + q + r;                                                  \
                    p = p < 0 ? -p : p;                                               \
                    q = q < 0 ? -q : q;                                               \
                    r = r < 0 ? -r : r;                                               \
                    s = s < 0 ? -s : s;                                               \
                    p = p > q ? p : q;                                                \
                    r = r > s ? r : s;                                                \
                    p = p > r ? p : r;                                                \
                    T x = (T) - (T)centre[lane] & p, y = p - x;                       \
                    on_x[lane] = x > on_x[lane] ? x : on_x[lane];                     \
                    on_y[lane] = y > on_y[lane] ? y : on_y[lane];                     \
                }                                                                     \
            }                                                                         \
        }                                                                             \
        for (int lane = 0; lane < LANES; lane++) {                                    \
            best_x[lane] = on_x[lane];                                                \
            best_y[lane] = on_y[lane];                                                \
        }                                                                             \
    }

DEFINE_PLANE(ISA_NAME(ks_plane32), int32_t)
DEFINE_PLANE(ISA_NAME(ks_plane64), int64_t)

/* Gap between the coordinates of each row and the pooled coordinates of the rows called
 * Y: size values in ascending order, each with its row and the position within its row
 * (1 to width; for tied values of one row, `before` and `after` the run). gap holds
 * rows * 64 zeros and receives the largest |F_row - F_Y| * width * m. */
void ISA_NAME(ks_rows)(const int32_t *row, const int32_t *before, const int32_t *after,
    const uint8_t *last, int64_t size, const uint8_t *labels, int64_t m, int64_t *gap)
{
    int64_t below[LANES] = {0};
    for (int64_t start = 0, stop; start < size; start = stop) {
        for (stop = start; !last[stop]; stop++) { }
        stop++;
        for (int64_t a = start; a < stop; a++) {
            int64_t *to = gap + (int64_t)row[a] * LANES, own = before[a] * m;
            for (int lane = 0; lane < LANES; lane++) {
                int64_t g = own - below[lane];
                g = g < 0 ? -g : g;
                to[lane] = g > to[lane] ? g : to[lane];
            }
        }
        for (int64_t a = start; a < stop; a++) {
            const uint8_t *label = labels + (int64_t)row[a] * LANES;
            for (int lane = 0; lane < LANES; lane++)
                below[lane] += !label[lane];
        }
        for (int64_t a = start; a < stop; a++) {
            int64_t *to = gap + (int64_t)row[a] * LANES, own = after[a] * m;
            for (int lane = 0; lane < LANES; lane++) {
                int64_t g = own - below[lane];
                g = g < 0 ? -g : g;
                to[lane] = g > to[lane] ? g : to[lane];
            }
        }
    }
}
