"""How the record of one result becomes text, HTML, CSV, JSON or a frame, and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from kldiv._results._export import (
    array_of,
    csv_text,
    decoded,
    html_page,
    html_table,
    import_pandas,
    json_text,
    number_text,
    stored_values,
    written,
)

if TYPE_CHECKING:
    import pandas as pd


class Exported:
    """Ways out that every result has."""

    def _caption(self) -> str:
        """What the result shows."""
        raise NotImplementedError

    def _values(self) -> dict[str, Any]:
        """What JSON stores."""
        raise NotImplementedError

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        """Header and rows of the table with every digit."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        raise NotImplementedError

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The result with its remarks as an HTML page.

        Parameters
        ----------
        path : path-like, optional
            File to write as well.

        Returns
        -------
        str
            The page.
        """
        return written(html_page(self._caption(), self._repr_html_()), path)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """The result as comma-separated values with every digit.

        Parameters
        ----------
        path : path-like, optional
            File to write as well.

        Returns
        -------
        str
            A header and the rows of `to_frame`.
        """
        return written(csv_text(*self._table()), path)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The result as JSON that `from_json` reads; NaN becomes null.

        Parameters
        ----------
        path : path-like, optional
            File to write as well.

        Returns
        -------
        str
            The text.
        """
        return written(json_text(self._values()), path)


class Record(Exported):
    """What frozen records of one result share, besides ways out: a way back."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _unstored: ClassVar[tuple[str, ...]] = ()
    _may_be_none: ClassVar[tuple[str, ...]] = ()
    _title: ClassVar[str] = ""

    def _caption(self) -> str:
        return self._title

    def _values(self) -> dict[str, Any]:
        """What is stored of the record, in the order of its fields."""
        names = [f.name for f in fields(self) if f.name not in self._unstored]
        return {name: getattr(self, name) for name in names}

    def _table(self) -> tuple[list[str], list[list[Any]]]:
        """Header and rows for data frames and CSV."""
        values = self._values()
        return list(values), [list(values.values())]

    def _shown(self) -> dict[str, str]:
        """Texts of the fields that say something, with the digits they deserve."""
        return {
            name: number_text(value)
            for name, value in self._values().items()
            if value is not None
        }

    def _repr_html_(self) -> str:
        rows = [[name, text] for name, text in self._shown().items()]
        return html_table(self._caption(), (), rows)

    def to_frame(self) -> pd.DataFrame:
        """The result as a pandas data frame.

        Returns
        -------
        DataFrame
            One row; one row per column of the samples where each has its own test.

        Raises
        ------
        ImportError
            Without pandas (``pip install kldiv[frames]``).
        """
        header, rows = self._table()
        frame: pd.DataFrame = import_pandas().DataFrame(rows, columns=header)
        return frame

    @classmethod
    def from_json(cls, source: str | os.PathLike[str] | Mapping[str, Any]) -> Self:
        """The result that `to_json` wrote.

        Parameters
        ----------
        source : str, path-like or mapping
            The text, a file that holds it, or what a JSON reader made of it.

        Returns
        -------
        DivergenceResult or KSResult
            The result, without what is not stored, such as effects of single rows.

        Raises
        ------
        ValueError
            If a value of the result is missing.
        """
        known = [f for f in fields(cls) if f.name not in cls._unstored]
        needed = [f.name for f in known if f.default is MISSING]
        stored = stored_values(source, needed)
        values = {f.name: stored[f.name] for f in known if f.name in stored}
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = cls._sequence(name, value)
            elif value is None and name in needed and name not in cls._may_be_none:
                values[name] = np.nan
            else:
                values[name] = decoded(value)
        return cls(**values)

    @classmethod
    def _sequence(cls, name: str, value: list[Any]) -> Any:  # noqa: ARG003
        """A field that JSON holds as a list."""
        return array_of(value)
