"""Relabellings of two pooled samples, and the gaps of many columns under each."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import kldiv._kernels._ks as kernels
from kldiv._threads import in_threads

LANES = 64
T = TypeVar("T")


class Relabellings:
    """Ways to call n of n + m pooled rows X: the given one first, then random ones.

    They come in blocks of 64, each block from its own seed, so that a result depends
    neither on the number of threads nor on the order in which blocks are used. What is
    done of them is `told` by this name, if there is one.
    """

    def __init__(
        self,
        n: int,
        m: int,
        n_permutations: int,
        rng: np.random.Generator,
        told: str = "",
    ) -> None:
        self._told = told
        self.n, self.m, self.n_permutations = n, m, n_permutations
        self.multiple = math.lcm(n, m)
        self.up, self.down = self.multiple // n, self.multiple // m
        self.n_blocks = -(-(n_permutations + 1) // LANES)
        top = np.iinfo(np.uint64).max
        size = (self.n_blocks, 32)
        self._local = threading.local()
        self._seeds = rng.integers(top, size=size, dtype=np.uint64, endpoint=True)

    def lanes(self, block: int) -> int:
        """How many of the 64 relabellings of a block are wanted."""
        return min(LANES, self.n_permutations + 1 - block * LANES)

    def labels(self, block: int) -> NDArray[np.uint8]:
        """1 where a row is called X, shape (n + m, 64); valid until the next call."""
        # New pages would cost more than the labels; each thread keeps its own.
        labels: NDArray[np.uint8] | None = getattr(self._local, "labels", None)
        if labels is None:
            labels = np.zeros((self.n + self.m, LANES), dtype=np.uint8)
            self._local.labels = labels
        if self.n_permutations > 0:
            kernels.relabel(labels, self.n, self._seeds[block])
        if block == 0:
            labels[:, 0] = 0
            labels[: self.n, 0] = 1
        return labels

    def collect(
        self,
        work: Callable[[int, NDArray[np.uint8]], NDArray[Any]],
        threads: int,
    ) -> NDArray[Any]:
        """Join ``work(block, labels)`` of all blocks along the last axis.

        The last axis of the result has one entry per relabelling, the given one first.
        """
        blocks = parallel(
            lambda block: work(block, self.labels(block))[..., : self.lanes(block)],
            range(self.n_blocks),
            threads,
            self._told,
        )
        return np.concatenate(blocks, axis=-1)


def parallel(
    work: Callable[[Any], T], items: Iterable[Any], threads: int, told: str = ""
) -> list[T]:
    """Map over items in threads; the kernels work without the interpreter's lock."""
    return in_threads(work, ((item,) for item in items), threads, told)


def permutation_pvalue(values: NDArray[Any]) -> Any:
    """(b + 1) / (B + 1), b counting relabellings at least as extreme as the given one.

    The first entry of the last axis is the given one.
    """
    extreme = (values[..., 1:] >= values[..., :1]).sum(axis=-1)
    return (extreme + 1) / values.shape[-1]


def relabelled_gaps(
    pooled: NDArray[Any], relabellings: Relabellings, threads: int, side: int = 0
) -> NDArray[np.int64]:
    """Gap of every column under every relabelling, in units of 1 / lcm(n, m).

    Each column is sorted once. `side` is 0 for the larger gap, 1 for F_X - F_Y, -1 for
    F_Y - F_X. The result has shape (columns, relabellings).
    """
    values = np.ascontiguousarray(pooled.T)
    order, last = sorted_order(values)
    r = relabellings

    def work(_: int, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        best = np.empty((len(values), LANES), dtype=np.int64)
        kernels.scan(order, last, labels, r.up, r.down, r.multiple, side, best)
        return best

    return r.collect(work, threads)


def sorted_order(values: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Per row of `values`: the ascending order, and where runs of equal values end."""
    order = np.argsort(values, axis=1)
    ascending = np.take_along_axis(values, order, axis=1)
    last = np.ones(values.shape, dtype=np.uint8)
    last[:, :-1] = ascending[:, 1:] != ascending[:, :-1]
    return order.astype(np.int32), last


def dense_ranks(values: NDArray[Any]) -> tuple[NDArray[np.int32], int]:
    """Rank of each value among the distinct ones, from 0, and how many there are."""
    distinct, ranks = np.unique(values, return_inverse=True)
    return ranks.astype(np.int32), len(distinct)
