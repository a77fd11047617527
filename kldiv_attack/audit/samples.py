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
    kinds = [dtype.kind for dtype in frame.dtypes]
    if all(kind in "buif" for kind in kinds):
        frame = frame.to_numpy(dtype=np.float64)
    return Sample(frame, codes, names, source, columns)


def from_memory(source: Any, role: str) -> Sample:
    if isinstance(source, Sample):
        return source
    if isinstance(source, LabelledImages):
        return of_images(source)
    if hasattr(source, "data") and hasattr(source, "target"):
        source = source.data, source.target
    rows, labels = source if isinstance(source, tuple) else (source, None)
    if hasattr(rows, "columns") and hasattr(rows, "dtypes"):
        frame = rows.set_axis([str(c) for c in rows.columns], axis=1)
        codes, names = (None, ()) if labels is None else encode(np.asarray(labels))
        return of_frame(frame, codes, names, role)
    return of_arrays(_plain(rows), None if labels is None else _plain(labels), role)


def _plain(values: Any) -> NDArray[Any]:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


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
    if labels.ndim != 1 or len(labels) != len(rows):
        raise ValueError(
            f"{name}: expected one label per row, got {len(rows)} rows and labels of "
            f"shape {labels.shape}."
        )
    codes, names = encode(labels)
    return Sample(rows, codes, names, name)


def encode(labels: NDArray[Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Positions and names of classes; whole floats are named as whole numbers."""
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise ValueError("labels hold NaN or infinity.")
        if (labels == np.floor(labels)).all():
            labels = labels.astype(np.int64)
    if labels.dtype.kind == "O":
        labels = labels.astype(str)
    distinct, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64), tuple(str(value) for value in distinct)


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
