/* Choice of the instruction set. */
#include "ball_mass.h"

extern const kldiv_ball_table kldiv_ball_table_baseline;
#ifdef KLDIV_HAS_AVX2
extern const kldiv_ball_table kldiv_ball_table_avx2;
#endif
#ifdef KLDIV_HAS_AVX512
extern const kldiv_ball_table kldiv_ball_table_avx512;
#endif

const kldiv_ball_table *kldiv_best_ball_table(void)
{
#ifdef KLDIV_HAS_AVX2
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#ifdef KLDIV_HAS_AVX512
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &kldiv_ball_table_avx512;
#endif
    if (avx2)
        return &kldiv_ball_table_avx2;
#endif
    return &kldiv_ball_table_baseline;
}
