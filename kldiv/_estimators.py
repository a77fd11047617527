"""Divergences between two samples: functions and the scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from kldiv._estimation._categories import (
    Levels,
    asked_of,
    category_columns,
    checked_samples,
    coded_sample,
)
from kldiv._estimation._columns import Asked
from kldiv._estimation._estimate import estimate
from kldiv._estimation._options import Options
from kldiv._estimation._stored import (
    refuse_unlimited,
    stays_where_it_is,
    stored_samples,
)
from kldiv._neighbors import of_samples
from kldiv._results._results import DivergenceResult
from kldiv._typing import FloatArray, UserMetric
from kldiv._validation import (
    Weights,
    check_integer,
    check_level,
    check_pair,
    check_rows,
    column_names,
    joined_weights,
    refuse_two_vectors,
    whole_frame,
)
from kldiv._warnings import warn_of
from kldiv._window import RollingWindow


def kl_divergence(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    n_neighbors: int = 5,
    correction: str | None = "auto",
    algorithm: str = "auto",
    duplicates: str = "raise",
    n_jobs: int | None = None,
    random_state: Any = None,
    scale: str | None = "auto",
    metric: str | UserMetric = "euclidean",
    discrete: Any = "auto",
    base: float | None = None,
    sample_weight: ArrayLike | None = None,
    reference_weight: ArrayLike | None = None,
    verbose: int = 0,
    exclusion_window: int = 0,
    memory_limit: int | None = None,
) -> float:
    """Kullback-Leibler divergence D(P || Q) from a sample of each.

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
        does so after each sample was made Gaussian by maps of its own. "common"
        counts rows of both samples in the larger of two balls, so that volumes cancel.
        "classifier" is the logit of a classifier that tells the samples apart, and
        what common balls see beyond it. "auto" is a mean of "common", "mixture",
        "marginal" and "classifier", weighed by the log loss of telling samples apart
        at rows unseen; "adaptive" or None where a sample has less than 20 rows. See
        the user guide, "Accuracy".
    algorithm : str, default="auto"
        How neighbours are searched; all ways give the same distances. "auto" searches
        on the GPU where a sample is a tensor there.
    duplicates : {"raise", "drop", "expand", "dither"}, default="raise"
        What to do about rows that occur more than once: raise ValueError, keep first
        occurrences and remove shared rows from Y, grow k per row to the first
        positive distance, or, for whole numbers and rounded values, spread each value
        evenly over its grid cell.
    n_jobs : int, optional
        Threads; None is one, -1 all available ones.
    random_state, scale, metric
        As in :func:`estimate_divergence`.
    discrete : "auto", None or sequence, default="auto"
        Columns that hold categories, flags or codes: names, positions, or one bool for
        each column. Their divergence is added to that of the other columns within
        their cells. "auto" takes columns of data frames with categories, truth values
        or strings, and in samples with other columns as well those of few values
        that all repeat, and single values that many rows share. None takes all
        columns for continuous. See the user guide, "Discrete and mixed columns".
    base : float, optional
        Base of the logarithm: nats by default, 2 for bits.
    sample_weight, reference_weight : array-like of shape (n,) and (m,), optional
        How many rows each row of X and of Y stands for; only the ratios of weights
        matter, and rows of weight 0 do not count. See the user guide, "Weighted rows".
    verbose : int, default=0
        As in :func:`estimate_divergence`.
    exclusion_window : int, default=0
        Rows of one sample at most so many rows apart are no neighbours, for series
        whose rows depend on those before them. See the user guide, "Rows of a series".
    memory_limit : int, optional
        Bytes of rows, and of what is made of them, that are held at a time; at least
        1 MB. Rows are then read in parts, from memory maps, arrays of zarr, dask
        collections and whatever else has ``shape``, ``dtype`` and slices of rows. Only
        for ``correction=None`` with Euclidean distances, of continuous rows that do
        not repeat: others need all rows in memory, and are refused. See the user
        guide, "How far does it go".

    Returns
    -------
    float
        The estimate. It may be negative in small samples and is not clipped.

    Raises
    ------
    ValueError
        For NaN, infinity, different widths, too few rows, repeated rows, weights that
        are negative or all zero, or an unknown option.
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
        random_state=random_state,
        scale=scale,
        metric=metric,
        discrete=discrete,
        base=base,
        sample_weight=sample_weight,
        reference_weight=reference_weight,
        verbose=verbose,
        exclusion_window=exclusion_window,
        memory_limit=memory_limit,
    )


def divergence(
    X: ArrayLike,
    Y: ArrayLike,
    *,
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
    discrete: Any = "auto",
    base: float | None = None,
    sample_weight: ArrayLike | None = None,
    reference_weight: ArrayLike | None = None,
    verbose: int = 0,
    exclusion_window: int = 0,
    memory_limit: int | None = None,
) -> float:
    """Any divergence of the registry from two samples.

    Parameters
    ----------
    X, Y : array-like of shape (n, n_features) and (m, n_features)
        The samples of P and of the reference Q.
    divergence : str or callable, default="kl"
        Key of the divergence, or the generator f of an f-divergence: a function of an
        array of density ratios p/q, compiled if Numba is installed.
    n_neighbors, correction, algorithm, duplicates, n_jobs, random_state, scale, order
        As in :func:`estimate_divergence`.
    metric, discrete, base, sample_weight, reference_weight, verbose, exclusion_window
        As in :func:`estimate_divergence`.
    memory_limit : int, optional
        As in :func:`kl_divergence`; not for energy and MMD.

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
    options: dict[str, Any] = {
        "divergence": divergence,
        "n_neighbors": n_neighbors,
        "correction": correction,
        "algorithm": algorithm,
        "duplicates": duplicates,
        "n_jobs": n_jobs,
        "random_state": random_state,
        "scale": scale,
        "order": order,
        "metric": metric,
        "discrete": discrete,
        "base": base,
        "verbose": verbose,
        "exclusion_window": exclusion_window,
        "memory_limit": memory_limit,
    }
    weights = {"sample_weight": sample_weight, "reference_weight": reference_weight}
    options |= {"confidence_level": None, **weights}
    return estimate_divergence(X, Y, **options).value


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
    discrete: Any = "auto",
    base: float | None = None,
    sample_weight: ArrayLike | None = None,
    reference_weight: ArrayLike | None = None,
    verbose: int = 0,
    exclusion_window: int = 0,
    memory_limit: int | None = None,
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
        Permutations for the p-value of "both samples have one distribution"; 0 for
        none.
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
    discrete : "auto", None or sequence, default="auto"
        As in :func:`kl_divergence`. Energy and MMD, which average distances, take
        numbers only. With a metric of the user's, "auto" goes by dtypes alone, and
        the metric gets the columns that are left.
    base : float, optional
        Base of the logarithms, above 1: nats by default, 2 for bits. Only for
        divergences that are logarithms.
    sample_weight, reference_weight : array-like of shape (n,) and (m,), optional
        As in :func:`kl_divergence`. Energy and MMD, and permutations, take none.
    verbose : int, default=0
        1 writes to standard error how long the estimate will take, if that is more than
        ten seconds; parts of the samples are timed first, as by
        :func:`expected_seconds`.
    exclusion_window : int, default=0
        As in :func:`kl_divergence`. The standard error adds effects of rows up in
        blocks, and permutations exchange blocks of rows.
    memory_limit : int, optional
        As in :func:`kl_divergence`; without weights and permutations. A standard error
        needs the lists of neighbours, which come on top.

    Returns
    -------
    DivergenceResult
        Value, standard error, confidence interval, p-value, sizes, the correction and
        search that were used, the number of repeated rows, coverage, and the log ratio
        at every row of X.

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
    if memory_limit is None:
        algorithm = of_samples(algorithm, metric, X, Y)
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
        discrete,
        base,
        verbose,
        exclusion_window,
        memory_limit,
    )
    settings._check_parameters()
    x, y, asked = (
        checked_samples(X, Y, discrete)
        if memory_limit is None
        else stored_samples(X, Y, discrete, memory_limit=memory_limit)
    )
    result = settings._estimate_checked(
        x,
        y,
        asked,
        weights=Weights.of(sample_weight, reference_weight, len(x), len(y)),
        confidence_level=confidence_level,
        n_permutations=check_integer(n_permutations, "n_permutations", 0),
    )
    warn_of(result.notes)
    return result


class KNNDivergence(BaseEstimator):
    """k-nearest-neighbour divergence of samples from a reference.

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
    discrete : "auto", None or sequence, default="auto"
        As in :func:`kl_divergence`; in a pipeline, columns of what arrives here.
    base : float, optional
        As in :func:`estimate_divergence`.
    verbose : int, default=0
    exclusion_window : int, default=0
        As in :func:`estimate_divergence`.
    memory_limit : int, optional
        As in :func:`kl_divergence`. A reference in a memory map, an array of zarr or a
        dask collection stays where it is.

    Attributes
    ----------
    reference_ : ndarray of shape (m, n_features)
        The reference sample; categories of a data frame are numbered. With a
        `memory_limit` what was given, where that is read in parts.
    categories_ : dict of int to tuple
        The categories of each column of a data frame that holds some, in the order of
        their numbers.
    n_features_in_ : int
        Columns of the reference.
    feature_names_in_ : ndarray of str
        Column names, if the reference was a data frame.
    reference_weight_ : ndarray of shape (m,), or None
        Weights of the reference.

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
        discrete: Any = "auto",
        base: float | None = None,
        verbose: int = 0,
        exclusion_window: int = 0,
        memory_limit: int | None = None,
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
        self.discrete = discrete
        self.base = base
        self.verbose = verbose
        self.exclusion_window = exclusion_window
        self.memory_limit = memory_limit

    def _check_parameters(self) -> None:
        """Raise ValueError or TypeError for a parameter that is not accepted."""
        Options(**self.get_params()).check()

    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> KNNDivergence:
        """Store the reference sample.

        Parameters
        ----------
        X : array-like of shape (m, n_features), (m,) or (m, ...)
            Sample of the reference distribution Q.
        y : None
            Ignored.
        sample_weight : array-like of shape (m,), optional
            Weights of its rows.

        Returns
        -------
        KNNDivergence
            This estimator.
        """
        self._check_parameters()
        self.categories_: Levels = {}
        if stays_where_it_is(X, self.memory_limit):
            return self._keep_stored(X, sample_weight)
        refuse_two_vectors(X, y)
        X = whole_frame(X)
        columns = category_columns(X, self.discrete)
        self.reference_ = self._checked(X, columns, self.categories_, reset=True)
        m = len(self.reference_)
        self.reference_weight_ = joined_weights(None, 0, sample_weight, m)
        return self

    def _keep_stored(self, X: Any, sample_weight: Any) -> KNNDivergence:
        """`fit` to rows that stay where they are."""
        assert self.memory_limit is not None
        refuse_unlimited(self.memory_limit, sample_weight, 0)
        self.reference_, self.reference_weight_ = X, None
        rows, *_ = stored_samples(X, X, self.discrete, memory_limit=self.memory_limit)
        self.n_features_in_ = rows.shape[1]
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit
        if (names := column_names(X)) is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        return self

    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> KNNDivergence:
        """Add rows to the reference sample; the first call is `fit`.

        Parameters
        ----------
        X : array-like of shape (m, n_features)
            More rows of the reference.
        y : None
            Ignored.
        sample_weight : array-like of shape (m,), optional
            Weights of these rows; 1 where only other rows have some.

        Returns
        -------
        KNNDivergence
            This estimator.
        """
        if not hasattr(self, "reference_"):
            return self.fit(X, y, sample_weight)
        for rows in (self.reference_, X):
            if stays_where_it_is(rows, self.memory_limit):
                raise ValueError(
                    f"memory_limit={self.memory_limit}: rows that are read in parts "
                    "are not put together. Give fit all of them, for instance by "
                    "dask.array.concatenate, or leave out memory_limit."
                )
        refuse_two_vectors(X, y)
        rows, known = self._rows_of(X), self.reference_weight_
        self.reference_weight_ = joined_weights(
            known, len(self.reference_), sample_weight, len(rows)
        )
        self.reference_ = np.concatenate([self.reference_, rows])
        return self

    def window(self, size: int) -> RollingWindow:
        """A window on a stream of rows that are compared with the reference.

        Parameters
        ----------
        size : int
            Rows that the window holds.

        Returns
        -------
        RollingWindow
            ``window.update(rows).score()`` is the divergence of the latest rows.
        """
        check_is_fitted(self)
        return RollingWindow(self._growing(), size)

    def score(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Estimate D(X || reference).

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Sample of P.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), optional
            Weights of its rows.

        Returns
        -------
        float
            The estimate, in nats unless there is a `base`; small means alike.
        """
        return self.estimate(X, sample_weight=sample_weight).value

    def estimate(
        self,
        X: ArrayLike,
        confidence_level: float | None = None,
        n_permutations: int = 0,
        sample_weight: ArrayLike | None = None,
    ) -> DivergenceResult:
        """Estimate D(X || reference) and say how it was obtained.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Sample of P.
        confidence_level : float or None, default=None
            Of the interval; None computes no standard error.
        n_permutations : int, default=0
            As in :func:`estimate_divergence`.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows of X.

        Returns
        -------
        DivergenceResult
            The value and its circumstances.
        """
        check_is_fitted(self)
        self._check_parameters()
        check_level(confidence_level)
        algorithm, grown = self.algorithm, self._growing()
        if self.memory_limit is None:
            algorithm = of_samples(algorithm, self.metric, X, None)
        rows: Any = X
        if not stays_where_it_is(X, self.memory_limit):
            rows = grown._rows_of(X)
        return grown._result_of(
            rows,
            confidence_level,
            n_permutations,
            sample_weight,
            algorithm=algorithm,
        )

    def _growing(self) -> KNNDivergence:
        """A fitted copy that may get to know more categories."""
        grown = copy(self)
        grown.categories_ = dict(self.categories_)
        return grown

    def _rows_of(self, X: Any) -> FloatArray:
        """Rows as the reference holds its own; new categories get numbers.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n, n_features)
            The rows, checked.
        """
        X = whole_frame(X)
        columns = sorted({*self.categories_, *category_columns(X, self.discrete)})
        return self._checked(X, columns, self.categories_, reset=False)

    def _result_of(
        self,
        rows: FloatArray,
        confidence_level: float | None = None,
        n_permutations: int = 0,
        sample_weight: ArrayLike | None = None,
        *,
        algorithm: str | None = None,
    ) -> DivergenceResult:
        """`estimate` on rows that `_rows_of` returned."""
        names = getattr(self, "feature_names_in_", None)
        asked = asked_of(
            self.discrete,
            self.n_features_in_,
            None if names is None else names.tolist(),
            sorted(self.categories_),
            self.categories_,
        )
        options = self.get_params()
        if algorithm is not None:
            options["algorithm"] = algorithm
        given, weights = (sample_weight, self.reference_weight_), None
        samples: tuple[Any, Any] = rows, self.reference_
        if self.memory_limit is None:
            samples = check_pair(*samples)
            weights = Weights.of(*given, len(samples[0]), len(samples[1]))
        elif any(one is not None for one in given):
            refuse_unlimited(self.memory_limit, given, n_permutations)
        result = estimate(
            *samples,
            Options(**options),
            asked,
            confidence_level=confidence_level,
            n_permutations=check_integer(n_permutations, "n_permutations", 0),
            weights=weights,
        )
        warn_of(result.notes)
        return result

    def _checked(
        self, X: Any, columns: list[int], levels: Levels, *, reset: bool
    ) -> FloatArray:
        """A sample as scikit-learn checks it, categories as numbers."""
        if columns:
            validate_data(self, X, reset=reset, skip_check_array=True)
            X = coded_sample(X, columns, levels, "X")
            reset = False
            if hasattr(self, "feature_names_in_"):
                return X
        return check_rows(self, X, reset=reset)

    def _estimate_checked(
        self,
        X: FloatArray,
        Y: FloatArray,
        asked: Asked | None = None,
        *,
        confidence_level: float | None = None,
        n_permutations: int = 0,
        weights: Weights | None = None,
    ) -> DivergenceResult:
        """`estimate` on arrays that were checked, the caller warns of the notes."""
        return estimate(
            X,
            Y,
            Options(**self.get_params()),
            asked or asked_of(self.discrete, X.shape[1], None),
            confidence_level=confidence_level,
            n_permutations=n_permutations,
            weights=weights,
        )
