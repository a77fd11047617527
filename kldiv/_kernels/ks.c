/* Functions per level, and the workspace. */
#include "ks.h"

#define MOST_BUCKETS 65536

ISA_TABLES(ks_table, KS_FUNCTIONS, ISA_NONE)

int64_t ks_bucket_count(int64_t size)
{
    int64_t buckets = 32;
    while (buckets < size / 5 && buckets < MOST_BUCKETS)
        buckets *= 2;
    return buckets;
}

void ks_space_free(ks_space *space)
{
    release(space->value);
    release(space->in_x);
    release(space->bucket);
    release(space->start);
    release(space->count);
    release(space->level);
}

int ks_space_make(ks_space *space, int64_t size)
{
    size_t n = (size_t)size, buckets = (size_t)ks_bucket_count(size);
    space->value = allocate(n, sizeof(double));
    space->in_x = allocate(n, 1);
    space->bucket = allocate(n, sizeof(int32_t));
    space->start = allocate(buckets, sizeof(int32_t));
    space->count = allocate(2 * buckets, sizeof(int64_t));
    space->level = allocate(buckets, sizeof(double));
    if (space->value && space->in_x && space->bucket && space->start && space->count
        && space->level)
        return 0;
    ks_space_free(space);
    return -1;
}
