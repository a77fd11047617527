"""How long a comparison of two samples will take, from those of random parts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from kldiv._typing import FloatArray, Rows

# Compares some rows of X with some rows of Y.
Comparison = Callable[[Rows, Rows], object]

# Rows of both samples in the parts that are timed, and of each at least.
PARTS, _LEAST = (500, 1000, 2000), 50
# Searches cost between n log n and n squared.
_LEAST_POWER, _MOST_POWER = 1.0, 2.0
# Work that takes less is not spoken of, and timing it must not take long beside it.
_LONG_SECONDS, _LARGEST_SHARE = 10.0, 0.25


def say_how_long(compare: Comparison, X: FloatArray, Y: FloatArray) -> None:
    """One line on standard error, if the comparison takes more than ten seconds."""
    n, m = len(X), len(Y)
    parts = [rows for rows in PARTS if rows <= _LARGEST_SHARE * (n + m)]
    # what is wrong with the samples is said where all of them are compared
    with suppress(ValueError):
        seconds = carried_on(compare, n, m, parts) if parts else 0.0
        if seconds > _LONG_SECONDS:
            sys.stderr.write(
                f"comparing {n} and {m} rows of {X.shape[1]} columns will take about "
                f"{seconds:.0f} s\n"
            )


def carried_on(compare: Comparison, n: int, m: int, parts: Sequence[int]) -> float:
    """Seconds for all rows, from those for parts of both; the first part warms up."""
    rng = np.random.default_rng(0)
    measured: list[tuple[int, float]] = []
    for rows in parts:
        x, y = (_part(size, rows / (n + m), rng) for size in (n, m))
        measured.append((len(x) + len(y), seconds_of(compare, x, y)))
        if measured[-1][0] >= n + m:
            return measured[-1][1]
    rows, seconds = measured[-1]
    if len(measured) == 1:
        return seconds * (n + m) / rows
    before, its_seconds = measured[-2]
    power = np.log(seconds / its_seconds) / np.log(rows / before)
    power = float(np.clip(power, _LEAST_POWER, _MOST_POWER))
    return float(seconds * ((n + m) / rows) ** power)


def seconds_of(compare: Comparison, x: Rows, y: Rows) -> float:
    """Wall time of one comparison."""
    started = time.perf_counter()
    compare(x, y)
    return time.perf_counter() - started


def _part(size: int, share: float, rng: np.random.Generator) -> Rows:
    """Random rows of a sample, all if the share is one or more."""
    wanted = min(size, max(_LEAST, round(share * size)))
    rows: Rows = np.sort(rng.choice(size, wanted, replace=False))
    return rows
