/* Rows of samples as every search reads them: numbers, centring, prefetching, repeats;
 * and the tiles of products of rows. */
#ifndef KLDIV_KNN_ROWS_H
#define KLDIV_KNN_ROWS_H

#include "knn.h"
#include "simd.h"

#include <string.h>

/* Half the distance of 1 to the next float32: the relative error of one operation. */
#define ROUNDING 5.960464477539063e-08

/* A tile of a product is MR rows times NR columns: as many sums as there are vector
 * registers, less those for the operands. */
#if defined(__AVX512F__) || defined(HAS_NEON)
#define MR 12
#elif defined(__AVX2__)
#define MR 6
#else
#define MR 4
#endif
#define NV 2
#define NR (NV * FW)

INLINE size_t row_size(const knn_sample *s)
{
    return (size_t)s->d * (s->is_double ? sizeof(double) : sizeof(float));
}

INLINE const char *row_at(const knn_sample *s, int64_t i)
{
    return (const char *)s->rows + (size_t)i * row_size(s);
}

INLINE double number_at(const knn_sample *s, int64_t i, int j)
{
    const int64_t at = i * s->d + j;
    return s->is_double ? ((const double *)s->rows)[at] : ((const float *)s->rows)[at];
}

INLINE void prefetch_row(const knn_sample *s, int64_t i)
{
    const char *row = row_at(s, i);
    const size_t size = row_size(s);
    for (size_t b = 0; b < size && b < 1024; b += 64)
        PREFETCH(row + b);
}

/* Row i, less the centre, times a power of two, rounded to float32. */
static inline void centred_row(
    const knn_sample *s, int64_t i, const double *centre, double scale, float *out)
{
    const int d = s->d;
    if (s->is_double) {
        const double *x = (const double *)s->rows + i * d;
        for (int j = 0; j < d; j++)
            out[j] = (float)((x[j] - centre[j]) * scale);
    }
    else {
        const float *x = (const float *)s->rows + i * d;
        for (int j = 0; j < d; j++)
            out[j] = (float)(((double)x[j] - centre[j]) * scale);
    }
}

/* ---- repeated rows: one that repeats more than k + 1 earlier ones (one of which may be
 * the query itself) can change no distance ---------------------------------------------- */

typedef struct {
    size_t slots;    /* a power of two */
    int32_t *head;   /* (slots,) the first of equal rows */
    int32_t *copies; /* (room,) how often it came, at its place */
    uint64_t *hash;  /* (room,) of the rows, or of what equal rows have equal */
} row_repeats;

static inline void repeats_free(row_repeats *r)
{
    release(r->head);
    release(r->copies);
    release(r->hash);
}

static inline int repeats_make(row_repeats *r, int64_t room)
{
    r->slots = 64;
    while (r->slots < 2 * (size_t)room)
        r->slots *= 2;
    r->head = allocate(r->slots, sizeof(int32_t));
    r->copies = allocate((size_t)room, sizeof(int32_t));
    r->hash = allocate((size_t)room, sizeof(uint64_t));
    return r->head && r->copies && r->hash ? KNN_OK : KNN_NO_MEMORY;
}

static inline void repeats_begin(row_repeats *r)
{
    memset(r->head, 0xff, r->slots * sizeof(int32_t));
}

INLINE uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 32)) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}

/* Eight words at a time side by side, so that long rows do not wait for one product. */
static inline uint64_t hash_bytes(const void *bytes, size_t size)
{
    const char *at = bytes;
    uint64_t lane[8], word[8], h = size;
    for (int l = 0; l < 8; l++)
        lane[l] = 0x51ed270b;
    for (; size >= sizeof word; size -= sizeof word, at += sizeof word) {
        memcpy(word, at, sizeof word);
        for (int l = 0; l < 8; l++) {
            const uint64_t sum = (lane[l] << 11 | lane[l] >> 53) + word[l];
            lane[l] = sum ^ sum >> 29;
        }
    }
    memset(word, 0, sizeof word);
    memcpy(word, at, size);
    for (int l = 0; l < 8; l++)
        h = mix(h ^ lane[l]);
    for (size_t l = 0; 8 * l < size; l++)
        h = mix(h ^ word[l]);
    return h;
}

/* How many of the rows first .. first + i equal the last of them, with itself. To be
 * asked for i = 0, 1, ... in turn. */
static inline int repeats_count(
    row_repeats *r, const knn_sample *s, int64_t first, int64_t i)
{
    const size_t size = row_size(s);
    const char *row = row_at(s, first + i);
    size_t at = (size_t)(r->hash[i] >> 7) & (r->slots - 1);
    for (; r->head[at] >= 0; at = (at + 1) & (r->slots - 1)) {
        const int64_t other = r->head[at];
        if (r->hash[other] == r->hash[i]
            && memcmp(row, row_at(s, first + other), size) == 0)
            return ++r->copies[other];
    }
    r->head[at] = (int32_t)i;
    r->copies[i] = 1;
    return 1;
}

#endif
