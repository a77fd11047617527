"""The latest rows of a stream against a fixed reference."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from kldiv._typing import FloatArray
from kldiv._validation import check_integer


class Reference(Protocol):
    """A fitted estimator: what it makes of rows, and of a window of them."""

    def _rows_of(self, X: Any) -> FloatArray:
        """Rows as the reference holds its own."""
        ...

    def _result_of(self, rows: FloatArray, **options: Any) -> Any:
        """The comparison of such rows with the reference."""
        ...


class RollingWindow:
    """The latest rows of a stream, compared with a fixed reference.

    ``window`` of a fitted :class:`KNNDivergence` or :class:`KSDistance` makes it. See
    the page "Watch for drift over time".

    Parameters
    ----------
    reference : fitted estimator
        What the window is compared with; it may not be fitted again meanwhile.
    size : int
        Rows that the window holds; older ones are forgotten.

    Attributes
    ----------
    size : int
        Rows that the window can hold.
    n_seen : int
        Rows that came so far.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import KSDistance
    >>> rng = np.random.default_rng(0)
    >>> window = KSDistance().fit(rng.normal(size=(1000, 2))).window(200)
    >>> for day in range(4):
    ...     print(day, round(window.update(rng.normal(day, 1, (100, 2))).score(), 1))
    0 0.1
    1 0.2
    2 0.5
    3 0.8
    """

    def __init__(self, reference: Reference, size: int) -> None:
        self.size = check_integer(size, "size")
        self.n_seen = 0
        self._reference = reference
        self._rows: FloatArray | None = None

    def __len__(self) -> int:
        """Rows in the window."""
        return 0 if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        return f"RollingWindow(size={self.size}, rows={len(self)}, seen={self.n_seen})"

    @property
    def full(self) -> bool:
        """Whether the window holds as many rows as it can."""
        return len(self) == self.size

    def update(self, X: ArrayLike) -> RollingWindow:
        """Add rows and forget the oldest.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            New rows, in the order of time.

        Returns
        -------
        RollingWindow
            This window.
        """
        rows = self._reference._rows_of(X)
        self.n_seen += len(rows)
        if self._rows is not None:
            rows = np.concatenate([self._rows, rows])
        self._rows = rows[-self.size :].copy()
        return self

    def result(self, **options: Any) -> Any:
        """Compare the rows in the window with the reference.

        Parameters
        ----------
        **options
            As in ``estimate`` of :class:`KNNDivergence` or ``test`` of
            :class:`KSDistance`.

        Returns
        -------
        DivergenceResult or KSResult
            What these methods return.

        Raises
        ------
        ValueError
            For an empty window, or one with too few rows for an estimate.
        """
        if self._rows is None:
            raise ValueError("the window has no rows yet; call update with some.")
        return self._reference._result_of(self._rows, **options)

    def score(self) -> float:
        """The divergence or distance of the rows in the window from the reference.

        Returns
        -------
        float
            What ``score`` of the estimator returns for these rows.
        """
        return float(self.result())
