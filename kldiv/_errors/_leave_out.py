"""Estimates without groups of rows: what the effects of single rows do not say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kldiv._errors._neighbor_lists import NeighborLists
from kldiv._ratio._corrections import CORRECTIONS, LeaveOut
from kldiv._ratio._log_ratio import LogRatio
from kldiv._typing import Floats, Mask, Rows, Side


def leave_out_groups(n_rows: int, n_groups: int, which: int) -> Rows:
    """Random group of each row of X (`which` = 0) or Y (1), always the same.

    With twice as many groups, groups g and g + n_groups are parts of group g.
    """
    order = np.random.default_rng([0, which]).permutation(n_rows)
    return order % n_groups


def without_groups(
    ratios: Sequence[LogRatio],
    lists: Sequence[NeighborLists | None],
    functional: Callable[..., float],
    n_groups: int,
) -> list[Floats]:
    """Estimates without each group of X, and without each group of Y."""
    first = ratios[0]
    groups = [
        leave_out_groups(len(rows), n_groups, i)
        for i, rows in enumerate((first.X, first.Y))
    ]
    again = [_leave_out(*each) for each in zip(ratios, lists, strict=True)]
    # in the second ratio the samples are exchanged
    sides: tuple[Side, Side] = ("x", "y")
    return [
        np.array(
            [
                functional(
                    *(
                        without(sides[which ^ i], groups[which] != g)
                        for i, without in enumerate(again)
                    )
                )
                for g in range(n_groups)
            ]
        )
        for which in (0, 1)
    ]


def _leave_out(ratio: LogRatio, lists: NeighborLists | None) -> LeaveOut:
    def radii(side: Side, stays: Mask) -> Floats:
        assert lists is not None
        return lists.side(side).radii(stays)

    return CORRECTIONS[ratio.correction].leave_out(ratio, radii)
