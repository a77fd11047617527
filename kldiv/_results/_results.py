"""What two-sample estimates return: numbers, and how they were obtained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kldiv._errors._standard_errors import Effects
from kldiv._results._export import (
    array_of,
    decimals_of,
    import_pandas,
    number_text,
    unit_of,
)
from kldiv._results._record import Record
from kldiv._typing import Floats
from kldiv._warnings import Note

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


def _over(value: Any, unit: float) -> Any:
    """A number or an array in another unit; None stays."""
    return None if value is None else value / unit


@dataclass(frozen=True, repr=False)
class DivergenceResult(Record):
    """A divergence between two samples and how it was obtained.

    Attributes
    ----------
    value : float
        The estimate, in nats unless it has a `base`. It may be negative in small
        samples.
    standard_error : float or None
        Standard error in the same unit, or None if it was not asked for.
    confidence_interval : tuple of float or None
        Lower and upper end, or None if it was not asked for.
    pvalue : float or None
        Permutation p-value of "both samples have one distribution", or None.
    n, m : int
        Rows of X and of the reference that were used.
    n_features : int
        Columns that were used: constant ones carry no information and are left out.
    n_neighbors : int
        k.
    divergence : str
        Key of the divergence.
    correction : str or None
        The correction that was used.
    algorithm : str
        The neighbour search that was used.
    n_duplicates : int
        Rows that repeat another row or are shared by the samples, before `duplicates`
        was applied.
    duplicates : str
        The policy that was applied to them.
    coverage : float
        Share of rows of X whose k-th-neighbour ball within X holds at least one row of
        Y (Naeem et al. 2020). Low coverage means that the true value can be infinite
        and the estimate only says "large".
    scale : str or None
        Coordinates in which neighbours were searched: None for those given,
        "standard", "whiten", or "normal" (columns made nearly Gaussian).
    n_components : int or None
        Gaussians in the reference of each sample, None without references.
    metric : str
        Metric of the neighbours; the name of the function for one of the user's own.
    notes : tuple of str
        What stands against the number: why it is not an estimate, rough, or infinite in
        truth. The user guide, "How far to trust a number", lists what is checked.
    trust : {"good", "caution", "do not use"}
        The worst that the notes say.
    n_effective, m_effective : float or None
        Rows of equal weight that the weighted rows of X and of the reference are worth
        (Kish 1965), or None if all rows count alike.
    weights : mapping of str to float
        Weights of the corrections that ``correction="auto"`` averaged, by evidence;
        empty if there was one.
    evaluated_by : {"numpy", "numba"}
        What evaluated the formula: ``"numba"`` if it is the user's generator function
        and was compiled.
    base : float or None
        Base of the logarithms: None for nats, 2 for bits.
    feature_names : tuple of str, or None
        Names of the columns that were given, if the samples were data frames.
    log_ratio : ndarray of shape (n_rows,), or None
        Estimated log of the density ratio p/q at each row of X, in the order in which
        the rows were given: which rows drive the estimate. Its mean is the
        Kullback-Leibler divergence; one of its numbers alone is noisy, with an error
        of up to ``sqrt(2 / n_neighbors)`` nats. NaN at repeated rows that were
        dropped; None for divergences that use distances alone.
    effects : object or None
        What single rows do to the estimate, from which the standard error is computed,
        and that of differences.

    Examples
    --------
    >>> from kldiv import estimate_divergence
    >>> X, Y = [0.1, 0.4, 0.8], [0.3, 0.7, 0.9]
    >>> result = estimate_divergence(X, Y, n_neighbors=2, correction=None)
    >>> result.n, result.m, result.n_neighbors, result.n_duplicates
    (3, 3, 2, 0)
    """

    value: float
    n: int
    m: int
    n_features: int
    n_neighbors: int
    divergence: str
    correction: str | None
    algorithm: str
    n_duplicates: int
    duplicates: str
    coverage: float
    standard_error: float | None = None
    confidence_interval: tuple[float, float] | None = None
    pvalue: float | None = None
    scale: str | None = None
    n_components: int | None = None
    metric: str = "euclidean"
    notes: tuple[Note, ...] = ()
    trust: str = "good"
    n_effective: float | None = None
    m_effective: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    evaluated_by: str = "numpy"
    base: float | None = None
    feature_names: tuple[str, ...] | None = None
    log_ratio: Floats | None = field(default=None, repr=False, compare=False)
    effects: Effects | None = field(default=None, repr=False, compare=False)

    _unstored = ("effects",)
    _may_be_none = ("correction",)

    def in_base(self, base: float | None) -> DivergenceResult:
        """The same result, found in nats, with logarithms of another base.

        Parameters
        ----------
        base : float or None
            Base above 1; None leaves nats.

        Returns
        -------
        DivergenceResult
            In units of ``log(base)`` nats.
        """
        if base is None:
            return self
        one = float(np.log(base))
        ends = self.confidence_interval
        return replace(
            self,
            base=base,
            value=self.value / one,
            standard_error=_over(self.standard_error, one),
            confidence_interval=ends and (ends[0] / one, ends[1] / one),
            log_ratio=_over(self.log_ratio, one),
            effects=None if self.effects is None else self.effects.times(1 / one),
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the log ratio at every row: which rows drive the estimate.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib Axes
            The axes.

        Raises
        ------
        ValueError
            If the result has no log ratios.
        """
        from kldiv.plots import plot_log_ratio

        return plot_log_ratio(self, ax=ax)

    def rows_to_frame(self) -> pd.DataFrame:
        """Log ratios of the rows of X as a pandas data frame, in the order given.

        Returns
        -------
        DataFrame
            The columns ``row`` (position in X), ``log_ratio``, and ``contribution``:
            the log ratio divided by the number of rows, which is what the row adds to
            a Kullback-Leibler divergence.

        Raises
        ------
        ValueError
            If the result has no log ratios.
        ImportError
            Without pandas (``pip install kldiv[frames]``).
        """
        values = self.log_ratios()
        used = int((~np.isnan(values)).sum())
        columns = {"row": np.arange(len(values)), "log_ratio": values}
        columns["contribution"] = values / used
        frame: pd.DataFrame = import_pandas().DataFrame(columns)
        return frame

    def log_ratios(self) -> Floats:
        """The attribute `log_ratio`, or an error that says why there is none.

        Returns
        -------
        ndarray of shape (n_rows,)
            One number per row of X, in the order given.
        """
        if self.log_ratio is None:
            raise ValueError(
                f"this result of divergence={self.divergence!r} has no log ratios: "
                "distances have none. Estimate a divergence of density ratios, such "
                "as 'kl'."
            )
        return self.log_ratio

    def _caption(self) -> str:
        return f"Divergence of two samples ({unit_of(self.base)})"

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        shown = self._shown()
        parts = [f"{self.divergence}={shown['value']}"]
        for name in ("standard_error", "confidence_interval", "pvalue"):
            parts += [f"{name}={shown[name]}"] if name in shown else []
        parts += [f"n={self.n}", f"m={self.m}"]
        parts += [f"trust={self.trust!r}"]
        parts += [f"notes={len(self.notes)}"] if self.notes else []
        return f"DivergenceResult({', '.join(parts)})"

    def _shown(self) -> dict[str, str]:
        shown = super()._shown()
        shown.pop("log_ratio", None)
        errors = None if self.standard_error is None else [self.standard_error]
        decimals = decimals_of([self.value], errors)
        shown["value"] = number_text(self.value, decimals)
        if self.standard_error is not None:
            shown["standard_error"] = number_text(self.standard_error, decimals)
        if self.confidence_interval is not None:
            low, high = (number_text(v, decimals) for v in self.confidence_interval)
            shown["confidence_interval"] = f"({low}, {high})"
        shown["notes"] = " ".join(self.notes)
        return {name: text for name, text in shown.items() if text}

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        values = self._values()
        values.pop("log_ratio")
        low, high = values.pop("confidence_interval") or (None, None)
        values["notes"] = " ".join(self.notes)
        values |= {"value_low": low, "value_high": high}
        return list(values), [list(values.values())]

    @classmethod
    def _sequence(cls, name: str, value: list[Any]) -> Any:
        if name == "feature_names":
            return tuple(value)
        if name == "log_ratio":
            return array_of(value).astype(np.float64)
        if name == "notes":  # a stored note does not warn again
            return tuple(Note(text, None) for text in value)
        return tuple(array_of(value).tolist())
