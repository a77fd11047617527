/* Balls row by row, compiled once per instruction set. */
#include "ball_mass.h"

/* A component whose share of a ball's mass is below exp(-12) is not worth computing. */
#define NEGLIGIBLE 12.0

static double largest_of(const double *values, int size)
{
    double largest = values[0];
    for (int i = 1; i < size; i++)
        largest = values[i] > largest ? values[i] : largest;
    return largest;
}

void ISA_NAME(ball_log_masses)(const double *squared_offsets, const double *eigenvalues,
    int64_t n, int d, const double *squared_radii, double *out)
{
    const double largest = largest_of(eigenvalues, d);
    for (int64_t i = 0; i < n; i++) {
        const double *b2 = squared_offsets + i * d;
        const double s = squared_radii[i];
        const double start = ball_start(b2, eigenvalues, d, d, largest, 1.0 / s);
        out[i] = ball_log_mass(b2, eigenvalues, d, largest, s, start);
    }
}

/* log(exp(a) + exp(b)) */
static double add_logs(double a, double b)
{
    const double high = a > b ? a : b, low = a > b ? b : a;
    return low - high < -40.0 || low == -INFINITY ? high
                                                  : high + log1p(exp(low - high));
}

/* Squares the offsets of one row in place and returns its log density; `nearest` is the
 * component with the largest share of it. */
static double row_density(double *offsets, const double *shifts,
    const double *eigenvalues, const double *constants, int c, int d, int width,
    int *nearest)
{
    double total = -INFINITY, best = -INFINITY;
    for (int k = 0; k < c; k++) {
        double *b = offsets + (int64_t)k * width, distance = 0.0;
        const double *shift = shifts + (int64_t)k * width;
        const double *lam = eigenvalues + (int64_t)k * width;
        SIDE_BY_SIDE(+ : distance)
        for (int i = 0; i < d; i++) {
            const double offset = b[i] - shift[i];
            b[i] = offset * offset;
            distance += b[i] / lam[i];
        }
        const double log_density = constants[k] - 0.5 * distance;
        if (k == 0 || log_density > best) {
            best = log_density;
            *nearest = k;
        }
        total = add_logs(total, log_density);
    }
    return total;
}

static double row_mass(const double *offsets, const double *eigenvalues,
    const double *largest, const double *log_weights, int c, int d, int width, double s,
    int nearest)
{
    const double unit = 1.0 / s;
    double total = -INFINITY;
    for (int turn = 0; turn < c; turn++) {
        const int k = turn == 0 ? nearest : turn - (turn <= nearest);
        const double *b2 = offsets + (int64_t)k * width,
                     *lam = eigenvalues + (int64_t)k * width;
        double start = ball_start(b2, lam, width, d, largest[k], unit);
        if (turn > 0) {
            const double bound =
                ball_mass_bound(b2, lam, width, largest[k], unit, &start);
            if (log_weights[k] + bound < total - NEGLIGIBLE)
                continue;
        }
        const double mass = ball_log_mass(b2, lam, width, largest[k], s, start);
        total = add_logs(total, log_weights[k] + mass);
    }
    return total;
}

void ISA_NAME(ball_mixture)(double *projections, const double *shifts,
    const double *eigenvalues, const double *log_weights, int64_t n, int c, int d,
    int width, const double *squared_radii, double *density, double *mass)
{
    double constants[BALL_MOST_COMPONENTS], largest[BALL_MOST_COMPONENTS];
    for (int k = 0; k < c; k++) {
        const double *lam = eigenvalues + (int64_t)k * width;
        largest[k] = largest_of(lam, d);
        constants[k] = log_weights[k] - d * BALL_HALF_LOG_2PI;
        for (int i = 0; i < d; i++)
            constants[k] -= 0.5 * log(lam[i]);
    }
    for (int64_t row = 0; row < n; row++) {
        double *offsets = projections + row * c * width;
        int nearest = 0;
        density[row] =
            row_density(offsets, shifts, eigenvalues, constants, c, d, width, &nearest);
        mass[row] = row_mass(offsets, eigenvalues, largest, log_weights, c, d, width,
            squared_radii[row], nearest);
    }
}
