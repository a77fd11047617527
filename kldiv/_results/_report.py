"""The report on all classes: a table, what stands against it, how it was obtained."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kldiv._errors._differences import TracedEffects
from kldiv._results._comparing import Comparable, class_difference, common_classes
from kldiv._results._export import (
    array_of,
    column_texts,
    decoded,
    html_table,
    import_pandas,
    markdown_blocks,
    stored_values,
)
from kldiv._results._record import Exported

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, repr=False)
class PerClassReport(Comparable, Exported):
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
    >>> for label, row in report:
    ...     print(label, row["kl"])
    cat 0.5
    dog nan
    """

    classes: NDArray[Any]
    columns: Mapping[str, NDArray[Any]]
    reasons: Mapping[Any, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    title: str = "Scores per class"
    notes: Mapping[Any, str] = field(default_factory=dict)
    pairing: Mapping[Any, TracedEffects] = field(default_factory=dict, repr=False)

    def __getitem__(self, column: str) -> NDArray[Any]:
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Each class label with its row of the table."""
        for i, label in enumerate(self.classes.tolist()):
            yield label, {k: column[i] for k, column in self.columns.items()}

    def __repr__(self) -> str:
        columns = ", ".join(self.columns)
        return f"PerClassReport({self.title!r}, {len(self)} classes: {columns})"

    def _differences(self, other: Comparable, level: float) -> PerClassReport:
        """Scores here minus those there, for all classes of both."""
        common = common_classes(self, other)
        rows = [class_difference(self, c, other, c, level) for c in common]
        intervals = np.array([row.confidence_interval for row in rows])
        unit = self.settings.get("unit", "nats")
        return PerClassReport(
            classes=np.array(common),
            columns={
                "difference": np.array([row.value for row in rows]),
                "standard_error": np.array([row.standard_error for row in rows]),
                "difference_low": intervals[:, 0],
                "difference_high": intervals[:, 1],
                "paired": np.array([row.paired for row in rows]),
            },
            settings={"level": level, "unit": unit},
            title=f"Difference of the scores per class ({unit})",
        )

    def to_frame(self) -> pd.DataFrame:
        """The table as a pandas data frame, classes as index.

        Returns
        -------
        DataFrame
            Counts with gaps are nullable integers. Reasons and notes, where a class
            has any, are the last columns ``reason`` and ``note``.

        Raises
        ------
        ImportError
            Without pandas (``pip install kldiv[frames]``).
        """
        pandas = import_pandas()
        index = pandas.Index(self.classes, name="class")
        frame: pd.DataFrame = pandas.DataFrame(dict(self.columns), index=index)
        for name in self.columns:
            if name.startswith("n_") and frame[name].dtype.kind == "f":
                frame[name] = frame[name].astype("Int64")
        for name, texts in self._text_columns().items():
            frame[name] = texts
        return frame

    def _text_columns(self) -> dict[str, list[str]]:
        """Reasons and notes as columns, if any class has one."""
        labels = self.classes.tolist()
        return {
            name: [texts.get(c, "") for c in labels]
            for name, texts in (("reason", self.reasons), ("note", self.notes))
            if texts
        }

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of the table as text, with the digits they deserve.

        Returns
        -------
        header : list of str
            ``class`` and the names of the columns.
        rows : list of list of str
            One row per class. The score and its interval have as many decimals as
            its standard error has in two digits.
        """
        texts = [
            column_texts(name, column, self._errors_of(name))
            for name, column in self.columns.items()
        ]
        labels = [str(label) for label in self.classes.tolist()]
        header = ["class", *self.columns]
        return header, [list(row) for row in zip(labels, *texts, strict=True)]

    def _errors_of(self, name: str) -> NDArray[Any] | None:
        """Standard errors that decide on the digits of a column."""
        score = next(iter(self.columns))
        of_score = (score, f"{score}_low", f"{score}_high", "standard_error")
        return self.columns.get("standard_error") if name in of_score else None

    def to_markdown(self) -> str:
        """The table, the reasons and the settings as Markdown.

        Returns
        -------
        str
            The text, without the title.
        """
        settings = [f"{k}: {_setting(v)}" for k, v in self.settings.items()]
        return markdown_blocks(*self.cells(), self._remarks(), settings)

    @classmethod
    def from_json(
        cls, source: str | os.PathLike[str] | Mapping[str, Any]
    ) -> PerClassReport:
        """The report that `to_json` wrote.

        Parameters
        ----------
        source : str, path-like or mapping
            The text, a file that holds it, or what a JSON reader made of it.

        Returns
        -------
        PerClassReport
            The report, without what pairs its rows with those of another one.

        Raises
        ------
        ValueError
            If classes or columns are missing.
        """
        stored = stored_values(source, ("classes", "columns"))
        classes = np.asarray(stored["classes"])
        labels = {str(label): label for label in classes.tolist()}

        def by_class(name: str) -> dict[Any, str]:
            return {labels.get(k, k): v for k, v in stored.get(name, {}).items()}

        return cls(
            classes=classes,
            columns={k: array_of(values) for k, values in stored["columns"].items()},
            reasons=by_class("reasons"),
            settings=decoded(stored.get("settings", {})),
            title=str(stored.get("title", cls.title)),
            notes=by_class("notes"),
        )

    def _caption(self) -> str:
        return self.title

    def _values(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "classes": self.classes,
            "columns": {k: _whole(k, column) for k, column in self.columns.items()},
            "reasons": self.reasons,
            "notes": self.notes,
            "settings": self.settings,
        }

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        columns: dict[str, list[Any]] = {"class": self.classes.tolist()}
        columns |= {k: _whole(k, column) for k, column in self.columns.items()}
        columns |= self._text_columns()
        return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]

    def _remarks(self) -> list[str]:
        """Reasons and notes, class by class."""
        return [
            f"class {c}: {text}"
            for texts in (self.reasons, self.notes)
            for c, text in texts.items()
        ]

    def _repr_html_(self) -> str:
        remarks = self._remarks()
        remarks += [f"{key}: {_setting(v)}" for key, v in self.settings.items()]
        return html_table(self.title, *self.cells(), remarks)

    def __str__(self) -> str:
        return f"{self.title}\n\n{self.to_markdown()}"

    def plot(
        self, column: str | None = None, *, sort: bool = False, ax: Axes | None = None
    ) -> Axes:
        """Bars of one column with its interval; see `kldiv.plots.plot_report`.

        Parameters
        ----------
        column : str, optional
            Which column, the first by default.
        sort : bool, default=False
            Whether the smallest value comes first, and classes without one last.
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib Axes
            The axes.
        """
        from kldiv.plots import plot_report

        return plot_report(self, column, sort=sort, ax=ax)


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _whole(name: str, column: NDArray[Any]) -> list[Any]:
    """Values of a column, counts as integers where they are known."""
    values: list[Any] = column.tolist()
    if not name.startswith("n_"):
        return values
    return [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
