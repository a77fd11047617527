"""The standard error of a difference between estimates that share rows.

What a row does to one estimate is subtracted from what it does to the other. A row that
only one of them has, because another answer of a victim put it elsewhere, stays with
what it does there: answers and rows are drawn together, so that the variance of the sum
over all rows holds what other answers would give as well as what other rows would. Over
several classes a row that leaves one and enters another is one row.

What rows do not say, such as which candidate is right, is the same for both estimates
only as far as their rows are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from kldiv._errors._doubts import Doubt, variance_of_difference
from kldiv._errors._standard_errors import Effects, SampleEffects, joined_groups
from kldiv._errors._subsets import N_SUBSETS

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class TracedEffects:
    """What the rows did to an estimate, and which rows they were.

    Attributes
    ----------
    effects : Effects
        Of training rows (X) and of auxiliary rows (Y).
    train_keys, aux_keys : ndarray of uint64
        A number for each of the rows of X and of Y; the same rows have the same.
    """

    effects: Effects
    train_keys: Keys
    aux_keys: Keys

    @classmethod
    def of(cls, effects: Effects, train_keys: Keys, aux_keys: Keys) -> Self | None:
        """From keys of all rows given; None where it is not known which were left."""
        samples = effects.x, effects.y
        keys = [
            of_given if sample.given is None else of_given[sample.given]
            for sample, of_given in zip(samples, (train_keys, aux_keys), strict=True)
        ]
        if any(k.size != s.rows.shape[1] for k, s in zip(keys, samples, strict=True)):
            return None
        return cls(effects, *keys)


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


#: Two estimates, their standard errors, and what rows did to them where that is known.
Compared = tuple[
    tuple[float, float],
    tuple[float, float],
    tuple[TracedEffects | None, TracedEffects | None],
]


def difference_of(
    values: tuple[float, float],
    errors: tuple[float, float],
    pairing: tuple[TracedEffects | None, TracedEffects | None],
    level: float,
) -> Difference:
    """First value minus second, with the effects of shared rows subtracted.

    Without effects of rows, the errors count as independent.
    """
    return mean_difference([(values, errors, pairing)], level)


def mean_difference(compared: Sequence[Compared], level: float) -> Difference:
    """Mean over several of the first value minus the second."""
    share = 1 / len(compared)
    value = share * sum(first - second for (first, second), _, _ in compared)
    known, paired, more = [], False, 0.0
    for _, errors, (first, second) in compared:
        if first is None or second is None:
            more += float(np.hypot(*errors)) ** 2
            continue
        subtracted, shared = _subtracted(first, second)
        known.append(subtracted)
        paired |= shared
    if not known:
        error = share * np.sqrt(more)
        reach = float(stats.norm.ppf(0.5 + level / 2)) * error
        return Difference(value, float(error), (value - reach, value + reach), False)
    effects = joined(known, share).effects
    doubts = (*effects.doubts, Doubt.of_error(share * np.sqrt(more)))
    spread = replace(effects, doubts=doubts).spread()
    return Difference(
        value, spread.standard_error, spread.interval(value, level), paired
    )


def joined(several: Sequence[TracedEffects], factor: float) -> TracedEffects:
    """Effects on so many times the sum of estimates; a row may be in several."""
    if len(several) == 1:
        (one,) = several
        return replace(one, effects=one.effects.times(factor))
    effects = [one.effects.times(factor) for one in several]
    x, train_keys = _sum_by_row(
        [(e.x, one.train_keys) for e, one in zip(effects, several, strict=True)]
    )
    y, aux_keys = _sum_by_row(
        [(e.y, one.aux_keys) for e, one in zip(effects, several, strict=True)]
    )
    doubts = tuple(doubt for one in effects for doubt in one.doubts)
    return TracedEffects(Effects(x, y, doubts), train_keys, aux_keys)


def _sum_by_row(
    parts: Sequence[tuple[SampleEffects, Keys]],
) -> tuple[SampleEffects, Keys]:
    """Effects of rows on a sum of estimates; groups of rows become a variance."""
    keys, places = np.unique(
        np.concatenate([keys for _, keys in parts]), return_inverse=True
    )
    total, variance, start = np.zeros((N_SUBSETS, keys.size)), 0.0, 0
    for effects, of_part in parts:
        alone = effects.without_groups()
        mine = places[start : start + of_part.size]
        # effects are times the rows of their own sample
        total[:, mine] += alone.rows * (keys.size / of_part.size)
        variance += alone.bootstrap
        start += of_part.size
    return SampleEffects(total, parts[0][0].which, bootstrap=variance), keys


def _subtracted(
    first: TracedEffects, second: TracedEffects
) -> tuple[TracedEffects, bool]:
    """Effects on the first estimate minus the second, and whether they share rows."""
    one, two = first.effects, second.effects
    train, aux = _shared(first, second)
    if 0 < train < 1 or 0 < aux < 1:
        one, two = one.in_all_subsets(), two.in_all_subsets()
    x, train_keys = _difference((one.x, first.train_keys), (two.x, second.train_keys))
    y, aux_keys = _difference((one.y, first.aux_keys), (two.y, second.aux_keys))
    if aux == 1 and train < 1:  # bootstraps of one reference, scored at other rows
        y = replace(y, bootstrap=one.y.bootstrap + two.y.bootstrap)
    variance = variance_of_difference(one.doubts, two.doubts, (train + aux) / 2)
    effects = Effects(x, y, (Doubt.of_error(np.sqrt(variance)),))
    return TracedEffects(effects, train_keys, aux_keys), train + aux > 0


def _shared(first: TracedEffects, second: TracedEffects) -> tuple[float, float]:
    """Shares of the training and of the auxiliary rows that are common."""
    train, aux = (
        np.intersect1d(a, b).size / np.sqrt(a.size * b.size)
        for a, b in (
            (first.train_keys, second.train_keys),
            (first.aux_keys, second.aux_keys),
        )
    )
    return train, aux


def _difference(
    first: tuple[SampleEffects, Keys], second: tuple[SampleEffects, Keys]
) -> tuple[SampleEffects, Keys]:
    """Effects of the rows of one sample on a difference, and their keys."""
    (a, a_keys), (b, b_keys) = first, second
    if not np.array_equal(a_keys, b_keys):
        return _sum_by_row([first, (b.times(-1.0), b_keys)])
    sizes = [sample.rest.size for sample in (a, b) if sample.rest.size]
    rest = np.empty(0)
    if sizes:
        rest = joined_groups(a.rest, min(sizes)) - joined_groups(b.rest, min(sizes))
    # the bootstraps of references of the same rows cancel as they do
    return replace(a, rows=a.rows - b.rows, rest=rest, bootstrap=0.0), a_keys
