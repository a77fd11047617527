"""How many rows of one sample leave the plane that holds the other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from scipy.linalg import eigh

from kldiv._order import extremes, in_parts
from kldiv._ranges import moments_of, rows_at_a_time
from kldiv._typing import FloatArray, Floats

# Distance from a plane, columns in units of their spread, that is no rounding.
_OFF = 1e-8
# Directions across a plane that are looked at, and how many times farther from it than
# its own rows others are that leave it.
_DIRECTIONS, _FARTHER = 6, 100.0


def rows_off_plane(flat: Any, other: Any, rank: int) -> int:
    """Rows of `other` that are not on the plane of dimension `rank` that holds `flat`.

    Both samples are arrays or are read in parts, in coordinates whose columns they
    span together.
    """
    (low, high), (least, most) = extremes(flat), extremes(other)
    size = np.maximum(high, most) - np.minimum(low, least)
    size = np.where(size > 0, size, 1.0)
    still, missing = high - low <= _OFF * size, len(size) - rank
    # who leaves the plane leaves it in any direction across it but a few
    some = np.random.default_rng(0).normal(size=(missing, _DIRECTIONS))
    if np.count_nonzero(still) == missing:  # no other direction
        across = np.zeros((len(size), _DIRECTIONS))
        across[still] = some
    else:
        moments = reduce(add, (moments_of(part) for part in in_parts(flat)))
        lowest = eigh(moments.scaled(size), subset_by_index=(0, missing - 1))[1]
        across = lowest @ some
    held, across = flat[:1], across / size[:, np.newaxis]
    # a scatter knows directions to half of the digits, so its own rows leave them too
    own = max(apart.max() for apart in _distances(flat, held, across))
    far = max(_OFF, _FARTHER * own)
    return sum(int((apart > far).sum()) for apart in _distances(other, held, across))


def _distances(sample: Any, held: FloatArray, across: Floats) -> Iterator[Floats]:
    """How far rows are from a row on the plane in directions across it, the most."""
    step = rows_at_a_time(len(across))
    for part in in_parts(sample):
        for first in range(0, len(part), step):
            yield np.abs((part[first : first + step] - held) @ across).max(axis=1)
