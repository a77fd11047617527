/* Choice of the instruction set, memory, and the search in one dimension. */
#include "knn.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#if KLDIV_HAS_MATRIX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum { LEVEL_BASELINE, LEVEL_AVX2, LEVEL_AVX512, LEVEL_VNNI, LEVEL_AMX, N_LEVELS };

#define KNN_TABLE(isa)                                                                \
    {knn_tree_##isa,   knn_direct_##isa,  knn_gemm_##isa, knn_int8_##isa,             \
     knn_filter_##isa, knn_project_##isa, knn_bytes_##isa}

static const knn_table_t tables[N_LEVELS] = {
    KNN_TABLE(baseline),
#ifdef KLDIV_HAS_AVX2
    KNN_TABLE(avx2),
#else
    {0},
#endif
#ifdef KLDIV_HAS_AVX512
    KNN_TABLE(avx512),
#else
    {0},
#endif
#ifdef KLDIV_HAS_VNNI
    KNN_TABLE(vnni),
#else
    {0},
#endif
#if defined(KLDIV_HAS_VNNI) && KLDIV_HAS_MATRIX
    KNN_TABLE(vnni), /* the same, with matrix registers for products of bytes */
#else
    {0},
#endif
};

#if KLDIV_HAS_MATRIX
/* Numbers of the Linux interface to large registers (arch/x86/include/uapi/asm/prctl.h). */
enum { ASK_SUPPORTED = 0x1021, ASK_PERMISSION = 0x1023, TILE_DATA = 18 };

static int has_matrix(void) {
    unsigned a, b, c, d;
    uint64_t supported = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (!(d >> 24 & 1) || !(d >> 25 & 1)) return 0; /* amx-tile, amx-int8 */
    return syscall(SYS_arch_prctl, ASK_SUPPORTED, &supported) == 0 &&
           (supported >> TILE_DATA & 1);
}

/* Ask the system for the matrix registers of this process, at their first use. Without
   them the same integers are computed by vectors. */
int knn_matrix_ready(void) {
    static int granted = -1;
    if (granted < 0)
        granted = has_matrix() && syscall(SYS_arch_prctl, ASK_PERMISSION, TILE_DATA) == 0;
    return granted;
}
#else
static int has_matrix(void) { return 0; }

int knn_matrix_ready(void) { return 0; }
#endif

int knn_level_is_built(int level) {
    return level >= 0 && level < N_LEVELS && tables[level].tree != NULL;
}

const knn_table_t *knn_table(int level) { return &tables[level]; }

/* The highest level that this processor and this build have. */
int knn_best_level(void) {
    int level = LEVEL_BASELINE;
#ifdef KLDIV_HAS_AVX2
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        level = LEVEL_AVX2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
            level = LEVEL_AVX512;
            if (__builtin_cpu_supports("avx512vnni"))
                level = has_matrix() ? LEVEL_AMX : LEVEL_VNNI;
        }
    }
#endif
    while (!knn_level_is_built(level)) level--;
    return level;
}

int knn_has_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

/* 64-byte aligned memory; the address that malloc gave stands in front of it. */
void *knn_allocate(size_t bytes) {
    char *raw = malloc(bytes + 64 + sizeof(void *));
    if (!raw) return NULL;
    char *p = (char *)(((uintptr_t)raw + sizeof(void *) + 63) & ~(uintptr_t)63);
    ((void **)p)[-1] = raw;
    return p;
}

void knn_free(void *p) {
    if (p) free(((void **)p)[-1]);
}

/* Smallest positive and largest |value|. Bit patterns of positive numbers have the order
   of the numbers; zero minus one wraps to the largest pattern. */
void knn_range(const void *values, int64_t n, int is_double, double *low, double *high) {
    if (is_double) {
        uint64_t least = ~(uint64_t)0, most = 0;
        for (int64_t i = 0; i < n; i++) {
            uint64_t bits;
            memcpy(&bits, (const double *)values + i, sizeof bits);
            bits &= ~(uint64_t)0 >> 1;
            most = bits > most ? bits : most;
            least = bits - 1 < least ? bits - 1 : least;
        }
        least++;
        memcpy(low, &least, sizeof least), memcpy(high, &most, sizeof most);
    } else {
        uint32_t least = ~(uint32_t)0, most = 0;
        float a, b;
        for (int64_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, (const float *)values + i, sizeof bits);
            bits &= ~(uint32_t)0 >> 1;
            most = bits > most ? bits : most;
            least = bits - 1 < least ? bits - 1 : least;
        }
        least++;
        memcpy(&a, &least, sizeof a), memcpy(&b, &most, sizeof b);
        *low = a, *high = b;
    }
}

/* ---- one dimension: sort, then slide a window of k ------------------------------- */

typedef struct {
    double x;
    int32_t row;
    uint32_t key;
} point_t;

static int by_value(const void *a, const void *b) {
    double x = ((const point_t *)a)->x, y = ((const point_t *)b)->x;
    return (x > y) - (x < y);
}

static double value_at(const sample_t *s, int64_t i) {
    return s->is_double ? ((const double *)s->rows)[i] : ((const float *)s->rows)[i];
}

/* Runs of equal keys are sorted by value: by insertion if short, else by qsort. */
static void sort_runs(point_t *p, int64_t n) {
    for (int64_t s = 0, e; s < n; s = e) {
        for (e = s + 1; e < n && p[e].key == p[s].key; e++) {}
        if (e - s > 16) {
            qsort(p + s, (size_t)(e - s), sizeof *p, by_value);
            continue;
        }
        for (int64_t i = s + 1; i < e; i++) {
            point_t moving = p[i];
            int64_t j = i;
            for (; j > s && p[j - 1].x > moving.x; j--) p[j] = p[j - 1];
            p[j] = moving;
        }
    }
}

/* Radix sort of a monotone linear key: fills p with rows in the order of the keys. */
static int sort_keys(const sample_t *s, point_t *p) {
    enum { BITS = 11, BUCKETS = 1 << BITS };
    int64_t n = s->n;
    uint64_t *a = knn_allocate(2 * (size_t)n * sizeof *a), *b = a + n, *base = a;
    if (!a) return KNN_NO_MEMORY;
    double low = value_at(s, 0), high = low;
    for (int64_t i = 1; i < n; i++) {
        double x = value_at(s, i);
        low = x < low ? x : low, high = x > high ? x : high;
    }
    int passes = n > 200000 ? 3 : 2;
    double top = passes == 3 ? 4294967295.0 : 4194303.0;
    double factor = high > low ? top / (high - low) : 0;
    if (!(factor < 1e300)) factor = 0;
    uint32_t start[3][BUCKETS + 1];
    memset(start, 0, sizeof start);
    for (int64_t i = 0; i < n; i++) {
        uint32_t key = factor > 0 ? (uint32_t)((value_at(s, i) - low) * factor) : 0;
        a[i] = (uint64_t)key << 32 | (uint32_t)i;
        for (int r = 0; r < passes; r++) start[r][((key >> (BITS * r)) & (BUCKETS - 1)) + 1]++;
    }
    for (int r = 0; r < passes; r++) {
        for (int i = 0; i < BUCKETS; i++) start[r][i + 1] += start[r][i];
        for (int64_t i = 0; i < n; i++)
            b[start[r][(a[i] >> (32 + BITS * r)) & (BUCKETS - 1)]++] = a[i];
        uint64_t *swap = a;
        a = b, b = swap;
    }
    for (int64_t i = 0; i < n; i++) {
        p[i].row = (int32_t)(a[i] & 0xffffffffu), p[i].key = (uint32_t)(a[i] >> 32);
        p[i].x = value_at(s, p[i].row);
    }
    knn_free(base);
    return KNN_OK;
}

/* Sorted copy of a column with k sentinels at infinity on either side. */
static point_t *sorted_column(const sample_t *s, int k) {
    point_t *p = knn_allocate((size_t)(s->n + 2 * k) * sizeof *p);
    if (!p || sort_keys(s, p + k) != KNN_OK) {
        knn_free(p);
        return NULL;
    }
    sort_runs(p + k, s->n);
    for (int i = 0; i < k; i++) p[i].x = -INFINITY, p[k + s->n + i].x = INFINITY;
    return p;
}

/* Answers for the sorted queries first..last of one block: the k nearest of a query are
   merged outwards from its place; the sentinels stand beyond the ends. */
static void sorted_block(const block_t *block, const point_t *from, int64_t first, int64_t last,
                         const point_t *into, int64_t m, int k) {
    int self = block->from == block->into;
    int64_t at = 0, high = m;
    while (at < high) { /* first place of `into` that is not below the first query */
        int64_t mid = (at + high) / 2;
        if (into[mid].x < from[first].x)
            at = mid + 1;
        else
            high = mid;
    }
    for (int64_t i = first; i < last; i++) {
        double x = from[i].x, *out = block->distances + (int64_t)from[i].row * k;
        if (self)
            at = i;
        else
            while (at < m && into[at].x < x) at++;
        const point_t *left = into + at - 1, *right = into + at + self;
        for (int c = 0; c < k; c++) {
            double a = x - left->x, b = right->x - x;
            int take = a <= b;
            if (block->indices)
                block->indices[(int64_t)from[i].row * k + c] = take ? left->row : right->row;
            out[c] = take ? a : b;
            left -= take, right += !take;
        }
    }
}

int knn_sorted(const job_t *job) {
    point_t *points[2] = {NULL, NULL};
    int status = KNN_OK, threads = job->n_threads, used[2] = {0, 0};
    for (int b = 0; b < job->n_blocks; b++)
        used[job->block[b].from] = used[job->block[b].into] = 1;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) \
    if (threads > 1 && used[0] && used[1])
    for (int s = 0; s < 2; s++)
        if (used[s]) points[s] = sorted_column(&job->sample[s], job->k);
    for (int s = 0; s < 2; s++)
        if (used[s] && !points[s]) status = KNN_NO_MEMORY;
    for (int b = 0; b < job->n_blocks && status == KNN_OK; b++) {
        const block_t *block = &job->block[b];
        const point_t *from = points[block->from] + job->k;
        const point_t *into = points[block->into] + job->k;
        int64_t n = job->sample[block->from].n, m = job->sample[block->into].n;
        int64_t chunk = n / (8 * threads) + 1, chunks = (n + chunk - 1) / chunk;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
        for (int64_t c = 0; c < chunks; c++) {
            int64_t last = (c + 1) * chunk < n ? (c + 1) * chunk : n;
            sorted_block(block, from, c * chunk, last, into, m, job->k);
        }
    }
    knn_free(points[0]), knn_free(points[1]);
    return status;
}
