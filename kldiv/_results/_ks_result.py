"""What Kolmogorov-Smirnov tests return: numbers, and how they were obtained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._results._export import number_text
from kldiv._results._record import Record
from kldiv._validation import check_level

# Entries of a long array that a notebook shows.
_SHOWN = 10


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
        Valid p-value of "both distributions are equal": Bonferroni over the columns, or
        the permutation p-value of the largest column statistic; twice the mean for
        ``"rows"``; else `pvalue`.
    method : str
        The key of the method.
    pvalue_method : str
        ``"exact"``, ``"asymp"``, ``"permutation"`` or ``"none"``.
    alternative : str
        ``"two-sided"``, ``"greater"`` or ``"less"``.
    n, m : int
        Rows of X and of Y; m is 0 against a distribution that was evaluated, and the
        number of rows drawn from it where a sample stood for it.
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
    feature_names : tuple of str, or None
        Names of the columns, if the samples were data frames.
    n_effective, m_effective : float or None
        Rows of equal weight that weighted rows of X and of Y are worth, from which
        p-values are computed; None where all rows count alike.

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
    feature_names: tuple[str, ...] | None = None
    n_effective: float | None = None
    m_effective: float | None = None

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

    def differing_columns(self, level: float = 0.05) -> list[Any]:
        """Columns in which the samples differ, the largest gap first.

        Parameters
        ----------
        level : float, default=0.05
            Chance of naming any column although no column differs: p-values are those
            of Holm, which allow for the number of columns.

        Returns
        -------
        list of str or int
            Names, or positions of columns without names.

        Raises
        ------
        ValueError
            If the method did not test columns.

        Examples
        --------
        >>> import pandas as pd
        >>> from kldiv import ks_test
        >>> X = pd.DataFrame({"age": range(20), "dose": range(20)})
        >>> Y = X.assign(dose=X["dose"] + 15)
        >>> ks_test(X, Y).differing_columns()
        ['dose']
        """
        if self.pvalue_holm is None:
            raise ValueError(
                f"method={self.method!r} compares rows as a whole; use "
                "method='columns' to ask which columns differ."
            )
        check_level(level)
        gaps = np.atleast_1d(self.statistic)
        order = np.argsort(-gaps, kind="stable")
        pvalues = np.atleast_1d(self.pvalue_holm)
        found = [int(column) for column in order if pvalues[column] <= level]
        names = self.feature_names
        return found if names is None else [names[column] for column in found]

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
        apart = (*per_row, "feature_names")
        values = {k: v for k, v in self._values().items() if k not in apart}
        if self.method != "columns":
            values = {"statistic": self.statistic, "pvalue": self.pvalue, **values}
            return list(values), [list(values.values())]
        columns = {
            k: np.atleast_1d(getattr(self, k)).tolist() for k in self._per_column
        }
        names = self.feature_names or range(self.n_features)
        rows = [
            [column, *entries, *values.values()]
            for column, *entries in zip(names, *columns.values(), strict=True)
        ]
        return ["column", *columns, *values], rows

    @classmethod
    def _sequence(cls, name: str, value: list[Any]) -> Any:
        return (
            tuple(value) if name == "feature_names" else super()._sequence(name, value)
        )
