"""Figures of results; the only module that imports matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kldiv._results._report import PerClassReport
    from kldiv._results._results import DivergenceResult

__all__ = ["plot_log_ratio", "plot_report"]


def __dir__() -> list[str]:
    return sorted(__all__)


_BLUE, _ORANGE = "#33658a", "#c8553d"


def plot_report(
    report: PerClassReport,
    column: str | None = None,
    *,
    sort: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw one column of a report as bars, one per class.

    Parameters
    ----------
    report : PerClassReport
        The table.
    column : str, optional
        Which column, the first by default. Columns ``<column>_low`` and
        ``<column>_high`` are drawn as error bars if the report has them.
    sort : bool, default=False
        Whether the smallest value comes first, and classes without one last.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The axes, with a class without a value marked "no score".

    Examples
    --------
    >>> from kldiv import ConditionalKLScorer
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(100, 2)), np.repeat(["cat", "dog"], 50)
    >>> scorer = ConditionalKLScorer().fit((X, y), aux=(X + 1, y))
    >>> ax = plot_report(scorer.report())
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['cat', 'dog']
    >>> plt.close(ax.figure)
    """
    column = next(iter(report.columns)) if column is None else column
    if column not in report.columns:
        raise ValueError(
            f"column must be one of {list(report.columns)}; got {column!r}."
        )
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 3), layout="constrained")
    values = np.asarray(report.columns[column], dtype=float)
    order = np.argsort(values, kind="stable") if sort else np.arange(len(values))
    values, labels = values[order], report.classes[order].tolist()
    positions, known = np.arange(len(values)), np.isfinite(values)
    errors = None
    if f"{column}_low" in report.columns and f"{column}_high" in report.columns:
        ends = np.array([report.columns[f"{column}_{end}"] for end in ("low", "high")])
        errors = np.abs(ends[:, order].astype(float) - values)[:, known]
    ax.bar(positions[known], values[known], yerr=errors, color=_BLUE, capsize=3)
    for position in positions[~known]:
        missing = "infinite" if np.isinf(values[position]) else "no score"
        ax.text(position, 0, missing, rotation=90, ha="center", va="bottom")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(positions, [str(label) for label in labels])
    ax.set(xlabel="class", ylabel=column, title=report.title)
    return ax


def plot_log_ratio(
    result: DivergenceResult, *, n_named: int = 5, ax: Axes | None = None
) -> Axes:
    """Draw the log ratios of a result, the largest first.

    Parameters
    ----------
    result : DivergenceResult
        The result.
    n_named : int, default=5
        Rows with the largest ratios that are named by their positions in X.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The axes; a horizontal line is at the mean.

    Raises
    ------
    ValueError
        If the result has no log ratios.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv import estimate_divergence
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(100, 2)), rng.normal(size=(100, 2))
    >>> X[7] = 6.0
    >>> ax = plot_log_ratio(estimate_divergence(X, Y), n_named=1)
    >>> [text.get_text() for text in ax.texts]
    ['row 7']
    >>> plt.close(ax.figure)
    """
    ratios = result.log_ratios()
    known = np.flatnonzero(np.isfinite(ratios))
    order = known[np.argsort(-ratios[known], kind="stable")]
    if ax is None:
        _, ax = plt.subplots(figsize=(6, 3), layout="constrained")
    ax.fill_between(np.arange(len(order)), ratios[order], color=_BLUE, step="mid")
    ax.axhline(0, color="black", linewidth=0.8)
    mean = float(ratios[known].mean())
    ax.axhline(mean, color=_ORANGE, label=f"mean {mean:.3g}")
    for place, row in enumerate(order[:n_named]):
        ax.annotate(
            f"row {row}",
            (place, ratios[row]),
            (8, 0),
            textcoords="offset points",
            va="center",
        )
    unit = "nats" if result.base is None else f"base {result.base:g}"
    ax.set(
        xlabel="rows of X, the largest ratio first",
        ylabel=f"log p/q ({unit})",
        title="Which rows drive the divergence",
    )
    ax.legend(frameon=False)
    return ax
