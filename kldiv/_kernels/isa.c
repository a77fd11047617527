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

#if defined(KLDIV_HAS_AVX2)
#if defined(__GNUC__)
#include <cpuid.h>
#else
#include <intrin.h>
#endif

enum { EAX, EBX, ECX, EDX };

/* Registers that the cpuid instruction gives for a leaf; zeros if there is none. */
static void ask_processor(unsigned leaf, unsigned part, unsigned found[4])
{
#if defined(__GNUC__)
    found[EAX] = found[EBX] = found[ECX] = found[EDX] = 0;
    __get_cpuid_count(leaf, part, &found[EAX], &found[EBX], &found[ECX], &found[EDX]);
#else
    int most[4];
    __cpuid(most, 0);
    if ((unsigned)most[EAX] < leaf)
        found[EAX] = found[EBX] = found[ECX] = found[EDX] = 0;
    else
        __cpuidex((int *)found, (int)leaf, (int)part);
#endif
}

/* Which registers the system saves when it switches threads. */
static unsigned saved_registers(void)
{
#if defined(__GNUC__)
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
#else
    return (unsigned)_xgetbv(0);
#endif
}

static int has(unsigned bits, unsigned wanted)
{
    return (bits & wanted) == wanted;
}

int isa_has(int level)
{
    /* fma, xsave, avx; avx2; avx512f, dq, bw, vl; avx512_vnni; avx_vnni */
    const unsigned fma_saved_avx = 1u << 12 | 1u << 27 | 1u << 28, avx2 = 1u << 5,
                   avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, vnni = 1u << 11,
                   avxvnni = 1u << 4;
    const unsigned wide = 6, widest = 0xe6; /* ymm; zmm and masks with them */
    unsigned first[4], more[4], later[4];
    if (level == ISA_BASELINE)
        return 1;
    ask_processor(1, 0, first);
    ask_processor(7, 0, more);
    if (!has(first[ECX], fma_saved_avx) || !has(more[EBX], avx2)
        || !has(saved_registers(), wide))
        return 0;
    switch (level) {
    case ISA_AVX2:
        return 1;
#ifdef KLDIV_HAS_AVXVNNI
    case ISA_AVXVNNI:
        ask_processor(7, more[EAX] ? 1 : 0, later);
        return more[EAX] && has(later[EAX], avxvnni);
#endif
#ifdef KLDIV_HAS_AVX512
    case ISA_AVX512:
        return has(more[EBX], avx512) && has(saved_registers(), widest);
#endif
#ifdef KLDIV_HAS_VNNI
    case ISA_VNNI:
        return isa_has(ISA_AVX512) && has(more[ECX], vnni);
    case ISA_AMX:
        return isa_has(ISA_VNNI) && has_matrix();
#endif
    default:
        return 0;
    }
}
#elif defined(KLDIV_HAS_DOTPROD)
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

/* What the system says of the processor. */
static int has(int level)
{
#if defined(__linux__)
    return level == ISA_I8MM ? getauxval(AT_HWCAP2) >> 13 & 1 /* HWCAP2_I8MM */
                             : getauxval(AT_HWCAP) >> 20 & 1; /* HWCAP_ASIMDDP */
#elif defined(__APPLE__)
    int found = 0;
    size_t size = sizeof found;
    const char *name = level == ISA_I8MM ? "hw.optional.arm.FEAT_I8MM"
                                         : "hw.optional.arm.FEAT_DotProd";
    return sysctlbyname(name, &found, &size, NULL, 0) == 0 && found;
#else
    (void)level;
    return 0;
#endif
}

int isa_has(int level)
{
    switch (level) {
    case ISA_BASELINE:
        return 1;
    case ISA_DOTPROD:
        return has(ISA_DOTPROD);
#ifdef KLDIV_HAS_I8MM
    case ISA_I8MM:
        return has(ISA_DOTPROD) && has(ISA_I8MM);
#endif
    default:
        return 0;
    }
}
#else
int isa_has(int level)
{
    return level == ISA_BASELINE;
}
#endif

int isa_has_openmp(void)
{
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}
