"""The standard error of a difference between two estimates that share rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LeaveOut:
    """Estimates without each group of rows, and which rows they were.

    Attributes
    ----------
    train, aux : ndarray of shape (n_groups,)
        Estimates without each group of training rows, and of auxiliary rows.
    train_rows, aux_rows : int
        Fingerprints of the rows; estimates from equal rows had equal groups.
    """

    train: Floats
    aux: Floats
    train_rows: int
    aux_rows: int


@dataclass(frozen=True)
class Difference:
    """A difference of two estimates and its interval.

    Attributes
    ----------
    value, standard_error : float
        In nats.
    confidence_interval : tuple of float
        Lower and upper end in nats.
    paired : bool
        Whether the two estimates share rows, so that their errors partly cancel.
    """

    value: float
    standard_error: float
    confidence_interval: tuple[float, float]
    paired: bool


def difference_of(
    values: tuple[float, float],
    errors: tuple[float, float],
    left_out: tuple[LeaveOut | None, LeaveOut | None],
    level: float,
) -> Difference:
    """First value minus second, by a jackknife that leaves shared rows out of both.

    Without the estimates that leave groups out, the errors count as independent.
    """
    value = values[0] - values[1]
    first, second = left_out
    if first is None or second is None:
        error, quantile = (
            float(np.hypot(*errors)),
            float(stats.norm.ppf(0.5 + level / 2)),
        )
        paired = False
    else:
        shares, paired = _shares(first, second)
        variance = sum(share for share, _ in shares)
        error = float(np.sqrt(variance))
        degrees = sum(share**2 / (n_groups - 1) for share, n_groups in shares)
        degrees = variance**2 / degrees if degrees else np.inf
        quantile = float(stats.t.ppf(0.5 + level / 2, degrees))
    reach = quantile * error
    return Difference(value, error, (value - reach, value + reach), paired)


def _shares(a: LeaveOut, b: LeaveOut) -> tuple[list[tuple[float, int]], bool]:
    """Variances of the difference by the sample that causes them, with group counts."""
    shares, paired = [], False
    for mine, yours, same in (
        (a.train, b.train, a.train_rows == b.train_rows),
        (a.aux, b.aux, a.aux_rows == b.aux_rows),
    ):
        effects = [mine - mine.mean(), yours - yours.mean()]
        if same:
            n_groups = min(effect.size for effect in effects)
            first, second = (_joined(effect, n_groups) for effect in effects)
            effects, paired = [first - second], True
        for effect in effects:
            n = effect.size
            shares.append(((n - 1) / n * float((effect**2).sum()), n))
    return shares, paired


def _joined(effects: Floats, n_groups: int) -> Floats:
    """Effects of leaving out unions of groups: groups g, g + n_groups, ... are joined.

    To first order the effect of leaving out two groups is the sum of both effects.
    """
    joined: Floats = effects.reshape(-1, n_groups).sum(axis=0)
    return joined
