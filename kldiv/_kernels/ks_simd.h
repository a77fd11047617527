/* Small portability layer of the Kolmogorov-Smirnov kernels. */
#ifndef KLDIV_KS_SIMD_H
#define KLDIV_KS_SIMD_H

#include <stdint.h>

#if defined(_MSC_VER)
#define RESTRICT __restrict
#else
#define RESTRICT restrict
#endif

/* Functions so marked are compiled for several instruction sets, chosen at load time
 * where the C library can do that (musl cannot). */
#if !defined(KLDIV_NO_CLONES) && defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) \
    && !defined(__clang__) && __GNUC__ >= 12
#define KS_CLONES \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KS_CLONES
#endif

#if defined(__GNUC__)
#define KS_POPCOUNT(word) __builtin_popcountll(word)
#else
static inline int64_t KS_POPCOUNT(uint64_t word) {
    word -= (word >> 1) & 0x5555555555555555ULL;
    word = (word & 0x3333333333333333ULL) + ((word >> 2) & 0x3333333333333333ULL);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
    return (int64_t)((word * 0x0101010101010101ULL) >> 56);
}
#endif

#endif
