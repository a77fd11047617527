"""What a victim answered, in one form whatever it answered."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

REFUSED = -1


@dataclass(frozen=True, eq=False)
class Answers:
    """One answer per row.

    Attributes
    ----------
    labels : ndarray of shape (n,), int64
        Positions of classes; ``REFUSED`` where no answer was given.
    probabilities : ndarray of shape (n, n_classes) or None
        Rows sum to one; None if the victim answers labels only.
    by_position : bool
        Whether numbers that are no names of classes say that labels are positions.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None = None
    by_position: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Rows that got an answer."""
        kept: NDArray[np.bool_] = self.labels != REFUSED
        return kept

    def take(self, rows: Any) -> Answers:
        """Some of the answers."""
        kept = None if self.probabilities is None else self.probabilities[rows]
        return replace(self, labels=self.labels[rows], probabilities=kept)

    def one_hot(self, n_classes: int) -> NDArray[np.float64]:
        """Probabilities, or certainty about the label where there are none.

        A refused row tells nothing: all classes are equally probable.
        """
        if self.probabilities is not None:
            table = self.probabilities.copy()
        else:
            table = np.eye(n_classes)[np.maximum(self.labels, 0)]
        table[~self.answered] = 1 / n_classes
        return table

    def accuracy(self, truth: NDArray[np.int64]) -> float:
        """Share of rows that were put into their class; a refusal is a mistake."""
        return float((self.labels == truth).mean())


def from_probabilities(table: NDArray[np.float64]) -> Answers:
    """Answers whose labels are the most probable classes."""
    return Answers(table.argmax(axis=1).astype(np.int64), table)


def join(parts: list[Answers]) -> Answers:
    """Answers of several batches, which were read alike, as one."""
    labels = np.concatenate([part.labels for part in parts])
    tables = [part.probabilities for part in parts if part.probabilities is not None]
    by_position = any(part.by_position for part in parts)
    return Answers(labels, np.concatenate(tables) if tables else None, by_position)


def read_alike(
    parts: Sequence[Answers], class_names: tuple[str, ...], name: str
) -> list[Answers]:
    """Answers of one victim read in one way: as positions, if some can only be these.

    Where classes are called 1, 2, 3, the answers 1 and 2 may be either, until the
    victim answers 0.

    Raises
    ------
    ValueError
        If others can only be names.
    """
    if not any(part.by_position for part in parts):
        return list(parts)
    return [
        part
        if part.by_position or part.probabilities is not None
        else _read_again(part, class_names, name)
        for part in parts
    ]


def _read_again(part: Answers, class_names: tuple[str, ...], name: str) -> Answers:
    """Labels that were read as names, as positions."""
    said = [class_names[label] for label in np.unique(part.labels)]
    known = {str(i) for i in range(len(class_names))}
    names = [one for one in said if one not in known]
    if names:
        raise ValueError(
            f"{name}: it answered {', '.join(names[:5])}, which are names of classes, "
            "and in other batches numbers that are none. Answer names of classes, or "
            "positions from 0."
        )
    numbers = np.array([int(one) if one in known else 0 for one in class_names])
    return Answers(numbers[part.labels].astype(np.int64), None, True)


def read_answers(
    raw: Any,
    n: int,
    class_names: tuple[str, ...],
    columns: Any,
    name: str,
    *,
    by_position: bool = False,
) -> Answers:
    """Check what a victim answered to n rows.

    Parameters
    ----------
    raw : array-like
        Labels (names or positions), or probabilities.
    n : int
        Rows that were asked about.
    class_names : tuple of str
        Classes of the training rows, in order.
    columns : sequence or None
        Names of the columns of `raw`, if the victim tells them.
    name : str
        What to call the victim in a message.
    by_position : bool, default=False
        Whether numbers are known to be positions, and no names.

    Raises
    ------
    ValueError
        For answers of another number, NaN, unknown labels, or rows that are no
        probabilities.
    """
    array = _as_array(raw, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or len(array) != n:
        raise ValueError(
            f"{name}: expected one answer for each of {n} rows, got shape "
            f"{array.shape}."
        )
    if array.ndim == 1:
        return _positions(array, class_names, name, by_position=by_position)
    order = list(range(len(class_names)))
    columns = _columns_of(raw, class_names) if columns is None else columns
    if columns is not None:
        order = _order([str(c) for c in columns], class_names, name)
        if len(order) != array.shape[1]:
            raise ValueError(
                f"{name}: expected one column for each of its {len(order)} classes, "
                f"got {array.shape[1]} columns."
            )
    elif array.shape[1] != len(class_names):
        raise ValueError(
            f"{name}: expected probabilities of {len(class_names)} classes, one column "
            f"for each class of the training rows, got {array.shape[1]} columns."
        )
    table = _probabilities(array.astype(np.float64), name)
    placed = np.zeros((n, len(class_names)))
    placed[:, order] = table
    return from_probabilities(placed)


def _as_array(raw: Any, name: str) -> NDArray[Any]:
    expected = f"{name}: expected an array of labels or of probabilities, got"
    if raw is None:
        raise ValueError(f"{expected} None. Does the function return its answer?")
    if isinstance(raw, Mapping | Set | Coroutine) or hasattr(raw, "__next__"):
        if isinstance(raw, Coroutine):
            raw.close()
        raise ValueError(f"{expected} a {type(raw).__name__}.")
    try:
        array = np.asarray(raw.detach().cpu() if hasattr(raw, "detach") else raw)
    except ValueError as error:  # parts of several lengths
        raise ValueError(
            f"{expected} a {type(raw).__name__} of parts that do not make one array."
        ) from error
    if array.dtype.kind not in "biufUSO":
        raise ValueError(f"{expected} values of type {array.dtype}.")
    return array


def _columns_of(raw: Any, class_names: tuple[str, ...]) -> list[str] | None:
    """The columns of a data frame of answers, where they are names of classes."""
    named = [str(column) for column in getattr(raw, "columns", ())]
    return named if sorted(named) == sorted(class_names) else None


def _order(columns: list[str], class_names: tuple[str, ...], name: str) -> list[int]:
    place = {c: i for i, c in enumerate(class_names)}
    unknown = [c for c in columns if c not in place]
    if unknown:
        raise ValueError(
            f"{name}: it answers the classes {', '.join(unknown[:5])}, which the "
            f"training rows lack; they have {', '.join(class_names[:10])}."
        )
    twice = [c for c in place if columns.count(c) > 1]
    if twice:
        raise ValueError(f"{name}: it answers the class {twice[0]} in two columns.")
    return [place[c] for c in columns]


def _positions(
    array: NDArray[Any], class_names: tuple[str, ...], name: str, *, by_position: bool
) -> Answers:
    """Labels as positions: by name, else whole numbers from 0."""
    if array.dtype.kind == "f" and (array == np.floor(array)).all():
        array = array.astype(np.int64)
    distinct, inverse = np.unique(array.astype(str), return_inverse=True)
    place = {c: i for i, c in enumerate(class_names)}
    named = all(value in place for value in distinct)
    if named and not (by_position and array.dtype.kind in "iu"):
        found = [place[value] for value in distinct]
    elif array.dtype.kind in "iu" and array.min() >= 0 and array.max() < len(place):
        return Answers(array.astype(np.int64), by_position=True)
    else:
        unknown = [value for value in distinct if value not in place]
        raise ValueError(
            f"{name}: it answered {', '.join(unknown[:5])}; expected one of the "
            f"classes {', '.join(class_names[:10])}, or their positions from 0."
        )
    return Answers(np.array(found, dtype=np.int64)[inverse])


def _probabilities(table: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise ValueError(f"{name}: its answer to row {row} holds NaN or infinity.")
    sums = table.sum(axis=1)
    if table.min() < -1e-6 or np.abs(sums - 1).max() > 1e-3:
        raise ValueError(
            f"{name}: expected probabilities that sum to one, got sums of "
            f"{sums.min():.4g} to {sums.max():.4g} and a smallest value of "
            f"{table.min():.4g}. Apply a softmax to logits."
        )
    table = np.clip(table, 0, None)
    normal: NDArray[np.float64] = table / table.sum(axis=1, keepdims=True)
    return normal
