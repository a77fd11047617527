"""Figures of results; the only module that imports matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from kldiv._report import PerClassReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_report"]


def plot_report(
    report: PerClassReport, column: str | None = None, *, ax: Axes | None = None
) -> Axes:
    """Draw one column of a report as bars, one per class.

    Parameters
    ----------
    report : PerClassReport
        The table.
    column : str, optional
        Which column, the first by default. Columns ``<column>_low`` and
        ``<column>_high`` are drawn as error bars if the report has them.
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
    places = np.arange(len(values))
    known = np.isfinite(values)
    errors = None
    if f"{column}_low" in report.columns and f"{column}_high" in report.columns:
        ends = [report.columns[f"{column}_{end}"] for end in ("low", "high")]
        errors = np.abs(np.asarray(ends, dtype=float) - values)[:, known]
    ax.bar(places[known], values[known], yerr=errors, color="#33658a", capsize=3)
    for place in places[~known]:
        ax.text(place, 0, "no score", rotation=90, ha="center", va="bottom")
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(places, [str(label) for label in report.classes.tolist()])
    ax.set(xlabel="class", ylabel=column, title=report.title)
    return ax
