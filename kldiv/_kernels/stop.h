/* Whether a computation is still wanted. Its first thread asks the interpreter now and
 * then; the others read what it was told. */
#ifndef KLDIV_STOP_H
#define KLDIV_STOP_H

#include "base.h"

#ifdef _OPENMP
#include <omp.h>
#endif

typedef struct {
    int (*ask)(void); /* to be called by the thread that entered the kernel */
    volatile int told;
} stop_flag;

/* To be asked before every block of work, which should last some milliseconds. */
INLINE int stopped(stop_flag *stop)
{
    if (stop->told)
        return 1;
#ifdef _OPENMP
    if (omp_get_thread_num() != 0)
        return 0;
#endif
    return stop->told = stop->ask();
}

#endif
