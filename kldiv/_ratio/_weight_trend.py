"""How log weights follow the place: a function of the columns, chosen by prediction.

Importance weights are a function of the row, and a mean of the weights of neighbours
smooths it. What the function says is taken off before and put back after; neighbours
say what it misses. Functions without shape, straight, quadratic, and sums of splines of
single columns are fitted to log weights by least squares. The one is taken that, with
neighbours, predicts the weights of rows left out best.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from kldiv._typing import FloatArray, Floats, Rows

Terms = Callable[[Floats], Floats]

# Rows to which a trend is fitted, for each of its terms; most of them; terms.
_ROWS_PER_TERM, _ROWS_TO_FIT, _MOST_TERMS = 4, 5000, 400
# Standard errors by which a trend must predict better than a simpler one.
_CLEAR_GAIN = 1.0
_LARGEST_LEVERAGE = 0.999
_N_KNOTS = 8
_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class Trend:
    """A function of the columns.

    Attributes
    ----------
    name : str
        Of the family.
    centre, size : ndarray of shape (d,)
        Where columns have mean zero and variance one.
    terms : callable
        From standardised rows to what is added up.
    coefficients : ndarray
        Of the terms.
    """

    name: str
    centre: Floats
    size: Floats
    terms: Terms
    coefficients: Floats

    def at(self, rows: FloatArray) -> Floats:
        """Values at rows, shape (n,)."""
        values = np.empty(len(rows))
        for part in _parts(len(rows)):
            z = (rows[part].astype(np.float64) - self.centre) / self.size
            values[part] = self.terms(z) @ self.coefficients
        return values


def trends_of(
    rows: FloatArray, logs: Floats, nearest: Rows, others: FloatArray
) -> tuple[Floats, Floats]:
    """Trend of the log weights, at the rows that have them and at others.

    `nearest` holds for each row its nearest ones in the same sample.
    """
    if (logs == logs[0]).all():
        return np.zeros(len(rows)), np.zeros(len(others))
    trend = choose_trend(rows, logs, nearest)
    return trend.at(rows), trend.at(others)


def choose_trend(rows: FloatArray, logs: Floats, nearest: Rows) -> Trend:
    """The function with which neighbours predict weights best."""
    some = np.arange(len(rows))
    if len(rows) > _ROWS_TO_FIT:
        some = np.linspace(0, len(rows) - 1, _ROWS_TO_FIT).astype(np.intp)
    U = rows[some].astype(np.float64)
    centre, size = U.mean(axis=0), U.std(axis=0)
    size = np.where(size > 0, size, 1.0)
    Z = (U - centre) / size
    best: tuple[Floats, Trend] | None = None
    for name, family in FAMILIES.items():
        terms = family(Z)
        features = terms(Z[:1])
        too_many = features.shape[1] > min(_MOST_TERMS, len(Z) / _ROWS_PER_TERM)
        if too_many and best is not None:
            continue
        coefficients, left_out = _least_squares(terms(Z), logs[some])
        trend = Trend(name, centre, size, terms, coefficients)
        around = logs[nearest[some]] - trend.at(rows)[nearest[some]]
        missed = logs[some] - left_out - log_of_mean(around)
        # the mean of a gamma law: proper for means, whatever the law of the weights
        losses = np.exp(missed) - missed
        if best is None or _clearly_smaller(losses, best[0]):
            best = losses, trend
    assert best is not None
    return best[1]


def log_of_mean(logs: Floats) -> Floats:
    """Log of the mean of each row of weights, which come as logs."""
    found: Floats = logsumexp(logs, axis=1) - np.log(logs.shape[1])
    return found


def _clearly_smaller(losses: Floats, others: Floats) -> bool:
    gained = others - losses
    error = gained.std() / np.sqrt(gained.size)
    return bool(gained.mean() > _CLEAR_GAIN * error)


def _least_squares(features: Floats, logs: Floats) -> tuple[Floats, Floats]:
    """Coefficients, and what is fitted to each row if that row is left out.

    That follows from the leverage of the row (Allen 1974).
    """
    basis, values, rest = np.linalg.svd(features, full_matrices=False)
    kept = values > 1e-10 * values[0]
    basis, along = basis[:, kept], rest[kept] / values[kept, None]
    leverage = np.einsum("ij,ij->i", basis, basis)
    fitted = basis @ (basis.T @ logs)
    missed = (logs - fitted) / (1 - np.minimum(leverage, _LARGEST_LEVERAGE))
    coefficients: Floats = along.T @ (basis.T @ logs)
    return coefficients, logs - missed


def _constant(Z: Floats) -> Terms:  # noqa: ARG001
    return lambda z: np.ones((len(z), 1))


def _straight(Z: Floats) -> Terms:  # noqa: ARG001
    return lambda z: np.column_stack([np.ones(len(z)), z])


def _quadratic(Z: Floats) -> Terms:
    i, j = np.triu_indices(Z.shape[1])
    return lambda z: np.column_stack([np.ones(len(z)), z, z[:, i] * z[:, j]])


def _splines(Z: Floats) -> Terms:
    """Cubic splines of single columns, straight beyond the outermost knots."""
    # a tenth of a second that only weighted rows should wait for
    from sklearn.preprocessing import SplineTransformer

    levels = np.linspace(0, 1, _N_KNOTS)
    knots = np.quantile(Z, levels, axis=0)
    even = Z.min(axis=0) + levels[:, None] * np.ptp(Z, axis=0)
    # values that repeat leave fewer knots than a spline needs
    knots = np.where((np.diff(knots, axis=0) > 0).all(axis=0), knots, even)
    splines = SplineTransformer(knots=knots, extrapolation="linear").fit(Z)

    def terms(z: Floats) -> Floats:
        found: Floats = splines.transform(z)
        return found

    return terms


FAMILIES: dict[str, Callable[[Floats], Terms]] = {
    "constant": _constant,
    "straight": _straight,
    "quadratic": _quadratic,
    "splines": _splines,
}


def _parts(n_rows: int) -> Iterator[slice]:
    for first in range(0, n_rows, _ROWS_AT_A_TIME):
        yield slice(first, first + _ROWS_AT_A_TIME)
