"""What the estimators return: frozen records that say how a number was obtained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from kldiv._comparison import Difference, Pairing, difference_of
from kldiv._inference import Effects
from kldiv._validation import check_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class DivergenceResult:
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
        truth. Each was also a warning.
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
    notes: tuple[str, ...] = ()
    evaluated_by: str = "numpy"
    effects: Effects | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class KSResult:
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


@dataclass(frozen=True)
class PerClassReport:
    """A table with one row per class, and how its numbers were obtained.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Class labels, in the order of all columns.
    columns : mapping of str to ndarray of shape (n_classes,)
        The table. A value that could not be had is NaN. The interval of a column
        ``kl`` is in the columns ``kl_low`` and ``kl_high``.
    reasons : mapping
        Class label to the reason why it has no score.
    settings : mapping of str to object
        Parameters and facts that hold for the whole table.
    title : str
        What the table shows.
    notes : mapping
        Class label to what stands against its score.
    pairing : mapping
        Class label to what its rows did to the score, for `compare`.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import PerClassReport
    >>> report = PerClassReport(
    ...     classes=np.array(["cat", "dog"]),
    ...     columns={"kl": np.array([0.5, np.nan])},
    ...     reasons={"dog": "no auxiliary row"},
    ... )
    >>> print(report.to_markdown())
    | class |    kl |
    |------:|------:|
    |   cat | 0.500 |
    |   dog |   nan |
    <BLANKLINE>
    * class dog: no auxiliary row
    """

    classes: NDArray[Any]
    columns: Mapping[str, NDArray[Any]]
    reasons: Mapping[Any, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    title: str = "Scores per class"
    notes: Mapping[Any, str] = field(default_factory=dict)
    pairing: Mapping[Any, Pairing] = field(default_factory=dict, repr=False)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    @overload
    def compare(
        self, first: PerClassReport, second: None = None, level: float = 0.95
    ) -> PerClassReport: ...

    @overload
    def compare(
        self, first: Any, second: Any, level: float = 0.95
    ) -> tuple[float, tuple[float, float]]: ...

    def compare(
        self, first: Any, second: Any = None, level: float = 0.95
    ) -> tuple[float, tuple[float, float]] | PerClassReport:
        """Differences of two classes, or of this report and another, with intervals.

        Parameters
        ----------
        first, second : object, or PerClassReport and optionally a class label
            Two class labels; or the report on another auxiliary set (or on other
            features, or another estimator), alone for all classes that both reports
            hold, or with the label of one class.
        level : float, default=0.95
            Of the intervals.

        Returns
        -------
        difference : float
            Score of `first` minus score of `second`, or score of this report minus
            score of the other one, in nats. NaN if one of them could not be had.
        confidence_interval : tuple of float
            Its lower and upper end.
        report : PerClassReport
            Instead of both for another report without a class label: columns
            ``difference``, ``standard_error``, ``difference_low``,
            ``difference_high`` and ``paired``.

        Raises
        ------
        ValueError
            For an unknown class, reports without a class in common, or a report
            without standard errors.

        Notes
        -----
        What a row that both scores share does to one is subtracted from what it does
        to the other, so that the common part cancels: the training rows of
        reports on two auxiliary sets, the auxiliary rows of two classes under soft
        conditioning. ``paired`` says whether there were any. Reports read from a file
        do not hold what this needs; their errors count as independent.

        Examples
        --------
        >>> import numpy as np
        >>> from kldiv import ConditionalKLScorer
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat([0, 1], 200)
        >>> train = (rng.normal(size=(400, 2)), y)
        >>> near, far = (rng.normal(s, 1, size=(400, 2)) for s in (0.2, 1.5))
        >>> scorer = ConditionalKLScorer(confidence_level=0.95)
        >>> reports = [scorer.fit(train, (aux, y)).report() for aux in (near, far)]
        >>> table = reports[1].compare(reports[0])
        >>> bool((table["difference_low"] > 0).all()), table["paired"].tolist()
        (True, [True, True])
        """
        check_level(level)
        if not isinstance(first, PerClassReport):
            found = self._difference(first, self, second, level)
            return found.value, found.confidence_interval
        if second is not None:
            found = self._difference(second, first, second, level)
            return found.value, found.confidence_interval
        common = [c for c in self.classes.tolist() if c in first.classes.tolist()]
        if not common:
            raise ValueError(
                f"the reports hold no class in common: {self.classes.tolist()} and "
                f"{first.classes.tolist()}."
            )
        rows = [self._difference(c, first, c, level) for c in common]
        return PerClassReport(
            classes=np.array(common),
            columns={
                "difference": np.array([row.value for row in rows]),
                "standard_error": np.array([row.standard_error for row in rows]),
                "difference_low": np.array([r.confidence_interval[0] for r in rows]),
                "difference_high": np.array([r.confidence_interval[1] for r in rows]),
                "paired": np.array([row.paired for row in rows]),
            },
            settings={"level": level},
            title="Difference of the scores per class (nats)",
        )

    def _difference(
        self, mine: Any, other: PerClassReport, yours: Any, level: float
    ) -> Difference:
        """Score of a class here minus that of one there."""
        a, b = self._side(mine), other._side(yours)
        return difference_of((a[0], b[0]), (a[1], b[1]), (a[2], b[2]), level)

    def _side(self, label: Any) -> tuple[float, float, Pairing | None]:
        if "standard_error" not in self.columns:
            raise ValueError(
                "compare needs standard errors; fit "
                "ConditionalKLScorer(confidence_level=0.95) and take its report."
            )
        found = np.flatnonzero(self.classes == label)
        if found.size == 0:
            raise ValueError(
                f"{label!r} is not a class of the report; its classes are "
                f"{self.classes.tolist()}."
            )
        score = next(iter(self.columns.values()))
        return (
            float(score[found[0]]),
            float(self.columns["standard_error"][found[0]]),
            self.pairing.get(self.classes.tolist()[found[0]]),
        )

    def to_frame(self) -> pd.DataFrame:
        """The table as a pandas data frame, classes as index, reasons as last column.

        Raises
        ------
        ImportError
            Without pandas (``pip install kldiv[frames]``).
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "to_frame needs pandas: pip install 'kldiv[frames]'."
            ) from error
        frame = pd.DataFrame(
            dict(self.columns), index=pd.Index(self.classes, name="class")
        )
        if self.reasons:
            frame["reason"] = [self.reasons.get(c, "") for c in self.classes.tolist()]
        return frame

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of the table as text."""
        header = ["class", *self.columns]
        rows = [
            [str(label), *(_text(column[i]) for column in self.columns.values())]
            for i, label in enumerate(self.classes.tolist())
        ]
        return header, rows

    def to_markdown(self) -> str:
        """The table, the reasons and the settings as Markdown."""
        header, rows = self.cells()
        widths = [
            max(len(row[j]) for row in [header, *rows]) for j in range(len(header))
        ]
        lines = [
            "| "
            + " | ".join(t.rjust(w) for t, w in zip(row, widths, strict=True))
            + " |"
            for row in [header, *rows]
        ]
        lines.insert(1, "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|")
        remarks = self._remarks()
        lines += [""] if remarks else []
        lines += [f"* {remark}" for remark in remarks]
        lines += [""] if self.settings else []
        lines += [f"* {key}: {_setting(v)}" for key, v in self.settings.items()]
        return "\n".join(lines)

    def to_json(self) -> str:
        """The report as JSON text; NaN becomes null."""
        return json.dumps(
            {
                "title": self.title,
                "classes": self.classes.tolist(),
                "columns": {
                    name: [_json_value(v) for v in column.tolist()]
                    for name, column in self.columns.items()
                },
                "reasons": {str(c): reason for c, reason in self.reasons.items()},
                "notes": {str(c): note for c, note in self.notes.items()},
                "settings": {k: _json_value(v) for k, v in self.settings.items()},
            },
            indent=2,
        )

    def _remarks(self) -> list[str]:
        """Reasons and notes, class by class."""
        return [
            f"class {c}: {text}"
            for texts in (self.reasons, self.notes)
            for c, text in texts.items()
        ]

    def _repr_html_(self) -> str:
        header, rows = self.cells()
        head = "".join(f"<th>{escape(text)}</th>" for text in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>"
            for row in rows
        )
        notes = self._remarks()
        notes += [f"{key}: {_setting(v)}" for key, v in self.settings.items()]
        listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
        return (
            f"<table><caption>{escape(self.title)}</caption><thead><tr>{head}</tr>"
            f"</thead><tbody>{body}</tbody></table><ul>{listed}</ul>"
        )

    def __str__(self) -> str:
        return f"{self.title}\n\n{self.to_markdown()}"

    def plot(self, column: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Bars of one column, the first by default; see `kldiv.plots.plot_report`."""
        from kldiv.plots import plot_report

        return plot_report(self, column, ax=ax)


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.3f}"
    return str(value)


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _json_value(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, Mapping):
        return {str(k): _json_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_json_value(v) for v in value]
    return str(value)
