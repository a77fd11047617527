"""Coordinates in which two samples are compared.

Every divergence of this package is unchanged when one bijection is applied to both
samples; neighbour estimators are not. Two bijections are chosen here from the pooled
rows: a scale, and a power transform that makes skewed columns nearly Gaussian.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kldiv._typing import FloatArray, Floats, Mask

SCALES = ("auto", None, "standard", "whiten")

# With this many rows of the smaller sample per column, covariances need no shrinkage,
# so that whitening makes the estimate the same in all linear coordinates.
ROWS_TO_WHITEN = 100
_POWERS = np.linspace(-2.0, 4.0, 49)
_TAILS = np.array([0.0, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8])
# Every fourth of these is tried first, then the neighbours of the best.
_COARSE = 4
# Rows of each sample from which a transform is chosen; more cost time, not accuracy.
_ROWS_FOR_SHAPE = 1000
# Log likelihood that a transform of a column must gain: in all, and per row.
_CLEAR_GAIN, _CLEAR_GAIN_PER_ROW = 10.0, 0.01

# Variance of a standardised column below which it is constant.
_NO_VARIANCE = 1e-100
# Range of a column, beside its largest number, that rounding alone may leave.
_ROUNDED = 1e-12

Transform = Callable[[Floats, float | Floats], Floats]


@dataclass(frozen=True)
class Coordinates:
    """Two samples in common coordinates.

    Attributes
    ----------
    X, Y : ndarray of shape (n, rank) and (m, rank), float64
        The samples.
    scale : str or None
        What was applied: None, "standard", "whiten", "normal" (skewed or heavy-tailed
        columns made nearly Gaussian, then standardised).
    """

    X: Floats
    Y: Floats
    scale: str | None


def within_centred(X: Floats, Y: Floats) -> Floats:
    """Rows of both samples, each minus its own sample's mean."""
    return np.concatenate([X - X.mean(axis=0), Y - Y.mean(axis=0)])


def coordinates(X: FloatArray, Y: FloatArray, scale: str | None) -> Coordinates:
    """Both samples under the scale asked for; see the module's docstring."""
    U, V = X.astype(np.float64), Y.astype(np.float64)
    if scale is None:
        return Coordinates(U, V, None)
    U, V = _standardise(U, V, [])
    for name, given, scaled in (("X", X, U), ("Y", Y, V)):
        if (scaled == scaled[0]).all() and (given != given[0]).any():
            raise ValueError(
                f"all rows of {name} are equal beside the largest numbers of both "
                f"samples, {np.abs(X).max():.3g} in X and {np.abs(Y).max():.3g} in Y: "
                "float64 cannot hold them in one unit. Leave out rows with fill values."
            )
    enough = min(len(U), len(V)) >= ROWS_TO_WHITEN * U.shape[1]
    if scale == "standard" or (scale == "auto" and not enough):
        return Coordinates(U, V, "standard")
    residuals = within_centred(U, V)
    values, basis = np.linalg.eigh(residuals.T @ residuals / (len(residuals) - 2))
    if not values[0] > 1e-12 * values[-1]:
        if scale == "auto":
            return Coordinates(U, V, "standard")
        raise ValueError(
            "scale='whiten' needs samples that vary within themselves in every "
            f"direction; {len(U)} and {len(V)} rows of {U.shape[1]} columns do not. "
            "Use scale='standard' or fewer columns."
        )
    whitener = basis / np.sqrt(values)
    return Coordinates(U @ whitener, V @ whitener, "whiten")


def power(values: Floats, exponent: float | Floats) -> Floats:
    """Power transform of Yeo and Johnson (2000), increasing, smooth, 0 at 0."""
    positive = values >= 0
    size = np.log1p(np.abs(values))
    order = np.where(positive, exponent, 2.0 - np.asarray(exponent))
    flat = np.abs(order) < 1e-8
    safe = np.where(flat, 1.0, order)
    grown = np.where(flat, size, np.expm1(safe * size) / safe)
    return np.where(positive, grown, -grown)


def log_slope(values: Floats, exponent: float | Floats) -> Floats:
    """Log derivative of `power`."""
    return (np.asarray(exponent) - 1.0) * np.sign(values) * np.log1p(np.abs(values))


def tail(values: Floats, strength: float | Floats) -> Floats:
    """Odd transform that shortens tails: asinh(strength * values) / strength."""
    strength = np.asarray(strength, dtype=np.float64)
    safe = np.where(strength > 0, strength, 1.0)
    return np.where(strength > 0, np.arcsinh(safe * values) / safe, values)


def log_tail_slope(values: Floats, strength: float | Floats) -> Floats:
    """Log derivative of `tail`."""
    return -0.5 * np.log1p((np.asarray(strength) * values) ** 2)


@dataclass(frozen=True)
class Shape:
    """A family of increasing maps of a column, with the values tried.

    Attributes
    ----------
    transform, log_slope : callable
        The map and its log derivative, of values and a parameter.
    parameters : ndarray
        Parameters that are tried.
    neutral : float
        The parameter that changes nothing.
    """

    transform: Transform
    log_slope: Transform
    parameters: Floats
    neutral: float


SHAPES = (
    Shape(power, log_slope, _POWERS, 1.0),
    Shape(tail, log_tail_slope, _TAILS, 0.0),
)


def normalise(X: Floats, Y: Floats) -> tuple[Coordinates, tuple[float, float]] | None:
    """Both samples with skewed or heavy-tailed columns made nearly Gaussian.

    Takes standardised or whitened coordinates. Column by column a power, then a tail
    transform, is chosen by the likelihood of Gaussian samples with a mean and a
    variance each. A column stays as it is unless the gain is clear. Returns None if no
    column gains, otherwise standardised coordinates and the mean log derivative of the
    whole map over the rows of each sample.
    """
    slopes, changed = [0.0, 0.0], False
    for shape in SHAPES:
        chosen = choose_shape((X, Y), shape)
        if (chosen != shape.neutral).any():
            changed = True
            for i, sample in enumerate((X, Y)):
                slopes[i] += float(shape.log_slope(sample, chosen).sum(axis=1).mean())
            X, Y = shape.transform(X, chosen), shape.transform(Y, chosen)
            X, Y = _standardise(X, Y, slopes)
    if not changed:
        return None
    return Coordinates(X, Y, "normal"), (slopes[0], slopes[1])


def _standardise(X: Floats, Y: Floats, slopes: list[float]) -> tuple[Floats, Floats]:
    """Pooled mean zero, variance within the samples one; adds to the log slopes."""
    centre = (X.sum(axis=0) + Y.sum(axis=0)) / (len(X) + len(Y))
    size = _within_deviation(X, Y)
    for i in range(len(slopes)):
        slopes[i] -= float(np.log(size).sum())
    return (X - centre) / size, (Y - centre) / size


def _within_deviation(X: Floats, Y: Floats) -> Floats:
    squares = len(X) * X.var(axis=0) + len(Y) * Y.var(axis=0)
    deviation = np.sqrt(squares / (len(X) + len(Y)))
    if not (deviation > 0).all():
        # a column that varies between the samples only has no spread within them
        between = np.concatenate([X, Y]).std(axis=0)
        deviation = np.where(deviation > 0, deviation, between)
    return np.where(deviation > 0, deviation, 1.0)


def choose_shape(samples: Sequence[Floats], shape: Shape) -> Floats:
    """Best parameter per column, the neutral one unless the gain is clear."""
    columns = np.flatnonzero(np.any([_looks_unusual(one) for one in samples], axis=0))
    parameters = np.full(samples[0].shape[1], shape.neutral)
    if columns.size == 0:
        return parameters
    n_rows, grid = sum(map(len, samples)), shape.parameters
    steps = [max(1, len(sample) // _ROWS_FOR_SHAPE) for sample in samples]
    samples = [
        sample[::step, columns] for sample, step in zip(samples, steps, strict=True)
    ]

    varied = [_varies(sample) for sample in samples]

    def likelihood(parameter: float | Floats) -> Floats:
        total = np.zeros(columns.size)
        for sample, step, counts in zip(samples, steps, varied, strict=True):
            mapped = shape.transform(sample, parameter)
            stays = _varies(mapped)  # else rounding has made values equal
            variance = np.where(stays, mapped.var(axis=0), 1.0)
            gained = shape.log_slope(sample, parameter).sum(axis=0)
            gained -= 0.5 * len(sample) * np.log(variance)
            total += np.where(counts, step * np.where(stays, gained, -np.inf), 0.0)
        return total

    table = np.array([likelihood(parameter) for parameter in grid[::_COARSE]])
    chosen, best = _COARSE * table.argmax(axis=0), table.max(axis=0)
    for step in (_COARSE // 2, _COARSE // 4):
        for towards in (-step, step):
            tried = np.clip(chosen + towards, 0, len(grid) - 1)
            reached = likelihood(grid[tried])
            chosen = np.where(reached > best, tried, chosen)
            best = np.maximum(reached, best)
    gain = best - likelihood(shape.neutral)
    clear = gain > np.maximum(_CLEAR_GAIN, _CLEAR_GAIN_PER_ROW * n_rows)
    parameters[columns] = np.where(clear, grid[chosen], shape.neutral)
    return parameters


def _varies(X: Floats) -> Mask:
    """Columns whose values differ by more than rounding."""
    return np.ptp(X, axis=0) > _ROUNDED * np.abs(X).max(axis=0)


def _looks_unusual(X: Floats) -> Mask:
    """Columns whose skewness or kurtosis is not that of a Gaussian."""
    centred = X - X.mean(axis=0)
    squares = centred**2
    variance = squares.mean(axis=0)
    # a sample that does not vary here has no shape; its powers would underflow
    variance = np.where(variance > _NO_VARIANCE, variance, 1.0)
    skewness = (squares * centred).mean(axis=0) / variance**1.5
    kurtosis = (squares**2).mean(axis=0) / variance**2 - 3
    return (np.abs(skewness) > 0.25) | (kurtosis > 0.5)
