"""How long an estimate will take, from shorter ones on parts of the samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from kldiv._estimation._categories import checked_samples
from kldiv._estimation._estimate import estimate
from kldiv._estimation._options import Options
from kldiv._estimation._timing import PARTS, carried_on
from kldiv._typing import Rows

if TYPE_CHECKING:
    from kldiv._estimators import KNNDivergence


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
    if estimator is not None and not hasattr(estimator, "_check_parameters"):
        raise TypeError(f"estimator must be a KNNDivergence; got {estimator!r}.")
    options = Options() if estimator is None else Options(**estimator.get_params())
    options.check()
    silent = replace(options, verbose=0, random_state=0)
    x, y, asked = checked_samples(X, Y, options.discrete)

    def compare(of_x: Rows, of_y: Rows) -> object:
        return estimate(
            x[of_x],
            y[of_y],
            silent,
            asked,
            confidence_level=confidence_level,
            n_permutations=n_permutations,
        )

    return carried_on(compare, len(x), len(y), PARTS)
