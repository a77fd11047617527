"""Warnings of kldiv, and the notes of results that they are made of."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from typing import Any


class DivergenceWarning(UserWarning):
    """Something stands against an estimate; the result keeps it as a note.

    The warnings of kldiv are its subclasses, so that
    ``warnings.simplefilter("ignore", kldiv.DivergenceWarning)`` silences them all.

    Examples
    --------
    >>> import warnings
    >>> from kldiv import DivergenceWarning, kl_divergence
    >>> X = [[0.1], [0.4], [0.8], [0.9], [1.4], [1.7]]
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", DivergenceWarning)
    ...     kl_divergence(X, X)
    0.0
    """


class SameSampleWarning(DivergenceWarning):
    """Both samples hold the same rows, so that nothing was estimated.

    Examples
    --------
    >>> from kldiv import DivergenceWarning, SameSampleWarning
    >>> issubclass(SameSampleWarning, DivergenceWarning)
    True
    """


class DiscreteDataWarning(DivergenceWarning):
    """Rows repeat, or columns hold few values: there may be no density.

    Examples
    --------
    >>> from kldiv import DiscreteDataWarning, DivergenceWarning
    >>> issubclass(DiscreteDataWarning, DivergenceWarning)
    True
    """


class SingularSampleWarning(DivergenceWarning):
    """One sample lies on a plane that does not hold the other.

    Examples
    --------
    >>> from kldiv import DivergenceWarning, SingularSampleWarning
    >>> issubclass(SingularSampleWarning, DivergenceWarning)
    True
    """


class SamplesApartWarning(DivergenceWarning):
    """The samples hardly overlap: the true divergence may be infinite.

    Examples
    --------
    >>> from kldiv import DivergenceWarning, SamplesApartWarning
    >>> issubclass(SamplesApartWarning, DivergenceWarning)
    True
    """


class ZeroProbabilityWarning(DivergenceWarning):
    """The victim gives probability 0 to training rows: a soft score is infinite.

    Examples
    --------
    >>> from kldiv import DivergenceWarning, ZeroProbabilityWarning
    >>> issubclass(ZeroProbabilityWarning, DivergenceWarning)
    True
    """


class TrustWarning(DivergenceWarning):
    """A result is not to be used, or not without a look; its notes say why.

    Examples
    --------
    >>> from kldiv import DivergenceWarning, TrustWarning
    >>> issubclass(TrustWarning, DivergenceWarning)
    True
    """


#: Verdicts on a result, from best to worst.
TRUST = ("good", "caution", "do not use")


class Note(str):
    """What stands against a result, in words.

    Attributes
    ----------
    category : type or None
        The warning that says so as well, if one does.
    severity : {"caution", "do not use"}
        How bad it is.
    name : str
        The check that found it.
    """

    category: type[DivergenceWarning] | None
    severity: str
    name: str

    def __new__(
        cls,
        text: str,
        category: type[DivergenceWarning] | None,
        severity: str = "do not use",
        name: str = "",
    ) -> Note:
        note = super().__new__(cls, text)
        note.category, note.severity, note.name = category, severity, name
        return note

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.category, self.severity, self.name)


def warn_of(notes: Iterable[Note]) -> None:
    """Tell whoever called the package what stands against a result."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("kldiv."):
        level, frame = level + 1, frame.f_back
    for note in notes:
        if note.category is not None:
            warnings.warn(note, note.category, stacklevel=level)
