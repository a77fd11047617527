"""Neighbours of every row, enough of them for every subset of the rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nbinom

from kldiv._errors._subsets import SMALLEST_SUBSET
from kldiv._neighbors import search
from kldiv._ratio._log_ratio import LogRatio
from kldiv._typing import Floats, Mask, Rows, Side

# How often a list of neighbours may hold too few of a subset and is made anew.
_SHORT_LISTS = 1e-3
# Chebyshev nodes for the log mass of a ball as a function of its log radius.
_NODES = np.cos(np.pi * (np.arange(4) + 0.5) / 4)
_WEIGHTS = (-1.0) ** np.arange(4) * np.sin(np.pi * (np.arange(4) + 0.5) / 4)


class TargetChanges(NamedTuple):
    """Log densities at all rows, and what the presence of one target changes.

    `densities` (n,) go with a subset of targets as it is. Entry e says that at row
    `rows[e]` the value is higher by `gains[e]` with target `targets[e]` than without;
    `inside[e]` says whether that target is in the subset.
    """

    densities: Floats
    rows: Rows
    targets: Rows
    gains: Floats
    inside: Mask


class NeighborList:
    """Neighbours of every row of X in X or in Y, enough of them for every subset."""

    def __init__(self, ratio: LogRatio, side: Side) -> None:
        self.ratio, self.side = ratio, side
        self.k = ratio.neighbors.n_neighbors
        self.n_targets = len(ratio.X) if side == "x" else len(ratio.Y)
        # a row is no neighbour of itself
        self._most = self.n_targets - (side == "x")
        # neighbours until k + 1 of them are in the smallest subset
        risk = _SHORT_LISTS / len(ratio.X)
        self._search(self.k + 1 + int(nbinom.isf(risk, self.k + 1, SMALLEST_SUBSET)))

    def _search(self, listed: int) -> None:
        ratio, block = self.ratio, f"x{self.side}"
        self.listed = min(listed, self._most)
        near = search(
            ratio.X,
            ratio.Y,
            self.listed,
            blocks=(block,),
            metric=ratio.settings.metric,
            threads=ratio.settings.threads,
            return_indices=True,
        )
        indices = near.xx_indices if self.side == "x" else near.xy_indices
        assert indices is not None
        self.indices = indices.astype(np.intp)
        self.distances = self._positive(near.block(block))
        self._masses = self._tabulate() if ratio.references is not None else None

    def _positive(self, distances: Floats) -> Floats:
        """Distances of zero become the first positive one, as in the balls."""
        zeros = distances == 0
        if not zeros.any():
            return distances
        balls = self.ratio.balls
        first = np.where(zeros, np.inf, distances).min(axis=1)
        grown = balls.rho if self.side == "x" else balls.nu
        first = np.where(np.isfinite(first), first, grown)
        return np.where(zeros, first[:, None], distances)

    def _tabulate(self) -> Floats:
        """Log density minus log mass of balls, at Chebyshev nodes of the log radius."""
        references = self.ratio.references
        assert references is not None
        low = np.log(self.distances[:, max(self.k - 2, 0)])
        high = np.log(self.distances[:, -1])
        self._middle, self._half = (low + high) / 2, np.maximum((high - low) / 2, 1e-9)
        reference = references.of_x if self.side == "x" else references.of_y
        X = self.ratio.X.astype(np.float64)
        radii = np.exp(self._middle + self._half * _NODES[:, None])
        threads = self.ratio.settings.threads
        return np.stack([reference.log_ratio_to_ball(X, one, threads) for one in radii])

    def log_density(self, radii: Floats, rows: Rows) -> Floats:
        """Log density at rows whose ball of k neighbours has this radius.

        Up to a term that is the same for all rows. References stay as they are.
        """
        if self._masses is None:
            return -self.ratio.neighbors.n_features * np.log(radii)
        position = (np.log(radii) - self._middle[rows]) / self._half[rows]
        apart = position - _NODES[:, None]
        apart[np.abs(apart) < 1e-12] = 1e-12
        shares = _WEIGHTS[:, None] / apart
        return (shares * self._masses[:, rows]).sum(axis=0) / shares.sum(axis=0)

    def radii(self, mask: Mask) -> Floats:
        """Distances from all rows to their k-th neighbours in a subset of targets."""
        _, count = self._members(mask)
        return self._distance(count, self.k)

    def _members(self, mask: Mask) -> tuple[Mask, NDArray[np.int32]]:
        """Whether each listed neighbour is in a subset, and how many are up to it."""
        while True:
            member = mask[self.indices]
            count = np.cumsum(member, axis=1, dtype=np.int32)
            everything = self.listed == self._most
            if everything or (count[:, -1] > self.k).all():
                return member, count
            self._search(2 * self.listed)

    def _distance(self, count: NDArray[np.int32], k: int) -> Floats:
        return self.distances[np.arange(len(count)), (count < k).sum(axis=1)]

    def changes(self, mask: Mask, queries: Mask) -> TargetChanges:
        """What single targets change at the rows of `queries`."""
        member, count = self._members(mask)
        everywhere = np.arange(len(count))
        radii, wider = self._distance(count, self.k), self._distance(count, self.k + 1)
        smaller = self._distance(count, self.k - 1) if self.k > 1 else 0 * radii
        densities = self.log_density(radii, everywhere)
        lost = densities - self.log_density(wider, everywhere)
        last = (count < self.k).sum(axis=1)
        near = np.arange(last.max() + 1) <= last[:, None]
        rows, places = np.nonzero(near & queries[:, None])
        inside, gains = member[rows, places], lost[rows]
        out = rows[~inside]
        radius = np.maximum(self.distances[out, places[~inside]], smaller[out])
        gains[~inside] = self.log_density(radius, out) - densities[out]
        return TargetChanges(densities, rows, self.indices[rows, places], gains, inside)

    def interior(self, mask: Mask, weights: Floats) -> Floats:
        """Weights of the rows, shared equally among the targets inside their balls.

        The k-th neighbour lies on the surface and counts for k = 1 only.
        """
        k = max(self.k - 1, 1)
        member, count = self._members(mask)
        rows, places = np.nonzero(member & (count <= k) & (weights != 0)[:, None])
        return np.bincount(
            self.indices[rows, places], weights[rows] / k, minlength=self.n_targets
        ).astype(np.float64)


class NeighborLists(NamedTuple):
    """Neighbours of the rows of X in X and in Y."""

    x: NeighborList
    y: NeighborList

    @classmethod
    def of(cls, ratio: LogRatio) -> NeighborLists:
        """Lists for the rows at which a ratio was estimated."""
        return cls(NeighborList(ratio, "x"), NeighborList(ratio, "y"))

    def side(self, name: Side) -> NeighborList:
        """The list of neighbours in one sample."""
        return self.x if name == "x" else self.y
