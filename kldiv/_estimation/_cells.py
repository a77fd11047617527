"""Cells of rows that share what is discrete of them, and how often each sample does.

The log ratio of a cell with n_c of n rows of X and m_c of m rows of Y is estimated by

    psi(n_c) - psi(n) - psi(m_c + 1) + psi(m + 1),

whose mean over the rows of X is the estimator of Zhang and Grabchak (2014): its bias
falls exponentially with the rows, where that of the frequencies themselves falls with
their inverse (Miller 1955, for both samples), and it stays finite where m_c is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma

from kldiv._estimation._columns import Split, unique_rows
from kldiv._typing import FloatArray, Floats, Mask, Rows
from kldiv._validation import Weights


@dataclass(frozen=True)
class Group:
    """Cells whose continuous columns are compared together.

    Attributes
    ----------
    x, y : ndarray of int
        Rows of X and of Y.
    columns : ndarray of int
        Columns that vary continuously.
    cells : ndarray of int
        The cells.
    """

    x: Rows
    y: Rows
    columns: Rows
    cells: Rows

    @property
    def comparable(self) -> bool:
        """Whether there are columns to compare, and rows of both samples."""
        return bool(self.columns.size and self.x.size and self.y.size)


@dataclass(frozen=True)
class Cells:
    """The cells of two samples.

    Attributes
    ----------
    of_x, of_y : ndarray of int, shape (n,) and (m,)
        The cell of each row.
    codes : ndarray of shape (n_cells, n_discrete)
        What the rows of a cell share.
    n_x, n_y : ndarray of shape (n_cells,)
        Rows of X and of Y in each cell.
    held : ndarray of bool, shape (n_cells, d)
        Columns that do not vary continuously in the cell.
    weights : Weights, or None
        Of the rows, where they do not all count alike.
    """

    of_x: Rows
    of_y: Rows
    codes: Floats
    n_x: Rows
    n_y: Rows
    held: Mask
    weights: Weights | None = None

    @classmethod
    def of(
        cls, X: FloatArray, Y: FloatArray, split: Split, weights: Weights | None = None
    ) -> Cells:
        """The cells of rows that agree in all that is discrete."""
        pooled = np.concatenate([X, Y])
        codes, of_row, _ = unique_rows(split.codes(pooled))
        _, first = np.unique(of_row, return_index=True)
        of_x, of_y = of_row[: len(X)], of_row[len(X) :]
        n_x, n_y = (np.bincount(one, minlength=len(codes)) for one in (of_x, of_y))
        held = split.at_atoms(pooled[first])
        return cls(of_x, of_y, codes, n_x, n_y, held, weights)

    @property
    def mass_of_x(self) -> Floats:
        """What each row of X counts."""
        return np.ones(len(self.of_x)) if self.weights is None else self.weights.of_x

    def log_ratios(self) -> Floats:
        """log p/q of each cell; of one without rows of X it is not defined."""
        n, m = self.n_x.sum(), self.n_y.sum()
        own = digamma(np.maximum(self.n_x, 1)) - digamma(n)
        ratios = own - digamma(self.n_y + 1) + digamma(m + 1)
        if self.weights is not None:
            ratios += _log_means(self.of_x, self.weights.of_x, self.n_x)
            ratios -= _log_means(self.of_y, self.weights.of_y, self.n_y)
        return np.where(self.n_x > 0, ratios, np.nan)

    def exchanged(self) -> Cells:
        """The same with the roles of X and Y exchanged."""
        of_x, of_y, n_x, n_y = self.of_y, self.of_x, self.n_y, self.n_x
        weights = None if self.weights is None else self.weights.exchanged()
        return Cells(of_x, of_y, self.codes, n_x, n_y, self.held, weights)

    def groups(self, least: int) -> list[Group]:
        """Cells with at least so many rows of both samples, and the others together.

        If the others are still too few, they join the smallest that is not. Cells of
        one sample alone, or in which nothing varies continuously, need no rows.
        """
        pure = self.held.all(axis=1)
        large = (self.n_x >= least) & (self.n_y >= least) & ~pure
        if large.any():
            pure |= (self.n_x == 0) | (self.n_y == 0)
        together = [np.array([cell]) for cell in np.flatnonzero(large | pure)]
        rest = np.flatnonzero(~large & ~pure)
        size = np.minimum(self.n_x, self.n_y)
        few = min(self.n_x[rest].sum(), self.n_y[rest].sum()) < least
        if rest.size and large.any() and few:
            host = np.flatnonzero(large)[size[large].argmin()]
            together = [one for one in together if one[0] != host]
            rest = np.append(rest, host)
        if rest.size:
            together.append(rest)
        return [self._group(cells) for cells in together]

    def _group(self, cells: Rows) -> Group:
        rows = [np.flatnonzero(np.isin(one, cells)) for one in (self.of_x, self.of_y)]
        varies = np.flatnonzero(~self.held[cells].any(axis=0))
        return Group(rows[0], rows[1], varies, cells)


def _log_means(of_rows: Rows, weights: Floats, counts: Rows) -> Floats:
    """Log of the mean weight in each cell over that of all rows; 0 without rows.

    The log of a mean is too small by half its relative variance, which is added.
    """
    n, least = counts, np.maximum(counts, 1)
    sums = np.bincount(of_rows, weights, minlength=n.size)
    squares = np.bincount(of_rows, weights**2, minlength=n.size)
    mean = np.where(n > 0, sums / least, 1.0)
    spread = np.maximum(squares - n * mean**2, 0.0) / np.maximum(n - 1, 1)
    noise = spread / mean**2 / (2 * least)
    overall = weights.var(ddof=1) / (2 * weights.size)
    found: Floats = np.where(n > 0, np.log(mean) + noise - overall, 0.0)
    return found
