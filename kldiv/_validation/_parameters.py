"""Parameters: the value, or an error that says what was expected."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from joblib.parallel import get_active_backend

from kldiv._typing import UserMetric
from kldiv._validation._room import check_threads

_GENERATORS = (
    np.random.Generator,
    np.random.BitGenerator,
    np.random.SeedSequence,
    np.random.RandomState,
)
LEAST_MEMORY = 1 << 20
_PROCESS = os.getpid()  # in which the package was imported


def check_integer(value: Any, name: str, least: int = 1) -> int:
    """The integer; TypeError or ValueError unless it is one of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name} must be an integer of at least {least}; got {value!r}."
        )
    if value < least:
        raise ValueError(f"{name} must be at least {least}; got {value}.")
    return int(value)


def check_memory_limit(memory_limit: Any, sharing: int = 1) -> int | None:
    """The bytes that each of those `sharing` them may hold; None without a limit."""
    if memory_limit is None:
        return None
    limit = check_integer(memory_limit, "memory_limit", LEAST_MEMORY)
    if limit < sharing * LEAST_MEMORY:
        raise ValueError(
            f"memory_limit={limit} is shared by {sharing} jobs, and each needs at "
            f"least {LEAST_MEMORY}. Raise it, or lower n_jobs."
        )
    return limit // sharing


def check_n_jobs(n_jobs: Any) -> int | None:
    """Raise unless `n_jobs` is None or a non-zero integer."""
    if n_jobs is None:
        return None
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs == 0:
        raise ValueError(
            f"n_jobs must be None, a positive integer or -1; got {n_jobs!r}."
        )
    return int(n_jobs)


def check_seed(random_state: Any) -> None:
    """Raise unless `random_state` is what :func:`generator_of` takes."""
    if random_state is None or isinstance(random_state, _GENERATORS):
        return
    seeds = list(random_state) if np.ndim(random_state) == 1 else [random_state]
    whole = [isinstance(s, Integral) and not isinstance(s, bool) for s in seeds]
    if not all(whole) or not all(seed >= 0 for seed in seeds):
        kind = TypeError if not all(whole) else ValueError
        raise kind(
            "random_state must be None, an integer of at least 0, or a NumPy "
            f"generator; got {random_state!r}."
        )


def check_verbose(verbose: Any) -> None:
    """Raise TypeError unless `verbose` is an integer or a truth value."""
    if not isinstance(verbose, Integral | np.bool_):
        raise TypeError(f"verbose must be 0 for silence, or 1; got {verbose!r}.")


def generator_of(random_state: Any) -> np.random.Generator:
    """The generator that ``random_state`` stands for; a new one for None."""
    check_seed(random_state)
    if isinstance(random_state, np.random.RandomState):  # taken by NumPy 2.2 on
        random_state = random_state._bit_generator
    return np.random.default_rng(random_state)


def check_sizes(n_neighbors: int, n: int, m: int) -> None:
    """Raise ValueError unless both samples have enough rows for `n_neighbors`."""
    if n < n_neighbors + 1 or m < n_neighbors:
        raise ValueError(
            f"n_neighbors={n_neighbors} needs at least {n_neighbors + 1} rows in X "
            f"and {n_neighbors} in Y (the reference); X has n_samples={n}, Y has "
            f"n_samples={m}. Lower n_neighbors or add rows."
        )


def check_choice(value: Any, choices: Sequence[Any], name: str) -> Any:
    """Raise ValueError unless `value` is one of `choices`, and list them."""
    # A list, so that unhashable values are answered too.
    if not any(value is choice or value == choice for choice in choices):
        accepted = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {accepted}; got {value!r}.")
    return value


def metric_name(metric: str | UserMetric) -> str:
    """What messages and results call a metric."""
    return metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")


def check_level(level: Any) -> None:
    """Raise unless `level` is None or strictly between 0 and 1."""
    real = isinstance(level, Real)
    if level is not None and not (real and 0 < float(level) < 1):
        kind = ValueError if real else TypeError
        raise kind(
            "confidence_level must be between 0 and 1, for instance 0.95, or None for "
            f"no interval; got {level!r}."
        )


def check_order(order: Any) -> None:
    """Raise unless `order` is a positive number."""
    if isinstance(order, bool) or not isinstance(order, Real):
        raise TypeError(f"order must be a positive number, got {order!r}.")
    if not 0 < float(order) < np.inf:
        raise ValueError(f"order must be a positive number, got {order!r}.")


def check_base(base: Any) -> None:
    """Raise unless `base` is None or a number above 1."""
    if base is None:
        return
    if isinstance(base, bool) or not isinstance(base, Real):
        raise TypeError(f"base must be None (nats) or a number above 1; got {base!r}.")
    if not 1 < float(base) < np.inf:
        raise ValueError(f"base must be None (nats) or a number above 1; got {base!r}.")


def _within_threads() -> bool:
    if threading.current_thread() is threading.main_thread():
        return False  # also of a worker process, whose threads are its own
    backend, _ = get_active_backend()
    return bool(backend.nesting_level)


def n_threads(n_jobs: int | None) -> int:
    """Threads that ``n_jobs`` stands for: None is one, -1 all that joblib counts.

    One inside of joblib's threads, which are the parallel level, and after a fork:
    OpenMP would wait for threads that only the parent has. Raises MemoryError where
    they cannot be started.
    """
    threads = 1 if n_jobs is None or _within_threads() else effective_n_jobs(n_jobs)
    threads = int(threads)
    if threads == 1 or os.getpid() == _PROCESS:
        check_threads(threads)
        return threads
    warnings.warn(
        f"n_jobs={n_jobs}: this process was forked, and OpenMP cannot start threads in "
        "it; one thread is used. Start workers by 'spawn' or 'forkserver', or with "
        "joblib.",
        RuntimeWarning,
        stacklevel=2,
    )
    return 1
