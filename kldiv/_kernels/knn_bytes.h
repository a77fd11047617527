/* Products of codes, whole numbers from 0 to code_levels(), exact in int32: four bytes at
 * a time where the processor multiplies bytes, one side shifted to signed on x86, or eight
 * in 2 x 2 sums at once with i8mm; two words of 16 bits at a time with AVX2 or AVX-512
 * alone.
 *
 * |x - y|^2 = |x|^2 + |y|^2 - 2xy, and with s = CODE_SHIFT xy = x(y - s) + s sum x, so
 * that 2s sum x is taken off the norm of the side that is not shifted.
 */
#ifndef KLDIV_KNN_BYTES_H
#define KLDIV_KNN_BYTES_H

#include "knn_exact.h"

#if defined(KLDIV_VNNI)
#define HAS_BYTES 1
typedef uint8_t code_cell;
#define CODE_SHIFT 128
INLINE void dot_codes(vi *c, vi x, vi y)
{
#if defined(__GNUC__) /* the intrinsic makes gcc 12 copy and spill the accumulators */
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*c) : "v"(x), "v"(y));
#else
    *c = _mm512_dpbusd_epi32(*c, x, y);
#endif
}
#elif defined(KLDIV_AVXVNNI)
#define HAS_BYTES 1
typedef uint8_t code_cell;
#define CODE_SHIFT 128
INLINE void dot_codes(vi *c, vi x, vi y)
{
#if defined(__GNUC__)
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(*c) : "x"(x), "x"(y));
#else
    *c = _mm256_dpbusd_avx_epi32(*c, x, y);
#endif
}
#elif defined(KLDIV_I8MM)
#define HAS_BYTES 1
typedef uint8_t code_cell;
#define CODE_SHIFT 0 /* both sides are unsigned */
/* x: two rows of eight; y: two columns of eight; c: row by row. */
INLINE void dot_codes(vi *c, vi x, vi y)
{
    *c = vreinterpretq_s32_u32(vmmlaq_u32(
        vreinterpretq_u32_s32(*c), vreinterpretq_u8_s32(x), vreinterpretq_u8_s32(y)));
}
#elif defined(KLDIV_DOTPROD)
#define HAS_BYTES 1
typedef uint8_t code_cell;
#define CODE_SHIFT 0 /* both sides are unsigned */
INLINE void dot_codes(vi *c, vi x, vi y)
{
    *c = vreinterpretq_s32_u32(vdotq_u32(
        vreinterpretq_u32_s32(*c), vreinterpretq_u8_s32(x), vreinterpretq_u8_s32(y)));
}
#elif defined(__AVX2__)
#define HAS_BYTES 1
typedef int16_t code_cell;
#define CODE_SHIFT 0
INLINE void dot_codes(vi *c, vi x, vi y)
{
#if defined(__GNUC__) /* with intrinsics gcc 12 adds late and spills accumulators */
    vi products;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"
        : "+v"(*c), "=&v"(products)
        : "v"(x), "v"(y));
#else
    *c = vi_add(*c, vi_dot_words(x, y));
#endif
}
#else
#define HAS_BYTES 0
typedef uint8_t code_cell;
#define CODE_SHIFT 128
#endif

/* Codes are multiplied in groups. */
#if defined(KLDIV_I8MM)
typedef uint64_t code_group;
#else
typedef uint32_t code_group;
#endif
#define GROUP ((int)(sizeof(code_group) / sizeof(code_cell)))

INLINE int groups_of(int columns)
{
    return (columns + GROUP - 1) / GROUP;
}

/* Largest code: no squared norm of so many columns exceeds 32,000 times 255 squared, so
 * neither does a product or a squared distance. 0: no codes. */
INLINE int code_levels(int columns)
{
    if (!HAS_BYTES || columns > 32000)
        return 0;
    if (sizeof(code_cell) == 1)
        return 255;
    const double most = sqrt(2.08e9 / columns);
    return most < 16383 ? (int)most : 16383;
}

#if defined(KLDIV_I8MM)
/* c += products of one group, two rows and two columns to a vector: c[2i][v] has rows 2i
 * and 2i + 1 with the first two columns of vector v, c[2i + 1][v] with the last two. */
INLINE void add_group(const code_group *a, const code_group *b, vi c[MR][NV])
{
    vi y[NV][2];
    EACH(v, NV) {
        y[v][0] = vi_load(b + v * FW);
        y[v][1] = vi_load(b + v * FW + 2);
    }
    EACH(i, MR / 2) {
        const vi x = vi_load(a + 2 * i);
        EACH(v, NV) {
            dot_codes(&c[2 * i][v], x, y[v][0]);
            dot_codes(&c[2 * i + 1][v], x, y[v][1]);
        }
    }
}

/* Afterwards one row and four columns to a vector. */
INLINE void sums_by_row(vi c[MR][NV])
{
    EACH(i, MR / 2)
        EACH(v, NV) {
            const int64x2_t first = vreinterpretq_s64_s32(c[2 * i][v]);
            const int64x2_t last = vreinterpretq_s64_s32(c[2 * i + 1][v]);
            c[2 * i][v] = vreinterpretq_s32_s64(vzip1q_s64(first, last));
            c[2 * i + 1][v] = vreinterpretq_s32_s64(vzip2q_s64(first, last));
        }
}
#elif HAS_BYTES
/* c += products of one group. */
INLINE void add_group(const code_group *a, const code_group *b, vi c[MR][NV])
{
    vi y[NV];
    EACH(v, NV)
        y[v] = vi_load(b + v * FW);
    EACH(i, MR) {
        vi x = vi_set((int32_t)a[i]);
        EACH(v, NV)
            dot_codes(&c[i][v], x, y[v]);
    }
}

INLINE void sums_by_row(vi c[MR][NV])
{
    (void)c;
}
#endif

#if HAS_BYTES
/* c = products of MR rows [group][MR][GROUP] with a panel [group][NR][GROUP]. */
INLINE void multiply_codes(
    int groups, const void *left, const void *right, vi c[MR][NV])
{
    const code_group *a = left, *b = right;
    EACH(i, MR)
        EACH(v, NV)
            c[i][v] = vi_set(0);
    for (const code_group *end = a + (int64_t)groups * MR; a < end; a += MR, b += NR) {
        PREFETCH(b + 8 * NR);
        PREFETCH(b + 8 * NR + FW);
        add_group(a, b, c);
    }
    sums_by_row(c);
}

/* The same for rows of which only the groups in `used` are there: in all others they are
 * zero. */
INLINE void multiply_used_codes(
    int n_used, const int32_t *used, const void *left, const void *right, vi c[MR][NV])
{
    const code_group *a = left, *b = right;
    EACH(i, MR)
        EACH(v, NV)
            c[i][v] = vi_set(0);
    for (const int32_t *end = used + n_used; used < end; used++, a += MR)
        add_group(a, b + (int64_t)*used * NR, c);
    sums_by_row(c);
}
#endif

#endif
