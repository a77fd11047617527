"""One divergence per class: training rows of c against auxiliary rows labelled c."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from kldiv._backends._user_metric import metric_name
from kldiv._comparison import Pairing
from kldiv._duplicates import count_duplicates, fingerprint, row_ids
from kldiv._estimators import KNNDivergence, warn_of
from kldiv._inference import Effects, spread_of
from kldiv._neighbors import n_threads
from kldiv._report import PerClassReport
from kldiv._results import DivergenceResult
from kldiv._validation import (
    FloatArray,
    as_array,
    check_choice,
    check_labels,
    check_level,
    check_pair,
    check_probabilities,
    column_names,
)

# "auto" keeps this many principal components of wider data: with fewer, classes are put
# in the wrong order because too much is lost, with more because estimates from some
# hundred rows fall short (benchmarks/transformer.py; user guide, "Conditional
# scoring").
AUTO_COMPONENTS = 15


@dataclass(frozen=True)
class LabelledPair:
    """Checked training and auxiliary rows with labels, flattened to features."""

    train: FloatArray
    train_labels: NDArray[Any]
    aux: FloatArray
    aux_labels: NDArray[Any]
    classes: NDArray[Any]
    train_answers: NDArray[np.float64] | None = None
    aux_answers: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Terms:
    """The three terms of a soft score: kl(F_c || F') - log_answer + log_share.

    Attributes
    ----------
    marginal : DivergenceResult
        Divergence of the training rows of c from all auxiliary rows.
    log_answer, log_answer_error : float
        Mean log probability of c at the training rows of c, and its standard error.
    log_share, log_share_error : float
        Log of the mean probability of c at the auxiliary rows, and its standard error.
    """

    marginal: DivergenceResult
    log_answer: float
    log_answer_error: float
    log_share: float
    log_share_error: float


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
        principal components of wider data, unless the estimator has another metric
        than the Euclidean, which is measured on the features given; the report records
        what it did.
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
        Classes scored at a time, each on one thread; None is one, -1 as many as there
        are processors. With one class at a time, ``n_jobs`` of the estimator counts.
    random_state : None, int or Generator
        Seed of the default transformer.
    verbose : int, default=0
        Passed to joblib.
    confidence_level : float or None, default=None
        Adds standard errors and intervals of this level to the report.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels of the training rows.
    results_ : dict
        Class label to :class:`DivergenceResult`, scored classes only.
    terms_ : dict
        Class label to the three terms of a soft score; empty for hard conditioning.
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

    _CHOICES: ClassVar[dict[str, tuple[str, ...]]] = {
        "conditioning": ("hard", "soft"),
        "on_unscored": ("nan", "raise"),
    }

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

    def fit(self, train: Any, aux: Any) -> ConditionalKLScorer:
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
        for name, choices in self._CHOICES.items():
            check_choice(getattr(self, name), choices, name)
        final = self._final_estimator()
        final.check_parameters()
        check_level(self.confidence_level)
        pair = self._check(train, aux)
        self.classes_ = pair.classes
        self.n_features_in_ = pair.train.shape[1]
        features, shared = self._transform(pair)
        self.results_: dict[Any, DivergenceResult] = {}
        self.terms_: dict[Any, Terms] = {}
        self.reasons_: dict[Any, str] = {}
        self._score(features, final.n_neighbors)
        self._pairing = self._pair(pair)
        self._settings = {
            "transformer": self.transformer_description_,
            "conditioning": self.conditioning,
            "estimator": repr(final),
            "shared rows": shared,
            "seconds": round(time.perf_counter() - started, 3),
        }
        self._sizes = (
            [int((pair.train_labels == c).sum()) for c in pair.classes],
            [int((pair.aux_labels == c).sum()) for c in pair.classes],
        )
        return self

    def score_per_class(self) -> NDArray[np.float64]:
        """The divergence of each class in nats, aligned with ``classes_``.

        Returns
        -------
        ndarray of shape (n_classes,), float64
            NaN where a class could not be scored; ``report()`` says why. Estimates may
            be negative in small samples.
        """
        check_is_fitted(self)
        return self._column("value")

    def report(self) -> PerClassReport:
        """Scores, sizes and diagnostics per class, and how they were obtained.

        Returns
        -------
        PerClassReport
            Columns ``kl`` (nats), ``n_train``, ``n_aux``, ``coverage``,
            ``n_duplicates``; with a confidence level ``standard_error``, ``kl_low``,
            ``kl_high``; for soft conditioning the three terms.
        """
        check_is_fitted(self)
        n_train, n_aux = self._sizes
        columns = {
            "kl": self._column("value"),
            "n_train": np.array(n_train),
            "n_aux": np.array(n_aux),
            "coverage": self._column("coverage"),
            "n_duplicates": self._column("n_duplicates"),
        }
        if self.confidence_level is not None:
            columns["standard_error"] = self._column("standard_error")
            for i, name in enumerate(("kl_low", "kl_high")):
                columns[name] = self._gather(
                    {
                        c: (r.confidence_interval or (np.nan, np.nan))[i]
                        for c, r in self.results_.items()
                    }
                )
        if self.conditioning == "soft":
            columns["kl_marginal"] = self._gather(
                {c: t.marginal.value for c, t in self.terms_.items()}
            )
            for name in ("log_answer", "log_share"):
                for suffix in ("", "_error"):
                    columns[name + suffix] = self._gather(
                        {c: getattr(t, name + suffix) for c, t in self.terms_.items()}
                    )
        return PerClassReport(
            classes=self.classes_,
            columns=columns,
            reasons=dict(self.reasons_),
            settings=dict(self._settings),
            title="Kullback-Leibler divergence per class (nats; small means exposed)",
            notes=dict(self.notes_),
            pairing=dict(self._pairing),
        )

    def _column(self, name: str) -> NDArray[np.float64]:
        return self._gather({c: getattr(r, name) for c, r in self.results_.items()})

    def _gather(self, values: dict[Any, Any]) -> NDArray[np.float64]:
        """One number per class, NaN where there is none."""
        found = [values.get(c) for c in self.classes_.tolist()]
        return np.array([np.nan if v is None else v for v in found], dtype=np.float64)

    def _final_estimator(self) -> KNNDivergence:
        estimator = KNNDivergence() if self.estimator is None else self.estimator
        final = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        if not isinstance(final, KNNDivergence):
            raise TypeError(
                "estimator must be a KNNDivergence or a Pipeline that ends in one; got "
                f"{estimator!r}."
            )
        return final

    def _check(self, train: Any, aux: Any) -> LabelledPair:
        train, train_answers = _without_answers(train)
        train_rows, train_labels = _unpack(train, "train")
        if train_labels is None:
            raise TypeError(
                "train must be a pair (X, y) of rows and labels; got rows alone."
            )
        aux_rows, responses = _unpack(aux, "aux", labelled=self.victim is None)
        if responses is None:
            responses = _ask_victim(self.victim, aux_rows)
        X, Y = check_pair(train_rows, aux_rows, ("train", "aux"))
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit
        names = column_names(train_rows)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        labels = check_labels(train_labels, "the labels of train", len(X))
        classes = np.unique(labels)
        aux_labels = _aux_labels(responses, len(Y), classes)
        answers: tuple[Any, Any] = None, None
        if self.conditioning == "soft":
            if train_answers is None and self.victim is not None:
                train_answers = _ask_victim(self.victim, train_rows)
            answers = (
                _soft_answers(train_answers, "train", len(X), len(classes)),
                _soft_answers(responses, "aux", len(Y), len(classes)),
            )
        return LabelledPair(X, labels, Y, aux_labels, classes, *answers)

    def _transform(self, pair: LabelledPair) -> tuple[LabelledPair, int]:
        """Features of both samples, and the number of rows that both share.

        Equal rows must get equal features, so each distinct row is transformed once: a
        matrix product can round equal rows differently.
        """
        counts, _, _ = count_duplicates(pair.train, pair.aux)
        self.transformer_ = self._make_transformer(*pair.train.shape)
        if self.transformer_ is None:
            return pair, counts.shared
        self.transformer_.fit(pair.train)
        rows, n = np.concatenate([pair.train, pair.aux]), len(pair.train)
        if counts.total:
            distinct, inverse = np.unique(row_ids(rows), return_inverse=True)
            features = self.transformer_.transform(rows[distinct])[inverse]
        else:
            features = self.transformer_.transform(rows)
        train, aux = check_pair(
            features[:n], features[n:], ("transformed train", "transformed aux")
        )
        return replace(pair, train=train, aux=aux), counts.shared

    def _make_transformer(self, n_rows: int, n_features: int) -> Any:
        if self.transformer is None:
            self.transformer_description_ = "none"
            return None
        if not isinstance(self.transformer, str):
            self.transformer_description_ = repr(self.transformer)
            return clone(self.transformer)
        check_choice(self.transformer, ("auto",), "transformer, unless an object,")
        if n_features <= AUTO_COMPONENTS:
            self.transformer_description_ = f"auto: none, {n_features} features"
            return None
        metric = self._final_estimator().metric
        if metric != "euclidean":
            self.transformer_description_ = (
                f"auto: none, metric={metric_name(metric)!r} on {n_features} features"
            )
            return None
        n_components = min(AUTO_COMPONENTS, n_rows)
        self.transformer_description_ = (
            f"auto: PCA({n_components}) of {n_features} features, fitted on train"
        )
        return PCA(n_components, random_state=_legacy_seed(self.random_state))

    def _score(self, pair: LabelledPair, n_neighbors: int) -> None:
        jobs, labels = [], pair.classes.tolist()
        soft = self.conditioning == "soft"
        for label, c in zip(labels, pair.classes, strict=True):
            aux = pair.aux if soft else pair.aux[pair.aux_labels == c]
            rows = pair.train[pair.train_labels == c], aux
            reason = _too_few(len(rows[0]), len(rows[1]), n_neighbors)
            if reason:
                self.reasons_[label] = reason
            else:
                jobs.append((label, *rows))
        if self.reasons_ and self.on_unscored == "raise":
            listed = "; ".join(f"class {c}: {r}" for c, r in self.reasons_.items())
            raise ValueError(
                f"{len(self.reasons_)} of {len(labels)} classes cannot be scored "
                f"({listed}). Lower n_neighbors, drop those classes, or choose "
                "on_unscored='nan'."
            )
        n_jobs = n_threads(self.n_jobs)
        # Classes are the parallel level: below them, nothing may start threads.
        with threadpool_limits(1, user_api="blas") if n_jobs > 1 else nullcontext():
            results = Parallel(n_jobs=n_jobs, prefer="threads", verbose=self.verbose)(
                delayed(self._score_class)(*job) for job in jobs
            )
        self._tell(dict(zip((label for label, *_ in jobs), results, strict=True)))
        for (label, *_), result in zip(jobs, results, strict=True):
            self.results_[label] = result
            if soft:
                self.terms_[label] = _soft_terms(result, pair, labels.index(label))
                self.results_[label] = _soft_result(
                    self.terms_[label], pair, labels.index(label), self.confidence_level
                )

    def _pair(self, pair: LabelledPair) -> dict[Any, Pairing]:
        """What rows did to the scores, and which rows, where that is known."""
        found = {}
        for c, result in self.results_.items():
            if result.effects is None:
                continue
            train = pair.train[pair.train_labels == c]
            aux = pair.aux if self.conditioning == "soft" else None
            aux = pair.aux[pair.aux_labels == c] if aux is None else aux
            found[c] = Pairing(
                result.effects,
                # repeated rows may have been dropped: then effects are of those kept
                train_rows=hash((fingerprint(train), result.n)),
                aux_rows=hash((fingerprint(aux), result.m)),
            )
        return found

    def _tell(self, results: dict[Any, DivergenceResult]) -> None:
        """Keep what stands against the scores, and warn once of it."""
        found = {c: " ".join(r.notes) for c, r in results.items() if r.notes}
        self.notes_ = found
        if found:
            first = next(iter(found))
            warn_of(
                [
                    f"{len(found)} of {len(results)} scores need care; report().notes "
                    f"has them all. Class {first}: {found[first]}"
                ]
            )

    def _score_class(
        self, label: Any, train: FloatArray, aux: FloatArray
    ) -> DivergenceResult:
        estimator = KNNDivergence() if self.estimator is None else self.estimator
        estimator = clone(estimator)
        try:
            if isinstance(estimator, Pipeline):
                head = estimator[:-1].fit(aux)
                train, aux = head.transform(train), head.transform(aux)
                estimator = estimator[-1]
            if n_threads(self.n_jobs) > 1:
                estimator.set_params(n_jobs=None)
            result: DivergenceResult = estimator.estimate_checked(
                *check_pair(train, aux), confidence_level=self.confidence_level
            )
        except ValueError as error:
            raise ValueError(f"class {label}: {error}") from error
        return result


def _unpack(pair: Any, name: str, *, labelled: bool = True) -> tuple[Any, Any]:
    """Rows and labels of a pair or Bunch; labels are None for rows alone."""
    if hasattr(pair, "data") and hasattr(pair, "target"):  # sklearn.utils.Bunch
        return pair.data, pair.target
    if len(pair) == 2 and isinstance(pair, tuple | (list if labelled else tuple)):
        return pair[0], pair[1]
    if not labelled or name == "train":
        return pair, None
    raise TypeError(
        f"{name} must be a pair (X, y) of rows and the victim's answers, or rows alone "
        f"together with victim=...; got {type(pair).__name__}."
    )


def _ask_victim(victim: Any, rows: ArrayLike) -> NDArray[Any]:
    """The victim's answer to every row: probabilities if it gives them, else labels."""
    ask: Callable[[Any], Any]
    for method in ("predict_proba", "predict"):
        if hasattr(victim, method):
            ask = getattr(victim, method)
            break
    else:
        if not callable(victim):
            raise TypeError(
                "victim must have predict_proba or predict, or be callable on a batch "
                f"of rows; got {type(victim).__name__}."
            )
        ask = victim
    return as_array(ask(rows), "the victim's answer")


def _aux_labels(responses: Any, n_rows: int, classes: NDArray[Any]) -> NDArray[Any]:
    """One label per auxiliary row from labels or class probabilities."""
    name = "the labels of aux"
    array = as_array(responses, name)
    if array.ndim == 2 and array.shape[1] > 1:
        probabilities = check_probabilities(
            array, "the answers of aux", n_rows, len(classes)
        )
        return np.asarray(classes[probabilities.argmax(axis=1)])
    labels = check_labels(array, name, n_rows)
    unknown = np.setdiff1d(labels, classes)
    if unknown.size:
        raise ValueError(
            f"{name} hold {unknown.tolist()[:10]}, which the training labels lack "
            f"(training classes: {classes.tolist()[:20]}). Auxiliary labels are the "
            "victim's answers, so every one must be a training class; pass the "
            "victim's answers, not the auxiliary data's own labels."
        )
    return labels


def _without_answers(train: Any) -> tuple[Any, Any]:
    """A triple (X, y, probabilities) as a pair (X, y) and the probabilities."""
    if isinstance(train, tuple) and len(train) == 3:
        return train[:2], train[2]
    return train, None


def _soft_answers(
    answers: Any, name: str, n_rows: int, n_classes: int
) -> NDArray[np.float64]:
    """The victim's probabilities for one sample, checked."""
    array = None if answers is None else as_array(answers, name)
    if array is None or array.ndim != 2:
        raise ValueError(
            "conditioning='soft' needs the victim's class probabilities for both "
            f"samples; those of {name} are missing. Give train=(X, y, probabilities) "
            "and aux=(X, probabilities), or a victim with predict_proba."
        )
    return check_probabilities(array, f"the answers of {name}", n_rows, n_classes)


def _soft_terms(marginal: DivergenceResult, pair: LabelledPair, column: int) -> Terms:
    label, own, all_aux = _answers(pair, column)
    if (own == 0).any():
        warn_of(
            [
                f"class {label}: the victim gives probability 0 to "
                f"{int((own == 0).sum())} of {len(own)} training rows of the class, so "
                "that the soft score is infinite. Ask the victim in higher precision, "
                "or use hard conditioning."
            ]
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(own)
        log_share = np.log(all_aux.mean())
        return Terms(
            marginal=marginal,
            log_answer=float(logs.mean()),
            log_answer_error=float(logs.std() / np.sqrt(len(logs))),
            log_share=float(log_share),
            log_share_error=float(
                all_aux.std() / np.sqrt(len(all_aux)) / all_aux.mean()
            ),
        )


def _answers(
    pair: LabelledPair, column: int
) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
    """A class, and its probabilities at its training rows and at all auxiliary rows."""
    assert pair.train_answers is not None
    assert pair.aux_answers is not None
    label = pair.classes[column]
    own = pair.train_answers[pair.train_labels == label, column]
    return label, own, pair.aux_answers[:, column]


def _soft_result(
    terms: Terms, pair: LabelledPair, column: int, level: float | None
) -> DivergenceResult:
    """The sum of the terms and its standard error."""
    marginal = terms.marginal
    value = marginal.value - terms.log_answer + terms.log_share
    if marginal.standard_error is None or level is None:
        return replace(marginal, value=value)
    effects = _soft_effects(terms, pair, column)
    if effects is not None:
        spread = spread_of((effects.x, effects.y))
        return replace(
            marginal,
            value=value,
            standard_error=spread.standard_error,
            confidence_interval=spread.interval(value, level),
            effects=effects,
        )
    error = float(
        np.sqrt(
            marginal.standard_error**2
            + terms.log_answer_error**2
            + terms.log_share_error**2
        )
    )
    reach = float(norm.ppf(0.5 + level / 2)) * error
    return replace(
        marginal,
        value=value,
        standard_error=error,
        confidence_interval=(value - reach, value + reach),
        effects=None,
    )


def _soft_effects(terms: Terms, pair: LabelledPair, column: int) -> Effects | None:
    """Effects of the rows on the sum of the three terms.

    None if rows were dropped as duplicates, so that rows cannot be matched, or if the
    score is infinite.
    """
    marginal = terms.marginal
    _, own, all_aux = _answers(pair, column)
    assert marginal.effects is not None
    x, y = marginal.effects.x, marginal.effects.y
    if (marginal.n, marginal.m) != (len(own), len(all_aux)) or (own == 0).any():
        return None
    share = all_aux.mean()
    return replace(
        marginal.effects,
        x=replace(x, rows=x.rows - (np.log(own) - terms.log_answer)),
        y=replace(y, rows=y.rows + (all_aux / share - 1)),
    )


def _too_few(n: int, m: int, n_neighbors: int) -> str:
    """Why a class with n training and m auxiliary rows cannot be scored, or ""."""
    if m == 0:
        return "no auxiliary row was put in this class by the victim"
    if n < n_neighbors + 1:
        return (
            f"n_neighbors={n_neighbors} needs at least {n_neighbors + 1} training "
            f"rows; the class has {n}"
        )
    if m < n_neighbors:
        return (
            f"n_neighbors={n_neighbors} needs at least {n_neighbors} auxiliary rows; "
            f"the victim put {m} in this class"
        )
    return ""


def _legacy_seed(random_state: Any) -> Any:
    """A seed for scikit-learn, which does not take NumPy generators."""
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return random_state
