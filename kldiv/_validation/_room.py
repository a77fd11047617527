"""Room for threads and matrix products, asked for before others need it.

OpenMP ends the process where it cannot start a thread, OpenBLAS where it cannot map its
buffers. Under a limit of memory both are tried first, so that a MemoryError says it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

from joblib import cpu_count
from threadpoolctl import ThreadpoolController

_BUFFER = 32 * 2**20  # of OpenBLAS, for each thread that multiplies at a time
_REST = 4 * 2**20  # for what the libraries allocate besides
_STACK = 8 * 2**20
_ARENA = 64 * 2**20  # that malloc reserves for a thread
_HANDLERS = 3  # threads that a pool of joblib has besides its workers
# What stays mapped: buffers by the file of their OpenBLAS, and arenas of malloc.
_held: dict[str, int] = {}
_started = threading.local()
_counting = threading.Lock()
_busy = 0  # threads of all calls that use several


def is_limited() -> bool:
    """Whether the address space of this process has a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def check_threads(count: int) -> None:
    """Raise MemoryError unless `count` - 1 threads can be started beside this one."""
    limited = is_limited()
    if count <= getattr(_started, "count", 1) and not limited:
        return
    if limited:  # a thread of Python's that finds no room is waited for forever
        _check_room((count - 1) * _stack() + _REST)
    done = threading.Event()
    threads = [threading.Thread(target=done.wait) for _ in range(count - 1)]
    try:
        for thread in threads:
            thread.start()
    except RuntimeError as error:
        raise MemoryError(
            f"{count} threads cannot be started: memory or the number of threads is "
            "limited. Lower n_jobs, or raise the limit."
        ) from error
    finally:
        done.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    _started.count = count


def check_workers(count: int) -> None:
    """Raise MemoryError unless `count` threads of joblib can work within the limit."""
    if not is_limited():
        return
    if count > 1:
        threads = count + _HANDLERS
        known = _held.get("arenas", 0)
        _check_room(threads * _stack() + max(0, threads - known) * _ARENA + _REST)
        _held["arenas"] = max(threads, known)
    hold_buffers(count)


def _stack() -> int:
    """Bytes of address space that the stack of a thread takes."""
    import resource

    size = resource.getrlimit(resource.RLIMIT_STACK)[0]
    return _STACK if size == resource.RLIM_INFINITY else max(size, _STACK)


@contextmanager
def shared(threads: int) -> Iterator[int]:
    """How many of `threads` to use inside: fewer while other calls use theirs.

    A call alone has what it asked for. Results do not depend on the number.
    """
    global _busy
    with _counting:
        if _busy and threads > 1:
            threads = max(1, min(threads, cpu_count() - _busy))
        taken = threads if threads > 1 else 0
        _busy += taken
    try:
        yield threads
    finally:
        with _counting:
            _busy -= taken


def hold_buffers(count: int) -> None:
    """Have OpenBLAS map the buffers of `count` threads; it keeps them.

    Raises MemoryError where there is no room for them. Does nothing without a limit.
    """
    if not is_limited():
        return
    for library in _controller().lib_controllers:
        name = library.filepath
        alloc = getattr(library.dynlib, "blas_memory_alloc", None)
        free = getattr(library.dynlib, "blas_memory_free", None)
        missing = count - _held.get(name, 0)
        if library.internal_api != "openblas" or not (alloc and free) or missing <= 0:
            continue
        _check_room(missing * _BUFFER + _REST)
        alloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        for buffer in [alloc(0) for _ in range(count)]:
            free(buffer)
        _held[name] = count


def within_limits() -> AbstractContextManager[Any]:
    """Matrix products on one thread inside, if memory is limited.

    More would allocate at each product, and end the process where they cannot.
    """
    return one_blas_thread() if is_limited() else nullcontext()


def one_blas_thread() -> AbstractContextManager[Any]:
    """Matrix products on one thread inside.

    How many share one decides its last digits, and their own threads would keep
    spinning after them, in the way of ours.
    """
    hold_buffers(1)
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> Any:
    return ThreadpoolController()


def _check_room(size: int) -> None:
    """Raise MemoryError unless `size` bytes can be mapped now."""
    try:
        mmap.mmap(-1, size).close()
    except (OSError, ValueError) as error:
        raise MemoryError(
            f"no room for {size // 2**20} MiB that threads and matrix products need. "
            "Raise the limit of memory, or use fewer rows, columns or threads."
        ) from error


def _forget() -> None:
    """A forked child has none of the threads that were counted, but their lock."""
    global _busy, _counting
    _busy, _counting = 0, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
