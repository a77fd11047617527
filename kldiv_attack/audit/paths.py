"""Rows and labels from what a user names: folder, file, idx root or data set."""

from __future__ import annotations

import gzip
import inspect
import mimetypes
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack.audit.samples import (
    Sample,
    checked,
    encode,
    from_memory,
    matched,
    of_arrays,
    of_frame,
    of_images,
)
from kldiv_attack.datasets import DATASETS, load_dataset, load_folder
from kldiv_attack.datasets._limits import (
    check_archive,
    check_columns,
    check_npy,
    check_size,
)

_LONGEST_HEADER = 2**28  # bytes of the first line of a table
LABEL_COLUMNS = ("label", "target", "class", "y")
_ROWS = ("x", "images", "data", "rows")
_LABELS = ("y", "labels", "label", "target")
# Data sets that a name alone can load.
NAMED = tuple(sorted(set(DATASETS) - {"arrays", "folder"}))


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
        sample = from_memory(source, role)
    if labelled and sample.labels is None:
        raise ValueError(
            f"{role}: {sample.name} holds no labels, which {role} rows need."
        )
    if not labelled:
        sample = replace(sample, labels=None, class_names=())
    if not len(sample):
        raise ValueError(f"{role}: {sample.name} holds no row.")
    sample = checked(sample, role)
    return sample if like is None else matched(sample, like, role)


def _from_path(
    text: str, role: str, label: str | None, root: str | None, like: Sample | None
) -> Sample:
    path = Path(text)
    if text and path.is_dir():  # an empty path would be the current folder
        return _from_folder(path, role)
    if path.is_file():
        return _from_file(path, role, label, like)
    name, *rest = text.split(":")
    if name in NAMED:
        return _from_name(name, rest, root, like)
    head, _, tail = text.partition(":")
    if head and tail and Path(head).is_dir():  # ROOT:split:part
        return _from_name("emnist", tail.split(":"), head, like)
    raise FileNotFoundError(
        f"{role}: {text or 'an empty path'} is no file, no folder and none of the "
        f"data sets {', '.join(NAMED)} (name:split)."
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
    return of_images(load_dataset(name, **options))


def _from_folder(path: Path, role: str) -> Sample:
    for place in (path, path / "raw", path / "MNIST" / "raw"):
        if _idx_file(place, role, "images") is not None:
            return _from_idx(place, role)
    if (path / "EMNIST" / "raw").is_dir():
        part = "train" if role == "train" else "test"
        return of_images(load_dataset("emnist", root=path, part=part))
    return of_images(load_folder(path, channels=_channels(path)))


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
    codes, names = encode(labels, role)
    pixels = images[:, None].astype(np.float32) / np.float32(255)
    return Sample(pixels, codes, names, f"{folder.name} ({role})")


def _read_idx(file: Path) -> NDArray[np.uint8]:
    try:
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as stream:
            start = stream.read(4)
            axes = start[3] if len(start) == 4 and start[:3] == b"\0\0\x08" else 0
            sides = stream.read(4 * axes)
            if not axes or len(sides) < 4 * axes:
                raise ValueError(f"{file} is no idx file of bytes, or it is cut off.")
            shape = np.frombuffer(sides, ">u4").tolist()
            check_size(file, prod(shape))
            data = stream.read(prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{file} is damaged or cut off ({error}).") from error
    if len(data) != prod(shape):
        raise ValueError(f"{file} is damaged: it does not hold {shape} bytes.")
    return np.frombuffer(data, np.uint8).reshape(shape)


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
    """The array of a ``.npy`` file, or those of a ``.npz`` by name; never objects."""
    try:
        if not zipfile.is_zipfile(path):
            _check_magic(path)
            check_npy(path)
            return np.load(path, allow_pickle=False)
        check_archive(path)
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except MemoryError:
        raise
    except Exception as error:  # headers are parsed as Python, members by zlib
        why = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{path} could not be read ({why}); expected plain NumPy arrays, no "
            "Python objects."
        ) from error


def _check_magic(path: Path) -> None:
    """Refuse what does not begin as arrays of NumPy do."""
    with open(path, "rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise ValueError("it does not begin as a file of NumPy does")


def _from_npz(path: Path, role: str) -> Sample:
    stored = load_array(path)
    if not isinstance(stored, dict):
        raise ValueError(f"{role}: {path} is one array; expected an archive of them.")
    names = {name.lower(): name for name in stored}
    rows, labels = (
        next((stored[names[key]] for key in keys if key in names), None)
        for keys in (_ROWS, _LABELS)
    )
    if rows is None:
        raise ValueError(
            f"{role}: {path} holds {', '.join(stored) or 'nothing'}; expected rows as "
            f"{' or '.join(_ROWS)} and labels as {' or '.join(_LABELS)}."
        )
    return of_arrays(rows, labels, path.name)


def _from_npy(path: Path, role: str, like: Sample | None) -> Sample:
    rows = load_array(path)
    if isinstance(rows, dict):
        raise ValueError(f"{role}: {path} is an archive of arrays; call it .npz.")
    beside = path.with_name(f"{path.stem}_labels.npy")
    if beside.is_file():
        return of_arrays(rows, load_array(beside), path.name)
    if rows.ndim != 2:
        return of_arrays(rows, None, path.name)
    width = None if like is None or like.is_images else like.rows.shape[1]
    if role == "aux" and rows.shape[1] == width:
        return of_arrays(rows, None, path.name)
    if role == "aux" and width is None:
        return of_arrays(rows, None, path.name)
    if rows.dtype.kind not in "buif":
        raise ValueError(f"{role}: expected numbers in {path}, got {rows.dtype}.")
    labels = rows[:, -1]
    if not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        raise ValueError(
            f"{role}: the last column of {path} holds no whole numbers, so it is no "
            f"label; put labels there or into {beside.name}."
        )
    return of_arrays(rows[:, :-1], labels.astype(np.int64), path.name)


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
            _check_parquet(path)
            return pd.read_parquet(path)
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        check_size(path, path.stat().st_size)
        with open(path, "rb") as stream:
            line = stream.readline(_LONGEST_HEADER)
        check_columns(path, line.count(separator.encode()) + 1)
        return pd.read_csv(path, sep=separator)
    except MemoryError:
        raise
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no text in UTF-8 (byte {error.start}); store it as UTF-8."
        ) from error
    except Exception as error:  # each format has errors of its own
        if not path.stat().st_size:
            raise ValueError(f"{path} is empty; expected a table.") from error
        raise ValueError(f"{path} could not be read: {error}") from error


def _check_parquet(path: Path) -> None:
    """Limits of a Parquet file, from what it says of itself."""
    from pyarrow.parquet import read_metadata  # type: ignore[import-untyped]

    stored = read_metadata(path)
    check_columns(path, stored.num_columns)
    groups = (stored.row_group(i) for i in range(stored.num_row_groups))
    check_size(path, sum(group.total_byte_size for group in groups))


def _way_out(columns: Sequence[str]) -> str:
    """What to do about a table without a label column."""
    other = [c for c in ";\t|" if len(columns) == 1 and c in columns[0]]
    if other:
        return f"Separate columns by commas, not by {other[0]!r}."
    return "Name one with --label."


def _from_table(frame: Any, name: str, role: str, label: str | None) -> Sample:
    known = [str(column) for column in frame.columns]
    frame = frame.set_axis(known, axis=1)
    column = label
    if column is None:
        column = next((c for c in LABEL_COLUMNS if c in known), None)
    if column not in known:
        if role == "aux":
            return of_frame(frame, None, (), name)
        wanted = f"no column {label!r}" if label else "no label column"
        raise ValueError(
            f"{role}: {name} has {wanted}; its columns are {', '.join(known[:12])}"
            f"{' ...' if len(known) > 12 else ''}. {_way_out(known)}"
        )
    labels, rest = frame[column], frame.drop(columns=column)
    if labels.isna().any():
        raise ValueError(
            f"{role}: {int(labels.isna().sum())} of {len(labels)} labels in column "
            f"{column!r} of {name} are missing."
        )
    codes, names = encode(labels.to_numpy(), f"{role}: {name}")
    decimals = labels.dtype.kind == "f" and bool((labels % 1 != 0).any())
    if role != "aux" and (decimals or len(names) > max(1000, len(frame) // 2)):
        what = f"{len(names)} different values in {len(frame)} rows"
        raise ValueError(
            f"{role}: column {column!r} of {name} has "
            f"{'numbers with decimals' if decimals else what}, so it holds no classes. "
            "Name another with --label."
        )
    return of_frame(rest, codes, names, name)
