"""log p/q from the labels of the nearest neighbours in both samples.

A plain estimate, smooth enough to be judged row by row: the balls of the adaptive
estimator, with more rows in them.
"""

from __future__ import annotations

import numpy as np

from kldiv._neighbors import search
from kldiv._ratio._classifier import log_loss
from kldiv._typing import Floats

_NEIGHBORS = (10, 20, 50, 100)


def neighbor_votes(X: Floats, Y: Floats, threads: int) -> Floats:
    """log p/q at the rows of X, then of Y, by the number of neighbours that tells the
    samples apart best; no row votes for itself."""
    n, m = len(X), len(Y)
    most = min(_NEIGHBORS[-1], n - 1, m - 1)
    near = search(X, Y, most, blocks=("xx", "xy", "yy", "yx"), threads=threads)
    from_x = _ranks(near.block("xx"), near.block("xy"))
    from_y = _ranks(near.block("yx"), near.block("yy"))
    in_x = np.concatenate([from_x, from_y])
    best: tuple[float, Floats] | None = None
    for k in _NEIGHBORS:
        if k > most:
            break
        of_x = in_x[:, :k].sum(axis=1)
        # a pseudo-row that is shared as the samples share all rows
        prior = n / (n + m)
        log_ratios = np.log((of_x + prior) / n) - np.log((k - of_x + 1 - prior) / m)
        loss = float(log_loss(log_ratios, n).mean())
        if best is None or loss < best[0]:
            best = loss, log_ratios
    if best is None:
        return np.zeros(n + m)
    return best[1]


def _ranks(to_x: Floats, to_y: Floats) -> Floats:
    """Whether each neighbour, in the order of distance, is a row of X."""
    distances = np.concatenate([to_x, to_y], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")[:, : to_x.shape[1]]
    return (order < to_x.shape[1]).astype(np.float64)
