"""What is said of a sample on a plane that does not hold the other."""

from __future__ import annotations

from typing import Any

from kldiv._preparation._leaving import rows_off_plane
from kldiv._warnings import Note, SingularSampleWarning

# Rows that should leave the plane of a sample, if it left it as often as the other one:
# so few that none does are chance, so many are none.
_CHANCE, _SURE = 3.0, 30.0


def singular_notes(
    X: Any, Y: Any, flat: tuple[str, int] | None, *, finite: bool
) -> tuple[Note, ...]:
    """Whether one sample lies on a plane that does not hold the other."""
    if flat is None:
        return ()
    name, rank = flat
    lying, other = (X, Y) if name == "X" else (Y, X)
    off, dimension = rows_off_plane(lying, other, rank), other.shape[1]
    expected = len(lying) * off / len(other)
    if off == len(other) or (name == "Y" and not finite and expected >= _SURE):
        return (_infinite(name, rank, dimension, finite=finite),)
    if expected < _CHANCE:
        return ()
    left = (
        "if no row of Y ever does, the divergence is infinite; the value takes them "
        "for rare"
        if name == "Y" and not finite
        else "part of a distribution lies on a plane, where it has no density, and the "
        "value is rough"
    )
    text = (
        f"the rows of {name} vary in {rank} of {dimension} dimensions only (constant "
        f"or dependent columns), and {off} of {len(other)} rows of "
        f"{_other(name)} also in others: {left}. Leave out the columns that hardly "
        "vary in one of the samples, or name them as discrete."
    )
    return (Note(text, None, "caution", "flat sample"),)


def _infinite(name: str, rank: int, dimension: int, *, finite: bool) -> Note:
    consequence = (
        "the divergence has its largest value, which the estimate may not reach"
        if finite
        else "the divergence is infinite, and the estimate only says that it is large"
    )
    text = (
        f"the rows of {name} vary in {rank} of {dimension} dimensions only "
        f"(constant or dependent columns), those of {_other(name)} "
        f"also in others: between such distributions {consequence}. Leave out the "
        "columns that vary in one sample only."
    )
    return Note(text, SingularSampleWarning, name="flat sample")


def _other(name: str) -> str:
    return "Y" if name == "X" else "X"
