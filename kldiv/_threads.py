"""The one parallel level: threads around kernels, or the workers a user chose."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from threadpoolctl import threadpool_limits

import kldiv._kernels._stop as _stop
from kldiv._validation import n_threads

T = TypeVar("T")


def in_threads(
    work: Callable[..., T], jobs: Iterable[Any], threads: int, verbose: int = 0
) -> list[T]:
    """``work(*job)`` of each job, in order, in threads of this process.

    Whatever ends the wait for them, such as an interrupt, stops their kernels too.
    """
    flag = _stop.Flag()
    run = work if threads == 1 else flag.run
    head = () if threads == 1 else (work,)
    tasks = (delayed(run)(*head, *job) for job in jobs)
    try:
        return list(
            Parallel(n_jobs=threads, require="sharedmem", verbose=verbose)(tasks)
        )
    except BaseException:
        flag.set()
        raise


def n_workers(n_jobs: int | None) -> int:
    """Jobs at a time that ``n_jobs`` stands for under the backend in force.

    None is one, or the number in ``joblib.parallel_config``.
    """
    number = int(effective_n_jobs(n_jobs))
    return n_threads(number) if _shares_memory() else number


def _shares_memory() -> bool:
    backend, _ = get_active_backend(prefer="threads")
    return bool(getattr(backend, "supports_sharedmem", False))


def in_workers(
    work: Callable[..., T], jobs: Iterable[Any], n_jobs: int, verbose: int = 0
) -> list[T]:
    """``work(*job)`` of each job, in order, by the backend of joblib in force.

    Threads of this process unless ``joblib.parallel_config`` says otherwise. Products
    of matrices use one thread everywhere, because how many share them decides their
    last digits. What workers elsewhere warn of is said again here.
    """
    if n_jobs == 1 or _shares_memory():
        with threadpool_limits(1, user_api="blas"):
            return in_threads(work, jobs, n_jobs, verbose)
    tasks = (delayed(_elsewhere)(work, *job) for job in jobs)
    outcomes = list(Parallel(n_jobs=n_jobs, verbose=verbose)(tasks))
    for _, said in outcomes:
        for message in said:
            warnings.warn(message, stacklevel=2)
    return [outcome for outcome, _ in outcomes]


def _elsewhere(work: Callable[..., T], *job: Any) -> tuple[T, list[Warning]]:
    """One job in another process, with the warnings it gave."""
    with (
        threadpool_limits(1, user_api="blas"),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        outcome = work(*job)
    return outcome, [one.message for one in caught if isinstance(one.message, Warning)]
