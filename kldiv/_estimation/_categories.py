"""Samples with categories in them, as numbers, and what was said of their columns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._estimation._columns import Asked
from kldiv._typing import FloatArray, Mask
from kldiv._validation import (
    as_array,
    check_pair,
    check_same_columns,
    check_sample,
    column_names,
    rounding_of,
    whole_frame,
)
from kldiv._warnings import DivergenceWarning

#: What a column of categories holds, in the order of its codes.
Levels = dict[int, tuple[Any, ...]]

# How the dtypes of categories begin in pandas, polars and pyarrow.
_CATEGORIES = ("categ", "dictionary", "enum", "bool", "str", "utf8", "large_string")
_SHOWN = 10


def check_discrete(discrete: Any) -> None:
    """Raise TypeError or ValueError unless this may say which columns are discrete."""
    if discrete is None or discrete is False:
        return
    if isinstance(discrete, str):
        if discrete != "auto":
            raise ValueError(
                f"discrete must be 'auto', None, or a list of columns; got "
                f"{discrete!r}. For one column write [{discrete!r}]."
            )
        return
    if np.ndim(discrete) != 1 or not all(
        isinstance(one, str | int | np.integer | np.bool_) for one in discrete
    ):
        raise TypeError(
            "discrete must be 'auto', None, a list of names or positions of columns, "
            f"or one bool for each column; got {discrete!r}."
        )


def checked_samples(
    X: Any, Y: Any, discrete: Any, names: tuple[str, str] = ("X", "Y")
) -> tuple[FloatArray, FloatArray, Asked]:
    """Two samples as checked arrays, categories as codes.

    Parameters
    ----------
    X, Y : array-like or data frame of shape (n, d) and (m, d)
        The samples.
    discrete : "auto", None, False or sequence
        What was said of the columns.
    names : pair of str
        What messages call the samples.

    Returns
    -------
    X, Y : ndarray of shape (n, d) and (m, d), float32 or float64
        The samples; a category is the same number in both.
    asked : Asked
        What was said of the columns, their dtypes included.
    """
    X, Y = whole_frame(X), whole_frame(Y)
    check_same_columns(X, Y, names)
    called = column_names(X)
    columns = sorted({*category_columns(X, discrete), *category_columns(Y, discrete)})
    if not columns:
        for sample, name in zip((X, Y), names, strict=True):
            if told := rounding_of(sample, name):
                warnings.warn(told, DivergenceWarning, stacklevel=4)
        X, Y = check_pair(X, Y, names)
        return X, Y, asked_of(discrete, X.shape[1], called)
    levels: Levels = {}
    coded = [
        coded_sample(sample, columns, levels, name)
        for sample, name in zip((X, Y), names, strict=True)
    ]
    width = coded[0].shape[1]
    asked = asked_of(discrete, width, called, columns, levels)
    X, Y = check_pair(coded[0], coded[1], names)
    return X, Y, asked


def asked_of(
    discrete: Any,
    d: int,
    names: Sequence[str] | None,
    categories: Sequence[int] = (),
    levels: Levels | None = None,
) -> Asked:
    """What was said of d columns, of which some hold categories by their dtype."""
    certain = np.zeros(d, dtype=bool)
    certain[list(categories)] = True
    look = isinstance(discrete, str)
    if not (look or discrete is None or discrete is False):
        certain |= _mask_of(discrete, d, names)
    called = tuple(names or (f"column {column}" for column in range(d)))
    return Asked(certain, look, called, levels or {}, names is not None)


def _mask_of(discrete: Any, d: int, names: Sequence[str] | None) -> Mask:
    """One bool per column of names, positions or bools."""
    given = list(discrete)
    mask = np.zeros(d, dtype=bool)
    if given and all(isinstance(one, bool | np.bool_) for one in given):
        if len(given) != d:
            raise ValueError(
                f"discrete has {len(given)} bools, but there are {d} columns; give one "
                "for each column, or a list of names or positions."
            )
        return np.array(given, dtype=bool)
    for one in given:
        if isinstance(one, str):
            if names is None or one not in names:
                known = "they have no names" if names is None else ", ".join(names)
                raise ValueError(
                    f"discrete names the column {one!r}, which the samples lack "
                    f"(columns: {known[:200]}). Give names of columns of a data frame, "
                    "or positions."
                )
            mask[list(names).index(one)] = True
        elif not -d <= one < d:
            raise ValueError(
                f"discrete names column {one}, but there are {d} columns, 0 to {d - 1}."
            )
        else:
            mask[one] = True
    return mask


def category_columns(sample: Any, discrete: Any) -> list[int]:
    """Columns whose values are no numbers but categories, by their dtype or by name."""
    if discrete is None or discrete is False:
        return []
    if hasattr(sample, "columns"):
        return [
            column
            for column in range(len(sample.columns))
            if _is_category(_column(sample, column))
        ]
    if isinstance(discrete, str) or getattr(sample, "ndim", 2) != 2:
        return []
    array = sample if isinstance(sample, np.ndarray) else np.array(sample, dtype=object)
    if array.ndim != 2 or array.dtype.kind not in "OUS":
        return []
    named = np.flatnonzero(_mask_of(discrete, array.shape[1], None))
    return [int(one) for one in named if _holds_words(array[:, one])]


def _column(sample: Any, column: int) -> Any:
    """A column of a data frame."""
    if hasattr(sample, "iloc"):
        return sample.iloc[:, column]
    if hasattr(sample, "to_series"):
        return sample.to_series(column)
    return sample[sample.columns[column]]


def _is_category(column: Any) -> bool:
    kind = str(column.dtype).lower()
    if kind == "object":
        return _holds_words(np.asarray(column, dtype=object))
    return kind.startswith(_CATEGORIES)


def _holds_words(values: NDArray[Any]) -> bool:
    """Whether strings or truth values, and nothing but missing values besides."""
    words = [isinstance(value, str | bool | np.bool_) for value in values]
    return any(words) and all(
        word or _is_missing(value) for word, value in zip(words, values, strict=True)
    )


def _is_missing(value: Any) -> bool:
    # NaN and NaT differ from themselves; pandas' NA gives no answer
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def coded_sample(
    sample: Any, columns: Sequence[int], levels: Levels, name: str
) -> FloatArray:
    """A sample in which categories are codes; unknown ones are added to `levels`."""
    frame = hasattr(sample, "columns")
    rows: Any = sample if frame else as_array(sample, name)
    width = len(rows.columns) if frame else rows.shape[1]
    if columns and max(columns) >= width:
        raise ValueError(
            f"{name} has {width} columns, and column {max(columns)} of the other "
            "sample holds categories; both need the same columns in the same order."
        )
    others = [column for column in range(width) if column not in columns]
    coded = np.empty((len(rows), width))
    for column in columns:
        values = _column(rows, column) if frame else rows[:, column]
        where = repr(rows.columns[column]) if frame else str(column)
        _refuse_missing(np.asarray(values, dtype=object), where, name)
        coded[:, column] = _codes(np.asarray(values, dtype=object), column, levels)
    if others:
        numbers = _columns_of(rows, others) if frame else rows[:, others]
        checked = check_sample(numbers, name)
        coded[:, others] = checked
        if checked.dtype == np.float32:
            return coded.astype(np.float32)
    return coded


def _columns_of(frame: Any, columns: Sequence[int]) -> Any:
    """Some columns of a data frame, whose names may repeat."""
    if hasattr(frame, "iloc"):
        return frame.iloc[:, columns]
    return frame[:, columns]


def _refuse_missing(values: NDArray[Any], column: str, name: str) -> None:
    missing = [row for row, value in enumerate(values) if _is_missing(value)]
    if missing:
        raise ValueError(
            f"{name} has {len(missing)} missing values in column {column}, the first "
            f"in row {missing[0]}; remove those rows, or give missing values a "
            "category of their own."
        )


def _codes(values: NDArray[Any], column: int, levels: Levels) -> NDArray[np.float64]:
    """The number of the category of each row, in the order of their names."""
    known = levels.get(column, ())
    new = set(values.tolist()) - set(known)
    levels[column] = (*known, *sorted(new, key=lambda one: (str(type(one)), str(one))))
    code_of = {level: code for code, level in enumerate(levels[column])}
    return np.array([code_of[value] for value in values.tolist()], dtype=np.float64)
