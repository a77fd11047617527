#include "knn.h"
int FN(knn_filter)(const job_t *job, const filter_t *f) { (void)job; (void)f; return 1; }
