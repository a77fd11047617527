"""The standard error of a difference between two estimates that share rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from kldiv._errors._standard_errors import (
    Effects,
    SampleEffects,
    Spread,
    joined_groups,
    spread_of,
)
from kldiv._errors._subsets import N_SUBSETS


@dataclass(frozen=True)
class TracedEffects:
    """What the rows did to an estimate, and which rows they were.

    Attributes
    ----------
    effects : Effects
        Of training rows (X) and of auxiliary rows (Y).
    train_rows, aux_rows : int
        Fingerprints of the rows in their order.
    """

    effects: Effects
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
    pairing: tuple[TracedEffects | None, TracedEffects | None],
    level: float,
) -> Difference:
    """First value minus second, with the effects of shared rows subtracted.

    Without effects of rows, the errors count as independent.
    """
    value = values[0] - values[1]
    first, second = pairing
    if first is None or second is None:
        error, paired = float(np.hypot(*errors)), False
        reach = float(stats.norm.ppf(0.5 + level / 2)) * error
        return Difference(value, error, (value - reach, value + reach), paired)
    one, two = first.effects, second.effects
    train = first.train_rows == second.train_rows
    aux = first.aux_rows == second.aux_rows
    if train or aux:
        samples = _differences(one.x, two.x, train) + _differences(one.y, two.y, aux)
        if aux and not train:  # bootstraps of one reference, scored at other rows
            samples.append(_bootstraps(one.y, two.y))
        spread = spread_of(samples)
    else:
        spread = _added([spread_of((each.x, each.y)) for each in (one, two)])
    interval = spread.interval(value, level)
    return Difference(value, spread.standard_error, interval, train or aux)


def _added(spreads: Sequence[Spread]) -> Spread:
    """Spread of a sum or difference of independent estimates."""
    variances = [spread.standard_error**2 for spread in spreads]
    noise = sum(
        variance**2 / spread.degrees
        for variance, spread in zip(variances, spreads, strict=True)
    )
    degrees = sum(variances) ** 2 / noise if noise > 0 else np.inf
    return Spread(float(np.sqrt(sum(variances))), degrees, spreads[0].method)


def _differences(a: SampleEffects, b: SampleEffects, same: bool) -> list[SampleEffects]:
    """Effects on a difference, of the same rows or of two independent samples."""
    if not same:
        return [a, replace(b, rows=-b.rows, rest=-b.rest)]
    sizes = [sample.rest.size for sample in (a, b) if sample.rest.size]
    rest = np.empty(0)
    if sizes:
        rest = joined_groups(a.rest, min(sizes)) - joined_groups(b.rest, min(sizes))
    # the bootstraps of references of the same rows cancel as they do
    return [replace(a, rows=a.rows - b.rows, rest=rest, bootstrap=0.0)]


def _bootstraps(a: SampleEffects, b: SampleEffects) -> SampleEffects:
    """The variances of two samples from their bootstraps, and nothing else."""
    return SampleEffects(
        np.zeros((N_SUBSETS, 1)), a.which, bootstrap=a.bootstrap + b.bootstrap
    )
