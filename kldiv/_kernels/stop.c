/* Signals, as the interpreter sees them, for kernels that hold no lock. */
#include <Python.h>

#include "stop_ask.h"

#include <time.h>

#if defined(_MSC_VER)
#define THREAD_LOCAL __declspec(thread)
#else
#define THREAD_LOCAL _Thread_local
#endif

#define PAUSE 0.1 /* seconds between two questions: each waits for the lock */

static THREAD_LOCAL const volatile int *watched_flag;
static THREAD_LOCAL double next_question;

static double seconds(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

const volatile int *stop_watch(const volatile int *flag)
{
    const volatile int *before = watched_flag;
    watched_flag = flag;
    return before;
}

int stop_ask(void)
{
    if (watched_flag && *watched_flag)
        return 1;
    const double now = seconds();
    if (now < next_question && next_question < now + 2 * PAUSE)
        return 0;
    next_question = now + PAUSE;
    /* Does nothing but in the main thread. An exception that a handler raises stays set. */
    PyGILState_STATE state = PyGILState_Ensure();
    const int raised = PyErr_CheckSignals() != 0;
    PyGILState_Release(state);
    return raised;
}
