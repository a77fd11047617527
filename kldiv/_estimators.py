"""Divergences between two samples: functions and the scikit-learn estimator."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from kldiv._backends import BACKENDS, UserMetric
from kldiv._backends._user_metric import metric_name
from kldiv._coordinates import SCALES, in_range, rank_of
from kldiv._divergences import CORRECTIONS, DIVERGENCES, Divergence, of_generator
from kldiv._duplicates import (
    DUPLICATE_POLICIES,
    DuplicateCounts,
    count_duplicates,
    discrete_columns,
    dither,
    grid_steps,
    refuse_duplicates,
    row_ids,
)
from kldiv._inference import effects_of, permutation_pvalue, spread_of
from kldiv._log_ratio import (
    LogRatio,
    choose_correction,
    estimate_log_ratio,
)
from kldiv._neighbors import check_algorithm, check_metric, n_threads
from kldiv._overlap import apart_note, coverage_of
from kldiv._results import DivergenceResult
from kldiv._validation import (
    FloatArray,
    check_choice,
    check_level,
    check_n_jobs,
    check_n_neighbors,
    check_n_permutations,
    check_order,
    check_pair,
    check_sizes,
    on_host,
)

# Repeated rows up to this share of all rows leave duplicates="expand" an estimate.
_FEW_TIES = 0.05
# Divergences that are finite whatever the laws are.
_BOUNDED = ("hellinger", "jensen-shannon", "total-variation")
_DISCRETE = {
    "raise": "",
    "drop": "duplicates='drop' leaves {n} rows of X and {m} of Y. ",
    "expand": "duplicates='expand' only keeps it finite. ",
}


def kl_divergence(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    n_neighbors: int = 5,
    correction: str | None = "auto",
    algorithm: str = "auto",
    duplicates: str = "raise",
    n_jobs: int | None = None,
) -> float:
    """Kullback-Leibler divergence D(P || Q) from a sample of each, in nats.

    Parameters
    ----------
    X : array-like of shape (n, n_features)
        Sample of P; n is at least ``n_neighbors + 1``.
    Y : array-like of shape (m, n_features)
        Sample of Q, the reference; m is at least ``n_neighbors``.
    n_neighbors : int, default=5
        k of the k-nearest-neighbour estimator.
    correction : {"auto", None, "adaptive", "gaussian", "mixture"}, default="auto"
        None is the published estimator with fixed k, "adaptive" chooses k per row
        (Wang, Kulkarni and Verdu 2009, section IV). "gaussian" and "mixture" take the
        masses of the neighbour balls from references fitted to the samples instead of
        "density times volume", which in more than five columns is far off. "auto" is
        "mixture", whose number of components is chosen by held-out likelihood, up to
        150 columns, "gaussian" beyond, and one of the first two below 20 rows.
    algorithm : str, default="auto"
        How neighbours are searched; all ways give the same distances.
    duplicates : {"raise", "drop", "expand", "dither"}, default="raise"
        What to do about rows that occur more than once: raise ValueError, keep first
        occurrences and remove shared rows from Y, grow k per row to the first
        positive distance, or, for whole numbers and rounded values, spread each value
        evenly over its grid cell.
    n_jobs : int, optional
        Threads; None is one, -1 all available ones.

    Returns
    -------
    float
        The estimate in nats. It may be negative in small samples and is not clipped.

    Raises
    ------
    ValueError
        For NaN, infinity, different widths, too few rows, repeated rows, or an unknown
        option.
    TypeError
        For sparse or non-numeric input or a non-integer `n_neighbors`.

    References
    ----------
    F. Perez-Cruz, "Kullback-Leibler divergence estimation of continuous
    distributions", ISIT 2008. Q. Wang, S. R. Kulkarni, S. Verdu, "Divergence
    estimation for multidimensional densities via k-nearest-neighbor distances", IEEE
    Transactions on Information Theory 55, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import kl_divergence
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(1, 1, (1000, 1)), rng.normal(0, 1, (1000, 1))
    >>> round(kl_divergence(X, Y, correction=None), 1)
    0.4
    """
    return divergence(
        X,
        Y,
        divergence="kl",
        n_neighbors=n_neighbors,
        correction=correction,
        algorithm=algorithm,
        duplicates=duplicates,
        n_jobs=n_jobs,
    )


def divergence(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    divergence: str | Callable[[Any], Any] = "kl",
    **options: Any,
) -> float:
    """Any divergence of the registry from two samples, in nats.

    Parameters
    ----------
    X, Y : array-like of shape (n, n_features) and (m, n_features)
        The samples of P and of the reference Q.
    divergence : str or callable, default="kl"
        Key of the divergence, or the generator f of an f-divergence: a function of an
        array of density ratios p/q, compiled if Numba is installed.
    **options
        As in :func:`estimate_divergence`.

    Returns
    -------
    float
        The estimate.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import divergence
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(1, 1, (1000, 1)), rng.normal(0, 1, (1000, 1))
    >>> round(divergence(X, Y, divergence="hellinger"), 1)
    0.1
    >>> found = divergence(X, Y, divergence=lambda ratio: ratio * np.log(ratio))
    >>> bool(abs(found - 0.5) < 0.1)
    True
    """
    options.setdefault("confidence_level", None)
    return estimate_divergence(X, Y, divergence=divergence, **options).value


def estimate_divergence(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    divergence: str | Callable[[Any], Any] = "kl",
    n_neighbors: int = 5,
    correction: str | None = "auto",
    algorithm: str = "auto",
    duplicates: str = "raise",
    n_jobs: int | None = None,
    confidence_level: float | None = 0.95,
    n_permutations: int = 0,
    random_state: Any = None,
    scale: str | None = "auto",
    order: float = 0.5,
    metric: str | UserMetric = "euclidean",
) -> DivergenceResult:
    """Divergence of two samples, how sure it is, and how it was obtained.

    Parameters
    ----------
    X, Y : array-like of shape (n, n_features) and (m, n_features)
        The samples of P and of the reference Q.
    divergence : str or callable, default="kl"
        Key of the divergence, or the generator f of an f-divergence: a function of an
        array of density ratios p/q that returns as many numbers. Numba compiles it if
        installed; where it is not, or cannot compile the function, NumPy evaluates it,
        with the same numbers. ``evaluated_by`` of the result says which.
    n_neighbors, correction, algorithm, duplicates, n_jobs
        As in :func:`kl_divergence`.
    confidence_level : float or None, default=0.95
        Of the interval; None computes no standard error.
    n_permutations : int, default=0
        Permutations for the p-value of "both samples have one law"; 0 for none.
    random_state : None, int or Generator
        Seed of the permutations and of ``duplicates="dither"``. Otherwise the estimate
        is not random.
    scale : {"auto", None, "standard", "whiten"}, default="auto"
        Common coordinates in which neighbours are searched: those given, columns of
        unit variance within the samples, or uncorrelated ones. "auto" leaves the
        published estimators alone; for references it whitens samples of at least 100
        rows per column, standardises smaller ones, and makes skewed or heavy-tailed
        columns nearly Gaussian where that helps the references.
    order : float, default=0.5
        Order of the Renyi and Tsallis divergences.
    metric : {"euclidean", "manhattan", "chebyshev"} or callable, default="euclidean"
        Metric of the neighbours: a name, or a function of two rows that Numba compiles.
        The estimators need of it only that balls of radius r around one row have a
        volume proportional to r to the power of the dimension, because the factor
        cancels. References ("gaussian", "mixture") are Euclidean; "auto" with another
        metric is "adaptive" up to five columns and None beyond.

    Returns
    -------
    DivergenceResult
        Value in nats, standard error, confidence interval, p-value, sizes, the
        correction and search that were used, the number of repeated rows, coverage.

    Raises
    ------
    ValueError, TypeError
        As :func:`kl_divergence`.

    Notes
    -----
    The standard error comes from the effects of single rows on the estimate, and the
    interval is Student's; both are None if a sample has fewer than five groups of
    ``n_neighbors + 1`` rows. See the user guide, "How sure is the number".

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import estimate_divergence
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(1, 1, (1000, 1)), rng.normal(0, 1, (500, 1))
    >>> result = estimate_divergence(X, Y, n_permutations=99, random_state=0)
    >>> low, high = result.confidence_interval
    >>> low < 0.5 < high, result.pvalue
    (True, 0.01)
    """
    X, Y = check_pair(X, Y)
    check_level(confidence_level)
    settings = KNNDivergence(
        divergence,
        n_neighbors,
        correction,
        algorithm,
        duplicates,
        n_jobs,
        random_state,
        scale,
        order,
        metric,
    )
    settings.check_parameters()
    result = settings.estimate_checked(
        X,
        Y,
        confidence_level=confidence_level,
        n_permutations=check_n_permutations(n_permutations),
    )
    warn_of(result.notes)
    return result


class KNNDivergence(BaseEstimator):
    """k-nearest-neighbour divergence of samples from a reference, in nats.

    ``KNNDivergence().fit(reference).score(X)`` estimates D(X || reference), so it ends
    a pipeline. See the user guide, "Divergences".

    Parameters
    ----------
    divergence : str or callable, default="kl"
        Key of the divergence, or the generator of an f-divergence.
    n_neighbors : int, default=5
        k.
    correction : {"auto", None, "adaptive", "gaussian", "mixture"}, default="auto"
        As in :func:`kl_divergence`.
    algorithm : str, default="auto"
        How neighbours are searched.
    duplicates : {"raise", "drop", "expand", "dither"}, default="raise"
        What to do about rows that occur more than once.
    n_jobs : int, optional
        Threads; None is one, -1 all available ones.
    random_state : None, int or Generator
        Seed of ``duplicates="dither"``; otherwise the estimate is not random.
    scale : {"auto", None, "standard", "whiten"}, default="auto"
        As in :func:`estimate_divergence`.
    order : float, default=0.5
        Order of the Renyi and Tsallis divergences.
    metric : {"euclidean", "manhattan", "chebyshev"} or callable, default="euclidean"
        As in :func:`estimate_divergence`.

    Attributes
    ----------
    reference_ : ndarray of shape (m, n_features)
        The reference sample.
    n_features_in_ : int
        Columns of the reference.
    feature_names_in_ : ndarray of str
        Column names, if the reference was a data frame.

    See Also
    --------
    kl_divergence : The same number from a function.
    ConditionalKLScorer : One divergence per class.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import KNNDivergence
    >>> rng = np.random.default_rng(0)
    >>> reference, X = rng.normal(0, 1, (1000, 1)), rng.normal(1, 1, (1000, 1))
    >>> round(KNNDivergence().fit(reference).score(X), 1)
    0.5
    """

    _CHOICES: ClassVar[dict[str, tuple[Any, ...]]] = {
        "correction": ("auto", *CORRECTIONS),
        "algorithm": ("auto", *BACKENDS),
        "duplicates": DUPLICATE_POLICIES,
        "scale": SCALES,
    }

    def __init__(
        self,
        divergence: str | Callable[[Any], Any] = "kl",
        n_neighbors: int = 5,
        correction: str | None = "auto",
        algorithm: str = "auto",
        duplicates: str = "raise",
        n_jobs: int | None = None,
        random_state: Any = None,
        scale: str | None = "auto",
        order: float = 0.5,
        metric: str | UserMetric = "euclidean",
    ) -> None:
        self.divergence = divergence
        self.n_neighbors = n_neighbors
        self.correction = correction
        self.algorithm = algorithm
        self.duplicates = duplicates
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.scale = scale
        self.order = order
        self.metric = metric

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError for a parameter that is not accepted."""
        check_n_neighbors(self.n_neighbors)
        if not callable(self.divergence):
            check_choice(self.divergence, tuple(DIVERGENCES), "divergence")
        check_order(self.order)
        for name, choices in self._CHOICES.items():
            check_choice(getattr(self, name), choices, name)
        check_metric(self.metric)
        self._check_metric_suits()
        check_n_jobs(self.n_jobs)

    def _check_metric_suits(self) -> None:
        """Raise ValueError if what was asked for needs Euclidean distances."""
        if self.metric == "euclidean":
            return
        name = metric_name(self.metric)
        if self.correction in ("gaussian", "mixture"):
            raise ValueError(
                f"correction={self.correction!r} computes the masses of Euclidean "
                f"balls; metric={name!r} has others. Use correction=None or "
                "'adaptive', in which the volume of a ball cancels."
            )
        if self._divergence().needs == "samples":
            raise ValueError(
                f"divergence={self.divergence!r} averages Euclidean distances and uses "
                f"no neighbours; metric={name!r} would be ignored. Use "
                "metric='euclidean' or another divergence."
            )

    def fit(self, X: ArrayLike, y: Any = None) -> KNNDivergence:
        """Store the reference sample.

        Parameters
        ----------
        X : array-like of shape (m, n_features)
            Sample of the reference law Q.
        y : None
            Ignored.

        Returns
        -------
        KNNDivergence
            This estimator.
        """
        self.check_parameters()
        self.reference_ = validate_data(
            self, on_host(X, "X"), dtype=[np.float64, np.float32], order="C"
        )
        return self

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Estimate D(X || reference).

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Sample of P.
        y : None
            Ignored.

        Returns
        -------
        float
            The estimate in nats; small means alike.
        """
        return self.estimate(X).value

    def estimate(
        self, X: ArrayLike, confidence_level: float | None = None
    ) -> DivergenceResult:
        """Estimate D(X || reference) and say how it was obtained.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Sample of P.
        confidence_level : float or None, default=None
            Of the interval; None computes no standard error.

        Returns
        -------
        DivergenceResult
            The value in nats and its circumstances.
        """
        check_is_fitted(self)
        self.check_parameters()
        X = validate_data(
            self,
            on_host(X, "X"),
            dtype=[np.float64, np.float32],
            order="C",
            reset=False,
        )
        check_level(confidence_level)
        result = self.estimate_checked(
            *check_pair(X, self.reference_), confidence_level=confidence_level
        )
        warn_of(result.notes)
        return result

    def estimate_checked(
        self,
        X: FloatArray,
        Y: FloatArray,
        *,
        confidence_level: float | None = None,
        n_permutations: int = 0,
    ) -> DivergenceResult:
        """`estimate` on arrays that were checked, the caller warns of the notes."""
        euclidean = self.metric == "euclidean"
        if euclidean:  # another metric may need every column in its place
            X, Y = _informative_columns(X, Y)
        counts, keep_x, keep_y = count_duplicates(X, Y)
        if counts.same_sample:
            return self._same_sample(X, counts)
        _check_distinct(X, Y)
        discrete = _looks_discrete(X, Y, counts)
        if counts.total and self.duplicates == "raise":
            refuse_duplicates(counts, discrete=discrete)
        notes = self._notes(counts, discrete, keep_x, keep_y)
        if counts.total and self.duplicates == "drop":
            X, Y = np.ascontiguousarray(X[keep_x]), np.ascontiguousarray(Y[keep_y])
            _check_left(X, Y, self.n_neighbors, counts)
        if self.duplicates == "dither" and (counts.total or discrete):
            X, Y = dither(X, Y, np.random.default_rng(self.random_state))
            _check_spread(X, Y)
        check_sizes(self.n_neighbors, len(X), len(Y))
        ids = row_ids(X, Y) if counts.total and self.duplicates == "expand" else None
        plane = in_range(*((X, Y) if euclidean else _informative_columns(X, Y)))
        dimension = plane[0].shape[1]
        if euclidean:
            X, Y = plane
        check_algorithm(self.algorithm, self.metric, X.shape[1])
        infinite = singular_note(*plane)
        notes += (infinite,) if infinite else ()
        pvalue = None
        if n_permutations:
            rng = np.random.default_rng(self.random_state)
            pvalue = permutation_pvalue(
                X,
                Y,
                self.n_neighbors,
                n_permutations,
                rng,
                n_threads(self.n_jobs),
                self.metric,
            )
        facts = self._measure(X, Y, ids, dimension, confidence_level)
        apart = facts.pop("apart")
        return self._result(
            n=len(X),
            m=len(Y),
            n_features=dimension,
            n_duplicates=counts.total,
            pvalue=pvalue,
            notes=notes + ((apart,) if apart and not infinite else ()),
            **facts,
        )

    def _notes(
        self,
        counts: DuplicateCounts,
        discrete: str,
        keep_x: NDArray[np.bool_],
        keep_y: NDArray[np.bool_],
    ) -> tuple[str, ...]:
        """What repeated rows and values say against an estimate."""
        notes = []
        repeated = counts.total > _FEW_TIES * (keep_x.size + keep_y.size)
        if self.duplicates != "dither" and discrete:
            notes.append(
                f"{discrete}: the data look discrete or rounded, and the estimate for "
                f"continuous data is rough or meaningless. {_DISCRETE[self.duplicates]}"
                "Choose duplicates='dither' (spread each value evenly over its grid "
                "cell, which leaves the divergence as it is).".format(
                    n=int(keep_x.sum()), m=int(keep_y.sum())
                )
            )
        elif self.duplicates == "expand" and repeated:
            notes.append(
                f"{counts.describe()}: duplicates='expand' takes them as weight of the "
                "laws at single points, where there is no density, and the estimate is "
                "rough. If rows were copied or leaked, choose duplicates='drop'."
            )
        return tuple(notes)

    def _measure(
        self,
        X: FloatArray,
        Y: FloatArray,
        ids: NDArray[np.intp] | None,
        dimension: int,
        confidence_level: float | None,
    ) -> dict[str, Any]:
        """Value, interval and circumstances from log ratios, or from the samples."""
        entry = self._divergence()
        threads = n_threads(self.n_jobs)
        first = self._log_ratio(X, Y, ids, dimension, threads)
        facts: dict[str, Any] = {
            "correction": first.correction,
            "algorithm": first.neighbors.algorithm,
            "scale": first.scale,
            "n_components": first.n_components,
            "evaluated_by": entry.evaluated_by,
            "coverage": coverage_of(first.neighbors),
            "apart": "",
        }
        if entry.needs == "samples":
            facts.update(correction=None, scale=None, n_components=None)
            value = entry.compute(X.astype(np.float64), Y.astype(np.float64))
            return {"value": value, **facts}
        if self._can_be_infinite():
            facts["apart"] = apart_note(first, threads)
        ratios = [first]
        if entry.needs == "xy":
            exchanged = ids if ids is None else row_ids(Y, X)
            ratios.append(self._log_ratio(Y, X, exchanged, dimension, threads))
        k = None if first.correction == "adaptive" else self.n_neighbors

        def functional(x: Any, y: Any = None) -> float:
            return entry.compute(x, y, k, self.order)

        value = functional(*(ratio.values for ratio in ratios))
        if confidence_level is not None:
            effects = effects_of(ratios, functional, threads)
            if effects is not None:
                spread = spread_of((effects.x, effects.y))
                facts["standard_error"] = spread.standard_error
                facts["confidence_interval"] = spread.interval(value, confidence_level)
                facts["effects"] = effects
        return {"value": value, **facts}

    def _log_ratio(
        self,
        X: FloatArray,
        Y: FloatArray,
        ids: NDArray[np.intp] | None,
        dimension: int,
        threads: int,
    ) -> LogRatio:
        return estimate_log_ratio(
            X,
            Y,
            self.n_neighbors,
            correction=choose_correction(
                self.correction, len(X), len(Y), dimension, self.metric
            ),
            scale=self.scale,
            algorithm=self.algorithm,
            threads=threads,
            ids=ids,
            metric=self.metric,
            dimension=dimension,
            zeros=self.duplicates == "expand" or isinstance(self.metric, str),
        )

    def _can_be_infinite(self) -> bool:
        """Whether laws without a common support may have no finite divergence."""
        if self.divergence == "tsallis":
            return self.order >= 1
        return callable(self.divergence) or self.divergence not in _BOUNDED

    def _divergence(self) -> Divergence:
        if callable(self.divergence):
            return of_generator(self.divergence)
        return DIVERGENCES[self.divergence]

    def _result(self, **values: Any) -> DivergenceResult:
        return DivergenceResult(
            n_neighbors=self.n_neighbors,
            divergence=(
                self.divergence
                if isinstance(self.divergence, str)
                else getattr(self.divergence, "__name__", repr(self.divergence))
            ),
            duplicates=self.duplicates,
            metric=metric_name(self.metric),
            **values,
        )

    def _same_sample(self, X: FloatArray, counts: DuplicateCounts) -> DivergenceResult:
        """Zero, with a note: a sample does not diverge from itself."""
        note = (
            f"X and the reference hold the same {len(X)} rows, so their empirical laws "
            "are equal and the divergence is exactly 0; nothing was estimated. Compare "
            "with an independent sample."
        )
        return self._result(
            value=0.0,
            n=len(X),
            m=len(X),
            n_features=X.shape[1],
            correction=None,
            algorithm="none: same sample",
            n_duplicates=counts.total,
            coverage=1.0,
            notes=(note,),
        )


def _check_distinct(X: FloatArray, Y: FloatArray) -> None:
    """Raise ValueError if one sample is a point mass."""
    for name, sample in (("X", X), ("Y", Y)):
        if len(sample) > 1 and (sample == sample[0]).all():
            raise ValueError(
                f"all {len(sample)} rows of {name} are equal, so no neighbour has a "
                "positive distance: the sample has no density and the divergence is "
                "infinite or undefined."
            )


def _looks_discrete(X: FloatArray, Y: FloatArray, counts: DuplicateCounts) -> str:
    """Why the samples look discrete or rounded, or ""."""
    reason = discrete_columns(X, Y)
    if not reason and counts.total:
        steps = grid_steps(X, Y)
        if steps.all():
            reason = f"all values lie on grids (of step {steps.min():.3g})"
    return reason


def _check_left(
    X: FloatArray, Y: FloatArray, n_neighbors: int, counts: DuplicateCounts
) -> None:
    """Raise ValueError if ``duplicates="drop"`` left too few rows."""
    if len(X) < n_neighbors + 1 or len(Y) < n_neighbors:
        raise ValueError(
            f"{counts.describe()}; duplicates='drop' leaves {len(X)} rows of X and "
            f"{len(Y)} of Y, but n_neighbors={n_neighbors} needs {n_neighbors + 1} and "
            f"{n_neighbors}. Bring independent rows, or lower n_neighbors; for "
            "discrete or rounded data choose duplicates='dither'."
        )


def _check_spread(X: FloatArray, Y: FloatArray) -> None:
    """Raise ValueError if rows repeat that do not lie on a grid."""
    counts, _, _ = count_duplicates(X, Y)
    if counts.total:
        raise ValueError(
            f"{counts.describe()} after values on a grid were spread; choose "
            "duplicates='drop' for copied rows."
        )


def warn_of(notes: Sequence[str]) -> None:
    """Tell whoever called the package what stands against a result."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("kldiv."):
        level, frame = level + 1, frame.f_back
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=level)


def singular_note(X: FloatArray, Y: FloatArray) -> str:
    """Why the divergence of the laws is infinite, if one sample lies on a plane, or "".

    The samples together must span all columns. A sample on a plane that does not hold
    the other one has weight where the other law has none.
    """
    d = X.shape[1]
    size = np.concatenate([X, Y]).std(axis=0, dtype=np.float64)
    size = np.where(size > 0, size, 1.0)
    for flat, name, other in ((X, "X", "Y"), (Y, "Y", "X")):
        rank = rank_of(flat, size)
        if rank < d:
            return (
                f"the rows of {name} vary in {rank} of {d} dimensions only (constant "
                f"or dependent columns), those of {other} also in others: between such "
                "laws the divergence is infinite, and the estimate only says that it "
                "is large. Leave out the columns that vary in one sample only."
            )
    return ""


def _informative_columns(X: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both samples without the columns that hold one value in all rows of both.

    Such a column has no density; counting it in the dimension scales the estimate.
    """
    constant = (X[0] == X).all(axis=0) & (X[0] == Y).all(axis=0)
    if not constant.any() or constant.all():
        return X, Y
    return np.ascontiguousarray(X[:, ~constant]), np.ascontiguousarray(Y[:, ~constant])
