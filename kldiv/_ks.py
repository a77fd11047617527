"""Kolmogorov-Smirnov tests in one and many dimensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import kldiv._kernels._ks as kernels
from kldiv._ks_orthants import check_dimension, orthant_gaps
from kldiv._ks_permutations import (
    Relabellings,
    parallel,
    permutation_pvalue,
    relabelled_gaps,
)
from kldiv._ks_pvalues import (
    ADJUSTMENTS,
    PVALUE_METHODS,
    one_sample_pvalues,
    two_sample_pvalues,
)
from kldiv._ks_rows import (
    one_sample_row_gaps,
    relabelled_row_gaps,
    two_sample_row_gaps,
)
from kldiv._ks_slices import max_sliced_gaps, random_directions, sliced_gaps
from kldiv._neighbors import n_threads
from kldiv._report import KSResult
from kldiv._typing import FloatArray
from kldiv._validation import (
    check_choice,
    check_n_jobs,
    check_pair,
    check_sample,
)

Array = NDArray[np.float64]

ALTERNATIVES = {"two-sided": 0, "greater": 1, "less": -1}
# Rows drawn from a law, for each row of X, by the methods that compare two samples.
DRAWS_PER_ROW = 4


@dataclass(frozen=True)
class _Task:
    """Checked arguments of one test. Exactly one of Y and law is None."""

    X: FloatArray
    Y: FloatArray | None
    law: Any
    scalar: bool
    method: str
    alternative: str
    pvalue_method: str
    n_permutations: int
    n_directions: int
    threads: int
    rng: np.random.Generator

    @property
    def m(self) -> int:
        return 0 if self.Y is None else len(self.Y)

    def reference(self) -> FloatArray:
        """Y, or a sample that stands for the law."""
        if self.Y is not None:
            return self.Y
        n, d = self.X.shape
        rows = DRAWS_PER_ROW * n
        if not hasattr(self.law, "rvs"):
            raise TypeError(
                f"method={self.method!r} draws from the law, but {self.law!r} has no "
                "rvs. Pass a frozen distribution of scipy.stats, or a sample."
            )
        # A law of whole rows knows its dimension, one of numbers is drawn per entry.
        size = rows if hasattr(self.law, "dim") else (rows, d)
        drawn = self.law.rvs(size=size, random_state=self.rng)
        return check_sample(
            np.asarray(drawn, dtype=np.float64), "the sample of the law", n_features=d
        )

    def relabellings(self, m: int) -> Relabellings:
        return Relabellings(len(self.X), m, self.n_permutations, self.rng)

    def result(self, **values: Any) -> KSResult:
        permuted = "permutation" if self.n_permutations else "none"
        defaults: dict[str, Any] = {
            "method": self.method,
            "pvalue_method": permuted,
            "alternative": self.alternative,
            "n": len(self.X),
            "m": self.m,
            "n_features": self.X.shape[1],
            "n_permutations": self.n_permutations,
        }
        return KSResult(**(defaults | values))


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
) -> KSResult:
    r"""Kolmogorov-Smirnov test of two samples, or of a sample against a law.

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
        take p-values from the law of the statistic and the other methods give ``nan``.
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
        compared with the law, or with all numbers in Y; the p-values are averaged. A
        mean of p-values is not a p-value, but twice the mean is a valid bound
        (Vovk and Wang 2020) if the coordinates of a row are independent. Its power
        grows with the number of columns, not of rows.
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

    Against a law the last three compare with a sample drawn from it, four times as
    large as X; the p-value by permutation is valid all the same.

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
    check_choice(method, tuple(METHODS), "method")
    check_choice(alternative, tuple(ALTERNATIVES), "alternative")
    check_choice(pvalue_method, PVALUE_METHODS, "pvalue_method")
    check_count(n_permutations, "n_permutations", 0)
    check_count(n_directions, "n_directions", 1)
    check_n_jobs(n_jobs)
    if alternative != "two-sided" and method != "columns":
        raise ValueError(
            f"alternative={alternative!r} is defined for method='columns'; "
            f"method={method!r} has no direction. Use alternative='two-sided'."
        )
    scalar = np.ndim(X) == 1
    law = Y if hasattr(Y, "cdf") else None
    if law is None:
        X, Y = check_pair(X, Y)
    else:
        X = check_sample(X, "X")
    if law is not None and n_permutations and method in ("columns", "rows"):
        raise ValueError(
            f"n_permutations={n_permutations} with method={method!r} needs two "
            "samples; against a law the p-values are known. Use n_permutations=0."
        )
    task = _Task(
        X,
        None if law is not None else Y,
        law,
        scalar,
        method,
        alternative,
        pvalue_method,
        int(n_permutations),
        int(n_directions),
        n_threads(n_jobs),
        np.random.default_rng(random_state),
    )
    return METHODS[method](task)


def check_count(value: Any, name: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name} must be an integer of at least {least}; got {value!r}."
        )
    if value < least:
        raise ValueError(f"{name} must be at least {least}; got {value}.")


def _columns(task: _Task) -> KSResult:
    side = ALTERNATIVES[task.alternative]
    if task.Y is None:
        statistic, location, sign = _law_gaps(task.X, task.law, side)
        pvalue, used = one_sample_pvalues(
            statistic, len(task.X), task.alternative, task.pvalue_method
        )
    else:
        statistic, location, sign = _column_gaps(task.X, task.Y, side, task.threads)
        if not task.n_permutations:
            pvalue, used = two_sample_pvalues(
                statistic, len(task.X), task.m, task.alternative, task.pvalue_method
            )
    if task.n_permutations and task.Y is not None:
        pooled = np.concatenate([task.X, task.Y])
        gaps = relabelled_gaps(pooled, task.relabellings(task.m), task.threads, side)
        pvalue, used = permutation_pvalue(gaps), "permutation"
        overall = float(permutation_pvalue(gaps.max(axis=0)))
    else:
        overall = min(1.0, float(pvalue.min()) * len(pvalue))
    adjusted = {f"pvalue_{name}": f(pvalue) for name, f in ADJUSTMENTS.items()}

    def shaped(values: NDArray[Any]) -> Any:
        return values[0].item() if task.scalar else values

    return task.result(
        statistic=shaped(statistic),
        pvalue=shaped(pvalue),
        global_statistic=float(statistic.max()),
        global_pvalue=overall,
        pvalue_method=used,
        statistic_location=shaped(location),
        statistic_sign=shaped(sign),
        **adjusted,
    )


def _column_gaps(
    X: FloatArray, Y: FloatArray, side: int, threads: int
) -> tuple[Array, Array, NDArray[np.int8]]:
    """Statistic, location and sign of every column."""
    d = X.shape[1]
    high, high_at, low, low_at = np.empty((4, d))
    edges = np.linspace(0, d, min(threads, d) + 1).astype(int)

    def work(part: slice) -> None:
        kernels.column_gaps(
            X[:, part],
            Y[:, part],
            side >= 0,
            side <= 0,
            *(out[part] for out in (high, high_at, low, low_at)),
        )

    parallel(work, [slice(*pair) for pair in pairwise(edges)], threads)
    minus = (side < 0) | ((side == 0) & (-low > high))
    statistic = np.where(minus, np.clip(-low, 0, 1), high)
    sign = np.where(minus, -1, 1).astype(np.int8)
    return statistic, np.where(minus, low_at, high_at), sign


def _law_gaps(
    X: FloatArray, law: Any, side: int
) -> tuple[Array, Array, NDArray[np.int8]]:
    """The same against a law; the law may have one parameter per column."""
    ascending = np.sort(X, axis=0).astype(np.float64)
    n, columns = len(X), np.arange(X.shape[1])
    probability = check_probabilities_of_law(law, ascending)
    rank = np.arange(1.0, n + 1)[:, None] / n
    above, below = rank - probability, probability - (rank - 1 / n)
    at_above, at_below = above.argmax(axis=0), below.argmax(axis=0)
    high, low = above[at_above, columns], below[at_below, columns]
    plus = (side > 0) | ((side == 0) & (high > low))
    at = np.where(plus, at_above, at_below)
    sign = np.where(plus, 1, -1).astype(np.int8)
    return np.where(plus, high, low), ascending[at, columns], sign


def check_probabilities_of_law(law: Any, values: Array) -> Array:
    """``law.cdf(values)``, or ValueError if it is not one probability per value."""
    probability = np.asarray(law.cdf(values), dtype=np.float64)
    if probability.shape != values.shape:
        raise ValueError(
            f"the law gave probabilities of shape {probability.shape} for values of "
            f"shape {values.shape}; a law of one number is needed here. Use "
            "method='sliced', 'max-sliced' or 'fasano-franceschini' with a law of "
            "whole rows."
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError(
            "the distribution function of the law gave values outside [0, 1] or NaN; "
            "check its parameters."
        )
    return probability


def _rows(task: _Task) -> KSResult:
    d = task.X.shape[1]
    if task.Y is None:
        probability = check_probabilities_of_law(task.law, task.X.astype(np.float64))
        gaps = one_sample_row_gaps(probability)
        pvalues, used = one_sample_pvalues(gaps, d, "two-sided", task.pvalue_method)
    else:
        gaps = two_sample_row_gaps(task.X, task.Y)
        pvalues, used = two_sample_pvalues(
            gaps, d, task.Y.size, "two-sided", task.pvalue_method
        )
    pvalue = float(pvalues.mean())
    overall = min(1.0, 2 * pvalue)
    if task.n_permutations and task.Y is not None:
        permuted = relabelled_row_gaps(
            np.concatenate([task.X, task.Y]), task.relabellings(task.m), task.threads
        )
        pvalue = overall = float(permutation_pvalue(permuted))
        used = "permutation"
    return task.result(
        statistic=float(gaps.mean()),
        pvalue=pvalue,
        global_statistic=float(gaps.mean()),
        global_pvalue=overall,
        pvalue_method=used,
        row_statistic=gaps,
        row_pvalue=pvalues,
    )


def _one_number(
    task: _Task, m: int, gaps: NDArray[np.int64], unit: float, **more: Any
) -> KSResult:
    """Result of a method whose p-value comes from permutations only."""
    statistic = float(gaps[0] * unit)
    pvalue = float(permutation_pvalue(gaps)) if task.n_permutations else float("nan")
    return task.result(
        statistic=statistic,
        pvalue=pvalue,
        global_statistic=statistic,
        global_pvalue=pvalue,
        m=m,
        **more,
    )


def _sliced(task: _Task) -> KSResult:
    Y = task.reference()
    pooled, relabellings = np.concatenate([task.X, Y]), task.relabellings(len(Y))
    directions = random_directions(pooled.shape[1], task.n_directions, task.rng)
    gaps = sliced_gaps(pooled, directions, relabellings, task.threads)
    unit = 1 / (relabellings.multiple * task.n_directions)
    return _one_number(task, len(Y), gaps, unit, n_directions=task.n_directions)


def _max_sliced(task: _Task) -> KSResult:
    Y = task.reference()
    pooled, relabellings = np.concatenate([task.X, Y]), task.relabellings(len(Y))
    gaps, direction = max_sliced_gaps(
        pooled, task.n_directions, relabellings, task.rng, task.threads
    )
    return _one_number(
        task,
        len(Y),
        gaps,
        1 / relabellings.multiple,
        direction=direction,
        n_directions=task.n_directions,
    )


def _fasano_franceschini(task: _Task) -> KSResult:
    check_dimension(task.X.shape[1])
    Y = task.reference()
    pooled, relabellings = np.concatenate([task.X, Y]), task.relabellings(len(Y))
    gaps = orthant_gaps(pooled, relabellings, task.threads)
    return _one_number(task, len(Y), gaps, 1 / (2 * relabellings.multiple))


METHODS: dict[str, Callable[[_Task], KSResult]] = {
    "columns": _columns,
    "rows": _rows,
    "sliced": _sliced,
    "max-sliced": _max_sliced,
    "fasano-franceschini": _fasano_franceschini,
}
