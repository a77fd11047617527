"""Interrupts: kernels ask between blocks of work whether they are still wanted.

The main thread learns of signals from the interpreter. Other threads watch a flag that
whoever waits for them sets.
"""

from cpython.exc cimport PyErr_Occurred

cdef extern from "stop_ask.h" nogil:
    int stop_ask()
    const int *stop_watch(const int *flag)


cdef int ask() noexcept nogil:
    return stop_ask()


cdef int raise_if(int told) except -1:
    """Leave a kernel that was told to stop: with what a signal handler raised."""
    if not told:
        return 0
    if PyErr_Occurred() is NULL:
        raise KeyboardInterrupt("who waits for this thread was stopped")
    return -1


cdef class Flag:
    """Tells threads to stop."""

    cdef int value

    def __cinit__(self):
        self.value = 0

    def set(self):
        """Stop all threads that watch."""
        self.value = 1

    def run(self, work, *arguments):
        """``work(*arguments)`` in a thread that watches this flag."""
        cdef const int *before = stop_watch(&self.value)
        try:
            return work(*arguments)
        finally:
            stop_watch(before)

    def __reduce__(self):
        return Flag, ()  # another process hears its own signals
