/* Fasano-Franceschini in three to five dimensions, by sets of rows held as bits.
 *
 * For each centre, one bit set per coordinate says which rows lie at or below it; the
 * rows below in several coordinates at once are found by AND, counted by population
 * count, and differenced into the counts of the 2^d orthants.
 */
#include <string.h>

#include "ks.h"

#define MAX_ORTHANTS 32

/* Set bit r of `bits` where rank[r] <= limit. `flag` is scratch of 64 * words bytes. */
static void rows_below(
    const int32_t *rank, int64_t rows, int32_t limit, uint8_t *flag, uint64_t *bits)
{
    for (int64_t row = 0; row < rows; row++)
        flag[row] = rank[row] <= limit;
    for (int64_t word = 0; word * 64 < rows; word++) {
        uint64_t packed = 0;
        for (int byte = 0; byte < 8; byte++) {
            const uint8_t *from = flag + word * 64 + byte * 8;
            uint64_t eight = 0;
            for (int k = 0; k < 8; k++)
                eight |= (uint64_t)from[k] << (8 * k);
            /* gathers the lowest bit of each byte into the highest byte */
            packed |= ((eight * 0x0102040810204080ULL) >> 56) << (8 * byte);
        }
        bits[word] = packed;
    }
}

static int64_t count_common(
    const uint64_t *RESTRICT a, const uint64_t *RESTRICT b, int64_t words)
{
    int64_t count = 0;
    for (int64_t w = 0; w < words; w++)
        count += count_bits(a[w] & b[w]);
    return count;
}

static void intersect(const uint64_t *RESTRICT a, const uint64_t *RESTRICT b,
    int64_t words, uint64_t *RESTRICT out)
{
    for (int64_t w = 0; w < words; w++)
        out[w] = a[w] & b[w];
}

/* Largest |weighted orthant sum|, given for each set of coordinates how many rows of X
 * and how many rows at all lie below the centre in those coordinates. */
static int64_t largest_orthant(
    const int64_t *x, const int64_t *all, int d, int64_t up, int64_t down)
{
    int64_t sum[MAX_ORTHANTS], best = 0;
    int sets = 1 << d;
    sum[0] = 0;
    for (int s = 1; s < sets; s++)
        sum[s] = x[s] * (up + down) - all[s] * down;
    for (int k = 0; k < d; k++)
        for (int s = 0; s < sets; s++)
            if (!(s & (1 << k)))
                sum[s] -= sum[s | (1 << k)];
    for (int s = 0; s < sets; s++) {
        int64_t size = sum[s] < 0 ? -sum[s] : sum[s];
        best = size > best ? size : best;
    }
    return best;
}

/* rank: d * rows dense ranks; label: lanes * words bits, 1 for X. set: 2^d * words
 * scratch words, flag: 64 * words scratch bytes. best_x, best_y: lanes zeros. */
void ISA_NAME(ks_orthants)(const int32_t *rank, int64_t rows, int d,
    const uint64_t *label, int64_t lanes, int64_t up, int64_t down, uint64_t *set,
    uint8_t *flag, int64_t *best_x, int64_t *best_y, stop_flag *stop)
{
    int64_t words = (rows + 63) / 64, x[MAX_ORTHANTS], all[MAX_ORTHANTS];
    int sets = 1 << d;
    memset(flag, 0, (size_t)(64 * words));
    for (int64_t centre = 0; centre < rows && !stopped(stop); centre++) {
        for (int s = 1; s < sets; s++) {
            int k = 0;
            while (!(s >> k & 1))
                k++;
            uint64_t *out = set + s * words;
            if (s == 1 << k)
                rows_below(rank + k * rows, rows, rank[k * rows + centre], flag, out);
            else
                intersect(set + (s & (s - 1)) * words, set + ((int64_t)1 << k) * words,
                    words, out);
            all[s] = count_common(out, out, words);
        }
        for (int64_t lane = 0; lane < lanes; lane++) {
            const uint64_t *in_x = label + lane * words;
            for (int s = 1; s < sets; s++)
                x[s] = count_common(set + s * words, in_x, words);
            int64_t gap = largest_orthant(x, all, d, up, down);
            int64_t *best =
                in_x[centre / 64] >> (centre % 64) & 1 ? best_x + lane : best_y + lane;
            if (gap > *best)
                *best = gap;
        }
    }
}
