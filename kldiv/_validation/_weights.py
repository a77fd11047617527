"""Weights of rows: checked, and brought to a mean of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kldiv._typing import Floats, Rows
from kldiv._validation._arrays import as_array

#: What the weights of X and of Y are called.
WEIGHT_NAMES = ("sample_weight", "reference_weight")


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of the rows of two samples, not negative, of mean one in each.

    Attributes
    ----------
    of_x, of_y : ndarray of shape (n,) and (m,), float64
        The weights; ones for a sample without.
    """

    of_x: Floats
    of_y: Floats

    @classmethod
    def of(
        cls,
        of_x: Any,
        of_y: Any,
        n: int,
        m: int,
        names: tuple[str, str] = WEIGHT_NAMES,
    ) -> Weights | None:
        """What was given for n and m rows, checked; None if nothing was."""
        if of_x is None and of_y is None:
            return None
        x, y = (
            np.ones(size) if given is None else check_weights(given, name, size)
            for given, size, name in zip((of_x, of_y), (n, m), names, strict=True)
        )
        return cls(_of_mean_one(x), _of_mean_one(y))

    @property
    def uniform(self) -> bool:
        """Whether all rows of a sample count alike, in both samples."""
        return all(bool((one == one[0]).all()) for one in (self.of_x, self.of_y))

    def taken(self, x: Rows, y: Rows) -> Weights:
        """Weights of some rows of X and of Y."""
        return Weights(_of_mean_one(self.of_x[x]), _of_mean_one(self.of_y[y]))

    def exchanged(self) -> Weights:
        """The same with the roles of X and Y exchanged."""
        return Weights(self.of_y, self.of_x)

    def effective_rows(self) -> tuple[float, float]:
        """Rows that as many equal weights would be worth (Kish 1965), of X and Y."""
        x, y = (float(one.size**2 / (one @ one)) for one in (self.of_x, self.of_y))
        return x, y


def check_weights(weights: Any, name: str, n_rows: int) -> Floats:
    """One finite weight for each row, none negative and not all zero.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If they are of another shape, NaN, infinite, negative, or all zero.
    """
    array = as_array(weights, name)
    if array.dtype.kind not in "fiub":
        try:
            if array.dtype.kind in "cmM":
                raise TypeError("no real numbers")
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name} has dtype {array.dtype}; one real number for each row is "
                "needed."
            ) from error
    if array.shape != (n_rows,):
        raise ValueError(
            f"{name} needs one weight for each of {n_rows} rows, shape ({n_rows},); "
            f"got shape {array.shape}."
        )
    array = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(array) | (array < 0))
    if bad.size:
        raise ValueError(
            f"{name} holds {bad.size} weights that are negative, NaN or infinite, the "
            f"first in row {bad[0]} ({array[bad[0]]:g}); a weight says how many rows "
            "a row stands for. Give 0 to rows that do not count, and for logs of "
            "weights that overflow exp(logs - logs.max())."
        )
    if not array.any():
        raise ValueError(
            f"{name} is zero for all {n_rows} rows, so that no row counts; give "
            "positive weights."
        )
    return array


def joined_weights(
    known: Floats | None, n_known: int, more: Any, n_more: int
) -> Floats | None:
    """Weights of rows and of more rows; ones for those without, None if none has."""
    if known is None and more is None:
        return None
    if known is None:
        known = np.ones(n_known)
    if more is None:
        return np.concatenate([known, np.ones(n_more)])
    return np.concatenate([known, check_weights(more, "sample_weight", n_more)])


def _of_mean_one(weights: Floats) -> Floats:
    """The same weights in another unit; constant ones become exactly one."""
    shares = weights / weights.max()
    mean: Floats = shares / shares.mean()
    return mean
