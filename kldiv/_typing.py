"""Names of the kinds of arrays that the package hands around."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Rows = NDArray[np.intp]
Labels = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: Two rows (vectors of float32 or float64) in, a distance out.
UserMetric = Callable[[Any, Any], float]
#: The sample of rows at which a ratio is estimated, or the reference.
Side = Literal["x", "y"]
#: By block ("xx", "xy", "yy", "yx"): distances, ascending, and rows if asked for.
BlockArrays = dict[str, tuple[Floats, NDArray[np.int32] | None]]
