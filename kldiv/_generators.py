"""Generator functions of f-divergences that the user writes, compiled by Numba."""

from __future__ import annotations

import threading
import types
import warnings
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from kldiv._typing import Floats

Generator = Callable[[Floats], Floats]

# Numba compiles one function at a time (its registry is not safe for threads).
_LOCK = threading.Lock()
_COMPILED: dict[Hashable, Generator | None] = {}
_MOST_KEPT = 64
# Ratios at which the compiled function must give what NumPy gives.
_TRIALS = np.array([1e-6, 0.03, 0.5, 0.999, 1.0, 1.7, 40.0, 1e6])


def evaluator_of(generator: Generator) -> tuple[Generator, str]:
    """How to evaluate a generator on an array of ratios, and by what.

    Returns
    -------
    evaluate : callable
        The generator compiled to a native loop, or itself.
    by : {"numba", "numpy"}
        ``"numpy"`` if Numba is not installed, cannot compile the function, or gives
        other numbers.
    """
    try:
        import numba
    except ImportError:
        return generator, "numpy"
    key = _key(generator)
    with _LOCK:
        if key is None or key not in _COMPILED:
            if len(_COMPILED) >= _MOST_KEPT:
                _COMPILED.clear()
            compiled = _compile(numba, generator)
            if key is None:
                return (generator, "numpy") if compiled is None else (compiled, "numba")
            _COMPILED[key] = compiled
        compiled = _COMPILED[key]
    return (generator, "numpy") if compiled is None else (compiled, "numba")


def _compile(numba: Any, generator: Generator) -> Generator | None:
    """The compiled function, or None where it does not compile or disagrees.

    There is no cache on disk: one would keep values of globals that have changed since.
    """
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = np.asarray(generator(_TRIALS.copy()), dtype=np.float64)
            compiled = (
                generator
                if isinstance(generator, numba.core.registry.CPUDispatcher)
                else numba.njit(generator)
            )
            values = np.asarray(compiled(_TRIALS.copy()), dtype=np.float64)
        except (numba.core.errors.NumbaError, TypeError, ValueError):
            return None
    same = expected.shape == values.shape and np.allclose(
        values, expected, rtol=1e-12, atol=0, equal_nan=True
    )
    return compiled if same else None


def _key(generator: Generator) -> Hashable | None:
    """What the function depends on: code and the values that it reads; None if unknown.

    Numba freezes globals when it compiles, so a function whose globals have changed is
    another function.
    """
    if not isinstance(generator, types.FunctionType):
        return None
    code = generator.__code__
    cells = [cell.cell_contents for cell in generator.__closure__ or ()]
    read = [generator.__globals__.get(name) for name in code.co_names]
    key = (code, generator.__defaults__, *map(_identity, [*cells, *read]))
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _identity(value: Any) -> Hashable:
    """A value that compares by content if it is a number, else the object itself."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    return (type(value), value)
