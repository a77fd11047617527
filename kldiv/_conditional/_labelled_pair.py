"""Two labelled samples: labels, classes, and what the victim answers to each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.frozen import FrozenEstimator

from kldiv._conditional._in_parts import (
    ask_in_parts,
    fit_in_parts,
    shared_rows,
    with_features,
)
from kldiv._conditional._transformer import takes_any_unit
from kldiv._duplicates import count_duplicates, hash_order, row_ids, row_keys
from kldiv._errors._differences import Keys
from kldiv._estimation._categories import checked_samples
from kldiv._estimation._columns import Asked, renamed
from kldiv._estimation._stored import refuse_unlimited, stored_samples
from kldiv._typing import FloatArray, Floats, Rows
from kldiv._validation import (
    PROBABILITY_TOLERANCE,
    Weights,
    as_array,
    brought_into_range,
    check_labels,
    check_pair,
    check_probabilities,
)


@dataclass(frozen=True)
class LabelledPair:
    """Checked training and auxiliary rows with labels, flattened to features."""

    train: Any  # as rows that are read in parts, else as arrays
    train_labels: NDArray[Any]
    aux: Any
    aux_labels: NDArray[Any]
    classes: NDArray[Any]
    asked: Asked
    train_answers: NDArray[np.float64] | None = None
    aux_answers: NDArray[np.float64] | None = None
    weights: Weights | None = None
    # which of so many training rows these are, if some had a weight of zero
    places: tuple[Rows, int] | None = None
    # whether training rows came with more than one axis
    images: bool = False

    @property
    def in_parts(self) -> bool:
        """Whether rows are read in parts."""
        return not isinstance(self.train, np.ndarray)

    def weighted(self, of_train: Any, of_aux: Any) -> LabelledPair:
        """The pair with weights, without the rows whose weight is zero."""
        n = len(self.train)
        weights = Weights.of(of_train, of_aux, n, len(self.aux))
        if weights is None:
            return self
        if self.in_parts:
            refuse_unlimited(self.train.limit, weights, 0)
        x, y = np.flatnonzero(weights.of_x), np.flatnonzero(weights.of_y)
        answers = self.train_answers, self.aux_answers
        return replace(
            self,
            train=self.train[x],
            train_labels=self.train_labels[x],
            aux=self.aux[y],
            aux_labels=self.aux_labels[y],
            train_answers=None if answers[0] is None else answers[0][x],
            aux_answers=None if answers[1] is None else answers[1][y],
            weights=weights.taken(x, y),
            places=(x, n),
        )

    def weights_of(self, label: Any, *, all_aux: bool) -> Weights | None:
        """Weights of what `rows_of` gives."""
        if self.weights is None:
            return None
        x = np.flatnonzero(self.train_labels == label)
        y = np.flatnonzero((self.aux_labels == label) | all_aux)
        return self.weights.taken(x, y)

    def at_given_rows(self, by_class: dict[Any, Floats | None]) -> Floats:
        """Numbers at the training rows as they were given, from those of classes."""
        places, n = self.places or (np.arange(len(self.train)), len(self.train))
        given = np.full(n, np.nan)
        for label, values in by_class.items():
            if values is not None:
                given[places[self.train_labels == label]] = values
        return given

    @property
    def continuous(self) -> tuple[FloatArray, FloatArray]:
        """Both samples without the columns that are discrete for certain."""
        codes = self.asked.discrete
        if not codes.any():
            return self.train, self.aux
        train, aux = (
            np.ascontiguousarray(rows[:, ~codes]) for rows in (self.train, self.aux)
        )
        return train, aux

    def rows_of(self, label: Any, *, all_aux: bool) -> tuple[FloatArray, FloatArray]:
        """Training rows of a class, and its auxiliary rows or all of them."""
        aux = self.aux if all_aux else self.aux[self.aux_labels == label]
        return self.train[self.train_labels == label], aux

    def keys_of(self, label: Any, *, all_aux: bool) -> tuple[Keys, Keys]:
        """A number for each of the rows that `rows_of` gives."""
        train, aux = self.rows_of(label, all_aux=all_aux)
        return row_keys(train), row_keys(aux)

    def transformed(self, transformer: Any) -> tuple[LabelledPair, int]:
        """The pair with new features, and how many rows both samples share.

        The transformer is fitted on the training rows. Columns that are discrete for
        certain pass by it and come last. Equal rows must get equal features, so each
        distinct row is transformed once: a matrix product can round equal rows
        differently.
        """
        if self.in_parts:
            return self._transformed_in_parts(transformer)
        counts, _, _ = count_duplicates(self.train, self.aux)
        if transformer is None:
            return self, counts.shared
        codes = self.asked.discrete
        if codes.all():
            return self, counts.shared
        train, aux = self.continuous
        if takes_any_unit(transformer):
            train, aux, _ = brought_into_range(train, aux, ("train", "aux"))
        # last digits of sums and products hang on positions
        order = hash_order(train), hash_order(aux)
        train, aux = train[order[0]], aux[order[1]]
        if not isinstance(transformer, FrozenEstimator):
            transformer.fit(train)
        rows, n = np.concatenate([train, aux]), len(train)
        if counts.total:
            distinct, inverse = np.unique(row_ids(rows), return_inverse=True)
            features = transformer.transform(rows[distinct])[inverse]
        else:
            features = transformer.transform(rows)
        train, aux = check_pair(
            features[:n], features[n:], ("transformed train", "transformed aux")
        )
        as_given = train[np.argsort(order[0])], aux[np.argsort(order[1])]
        return self._with_features(*as_given), counts.shared

    def _transformed_in_parts(self, transformer: Any) -> tuple[LabelledPair, int]:
        """`transformed` for rows that are read in parts, as they are read."""
        # rows of one source are read alike, and so are their features
        alike = transformer is None or self.aux is self.train
        classes = () if alike else self.classes.tolist()
        labels = self.train_labels, self.aux_labels
        shared = shared_rows(self.train, self.aux, labels, classes)
        if transformer is None:
            return self, shared
        fit_in_parts(transformer, self.train)
        train, aux = (with_features(transformer, s) for s in (self.train, self.aux))
        return self._with_features(train, aux), shared

    def _with_features(self, train: FloatArray, aux: FloatArray) -> LabelledPair:
        """The pair with these features, and after them the columns of codes."""
        old, width = self.asked, train.shape[1]
        if not old.discrete.any():
            return replace(self, train=train, aux=aux, asked=renamed(old, width))
        codes = [rows[:, old.discrete] for rows in (self.train, self.aux)]
        train, aux = check_pair(np.c_[train, codes[0]], np.c_[aux, codes[1]])
        return replace(self, train=train, aux=aux, asked=renamed(old, width))

    def sizes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Training and auxiliary rows of each class."""
        sizes = [
            np.array([(labels == c).sum() for c in self.classes], dtype=np.int64)
            for labels in (self.train_labels, self.aux_labels)
        ]
        return sizes[0], sizes[1]


def labelled_pair(
    train: Any,
    aux: Any,
    victim: Any,
    *,
    soft: bool,
    discrete: Any = "auto",
    memory_limit: int | None = None,
) -> LabelledPair:
    """Training and auxiliary rows with labels, and with probabilities if `soft`.

    The rows are read in parts where there is a `memory_limit`.
    """
    train, train_answers = _without_answers(train)
    train_rows, train_labels = _unpack(train, "train")
    if train_labels is None:
        raise TypeError(
            "train must be a pair (X, y) of rows and labels; got rows alone."
        )
    aux_rows, responses = _unpack(aux, "aux", labelled=victim is None)
    for pair, name in (((train_rows, train_labels), "train"), (aux, "aux")):
        _refuse_swapped(pair, name)
    X, Y, asked = _read(train_rows, aux_rows, discrete, memory_limit)
    labels = check_labels(train_labels, "train", len(X))
    classes = np.unique(labels)
    if responses is None:
        asked_of = aux_rows if memory_limit is None else Y
        responses = _ask_victim(victim, asked_of, classes)
    aux_labels = _aux_labels(responses, len(Y), classes)
    shape = getattr(train_rows, "shape", None)
    images = (np.ndim(train_rows) if shape is None else len(shape)) > 2
    pair = LabelledPair(X, labels, Y, aux_labels, classes, asked, images=images)
    if not soft:
        return pair
    if train_answers is None and victim is not None:
        train_answers = _ask_victim(victim, train_rows, classes)
    return replace(
        pair,
        train_answers=_soft_answers(train_answers, "train", len(X), classes),
        aux_answers=_soft_answers(responses, "aux", len(Y), classes),
    )


def _read(
    train: Any, aux: Any, discrete: Any, memory_limit: int | None
) -> tuple[Any, Any, Asked]:
    """Checked rows, or such as are read and checked in parts."""
    names = "train", "aux"
    if memory_limit is None:
        return checked_samples(train, aux, discrete, names)
    X, Y, asked = stored_samples(
        train, aux, discrete, memory_limit=memory_limit, names=names
    )
    return X, X if aux is train else Y, asked


def too_few(n: int, m: int, n_neighbors: int, fewest: int = 1) -> str:
    """Why a class with n training and m auxiliary rows cannot be scored, or "".

    Its correction needs the fewest rows of each.
    """
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
    if min(n, m) < fewest:
        return (
            f"the correction needs at least {fewest} training and auxiliary rows; the "
            f"class has {n} and {m}"
        )
    return ""


def _unpack(pair: Any, name: str, *, labelled: bool = True) -> tuple[Any, Any]:
    """Rows and labels of a pair or Bunch; labels are None for rows alone."""
    if hasattr(pair, "data") and hasattr(pair, "target"):  # sklearn.utils.Bunch
        return pair.data, pair.target
    if isinstance(pair, tuple | (list if labelled else tuple)) and len(pair) == 2:
        return pair[0], pair[1]
    if not labelled or name == "train":
        return pair, None
    raise TypeError(
        f"{name} must be a pair (X, y) of rows and the victim's answers, or rows alone "
        f"together with victim=...; got {type(pair).__name__}."
    )


def _ask_victim(victim: Any, rows: ArrayLike, classes: NDArray[Any]) -> Any:
    """The victim's answer to every row: probabilities if it gives them, else labels."""
    if isinstance(victim, type):
        raise TypeError(
            f"victim is the class {victim.__name__}; an instance of it is needed, "
            f"fitted: {victim.__name__}(...)."
        )
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
        if hasattr(victim, "state_dict") and hasattr(victim, "forward"):
            raise TypeError(
                "victim is a torch module, which takes tensors and may return logits. "
                "Wrap it in a function: lambda rows: module(torch.as_tensor(rows, "
                "dtype=torch.float32)).softmax(1).detach().numpy(), with module.eval() "
                "before."
            )
        ask = victim
    if isinstance(rows, np.ndarray) or not hasattr(rows, "parts"):
        own = rows.copy() if hasattr(rows, "copy") else rows  # some write into batches
        answers = ask(own)
    else:
        answers = ask_in_parts(ask, rows)
    if isinstance(answers, list | tuple):
        answers = as_array(answers, "the victim's answer")
    return _in_order(answers, victim, classes)


def _in_order(answers: Any, victim: Any, classes: NDArray[Any]) -> Any:
    """Probabilities in the order of `classes` where the victim names its own order."""
    own = np.asarray(getattr(victim, "classes_", ())).tolist()
    wanted = classes.tolist()
    if np.ndim(answers) != 2 or own == wanted or set(own) != set(wanted):
        return answers
    return np.asarray(answers)[:, [own.index(label) for label in wanted]]


def _aux_labels(responses: Any, n_rows: int, classes: NDArray[Any]) -> NDArray[Any]:
    """One label per auxiliary row from labels or class probabilities."""
    if isinstance(responses, list | tuple):
        responses = as_array(responses, "the answers of aux")
    shape: Any = getattr(responses, "shape", ())
    if len(shape) == 2 and shape[1] > 1:
        probabilities = check_probabilities(responses, "aux", n_rows, classes)
        return np.asarray(classes[probabilities.argmax(axis=1)])
    labels = check_labels(responses, "aux", n_rows)
    unknown = np.setdiff1d(labels, classes)
    if unknown.size:
        raise ValueError(
            f"the labels of aux hold {unknown.tolist()[:10]}, which the training "
            f"labels lack (training classes: {classes.tolist()[:20]}). Auxiliary "
            "labels are the victim's answers, so every one must be a training class; "
            "pass the victim's answers, not the auxiliary data's own labels."
        )
    dates = labels.dtype.kind == "M"  # which Python compares in one unit only
    return labels.astype(classes.dtype) if dates else labels


def _refuse_swapped(pair: Any, name: str) -> None:
    """Raise ValueError for labels and rows in the wrong order."""
    if not isinstance(pair, tuple) or len(pair) < 2:
        return
    rows, labels = (tuple(getattr(one, "shape", ())) for one in pair[:2])
    if len(rows) != 1 or len(labels) != 2 or labels[-1] < 2:
        return
    answers = as_array(pair[1], name)
    numbers = name == "aux" and answers.dtype.kind in "fiu"
    if numbers and np.allclose(answers.sum(axis=1), 1, atol=PROBABILITY_TOLERANCE):
        return  # one feature, and probabilities of the classes
    raise ValueError(
        f"{name} has a vector first and {labels[-1]} columns second, so it seems to be "
        "(y, X); (X, y) is needed, rows before labels."
    )


def _without_answers(train: Any) -> tuple[Any, Any]:
    """A triple (X, y, probabilities) as a pair (X, y) and the probabilities."""
    if isinstance(train, tuple) and len(train) == 3:
        return train[:2], train[2]
    return train, None


def _soft_answers(
    answers: Any, sample: str, n_rows: int, classes: NDArray[Any]
) -> NDArray[np.float64]:
    """The victim's probabilities for one sample, checked."""
    if isinstance(answers, list | tuple):
        answers = as_array(answers, f"the answers of {sample}")
    if len(getattr(answers, "shape", ())) != 2:
        raise ValueError(
            "conditioning='soft' needs the victim's class probabilities for both "
            f"samples; those of {sample} are missing. Give train=(X, y, probabilities) "
            "and aux=(X, probabilities), or a victim with predict_proba."
        )
    return check_probabilities(answers, sample, n_rows, classes)
