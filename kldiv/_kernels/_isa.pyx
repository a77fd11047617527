"""The instruction-set level that all kernels use; see isa.h.

It is the last of LEVELS that processor and build have, unless the environment variable
KLDIV_ISA or `set_level` names a lower one.
"""

import os

cdef extern from "isa.h" nogil:
    enum:
        ISA_AMX
    bint isa_has(int level)
    int isa_claim_matrix()
    int isa_has_openmp()

LEVELS = ("baseline", "dotprod", "i8mm", "avx2", "avxvnni", "avx512", "vnni", "amx")

cdef int _level = max(i for i in range(len(LEVELS)) if isa_has(i))


cdef int level() noexcept nogil:
    return _level


cdef bint matrix_is_lent() noexcept nogil:
    """Whether byte products may use the matrix registers of AMX."""
    return _level == ISA_AMX and isa_claim_matrix()


def available_levels():
    """Names of the instruction sets that this processor and this build have."""
    return [name for i, name in enumerate(LEVELS) if isa_has(i)]


def set_level(name):
    """Use the named instruction set from now on; return the name of the one before."""
    global _level
    if name not in available_levels():
        raise ValueError(
            f"instruction set {name!r} is not available; this machine and build have "
            f"{available_levels()}"
        )
    before = LEVELS[_level]
    _level = LEVELS.index(name)
    return before


def current_level():
    """Name of the instruction set in use."""
    return LEVELS[_level]


def has_openmp():
    """Whether the kernels were compiled with OpenMP."""
    return bool(isa_has_openmp())


if os.environ.get("KLDIV_ISA"):
    set_level(os.environ["KLDIV_ISA"])
