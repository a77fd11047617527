"""Python threads around kernels, which work without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from joblib import Parallel, delayed

import kldiv._kernels._stop as _stop

T = TypeVar("T")


def in_threads(
    work: Callable[..., T], jobs: Iterable[Any], threads: int, verbose: int = 0
) -> list[T]:
    """``work(*job)`` of each job, in order.

    Whatever ends the wait for them, such as an interrupt, stops their kernels too.
    """
    flag = _stop.Flag()
    run = work if threads == 1 else flag.run
    head = () if threads == 1 else (work,)
    tasks = (delayed(run)(*head, *job) for job in jobs)
    try:
        return list(Parallel(n_jobs=threads, prefer="threads", verbose=verbose)(tasks))
    except BaseException:
        flag.set()
        raise
