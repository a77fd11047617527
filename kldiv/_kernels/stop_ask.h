/* Questions that kernels ask the interpreter; see stop.c. */
#ifndef KLDIV_STOP_ASK_H
#define KLDIV_STOP_ASK_H

/* Whether the calling thread shall leave its kernel: because a signal handler raised, or
 * the flag that it watches is set. */
int stop_ask(void);

/* Watch another flag, or none; returns the one before. */
const volatile int *stop_watch(const volatile int *flag);

#endif
