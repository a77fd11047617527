/* What every kernel begins with: words for the compiler, and memory. */
#ifndef KLDIV_BASE_H
#define KLDIV_BASE_H

#include <stdint.h>
#include <stdlib.h>

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#define OUT_OF_LINE static __attribute__((noinline, unused))
#define RESTRICT __restrict__
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
/* A short loop that is unrolled. */
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#define PREFETCH(p) __builtin_prefetch(p)
INLINE int lowest_bit(unsigned mask)
{
    return __builtin_ctz(mask);
}
INLINE int count_bits(uint64_t word)
{
    return __builtin_popcountll(word);
}
#else
#include <intrin.h>
#define INLINE static __forceinline
#define OUT_OF_LINE static __declspec(noinline)
#define RESTRICT __restrict
#define LIKELY(x) (x)
#define UNLIKELY(x) (x)
#define EACH(i, n) for (int i = 0; i < (n); i++)
#define PREFETCH(p)
INLINE int lowest_bit(unsigned mask)
{
    unsigned long bit;
    _BitScanForward(&bit, mask);
    return (int)bit;
}
INLINE int count_bits(uint64_t word)
{
    word -= (word >> 1) & 0x5555555555555555u;
    word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (int)((word * 0x0101010101010101u) >> 56);
}
#endif

/* Before a loop: sums (or products) that may be taken in lanes, reduction clauses of OpenMP.
 * The compiler of Microsoft knows `simd` only without the rest of what is used here. */
#if defined(_MSC_VER) && !defined(__clang__)
#define SIDE_BY_SIDE(...)
#pragma fp_contract(off)
#else
#define AS_PRAGMA(...) _Pragma(#__VA_ARGS__)
#define SIDE_BY_SIDE(...) AS_PRAGMA(omp simd reduction(__VA_ARGS__))
#endif

/* Room for `count` items of `size` bytes, aligned to a cache line, or NULL. The address
 * that malloc gave stands in front of it. Out of line, because inlined into a kernel it
 * takes registers from the loops (7 % of the direct scan). */
OUT_OF_LINE void *allocate(size_t count, size_t size)
{
    const size_t extra = 64 + sizeof(void *);
    if (size && count > (SIZE_MAX - extra) / size)
        return NULL;
    char *raw = malloc(count * size + extra);
    if (!raw)
        return NULL;
    char *aligned = (char *)(((uintptr_t)raw + extra - 1) & ~(uintptr_t)63);
    ((void **)aligned)[-1] = raw;
    return aligned;
}

OUT_OF_LINE void release(void *memory)
{
    if (memory)
        free(((void **)memory)[-1]);
}

#endif
