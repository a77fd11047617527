"""Subsets of rows that share part of them, in which effects of rows are compared."""

from __future__ import annotations

import numpy as np

from kldiv._typing import Mask

# Shares of rows that two subsets have in common: Gauss nodes with equal weights.
_SHARES = (0.5 - 0.5 / np.sqrt(3), 0.5 + 0.5 / np.sqrt(3))
N_SUBSETS = 1 + 2 * len(_SHARES)
# Share of all rows that the smallest subset holds.
SMALLEST_SUBSET = 1 / (2 - _SHARES[0])


def subsets(n_rows: int, which: int) -> list[Mask]:
    """All rows, then two subsets for each share; of X (`which` = 0) or of Y (1).

    Always the same for a number of rows, so that effects of the same rows on two
    estimates can be subtracted.
    """
    order = np.random.default_rng([1, which]).permutation(n_rows)
    masks = [np.ones(n_rows, dtype=bool)]
    for share in _SHARES:
        size = int(n_rows / (2 - share))
        masks += [order < size, order >= n_rows - size]
    return masks
