/* Logarithm of the probability that a Gaussian gives to a ball.
 *
 * With lam the eigenvalues of the covariance and b the offset of the ball's centre from
 * the mean in the eigenbasis, the squared distance from the centre is
 *     T = sum_i (sqrt(lam_i) z_i + b_i)^2,   z_i independent standard normal,
 * with cumulant function K(t) = sum_i [-log(1 - 2 lam_i t)/2 + t b_i^2/(1 - 2 lam_i t)].
 * log P(T <= s) comes from the saddlepoint formula of Lugannani and Rice (1980) with a
 * gamma base as in Wood, Booth and Butler (1993).  The shape of the base matches the
 * skewness of the tilted distribution; this makes the formula exact for balls centred at
 * the mean of an isotropic Gaussian (up to 60 dimensions; beyond, the normal base is within
 * 1e-3), and exact in the limit of small balls.
 */
#ifndef KLDIV_BALL_MASS_H
#define KLDIV_BALL_MASS_H

#include "base.h"
#include "isa.h"

#include <math.h>
#include <stdint.h>

#define BALL_SHAPE_LARGEST 30.0 /* above it the gamma base is normal enough */
#define BALL_MOST_COMPONENTS 64
#define BALL_HALF_LOG_2PI 0.91893853320467274178

typedef struct {
    double sum0; /* K(t) */
    double sum1; /* K'(t) */
    double sum2; /* K''(t) */
    double sum3; /* K'''(t) */
} ball_cumulants;

/* All lengths are measured in units of the squared radius (unit = 1/s), so that the
 * equation is K'(t) = 1 and no moment of a tiny ball underflows. Directions without
 * variance and offset add nothing: they fill lanes up.
 * K' and K'' at t, the two that Newton's method needs. */
static inline void ball_slopes(const double *b2, const double *lam, int d, double unit,
    double t, double *k1, double *k2)
{
    double first = 0.0, second = 0.0;
    SIDE_BY_SIDE(+ : first, second)
    for (int i = 0; i < d; i++) {
        const double size = lam[i] * unit;
        const double w = 1.0 / (1.0 - 2.0 * size * t);
        const double a = size * w, c = b2[i] * unit * w * w;
        first += a + c;
        second += 2.0 * a * a + 4.0 * a * c;
    }
    *k1 = first;
    *k2 = second;
}

static inline ball_cumulants ball_all_cumulants(
    const double *b2, const double *lam, int d, double lam_max, double unit, double t)
{
    ball_cumulants sums = {0.0, 0.0, 0.0, 0.0};
    double tilt = 0.0, first = 0.0, second = 0.0, third = 0.0, logs = 0.0;
    SIDE_BY_SIDE(+ : tilt, first, second, third)
    for (int i = 0; i < d; i++) {
        const double size = lam[i] * unit;
        const double w = 1.0 / (1.0 - 2.0 * size * t);
        const double a = size * w, c = b2[i] * unit * w * w;
        tilt += b2[i] * unit * w;
        first += a + c;
        second += 2.0 * a * a + 4.0 * a * c;
        third += 8.0 * a * a * a + 24.0 * a * a * c;
    }
    /* Fewer logarithms: as many factors at a time as a product has room for. All lie
     * between 1 and the one of the largest eigenvalue. */
    int exponent;
    frexp(1.0 - 2.0 * lam_max * unit * t, &exponent);
    const int room = 1000 / (1 + (exponent < 0 ? -exponent : exponent));
    const int most = room < 1 ? 1 : room;
    for (int i = 0; i < d; i += most) {
        double product = 1.0;
        const int stop = i + most < d ? i + most : d;
        SIDE_BY_SIDE(* : product)
        for (int j = i; j < stop; j++)
            product *= 1.0 - 2.0 * lam[j] * unit * t;
        logs += log(product);
    }
    sums.sum0 = t * tilt - 0.5 * logs;
    sums.sum1 = first;
    sums.sum2 = second;
    sums.sum3 = third;
    return sums;
}

/* One step of Newton's method from t towards K'(t) = 1.  The variable is v = 1/(1 - 2
 * lam_max t) > 0, in which log K' is nearly linear in log v. Returns the change of log v;
 * `first` becomes K'(t). */
static inline double ball_step(const double *b2, const double *lam, int d,
    double lam_max, double unit, double v, double t, double *first)
{
    double second;
    ball_slopes(b2, lam, d, unit, t, first, &second);
    /* d log K' / d log v = K''/K' * dt/dlog v,  dt/dlog v = 1/(2 lam_max v) */
    return -log(*first) * *first * 2.0 * lam_max * unit * v / second;
}

static inline double ball_tilt(double v, double largest)
{
    return 0.5 * (1.0 - 1.0 / v) / largest;
}

/* v for a first guess of t; 1, which is t = 0, if it has none. */
static inline double ball_first_tilt(double t, double largest)
{
    const double v = 1.0 / (1.0 - 2.0 * largest * t);
    return v > 0.0 && v < 1e15 ? v : 1.0;
}

/* First guess of v: the solution of K'(t) = 1 if all eigenvalues were equal,
 * offset v^2 + mean v = 1 with v = 1/(1 - 2 (mean/d) t). */
static inline double ball_start(
    const double *b2, const double *lam, int width, int d, double lam_max, double unit)
{
    double mean = 0.0, offset = 0.0;
    SIDE_BY_SIDE(+ : mean, offset)
    for (int i = 0; i < width; i++) {
        mean += lam[i];
        offset += b2[i];
    }
    mean *= unit;
    offset *= unit;
    const double v = 2.0 / (mean + hypot(mean, 2.0 * sqrt(offset)));
    return ball_first_tilt((1.0 - 1.0 / v) * 0.5 * d / mean, lam_max * unit);
}

/* t with K'(t) = 1; steps are kept inside a bracket. */
static inline double ball_saddlepoint(
    const double *b2, const double *lam, int d, double lam_max, double unit, double v)
{
    const double largest = lam_max * unit;
    double low = 0.0, high = INFINITY;
    for (int step = 0; step < 100; step++) {
        double first;
        const double change =
            ball_step(b2, lam, d, lam_max, unit, v, ball_tilt(v, largest), &first);
        const double next = v * exp(change);
        if (fabs(change) < 1e-3)
            return ball_tilt(next, largest);
        if (first > 1.0)
            high = v;
        else
            low = v;
        if (next > low && next < high)
            v = next;
        else if (low > 0.0)
            v = high < INFINITY ? sqrt(low * high) : v * 8.0;
        else
            v = v / 8.0;
    }
    return ball_tilt(v, largest);
}

/* log(P(a, x)) and the ratio density/P of a gamma variable of shape a at x. */
static inline double ball_log_gamma_cdf(double a, double x, double *hazard)
{
    const double log_power = a * log(x) - x - lgamma(a);
    if (x < a + 1.0) {
        double term = 1.0 / a, sum = term;
        for (int j = 1; j < 2000 && term > 1e-13 * sum; j++) {
            term *= x / (a + j);
            sum += term;
        }
        *hazard = 1.0 / (x * sum);
        return log_power + log(sum);
    }
    /* continued fraction of the upper tail, by the method of Lentz */
    double b = x + 1.0 - a, c = 1e300, f = 1.0 / b, h = f;
    for (int j = 1; j < 2000; j++) {
        const double an = -j * (j - a);
        double delta;
        b += 2.0;
        f = 1.0 / (an * f + b);
        c = b + an / c;
        delta = f * c;
        h *= delta;
        if (fabs(delta - 1.0) < 1e-13)
            break;
    }
    const double log_cdf = log1p(-exp(log_power + log(h)));
    *hazard = exp(log_power - log(x) - log_cdf);
    return log_cdf;
}

/* y on the given side of 1 with y - 1 - log y = depth. */
static inline double ball_gamma_depth(double depth, int below)
{
    const double root = sqrt(2.0 * depth);
    double eta = below ? -root : root; /* eta = log y */
    if (below)
        eta = depth > 0.5 ? -1.0 - depth : -root - depth / 3.0;
    else
        eta = depth > 0.5 ? log1p(depth + log1p(depth + root)) : root - depth / 3.0;
    for (int step = 0; step < 50; step++) {
        const double slope = expm1(eta);
        const double change = (slope - eta - depth) / slope;
        eta -= change;
        if (fabs(change) < 1e-7 * fabs(eta)) /* the next error is its square */
            break;
    }
    return exp(eta);
}

/* log of Phi(w) and the ratio phi(w)/Phi(w), accurate far into the lower tail. */
static inline double ball_log_normal_cdf(double w, double *hazard)
{
    double log_cdf;
    if (w > -5.0) {
        log_cdf = w > 5.0 ? log1p(-0.5 * erfc(w * M_SQRT1_2))
                          : log(0.5 * erfc(-w * M_SQRT1_2));
        *hazard = exp(-0.5 * w * w - BALL_HALF_LOG_2PI - log_cdf);
        return log_cdf;
    }
    /* continued fraction of the Mills ratio: |w| + 1/(|w| + 2/(|w| + ...)) */
    double f = -w;
    for (int j = 60; j > 0; j--)
        f = -w + j / f;
    *hazard = f;
    return -0.5 * w * w - BALL_HALF_LOG_2PI - log(f);
}

/* One dimension has a closed form: log(Phi(b + r) - Phi(b - r)). */
static inline double ball_log_interval(double b2, double lam, double s)
{
    const double b = sqrt(b2 / lam), r = sqrt(s / lam);
    double unused;
    const double upper = ball_log_normal_cdf(r - b, &unused);
    const double lower = ball_log_normal_cdf(-r - b, &unused);
    if (r < 1e-3 * (1.0 + b)) {
        /* density times length, with the curvature's and the slope's share */
        const double q = r * r, h2 = b2 / lam - 1.0;
        const double h4 = (b2 / lam) * (b2 / lam) - 6.0 * (b2 / lam) + 3.0;
        if (b * r < 0.03)
            return log(2.0 * r) - 0.5 * b2 / lam - BALL_HALF_LOG_2PI
                + log1p(q * h2 / 6.0 + q * q * h4 / 120.0);
    }
    return upper + log1p(-exp(lower - upper));
}

/* Upper bound of log P(T <= s), Chernoff's, one step from the first guess; `v` moves. */
static inline double ball_mass_bound(
    const double *b2, const double *lam, int d, double lam_max, double unit, double *v)
{
    const double largest = lam_max * unit;
    double first;
    const double change =
        ball_step(b2, lam, d, lam_max, unit, *v, ball_tilt(*v, largest), &first);
    if (fabs(change) < 3.0)
        *v *= exp(change);
    const double t = ball_tilt(*v, largest);
    return t < 0.0 ? ball_all_cumulants(b2, lam, d, lam_max, unit, t).sum0 - t : 0.0;
}

/* log P(T <= s); `v` is where the search for the saddlepoint starts. */
static inline double ball_log_mass(
    const double *b2, const double *lam, int d, double lam_max, double s, double v)
{
    if (!(s > 0.0))
        return -INFINITY;
    if (d == 1)
        return ball_log_interval(b2[0], lam[0], s);
    const double t = ball_saddlepoint(b2, lam, d, lam_max, 1.0 / s, v);
    const ball_cumulants k = ball_all_cumulants(b2, lam, d, lam_max, 1.0 / s, t);
    const double skew = k.sum3 / (k.sum2 * sqrt(k.sum2));
    const double shape = 4.0 / (skew * skew);
    const double depth = t - k.sum0; /* half the squared signed root */
    const double u = t * sqrt(k.sum2);
    double hazard, bracket, log_cdf;
    if (shape > BALL_SHAPE_LARGEST) {
        const double w = (t < 0.0 ? -1.0 : 1.0) * sqrt(2.0 * fmax(depth, 0.0));
        log_cdf = ball_log_normal_cdf(w, &hazard);
        bracket = fabs(u) > 1e-3 ? hazard * (1.0 / w - 1.0 / u) : hazard * skew / 6.0;
    }
    else {
        const double y = ball_gamma_depth(fmax(depth, 0.0) / shape, t < 0.0),
                     x = shape * y;
        const double base = (x - shape) / sqrt(shape);
        log_cdf = ball_log_gamma_cdf(shape, x, &hazard);
        hazard *= x / sqrt(shape);
        bracket = fabs(u) > 1e-3 ? hazard * (1.0 / base - 1.0 / u) : 0.0;
    }
    return fmin(log_cdf + log1p(fmax(bracket, -1.0 + 1e-9)), 0.0);
}

/* ball_log_masses: log mass of one ball per row; offsets squared, in the eigenbasis.
 * ball_mixture: log density of a mixture at each row and log mass of the ball around it.
 * `projections` holds c times `width` numbers per row, the d coordinates of the row in each
 * eigenbasis and zeros behind them; it is overwritten. `shifts` holds those of the means,
 * and `eigenvalues` has zeros there as well. */
#define BALL_FUNCTIONS(X)                                                            \
    X(void, ball_log_masses,                                                         \
        (const double *squared_offsets, const double *eigenvalues, int64_t n, int d, \
            const double *squared_radii, double *out))                               \
    X(void, ball_mixture,                                                            \
        (double *projections, const double *shifts, const double *eigenvalues,       \
            const double *log_weights, int64_t n, int c, int d, int width,           \
            const double *squared_radii, double *density, double *mass))

typedef struct {
    BALL_FUNCTIONS(ISA_POINTER)
} ball_table;

const ball_table *ball_table_of(int level);

#ifdef KLDIV_ISA
BALL_FUNCTIONS(ISA_DECLARE)
#endif

#endif
