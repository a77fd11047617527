"""What a check of a result has to look at, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kldiv._typing import FloatArray


@dataclass(frozen=True)
class Outcome:
    """What a check has to look at.

    Attributes
    ----------
    X, Y : ndarray of shape (n, d) and (m, d)
        The samples.
    dimension : int
        Of the plane that holds their rows.
    candidates : sequence of (str, float, float)
        Name, weight and value of each estimate that was averaged.
    doubts : mapping of str to object
        "held", "misfit", "proven" and "claimed" of the `LogRatio`, as "restless" what
        is missed of weights that follow the place, and as "in gaps" how many rows of X
        lie in gaps of Y.
    facts : mapping of str to object
        Fields of the result so far.
    level_asked : bool
        Whether an interval was asked for.
    unbounded : bool
        Whether the divergence can be infinite.
    in_nats : bool
        Whether the divergence is a logarithm, or a mean of logarithms.
    window : int
        Rows of one sample that came at most so far apart were no neighbours.
    """

    X: FloatArray
    Y: FloatArray
    dimension: int
    candidates: Sequence[tuple[str, float, float]]
    doubts: Mapping[str, Any]
    facts: dict[str, Any]
    level_asked: bool
    unbounded: bool
    in_nats: bool
    window: int = 0


@dataclass(frozen=True)
class Check:
    """One thing that can stand against a result.

    Attributes
    ----------
    measured : str
        What is measured, for the documentation.
    threshold : str
        From where on it is said, and how bad it is.
    look : callable
        Gives the severity and the words, or None.
    warns : bool
        Whether "do not use" is a `TrustWarning` as well, for those who only see the
        number.
    """

    measured: str
    threshold: str
    look: Callable[[Outcome], tuple[str, str] | None]
    warns: bool = False
