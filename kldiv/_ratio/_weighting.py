"""What the weights of rows make of a log ratio.

Weighted rows stand for the distribution sum(w_i delta(x_i)) / sum(w_i): its density at
x is that of the rows, whatever they were drawn from, times the mean weight there over
the mean weight of all rows. Corrections estimate the ratio of the densities of the
rows. Here the log mean weights around each row of X are added, from the nearest rows.

The log of a mean of k weights is too small by half their variance over the squared
mean, over k (the delta method); that is added. Where weights follow the place, as those
of importance samples do, a mean over neighbours would smooth them out. So a quadratic
function of the columns is fitted to the log weights, if it predicts weights of rows
left out, and neighbours are asked for what it misses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp

from kldiv._neighbors import search
from kldiv._preparation import PreparedPair
from kldiv._ratio._log_ratio import LocalWeights, LogRatio, Weighting
from kldiv._typing import FloatArray, Floats
from kldiv._validation import Weights

# These take densities, and weights, for constant in the ball of k neighbours.
_CONSTANT_IN_BALLS = (None, "adaptive")
# Neighbours whose weights are averaged after a trend was taken off.
_NEIGHBORS = 20
# Share by which a trend must lower the squared error at rows left out.
_CLEAR_GAIN = 0.02
# Rows to which a trend is fitted, for each of its terms; most of them; terms.
_ROWS_PER_TERM, _ROWS_TO_FIT, _MOST_TERMS = 4, 5000, 400
_LARGEST_LEVERAGE = 0.999
_ROWS_AT_A_TIME = 4096


def weighed(ratio: LogRatio, pair: PreparedPair) -> LogRatio:
    """The log ratio of the weighted samples from that of their rows."""
    weights = pair.weights
    if weights is None:
        return ratio
    weighting = weighting_of(ratio, weights)
    more = weighting.x.log_means - weighting.y.log_means

    def with_weights(one: LogRatio) -> LogRatio:
        return replace(one, values=one.values + more, weighting=weighting)

    parts = tuple((share, with_weights(part)) for share, part in ratio.parts)
    return replace(with_weights(ratio), parts=parts)


def weighting_of(ratio: LogRatio, weights: Weights) -> Weighting:
    """Mean weights around the rows of X, in the coordinates of a ratio."""
    settings, n, m = ratio.settings, len(ratio.X), len(ratio.Y)
    constant = ratio.correction in _CONSTANT_IN_BALLS
    k = settings.n_neighbors
    if not constant:
        k = min(max(_NEIGHBORS, k), n - 1, m)
    near = search(
        ratio.X,
        ratio.Y,
        k,
        metric=settings.metric,
        threads=settings.threads,
        return_indices=True,
    )
    of_x, of_y = weights.of_x, weights.of_y
    around = []
    for rows, mass, found in (
        (ratio.X, of_x, near.xx_indices),
        (ratio.Y, of_y, near.xy_indices),
    ):
        assert found is not None
        nearest = found.astype(np.intp)
        trends = np.zeros(len(rows)), np.zeros(n)
        if not constant and settings.metric == "euclidean":
            trends = trends_of(rows, mass, ratio.X)
        logs = np.log(mass)[nearest] + trends[1][:, None] - trends[0][nearest]
        around.append((nearest, logs))
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


@dataclass(frozen=True)
class Trend:
    """A polynomial of the columns.

    Attributes
    ----------
    centre, size : ndarray of shape (d,)
        Where columns have mean zero and variance one.
    degree : {0, 1, 2}
        Of the polynomial.
    coefficients : ndarray
        Of its terms.
    """

    centre: Floats
    size: Floats
    degree: int
    coefficients: Floats

    def at(self, rows: FloatArray) -> Floats:
        """Values at rows, shape (n,)."""
        values = np.empty(len(rows))
        for part in _parts(len(rows)):
            z = (rows[part].astype(np.float64) - self.centre) / self.size
            values[part] = _terms(z, self.degree) @ self.coefficients
        return values


def trends_of(
    rows: FloatArray, weights: Floats, others: FloatArray
) -> tuple[Floats, Floats]:
    """Trend of the log weights, at the rows that have them and at others."""
    if (weights == weights[0]).all():
        return np.zeros(len(rows)), np.zeros(len(others))
    trend = fit_trend(rows, np.log(weights))
    return trend.at(rows), trend.at(others)


def fit_trend(rows: FloatArray, logs: Floats) -> Trend:
    """The polynomial that predicts log weights of rows left out best.

    Leave-one-out errors of least squares follow from the leverages of the rows (PRESS,
    Allen 1974).
    """
    if len(rows) > _ROWS_TO_FIT:
        some = np.linspace(0, len(rows) - 1, _ROWS_TO_FIT).astype(np.intp)
        rows, logs = rows[some], logs[some]
    U = rows.astype(np.float64)
    centre, size = U.mean(axis=0), U.std(axis=0)
    size = np.where(size > 0, size, 1.0)
    best, least = Trend(centre, size, 0, logs.mean(keepdims=True)), np.inf
    for degree in (0, 1, 2):
        n_terms = _n_terms(U.shape[1], degree)
        if n_terms > _MOST_TERMS or len(U) < _ROWS_PER_TERM * n_terms:
            break
        terms = _terms((U - centre) / size, degree)
        basis, values, rest = np.linalg.svd(terms, full_matrices=False)
        kept = values > 1e-10 * values[0]
        basis, along = basis[:, kept], rest[kept] / values[kept, None]
        leverage = np.einsum("ij,ij->i", basis, basis)
        missed = logs - basis @ (basis.T @ logs)
        error = float(
            ((missed / (1 - np.minimum(leverage, _LARGEST_LEVERAGE))) ** 2).mean()
        )
        if error < least * (1 - _CLEAR_GAIN):
            coefficients = along.T @ (basis.T @ logs)
            best, least = Trend(centre, size, degree, coefficients), error
    return best


def _n_terms(d: int, degree: int) -> int:
    return (1, 1 + d, 1 + d + d * (d + 1) // 2)[degree]


def _terms(z: Floats, degree: int) -> Floats:
    """Powers and products of standardised columns up to a degree."""
    columns = [np.ones((len(z), 1))]
    if degree > 0:
        columns.append(z)
    if degree > 1:
        i, j = np.triu_indices(z.shape[1])
        columns.append(z[:, i] * z[:, j])
    return np.concatenate(columns, axis=1)


def _parts(n_rows: int) -> Iterator[slice]:
    for first in range(0, n_rows, _ROWS_AT_A_TIME):
        yield slice(first, first + _ROWS_AT_A_TIME)
