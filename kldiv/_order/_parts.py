"""Samples in parts: some columns, or some rows, at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kldiv._typing import FloatArray

# A few columns at a time, so that ranks need no second copy of wide samples, and a few
# rows at a time, in the cache.
NUMBERS_AT_A_TIME = 1 << 16


def in_parts(sample: Any) -> Iterator[FloatArray]:
    """All rows: at once, or some at a time where they are read in parts."""
    if isinstance(sample, np.ndarray):
        yield sample
    else:
        yield from sample.parts()


def in_columns(
    sample: Any, numbers: int | None = None
) -> Iterator[tuple[slice, FloatArray]]:
    """Some columns at a time of about so many numbers, and which they are.

    Of rows that are read in parts more columns are read together.
    """
    n, d = sample.shape
    most = getattr(sample, "columns_at_a_time", d)
    step = max(1, (numbers or NUMBERS_AT_A_TIME) // n)
    for start in range(0, d, most):
        some = sample[:, start : start + most]
        for first in range(0, some.shape[1], step):
            part = some[:, first : first + step]
            yield slice(start + first, start + first + part.shape[1]), part


def extremes(sample: Any) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest value of each column."""
    ends = [(part.min(axis=0), part.max(axis=0)) for part in in_parts(sample)]
    low, high = (np.array(one) for one in zip(*ends, strict=True))
    return low.min(axis=0), high.max(axis=0)
