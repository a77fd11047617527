"""What is no array of numbers: what it is, where it stands, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._typing import FloatArray


def refuse_no_sample(values: Any, name: str) -> None:
    """Raise TypeError for objects that hold no rows, and say what to give instead."""
    kind, advice = type(values).__name__, ""
    if isinstance(values, str | bytes):
        kind = f"the text {values[:40]!r}"
        advice = (
            "Read a file first, for instance with pandas.read_csv. For a distribution "
            "give its object, for instance scipy.stats.norm."
        )
    elif values is None:
        kind, advice = "None", "Give an array, a list of rows or a data frame."
    elif isinstance(values, Mapping | Set):
        kind = f"a {kind}"
        advice = f"A mapping of columns becomes one by pandas.DataFrame({name})."
    elif hasattr(values, "__next__"):
        kind = f"a {kind}, which can be read only once"
        advice = f"Collect it first: numpy.array(list({name}))."
    elif callable(values) and not hasattr(values, "__array__"):
        kind = f"a function ({getattr(values, '__name__', kind)})"
        advice = (
            "For a distribution give the object that has the function cdf, for "
            "instance scipy.stats.norm(0, 1) and not its cdf."
        )
    if advice:
        raise TypeError(f"{name} is {kind}; rows of numbers are needed. {advice}")


def is_sparse(values: Any) -> bool:
    """Whether these are a sparse matrix or a sparse tensor of any layout."""
    from scipy.sparse import issparse

    tensor = hasattr(values, "detach")
    layout = str(getattr(values, "layout", "torch.strided"))
    return bool(issparse(values) or (tensor and layout != "torch.strided"))


def refuse_sparse(values: Any, name: str) -> None:
    """Raise TypeError for sparse matrices and sparse tensors of any layout."""
    if not is_sparse(values):
        return
    tensor = hasattr(values, "detach")
    dense = "to_dense()" if tensor else "toarray()"
    raise TypeError(
        f"{name} is a sparse {'tensor' if tensor else 'matrix'}; dense rows are "
        f"needed because neighbour distances use every column. Call {name}.{dense}, "
        "or reduce the columns first with sklearn.decomposition.TruncatedSVD."
    )


def array_of(values: Any, name: str) -> NDArray[Any]:
    """`numpy.asarray`, with rows of different lengths named."""
    try:
        return np.asarray(values)
    except ValueError as error:
        if not isinstance(values, list | tuple):
            raise
        sizes = sorted({len(row) if hasattr(row, "__len__") else 1 for row in values})
        raise ValueError(
            f"{name} has rows of different lengths or depths ({sizes[0]} to "
            f"{sizes[-1]} entries); every row needs a number for every column."
        ) from error


def numbers_of(array: NDArray[Any], name: str, sample: Any) -> FloatArray:
    """An array that is none of numbers as one, or an error that says why not."""
    if array.dtype.kind not in "mM":
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            pass
    found = _first_strange(array)
    if found is None:
        raise TypeError(f"{name} has dtype {array.dtype}; numbers are needed.")
    place, value = found
    where = _where(place, array.ndim, sample)
    if is_missing(value):
        count = sum(map(is_missing, array.ravel()))
        raise ValueError(
            f"{name} holds {count} missing values ({value!r}), the first in {where}; "
            "all values are needed. Remove or impute those rows first."
        )
    if _is_time(value):
        raise TypeError(
            f"{name} holds dates or times in {where}, whose unit nobody knows; numbers "
            "are needed. Measure both samples from one moment in one unit: "
            f"({name} - start) / numpy.timedelta64(1, 's')."
        )
    raise TypeError(
        f"{name} holds {value!r} ({type(value).__name__}) in {where}, which is no "
        "number. Encode categories as numbers first; divergences take them as they "
        "are if discrete= names the columns."
    )


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return isinstance(value, float | np.floating) and bool(value != value)


def holds_words(array: NDArray[Any]) -> bool:
    """Whether some of these objects are words or times."""
    if array.dtype != object:
        return False
    return any(isinstance(value, str) or _is_time(value) for value in array.ravel())


def _first_strange(array: NDArray[Any]) -> tuple[tuple[int, ...], Any] | None:
    """Place and value of a missing value, or else of the first that is no number."""
    first = None
    for place, value in np.ndenumerate(array):
        if is_missing(value):
            return place, value
        if first is None and not _is_number(value):
            first = place, value
    return first


def _is_number(value: Any) -> bool:
    if isinstance(value, np.datetime64 | np.timedelta64):
        return False
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _is_time(value: Any) -> bool:
    """Whether a value is a date, a time or a length of time, of any library."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return True
    names = {kind.__name__ for kind in type(value).__mro__}
    return bool(names & {"date", "time", "timedelta", "Period", "Interval"})


def _where(place: tuple[int, ...], n_axes: int, sample: Any) -> str:
    row = f"row {place[0]}" if place else "it"
    if n_axes < 2:
        return row
    names = getattr(sample, "columns", None)
    column = place[1] if names is None else repr(names[place[1]])
    return f"{row}, column {column}"
