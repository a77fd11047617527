"""What is found out about rows once, however many samples they are compared with.

Under soft conditioning every class is compared with the same auxiliary rows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from kldiv._typing import FloatArray

P = ParamSpec("P")
T = TypeVar("T")


class _Facts:
    """Answers about one sample, and how many ask for them to be kept."""

    def __init__(self) -> None:
        self.users = 0
        self.known: dict[Any, Any] = {}
        self.lock = threading.RLock()


_Key = tuple[int, tuple[int, ...], tuple[int, ...], str]
_kept: dict[_Key, _Facts] = {}
_counting = threading.Lock()


def _key(rows: Any) -> _Key:
    """Where the numbers are: views of all of them are the same sample."""
    if not isinstance(rows, np.ndarray):  # read in parts
        return id(rows), rows.shape, (), ""
    return rows.__array_interface__["data"][0], rows.shape, rows.strides, rows.dtype.str


@contextmanager
def kept_in_mind(*samples: FloatArray) -> Iterator[None]:
    """Inside, what `of_rows` functions find out about these samples is remembered.

    The caller sees to it that nobody changes the rows meanwhile.
    """
    keys = [_key(rows) for rows in samples]
    with _counting:
        for key in keys:
            _kept.setdefault(key, _Facts()).users += 1
    try:
        yield
    finally:
        with _counting:
            for key in keys:
                _kept[key].users -= 1
                if not _kept[key].users:
                    del _kept[key]


def of_rows(
    find: Callable[Concatenate[FloatArray, P], T],
) -> Callable[Concatenate[FloatArray, P], T]:
    """A function of a sample that is called once for rows that are kept in mind.

    The arguments after the sample must be hashable; nobody may change what it returns.
    """

    @wraps(find)
    def known(rows: FloatArray, /, *args: P.args, **options: P.kwargs) -> T:
        facts = _kept.get(_key(rows))
        if facts is None:
            return find(rows, *args, **options)
        asked = find, args, tuple(options.items())
        with facts.lock:  # others wait, which is cheaper than to find out twice
            if asked not in facts.known:
                facts.known[asked] = find(rows, *args, **options)
            found: T = facts.known[asked]
        return found

    return known
