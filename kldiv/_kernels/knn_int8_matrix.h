/* Search by bytes: products on the matrix registers of AMX.
 *
 * Built with KLDIV_PLAIN_MATRIX, the registers are arrays and the instructions loops, so
 * that all but the instructions themselves is tested where no processor has them.
 */
#ifndef KLDIV_KNN_INT8_MATRIX_H
#define KLDIV_KNN_INT8_MATRIX_H

#include "knn_int8_codes.h"

#if ISA_KNOWS_MATRIX

typedef struct {
    uint8_t palette, start, unused[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tile_shapes;

#ifdef KLDIV_PLAIN_MATRIX
#define ON_MATRIX static

static _Thread_local struct {
    int rows, bytes;
    uint8_t cell[16][64];
} matrix[8];

static void load_shapes(const tile_shapes *shapes)
{
    for (int t = 0; t < 8; t++) {
        matrix[t].rows = shapes->rows[t];
        matrix[t].bytes = shapes->bytes[t];
    }
}

static void matrix_release(void)
{
    memset(matrix, 0, sizeof matrix);
}

static void matrix_zero(int t)
{
    memset(matrix[t].cell, 0, sizeof matrix[t].cell);
}

static void matrix_load(int t, const uint8_t *from, size_t stride)
{
    for (int r = 0; r < matrix[t].rows; r++)
        memcpy(matrix[t].cell[r], from + r * stride, (size_t)matrix[t].bytes);
}

static void matrix_store(int t, int32_t *to, size_t stride)
{
    for (int r = 0; r < matrix[t].rows; r++)
        memcpy((uint8_t *)to + r * stride, matrix[t].cell[r], (size_t)matrix[t].bytes);
}

/* Sums of four products of unsigned and signed bytes each. It stays inside the registers,
 * and would take most of the time of a sanitized run. */
__attribute__((no_sanitize("address", "undefined"))) static void matrix_multiply(
    int sums, int left, int right)
{
    for (int i = 0; i < matrix[sums].rows; i++)
        for (int j = 0; j < matrix[sums].bytes; j += 4) {
            int32_t sum;
            memcpy(&sum, matrix[sums].cell[i] + j, 4);
            for (int k = 0; k < matrix[left].bytes; k++)
                sum += matrix[left].cell[i][k]
                    * (int8_t)matrix[right].cell[k / 4][j + k % 4];
            memcpy(matrix[sums].cell[i] + j, &sum, 4);
        }
}
#else
#define matrix_zero(t) _tile_zero(t)
#define matrix_load(t, from, stride) _tile_loadd(t, from, stride)
#define matrix_store(t, to, stride) _tile_stored(t, to, stride)
#define matrix_multiply(sums, left, right) _tile_dpbusd(sums, left, right)
#define matrix_release() _tile_release()
/* Not inlined: the intrinsics of gcc do not say which memory they read. */
#define ON_MATRIX static __attribute__((noinline, target("amx-tile,amx-int8")))

INLINE void load_shapes(const tile_shapes *shapes)
{
    __asm__ volatile("ldtilecfg %0" ::"m"(*shapes));
}
#endif

/* Tiles 0..3: sums; 4, 5: queries; 6, 7: data. */
ON_MATRIX void matrix_begin(int per)
{
    tile_shapes shapes;
    memset(&shapes, 0, sizeof shapes);
    shapes.palette = 1;
    for (int i = 0; i < 8; i++) {
        shapes.rows[i] = 16;
        shapes.bytes[i] = 64;
    }
    for (int i = 4; i < 6; i++)
        shapes.bytes[i] = (uint16_t)(4 * per);
    for (int i = 6; i < 8; i++)
        shapes.rows[i] = (uint8_t)per;
    load_shapes(&shapes);
}

ON_MATRIX void matrix_end(void)
{
    matrix_release();
}

/* Products of NR queries (row major) and a panel into out (NR, NR). */
ON_MATRIX void matrix_tile(
    int groups, int per, const uint8_t *left, const uint8_t *right, int32_t *out)
{
    const size_t width = 4 * (size_t)groups;
    matrix_zero(0);
    matrix_zero(1);
    matrix_zero(2);
    matrix_zero(3);
    for (int g = 0; g < groups;
        g += per, left += 4 * per, right += (size_t)per * NR * 4) {
        matrix_load(4, left, width);
        matrix_load(6, right, NR * 4);
        matrix_multiply(0, 4, 6);
        matrix_load(7, right + 64, NR * 4);
        matrix_multiply(1, 4, 7);
        matrix_load(5, left + 16 * width, width);
        matrix_multiply(2, 5, 6);
        matrix_multiply(3, 5, 7);
    }
    matrix_store(0, out, NR * 4);
    matrix_store(1, out + LANES, NR * 4);
    matrix_store(2, out + LANES * NR, NR * 4);
    matrix_store(3, out + LANES * NR + LANES, NR * 4);
}

#else
static void matrix_begin(int per)
{
    (void)per;
}

static void matrix_end(void)
{
}
#endif

#endif
