"""How much of one sample another one covers, in balls around its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.stats import betabinom

from kldiv_attack.datasets._base import check_whole, to_array

__all__ = ["Balls", "clipped_coverage", "clipped_density"]

Rows = NDArray[np.float64]

#: Feature distances that differ by less than this share of the largest private
#: feature are ties: a network's features of one image vary that much with the
#: batch.
_TIE = 1e-6


@dataclass(frozen=True)
class Balls:
    """Balls around private rows, up to the k-th private neighbour.

    Attributes
    ----------
    within : ndarray of shape (n, n)
        Distances between private rows; infinite from a row to itself.
    across : ndarray of shape (n, m)
        Distances from private rows to the rows that are measured.
    radius : ndarray of shape (n,)
        Distance of a private row to its k-th neighbour.
    slack : float
        How far outside a ball a row still lies on its edge.
    n_neighbors : int
        The k.
    """

    within: Rows
    across: Rows
    radius: Rows
    slack: float
    n_neighbors: int

    @classmethod
    def around(cls, private: Rows, made: Rows, n_neighbors: int) -> Balls:
        """Balls around the rows of `private`.

        Parameters
        ----------
        private : ndarray of shape (n, n_features)
            Rows in the middle of the balls, more than `n_neighbors` of them.
        made : ndarray of shape (m, n_features)
            Rows that lie in them, or not.
        n_neighbors : int
            Neighbour whose distance is the radius.

        Returns
        -------
        Balls
            All distances, computed once.
        """
        within = cdist(private, private)
        np.fill_diagonal(within, np.inf)
        return cls(
            within,
            cdist(private, made),
            np.partition(within, n_neighbors - 1, axis=1)[:, n_neighbors - 1],
            _TIE * float(np.abs(private).max()),
            n_neighbors,
        )

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Private rows whose ball holds a row (Naeem et al., 2020)."""
        inside: NDArray[np.bool_] = self.across.min(axis=1) <= self.radius + self.slack
        return inside

    def clipped_coverage(self) -> float:
        """Share of good rows that would cover as much; see the function."""
        n, m = self.across.shape
        k = self.n_neighbors
        inside = (self.across <= self.radius[:, None] + self.slack).sum(axis=1)
        found = float(np.minimum(inside, k).mean() / k)
        good = np.arange(m + 1)
        return float(np.interp(found, expected_filling(good, n, k), good / m))

    def clipped_density(self) -> float:
        """Share of rows as deep among the private ones as those; see the function."""
        radius = np.minimum(self.radius, np.median(self.radius))[:, None] + self.slack
        k = self.n_neighbors
        own = float(np.minimum((self.within <= radius).sum(axis=0) / k, 1).mean())
        made = float(np.minimum((self.across <= radius).sum(axis=0) / k, 1).mean())
        return min(made / own, 1.0)


def expected_filling(good: NDArray[np.int64], n: int, k: int) -> Rows:
    """Expected clipped filling of a ball by rows of the private distribution itself.

    Parameters
    ----------
    good : ndarray of int64, shape (m,)
        Numbers of rows of that distribution.
    n : int
        Private rows; a ball reaches to the k-th of the other n - 1.
    k : int
        Neighbours.

    Returns
    -------
    ndarray of shape (m,), float64
        Mean of min(J, k) / k. The mass of such a ball has the distribution Beta(k, n -
        k) whatever the private distribution is, so that J is beta-binomial.
    """
    few = np.arange(k)
    missing = (k - few) * betabinom.pmf(few, good[:, None], k, n - k)
    filling: Rows = 1 - missing.sum(axis=1) / k
    return filling


def clipped_coverage(
    private: ArrayLike, made: ArrayLike, *, n_neighbors: int = 5
) -> float:
    r"""Share of good rows that would cover the private rows as well as these do.

    Parameters
    ----------
    private : array-like of shape (n, n_features)
        Rows to be covered.
    made : array-like of shape (m, n_features)
        Rows that may cover them.
    n_neighbors : int, default=5
        The k of both clippings; below n.

    Returns
    -------
    float
        Between 0 and 1. With half of the rows drawn from the distribution of the
        private rows and half of them far away it is 0.5 on average. As defined it is 1
        at most: rows that cover more than as many rows of the private distribution give
        1 as well.

    Raises
    ------
    ValueError
        Too few rows, or other features than the private rows have.

    Notes
    -----
    Each private row counts the rows in its ball, which reaches to its k-th private
    neighbour, and at most k of them. The mean,

    .. math:: \frac{1}{nk} \sum_i \min\Bigl(k, \sum_j 1[\lVert y_j - x_i \rVert
              \le r_i]\Bigr),

    is then looked up among those that :math:`0, 1, \dots, m` rows of the private
    distribution are expected to give. Plain coverage has no such scale: half of the
    rows cover far more than half.

    References
    ----------
    .. [1] Salvy, Talbot and Thirion, "Enhanced generative model evaluation with
       clipped density and coverage", arXiv 2507.01761, 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv_attack import clipped_coverage
    >>> rng = np.random.default_rng(0)
    >>> private, good = rng.normal(size=(2, 1000, 3))
    >>> made = np.concatenate([good[:500], rng.normal(9, 1, (500, 3))])
    >>> round(clipped_coverage(private, made), 1)
    0.5
    """
    return _balls(private, made, n_neighbors).clipped_coverage()


def clipped_density(
    private: ArrayLike, made: ArrayLike, *, n_neighbors: int = 5
) -> float:
    """Share of rows that lie as deep among the private rows as those do themselves.

    Parameters
    ----------
    private : array-like of shape (n, n_features)
        Rows of the distribution in question.
    made : array-like of shape (m, n_features)
        Rows that may follow it.
    n_neighbors : int, default=5
        The k; below n.

    Returns
    -------
    float
        Between 0 and 1, which is the most by definition. Rows of the private
        distribution give about 1, rows far away 0, a mixture of them its share of the
        former.

    Raises
    ------
    ValueError
        Too few rows, or other features than the private rows have.

    Notes
    -----
    Each row counts the balls that it lies in, and at most k of them; balls reach to
    the k-th private neighbour, but no farther than half of them do, so that a private
    row far from the others does not admit everything around it. The mean is divided by
    what the private rows among themselves give.

    References
    ----------
    .. [1] Salvy, Talbot and Thirion, "Enhanced generative model evaluation with
       clipped density and coverage", arXiv 2507.01761, 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv_attack import clipped_density
    >>> rng = np.random.default_rng(0)
    >>> private, good = rng.normal(size=(2, 1000, 3))
    >>> made = np.concatenate([good[:500], rng.normal(9, 1, (500, 3))])
    >>> round(clipped_density(private, made), 1)
    0.5
    """
    return _balls(private, made, n_neighbors).clipped_density()


def _balls(private: ArrayLike, made: ArrayLike, n_neighbors: int) -> Balls:
    check_whole("n_neighbors", n_neighbors, 1)
    ours = np.asarray(to_array(private), dtype=np.float64)
    theirs = np.asarray(to_array(made), dtype=np.float64)
    for name, rows in (("private", ours), ("made", theirs)):
        if rows.ndim != 2:
            raise ValueError(
                f"{name}: expected shape (rows, features), got {rows.shape}."
            )
        if not np.isfinite(rows).all():
            raise ValueError(f"{name}: found NaN or infinity; remove these rows.")
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(
            f"made: expected {ours.shape[1]} features as in private, got "
            f"{theirs.shape[1]}."
        )
    if len(ours) <= n_neighbors or not len(theirs):
        raise ValueError(
            f"n_neighbors={n_neighbors}: expected at least {n_neighbors + 1} private "
            f"rows and one other row, got {len(ours)} and {len(theirs)}."
        )
    return Balls.around(ours, theirs, n_neighbors)
