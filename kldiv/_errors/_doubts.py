"""What the rows of a sample do not say of an estimate: which candidate is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from kldiv._typing import Floats


@dataclass(frozen=True)
class Doubt:
    """Candidates that an estimate is a weighted mean of.

    Attributes
    ----------
    names : tuple
        What each candidate is called.
    weights, values, errors : ndarray of shape (n_candidates,)
        Weights that sum to one, estimates, and what each may be off by because it is
        known only that the truth lies between two values.
    """

    names: tuple[str | None, ...]
    weights: Floats
    values: Floats
    errors: Floats

    @classmethod
    def of_error(cls, error: float) -> Doubt:
        """One candidate that may be off by so much."""
        return cls((None,), np.ones(1), np.zeros(1), np.array([error]))

    @property
    def variance(self) -> float:
        """Of the mean: what the candidates differ by, and what each is off by."""
        between = self.weights @ (self.values - self.weights @ self.values) ** 2
        return float(between + self.weights**2 @ self.errors**2)

    def times(self, factor: float) -> Doubt:
        """The same of so many times the estimate."""
        return Doubt(
            self.names, self.weights, self.values * factor, self.errors * abs(factor)
        )


def total_variance(doubts: Sequence[Doubt]) -> float:
    """Variance of a sum of estimates."""
    return sum(doubt.variance for doubt in doubts)


def variance_of_difference(
    first: Sequence[Doubt], second: Sequence[Doubt], likeness: float
) -> float:
    """Variance that doubts about two estimates leave in their difference.

    `likeness` is the correlation of what both are off by. With that probability the
    same candidate is right for both as far as their weights allow, otherwise each is
    drawn for itself.
    """
    if len(first) != len(second):
        return total_variance(first) + total_variance(second)
    pairs = list(zip(first, second, strict=True))
    apart = sum(_between(_apart(a, b), a, b) for a, b in pairs)
    together = sum(_between(_together(a, b), a, b) for a, b in pairs)
    off = sum(_off(a, b, likeness) for a, b in pairs)
    return float(likeness * together + (1 - likeness) * apart + off)


def _off(a: Doubt, b: Doubt, likeness: float) -> float:
    """Variance of what the candidates themselves are off by."""
    one, other = (
        dict(zip(each.names, each.weights * each.errors, strict=True))
        for each in (a, b)
    )
    pairs = [(one.get(name, 0.0), other.get(name, 0.0)) for name in {*one, *other}]
    together = sum((e - f) ** 2 for e, f in pairs)
    apart = sum(e**2 + f**2 for e, f in pairs)
    return float(likeness * together + (1 - likeness) * apart)


def _between(chances: Floats, a: Doubt, b: Doubt) -> float:
    """Variance of the difference of two candidates drawn with joint chances."""
    differences = a.values[:, None] - b.values[None]
    return float((chances * (differences - (chances * differences).sum()) ** 2).sum())


def _apart(a: Doubt, b: Doubt) -> Floats:
    return np.outer(a.weights, b.weights)


def _together(a: Doubt, b: Doubt) -> Floats:
    """Joint chances that make both candidates the same as often as can be."""
    chances = np.zeros((len(a.names), len(b.names)))
    for i, j in product(range(len(a.names)), range(len(b.names))):
        if a.names[i] == b.names[j]:
            chances[i, j] = min(a.weights[i], b.weights[j])
    left = a.weights - chances.sum(axis=1), b.weights - chances.sum(axis=0)
    if left[0].sum() > 0:
        chances += np.outer(*left) / left[0].sum()
    return chances
