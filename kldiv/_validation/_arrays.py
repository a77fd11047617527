"""Arrays in, checked C-contiguous float arrays out; everything below trusts them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from kldiv._blocks._collections import brought_here, is_collection, refuse_delayed
from kldiv._typing import FloatArray
from kldiv._validation._frames import host_array, whole_frame

# A probability row may miss one by this much (float16 softmax of 1000 classes).
PROBABILITY_TOLERANCE = 1e-3


def as_array(values: Any, name: str) -> NDArray[Any]:
    """Array of a list, data frame, Series or torch tensor, on the CPU."""
    return np.asarray(on_host(values, name))


def on_host(values: Any, name: str) -> Any:
    """The values, but tensors as arrays on the CPU, and dask collections computed.

    TypeError if they are sparse, ValueError if some of them are masked.

    What scikit-learn's own checks take: data frames keep their column names.
    """
    if issparse(values) or getattr(values, "is_sparse", False) is True:
        raise TypeError(
            f"{name} is a sparse matrix; dense rows are needed because neighbour "
            f"distances use every column. Call {name}.toarray(), or reduce the "
            "columns first with sklearn.decomposition.TruncatedSVD."
        )
    if is_collection(values):
        values = brought_here(values, name)
    _refuse_masked(values, name)
    if hasattr(values, "detach"):  # torch tensor
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # NumPy has no such number
            values = values.float()
        return values.numpy()
    if hasattr(values, "__array_namespace__") and not isinstance(values, np.ndarray):
        return host_array(values, name)
    return whole_frame(values)


def as_rows(values: Any, name: str) -> Any:
    """`on_host`, but a vector as a column and further axes (images) flattened."""
    values = on_host(values, name)
    if hasattr(values, "columns"):  # a data frame keeps its names
        return values
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.ndim in (0, 2) or array.size == 0:
        return values
    return array.reshape(-1, 1) if array.ndim == 1 else array.reshape(len(array), -1)


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
    if first is None or second is None or first == second:
        return
    if sorted(first) == sorted(second):
        difference = "the same columns in another order"
    else:
        odd = sorted(set(first) ^ set(second))
        difference = f"columns that only one of them has: {', '.join(odd[:10])}"
    raise ValueError(
        f"{names[0]} and {names[1]} hold {difference}; both need the same columns in "
        f"the same order. Select {names[1]}[list({names[0]}.columns)]."
    )


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
        array = _object_to_float(array, name)
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
    array = np.ascontiguousarray(array, dtype=target)
    if not array.flags.aligned:  # part of a packed record, say
        array = array.copy()
    check_finite(array, name)
    return array


def _object_to_float(array: NDArray[Any], name: str) -> NDArray[Any]:
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} has dtype {array.dtype}, which does not convert to numbers "
            f"({error}). Encode categories as numbers first; divergences take them "
            "as they are if discrete= names the columns."
        ) from error


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


def check_labels(labels: Any, name: str, n_rows: int) -> NDArray[Any]:
    """Check that `labels` is one label per row."""
    array = as_array(labels, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) != n_rows:
        raise ValueError(
            f"{name} needs one label for each of {n_rows} rows; got shape "
            f"{array.shape}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite labels; remove those rows.")
    return array


def check_probabilities(
    responses: Any, name: str, n_rows: int, n_classes: int
) -> NDArray[np.float64]:
    """Check that every row of `responses` is a probability vector over the classes."""
    array = as_array(responses, name).astype(np.float64)
    if array.shape != (n_rows, n_classes):
        raise ValueError(
            f"{name} as probabilities needs shape ({n_rows}, {n_classes}): one row "
            f"for each row of X, one column for each class of classes_; got "
            f"{array.shape}."
        )
    check_finite(array, name)
    if array.min() < 0:
        row = int(array.min(axis=1).argmin())
        raise ValueError(
            f"{name} holds a negative probability, the smallest in row {row} "
            f"({array[row].min():.4g}). If these are logits, apply a softmax first."
        )
    sums = array.sum(axis=1)
    off = np.abs(sums - 1)
    if off.max() > PROBABILITY_TOLERANCE:
        row = int(off.argmax())
        raise ValueError(
            f"{name} needs rows that sum to one; {int((off > 1e-3).sum())} of "
            f"{n_rows} do not, row {row} sums to {sums[row]:.4g}. If these are "
            "logits, apply a softmax first."
        )
    return array
