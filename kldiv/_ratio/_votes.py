"""log p/q from the labels of the nearest neighbours in both samples.

A plain estimate, smooth enough to be judged row by row: the balls of the adaptive
estimator, with more rows in them.
"""

from __future__ import annotations

import numpy as np

from kldiv._neighbors import search
from kldiv._ratio._classifier import judged_rows, log_loss
from kldiv._typing import Floats

_NEIGHBORS = (10, 20, 50, 100)


def neighbor_votes(X: Floats, Y: Floats, threads: int) -> Floats:
    """log p/q at the judged rows of X, then of Y, by the number of neighbours that
    tells the samples apart best; no row votes for itself."""
    n, m = len(X), len(Y)
    most = min(_NEIGHBORS[-1], n - 1, m - 1)
    to_x, to_y = _distances(X, X, most, threads), _distances(X, Y, most, threads)
    from_x = _ranks(to_x, to_y)
    to_x, to_y = _distances(Y, X, most, threads), _distances(Y, Y, most, threads)
    in_x = np.concatenate([from_x, _ranks(to_x, to_y)])
    judged = len(from_x)
    best: tuple[float, Floats] | None = None
    for k in _NEIGHBORS:
        if k > most:
            break
        of_x = in_x[:, :k].sum(axis=1)
        # a pseudo-row that is shared as the samples share all rows
        prior = n / (n + m)
        log_ratios = np.log((of_x + prior) / n) - np.log((k - of_x + 1 - prior) / m)
        loss = float(log_loss(log_ratios, judged).mean())
        if best is None or loss < best[0]:
            best = loss, log_ratios
    if best is None:
        return np.zeros(len(in_x))
    return best[1]


def _distances(sample: Floats, data: Floats, k: int, threads: int) -> Floats:
    """Distances from the judged rows of one sample to the nearest ones of data."""
    rows = judged_rows(len(sample))
    itself = sample is data
    if itself and len(rows) == len(data):
        return search(data, data, k, blocks=("xx",), threads=threads).block("xx")
    some = np.ascontiguousarray(sample[rows])
    near = search(some, data, k + itself, blocks=("xy",), threads=threads)
    # a row is its own nearest neighbour, or one of those that equal it
    return near.block("xy")[:, int(itself) :]


def _ranks(to_x: Floats, to_y: Floats) -> Floats:
    """Whether each neighbour, in the order of distance, is a row of X."""
    distances = np.concatenate([to_x, to_y], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")[:, : to_x.shape[1]]
    return (order < to_x.shape[1]).astype(np.float64)
