"""How long an estimate will take, from shorter ones on parts of the samples."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from kldiv._estimation._categories import checked_samples
from kldiv._estimation._columns import Asked
from kldiv._estimation._estimate import estimate
from kldiv._estimation._options import Options
from kldiv._typing import FloatArray, Rows

if TYPE_CHECKING:
    from kldiv._estimators import KNNDivergence

# Rows of both samples in the parts that are timed.
_ROWS = (500, 1000, 2000)
# Searches cost between n log n and n squared.
_LEAST_POWER, _MOST_POWER = 1.0, 2.0


def expected_seconds(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    estimator: KNNDivergence | None = None,
    confidence_level: float | None = 0.95,
    n_permutations: int = 0,
) -> float:
    """Seconds that an estimate of a divergence will take on this machine.

    Random parts of the samples are timed, which takes a second or a few, and the time
    is carried on to all rows by the power of their number that the parts show.

    Parameters
    ----------
    X, Y : array-like of shape (n, n_features) and (m, n_features)
        The samples of P and of the reference Q.
    estimator : KNNDivergence, optional
        The estimate; ``KNNDivergence()`` by default.
    confidence_level : float or None, default=0.95
        As in :func:`estimate_divergence`; without an interval it is much faster.
    n_permutations : int, default=0
        As in :func:`estimate_divergence`.

    Returns
    -------
    float
        Wall time in seconds; seldom off by more than a factor of two.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import KNNDivergence, expected_seconds
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(20000, 2)), rng.normal(size=(30000, 2))
    >>> fast = KNNDivergence(correction=None)
    >>> 0 < expected_seconds(X, Y, estimator=fast, confidence_level=None) < 60
    True
    """
    options = Options() if estimator is None else Options(**estimator.get_params())
    options.check()
    wanted = {"confidence_level": confidence_level, "n_permutations": n_permutations}
    x, y, asked = checked_samples(X, Y, options.discrete)
    rng = np.random.default_rng(0)
    total = len(x) + len(y)
    measured: list[tuple[int, float]] = []
    for rows in _ROWS:
        parts = [_part(one, rows / total, rng) for one in (x, y)]
        taken = _seconds(parts, options, asked, wanted)
        measured.append((sum(map(len, parts)), taken))
        if rows >= total:
            break
    return _carried_on(measured, total)


def _part(sample: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    """Random rows, all if the share is one or more."""
    if share >= 1:
        return sample
    size = max(1, round(share * len(sample)))
    rows: Rows = np.sort(rng.choice(len(sample), size, replace=False))
    return sample[rows]


def _seconds(
    parts: list[FloatArray], options: Options, asked: Asked, wanted: dict[str, Any]
) -> float:
    started = time.perf_counter()
    estimate(parts[0], parts[1], options, asked, **wanted)
    return time.perf_counter() - started


def _carried_on(measured: list[tuple[int, float]], total: int) -> float:
    """Time for all rows from that for parts; the first part only warms up."""
    rows, seconds = measured[-1]
    if rows >= total or len(measured) < len(_ROWS):
        return seconds
    before, its_seconds = measured[-2]
    power = np.log(seconds / its_seconds) / np.log(rows / before)
    power = float(np.clip(power, _LEAST_POWER, _MOST_POWER))
    return float(seconds * (total / rows) ** power)
