"""Permutation p-values of samples with discrete columns."""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from kldiv._errors._permutations import edge_statistics, labellings
from kldiv._neighbors import search
from kldiv._typing import FloatArray, Floats, Mask, Rows


def cell_pvalue(
    continuous: FloatArray,
    codes: Floats,
    cell: Rows,
    n: int,
    k: int,
    n_permutations: int,
    rng: np.random.Generator,
    threads: int,
) -> float:
    """p-value of "both samples have one distribution" from cells and a graph.

    Two statistics are computed of each labelling: the likelihood ratio of the counts of
    cells, and the edge count of :func:`permutation_pvalue`, for which codes become
    indicators. The smaller of their p-values is compared with that of the others.

    Parameters
    ----------
    continuous, codes : ndarray of shape (n + m, d) and (n + m, c)
        Rows of X, then of Y: continuous columns, and codes.
    cell : ndarray of int, shape (n + m,)
        The cell of each row.
    n : int
        Rows of X.
    k : int
        Neighbours in the graph.
    n_permutations, rng, threads
        As in :func:`permutation_pvalue`.
    """
    labels = labellings(n, len(cell) - n, n_permutations, rng)
    statistics = [_likelihood_ratios(labels, cell)]
    if continuous.shape[1]:
        # equal rows are neighbours in an order that must not say whose they are
        order = rng.permutation(len(cell))
        rows = _coordinates(continuous, codes)[order]
        near = search(
            rows,
            rows,
            min(k, len(rows) - 1),
            blocks=("xx",),
            threads=threads,
            return_indices=True,
        )
        assert near.xx_indices is not None
        statistics.append(edge_statistics(labels[:, order], near.xx_indices))
    ranks = np.array([_as_extreme(one) for one in statistics]).min(axis=0)
    return float((ranks <= ranks[0]).mean())


def _coordinates(continuous: FloatArray, codes: Floats) -> Floats:
    """Columns of unit variance, and an indicator of each code."""
    rows = continuous.astype(np.float64)
    rows -= rows.mean(axis=0)
    size = rows.std(axis=0)
    rows /= np.where(size > 0, size, 1.0)
    # unlike codes are at the distance at which unlike rows of one column are
    indicators = [column[:, None] == np.unique(column) for column in codes.T]
    return np.column_stack([rows, *indicators])


def _likelihood_ratios(labels: Mask, cell: Rows) -> Floats:
    """Logarithm of the likelihood ratio of the cells of each labelling."""
    n_cells = np.bincount(cell)
    n_x = np.array([np.bincount(cell[row], minlength=n_cells.size) for row in labels])
    return np.asarray((xlogy(n_x, n_x) + xlogy(n_cells - n_x, n_cells - n_x)).sum(1))


def _as_extreme(statistics: Floats) -> Floats:
    """Share of the labellings whose statistic is at least as large, for each."""
    slack = 1e-9 * (1 + np.abs(statistics))
    ordered = np.sort(statistics)
    below = np.searchsorted(ordered, statistics - slack)
    return 1 - below / statistics.size
