/* Functions per level, and the range of numbers. */
#include "knn.h"

#include <string.h>

ISA_TABLES(knn_table, KNN_FUNCTIONS, KNN_BYTE_FUNCTIONS)

/* Smallest positive and largest |value|. Bit patterns of positive numbers have the order
 * of the numbers; zero minus one wraps to the largest pattern. */
void knn_range(const void *values, int64_t n, int is_double, double *low, double *high)
{
    if (is_double) {
        uint64_t least = ~(uint64_t)0, most = 0;
        for (int64_t i = 0; i < n; i++) {
            uint64_t bits;
            memcpy(&bits, (const double *)values + i, sizeof bits);
            bits &= ~(uint64_t)0 >> 1;
            most = bits > most ? bits : most;
            least = bits - 1 < least ? bits - 1 : least;
        }
        least++;
        memcpy(low, &least, sizeof least);
        memcpy(high, &most, sizeof most);
    }
    else {
        uint32_t least = ~(uint32_t)0, most = 0;
        float a, b;
        for (int64_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, (const float *)values + i, sizeof bits);
            bits &= ~(uint32_t)0 >> 1;
            most = bits > most ? bits : most;
            least = bits - 1 < least ? bits - 1 : least;
        }
        least++;
        memcpy(&a, &least, sizeof a);
        memcpy(&b, &most, sizeof b);
        *low = a, *high = b;
    }
}
