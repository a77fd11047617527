/* Exact measurement: direct differences in float64, and sorted insertion. */
#ifndef KLDIV_KNN_EXACT_H
#define KLDIV_KNN_EXACT_H

#include "knn_rows.h"

#define DEFINE_EXACT(name, R, load)                                                   \
    /* |a - b|^2; gives up with a value above `limit` once the sum exceeds it */      \
    INLINE double name(const R *RESTRICT a, const R *RESTRICT b, int d, double limit) \
    {                                                                                 \
        vd s0 = vd_set(0), s1 = s0, s2 = s0, s3 = s0, t;                              \
        double total = 0;                                                             \
        int j = 0;                                                                    \
        while (j + 4 * DW <= d) {                                                     \
            int stop = j + 32 * DW < d ? j + 32 * DW : d;                             \
            for (; j + 4 * DW <= stop; j += 4 * DW) {                                 \
                t = vd_sub(load(a + j), load(b + j));                                 \
                s0 = vd_fma(t, t, s0);                                                \
                t = vd_sub(load(a + j + DW), load(b + j + DW));                       \
                s1 = vd_fma(t, t, s1);                                                \
                t = vd_sub(load(a + j + 2 * DW), load(b + j + 2 * DW));               \
                s2 = vd_fma(t, t, s2);                                                \
                t = vd_sub(load(a + j + 3 * DW), load(b + j + 3 * DW));               \
                s3 = vd_fma(t, t, s3);                                                \
            }                                                                         \
            total = vd_total(vd_add(vd_add(s0, s1), vd_add(s2, s3)));                 \
            if (total > limit)                                                        \
                return total;                                                         \
        }                                                                             \
        for (; j < d; j++) {                                                          \
            double x = (double)a[j] - (double)b[j];                                   \
            total += x * x;                                                           \
        }                                                                             \
        return total;                                                                 \
    }
DEFINE_EXACT(exact_d, double, vd_load)
DEFINE_EXACT(exact_f, float, vd_widen)

/* Sum of squares in float64. */
INLINE double square_of(const float *x, int n)
{
    vd s0 = vd_set(0), s1 = s0;
    double total;
    int j = 0;
    for (; j + 2 * DW <= n; j += 2 * DW) {
        vd a = vd_widen(x + j), b = vd_widen(x + j + DW);
        s0 = vd_fma(a, a, s0);
        s1 = vd_fma(b, b, s1);
    }
    total = vd_total(vd_add(s0, s1));
    for (; j < n; j++)
        total += (double)x[j] * x[j];
    return total;
}

/* Float32 differences only ever reject: the relative error is below 1e-4 for d < 1e6. */
INLINE int far_f(const float *RESTRICT a, const float *RESTRICT b, int d, double limit)
{
    vf s0 = vf_set(0), s1 = s0, t;
    float bound = (float)(limit * 1.0002), total = 0;
    int j = 0;
    if (!(limit < 1e30) || limit < 1e-25)
        return 0;
    while (j + 2 * FW <= d) {
        int stop = j + 16 * FW < d ? j + 16 * FW : d;
        for (; j + 2 * FW <= stop; j += 2 * FW) {
            t = vf_sub(vf_load(a + j), vf_load(b + j));
            s0 = vf_fma(t, t, s0);
            t = vf_sub(vf_load(a + j + FW), vf_load(b + j + FW));
            s1 = vf_fma(t, t, s1);
        }
        total = vf_total(vf_add(s0, s1));
        if (total > bound)
            return 1;
    }
    for (; j < d; j++)
        total += (a[j] - b[j]) * (a[j] - b[j]);
    return total > bound;
}

/* |row i of s - row j of t|^2, or something above limit if it is above limit */
INLINE double exact_rows(
    const knn_sample *s, int64_t i, const knn_sample *t, int64_t j, double limit)
{
    int d = s->d;
    if (s->is_double)
        return exact_d(
            (const double *)s->rows + i * d, (const double *)t->rows + j * d, d, limit);
    const float *a = (const float *)s->rows + i * d,
                *b = (const float *)t->rows + j * d;
    if (d >= 64 && far_f(a, b, d, limit))
        return limit * 2;
    return exact_f(a, b, d, limit);
}

/* Keep the k smallest values in ascending order; count grows to k. */
INLINE void keep_smallest(
    double *value, int32_t *index, int *count, int k, double v, int32_t i)
{
    int p;
    if (*count < k)
        p = (*count)++;
    else if (v < value[k - 1])
        p = k - 1;
    else
        return;
    for (; p > 0 && value[p - 1] > v; p--) {
        value[p] = value[p - 1];
        index[p] = index[p - 1];
    }
    value[p] = v;
    index[p] = i;
}

/* Defines bring_forward: the `wanted` smallest of n candidates come first. Their `value`
 * is a float in one file and a whole number in another. */
#define DEFINE_BRING_FORWARD(VALUE)                            \
    static void bring_forward(candidate *c, int n, int wanted) \
    {                                                          \
        int l = 0, r = n - 1;                                  \
        while (l < r) {                                        \
            VALUE pivot = c[(l + r) / 2].value;                \
            int i = l, j = r;                                  \
            while (i <= j) {                                   \
                while (c[i].value < pivot)                     \
                    i++;                                       \
                while (c[j].value > pivot)                     \
                    j--;                                       \
                if (i <= j) {                                  \
                    candidate swap = c[i];                     \
                    c[i++] = c[j];                             \
                    c[j--] = swap;                             \
                }                                              \
            }                                                  \
            if (wanted - 1 <= j)                               \
                r = j;                                         \
            else if (wanted - 1 >= i)                          \
                l = i;                                         \
            else                                               \
                break;                                         \
        }                                                      \
    }

#endif
