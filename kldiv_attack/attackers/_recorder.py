"""What a training tells the run folder."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

Snapshot = tuple[int, dict[str, torch.Tensor], dict[str, Any]]


class Recorder(Protocol):
    """What a training loop tells the run folder; see ``experiment.py``.

    Attributes
    ----------
    every : int
        Steps between two snapshots.

    Examples
    --------
    Any object with these methods will do:

    >>> class Printer:
    ...     every = 100
    ...     def log(self, step, **values):
    ...         print(step, values)
    ...     def sample(self, step, images): ...
    ...     def save(self, step, tensors, extra): ...
    ...     def load(self):
    ...         return None
    >>> Printer().log(1, loss=0.5)
    1 {'loss': 0.5}
    """

    every: int

    def log(self, step: int, **values: float) -> None:
        """Write numbers of one step."""

    def sample(self, step: int, images: NDArray[np.float32]) -> None:
        """Keep images of shape (rows, columns, channels, height, width)."""

    def save(
        self, step: int, tensors: dict[str, torch.Tensor], extra: dict[str, Any]
    ) -> None:
        """Keep everything that is needed to go on after ``step`` steps."""

    def load(self) -> Snapshot | None:
        """Return the last snapshot, or None for a fresh run."""
