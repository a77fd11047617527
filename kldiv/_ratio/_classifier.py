"""log p/q from a classifier that tells the samples apart.

With balanced prior odds the logit of "row of X" is log p/q. The classifier is a
penalised logistic regression on splines of the columns in pooled normal scores, and on
products of two columns; how much it is penalised, and whether the products are used,
leave-one-out log loss decides. Leaving a row out is approximated by one Newton step
(Rad and Maleki 2020), so that no rows are put into folds and no number depends on their
order. A classifier cannot say more than it has learned: on large divergences it is
low, where nothing differs it is close to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline
from scipy.special import expit, logit, ndtri

from kldiv._typing import Floats, Mask, Rows

_REACH, _N_SPLINES = 2.6, 10
# Penalties, from the one that is tried first.
_SMALLER, _LARGER, _HALF_STEP = (10.0, 1.0, 0.1), (10.0, 100.0, 1000.0), np.sqrt(10.0)
# With many columns each gets fewer bends, the smoothest, so that the fit stays cheap.
_MOST_FEATURES = 600
# Products of two columns up to this many columns; their number grows with the square.
_COLUMNS_FOR_PRODUCTS = 25
_NEWTON_STEPS, _HALVINGS, _CONVERGED = 30, 14, 1e-7
# Rows of each sample that the classifier is fitted to, and that candidates are compared
# at; more cost time, not accuracy.
_ROWS_TO_FIT, JUDGED = 5000, 4000
_RIDGE, _LARGEST_LEVERAGE = 1e-6, 0.999
# Parts of the rows whose scale the others set; what ends the search for it where they
# are told apart without a miss.
_FOLDS, _SCALE_PENALTY = 5, 0.01


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier.

    Attributes
    ----------
    logits : ndarray of shape (n + m,)
        log p/q at the rows of X, then of Y, which the fit has seen.
    held_out : ndarray of shape (n + m,)
        The same with each row left out.
    penalty : float
        Weight of the squared coefficients.
    features, coefficients, inverse, residuals : ndarray
        Features of all rows, what they are multiplied with, the inverse Hessian, and
        label minus probability at the rows that were fitted, zero elsewhere.
    """

    logits: Floats
    held_out: Floats
    penalty: float
    features: Floats
    coefficients: Floats
    inverse: Floats
    residuals: Floats

    @property
    def learned(self) -> Floats:
        """log p/q at all rows: what the fit has seen is too large about as much as what
        it has not is too small."""
        return (self.logits + self.held_out) / 2

    def relabelled(self, of_x: Mask) -> Classifier:
        """The same classifier fitted to other labels of the rows."""
        fitted = _rows_to_fit(of_x)
        seen = self.features[fitted], of_x[fitted]
        found = fit_logistic(*seen, self.penalty, self.coefficients)
        return _describe(self.features, of_x, fitted, self.penalty, found)

    def effects(self, weights: Floats) -> Floats:
        """Effects of single rows on a weighted sum of logits, by the infinitesimal
        jackknife, shape (n + m,): what the sum changes when the row is added."""
        along = self.inverse @ (weights @ self.features)
        effects: Floats = (self.features @ along) * self.residuals
        return effects


def pooled_scores(X: Floats, Y: Floats) -> tuple[Floats, Floats]:
    """Normal scores of each column under the mean of both distribution functions."""
    U, V = np.empty(X.shape), np.empty(Y.shape)
    edge = 0.25 / max(len(X), len(Y))
    for j in range(X.shape[1]):
        columns = np.sort(X[:, j]), np.sort(Y[:, j])
        for values, scores in ((X[:, j], U), (Y[:, j], V)):
            shares = [
                np.searchsorted(one, values, side) / len(one)
                for one in columns
                for side in ("left", "right")
            ]
            scores[:, j] = ndtri(np.clip(np.mean(shares, axis=0), edge, 1 - edge))
    return U, V


def fit_classifier(X: Floats, Y: Floats) -> Classifier:
    """Classifier whose penalty and features have the smallest held-out log loss."""
    Z = np.concatenate(pooled_scores(X, Y))
    of_x = np.arange(len(Z)) < len(X)
    fitted = _rows_to_fit(of_x)
    found = [_fit_best(features, of_x, fitted) for features in _feature_sets(Z)]
    return min(found, key=lambda one: one[0])[1]


def _fit_best(features: Floats, of_x: Mask, fitted: Rows) -> tuple[float, Classifier]:
    """Held-out log loss and classifier of the best penalty: downhill over the coarse
    steps from the middle one, then the half steps on both sides of it."""
    seen, n = (features[fitted], of_x[fitted]), int(of_x.sum())
    tried: dict[float, tuple[float, Classifier]] = {}

    def loss_at(penalty: float, start: Floats) -> float:
        found = fit_logistic(*seen, penalty, start)
        one = _describe(features, of_x, fitted, penalty, found)
        tried[penalty] = float(log_loss(one.held_out, n).mean()), one
        return tried[penalty][0]

    best = _SMALLER[0]
    least = loss_at(best, np.zeros(features.shape[1]))
    for further in (_SMALLER[1:], _LARGER[1:]):
        for penalty in further:
            loss = loss_at(penalty, tried[best][1].coefficients)
            if loss >= least:
                break
            best, least = penalty, loss
        if best != _SMALLER[0]:
            break
    for half in (best * _HALF_STEP, best / _HALF_STEP):
        loss_at(half, tried[best][1].coefficients)
    return min(tried.values(), key=lambda one: one[0])


def log_loss(log_ratios: Floats, n: int) -> Floats:
    """Log loss at each row of "this row is one of the first n", in nats.

    Of the classifier that knows log p/q at the n rows of X and then at those of Y.
    """
    logits = log_ratios + np.log(n / (len(log_ratios) - n))
    logits[:n] *= -1
    return np.logaddexp(0, logits)


def judged_rows(n_rows: int, most: int = JUDGED) -> Rows:
    """Rows of a sample at which candidates are compared, at equal steps."""
    if n_rows <= most:
        return np.arange(n_rows)
    return np.linspace(0, n_rows - 1, most).astype(np.intp)


def _rows_to_fit(of_x: Mask) -> Rows:
    """Rows of X, then of Y, at equal steps."""
    both = np.flatnonzero(of_x), np.flatnonzero(~of_x)
    return np.concatenate([rows[judged_rows(len(rows), _ROWS_TO_FIT)] for rows in both])


def _feature_sets(Z: Floats) -> list[Floats]:
    """A constant and splines of all columns; then products of two columns as well.

    The distance from the centre counts as one more column.
    """
    d = Z.shape[1]
    if d > 1:
        far = _distances(Z)[:, None]
        distance = pooled_scores(far, far)[0]
        Z = np.concatenate([Z, distance], axis=1)
    n_bends = _MOST_FEATURES // d - 1
    additive = np.concatenate([_spline_features(z, n_bends) for z in Z.T], axis=1)
    additive -= additive.mean(axis=0)
    additive = np.concatenate([np.ones((len(Z), 1)), additive], axis=1)
    if not 1 < d <= _COLUMNS_FOR_PRODUCTS:
        return [additive]
    i, j = np.triu_indices(d, 1)
    products = Z[:, i] * Z[:, j]
    products -= products.mean(axis=0)
    return [additive, np.concatenate([additive, products], axis=1)]


def _distances(Z: Floats) -> Floats:
    """Squared Mahalanobis distances from the centre of all rows."""
    centred = Z - Z.mean(axis=0)
    covariance = centred.T @ centred / len(Z) + _RIDGE * np.eye(Z.shape[1])
    return np.einsum("ij,ij->i", centred @ np.linalg.inv(covariance), centred)


def _spline_features(z: Floats, n_bends: int) -> Floats:
    """Straight line and so many bends of one column, to be penalised alike."""
    inner = np.linspace(-_REACH, _REACH, _N_SPLINES - 2)
    knots = np.concatenate([[-_REACH] * 3, inner, [_REACH] * 3])
    differences = np.diff(np.eye(_N_SPLINES), 2, axis=0)
    values, basis = np.linalg.eigh(differences.T @ differences)
    most = slice(2, 2 + max(n_bends, 0))  # the smoothest first
    bends = basis[:, most] / np.sqrt(values[most])
    splines = BSpline.design_matrix(np.clip(z, -_REACH, _REACH), knots, 3)
    return np.concatenate([z[:, None], splines @ bends], axis=1)


def fit_logistic(features: Floats, of_x: Mask, penalty: float, start: Floats) -> Floats:
    """Newton's method for the penalised logistic likelihood; the constant is free."""
    weights = np.full(features.shape[1], penalty)
    weights[0] = _RIDGE

    def cost(coefficients: Floats, logits: Floats) -> float:
        likelihood = np.logaddexp(0, np.where(of_x, -logits, logits)).sum()
        return float(likelihood + 0.5 * weights @ coefficients**2)

    coefficients, logits = start, features @ start
    current = cost(coefficients, logits)
    for _ in range(_NEWTON_STEPS):
        shares = expit(logits)
        gradient = features.T @ (of_x - shares) - weights * coefficients
        step = np.linalg.solve(_hessian(features, shares, weights), gradient)
        moves = features @ step
        for _ in range(_HALVINGS):
            tried = cost(coefficients + step, logits + moves)
            if tried <= current:
                break
            step, moves = step / 2, moves / 2
        else:
            break
        gained, current = current - tried, tried
        coefficients, logits = coefficients + step, logits + moves
        if gained < _CONVERGED * (1 + abs(current)):
            break
    return coefficients


def scaled_by_others(log_ratios: Floats, of_x: Mask) -> tuple[Floats, Floats]:
    """Logits with a shift and a scale that other rows have set, and those of chance.

    Ratios that would have to be turned round are chance: they tell which fold a row was
    left out with, not what it is.
    """
    features = np.column_stack([np.ones(len(log_ratios)), log_ratios])
    logits, chance = np.empty((2, len(log_ratios)))
    # Dealt out in the order of the ratios, so that no place of a row counts.
    folds = np.empty(len(log_ratios), dtype=np.intp)
    folds[np.lexsort((of_x, log_ratios))] = np.arange(len(log_ratios)) % _FOLDS
    for fold in range(_FOLDS):
        unseen = folds == fold
        seen = of_x[~unseen]
        fitted = fit_logistic(features[~unseen], seen, _SCALE_PENALTY, np.zeros(2))
        chance[unseen] = logit(seen.mean())
        logits[unseen] = features[unseen] @ fitted if fitted[1] > 0 else chance[unseen]
    return logits, chance


def _hessian(features: Floats, shares: Floats, weights: Floats) -> Floats:
    scaled = features * np.sqrt(shares * (1 - shares))[:, None]
    return scaled.T @ scaled + np.diag(weights)


def _describe(
    features: Floats, of_x: Mask, fitted: Rows, penalty: float, coefficients: Floats
) -> Classifier:
    """Logits at all rows; those that were fitted are left out by a Newton step."""
    weights = np.full(features.shape[1], penalty)
    weights[0] = _RIDGE
    logits = features @ coefficients
    seen, shares = features[fitted], expit(logits[fitted])
    inverse = np.linalg.inv(_hessian(seen, shares, weights)).astype(np.float64)
    spread = np.einsum("ij,ij->i", seen @ inverse, seen)
    residuals = np.zeros(len(of_x))
    residuals[fitted] = of_x[fitted] - shares
    leverage = np.minimum(spread * shares * (1 - shares), _LARGEST_LEVERAGE)
    held_out = logits.copy()
    held_out[fitted] -= spread * residuals[fitted] / (1 - leverage)
    n_fitted = int(of_x[fitted].sum())
    odds = np.log(n_fitted / (len(fitted) - n_fitted))
    return Classifier(
        logits - odds,
        held_out - odds,
        penalty,
        features,
        coefficients,
        inverse,
        residuals,
    )
