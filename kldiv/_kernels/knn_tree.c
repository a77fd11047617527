/* Blocked k-d trees: lane = query, one block of queries = one leaf of the query tree. */
#include "knn_exact.h"
#include <string.h>

#define APPEND_ROOM 64
#define MAX_CHAIN 16
#define MAX_DEPTH 128

#define REAL double
#define V(op) vd_##op
#define VEC vd
#define W DW
#define TN(name) name##_double
#define BIG 1.7976931348623157e308
#define WIDEN 0.0
#include "knn_tree_impl.h"
#undef REAL
#undef V
#undef VEC
#undef W
#undef TN
#undef BIG
#undef WIDEN

#define REAL float
#define V(op) vf_##op
#define VEC vf
#define W FW
#define TN(name) name##_float
#define BIG 3.402823466e38f
#define WIDEN 1.0
#define TREE_IS_FLOAT
#include "knn_tree_impl.h"

int ISA_NAME(knn_tree)(const job_t *job) {
    return job->sample[0].is_double || job->metric != METRIC_EUCLIDEAN || job->sample[0].d <= 5 ? tree_job_double(job)
                                                                       : tree_job_float(job);
}
