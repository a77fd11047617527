"""The Kolmogorov-Smirnov distance as a scikit-learn estimator."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from kldiv._ks._methods import METHODS, ks_test
from kldiv._results._ks_result import KSResult
from kldiv._typing import FloatArray
from kldiv._validation import (
    check_choice,
    check_integer,
    check_n_jobs,
    check_rows,
    check_seed,
    joined_weights,
    refuse_two_vectors,
)
from kldiv._window import RollingWindow


class KSDistance(BaseEstimator):
    """Kolmogorov-Smirnov distance of samples from a reference.

    ``KSDistance().fit(reference).score(X)`` is the distance, between 0 and 1, so it
    ends a pipeline. See the user guide, "Kolmogorov-Smirnov".

    Parameters
    ----------
    method : {"columns", "rows", "sliced", "max-sliced", "fasano-franceschini"}
        What is compared; the default ``"columns"`` scores the largest column gap.
    n_directions : int, default=100
        Random directions of the sliced methods.
    n_jobs : int, optional
        Threads; None is one, -1 all available ones.
    random_state : None, int or Generator
        Seed of directions and relabellings.
    verbose : int, default=0
        As in :func:`ks_test`.

    Attributes
    ----------
    reference_ : ndarray of shape (m, n_features)
        The reference sample.
    n_features_in_ : int
        Columns of the reference.
    feature_names_in_ : ndarray of str
        Column names, if the reference was a data frame.
    reference_weight_ : ndarray of shape (m,), or None
        Weights of the reference.

    See Also
    --------
    ks_test : The test in one call.
    KNNDivergence : A divergence with the same interface.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import KSDistance
    >>> rng = np.random.default_rng(0)
    >>> reference, X = rng.normal(size=(300, 2)), rng.normal(1, 1, (200, 2))
    >>> round(KSDistance().fit(reference).score(X), 1)
    0.4
    """

    def __init__(
        self,
        method: str = "columns",
        n_directions: int = 100,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.method = method
        self.n_directions = n_directions
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> KSDistance:
        """Store the reference sample.

        Parameters
        ----------
        X : array-like of shape (m, n_features), (m,) or (m, ...)
            Sample of the reference distribution.
        y : None
            Ignored.
        sample_weight : array-like of shape (m,), optional
            Weights of its rows.

        Returns
        -------
        KSDistance
            This estimator.
        """
        check_choice(self.method, tuple(METHODS), "method")
        check_integer(self.n_directions, "n_directions", 1)
        check_n_jobs(self.n_jobs)
        check_seed(self.random_state)
        refuse_two_vectors(X, y)
        self.reference_ = check_rows(self, X, reset=True)
        m = len(self.reference_)
        self.reference_weight_ = joined_weights(None, 0, sample_weight, m)
        return self

    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> KSDistance:
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
        KSDistance
            This estimator.
        """
        if not hasattr(self, "reference_"):
            return self.fit(X, y, sample_weight)
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
            ``window.update(rows).score()`` is the distance of the latest rows.
        """
        check_is_fitted(self)
        return RollingWindow(copy(self), size)

    def score(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Distance of X from the reference.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Sample.
        y : None
            Ignored.
        sample_weight : array-like of shape (n,), optional
            Weights of its rows.

        Returns
        -------
        float
            `global_statistic` of :func:`ks_test`; 0 means alike.
        """
        return self.test(X, sample_weight=sample_weight).global_statistic

    def test(
        self,
        X: ArrayLike,
        *,
        n_permutations: int = 0,
        sample_weight: ArrayLike | None = None,
    ) -> KSResult:
        """Test whether X follows the distribution of the reference.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            Sample.
        n_permutations : int, default=0
            As in :func:`ks_test`.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows of X.

        Returns
        -------
        KSResult
            Statistics and p-values.
        """
        check_is_fitted(self)
        rows = self._rows_of(X)
        return self._result_of(
            rows, n_permutations=n_permutations, sample_weight=sample_weight
        )

    def _rows_of(self, X: Any) -> FloatArray:
        """Rows as the reference holds its own.

        Parameters
        ----------
        X : array-like of shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n, n_features)
            The rows, checked.
        """
        return check_rows(self, X, reset=False)

    def _result_of(
        self,
        rows: FloatArray,
        *,
        n_permutations: int = 0,
        sample_weight: ArrayLike | None = None,
    ) -> KSResult:
        """`test` on rows that `_rows_of` returned."""
        result = ks_test(
            rows,
            self.reference_,
            method=self.method,
            n_permutations=n_permutations,
            n_directions=self.n_directions,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
            verbose=self.verbose,
            sample_weight=sample_weight,
            reference_weight=self.reference_weight_,
        )
        names = getattr(self, "feature_names_in_", None)
        return result if names is None else replace(result, feature_names=tuple(names))
