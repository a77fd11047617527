/* A thin vector layer. `vf` holds FW floats, `vd` holds DW doubles, `vi` (with AVX2 or
 * NEON) FW int32; the widest set that the compiler flags allow is taken. Masks are plain unsigned integers, lane 0 lowest. */
#ifndef KLDIV_SIMD_H
#define KLDIV_SIMD_H

#include "base.h"

#include <math.h>

#if defined(__AVX2__) || defined(__SSE2__) || defined(_M_X64)
#include <immintrin.h>
#define DEFINE_X86(v, T, R, name, suffix) \
    typedef T v;                          \
    INLINE v v##_load(const R *p)         \
    {                                     \
        return name##_loadu_##suffix(p);  \
    }                                     \
    INLINE void v##_store(R *p, v a)      \
    {                                     \
        name##_storeu_##suffix(p, a);     \
    }                                     \
    INLINE v v##_set(R a)                 \
    {                                     \
        return name##_set1_##suffix(a);   \
    }                                     \
    INLINE v v##_add(v a, v b)            \
    {                                     \
        return name##_add_##suffix(a, b); \
    }                                     \
    INLINE v v##_sub(v a, v b)            \
    {                                     \
        return name##_sub_##suffix(a, b); \
    }                                     \
    INLINE v v##_mul(v a, v b)            \
    {                                     \
        return name##_mul_##suffix(a, b); \
    }                                     \
    INLINE v v##_min(v a, v b)            \
    {                                     \
        return name##_min_##suffix(a, b); \
    }                                     \
    INLINE v v##_max(v a, v b)            \
    {                                     \
        return name##_max_##suffix(a, b); \
    }                                     \
    INLINE v v##_sqrt(v a)                \
    {                                     \
        return name##_sqrt_##suffix(a);   \
    }
#if defined(__AVX512F__)
#define FW 16
#define DW 8
DEFINE_X86(vf, __m512, float, _mm512, ps)
DEFINE_X86(vd, __m512d, double, _mm512, pd)
INLINE unsigned vf_less(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
INLINE unsigned vd_less(vd a, vd b)
{
    return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
}
INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
INLINE vd vd_fma(vd a, vd b, vd c)
{
    return _mm512_fmadd_pd(a, b, c);
}
INLINE vd vd_widen(const float *p)
{
    return _mm512_cvtps_pd(_mm256_loadu_ps(p));
}
typedef __m512i vi;
INLINE vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
INLINE void vi_store(void *p, vi a)
{
    _mm512_storeu_si512(p, a);
}
INLINE vi vi_set(int32_t a)
{
    return _mm512_set1_epi32(a);
}
INLINE vi vi_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}
INLINE vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}
INLINE unsigned vi_less(vi a, vi b)
{
    return _mm512_cmplt_epi32_mask(a, b);
}
/* b where b is `special`, else a. */
INLINE vi vi_keep(vi a, vi b, vi special)
{
    return _mm512_mask_mov_epi32(a, _mm512_cmpeq_epi32_mask(b, special), b);
}
INLINE vi vi_dot_words(vi a, vi b)
{
    return _mm512_madd_epi16(a, b);
}
#elif defined(__AVX2__)
#define FW 8
#define DW 4
DEFINE_X86(vf, __m256, float, _mm256, ps)
DEFINE_X86(vd, __m256d, double, _mm256, pd)
INLINE unsigned vf_less(vf a, vf b)
{
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
INLINE unsigned vd_less(vd a, vd b)
{
    return (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_LT_OQ));
}
INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
INLINE vd vd_fma(vd a, vd b, vd c)
{
    return _mm256_fmadd_pd(a, b, c);
}
INLINE vd vd_widen(const float *p)
{
    return _mm256_cvtps_pd(_mm_loadu_ps(p));
}
typedef __m256i vi;
INLINE vi vi_load(const void *p)
{
    return _mm256_loadu_si256(p);
}
INLINE void vi_store(void *p, vi a)
{
    _mm256_storeu_si256(p, a);
}
INLINE vi vi_set(int32_t a)
{
    return _mm256_set1_epi32(a);
}
INLINE vi vi_add(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}
INLINE vi vi_sub(vi a, vi b)
{
    return _mm256_sub_epi32(a, b);
}
INLINE unsigned vi_less(vi a, vi b)
{
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a)));
}
/* b where b is `special`, else a. */
INLINE vi vi_keep(vi a, vi b, vi special)
{
    return _mm256_blendv_epi8(a, b, _mm256_cmpeq_epi32(b, special));
}
INLINE vi vi_dot_words(vi a, vi b)
{
    return _mm256_madd_epi16(a, b);
}
#else
#define FW 4
#define DW 2
DEFINE_X86(vf, __m128, float, _mm, ps)
DEFINE_X86(vd, __m128d, double, _mm, pd)
INLINE unsigned vf_less(vf a, vf b)
{
    return (unsigned)_mm_movemask_ps(_mm_cmplt_ps(a, b));
}
INLINE unsigned vd_less(vd a, vd b)
{
    return (unsigned)_mm_movemask_pd(_mm_cmplt_pd(a, b));
}
INLINE vf vf_fma(vf a, vf b, vf c)
{
    return _mm_add_ps(_mm_mul_ps(a, b), c);
}
INLINE vd vd_fma(vd a, vd b, vd c)
{
    return _mm_add_pd(_mm_mul_pd(a, b), c);
}
INLINE vd vd_widen(const float *p)
{
    return _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)p)));
}
#endif
#elif defined(__aarch64__) && defined(__GNUC__)
#include <arm_neon.h>
#define HAS_NEON 1
#define FW 4
#define DW 2
#define DEFINE_NEON(v, T, R, suffix)    \
    typedef T v;                        \
    INLINE v v##_load(const R *p)       \
    {                                   \
        return vld1q_##suffix(p);       \
    }                                   \
    INLINE void v##_store(R *p, v a)    \
    {                                   \
        vst1q_##suffix(p, a);           \
    }                                   \
    INLINE v v##_set(R a)               \
    {                                   \
        return vdupq_n_##suffix(a);     \
    }                                   \
    INLINE v v##_add(v a, v b)          \
    {                                   \
        return vaddq_##suffix(a, b);    \
    }                                   \
    INLINE v v##_sub(v a, v b)          \
    {                                   \
        return vsubq_##suffix(a, b);    \
    }                                   \
    INLINE v v##_mul(v a, v b)          \
    {                                   \
        return vmulq_##suffix(a, b);    \
    }                                   \
    INLINE v v##_min(v a, v b)          \
    {                                   \
        return vminq_##suffix(a, b);    \
    }                                   \
    INLINE v v##_max(v a, v b)          \
    {                                   \
        return vmaxq_##suffix(a, b);    \
    }                                   \
    INLINE v v##_sqrt(v a)              \
    {                                   \
        return vsqrtq_##suffix(a);      \
    }                                   \
    INLINE v v##_fma(v a, v b, v c)     \
    {                                   \
        return vfmaq_##suffix(c, a, b); \
    }
DEFINE_NEON(vf, float32x4_t, float, f32)
DEFINE_NEON(vd, float64x2_t, double, f64)
/* One bit for each lane of four that is all ones. */
INLINE unsigned bits_of(uint32x4_t mask)
{
    const uint32x4_t bit = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(mask, bit));
}
INLINE unsigned vf_less(vf a, vf b)
{
    return bits_of(vcltq_f32(a, b));
}
INLINE unsigned vd_less(vd a, vd b)
{
    const uint64x2_t bit = {1, 2};
    return (unsigned)vaddvq_u64(vandq_u64(vcltq_f64(a, b), bit));
}
INLINE vd vd_widen(const float *p)
{
    return vcvt_f64_f32(vld1_f32(p));
}
typedef int32x4_t vi;
INLINE vi vi_load(const void *p)
{
    return vld1q_s32(p);
}
INLINE void vi_store(void *p, vi a)
{
    vst1q_s32(p, a);
}
INLINE vi vi_set(int32_t a)
{
    return vdupq_n_s32(a);
}
/* Sums wrap, as on x86: those with FAR are replaced afterwards. */
INLINE vi vi_add(vi a, vi b)
{
    return vreinterpretq_s32_u32(
        vaddq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}
INLINE vi vi_sub(vi a, vi b)
{
    return vreinterpretq_s32_u32(
        vsubq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
}
INLINE unsigned vi_less(vi a, vi b)
{
    return bits_of(vcltq_s32(a, b));
}
/* b where b is `special`, else a. */
INLINE vi vi_keep(vi a, vi b, vi special)
{
    return vbslq_s32(vceqq_s32(b, special), b, a);
}
#else /* other processors: arrays that the compiler turns into its own vectors */
#define FW 4
#define DW 2
#define DEFINE_PLAIN(v, R, W)                                        \
    typedef struct {                                                 \
        R lane[W];                                                   \
    } v;                                                             \
    INLINE v v##_load(const R *p)                                    \
    {                                                                \
        v r;                                                         \
        for (int i = 0; i < W; i++)                                  \
            r.lane[i] = p[i];                                        \
        return r;                                                    \
    }                                                                \
    INLINE void v##_store(R *p, v a)                                 \
    {                                                                \
        for (int i = 0; i < W; i++)                                  \
            p[i] = a.lane[i];                                        \
    }                                                                \
    INLINE v v##_set(R a)                                            \
    {                                                                \
        v r;                                                         \
        for (int i = 0; i < W; i++)                                  \
            r.lane[i] = a;                                           \
        return r;                                                    \
    }                                                                \
    PLAIN2(v, W, add, a.lane[i] + b.lane[i])                         \
    PLAIN2(v, W, sub, a.lane[i] - b.lane[i])                         \
    PLAIN2(v, W, mul, a.lane[i] * b.lane[i])                         \
    PLAIN2(v, W, min, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]) \
    PLAIN2(v, W, max, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]) \
    INLINE v v##_sqrt(v a)                                           \
    {                                                                \
        for (int i = 0; i < W; i++)                                  \
            a.lane[i] = (R)sqrt(a.lane[i]);                          \
        return a;                                                    \
    }                                                                \
    INLINE unsigned v##_less(v a, v b)                               \
    {                                                                \
        unsigned m = 0;                                              \
        for (int i = 0; i < W; i++)                                  \
            m |= (unsigned)(a.lane[i] < b.lane[i]) << i;             \
        return m;                                                    \
    }                                                                \
    INLINE v v##_fma(v a, v b, v c)                                  \
    {                                                                \
        for (int i = 0; i < W; i++)                                  \
            c.lane[i] += a.lane[i] * b.lane[i];                      \
        return c;                                                    \
    }
#define PLAIN2(v, W, name, expression) \
    INLINE v v##_##name(v a, v b)      \
    {                                  \
        v r;                           \
        for (int i = 0; i < W; i++)    \
            r.lane[i] = expression;    \
        return r;                      \
    }
DEFINE_PLAIN(vf, float, FW)
DEFINE_PLAIN(vd, double, DW)
INLINE vd vd_widen(const float *p)
{
    vd r;
    for (int i = 0; i < DW; i++)
        r.lane[i] = p[i];
    return r;
}
#endif

INLINE double vd_total(vd a)
{
    double lane[DW], total = 0;
    vd_store(lane, a);
    for (int i = 0; i < DW; i++)
        total += lane[i];
    return total;
}
INLINE float vf_total(vf a)
{
    float lane[FW], total = 0;
    vf_store(lane, a);
    for (int i = 0; i < FW; i++)
        total += lane[i];
    return total;
}
INLINE vf vf_abs(vf a)
{
    return vf_max(a, vf_sub(vf_set(0), a));
}
INLINE vd vd_abs(vd a)
{
    return vd_max(a, vd_sub(vd_set(0), a));
}

#endif
