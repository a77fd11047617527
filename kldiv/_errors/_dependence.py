"""What effects of rows add up to where rows depend on those before them.

Effects that follow each other are added up in blocks before they are squared (the block
jackknife, Kunsch 1989).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kldiv._errors._standard_errors import Effects, SampleEffects, Spread
from kldiv._typing import Floats, Rows


def block_numbers(places: Rows, window: int) -> Rows:
    """The block of each row: rows that are close in time share one."""
    numbers: Rows = np.unique(places // (2 * window + 1), return_inverse=True)[1]
    return numbers


def of_dependent_rows(
    effects: Effects, places: tuple[Rows, Rows], window: int
) -> Effects:
    """Effects as large as those of independent rows that vary as these do in blocks."""
    x, y = (
        _enlarged(one, block_numbers(of, window))
        for one, of in zip((effects.x, effects.y), places, strict=True)
    )
    return replace(effects, x=x, y=y)


def _enlarged(sample: SampleEffects, block: Rows) -> SampleEffects:
    alone: Floats = sample.rows[0]
    squares = float(alone @ alone)
    together = float((np.bincount(block, alone) ** 2).sum())
    times = max(1.0, together / squares) if squares > 0 else 1.0
    return replace(sample, rows=sample.rows * np.sqrt(times))


def spread_of_blocks(
    effects: Effects, places: tuple[Rows, Rows], window: int
) -> Spread | None:
    """Standard error with fewer degrees of freedom than blocks; None for one."""
    fewest = min(int(block_numbers(of, window).max()) for of in places)
    if fewest < 1:
        return None
    spread = effects.spread()
    return replace(spread, degrees=min(spread.degrees, float(fewest)))
