"""Divergences between two samples: functions and the scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from kldiv._backends import BACKENDS
from kldiv._divergences import DIVERGENCES, Divergence, of_generator
from kldiv._duplicates import DUPLICATE_POLICIES
from kldiv._errors._permutations import permutation_pvalue
from kldiv._errors._standard_errors import effects_of, spread_of
from kldiv._neighbors import check_algorithm, check_metric
from kldiv._overlap import apart_notes, coverage_of
from kldiv._preparation import PreparedPair, prepare
from kldiv._ratio._coordinates import SCALES
from kldiv._ratio._corrections import (
    CORRECTIONS,
    estimate_log_ratio,
    reference_correction,
)
from kldiv._ratio._log_ratio import LogRatio, Settings
from kldiv._results import DivergenceResult
from kldiv._trust import Outcome, notes_of, verdict
from kldiv._typing import FloatArray, UserMetric
from kldiv._validation import (
    check_choice,
    check_integer,
    check_level,
    check_n_jobs,
    check_order,
    check_pair,
    metric_name,
    n_threads,
    on_host,
)
from kldiv._warnings import Note, SingularSampleWarning, warn_of


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
    correction : str or None, default="auto"
        None is the published estimator with fixed k, "adaptive" chooses k per row
        (Wang, Kulkarni and Verdu 2009, section IV). "gaussian" and "mixture" take the
        masses of the neighbour balls from references fitted to the samples instead of
        "density times volume", which in more than five columns is far off; "marginal"
        does so after each sample was made Gaussian column by column. "classifier" is
        the logit of a classifier that tells the samples apart. "auto" is a mean of
        "adaptive", "mixture", "marginal" and "classifier", weighed by the log loss of
        telling samples apart at rows unseen; "adaptive" or None where a sample has
        less than 20 rows. See the user guide, "Accuracy".
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
    >>> value = divergence(X, Y, divergence=lambda ratio: ratio * np.log(ratio))
    >>> bool(abs(value - 0.5) < 0.1)
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
        n_permutations=check_integer(n_permutations, "n_permutations", 0),
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
    correction : str or None, default="auto"
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
        check_integer(self.n_neighbors, "n_neighbors")
        if not callable(self.divergence):
            check_choice(self.divergence, tuple(DIVERGENCES), "divergence")
        check_order(self.order)
        check_choice(self.correction, ("auto", *CORRECTIONS), "correction")
        check_choice(self.algorithm, ("auto", *BACKENDS), "algorithm")
        check_choice(self.duplicates, DUPLICATE_POLICIES, "duplicates")
        check_choice(self.scale, SCALES, "scale")
        check_metric(self.metric)
        self._check_metric_suits()
        check_n_jobs(self.n_jobs)

    def _check_metric_suits(self) -> None:
        """Raise ValueError if what was asked for needs Euclidean distances."""
        if self.metric == "euclidean":
            return
        name = metric_name(self.metric)
        if self.correction != "auto" and CORRECTIONS[self.correction].euclidean:
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
        entry = self._divergence()
        pair = prepare(
            X,
            Y,
            self.n_neighbors,
            duplicates=self.duplicates,
            metric=self.metric,
            random_state=self.random_state,
            finite=entry.is_finite(self.order),
        )
        facts: dict[str, Any] = {"correction": None, "coverage": 1.0, "value": 0.0}
        facts |= {"notes": pair.notes, "algorithm": "none: same sample"}
        if not pair.same_sample:
            check_algorithm(self.algorithm, self.metric, pair.X.shape[1])
            if n_permutations:
                facts["pvalue"] = self._pvalue(pair, n_permutations)
            facts |= self._measure(pair, entry, confidence_level)
            facts["notes"] += self._notes(pair, entry, facts, confidence_level)
        facts["trust"] = verdict(facts["notes"])
        return DivergenceResult(
            n=len(pair.X),
            m=len(pair.Y),
            n_features=pair.dimension,
            n_neighbors=self.n_neighbors,
            divergence=self._name(),
            n_duplicates=pair.n_duplicates,
            duplicates=self.duplicates,
            metric=metric_name(self.metric),
            **facts,
        )

    def _pvalue(self, pair: PreparedPair, n_permutations: int) -> float:
        rng, threads = np.random.default_rng(self.random_state), n_threads(self.n_jobs)
        return permutation_pvalue(
            pair.X, pair.Y, self.n_neighbors, n_permutations, rng, threads, self.metric
        )

    def _measure(
        self, pair: PreparedPair, entry: Divergence, confidence_level: float | None
    ) -> dict[str, Any]:
        """Value, interval and circumstances from log ratios, or from the samples."""
        settings = self._settings()
        correction = self.correction
        if correction == "auto" and not entry.linear:
            correction = reference_correction(pair, settings.metric)
        first = estimate_log_ratio(pair, correction, settings)
        facts: dict[str, Any] = {
            "algorithm": first.neighbors.algorithm,
            "evaluated_by": entry.evaluated_by,
            "coverage": coverage_of(first.neighbors),
        }
        if entry.needs == "samples":
            facts["value"] = entry.compute(
                pair.X.astype(np.float64), pair.Y.astype(np.float64)
            )
            return facts
        facts["correction"], facts["scale"] = first.correction, first.scale
        facts["n_components"] = first.n_components
        facts["weights"] = {str(one.correction): w for w, one in first.parts}
        facts["values"] = [float(one.values.mean()) for _, one in first.parts]
        infinite = any(note.category is SingularSampleWarning for note in pair.notes)
        if not (infinite or entry.is_finite(self.order)):
            facts["notes"] = pair.notes + apart_notes(first)
        ratios = [first]
        if entry.needs == "xy":
            exchanged = pair.exchanged()
            ratios.append(estimate_log_ratio(exchanged, correction, settings))
        varying = first.parts or CORRECTIONS[first.correction].varying_k
        k = None if varying else self.n_neighbors

        def functional(x: Any, y: Any = None) -> float:
            return entry.compute(x, y, k, self.order)

        facts["value"] = value = functional(*(ratio.values for ratio in ratios))
        if confidence_level is None or not np.isfinite(value):
            return facts
        return facts | _error_of(ratios, functional, value, confidence_level)

    def _notes(
        self,
        pair: PreparedPair,
        entry: Divergence,
        facts: dict[str, Any],
        confidence_level: float | None,
    ) -> tuple[Note, ...]:
        """What is found to stand against the result."""
        weights, values = facts.get("weights", {}), facts.pop("values", [])
        outcome = Outcome(
            pair.X,
            pair.Y,
            pair.dimension,
            list(zip(weights, weights.values(), values, strict=True)),
            facts,
            confidence_level is not None,
            not entry.is_finite(self.order),
        )
        return notes_of(outcome)

    def _settings(self) -> Settings:
        return Settings(
            self.n_neighbors,
            self.scale,
            self.algorithm,
            self.metric,
            n_threads(self.n_jobs),
            zeros=self.duplicates == "expand" or isinstance(self.metric, str),
        )

    def _divergence(self) -> Divergence:
        if callable(self.divergence):
            return of_generator(self.divergence)
        return DIVERGENCES[self.divergence]

    def _name(self) -> str:
        if isinstance(self.divergence, str):
            return self.divergence
        return getattr(self.divergence, "__name__", repr(self.divergence))


def _error_of(
    ratios: Sequence[LogRatio],
    functional: Callable[..., float],
    value: float,
    confidence_level: float,
) -> dict[str, Any]:
    """Standard error and interval; nothing where there are none in finite numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        effects = effects_of(ratios, functional)
        spread = None if effects is None else spread_of((effects.x, effects.y))
    if spread is None or not np.isfinite(spread.standard_error):
        return {}
    return {
        "standard_error": spread.standard_error,
        "confidence_interval": spread.interval(value, confidence_level),
        "effects": effects,
    }
