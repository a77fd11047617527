"""Numbers of any size, brought to where their powers neither overflow nor vanish.

Samples are multiplied by a power of two, which loses nothing and is undone in results
that have a unit. Where no one power of two will do, the samples are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from math import frexp, ldexp

import numpy as np
from numpy.typing import NDArray

from kldiv._typing import FloatArray, Floats

# Fourth powers of numbers between these powers of two are normal, with room for sums.
_LEAST, _MOST = -200, 200
_MOST_FLOAT32, _LEAST_FLOAT32 = 50, -50
_BITS = 53
_NUMBERS = 1 << 16  # looked at together, in the cache


def brought_into_range(
    X: FloatArray,
    Y: FloatArray,
    names: tuple[str, str] = ("X", "Y"),
    bounds: tuple[int, int] = (_LEAST, _MOST),
) -> tuple[FloatArray, FloatArray, int]:
    """Both samples times one power of two, and its exponent.

    The exponent is 0 and the arrays are the same unless largest numbers or spreads of
    columns are outside the powers of two in `bounds`. Then columns of one value become
    0, because nothing else can be said of them.

    Raises
    ------
    ValueError
        If one column is so much wider than another that none will do.
    """
    low, high = _range_of(X, Y)
    least, most = bounds
    if X.itemsize == 4:
        least, most = max(least, _LEAST_FLOAT32), min(most, _MOST_FLOAT32)
    # neighbouring numbers differ by 2**-53 of their size at least
    if high == 0 or (_exponent(high) <= most and _exponent(low) >= least + _BITS):
        return X, Y, 0
    least, most = bounds
    X, Y = X.astype(np.float64, copy=False), Y.astype(np.float64, copy=False)
    varies = (X[0] != X).any(axis=0) | (X[0] != Y).any(axis=0)
    if not varies.any():
        return np.zeros_like(X), np.zeros_like(Y), 0
    size = np.maximum(np.abs(X).max(axis=0), np.abs(Y).max(axis=0))
    spread = np.where(varies, _spread(X, Y), np.inf)
    top, bottom = _exponent(float(size[varies].max())), _exponent(float(spread.min()))
    shift = min(most - top, max(least - bottom, 0))
    if varies.all() and shift == 0:
        return X, Y, 0
    scaled = [np.where(varies, rows, 0) * ldexp(1, shift) for rows in (X, Y)]
    lost = any(
        (np.where(varies, rows, 0) != new * ldexp(1, -shift)).any()
        for rows, new in zip((X, Y), scaled, strict=True)
    )
    if lost or bottom + shift < least:
        raise _too_far_apart(size, spread, varies, low, names)
    return scaled[0], scaled[1], shift


def columns_near_one(rows: FloatArray) -> tuple[Floats, NDArray[np.int64]]:
    """Each column times a power of two that brings its largest number near 1.

    For what does not depend on the units of columns; returns the exponents as well.
    """
    largest = np.abs(rows).max(axis=0).astype(np.float64)
    exponents = -np.frexp(largest)[1].astype(np.int64)
    return np.ldexp(rows.astype(np.float64), exponents), exponents


def restored(value: float, exponent: int, what: str) -> float:
    """A length that was computed after a shift by `exponent`, in its own unit."""
    try:
        return ldexp(value, -exponent)
    except OverflowError:
        raise ValueError(
            f"the {what} of these samples passes {np.finfo(float).max:.3g}, the "
            "largest number that float64 holds. Measure the columns in a larger unit."
        ) from None


def _range_of(*samples: FloatArray) -> tuple[float, float]:
    """Smallest positive and largest magnitude."""
    low, high = np.inf, 0.0
    for rows in samples:
        step = max(1, _NUMBERS // rows.shape[1])
        for start in range(0, len(rows), step):
            size = np.abs(rows[start : start + step])
            high = max(high, float(size.max()))
            low = min(low, float(size.min(where=size > 0, initial=np.inf)))
    return low, high


def _exponent(value: float) -> int:
    return frexp(value)[1]


def _spread(X: FloatArray, Y: FloatArray) -> Floats:
    """Smallest positive spread of each column, in one sample or between both.

    Spread is the median distance from the median, or if that is 0 the largest.
    """

    def halves(rows: FloatArray, of: Callable[..., Floats]) -> Floats:
        half = np.abs(rows / 2 - np.median(rows / 2, axis=0))
        return of(half, axis=0)

    pooled = np.concatenate([X, Y])
    found = [halves(rows, of) for rows in (X, Y, pooled) for of in (np.median, np.max)]
    inner = [
        np.where(a > 0, a, b) for a, b in zip(found[::2], found[1::2], strict=True)
    ]
    half = np.min([np.where(a > 0, a, np.inf) for a in inner], axis=0)
    return 2 * np.minimum(half, np.finfo(float).max / 2)


def _too_far_apart(
    size: Floats,
    spread: Floats,
    varies: NDArray[np.bool_],
    low: float,
    names: tuple[str, str],
) -> ValueError:
    widest, narrowest = int(np.where(varies, size, 0).argmax()), int(spread.argmin())
    return ValueError(
        f"the numbers of {names[0]} and {names[1]} are too far apart for float64: in "
        f"magnitude they reach from {low:.3g} to {size[widest]:.3g} (column {widest}), "
        f"and column {narrowest} spreads over {spread[narrowest]:.3g} only. Bring the "
        "columns to comparable units, for instance with "
        "sklearn.preprocessing.StandardScaler, or leave out the rows with fill values."
    )
