"""Rows and labels in one form, whatever they came as."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack.datasets import LabelledImages


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows of one source, with labels where it has them.

    Attributes
    ----------
    rows : ndarray or data frame
        Images of shape (n, channels, height, width) in [0, 1], numbers of shape
        (n, columns), or a data frame whose columns are not all numbers.
    labels : ndarray of int64 or None
        Positions in `class_names`.
    class_names : tuple of str
        Names of the classes in the order of their positions.
    name : str
        What reports call the source.
    columns : tuple of str
        Names of the columns of a table, if they are known.
    ignored : tuple of str
        Columns that the training rows lack, so that nothing can be compared in them.
    """

    rows: Any
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    name: str
    columns: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_images(self) -> bool:
        """Whether rows are images."""
        return isinstance(self.rows, np.ndarray) and self.rows.ndim == 4

    def take(self, rows: Any) -> Sample:
        """Some of the rows, in this order."""
        chosen = np.asarray(rows)
        kept = self.rows[chosen] if isinstance(self.rows, np.ndarray) else None
        labels = None if self.labels is None else self.labels[chosen]
        if kept is None:
            kept = self.rows.iloc[chosen]
        return replace(self, rows=kept, labels=labels)


def of_images(data: LabelledImages) -> Sample:
    return Sample(data.images, data.labels, data.class_names, data.name)


def of_frame(
    frame: Any, codes: NDArray[np.int64] | None, names: tuple[str, ...], source: str
) -> Sample:
    columns = tuple(frame.columns)
    twice = [c for c in columns if columns.count(c) > 1]
    if twice:
        raise ValueError(f"{source}: two columns are called {twice[0]!r}; rename one.")
    kinds = [dtype.kind for dtype in frame.dtypes]
    strange = [c for c, kind in zip(columns, kinds, strict=True) if kind in "mMc"]
    if strange:
        raise ValueError(
            f"{source}: column {strange[0]!r} holds {frame[strange[0]].dtype}; "
            "expected numbers or text. Give times as numbers of one unit, or leave "
            "them out."
        )
    if all(kind in "buif" for kind in kinds):
        frame = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return Sample(frame, codes, names, source, columns)


def from_memory(source: Any, role: str) -> Sample:
    if isinstance(source, Sample):
        return source
    if isinstance(source, LabelledImages):
        return of_images(source)
    if hasattr(source, "data") and hasattr(source, "target"):
        source = source.data, source.target
    pair = source if isinstance(source, tuple) else (source, None)
    if len(pair) != 2:
        raise TypeError(f"{role}: expected rows, or a pair (X, y), got {len(pair)}.")
    rows, labels = pair
    labels = None if labels is None else _plain(labels, f"{role}: labels")
    if labels is not None and labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    frame = _in_pandas(rows)
    if not (hasattr(frame, "columns") and hasattr(frame, "dtypes")):
        return of_arrays(_plain(frame, role), labels, role)
    frame = frame.set_axis([str(c) for c in frame.columns], axis=1)
    _check_one_each(labels, len(frame), role)
    codes, names = (None, ()) if labels is None else encode(labels, role)
    return of_frame(frame, codes, names, role)


def _in_pandas(values: Any) -> Any:
    """Frames, tables and columns of polars and pyarrow as those of pandas."""
    values = values.collect() if hasattr(values, "collect") else values
    home = type(values).__module__.partition(".")[0]
    return values.to_pandas() if home in ("polars", "pyarrow") else values


def _plain(values: Any, name: str) -> NDArray[Any]:
    if np.ma.is_masked(values):
        raise ValueError(f"{name}: holds masked values; fill them or drop the rows.")
    if hasattr(values, "toarray"):
        raise TypeError(f"{name}: is sparse; expected a dense array. Call toarray().")
    values = _in_pandas(values)
    try:
        array = np.asarray(
            values.detach().cpu() if hasattr(values, "detach") else values
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected an array, got a {type(values).__name__} of parts that "
            "do not make one, for instance rows of different lengths."
        ) from error
    if array.ndim == 0:
        raise TypeError(f"{name}: expected an array, got a {type(values).__name__}.")
    return array


def _check_one_each(labels: NDArray[Any] | None, n_rows: int, name: str) -> None:
    if labels is not None and (labels.ndim != 1 or len(labels) != n_rows):
        raise ValueError(
            f"{name}: expected one label per row, got {n_rows} rows and labels of "
            f"shape {labels.shape}."
        )


def of_arrays(rows: NDArray[Any], labels: NDArray[Any] | None, name: str) -> Sample:
    if rows.dtype.kind not in "buif":
        raise TypeError(f"{name}: expected numbers, got dtype {rows.dtype}.")
    if rows.ndim not in (2, 3, 4):
        raise ValueError(
            f"{name}: expected a table (n, columns) or images (n, height, width) or "
            f"(n, channels, height, width), got shape {rows.shape}."
        )
    if rows.ndim == 3:
        rows = rows[:, None]
    if rows.ndim == 4 and rows.shape[1] not in (1, 3) and rows.shape[3] in (1, 3):
        rows = rows.transpose(0, 3, 1, 2)
    if rows.ndim == 4 and rows.dtype == np.uint8:
        rows = rows.astype(np.float32) / np.float32(255)
    if labels is None:
        return Sample(rows, None, (), name)
    _check_one_each(labels, len(rows), name)
    codes, names = encode(labels, name)
    return Sample(rows, codes, names, name)


def encode(
    labels: NDArray[Any], name: str
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Positions and names of classes; whole floats are named as whole numbers."""
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise ValueError(f"{name}: labels hold NaN or infinity.")
        if (labels == np.floor(labels)).all():
            labels = labels.astype(np.int64)
    if labels.dtype.kind in "OMmS":
        labels = _as_words(labels, name)
    distinct, codes = np.unique(labels, return_inverse=True)
    names = tuple(str(value) for value in distinct)
    halves = [one for one in names if not one.isascii() and not _is_text(one)]
    if halves:
        raise ValueError(
            f"{name}: the label {halves[0]!r} is no text that a file can hold (it has "
            "half of a pair of code units). Rename it."
        )
    return codes.astype(np.int64), names


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_words(labels: NDArray[Any], name: str) -> NDArray[np.str_]:
    """Objects, dates and bytes as text, unless some are missing or read alike."""
    missing = [
        row
        for row, one in enumerate(labels.tolist())
        if one is None or type(one).__name__ in ("NAType", "NaTType") or one != one
    ]
    if missing:
        raise ValueError(
            f"{name}: {len(missing)} of {len(labels)} labels are missing, the first in "
            f"row {missing[0]}; drop these rows."
        )
    try:
        words = labels.astype(str)
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: labels are bytes that are no ASCII text.") from error
    kinds = {type(one).__name__ for one in labels.tolist()}
    if len(kinds) > 1 and len(set(labels.tolist())) > len(np.unique(words)):
        raise ValueError(
            f"{name}: labels mix {' and '.join(sorted(kinds))} that read alike; give "
            "them one type."
        )
    return words


def checked(sample: Sample, role: str) -> Sample:
    """Finite rows; images as float32."""
    if not isinstance(sample.rows, np.ndarray):
        missing = sample.rows.isna().sum()
        holes = [c for c in sample.rows.columns if missing[c]]
        if holes:
            raise ValueError(
                f"{role}: {sample.name} has missing values in {', '.join(holes[:5])}; "
                "fill them or drop the rows."
            )
        numbers = [c for c in sample.rows if sample.rows[c].dtype.kind in "buif"]
        wide = [c for c in numbers if not np.isfinite(sample.rows[c].to_numpy()).all()]
        if wide:
            raise ValueError(
                f"{role}: {sample.name} has infinite values in {', '.join(wide[:5])}; "
                "drop these rows."
            )
        return sample
    rows = sample.rows.astype(np.float32 if sample.is_images else np.float64)
    bad = ~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{role}: {int(bad.sum())} of {len(rows)} rows of {sample.name} hold NaN "
            f"or infinity, first row {int(bad.argmax())}."
        )
    return replace(sample, rows=np.ascontiguousarray(rows))


def matched(sample: Sample, like: Sample, role: str) -> Sample:
    """The sample with the shape, columns and classes of the training rows."""
    if like.columns and sample.columns and like.columns != sample.columns:
        lost = [c for c in like.columns if c not in sample.columns]
        if lost:
            raise ValueError(
                f"{role}: {sample.name} lacks the columns {', '.join(lost[:5])} of "
                f"{like.name}."
            )
        places = [sample.columns.index(c) for c in like.columns]
        rows = sample.rows
        rows = rows[:, places] if isinstance(rows, np.ndarray) else rows.iloc[:, places]
        more = tuple(c for c in sample.columns if c not in like.columns)
        sample = replace(sample, rows=rows, columns=like.columns, ignored=more)
    ours, theirs = sample.rows.shape[1:], like.rows.shape[1:]
    frames = [not isinstance(s.rows, np.ndarray) for s in (sample, like)]
    if ours != theirs or frames[0] != frames[1]:
        what = " of text and numbers" if frames[0] != frames[1] else ""
        raise ValueError(
            f"{role}: rows of {sample.name} have shape {ours}{what}, those of "
            f"{like.name} {theirs}; both must be of one kind."
        )
    if sample.labels is None:
        return sample
    unknown = sorted(set(sample.class_names) - set(like.class_names))
    present = {sample.class_names[c] for c in np.unique(sample.labels)}
    if present & set(unknown):
        raise ValueError(
            f"{role}: {sample.name} has the classes "
            f"{', '.join(sorted(present & set(unknown))[:5])}, which {like.name} lacks."
        )
    place = {name: i for i, name in enumerate(like.class_names)}
    moved = np.array([place.get(name, -1) for name in sample.class_names])
    return replace(sample, labels=moved[sample.labels], class_names=like.class_names)
