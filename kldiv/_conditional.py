"""One divergence per class: training rows of c against auxiliary rows labelled c."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from kldiv._duplicates import count_duplicates, row_ids
from kldiv._estimators import KNNDivergence
from kldiv._neighbors import n_threads
from kldiv._report import DivergenceResult, PerClassReport
from kldiv._validation import (
    FloatArray,
    as_array,
    check_choice,
    check_labels,
    check_pair,
    check_probabilities,
)

# "auto" keeps this many principal components of wider data.
AUTO_COMPONENTS = 8


@dataclass(frozen=True)
class LabelledPair:
    """Checked training and auxiliary rows with labels, flattened to features."""

    train: FloatArray
    train_labels: NDArray[Any]
    aux: FloatArray
    aux_labels: NDArray[Any]
    classes: NDArray[Any]


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
        Fitted once on the training features and applied to both samples. "auto" leaves
        up to eight features as they are and takes the first eight principal components
        of wider data; the report records what it did.
    conditioning : {"hard"}, default="hard"
        Auxiliary rows whose label is c.
    victim : object with ``predict_proba`` or ``predict``, or callable, optional
        Labels auxiliary rows that come without labels.
    on_unscored : {"nan", "raise"}, default="nan"
        A class with too few rows gets NaN and a reason in the report, or an error.
    n_jobs : int, optional
        Classes scored at a time; None is one, -1 as many as there are processors.
    random_state : None, int or Generator
        Seed of the default transformer.
    verbose : int, default=0
        Passed to joblib.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels of the training rows.
    results_ : dict
        Class label to :class:`DivergenceResult`, scored classes only.
    transformer_ : transformer or None
        The fitted transformer.
    n_features_in_ : int
        Features before the transformer.

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
        "conditioning": ("hard",),
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
    ) -> None:
        self.estimator = estimator
        self.transformer = transformer
        self.conditioning = conditioning
        self.victim = victim
        self.on_unscored = on_unscored
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

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
        train : pair (X, y) or Bunch
            Training rows, array-like of shape (n, ...), and their labels. Axes after
            the first are flattened.
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
        pair = self._check(train, aux)
        self.classes_ = pair.classes
        self.n_features_in_ = pair.train.shape[1]
        features, shared = self._transform(pair)
        self.results_: dict[Any, DivergenceResult] = {}
        self.reasons_: dict[Any, str] = {}
        self._score(features, final.n_neighbors)
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
            ``n_duplicates``.
        """
        check_is_fitted(self)
        n_train, n_aux = self._sizes
        return PerClassReport(
            classes=self.classes_,
            columns={
                "kl": self._column("value"),
                "n_train": np.array(n_train),
                "n_aux": np.array(n_aux),
                "coverage": self._column("coverage"),
                "n_duplicates": self._column("n_duplicates"),
            },
            reasons=dict(self.reasons_),
            settings=dict(self._settings),
            title="Kullback-Leibler divergence per class (nats; small means exposed)",
        )

    def _column(self, name: str) -> NDArray[np.float64]:
        labels = self.classes_.tolist()
        values = [
            getattr(self.results_[c], name) if c in self.results_ else np.nan
            for c in labels
        ]
        return np.array(values, dtype=np.float64)

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
        train_rows, train_labels = _unpack(train, "train")
        if train_labels is None:
            raise TypeError(
                "train must be a pair (X, y) of rows and labels; got rows alone."
            )
        aux_rows, responses = _unpack(aux, "aux", labelled=self.victim is None)
        if responses is None:
            responses = _ask_victim(self.victim, aux_rows)
        X, Y = check_pair(train_rows, aux_rows, ("train", "aux"))
        labels = check_labels(train_labels, "the labels of train", len(X))
        classes = np.unique(labels)
        return LabelledPair(
            X, labels, Y, _aux_labels(responses, len(Y), classes), classes
        )

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
        labels = pair.train_labels, pair.aux_labels
        return LabelledPair(train, labels[0], aux, labels[1], pair.classes), (
            counts.shared
        )

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
        n_components = min(AUTO_COMPONENTS, n_rows)
        self.transformer_description_ = (
            f"auto: PCA({n_components}) of {n_features} features"
        )
        return PCA(n_components, random_state=_legacy_seed(self.random_state))

    def _score(self, pair: LabelledPair, n_neighbors: int) -> None:
        jobs, labels = [], pair.classes.tolist()
        for label, c in zip(labels, pair.classes, strict=True):
            rows = pair.train[pair.train_labels == c], pair.aux[pair.aux_labels == c]
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
        results = Parallel(
            n_jobs=n_threads(self.n_jobs), prefer="threads", verbose=self.verbose
        )(delayed(self._score_class)(*job) for job in jobs)
        self.results_.update(zip((job[0] for job in jobs), results, strict=True))

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
            if n_threads(self.n_jobs) > 1:  # classes are the parallel level
                estimator.set_params(n_jobs=None)
            result: DivergenceResult = estimator.fit(aux).estimate(train)
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
