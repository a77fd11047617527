"""What two-sample estimates and tests return: numbers, and how they were obtained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._errors._standard_errors import Effects
from kldiv._results._export import array_of, decimals_of, number_text
from kldiv._results._record import Record
from kldiv._warnings import Note

# Entries of a long array that a notebook shows.
_SHOWN = 10


@dataclass(frozen=True, repr=False)
class DivergenceResult(Record):
    """A divergence between two samples and how it was obtained.

    Attributes
    ----------
    value : float
        The estimate in nats. It may be negative in small samples.
    standard_error : float or None
        Standard error in nats, or None if it was not asked for.
    confidence_interval : tuple of float or None
        Lower and upper end in nats, or None if it was not asked for.
    pvalue : float or None
        Permutation p-value of "both samples have one law", or None.
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
    weights : mapping of str to float
        Weights of the corrections that ``correction="auto"`` averaged, by evidence;
        empty if there was one.
    evaluated_by : {"numpy", "numba"}
        What evaluated the formula: ``"numba"`` if it is the user's generator function
        and was compiled.
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
    weights: Mapping[str, float] = field(default_factory=dict)
    evaluated_by: str = "numpy"
    effects: Effects | None = field(default=None, repr=False, compare=False)

    _unstored = ("effects",)
    _may_be_none = ("correction",)
    _title = "Divergence of two samples (nats)"

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
        low, high = values.pop("confidence_interval") or (None, None)
        values["notes"] = " ".join(self.notes)
        values |= {"value_low": low, "value_high": high}
        return list(values), [list(values.values())]

    @classmethod
    def _sequence(cls, name: str, value: list[Any]) -> Any:
        if name == "notes":  # a stored note does not warn again
            return tuple(Note(text, None) for text in value)
        return tuple(array_of(value).tolist())


@dataclass(frozen=True, repr=False)
class KSResult(Record):
    """A Kolmogorov-Smirnov test and how it was obtained.

    Attributes
    ----------
    statistic : float or ndarray of shape (n_features,)
        Per column for ``"columns"`` (a float if X is a vector), else one number.
    pvalue : float or ndarray of shape (n_features,)
        Goes with `statistic`; ``nan`` where only permutations give a p-value and none
        were asked for. For ``"rows"`` without permutations it is the mean of the row
        p-values, which is *not* a valid p-value.
    global_statistic : float
        The largest column statistic for ``"columns"``, else `statistic`.
    global_pvalue : float
        Valid p-value of "both laws are equal": Bonferroni over the columns, or the
        permutation p-value of the largest column statistic; twice the mean for
        ``"rows"``; else `pvalue`.
    method : str
        The key of the method.
    pvalue_method : str
        ``"exact"``, ``"asymp"``, ``"permutation"`` or ``"none"``.
    alternative : str
        ``"two-sided"``, ``"greater"`` or ``"less"``.
    n, m : int
        Rows of X and of Y; m is 0 against a law that was evaluated, and the number of
        rows drawn from it where a sample stood for it.
    n_features : int
        Columns.
    n_permutations : int
        Relabellings besides the given one.
    statistic_location, statistic_sign : ndarray of shape (n_features,) or scalar
        ``"columns"`` only: where the gap is reached and whether the distribution
        function of X is the larger (1) or the smaller one (-1) there.
    pvalue_bonferroni, pvalue_holm, pvalue_benjamini_hochberg : ndarray of shape \
(n_features,)
        ``"columns"`` only: adjusted for the number of columns.
    row_statistic, row_pvalue : ndarray of shape (n,)
        ``"rows"`` only: one test per row of X.
    direction : ndarray of shape (n_features,)
        ``"max-sliced"`` only: unit vector along which the gap was found.
    n_directions : int
        Random directions, for the sliced methods.

    Examples
    --------
    >>> from kldiv import ks_test
    >>> result = ks_test([0.1, 0.2, 0.4, 0.8], [0.5, 0.6, 0.7, 0.9])
    >>> float(result.statistic), result.pvalue_method, result.n, result.m
    (0.75, 'exact', 4, 4)
    """

    statistic: Any
    pvalue: Any
    global_statistic: float
    global_pvalue: float
    method: str
    pvalue_method: str
    alternative: str
    n: int
    m: int
    n_features: int
    n_permutations: int = 0
    statistic_location: Any = None
    statistic_sign: Any = None
    pvalue_bonferroni: NDArray[np.float64] | None = None
    pvalue_holm: NDArray[np.float64] | None = None
    pvalue_benjamini_hochberg: NDArray[np.float64] | None = None
    row_statistic: NDArray[np.float64] | None = None
    row_pvalue: NDArray[np.float64] | None = None
    direction: NDArray[np.float64] | None = None
    n_directions: int = 0

    _title = "Kolmogorov-Smirnov test"
    # one entry per column of the samples
    _per_column = (
        "statistic",
        "pvalue",
        "statistic_location",
        "statistic_sign",
        "pvalue_bonferroni",
        "pvalue_holm",
        "pvalue_benjamini_hochberg",
    )

    def __float__(self) -> float:
        return float(self.global_statistic)

    def __repr__(self) -> str:
        return (
            f"KSResult(method={self.method!r}, "
            f"global_statistic={number_text(self.global_statistic)}, "
            f"global_pvalue={number_text(self.global_pvalue)}, n={self.n}, m={self.m}, "
            f"n_features={self.n_features})"
        )

    def _shown(self) -> dict[str, str]:
        shown = super()._shown()
        for name, value in self._values().items():
            if np.ndim(value) and len(value) > _SHOWN:
                shown[name] = f"{number_text(value[:_SHOWN])}, ... ({len(value)})"
        return shown

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        per_row = (*self._per_column, "row_statistic", "row_pvalue", "direction")
        values = {k: v for k, v in self._values().items() if k not in per_row}
        if self.method != "columns":
            values = {"statistic": self.statistic, "pvalue": self.pvalue, **values}
            return list(values), [list(values.values())]
        columns = {
            k: np.atleast_1d(getattr(self, k)).tolist() for k in self._per_column
        }
        rows = [
            [column, *entries, *values.values()]
            for column, entries in enumerate(zip(*columns.values(), strict=True))
        ]
        return ["column", *columns, *values], rows
