"""Labels of rows, and probabilities of classes: one answer for each row."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._validation._arrays import as_array, check_finite
from kldiv._validation._objects import is_missing, is_sparse

# A probability row may miss one by this much (float16 softmax of 1000 classes).
PROBABILITY_TOLERANCE = 1e-3


def check_labels(labels: Any, sample: str, n_rows: int) -> NDArray[Any]:
    """Check that `labels` of a sample, "train" or "aux", is one label per row."""
    name = f"the labels of {sample}"
    _refuse_no_labels(labels, name)
    array = as_array(labels, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) != n_rows:
        raise ValueError(
            f"{name} need to be one label for each of {n_rows} rows; got shape "
            f"{array.shape}."
        )
    kind = array.dtype.kind
    if kind in "fc":
        if not np.isfinite(array).all():
            raise ValueError(f"{name} hold NaN or infinite labels; remove those rows.")
        array = array + 0.0  # -0.0 is 0.0
    if kind in "OMm":
        _refuse_missing(array, name)
    if kind in "OV":
        _check_label_objects(array, name)
    if kind in "Mm":
        array = _whole_microseconds(array, name)
    if _continuous(array):
        raise ValueError(
            f"{name} hold numbers with fractions, {len(np.unique(array))} different "
            f"ones in {n_rows} rows; labels name the classes. Cut a target into "
            "classes first, for instance with pandas.qcut."
        )
    return array


def _refuse_no_labels(labels: Any, name: str) -> None:
    """Raise TypeError for what has no order of rows, ValueError for masked labels."""
    kind, advice = type(labels).__name__, ""
    if is_sparse(labels):
        advice = "Call toarray().ravel() first."
    elif hasattr(labels, "__next__"):
        advice = "It can be read only once: give list(labels)."
    elif labels is None or isinstance(labels, str | bytes | Mapping | Set):
        advice = "Give a list or an array, in the order of the rows."
    if advice:
        raise TypeError(
            f"{name} need to be one label for each row; got a {kind}. {advice}"
        )
    if np.ma.is_masked(labels):
        masked = np.ma.getmaskarray(labels).reshape(len(labels), -1).any(axis=1)
        raise ValueError(
            f"{name} hold {masked.sum()} masked values, the first in row "
            f"{masked.argmax()}; remove those rows."
        )


def _refuse_missing(labels: NDArray[Any], name: str) -> None:
    missing = [row for row, label in enumerate(labels) if is_missing(label)]
    if missing:
        raise ValueError(
            f"{name} hold {len(missing)} missing labels ({labels[missing[0]]!r}), the "
            f"first in row {missing[0]}; remove those rows."
        )


def _check_label_objects(labels: NDArray[Any], name: str) -> None:
    """Raise TypeError for labels that are rows themselves, or that have no order."""
    compound = next((one for one in labels if np.ndim(one) or np.shape(one)), None)
    if compound is not None or labels.dtype.kind == "V":
        raise TypeError(
            f"{name} hold {labels[0]!r} ({type(labels[0]).__name__}); a number, a word "
            "or a date for each row is needed. Join the parts of a label to one word."
        )
    try:
        np.unique(labels)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels})
        said = f"mix {' and '.join(kinds)}" if len(kinds) > 1 else f"hold {kinds[0]}"
        raise TypeError(
            f"{name} {said}, which cannot be sorted; one kind that can is needed. Call "
            "astype(str), for instance."
        ) from error


def _whole_microseconds(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Times in a unit that Python knows as well, which prints them as times."""
    if np.datetime_data(labels.dtype)[0] in ("Y", "M", "W", "D", "h", "m", "s", "ms"):
        return labels
    whole = labels.astype(f"{labels.dtype.kind}8[us]")
    if (whole != labels).any():
        raise ValueError(
            f"{name} hold times that differ by less than a microsecond; labels name "
            "the classes. Round them first."
        )
    return whole


def _continuous(labels: NDArray[Any]) -> bool:
    """Whether these are values of a target and no names of classes."""
    if labels.dtype.kind != "f" or (labels == np.floor(labels)).all():
        return False
    return len(np.unique(labels)) > max(20, len(labels) // 4)


def check_probabilities(
    responses: Any, sample: str, n_rows: int, classes: NDArray[Any]
) -> NDArray[np.float64]:
    """Check that every row of `responses` is a probability vector over the classes."""
    name = f"the answers of {sample}"
    _refuse_reordered(responses, name, [str(c) for c in classes.tolist()])
    array = as_array(responses, name)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} hold {array.dtype} in {array.shape[1]} columns; one label for "
            "each row, or real probabilities of the classes, are needed."
        )
    array = array.astype(np.float64)
    if array.shape != (n_rows, len(classes)):
        raise ValueError(
            f"{name} as probabilities need shape ({n_rows}, {len(classes)}): one row "
            f"for each row of X, one column for each class of classes_; got "
            f"{array.shape}."
        )
    check_finite(array, f"the table of {name}")
    if array.min() < 0:
        row = int(array.min(axis=1).argmin())
        raise ValueError(
            f"{name} hold a negative probability, the smallest in row {row} "
            f"({array[row].min():.4g}). If these are logits, apply a softmax first."
        )
    sums = array.sum(axis=1)
    off = np.abs(sums - 1)
    if off.max() > PROBABILITY_TOLERANCE:
        row = int(off.argmax())
        raise ValueError(
            f"{name} need rows that sum to one; {int((off > 1e-3).sum())} of "
            f"{n_rows} do not, row {row} sums to {sums[row]:.4g}. If these are "
            "logits, apply a softmax first."
        )
    return array


def _refuse_reordered(responses: Any, name: str, classes: list[str]) -> None:
    """Raise ValueError for a data frame that names the classes in another order."""
    columns = getattr(responses, "columns", None)
    named = [] if columns is None else [str(column) for column in columns]
    if named != classes and sorted(named) == sorted(classes):
        raise ValueError(
            f"{name} have the columns {', '.join(named[:10])}; the order of classes_ "
            f"is needed: {', '.join(classes[:10])}. Select [classes_] of them."
        )
