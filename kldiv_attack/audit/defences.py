"""Defences on the output side: wrappers that change what a victim answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kldiv_attack.audit.answers import REFUSED, Answers

Table = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A family of wrappers.

    Attributes
    ----------
    apply : callable
        From probabilities, the value and a generator to probabilities; rows of NaN are
        refused.
    default : float
        Value if none is given.
    check : callable
        Whether a value makes sense.
    expected : str
        Which values do.
    says : str
        What it does, with ``{}`` for the value.
    """

    apply: Callable[[Table, float, np.random.Generator], Table]
    default: float
    check: Callable[[float], bool]
    expected: str
    says: str


def _label_only(table: Table, value: float, rng: np.random.Generator) -> Table:
    del value, rng
    certain: Table = np.eye(table.shape[1])[table.argmax(axis=1)]
    return certain


def _top_k(table: Table, value: float, rng: np.random.Generator) -> Table:
    del rng
    k = min(int(value), table.shape[1])
    order = np.argsort(-table, axis=1, kind="stable")
    kept = np.zeros_like(table)
    np.put_along_axis(
        kept, order[:, :k], np.take_along_axis(table, order[:, :k], axis=1), axis=1
    )
    return _normal(kept)


def _rounding(table: Table, value: float, rng: np.random.Generator) -> Table:
    del rng
    return _normal(np.round(table, int(value)))


def _temperature(table: Table, value: float, rng: np.random.Generator) -> Table:
    del rng
    with np.errstate(divide="ignore"):
        logits = np.log(table) / value
    spread = np.exp(logits - logits.max(axis=1, keepdims=True))
    return _normal(spread)


def _noise(table: Table, value: float, rng: np.random.Generator) -> Table:
    scale = max(1.0, value)  # sums of large values overflow; shares stay the same
    noisy = table / scale + rng.normal(0, value / scale, table.shape)
    return _normal(np.clip(noisy, 0, None))


def _rejection(table: Table, value: float, rng: np.random.Generator) -> Table:
    del rng
    kept = table.copy()
    kept[table.max(axis=1) < value] = np.nan
    return kept


def _normal(table: Table) -> Table:
    """Rows that sum to one; all classes alike where nothing is left."""
    sums = table.sum(axis=1, keepdims=True)
    return np.where(sums > 0, table / np.where(sums > 0, sums, 1), 1 / table.shape[1])


def _whole(least: int) -> Callable[[float], bool]:
    return lambda value: value == int(value) and value >= least


DEFENCES: dict[str, Kind] = {
    "label_only": Kind(_label_only, 0, lambda v: v == 0, "no value", "labels only"),
    "noise": Kind(
        _noise,
        0.1,
        lambda v: v > 0,
        "a standard deviation above 0",
        "Gaussian noise of standard deviation {} added to every probability, anew for "
        "every query",
    ),
    "rejection": Kind(
        _rejection,
        0.7,
        lambda v: 0 < v < 1,
        "a confidence between 0 and 1",
        "no answer below a confidence of {}",
    ),
    "rounding": Kind(
        _rounding,
        1,
        _whole(0),
        "a number of decimals, 0 or more",
        "probabilities rounded to {} decimals",
    ),
    "temperature": Kind(
        _temperature,
        5,
        lambda v: v > 0,
        "a temperature above 0",
        "probabilities flattened with temperature {}",
    ),
    "top_k": Kind(
        _top_k,
        3,
        _whole(1),
        "a number of classes, 1 or more",
        "only the {} most probable classes",
    ),
}


@dataclass(frozen=True)
class Defence:
    """One wrapper with its value.

    Attributes
    ----------
    kind : str
        Key of ``DEFENCES``.
    value : float
        Its strength.
    """

    kind: str
    value: float

    @property
    def name(self) -> str:
        """What reports call it."""
        if self.kind == "label_only":
            return self.kind
        return f"{self.kind}:{self.value:g}"

    @property
    def says(self) -> str:
        """What it does."""
        return DEFENCES[self.kind].says.format(f"{self.value:g}")

    def table(self, probabilities: Table, rng: np.random.Generator) -> Table:
        """The probabilities that it shows; rows of NaN are refused.

        Parameters
        ----------
        probabilities : ndarray of shape (n, n_classes)
            Those of the victim itself.
        rng : Generator
            Source of noise.

        Returns
        -------
        ndarray of shape (n, n_classes)
            What is answered.
        """
        return DEFENCES[self.kind].apply(probabilities, self.value, rng)

    def __call__(self, answers: Answers, rng: np.random.Generator) -> Answers:
        """The answers that the defended victim gives.

        Parameters
        ----------
        answers : Answers
            Those of the victim itself.
        rng : Generator
            Source of noise.
        """
        if answers.probabilities is None:
            if self.kind == "label_only":
                return answers
            raise ValueError(
                f"defence {self.name} changes probabilities, but the victim answers "
                "labels only."
            )
        table = self.table(answers.probabilities, rng)
        refused = np.isnan(table).any(axis=1) | ~answers.answered
        if self.kind == "label_only":
            return Answers(np.where(refused, REFUSED, table.argmax(axis=1)))
        # Whoever reads tied answers can only guess: taking the first of them would
        # favour the first class.
        shown = np.where(refused[:, None], 0, table)
        tied = shown == shown.max(axis=1, keepdims=True)
        labels = (tied * rng.uniform(0.5, 1, table.shape)).argmax(axis=1)
        return Answers(np.where(refused, REFUSED, labels), table)


def parse_defence(text: str) -> Defence:
    """``NAME`` or ``NAME:VALUE`` as a defence.

    Parameters
    ----------
    text : str
        For instance ``"rounding:1"``.

    Returns
    -------
    Defence
        With the default value if none is given.

    Raises
    ------
    ValueError
        For an unknown name or a value that makes no sense.

    Examples
    --------
    >>> parse_defence("top_k:2").says
    'only the 2 most probable classes'
    """
    name, sign, value = text.partition(":")
    if name not in DEFENCES:
        raise ValueError(f"defence {name!r}: expected one of {sorted(DEFENCES)}.")
    kind = DEFENCES[name]
    try:
        number = float(value) if sign else kind.default
        sensible = np.isfinite(number) and kind.check(number)
    except ValueError:
        sensible = False
    if not sensible:
        raise ValueError(f"defence {text}: expected {kind.expected}.")
    return Defence(name, number)


def parse_defences(texts: Sequence[str]) -> list[Defence]:
    """Several defences, none of them twice.

    Parameters
    ----------
    texts : sequence of str
        For instance ``["label_only", "rounding:1"]``.

    Returns
    -------
    list of Defence
        In this order.

    Raises
    ------
    TypeError, ValueError
        For what :func:`parse_defence` refuses, and for one that is given twice.
    """
    if isinstance(texts, str):
        raise TypeError(f"defences={texts!r}: expected a list; give [{texts!r}].")
    listed = isinstance(texts, Sequence) and all(isinstance(t, str) for t in texts)
    if not listed:
        raise TypeError(
            f"defences={texts!r}: expected a list of texts such as 'rounding:1'."
        )
    found = [parse_defence(text) for text in texts]
    names = [one.name for one in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"defence {twice[0]} is given twice; leave one out.")
    return found
