"""How many rows of one sample leave the plane that holds the other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from kldiv._ranges._moments import moments_of
from kldiv._typing import FloatArray

# Distance from a plane, columns in units of their spread, that is no rounding.
_OFF = 1e-8


def rows_off_plane(flat: Any, other: Any, rank: int) -> int:
    """Rows of `other` that are not on the plane of dimension `rank` that holds `flat`.

    Both samples are arrays or are read in parts, in coordinates whose columns they
    span together.
    """
    of_flat, of_other = (
        reduce(add, (moments_of(part) for part in _parts(one))) for one in (flat, other)
    )
    size = (of_flat + of_other).sizes()
    _, vectors = np.linalg.eigh(of_flat.scaled(size))
    across, held = vectors[:, : len(size) - rank], flat[:1]
    return sum(
        int((np.abs((part - held) / size @ across) > _OFF).any(axis=1).sum())
        for part in _parts(other)
    )


def _parts(sample: Any) -> Iterator[FloatArray]:
    if isinstance(sample, np.ndarray):
        yield sample
    else:
        yield from sample.parts()
