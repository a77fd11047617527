"""One divergence per class: training rows of c against auxiliary rows labelled c."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from kldiv._conditional._jobs import (
    class_jobs,
    floors_of,
    given_floors,
    pairings_of,
    score_job,
    unscored_error,
)
from kldiv._conditional._labelled_pair import LabelledPair, labelled_pair
from kldiv._conditional._settings import checked_estimator
from kldiv._conditional._soft import SoftTerms, soft_result, soft_terms
from kldiv._conditional._table import columns_of, noted, notes_of_classes
from kldiv._conditional._transformer import make_transformer
from kldiv._conditional._units import scale_notes
from kldiv._estimators import KNNDivergence
from kldiv._order import kept_in_mind
from kldiv._results._export import unit_of
from kldiv._results._report import PerClassReport
from kldiv._results._results import DivergenceResult
from kldiv._threads import in_workers, n_workers
from kldiv._validation import within_limits
from kldiv._warnings import Note, warn_of

_TITLE = "Kullback-Leibler divergence per class ({unit}; small means exposed)"


class ConditionalKLScorer(BaseEstimator):
    """Divergence per class between training data and what a victim takes for it.

    For every class c of the training labels, D(train rows of c || auxiliary rows that
    the victim puts in c): small means that an attacker who owns the auxiliary rows can
    imitate the class. See the user guide, "Conditional scoring".

    Parameters
    ----------
    estimator : KNNDivergence or Pipeline that ends in one, optional
        How one class is scored; ``KNNDivergence()`` by default. A pipeline is fitted on
        the auxiliary rows of each class.
    transformer : None, "auto" or transformer, default="auto"
        Fitted once on the training rows of all classes, not on the auxiliary rows, and
        applied to both, so that reports on several auxiliary sets can be compared.
        "auto" leaves up to fifteen features as they are and takes the first fifteen
        principal components of wider data, of standardised columns if their units
        differ (images, and columns of like ranges, keep theirs), unless the estimator
        has another metric than the Euclidean, which is measured on the features given;
        the report records what it did. Columns that are discrete by name or dtype pass
        by it.
    conditioning : {"hard", "soft"}, default="hard"
        "hard": auxiliary rows whose label is c, as in the paper. "soft": every
        auxiliary row, weighted by the victim's probability of c. Soft scores use all
        auxiliary rows for every class and stay finite where hard labels cut the
        support; they need the victim's probabilities for both samples.
    victim : object with ``predict_proba`` or ``predict``, or callable, optional
        Labels auxiliary rows that come without labels. ``sklearn.base.clone`` forgets
        what an estimator has learned; wrap a fitted one in
        ``sklearn.frozen.FrozenEstimator`` if the scorer will be cloned.
    on_unscored : {"nan", "raise"}, default="nan"
        A class with too few rows gets NaN and a reason in the report, or an error.
    n_jobs : int, optional
        Classes scored at a time, each on one thread; None is one, or what
        ``joblib.parallel_config`` says, -1 as many as there are processors or workers.
        Threads unless that names another backend ("loky", "dask", ...); the scores are
        the same. With one class at a time, ``n_jobs`` of the estimator counts.
    random_state : None, int or Generator
        Seed of the default transformer.
    verbose : int, default=0
        1 writes to standard error how many classes are done, and how long the others
        will take, if that is more than ten seconds. Also passed to joblib where its
        workers are other processes.
    confidence_level : float or None, default=None
        Adds standard errors and intervals of this level to the report.
    floors : bool or dict, default=True
        Adds what the estimator says of two halves of the training rows of each class,
        at most 2000, whose divergence is 0, and notes those far from zero. Costs one
        more estimate for each class, unless given as :meth:`score_halves` gives them.
    memory_limit : int, optional
        Bytes of rows, and of what is made of them, that are held at a time; classes
        that are scored at a time share them. Rows of both samples are then read in
        parts, from memory maps, arrays of zarr and dask collections; labels, and a few
        numbers for each row, are in memory. Only for hard conditioning and a
        ``KNNDivergence(correction=None)``. Components are fitted by moments;
        transformers that need all rows are refused. See the user guide, "How far does
        it go".

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels of the training rows.
    results_ : dict
        Class label to :class:`DivergenceResult`, scored classes only.
    terms_ : dict
        Class label to the three terms of a soft score; empty for hard conditioning.
    log_ratio_ : ndarray of shape (n_train_rows,)
        Log of the density ratio at each training row, training rows of its class
        against auxiliary ones; its mean over a class is the score of the class. NaN at
        rows of classes without a score.
    report_ : PerClassReport
        What :meth:`report` returns.
    transformer_ : transformer or None
        The fitted transformer.
    n_features_in_ : int
        Features before the transformer.
    feature_names_in_ : ndarray of str
        Their names, if the training rows came as a data frame with names.

    References
    ----------
    H. Tanaka et al., "Evaluation Indicator for Model Inversion Attack", AdvML 2020,
    section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import ConditionalKLScorer
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 500)
    >>> train = (rng.normal(size=(1000, 2)) + y[:, None], y)
    >>> aux = (rng.normal(size=(1000, 2)), y)
    >>> unchanged, shifted = ConditionalKLScorer().fit(train, aux).score_per_class()
    >>> bool(unchanged < 0.2 < shifted)
    True
    """

    def __init__(
        self,
        estimator: Any = None,
        transformer: Any = "auto",
        conditioning: str = "hard",
        victim: Any = None,
        on_unscored: str = "nan",
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
        confidence_level: float | None = None,
        floors: bool | Mapping[Any, float] = True,
        memory_limit: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.transformer = transformer
        self.conditioning = conditioning
        self.victim = victim
        self.on_unscored = on_unscored
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose
        self.confidence_level = confidence_level
        self.floors = floors
        self.memory_limit = memory_limit

    @classmethod
    def from_paper(cls, **parameters: Any) -> ConditionalKLScorer:
        """The paper's method: one neighbour, no correction, hard conditioning.

        Parameters
        ----------
        **parameters
            Any parameter of the class but `estimator` and `conditioning`, for instance
            ``transformer``: the paper names no features.

        Returns
        -------
        ConditionalKLScorer
            An unfitted scorer.

        Examples
        --------
        >>> from kldiv import ConditionalKLScorer
        >>> ConditionalKLScorer.from_paper(transformer=None).estimator.n_neighbors
        1
        """
        estimator = KNNDivergence(n_neighbors=1, correction=None)
        return cls(estimator=estimator, conditioning="hard", **parameters)

    def fit(
        self,
        train: Any,
        aux: Any,
        sample_weight: ArrayLike | None = None,
        reference_weight: ArrayLike | None = None,
    ) -> ConditionalKLScorer:
        """Score every class.

        Parameters
        ----------
        train : pair (X, y), triple (X, y, probabilities) or Bunch
            Training rows, array-like of shape (n, ...), and their labels. Axes after
            the first are flattened. Soft conditioning takes the victim's answers to
            the training rows, shape (n, n_classes), as a third entry, or asks the
            `victim`.
        aux : pair (X, responses), Bunch, or X alone with a `victim`
            Auxiliary rows and the victim's answers: labels, or class probabilities of
            shape (m, n_classes) in the order of ``classes_``, whose label is the
            argmax.
        sample_weight, reference_weight : array-like of shape (n,) and (m,), optional
            Weights of the training and of the auxiliary rows, as in
            :func:`kldiv.kl_divergence`. A transformer is fitted as if all training
            rows that count did so alike.

        Returns
        -------
        ConditionalKLScorer
            This scorer.

        Raises
        ------
        ValueError
            For NaN, infinity, different widths, auxiliary labels that the training
            labels lack, probabilities that do not sum to one, repeated rows under
            ``duplicates="raise"``, or with ``on_unscored="raise"`` a class with too
            few rows.
        TypeError
            For input of a wrong kind.
        """
        started = time.perf_counter()
        final = checked_estimator(self)
        soft = self.conditioning == "soft"
        pair = self._pair_of(train, aux, final, self.victim)
        pair = pair.weighted(sample_weight, reference_weight)
        given_floors(self.floors, pair.classes.tolist())
        self._keep_features(pair)
        features, settings = self._transformed(pair, final)
        of_all = scale_notes(*pair.continuous, images=pair.images)
        warn_of(of_all)
        notes, reasons, floors = self._score(features, final, of_all)
        settings["seconds"] = round(time.perf_counter() - started, 3)
        columns = columns_of(
            pair,
            self.results_,
            self.terms_ if soft else None,
            floors if self.floors else None,
            intervals=self.confidence_level is not None,
        )
        self.report_ = PerClassReport(
            classes=pair.classes,
            columns=columns,
            reasons=reasons,
            settings=settings,
            title=_TITLE.format(**settings),
            notes=notes,
            pairing=pairings_of(self.results_, pair, soft=soft),
        )
        return self

    def score_halves(self, train: Any) -> dict[Any, float]:
        """Divergence between halves of each class of one sample: the truth is 0.

        Parameters
        ----------
        train : pair (X, y) or Bunch
            Rows and labels, as in :meth:`fit`.

        Returns
        -------
        dict
            Class label to what the column ``floor`` of the report holds, without
            classes that are too small to be halved.
        """
        final = checked_estimator(self)
        pair = self._pair_of(train, train, final, soft=False)
        transformer, _ = self._new_transformer(pair, final)
        return self._halves(pair.transformed(transformer)[0], final)

    def score_per_class(self) -> NDArray[np.float64]:
        """The divergence of each class, aligned with ``classes_``.

        Returns
        -------
        ndarray of shape (n_classes,), float64
            In nats, or in the unit that ``base`` of the estimator asks for. NaN where
            a class could not be scored; ``report()`` says why. Estimates may be
            negative in small samples.
        """
        check_is_fitted(self)
        return self.report_["kl"].copy()

    def report(self) -> PerClassReport:
        """Scores, sizes and diagnostics per class, and how they were obtained.

        Returns
        -------
        PerClassReport
            Columns ``kl`` (nats), ``floor`` (nats, NaN where halves are too small),
            ``n_train``, ``n_aux``, ``coverage``, ``n_duplicates``, ``trust``; with a
            confidence level ``standard_error``, ``kl_low``, ``kl_high``; for soft
            conditioning the three terms.
        """
        check_is_fitted(self)
        return self.report_

    def _pair_of(
        self, train: Any, aux: Any, final: KNNDivergence, victim: Any = None, **how: Any
    ) -> LabelledPair:
        how = {"soft": self.conditioning == "soft", **how}
        limit = None if self.memory_limit is None else final.memory_limit
        how |= {"discrete": self._discrete(final), "memory_limit": limit}
        return labelled_pair(train, aux, victim, **how)

    def _keep_features(self, pair: LabelledPair) -> None:
        """Remember the classes, how many features there were, and their names."""
        self.classes_ = pair.classes
        self.n_features_in_ = pair.train.shape[1]
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit
        if pair.asked.named:
            self.feature_names_in_ = np.array(pair.asked.names, dtype=object)

    def _discrete(self, final: KNNDivergence) -> Any:
        """What is said of the columns given; a pipeline speaks of those it makes."""
        if final.discrete is None or not isinstance(self.estimator, Pipeline):
            return final.discrete
        return "auto"

    def _transformed(
        self, pair: LabelledPair, final: KNNDivergence
    ) -> tuple[LabelledPair, dict[str, Any]]:
        """The pair with new features, and how they are made and scored."""
        with within_limits():
            self.transformer_, described = self._new_transformer(pair, final)
            features, shared = pair.transformed(self.transformer_)
        return features, {
            "transformer": described,
            "conditioning": self.conditioning,
            "estimator": repr(final),
            "unit": unit_of(final.base),
            "shared rows": shared,
            **({"features": list(pair.asked.names)} if pair.asked.named else {}),
        }

    def _new_transformer(
        self, pair: LabelledPair, final: KNNDivergence
    ) -> tuple[Any, str]:
        rows, given = pair.continuous[0], (final.metric, self.random_state)
        return make_transformer(self.transformer, rows, *given, images=pair.images)

    def _halves(self, pair: LabelledPair, final: KNNDivergence) -> dict[Any, float]:
        n_jobs = n_workers(self.n_jobs)
        used = self._estimator_of_classes(final)
        return floors_of(used, final, pair, n_jobs, self.verbose)

    def _estimator_of_classes(self, final: KNNDivergence) -> Any:
        """The estimator; `final` where it has the limit of memory."""
        return self.estimator if self.memory_limit is None else final

    def _score(
        self, pair: LabelledPair, final: KNNDivergence, of_all: tuple[Note, ...]
    ) -> tuple[dict[Any, str], dict[Any, str], Mapping[Any, float]]:
        """Keep results; what stands against them, why others were not had, floors."""
        soft = self.conditioning == "soft"
        jobs, reasons = class_jobs(pair, final, soft=soft)
        if reasons and self.on_unscored == "raise":
            raise unscored_error(reasons, len(pair.classes))
        n_jobs = n_workers(self.n_jobs)
        score = partial(
            score_job,
            confidence_level=self.confidence_level,
            beside_others=n_jobs > 1,
        )
        estimator = self._estimator_of_classes(final)
        asked = [(estimator, job, pair.asked) for job in jobs]
        with kept_in_mind(pair.aux):  # which soft scores compare every class with
            results = in_workers(score, asked, n_jobs, self.verbose, "classes scored")
        given = given_floors(self.floors)
        floors = given or (self._halves(pair, final) if self.floors else {})
        scored = {
            label: noted(result, of_all, floors.get(label, np.nan), final.base)
            for (label, *_), result in zip(jobs, results, strict=True)
        }
        notes = notes_of_classes(scored)
        self.results_: dict[Any, DivergenceResult] = scored
        self.terms_: dict[Any, SoftTerms] = {}
        if soft:
            column = {c: i for i, c in enumerate(pair.classes.tolist())}
            self.terms_ = {c: soft_terms(r, pair, column[c]) for c, r in scored.items()}
            self.results_ = {
                c: soft_result(terms, pair, column[c], self.confidence_level)
                for c, terms in self.terms_.items()
            }
            self.terms_ = {c: one.in_base(final.base) for c, one in self.terms_.items()}
        self.results_ = {c: one.in_base(final.base) for c, one in self.results_.items()}
        ratios = {c: one.log_ratio for c, one in self.results_.items()}
        self.log_ratio_ = pair.at_given_rows(ratios)
        return notes, reasons, floors
