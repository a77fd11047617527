"""Arrays in, checked C-contiguous float arrays out; everything below trusts them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kldiv._blocks._collections import brought_here, is_collection, refuse_delayed
from kldiv._typing import FloatArray
from kldiv._validation._frames import host_array, whole_frame
from kldiv._validation._objects import (
    array_of,
    holds_words,
    numbers_of,
    refuse_no_sample,
    refuse_sparse,
)

_EXACT = 2**53  # up to here float64 holds every integer


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Array of a list, data frame, Series or torch tensor, on the CPU."""
    return array_of(on_host(values, name), name)


def on_host(values: Any, name: str) -> Any:
    """The values, but tensors as arrays on the CPU, and dask collections computed.

    TypeError if they are sparse, ValueError if some of them are masked.

    What scikit-learn's own checks take: data frames keep their column names.
    """
    refuse_sparse(values, name)
    if is_collection(values):
        values = brought_here(values, name)
    _refuse_masked(values, name)
    if hasattr(values, "detach"):  # torch tensor
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy has no such number
            values = values.float()
        return values.numpy()
    if isinstance(values, np.ndarray):
        return values
    foreign = hasattr(values, "__dlpack__") and not hasattr(values, "__array__")
    if foreign or hasattr(values, "__array_namespace__"):
        return host_array(values, name)
    refuse_no_sample(values, name)
    return whole_frame(values)


def as_rows(values: Any, name: str) -> Any:
    """`on_host`, but a vector as a column and further axes (images) flattened."""
    values = on_host(values, name)
    if hasattr(values, "columns"):  # a data frame keeps its names
        if any(getattr(kind, "kind", "") in ("m", "M") for kind in values.dtypes):
            numbers_of(array_of(values, name), name, values)
        return values
    array = array_of(values, name)
    if array.dtype.kind in "mMSU" or holds_words(array):
        return numbers_of(array, name, values)
    if array.ndim in (0, 2) or array.size == 0:
        return values
    return array.reshape(-1, 1) if array.ndim == 1 else array.reshape(len(array), -1)


def check_rows(estimator: Any, X: Any, *, reset: bool) -> FloatArray:
    """Rows as scikit-learn checks those of an estimator, which it tells their width."""
    from sklearn.utils.validation import validate_data

    with np.errstate(over="ignore", invalid="ignore"):  # a sum of finite numbers
        rows: FloatArray = validate_data(
            estimator,
            as_rows(X, "X"),
            dtype=[np.float64, np.float32],
            order="C",
            reset=reset,
        )
    return rows


def refuse_two_vectors(X: Any, y: Any) -> None:
    """Raise ValueError if two vectors are given where one sample is asked for."""
    if y is not None and as_array(X, "X").ndim == 1:
        raise ValueError(
            "fit takes one sample, the reference, and y is ignored; got a vector and "
            "y. To compare two samples x and y call fit(y).score(x). If X is one "
            "feature of labelled rows, reshape your data with X.reshape(-1, 1)."
        )


def _refuse_masked(values: Any, name: str) -> None:
    """Raise ValueError if some of the values are masked.

    NumPy takes what lies under a mask for numbers, often fill values.
    """
    if not isinstance(values, list | tuple):
        if not np.ma.is_masked(values):
            return
        values = np.atleast_1d(values)
    counts = list(map(_count_masked, values))
    if any(counts):
        first = next(row for row, count in enumerate(counts) if count)
        raise ValueError(
            f"{name} holds {sum(counts)} masked values, the first in row {first}; all "
            f"values are needed. Leave those rows out, as "
            f"numpy.ma.compress_rows({name}) does, or impute them."
        )


def _count_masked(row: Any) -> int:
    if isinstance(row, list | tuple):
        return sum(map(_count_masked, row))
    return int(np.ma.getmaskarray(row).sum()) if np.ma.isMaskedArray(row) else 0


def column_names(sample: Any) -> list[str] | None:
    """Names of the columns of a data frame, or None if it has none that are strings."""
    names = getattr(sample, "columns", None)
    if names is None or not all(isinstance(name, str) for name in names):
        return None
    return list(names)


def check_same_columns(X: Any, Y: Any, names: tuple[str, str]) -> None:
    """Raise ValueError if two data frames name their columns differently.

    TypeError for delayed objects, which answer every question about columns.
    """
    for sample, name in zip((X, Y), names, strict=True):
        refuse_delayed(sample, name)
    first, second = column_names(X), column_names(Y)
    if first is None or second is None:
        _refuse_reordered(X, Y, names)
        return
    if first == second:
        return
    if sorted(first) == sorted(second):
        raise _reordered(names)
    lacking, added = (
        [name for name in one if name not in other]
        for one, other in ((first, second), (second, first))
    )
    raise ValueError(
        f"{names[0]} and {names[1]} need the same columns in the same order; "
        f"{_only(names[0], lacking)}{_only(names[1], added)}"
        + (
            f"If these mean the same, rename them: {names[1]}.rename(columns=...)."
            if len(lacking) == len(added)
            else "Leave out what one of them lacks."
        )
    )


def _only(name: str, columns: list[str]) -> str:
    return f"only {name} has {', '.join(columns[:10])}. " if columns else ""


def _reordered(names: tuple[str, str]) -> ValueError:
    return ValueError(
        f"{names[0]} and {names[1]} hold the same columns in another order; both need "
        f"the same columns in the same order. Select {names[1]}[list({names[0]}"
        ".columns)]."
    )


def _refuse_reordered(X: Any, Y: Any, names: tuple[str, str]) -> None:
    """Numbers as names say nothing, except where the same stand in another order."""
    first, second = (getattr(sample, "columns", None) for sample in (X, Y))
    if first is None or second is None or len(first) != len(second):
        return
    ours, theirs = list(first), list(second)
    if ours != theirs and set(ours) == set(theirs):
        raise _reordered(names)


def check_sample(
    sample: ArrayLike, name: str, *, n_features: int | None = None
) -> FloatArray:
    """Check one sample and return it as a C-contiguous float array.

    Parameters
    ----------
    sample : array-like of shape (n,), (n, d) or (n, ...)
        Rows are observations; a vector is a sample of one feature, further axes
        (images) are flattened.
    name : str
        What error messages call the sample.
    n_features : int, optional
        The number of features that the other sample has.

    Returns
    -------
    ndarray of shape (n, d), float32 or float64
        float32 stays, float16 becomes float32, everything else float64.

    Raises
    ------
    TypeError
        For sparse, complex or non-numeric input.
    ValueError
        For an empty sample, NaN, infinity or another number of features.
    """
    array = as_array(sample, name)
    if array.dtype.kind == "c":
        raise TypeError(
            f"{name} is complex; real numbers are needed. Stack the real and "
            "imaginary parts as columns."
        )
    if array.dtype.kind not in "fiub":
        array = numbers_of(array, name, sample)
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number; rows of observations are needed.")
    array = array.reshape(-1, 1) if array.ndim == 1 else array
    if array.shape[0] == 0:
        raise ValueError(f"{name} has no rows; at least one is needed.")
    array = array.reshape(array.shape[0], -1)
    if array.shape[1] == 0:
        raise ValueError(f"{name} has no columns; at least one is needed.")
    if n_features is not None and array.shape[1] != n_features:
        raise ValueError(
            f"{name} has {array.shape[1]} features, but the other sample has "
            f"{n_features}; both need the same columns in the same order."
        )
    target = np.float32 if array.dtype in (np.float16, np.float32) else np.float64
    with np.errstate(over="ignore"):  # of wider numbers, which are told
        array = np.ascontiguousarray(array, dtype=target)
    if not array.flags.aligned:  # part of a packed record, say
        array = array.copy()
    check_finite(array, name)
    return array


def check_finite(array: FloatArray, name: str) -> None:
    """Raise ValueError if `array` holds NaN or infinity, and say where."""
    # The sum is finite unless an entry is not (or the sum overflows).
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum()):
            return
    finite = np.isfinite(array)
    if finite.all():
        return
    row, column = np.argwhere(~finite)[0]
    raise ValueError(
        f"{name} holds {np.isnan(array).sum()} NaN and {np.isinf(array).sum()} "
        f"infinite values, the first in row {row}, column {column}; finite numbers "
        "are needed. Remove or impute those rows first."
    )


def check_pair(
    X: ArrayLike, Y: ArrayLike, names: tuple[str, str] = ("X", "Y")
) -> tuple[FloatArray, FloatArray]:
    """Check two samples and bring them to one dtype (float64 unless both float32)."""
    check_same_columns(X, Y, names)
    X = check_sample(X, names[0])
    Y = check_sample(Y, names[1], n_features=X.shape[1])
    if X.dtype != Y.dtype:
        X, Y = X.astype(np.float64, copy=False), Y.astype(np.float64, copy=False)
    return X, Y


def rounding_of(sample: Any, name: str) -> str:
    """What to say where float64 cannot hold the integers of a sample, else nothing."""
    # dtypes of other libraries warn when they are compared with those of NumPy
    kind = str(getattr(sample, "dtype", "")).rpartition(".")[2]
    if kind not in ("int64", "uint64") or not len(sample):
        return ""
    sample = as_array(sample, name)
    low, high = int(np.min(sample)), int(np.max(sample))
    if max(-low, high) <= _EXACT:
        return ""
    return (
        f"{name} holds integers up to {max(-low, high)}, and float64 rounds those "
        f"beyond 2**53: rows may become equal. Subtract a number first, for instance "
        f"{name} - {low}, from both samples."
    )
