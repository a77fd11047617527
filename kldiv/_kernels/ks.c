/* Choice of the instruction set, and memory. */
#include "ks.h"

#include <stdlib.h>

#define KS_MAX_BUCKETS 65536

#define KS_TABLE(isa)                                                                  \
    KS_FUNCTIONS(KS_EXTERN_##isa)                                                      \
    static const ks_table table_##isa = {KS_FUNCTIONS(KS_ENTRY_##isa)};
#define KS_EXTERN_baseline(result, name, arguments) result name##_baseline arguments;
#define KS_ENTRY_baseline(result, name, arguments) name##_baseline,
KS_TABLE(baseline)
#ifdef KLDIV_HAS_AVX2
#define KS_EXTERN_avx2(result, name, arguments) result name##_avx2 arguments;
#define KS_ENTRY_avx2(result, name, arguments) name##_avx2,
KS_TABLE(avx2)
#endif
#ifdef KLDIV_HAS_AVX512
#define KS_EXTERN_avx512(result, name, arguments) result name##_avx512 arguments;
#define KS_ENTRY_avx512(result, name, arguments) name##_avx512,
KS_TABLE(avx512)
#endif

const ks_table *ks_best_table(void) {
#ifdef KLDIV_HAS_AVX2
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#ifdef KLDIV_HAS_AVX512
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return &table_avx512;
#endif
    if (avx2) return &table_avx2;
#endif
    return &table_baseline;
}

int64_t ks_bucket_count(int64_t size) {
    int64_t buckets = 32;
    while (buckets < size / 5 && buckets < KS_MAX_BUCKETS) buckets *= 2;
    return buckets;
}

void ks_space_free(ks_space *space) {
    free(space->value);
    free(space->in_x);
    free(space->bucket);
    free(space->start);
    free(space->count);
    free(space->level);
}

int ks_space_make(ks_space *space, int64_t size) {
    size_t n = (size_t)size, buckets = (size_t)ks_bucket_count(size);
    space->value = malloc(n * sizeof(double));
    space->in_x = malloc(n);
    space->bucket = malloc(n * sizeof(int32_t));
    space->start = malloc(buckets * sizeof(int32_t));
    space->count = malloc(2 * buckets * sizeof(int64_t));
    space->level = malloc(buckets * sizeof(double));
    if (space->value && space->in_x && space->bucket && space->start && space->count
        && space->level)
        return 0;
    ks_space_free(space);
    return -1;
}
