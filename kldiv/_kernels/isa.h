/* The level: one instruction set for all extensions, and tables of functions per level.
 *
 * A source that gains from wide vectors is compiled once per instruction set, with the
 * macro KLDIV_ISA holding its name, and names its functions by ISA_NAME. The extension
 * lists them once, as FUNCTIONS(X) with X(result, name, arguments); ISA_TABLES makes a
 * table per level of them, and the extension takes the one of the level in use, which
 * _isa.pyx holds. Levels without code of their own use that of the level below.
 */
#ifndef KLDIV_ISA_H
#define KLDIV_ISA_H

/* Levels of all processors; each processor has some of them, in this order. */
enum {
    ISA_BASELINE,
    ISA_DOTPROD,
    ISA_I8MM,
    ISA_AVX2,
    ISA_AVXVNNI,
    ISA_AVX512,
    ISA_VNNI,
    ISA_AMX,
    ISA_LEVELS
};

/* Whether the compiler knows the matrix registers of AMX, and the system lends them;
 * KLDIV_PLAIN_MATRIX puts loops in their place (knn_int8_matrix.h). */
#if defined(KLDIV_PLAIN_MATRIX)
#define ISA_KNOWS_MATRIX 1
#elif defined(__x86_64__) && defined(__linux__)    \
    && (defined(__clang__) ? __clang_major__ >= 12 \
                           : defined(__GNUC__) && __GNUC__ >= 11)
#define ISA_KNOWS_MATRIX 1
#else
#define ISA_KNOWS_MATRIX 0
#endif

int isa_has(int level);     /* whether this processor, system and build have it */
int isa_claim_matrix(void); /* whether the system lends this process the registers */
int isa_has_openmp(void);

#define ISA_JOIN_(name, isa) name##_##isa
#define ISA_JOIN(name, isa) ISA_JOIN_(name, isa)
#define ISA_NAME(name) ISA_JOIN(name, KLDIV_ISA)

#define ISA_POINTER(result, name, arguments) result(*name) arguments;
#define ISA_DECLARE(result, name, arguments) result ISA_NAME(name) arguments;

#define ISA_DECLARE_baseline(result, name, arguments) result name##_baseline arguments;
#define ISA_DECLARE_dotprod(result, name, arguments) result name##_dotprod arguments;
#define ISA_DECLARE_i8mm(result, name, arguments) result name##_i8mm arguments;
#define ISA_DECLARE_avx2(result, name, arguments) result name##_avx2 arguments;
#define ISA_DECLARE_avxvnni(result, name, arguments) result name##_avxvnni arguments;
#define ISA_DECLARE_avx512(result, name, arguments) result name##_avx512 arguments;
#define ISA_DECLARE_vnni(result, name, arguments) result name##_vnni arguments;
#define ISA_ENTRY_baseline(result, name, arguments) name##_baseline,
#define ISA_ENTRY_dotprod(result, name, arguments) name##_dotprod,
#define ISA_ENTRY_i8mm(result, name, arguments) name##_i8mm,
#define ISA_ENTRY_avx2(result, name, arguments) name##_avx2,
#define ISA_ENTRY_avxvnni(result, name, arguments) name##_avxvnni,
#define ISA_ENTRY_avx512(result, name, arguments) name##_avx512,
#define ISA_ENTRY_vnni(result, name, arguments) name##_vnni,

#ifdef KLDIV_HAS_DOTPROD
#define ISA_IF_DOTPROD(...) __VA_ARGS__
#else
#define ISA_IF_DOTPROD(...)
#endif
#ifdef KLDIV_HAS_I8MM
#define ISA_IF_I8MM(...) __VA_ARGS__
#else
#define ISA_IF_I8MM(...)
#endif
#ifdef KLDIV_HAS_AVX2
#define ISA_IF_AVX2(...) __VA_ARGS__
#else
#define ISA_IF_AVX2(...)
#endif
#ifdef KLDIV_HAS_AVXVNNI
#define ISA_IF_AVXVNNI(...) __VA_ARGS__
#else
#define ISA_IF_AVXVNNI(...)
#endif
#ifdef KLDIV_HAS_AVX512
#define ISA_IF_AVX512(...) __VA_ARGS__
#else
#define ISA_IF_AVX512(...)
#endif
#ifdef KLDIV_HAS_VNNI
#define ISA_IF_VNNI(...) __VA_ARGS__
#else
#define ISA_IF_VNNI(...)
#endif

/* Defines `const type *type_of(int level)`, for levels that isa_has. BYTES: functions that
 * gain from products of bytes, or ISA_NONE; AMX is chosen inside them. */
#define ISA_NONE(X)
#define ISA_ROW(FUNCTIONS, isa, BYTES, byte_isa) \
    {FUNCTIONS(ISA_ENTRY_##isa) BYTES(ISA_ENTRY_##byte_isa)},
#define ISA_TABLES(type, FUNCTIONS, BYTES)                                             \
    FUNCTIONS(ISA_DECLARE_baseline)                                                    \
    BYTES(ISA_DECLARE_baseline)                                                        \
    ISA_IF_DOTPROD(BYTES(ISA_DECLARE_dotprod))                                         \
    ISA_IF_I8MM(BYTES(ISA_DECLARE_i8mm))                                               \
    ISA_IF_AVX2(FUNCTIONS(ISA_DECLARE_avx2) BYTES(ISA_DECLARE_avx2))                   \
    ISA_IF_AVXVNNI(BYTES(ISA_DECLARE_avxvnni))                                         \
    ISA_IF_AVX512(FUNCTIONS(ISA_DECLARE_avx512) BYTES(ISA_DECLARE_avx512))             \
    ISA_IF_VNNI(BYTES(ISA_DECLARE_vnni))                                               \
    static const type type##_levels[ISA_LEVELS] = {                                    \
        [ISA_BASELINE] = ISA_ROW(FUNCTIONS, baseline, BYTES, baseline)                 \
            ISA_IF_DOTPROD([ISA_DOTPROD] =                                             \
                               ISA_ROW(FUNCTIONS, baseline, BYTES, dotprod))           \
                ISA_IF_AVX2([ISA_AVX2] = ISA_ROW(FUNCTIONS, avx2, BYTES, avx2))        \
                    ISA_IF_AVXVNNI([ISA_AVXVNNI] =                                     \
                                       ISA_ROW(FUNCTIONS, avx2, BYTES, avxvnni))       \
                        ISA_IF_AVX512([ISA_AVX512] =                                   \
                                          ISA_ROW(FUNCTIONS, avx512, BYTES, avx512))   \
                            ISA_IF_VNNI([ISA_VNNI] = ISA_ROW(                          \
                                            FUNCTIONS, avx512, BYTES, vnni)[ISA_AMX] = \
                                            ISA_ROW(FUNCTIONS, avx512, BYTES, vnni))   \
                                ISA_IF_I8MM([ISA_I8MM] = ISA_ROW(                      \
                                                FUNCTIONS, baseline, BYTES, i8mm))};   \
    const type *type##_of(int level)                                                   \
    {                                                                                  \
        return &type##_levels[level];                                                  \
    }

#endif
