"""The methods of comparison, and the Kolmogorov-Smirnov test in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kldiv._ks._columns import ALTERNATIVES, columns
from kldiv._ks._integers import Ranks, ranks_of
from kldiv._ks._orthants import fasano_franceschini
from kldiv._ks._pvalues import PVALUE_METHODS
from kldiv._ks._rows import rows
from kldiv._ks._slices import max_sliced, sliced
from kldiv._ks._task import Task
from kldiv._ks._weighted import weighted_sliced
from kldiv._results._ks_result import KSResult
from kldiv._typing import FloatArray
from kldiv._validation import (
    Weights,
    check_choice,
    check_integer,
    check_n_jobs,
    check_pair,
    check_sample,
    column_names,
    generator_of,
    n_threads,
    whole_frame,
    within_limits,
)

METHODS: dict[str, Callable[[Task], KSResult]] = {
    "columns": columns,
    "rows": rows,
    "sliced": sliced,
    "max-sliced": max_sliced,
    "fasano-franceschini": fasano_franceschini,
}

#: The same for weighted rows.
WEIGHTED: dict[str, Callable[[Task], KSResult]] = {
    "columns": columns,
    "sliced": weighted_sliced,
}


def ks_test(
    X: ArrayLike,
    Y: Any,
    *,
    method: str = "columns",
    n_permutations: int = 0,
    alternative: str = "two-sided",
    pvalue_method: str = "auto",
    n_directions: int = 100,
    n_jobs: int | None = None,
    random_state: Any = None,
    sample_weight: ArrayLike | None = None,
    reference_weight: ArrayLike | None = None,
    verbose: int = 0,
) -> KSResult:
    r"""Kolmogorov-Smirnov test of two samples, or of a sample against a distribution.

    Parameters
    ----------
    X : array-like of shape (n, n_features) or (n,)
        Sample of P. A vector is a sample of one column.
    Y : array-like of shape (m, n_features) or (m,), or frozen distribution
        Sample of Q, or Q itself as a frozen continuous distribution of
        :mod:`scipy.stats`.
    method : {"columns", "rows", "sliced", "max-sliced", "fasano-franceschini"}
        What is compared; see Notes.
    n_permutations : int, default=0
        Random relabellings of the pooled rows. With them p-values are
        ``(b + 1) / (n_permutations + 1)``; without them ``"columns"`` and ``"rows"``
        take p-values from the distribution of the statistic and the other methods give
        ``nan``.
    alternative : {"two-sided", "less", "greater"}, default="two-sided"
        As in :func:`scipy.stats.ks_2samp`: ``"greater"`` looks for places where the
        distribution function of X is the larger one. ``"columns"`` only.
    pvalue_method : {"auto", "exact", "asymp"}, default="auto"
        As ``method`` of :func:`scipy.stats.ks_2samp` and :func:`scipy.stats.ks_1samp`;
        the result records which was used. Exact means for distinct values.
    n_directions : int, default=100
        Random directions of ``"sliced"`` and ``"max-sliced"``.
    n_jobs : int, optional
        Threads; None is one, -1 all available ones. Results do not depend on it.
    random_state : None, int or Generator
        Seed of relabellings, directions and draws.
    sample_weight, reference_weight : array-like of shape (n,) and (m,), optional
        How many rows each row of X and of Y stands for. ``"columns"`` and ``"sliced"``
        only, without permutations. The p-values of ``"columns"`` are those of as many
        rows as equal weights would be worth (Kish), which is an approximation.
    verbose : int, default=0
        1 writes to standard error how many relabellings are done, and how long the
        others will take, if that is more than ten seconds.

    Returns
    -------
    KSResult
        Statistics, p-values and how they were obtained.

    Raises
    ------
    ValueError
        For an empty sample, NaN, infinity, different widths, more than five columns
        with ``"fasano-franceschini"``, or an unknown option.
    TypeError
        For input that is not numeric.

    See Also
    --------
    KSDistance : The same statistics as an estimator.
    kl_divergence : A divergence instead of a largest gap.

    Notes
    -----
    The gap of two distribution functions is
    :math:`D = \sup_t |F_X(t) - F_Y(t)|`.

    ``"columns"``
        One gap per column, equal to :func:`scipy.stats.ks_2samp`, with p-values
        adjusted for the number of columns.
    ``"rows"``
        The coordinates of each row of X are taken for a sample of one number and
        compared with the distribution, or with all numbers in Y; the p-values are
        averaged. A mean of p-values is not a p-value, but twice the mean is a valid
        bound (Vovk and Wang 2020) if the coordinates of a row are independent. Its
        power grows with the number of columns, not of rows.
    ``"sliced"``
        Mean gap along uniformly random directions.
    ``"max-sliced"``
        Largest gap along any direction that a search finds: random directions, the
        columns, the discriminant of the means, the direction in which the second
        moments differ most, then gradient ascent. Each relabelling repeats the search.
    ``"fasano-franceschini"``
        Largest difference between the shares of both samples in an orthant around a
        row, averaged over centres in X and in Y; at most five columns. Each row
        belongs to the orthant with the coordinates ``<=`` its own.

    Against a distribution the last three compare with a sample drawn from it, four
    times as large as X; the p-value by permutation is valid all the same.

    References
    ----------
    G. Fasano, A. Franceschini, "A multidimensional version of the Kolmogorov-Smirnov
    test", Monthly Notices of the Royal Astronomical Society 225, 1987. J. A. Peacock,
    "Two-dimensional goodness-of-fit testing in astronomy", ibid. 202, 1983. V. Vovk,
    R. Wang, "Combining p-values via averaging", Biometrika 107, 2020. B. Phipson,
    G. K. Smyth, "Permutation p-values should never be zero", 2010.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import ks_test
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(200, 3)), rng.normal([0, 0, 1], 1, (300, 3))
    >>> result = ks_test(X, Y)
    >>> result.statistic.round(2)
    array([0.09, 0.09, 0.39])
    >>> (result.pvalue_holm < 0.05).tolist()
    [False, False, True]
    """
    _check_options(method, alternative, pvalue_method, n_permutations)
    given = X = whole_frame(X)
    law, Y = (Y, None) if hasattr(Y, "cdf") else (None, whole_frame(Y))
    X, Y, ranks = _checked(X, Y, law, method)
    _refuse_permutations(law, method, n_permutations)
    X, Y, weights = _weighted(X, Y, sample_weight, reference_weight)
    options = method, pvalue_method, n_permutations
    task = Task(
        X=X,
        Y=Y,
        weights=weights,
        law=law,
        scalar=np.ndim(given) == 1,
        method=method,
        alternative=alternative,
        pvalue_method=pvalue_method if weights is None else _approximate(*options),
        n_permutations=int(n_permutations),
        n_directions=check_integer(n_directions, "n_directions", 1),
        threads=n_threads(check_n_jobs(n_jobs)),
        rng=generator_of(random_state),
        names=column_names(given),
        verbose=verbose,
    )
    result = _measured(task)
    return result if ranks is None else ranks.undone(result)


def _measured(task: Task) -> KSResult:
    with within_limits():
        return (METHODS if task.weights is None else WEIGHTED)[task.method](task)


def _checked(
    X: Any, Y: Any, law: Any, method: str
) -> tuple[FloatArray, FloatArray | None, Ranks | None]:
    """Checked samples, which are ranks where float64 would round them."""
    if law is not None:
        _refuse_discrete(law)
        return check_sample(X, "X"), None, None
    ranks = ranks_of(X, Y) if method == "columns" else None
    if ranks is not None:
        return ranks.X, ranks.Y, ranks
    return *check_pair(X, Y), None


def _weighted(
    X: FloatArray, Y: FloatArray | None, of_x: Any, of_y: Any
) -> tuple[FloatArray, FloatArray | None, Weights | None]:
    """Rows whose weight is not zero, and weights where they do not all count alike."""
    if Y is None and of_y is not None:
        raise ValueError(
            "reference_weight was given with a distribution in place of Y, which has "
            "no rows. Leave it out."
        )
    weights = Weights.of(of_x, of_y, len(X), 1 if Y is None else len(Y))
    if weights is None:
        return X, Y, None
    x, y = np.flatnonzero(weights.of_x), np.flatnonzero(weights.of_y)
    left = weights.taken(x, y)
    Y = None if Y is None else Y[y]
    return X[x], Y, None if left.uniform else left


def _approximate(method: str, pvalue_method: str, n_permutations: Any) -> str:
    """How p-values of weighted rows are had; ValueError for what has none."""
    if method not in WEIGHTED:
        raise ValueError(
            f"method={method!r} takes no weights. Use method='columns' or 'sliced'."
        )
    if n_permutations:
        raise ValueError(
            f"n_permutations={n_permutations} relabels rows, and rows with weights "
            "cannot be exchanged: they come from other distributions than those "
            "compared. Use n_permutations=0."
        )
    if pvalue_method == "exact":
        raise ValueError(
            "pvalue_method='exact' counts orders of rows that count alike; weighted "
            "rows have approximate p-values. Use pvalue_method='asymp'."
        )
    return "asymp"


def _refuse_discrete(law: Any) -> None:
    """Raise ValueError for a distribution with jumps: its p-values do not hold."""
    if hasattr(law, "pmf") or hasattr(getattr(law, "dist", None), "pmf"):
        called = getattr(getattr(law, "dist", law), "name", type(law).__name__)
        raise ValueError(
            f"Y is a discrete distribution ({called}); the distribution of the gap is "
            "known for continuous ones only. Compare counts with "
            "scipy.stats.chisquare, or give a large sample of the distribution as Y "
            "with n_permutations=999."
        )


def _refuse_permutations(law: Any, method: str, n_permutations: int) -> None:
    """Raise ValueError if p-values against a distribution are known."""
    if law is not None and n_permutations and method in ("columns", "rows"):
        raise ValueError(
            f"n_permutations={n_permutations} with method={method!r} needs two "
            "samples; against a distribution the p-values are known. Use "
            "n_permutations=0."
        )


def _check_options(
    method: str, alternative: str, pvalue_method: str, n_permutations: Any
) -> None:
    check_choice(method, tuple(METHODS), "method")
    check_choice(alternative, tuple(ALTERNATIVES), "alternative")
    check_choice(pvalue_method, PVALUE_METHODS, "pvalue_method")
    check_integer(n_permutations, "n_permutations", 0)
    if alternative != "two-sided" and method != "columns":
        raise ValueError(
            f"alternative={alternative!r} is defined for method='columns'; "
            f"method={method!r} has no direction. Use alternative='two-sided'."
        )
