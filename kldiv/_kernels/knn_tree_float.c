/* k-d trees in float32, with candidates measured in float64. */
#include "simd.h"

#define REAL float
#define VEC vf
#define V(operation) vf_##operation
#define W FW
#define BIG 3.402823466e38f
#define WIDEN 1.0
#define TREE_IS_FLOAT
#include "knn_tree_search.h"

int ISA_NAME(knn_tree_float)(const knn_job *job)
{
    return tree_job(job);
}
