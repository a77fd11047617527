"""What a parameter may be, said once: the check and the words of its refusal."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from typing import Any, Protocol

import numpy as np

_NOTHING = object()


class Rule(Protocol):
    """What one parameter may be."""

    def __call__(self, value: Any) -> bool:
        """Whether a value is accepted."""

    def __str__(self) -> str:
        """What is expected, to follow the word "expected"."""


@dataclass(frozen=True)
class Whole:
    """A whole number; the upper bound keeps what is multiplied by it in 64 bits."""

    least: int = 1
    most: int = 2**31 - 1

    def __call__(self, value: Any) -> bool:
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        return whole and self.least <= value <= self.most

    def __str__(self) -> str:
        bound = "" if self.most == Whole.most else f" and <= {self.most}"
        return f"a whole number >= {self.least}{bound}"


@dataclass(frozen=True)
class Number:
    """A finite number between two others, which it may equal unless said otherwise."""

    low: float = 0.0
    high: float = float("inf")
    low_too: bool = True
    high_too: bool = True

    def __call__(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Real):
            return False
        try:
            number = float(value)
        except OverflowError:
            return False
        above = number >= self.low if self.low_too else number > self.low
        below = number <= self.high if self.high_too else number < self.high
        return isfinite(number) and above and below

    def __str__(self) -> str:
        least = f"a number {'>=' if self.low_too else '>'} {self.low:g}"
        if self.high == float("inf"):
            return least
        return f"{least} and {'<=' if self.high_too else '<'} {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    def __call__(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.words

    def __str__(self) -> str:
        return f"one of {sorted(self.words)}"


class Flag:
    """True or False, and no number that stands for it."""

    def __call__(self, value: Any) -> bool:
        return isinstance(value, bool | np.bool_)

    def __str__(self) -> str:
        return "True or False"


@dataclass(frozen=True)
class Either:
    """What one of several rules accepts."""

    rules: tuple[Rule, ...]

    def __call__(self, value: Any) -> bool:
        return any(rule(value) for rule in self.rules)

    def __str__(self) -> str:
        return " or ".join(map(str, self.rules))


class Nothing:
    """None."""

    def __call__(self, value: Any) -> bool:
        return value is None

    def __str__(self) -> str:
        return "None"


@dataclass(frozen=True)
class Pair:
    """Two values of one rule."""

    rule: Rule

    def __call__(self, value: Any) -> bool:
        pair = isinstance(value, tuple | list) and len(value) == 2
        return pair and all(self.rule(one) for one in value)

    def __str__(self) -> str:
        return f"two of: {self.rule}"


class Options:
    """Other parameters by name."""

    def __call__(self, value: Any) -> bool:
        return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)

    def __str__(self) -> str:
        return "a mapping from names to values"


def optional(rule: Rule) -> Rule:
    """The rule, or None."""
    return Either((rule, Nothing()))


#: Seeds that torch, NumPy and scikit-learn all take.
SEED = Whole(0, 2**32 - 1)
VERBOSITY = Either((Whole(0), Flag()))
#: Numbers in [0, 1), above 0, and from 0 on.
FRACTION, POSITIVE = Number(0, 1, high_too=False), Number(0, low_too=False)
AMOUNT = Number()
#: More channels than any network here can use; the product of two fits in memory.
WIDTH = Whole(1, 4096)


def check_value(
    name: str, value: Any, rule: Rule, *, default: Any = _NOTHING, of: str = ""
) -> Any:
    """Return the value if the rule accepts it.

    Parameters
    ----------
    name : str
        What messages call it.
    value : object
        What was given.
    rule : Rule
        What it may be.
    default : object, optional
        What stands in its place if it is left out, which the message then says.
    of : str, optional
        Whose parameter it is, for the message.

    Returns
    -------
    object
        The same value.

    Raises
    ------
    ValueError
        With what was expected, what came and what to do.
    """
    if rule(value):
        return value
    owner = f"{of}: " if of else ""
    advice = "" if default is _NOTHING else f" The default is {default!r}."
    raise ValueError(f"{owner}{name}={_shown(value)}: expected {rule}.{advice}")


def check_values(
    values: Mapping[str, Any],
    rules: Mapping[str, Rule],
    *,
    defaults: Mapping[str, Any],
    of: str,
) -> None:
    """Check every value that has a rule; see :func:`check_value`."""
    for name, value in values.items():
        if name in rules:
            default = defaults.get(name, _NOTHING)
            check_value(name, value, rules[name], default=default, of=of)


def plain(value: Any) -> Any:
    """The value as JSON knows it: NumPy's numbers become Python's, tuples lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return value


def _shown(value: Any, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
