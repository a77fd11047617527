"""Interrupts, for the other extensions."""

cdef int ask() noexcept nogil
cdef int raise_if(int told) except -1
