/* Blocked k-d trees: in float64, or in float32 with candidates measured in float64. */
#include "knn.h"

int ISA_NAME(knn_tree)(const knn_job *job)
{
    const knn_sample *s = &job->sample[0];
    if (s->is_double || job->metric != METRIC_EUCLIDEAN || s->d <= 5)
        return ISA_NAME(knn_tree_double)(job);
    return ISA_NAME(knn_tree_float)(job);
}
