"""What an estimate from rows that are read in parts refuses, and how it takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from kldiv._backends import check_chunked, is_stored
from kldiv._estimation._categories import asked_of
from kldiv._estimation._columns import Asked, Split
from kldiv._validation import column_names

_SHOWN = 10


def stored_samples(
    X: Any,
    Y: Any,
    discrete: Any,
    *,
    memory_limit: int,
    names: tuple[str, str] = ("X", "Y"),
) -> tuple[Any, Any, Asked]:
    """Two samples that are read in parts, and what was said of their columns.

    Parameters
    ----------
    X, Y : array, memory map, array of zarr, dask collection or array-like
        The samples.
    discrete : "auto", None, False or sequence
        What was said of the columns.
    memory_limit : int
        Bytes that are held at a time.
    names : pair of str
        What messages call the samples.
    """
    x, y = check_chunked(X, Y, memory_limit, names)
    asked = asked_of(discrete, x.shape[1], column_names(X))
    if asked.discrete.any():
        refuse_discrete(Split(asked.discrete, {}), asked.names)
    return x, y, asked


def stays_where_it_is(sample: Any, memory_limit: int | None) -> bool:
    """Whether rows are left to be read in parts."""
    return memory_limit is not None and is_stored(sample)


def in_parts(X: Any, Y: Any, memory_limit: int) -> tuple[Any, Any]:
    """Two samples that are read in parts; those that are already stay as they are."""
    return check_chunked(X, Y, memory_limit)


def refuse_unlimited(memory_limit: int, weights: Any, n_permutations: int) -> None:
    """Raise ValueError for what is asked of rows that are all in memory."""
    if weights is not None:
        raise ValueError(
            f"memory_limit={memory_limit} is for rows that count alike, and these have "
            "weights. Leave out one of the two."
        )
    if n_permutations:
        raise ValueError(
            f"n_permutations={n_permutations} exchanges rows of both samples, which "
            f"needs all of them in memory, and memory_limit={memory_limit} reads them "
            "in parts. Use n_permutations=0 and the confidence interval, or leave out "
            "memory_limit."
        )


def refuse_discrete(split: Any, names: tuple[str, ...]) -> None:
    """Raise ValueError if columns were found that are not continuous."""
    if split is None:
        return
    found = sorted({*np.flatnonzero(split.discrete).tolist(), *split.atoms})
    listed = ", ".join(names[column] for column in found[:_SHOWN])
    raise ValueError(
        f"{listed}: columns that hold few values, which repeat, or values that many "
        "rows share; memory_limit is for continuous columns. Choose discrete=None to "
        "take them for continuous, or leave out memory_limit."
    )
