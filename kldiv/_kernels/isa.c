/* Which instruction sets this processor, this system and this build have. */
#include "isa.h"

#include <stdint.h>

#if defined(KLDIV_PLAIN_MATRIX)
static int has_matrix(void)
{
    return 1;
}

int isa_claim_matrix(void)
{
    return 1;
}
#elif ISA_KNOWS_MATRIX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers of the Linux interface to large registers (arch/x86/include/uapi/asm/prctl.h). */
enum { ASK_SUPPORTED = 0x1021, ASK_PERMISSION = 0x1023, TILE_DATA = 18 };

static int has_matrix(void)
{
    unsigned a, b, c, d;
    uint64_t supported = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    if (!(d >> 24 & 1) || !(d >> 25 & 1)) /* amx-tile, amx-int8 */
        return 0;
    return syscall(SYS_arch_prctl, ASK_SUPPORTED, &supported) == 0
        && (supported >> TILE_DATA & 1);
}

/* Asked at the first use. Without them the same integers are computed by vectors. */
int isa_claim_matrix(void)
{
    static int granted = -1;
    if (granted < 0)
        granted =
            has_matrix() && syscall(SYS_arch_prctl, ASK_PERMISSION, TILE_DATA) == 0;
    return granted;
}
#else
static int has_matrix(void)
{
    return 0;
}

int isa_claim_matrix(void)
{
    return 0;
}
#endif

int isa_highest(void)
{
    int level = ISA_BASELINE;
#ifdef KLDIV_HAS_AVX2
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return level;
    level = ISA_AVX2;
#endif
#ifdef KLDIV_HAS_AVX512
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")
        || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return level;
    level = ISA_AVX512;
#endif
#ifdef KLDIV_HAS_VNNI
    if (__builtin_cpu_supports("avx512vnni"))
        level = has_matrix() ? ISA_AMX : ISA_VNNI;
#endif
    return level;
}

int isa_has_openmp(void)
{
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}
