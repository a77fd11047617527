"""The one parallel level: threads around kernels, or the workers a user chose."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

import kldiv._kernels._stop as _stop
from kldiv._validation import check_workers, n_threads, one_blas_thread, shared

T = TypeVar("T")


# Work that takes less is not spoken of; seconds between two lines of a log, and between
# two states of a line in a terminal.
_LONG_SECONDS, _LOG_SECONDS, _REFRESH_SECONDS = 10.0, 60.0, 0.5


class Progress:
    """How much of long work is done, on standard error.

    In a terminal one line refreshes, a log gets a line a minute; both begin as soon as
    it is known that the work takes more than ten seconds.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._begun, self._written = monotonic(), -np.inf
        self._lock = threading.Lock()

    def step(self) -> None:
        """One more of the parts is done."""
        with self._lock:
            self._done += 1
            passed = monotonic() - self._begun
            left = passed * (self._total - self._done) / self._done
            terminal = sys.stderr.isatty()
            pause = _REFRESH_SECONDS if terminal else _LOG_SECONDS
            if passed + left < _LONG_SECONDS or passed - self._written < pause:
                return
            self._written = passed
            line = (
                f"{self._what}: {self._done} of {self._total}, {passed:.0f} s passed, "
                f"{left:.0f} s left"
            )
            sys.stderr.write(f"\r\x1b[K{line}" if terminal else f"{line}\n")
            sys.stderr.flush()

    def end(self) -> None:
        """Leave the line of a terminal to what comes next."""
        if self._written >= 0 and sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


def in_threads(
    work: Callable[..., T], jobs: Iterable[Any], threads: int, told: str = ""
) -> list[T]:
    """``work(*job)`` of each job, in order, in threads of this process.

    Whatever ends the wait for them, such as an interrupt, stops their kernels too.
    Progress is `told` by this name, if there is one.
    """
    flag = _stop.Flag()
    listed = list(jobs)
    progress = Progress(told, len(listed)) if told else None
    try:
        with shared(threads) as free:
            check_workers(free)

            def run(*job: Any) -> T:
                found = work(*job) if free == 1 else flag.run(work, *job)
                if progress is not None:
                    progress.step()
                return found

            tasks = (delayed(run)(*job) for job in listed)
            return list(Parallel(n_jobs=free, require="sharedmem")(tasks))
    except BaseException:
        flag.set()
        raise
    finally:
        if progress is not None:
            progress.end()


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
    work: Callable[..., T],
    jobs: Iterable[Any],
    n_jobs: int,
    verbose: int = 0,
    what: str = "jobs",
) -> list[T]:
    """``work(*job)`` of each job, in order, by the backend of joblib in force.

    Threads of this process unless ``joblib.parallel_config`` says otherwise. Products
    of matrices use one thread everywhere, because how many share them decides their
    last digits. What workers elsewhere warn of is said again here.
    """
    if n_jobs == 1 or _shares_memory():
        with one_blas_thread():
            return in_threads(work, jobs, n_jobs, what if verbose else "")
    tasks = (delayed(_elsewhere)(work, *job) for job in jobs)
    outcomes = list(Parallel(n_jobs=n_jobs, verbose=verbose)(tasks))
    for _, said in outcomes:
        for message in said:
            warnings.warn(message, stacklevel=2)
    return [outcome for outcome, _ in outcomes]


def _elsewhere(work: Callable[..., T], *job: Any) -> tuple[T, list[Warning]]:
    """One job in another process, with the warnings it gave."""
    with (
        one_blas_thread(),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        outcome = work(*job)
    return outcome, [one.message for one in caught if isinstance(one.message, Warning)]
