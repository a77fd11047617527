/* k-d trees in float64. */
#include "simd.h"

#define REAL double
#define VEC vd
#define V(operation) vd_##operation
#define W DW
#define BIG 1.7976931348623157e308
#define WIDEN 0.0
#include "knn_tree_search.h"

int ISA_NAME(knn_tree_double)(const knn_job *job)
{
    return tree_job(job);
}
