/* Exact laws of the largest gap under the null hypothesis. */
#include "ks.h"

#include <math.h>

/* P(D >= h / lcm(n, n)) for two samples of n rows; two-sided or one-sided. */
double ISA_NAME(ks_exact_equal)(int64_t n, int64_t h, int two_sided)
{
    double p = 0.0;
    for (int64_t k = two_sided ? n / h : 1; k >= 1; k--) {
        double ratio = 1.0;
        for (int64_t a = 0; a < h; a++) {
            int64_t b = (k - 1) * h + a;
            ratio *= (double)(n - b) / (double)(n + b + 1);
        }
        p = ratio * (1.0 - p);
    }
    return two_sided ? 2.0 * p : p;
}

static void lattice_step(const double *RESTRICT old, double *RESTRICT new,
    int64_t first, int64_t last, double s)
{
    double inverse = 1.0 / s;
    for (int64_t i = first; i <= last; i++)
        new[i] = ((double)i * old[i - 1] + (s - (double)i) * old[i]) * inverse;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* P(gap reaches h / lcm(n, m)) over all orders of n + m distinct values. Every term is
 * a weighted mean of non-negative ones, so small probabilities keep their digits.
 * `n1`, `m1` are n and m over their greatest common divisor. `row` holds two arrays of
 * n + 3 doubles. */
double ISA_NAME(ks_exact_lattice)(
    int64_t n, int64_t m, int64_t n1, int64_t m1, int64_t h, int two_sided, double *row)
{
    double *old = row + 1, *new = row + n + 4;
    for (int64_t k = 0; k < 2 * (n + 3); k++)
        row[k] = 1.0;
    old[0] = 0.0;
    int64_t both = n1 + m1;
    for (int64_t s = 1; s <= n + m; s++) {
        int64_t lattice_first = s > m ? s - m : 0, lattice_last = s < n ? s : n;
        int64_t last = floor_div(s * n1 + h - 1, both), first = lattice_first;
        if (two_sided) {
            int64_t inside = floor_div(s * n1 - h, both) + 1;
            if (inside > first)
                first = inside;
        }
        if (last > lattice_last)
            last = lattice_last;
        if (first > last)
            return 1.0;
        lattice_step(old, new, first, last, (double)s);
        if (first > 0)
            new[first - 1] = 1.0;
        new[last + 1] = 1.0;
        double *swap = old;
        old = new;
        new = swap;
    }
    return old[n];
}

/* P(D_n^+ >= x) = x sum_j C(n, j) (1 - x - j/n)^(n - j) (x + j/n)^(j - 1). */
void ISA_NAME(ks_one_sided_sf)(const double *statistic, int64_t size,
    const double *log_factorial, int64_t n, double *pvalue)
{
    for (int64_t k = 0; k < size; k++) {
        double x = statistic[k], total = 0.0;
        for (int64_t j = 0; j <= n; j++) {
            double share = x + (double)j / n;
            if (share >= 1.0)
                break;
            double term = log_factorial[n] - log_factorial[j] - log_factorial[n - j]
                + (double)(n - j) * log1p(-share) + (double)(j - 1) * log(share);
            if (term > -745.0)
                total += exp(term);
        }
        pvalue[k] = x * total;
    }
}

/* out = a * b, all size x size */
static void multiply(
    const double *RESTRICT a, const double *RESTRICT b, int size, double *RESTRICT out)
{
    for (int i = 0; i < size; i++) {
        double *row = out + i * size;
        for (int k = 0; k < size; k++)
            row[k] = 0.0;
        for (int j = 0; j < size; j++)
            for (int k = 0; k < size; k++)
                row[k] += a[i * size + j] * b[j * size + k];
    }
}

/* P(D_n < x) for 1 / n < x < 1 / 2 by powers of Durbin's matrix, set up as in
 * Marsaglia, Tsang and Wang 2003. Returns -1 when memory runs out. */
double ISA_NAME(ks_durbin_cdf)(double x, int64_t n)
{
    int k = (int)(n * x) + 1, size = 2 * k - 1;
    double h = k - n * x, logarithm = lgamma(n + 1.0) - n * log((double)n);
    size_t area = (size_t)size * size;
    double *memory = allocate(4 * area, sizeof(double));
    if (!memory)
        return -1.0;
    double *base = memory, *power = base + area, *product = power + area;
    double *inverse_factorial = product + area; /* k >= 2, so size + 1 fit */
    inverse_factorial[0] = 1.0;
    for (int i = 1; i <= size; i++)
        inverse_factorial[i] = inverse_factorial[i - 1] / i;
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            double value = i - j + 1 < 0 ? 0.0 : 1.0;
            if (j == 0)
                value -= pow(h, i + 1);
            if (i == size - 1)
                value -= pow(h, size - j);
            if (j == 0 && i == size - 1 && 2 * h > 1)
                value += pow(2 * h - 1, size);
            base[i * size + j] =
                i - j + 1 < 0 ? 0.0 : value * inverse_factorial[i - j + 1];
            power[i * size + j] = i == j;
        }
    double base_log = 0.0, power_log = 0.0;
    for (int64_t left = n; left > 0; left /= 2) {
        double *spare = product;
        if (left % 2) {
            multiply(power, base, size, spare);
            product = power;
            power = spare;
            power_log += base_log;
        }
        spare = product;
        multiply(base, base, size, spare);
        product = base;
        base = spare;
        base_log *= 2;
        double centre = base[(k - 1) * size + k - 1]; /* keep away from overflow */
        for (size_t a = 0; a < area; a++)
            base[a] /= centre;
        base_log += log(centre);
    }
    logarithm += power_log + log(power[(k - 1) * size + k - 1]);
    release(memory);
    return exp(logarithm);
}
