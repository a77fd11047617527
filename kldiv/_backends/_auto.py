"""The rule behind ``algorithm="auto"``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kldiv._validation import FloatArray


class Choice(NamedTuple):
    """An algorithm and the seconds that one thread is predicted to need for it."""

    algorithm: str
    seconds: float


def choose_algorithm(
    X: FloatArray,
    Y: FloatArray,
    n_neighbors: int,
    blocks: Sequence[str] = ("xx", "xy"),
    metric: str = "euclidean",
) -> Choice:
    """Algorithm that ``algorithm="auto"`` uses for these samples.

    Parameters
    ----------
    X, Y : ndarray of shape (n, d) and (m, d)
        The samples.
    n_neighbors : int
        Neighbours asked for.
    blocks : sequence of str
        Blocks asked for.
    metric : str
        Metric.

    Returns
    -------
    Choice
    """
    d = X.shape[1]
    if d == 1:
        return Choice("sorted", 0.0)
    if metric != "euclidean":
        return Choice("tree" if d <= 10 else "brute", 0.0)
    return Choice("tree" if d <= 8 else "gemm", 0.0)
