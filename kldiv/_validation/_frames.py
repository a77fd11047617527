"""Data frames and arrays of any library, as those that everything below knows."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._blocks._collections import is_collection

_KNOWN = ("pandas", "polars")


def whole_frame(sample: Any) -> Any:
    """A frame of pandas or polars, in memory, for one of any library; else the sample.

    narwhals, which scikit-learn brings since 1.9, knows all of them; without it, lazy
    frames of polars and tables of pyarrow.
    """
    home = type(sample).__module__.partition(".")[0]
    lazy = hasattr(sample, "collect")
    if is_collection(sample) or home in ("builtins", "numpy", "torch", "scipy"):
        return sample
    if home in _KNOWN and not lazy:
        return sample
    if lazy and home == "polars":
        return sample.collect()
    if home == "pyarrow" and hasattr(sample, "column_names"):
        return _eager(sample)
    nw = _narwhals()
    if nw is None:
        return sample
    frame = nw.from_native(sample, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    return _eager(frame) if isinstance(frame, nw.DataFrame) else sample


def _narwhals() -> Any:
    try:
        import narwhals
    except ImportError:
        return None
    return narwhals


def _eager(frame: Any) -> Any:
    """A frame of pandas, or of polars where that is what is installed."""
    try:
        import pandas  # noqa: F401
    except ImportError:
        if "polars" in sys.modules:
            return sys.modules["polars"].from_arrow(frame.to_arrow())
        raise ImportError(
            f"a {type(frame).__module__.partition('.')[0]} table becomes a pandas data "
            "frame here, and pandas is not installed: pip install 'kldiv[frames]'."
        ) from None
    return frame.to_pandas()


def host_array(values: Any, name: str) -> NDArray[Any]:
    """A NumPy array of an array of another library.

    Raises
    ------
    TypeError
        If the library does not hand out its numbers, with what to do.
    """
    if hasattr(values, "get") and type(values).__module__.startswith("cupy"):
        array: NDArray[Any] = values.get()
        return array
    for read in (np.asarray, np.from_dlpack):
        try:
            array = np.asarray(read(values))
        except (TypeError, ValueError, RuntimeError, BufferError):
            continue
        if array.ndim or array.dtype != object:  # else the object itself, in a box
            return array
    place = getattr(values, "device", "a device")
    raise TypeError(
        f"{name} is an array of {type(values).__module__.partition('.')[0]} on "
        f"{place}, which does not hand its numbers to NumPy. Move it to the processor "
        "first."
    )
