#include "knn.h"
int FN(knn_gemm)(const job_t *job, int64_t *c) { (void)job; (void)c; return 1; }
