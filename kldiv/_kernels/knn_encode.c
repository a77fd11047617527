/* Short codes of rows for the filter: projections, and whole numbers. Every row gets a radius: a
 * bound on how far its code is from where exact arithmetic would put it. */
#include "knn_exact.h"
#include <string.h>

#define ROWS 4   /* rows projected together */
#define SPAN 128 /* products summed before they are added to the total */

/* out[r] (width q, stride `stride`) = line[r] times basis, for ROWS rows and the 2 FW
 * columns from c on; basis is (d, padded q), padded to a multiple of 2 FW. */
INLINE void project_columns(const float *line, int d, const float *basis, int q_padded,
    int c, vf total[ROWS][2])
{
    EACH(r, ROWS)
        total[r][0] = total[r][1] = vf_set(0);
    for (int j0 = 0; j0 < d; j0 += SPAN) {
        int stop = j0 + SPAN < d ? j0 + SPAN : d;
        vf sum[ROWS][2];
        EACH(r, ROWS)
            sum[r][0] = sum[r][1] = vf_set(0);
        const float *y = basis + (size_t)j0 * q_padded + c, *at = line + j0;
        for (const float *end = line + stop; at < end; at++, y += q_padded) {
            vf y0 = vf_load(y), y1 = vf_load(y + FW);
            EACH(r, ROWS) {
                vf x = vf_set(at[(size_t)r * (size_t)d]);
                sum[r][0] = vf_fma(x, y0, sum[r][0]);
                sum[r][1] = vf_fma(x, y1, sum[r][1]);
            }
        }
        EACH(r, ROWS)
            for (int v = 0; v < 2; v++)
                total[r][v] = vf_add(total[r][v], sum[r][v]);
    }
}

/* Radius of a projected row, and its residual norm (precision.rst, "Projection"). */
static float residual(
    double square, double projected, int d, int q, double skew, float *norm)
{
    double u = ROUNDING, terms = (d < SPAN ? d : SPAN) + (double)d / SPAN + 2;
    double length = sqrt(square), gamma = terms * u / (1 - terms * u);
    double point = (gamma * sqrt((double)q) * (1 + skew) + skew + 1.01 * u) * length;
    double squares = (2.02 * u + 1e-14) * square + 2 * length * point + point * point;
    double rest = square - projected;
    rest = rest > 0 ? sqrt(rest) : 0;
    double direct = rest > 0 ? squares / rest : INFINITY, root = sqrt(squares);
    *norm = (float)rest;
    double off = (direct < root ? direct : root) + u * rest;
    return (float)((point + off) * (1 + 1e-6) + 1e-37);
}

/* out (n, q + 1): projections on an almost orthonormal basis, and the norm of the rest. */
int ISA_NAME(knn_project)(const knn_sample *s, const double *centre, double scale,
    const float *basis, int q, int q_padded, double skew, int threads, stop_flag *stop,
    float *out, float *radius)
{
    int d = s->d, status = KNN_OK, width = q + 1;
    int64_t groups = (s->n + ROWS - 1) / ROWS;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status)
    {
        float *line = allocate(ROWS * (size_t)(d + q_padded), sizeof(float));
        float *point = line + ROWS * d;
        if (!line)
            status = KNN_NO_MEMORY;
#pragma omp for schedule(static)
        for (int64_t g = 0; g < groups; g++) {
            int rows = (int)(s->n - g * ROWS < ROWS ? s->n - g * ROWS : ROWS);
            if (!line || stopped(stop))
                continue;
            for (int r = 0; r < ROWS; r++)
                centred_row(
                    s, g * ROWS + (r < rows ? r : 0), centre, scale, line + r * d);
            for (int c = 0; c < q_padded; c += 2 * FW) {
                vf total[ROWS][2];
                project_columns(line, d, basis, q_padded, c, total);
                for (int r = 0; r < ROWS; r++)
                    for (int v = 0; v < 2; v++)
                        vf_store(point + r * q_padded + c + v * FW, total[r][v]);
            }
            for (int r = 0; r < rows; r++) {
                float *to = out + (g * ROWS + r) * width;
                memcpy(to, point + r * q_padded, (size_t)q * sizeof(float));
                radius[g * ROWS + r] = residual(
                    square_of(line + r * d, d), square_of(to, q), d, q, skew, to + q);
            }
        }
        release(line);
    }
    return status;
}

/* Codes of one row: nearest to (x - low) / step, from 0 to levels. Adds what was lost to
 * the radius. */
INLINE void whole_row(const double *x, int d, const double *low, double step,
    int levels, int16_t *out, float *radius, double before)
{
    double lost = 0, scale = 1 / step;
    for (int j = 0; j < d; j++) {
        double shifted = x[j] - low[j], code = shifted * scale + 0.5;
        code = code < 0 ? 0 : code > levels ? levels : code;
        code = (double)(int)code;
        double off = shifted - code * step;
        out[j] = (int16_t)code;
        lost += off * off;
    }
    double size = 1e-15 * ((levels + 1) * step) * sqrt((double)d);
    *radius = (float)((before + sqrt(lost) * (1 + 1e-9) + size) * scale * (1 + 1e-6));
}

/* codes (n, d) of rows; radius holds that of the rows, and receives that of the codes in
 * units of `step`. */
int ISA_NAME(knn_whole_codes)(const knn_sample *s, const double *low, double step,
    int levels, int threads, stop_flag *stop, int16_t *codes, float *radius)
{
    int d = s->d, status = KNN_OK;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : status)
    {
        double *line = allocate((size_t)d, sizeof(double));
        if (!line)
            status = KNN_NO_MEMORY;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < s->n; i++) {
            const double *x = (const double *)s->rows + i * d;
            if (!line || (i % 64 == 0 && stopped(stop)))
                continue;
            if (!s->is_double) {
                const float *f = (const float *)s->rows + i * d;
                for (int j = 0; j < d; j++)
                    line[j] = f[j];
                x = line;
            }
            whole_row(x, d, low, step, levels, codes + i * d, radius + i, radius[i]);
        }
        release(line);
    }
    return status;
}
