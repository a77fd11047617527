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
from kldiv._typing import Floats, Rows
from kldiv._validation import Weights

# These take densities, and weights, for constant in the ball of k neighbours.
_CONSTANT_IN_BALLS = (None, "adaptive")
# Neighbours whose weights are averaged after a trend was taken off.
_NEIGHBORS = 20
# Standard errors by which the nearest row surely says more than the others.
_SURE = 5.0


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
    k = settings.n_neighbors
    if not constant:
        common = coordinates(pair.X, pair.Y, "standard")
        X, Y = pair.with_equal_rows(common.X, common.Y)
        k = min(max(_NEIGHBORS, k), n - 1, m - 1)
    near = search(
        X,
        Y,
        k,
        blocks=("xx", "xy", "yy"),
        metric=settings.metric,
        threads=settings.threads,
        return_indices=True,
    )
    of_x, of_y = weights.of_x, weights.of_y
    around, missed = [], 0.0
    for rows, mass, found, own in (
        (X, of_x, near.xx_indices, near.xx_indices),
        (Y, of_y, near.xy_indices, near.yy_indices),
    ):
        assert found is not None
        assert own is not None
        nearest, logs = found.astype(np.intp), np.log(mass)
        trends = np.zeros(len(rows)), np.zeros(n)
        if not constant:
            trends = trends_of(rows, logs, own.astype(np.intp), X)
        local = logs[nearest] + trends[1][:, None] - trends[0][nearest]
        around.append((nearest, local))
        missed = max(missed, missed_by_means(logs - trends[0], own.astype(np.intp)))
    overall = _without_each(of_x), log_mean(np.log(of_y)[None])
    x, y = (
        LocalWeights(log_mean(logs) - total, nearest, _shares(logs))
        for (nearest, logs), total in zip(around, overall, strict=True)
    )
    return Weighting(weights, x, y, missed)


def missed_by_means(logs: Floats, nearest: Rows) -> float:
    """What means over neighbours miss of weights that follow the place, in nats.

    Of weights that are chance, the nearest row says no more than the others do. Where
    it says more, means are over too many: the log of a mean is then off by half of the
    variance that they do not see.
    """
    n, k = nearest.shape
    if k < 2:
        return 0.0
    around = logs[nearest]
    local = float(((logs - around.mean(axis=1)) ** 2).mean()) * k / (k + 1)
    alone = float(((logs - around[:, 0]) ** 2).mean()) / 2
    seen = 1 - alone / local if local > 0 else 0.0
    return (local - alone) / 2 if seen * np.sqrt(n) > _SURE else 0.0


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
