"""The level, for the other extensions."""

cdef int level() noexcept nogil
cdef bint matrix_is_lent() noexcept nogil
