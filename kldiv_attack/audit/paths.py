"""Rows and labels from what a user names: folder, file, idx root or data set."""

import gzip
import inspect
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack.datasets import DATASETS, LabelledImages, load_dataset, load_folder

LABEL_COLUMNS = ("label", "target", "class", "y")
_ROWS = ("x", "images", "data", "rows")
_LABELS = ("y", "labels", "label", "target")
# Data sets that a name alone can load.
NAMED = tuple(sorted(set(DATASETS) - {"arrays", "folder"}))


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
    """

    rows: Any
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    name: str
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_images(self) -> bool:
        """Whether rows are images."""
        return isinstance(self.rows, np.ndarray) and self.rows.ndim == 4

    def take(self, rows: Any) -> "Sample":
        """Some of the rows, in this order."""
        chosen = np.asarray(rows)
        kept = self.rows[chosen] if isinstance(self.rows, np.ndarray) else None
        labels = None if self.labels is None else self.labels[chosen]
        if kept is None:
            kept = self.rows.iloc[chosen]
        return replace(self, rows=kept, labels=labels)


def read_sample(
    source: Any,
    *,
    role: str,
    label: str | None = None,
    root: str | None = None,
    like: Sample | None = None,
) -> Sample:
    """Read rows, and labels where the role needs them.

    Parameters
    ----------
    source : path, name, pair (X, y), LabelledImages or array
        A folder of images by class, ``.npz``, ``.npy``, CSV, Parquet, an EMNIST or
        MNIST idx root, ``name:split`` of ``DATASETS``, or data in memory.
    role : {"train", "aux", "held-out"}
        What the rows are for; auxiliary rows need no labels.
    label : str, optional
        Name of the label column of a table.
    root : str, optional
        Folder of the files of a named data set.
    like : Sample, optional
        The training rows; other sources must have their shape and columns.

    Returns
    -------
    Sample
        Checked rows.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError
        With what was expected and what came.
    """
    labelled = role != "aux"
    if isinstance(source, str | Path):
        sample = _from_path(str(source), role, label, root, like)
    else:
        sample = _from_memory(source, role)
    if labelled and sample.labels is None:
        raise ValueError(
            f"{role}: {sample.name} holds no labels, which {role} rows need."
        )
    if not labelled:
        sample = replace(sample, labels=None, class_names=())
    if not len(sample):
        raise ValueError(f"{role}: {sample.name} holds no row.")
    sample = _checked(sample, role)
    return sample if like is None else _matched(sample, like, role)


def _from_path(
    text: str, role: str, label: str | None, root: str | None, like: Sample | None
) -> Sample:
    path = Path(text)
    if path.is_dir():
        return _from_folder(path, role)
    if path.is_file():
        return _from_file(path, role, label, like)
    name, *rest = text.split(":")
    if name in NAMED:
        return _from_name(name, rest, root, like)
    head, _, tail = text.partition(":")
    if tail and Path(head).is_dir():  # ROOT:split:part
        return _from_name("emnist", tail.split(":"), head, like)
    raise FileNotFoundError(
        f"{role}: {text} is no file, no folder and none of the data sets "
        f"{', '.join(NAMED)} (name:split)."
    )


def _from_name(
    name: str, rest: Sequence[str], root: str | None, like: Sample | None
) -> Sample:
    accepted = inspect.signature(DATASETS[name]).parameters
    slots = [slot for slot in ("split", "part") if slot in accepted]
    if len(rest) > len(slots):
        raise ValueError(
            f"{':'.join([name, *rest])}: expected "
            f"{':'.join([name, *(f'[{slot}]' for slot in slots)])}."
        )
    options: dict[str, Any] = {
        slot: value for slot, value in zip(slots, rest, strict=False) if value
    }
    if root is not None and "root" in accepted:
        options["root"] = root
    if "size" in accepted and like is not None and like.is_images:
        options["size"] = like.rows.shape[2]
    return _of_images(load_dataset(name, **options))


def _of_images(data: LabelledImages) -> Sample:
    return Sample(data.images, data.labels, data.class_names, data.name)


def _from_folder(path: Path, role: str) -> Sample:
    for place in (path, path / "raw", path / "MNIST" / "raw"):
        if _idx_file(place, role, "images") is not None:
            return _from_idx(place, role)
    if (path / "EMNIST" / "raw").is_dir():
        part = "train" if role == "train" else "test"
        return _of_images(load_dataset("emnist", root=path, part=part))
    return _of_images(load_folder(path, channels=_channels(path)))


def _channels(path: Path) -> int:
    """3 if the first image of the folder is in colour, else 1."""
    from PIL import Image

    for file in sorted(path.glob("*/*")):
        if (mimetypes.guess_type(file.name)[0] or "").startswith("image/"):
            with Image.open(file) as image:
                return 1 if image.mode in ("1", "L", "LA", "I", "I;16", "F") else 3
    return 1


def _idx_file(folder: Path, role: str, what: str) -> Path | None:
    prefix = "train" if role == "train" else "t10k"
    ending = {"images": "idx3-ubyte", "labels": "idx1-ubyte"}[what]
    for suffix in ("", ".gz"):
        found = folder / f"{prefix}-{what}-{ending}{suffix}"
        if found.is_file():
            return found
    return None


def _from_idx(folder: Path, role: str) -> Sample:
    files = [_idx_file(folder, role, what) for what in ("images", "labels")]
    if files[1] is None:
        raise FileNotFoundError(f"{role}: {folder} holds images but no labels.")
    images, labels = (_read_idx(file) for file in files if file is not None)
    codes, names = _encode(labels)
    pixels = images[:, None].astype(np.float32) / np.float32(255)
    return Sample(pixels, codes, names, f"{folder.name} ({role})")


def _read_idx(file: Path) -> NDArray[np.uint8]:
    with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
        data = stream.read()
    axes = data[3] if len(data) > 4 and data[:3] == b"\0\0\x08" else 0
    if not axes or len(data) < 4 + 4 * axes:
        raise ValueError(f"{file} is no idx file of bytes, or it is cut off.")
    shape = np.frombuffer(data, ">i4", axes, 4)
    if len(data) != 4 + 4 * axes + int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"{file} is damaged: it does not hold {shape.tolist()} bytes.")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _from_file(path: Path, role: str, label: str | None, like: Sample | None) -> Sample:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _from_npz(path, role)
    if suffix == ".npy":
        return _from_npy(path, role, like)
    if suffix in (".csv", ".tsv", ".parquet"):
        return _from_table(read_frame(path), path.name, role, label)
    raise ValueError(
        f"{role}: {path} ends in {suffix or 'nothing'}; expected a folder, .npz, .npy, "
        ".csv, .tsv or .parquet."
    )


def load_array(path: Path) -> Any:
    """Read ``.npy`` or ``.npz``; objects, which would be unpickled, are refused."""
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(
            f"{path} could not be read ({error}); expected plain NumPy arrays, no "
            "Python objects."
        ) from error


def _from_npz(path: Path, role: str) -> Sample:
    with load_array(path) as stored:
        names = {name.lower(): name for name in stored.files}
        found = {
            what: next((names[n] for n in keys if n in names), None)
            for what, keys in (("rows", _ROWS), ("labels", _LABELS))
        }
        if found["rows"] is None:
            raise ValueError(
                f"{role}: {path} holds {', '.join(stored.files) or 'nothing'}; expected "
                f"rows as {' or '.join(_ROWS)} and labels as {' or '.join(_LABELS)}."
            )
        try:
            rows = stored[found["rows"]]
            labels = None if found["labels"] is None else stored[found["labels"]]
        except ValueError as error:
            raise ValueError(f"{role}: {path}: {error}") from error
    return _of_arrays(rows, labels, path.name)


def _from_npy(path: Path, role: str, like: Sample | None) -> Sample:
    rows = load_array(path)
    beside = path.with_name(f"{path.stem}_labels.npy")
    if beside.is_file():
        return _of_arrays(rows, load_array(beside), path.name)
    if rows.ndim != 2:
        return _of_arrays(rows, None, path.name)
    width = None if like is None or like.is_images else like.rows.shape[1]
    if role == "aux" and rows.shape[1] == width:
        return _of_arrays(rows, None, path.name)
    if role == "aux" and width is None:
        return _of_arrays(rows, None, path.name)
    labels = rows[:, -1]
    if not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        raise ValueError(
            f"{role}: the last column of {path} holds no whole numbers, so it is no "
            f"label; put labels there or into {beside.name}."
        )
    return _of_arrays(rows[:, :-1], labels.astype(np.int64), path.name)


def read_frame(path: Path) -> Any:
    """A CSV, TSV or Parquet file as a pandas data frame."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            f"{path}: reading tables needs pandas: pip install 'kldiv[frames]'"
        ) from error
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        return pd.read_csv(path, sep=separator)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} could not be read: {error}") from error


def _from_table(frame: Any, name: str, role: str, label: str | None) -> Sample:
    known = [str(column) for column in frame.columns]
    frame = frame.set_axis(known, axis=1)
    column = label
    if column is None:
        column = next((c for c in LABEL_COLUMNS if c in known), None)
    if column not in known:
        if role == "aux":
            return _of_frame(frame, None, (), name)
        wanted = f"no column {label!r}" if label else "no label column"
        raise ValueError(
            f"{role}: {name} has {wanted}; its columns are {', '.join(known[:12])}"
            f"{' ...' if len(known) > 12 else ''}. Name one with --label."
        )
    labels, rest = frame[column], frame.drop(columns=column)
    if labels.isna().any():
        raise ValueError(
            f"{role}: {int(labels.isna().sum())} of {len(labels)} labels in column "
            f"{column!r} of {name} are missing."
        )
    codes, names = _encode(labels.to_numpy())
    if role != "aux" and len(names) > max(1000, len(frame) // 2):
        raise ValueError(
            f"{role}: column {column!r} of {name} has {len(names)} different values in "
            f"{len(frame)} rows, so it holds no classes. Name another with --label."
        )
    return _of_frame(rest, codes, names, name)


def _of_frame(
    frame: Any, codes: NDArray[np.int64] | None, names: tuple[str, ...], source: str
) -> Sample:
    columns = tuple(frame.columns)
    kinds = [dtype.kind for dtype in frame.dtypes]
    if all(kind in "buif" for kind in kinds):
        frame = frame.to_numpy(dtype=np.float64)
    return Sample(frame, codes, names, source, columns)


def _from_memory(source: Any, role: str) -> Sample:
    if isinstance(source, Sample):
        return source
    if isinstance(source, LabelledImages):
        return _of_images(source)
    if hasattr(source, "data") and hasattr(source, "target"):
        source = source.data, source.target
    rows, labels = source if isinstance(source, tuple) else (source, None)
    if hasattr(rows, "columns") and hasattr(rows, "dtypes"):
        frame = rows.set_axis([str(c) for c in rows.columns], axis=1)
        codes, names = (None, ()) if labels is None else _encode(np.asarray(labels))
        return _of_frame(frame, codes, names, role)
    return _of_arrays(_plain(rows), None if labels is None else _plain(labels), role)


def _plain(values: Any) -> NDArray[Any]:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _of_arrays(rows: NDArray[Any], labels: NDArray[Any] | None, name: str) -> Sample:
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
    codes, names = _encode(labels)
    return Sample(rows, codes, names, name)


def _encode(labels: NDArray[Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
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


def _checked(sample: Sample, role: str) -> Sample:
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
            f"{role}: {int(bad.sum())} of {len(rows)} rows of {sample.name} hold NaN or "
            f"infinity, first row {int(bad.argmax())}."
        )
    return replace(sample, rows=np.ascontiguousarray(rows))


def _matched(sample: Sample, like: Sample, role: str) -> Sample:
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
        sample = replace(sample, rows=rows, columns=like.columns)
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
