"""What the weights of rows make of a log ratio.

Weighted rows stand for the distribution sum(w_i delta(x_i)) / sum(w_i): its density at
x is that of the rows, whatever they were drawn from, times the mean weight there over
the mean weight of all rows. Corrections estimate the ratio of the densities of the
rows. Here the log mean weights around each row of X are added, from the nearest rows.

The log of a mean of k weights is too small by half their variance over the squared
mean, over k (the delta method); that is added. Where weights follow the place, as those
of importance samples do, a mean over neighbours would smooth them out: a function of
the columns is taken off before (kldiv/_ratio/_weight_trend.py).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from kldiv._neighbors import search
from kldiv._preparation import PreparedPair
from kldiv._ratio._coordinates import coordinates
from kldiv._ratio._log_ratio import LocalWeights, LogRatio, Weighting
from kldiv._ratio._weight_trend import trends_of
from kldiv._typing import Floats
from kldiv._validation import Weights

# These take densities, and weights, for constant in the ball of k neighbours.
_CONSTANT_IN_BALLS = (None, "adaptive")
# Neighbours whose weights are averaged after a trend was taken off.
_NEIGHBORS = 20


def weighed(ratio: LogRatio, pair: PreparedPair) -> LogRatio:
    """The log ratio of the weighted samples from that of their rows."""
    weights = pair.weights
    if weights is None:
        return ratio
    weighting = weighting_of(ratio, pair, weights)
    more = weighting.x.log_means - weighting.y.log_means

    def with_weights(one: LogRatio) -> LogRatio:
        return replace(one, values=one.values + more, weighting=weighting)

    parts = tuple((share, with_weights(part)) for share, part in ratio.parts)
    return replace(with_weights(ratio), parts=parts)


def weighting_of(ratio: LogRatio, pair: PreparedPair, weights: Weights) -> Weighting:
    """Mean weights around the rows of X.

    In the balls of the ratio, or where columns count alike and are as they were given.
    """
    settings, n, m = ratio.settings, len(ratio.X), len(ratio.Y)
    X, Y = ratio.X, ratio.Y
    constant = ratio.correction in _CONSTANT_IN_BALLS or settings.metric != "euclidean"
    k, blocks = settings.n_neighbors, ["xx", "xy"]
    if not constant:
        common = coordinates(pair.X, pair.Y, "standard")
        X, Y = pair.with_equal_rows(common.X, common.Y)
        k = min(max(_NEIGHBORS, k), n - 1, m - 1)
        blocks.append("yy")
    near = search(
        X,
        Y,
        k,
        blocks=blocks,
        metric=settings.metric,
        threads=settings.threads,
        return_indices=True,
    )
    of_x, of_y = weights.of_x, weights.of_y
    around = []
    for rows, mass, found, own in (
        (X, of_x, near.xx_indices, near.xx_indices),
        (Y, of_y, near.xy_indices, near.yy_indices),
    ):
        assert found is not None
        nearest, logs = found.astype(np.intp), np.log(mass)
        trends = np.zeros(len(rows)), np.zeros(n)
        if not constant and own is not None:
            trends = trends_of(rows, logs, own.astype(np.intp), X)
        local = logs[nearest] + trends[1][:, None] - trends[0][nearest]
        around.append((nearest, local))
    overall = _without_each(of_x), log_mean(np.log(of_y)[None])
    x, y = (
        LocalWeights(log_mean(logs) - total, nearest, _shares(logs))
        for (nearest, logs), total in zip(around, overall, strict=True)
    )
    return Weighting(weights, x, y)


def log_mean(logs: Floats) -> Floats:
    """Log of the mean weight that each row of log weights was drawn from."""
    k = logs.shape[1]
    top = logs.max(axis=1, keepdims=True)
    weights = np.exp(logs - top)
    mean = weights.mean(axis=1)
    spread = weights.var(axis=1, ddof=1) if k > 1 else 0.0
    found: Floats = np.log(mean) + top[:, 0] + spread / mean**2 / (2 * k)
    return found


def _without_each(weights: Floats) -> Floats:
    """`log_mean` of all weights but one, for each."""
    n = weights.size
    mean = (weights.sum() - weights) / (n - 1)
    if n < 3:
        return np.log(mean)
    squares = (weights @ weights - weights**2) / (n - 1)
    spread = np.maximum(squares - mean**2, 0.0) * (n - 1) / (n - 2)
    found: Floats = np.log(mean) + spread / mean**2 / (2 * (n - 1))
    return found


def _shares(logs: Floats) -> Floats:
    shares: Floats = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    return shares
