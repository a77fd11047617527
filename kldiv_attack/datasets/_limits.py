"""How much is read from one file or folder, which may come from anybody."""

import zipfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

MOST_PIXELS = 50_000_000  # of one image
MOST_FILES = 2_000_000  # of one folder
MOST_BYTES = 2**34  # unpacked, of one file or of all images of a folder
MOST_COLUMNS = 100_000  # of one table

_WAY_OUT = "Load it in a program of your own and hand over the arrays."


def check_size(path: Path, size: int) -> None:
    """Refuse a file that unpacks to more than :data:`MOST_BYTES`."""
    if size > MOST_BYTES:
        raise ValueError(
            f"{path} unpacks to {size:,} bytes; expected at most {MOST_BYTES:,}. "
            f"{_WAY_OUT}"
        )


def check_columns(path: Path, count: int) -> None:
    """Refuse a table of more than :data:`MOST_COLUMNS` columns."""
    if count > MOST_COLUMNS:
        raise ValueError(
            f"{path} has {count:,} columns; expected at most {MOST_COLUMNS:,}. "
            f"{_WAY_OUT}"
        )


def check_files(path: Path, count: int) -> None:
    """Refuse a folder of more than :data:`MOST_FILES` files."""
    if count > MOST_FILES:
        raise ValueError(
            f"{path} holds more than {MOST_FILES:,} files. Name a part of it."
        )


def check_archive(path: Path) -> None:
    """Refuse a ``.npz`` whose members are too large or are not what they say."""
    with zipfile.ZipFile(path) as archive:
        check_size(path, sum(member.file_size for member in archive.infolist()))
        for member in archive.infolist():
            with archive.open(member) as stream:
                _check_header(path, stream, member.file_size)


def check_npy(path: Path) -> None:
    """Refuse a ``.npy`` file that is too large or is not what it says."""
    size = path.stat().st_size
    check_size(path, size)
    with open(path, "rb") as stream:
        _check_header(path, stream, size)


def _check_header(path: Path, stream: Any, size: int) -> None:
    """Refuse shapes that need more bytes than there are, before they are allocated."""
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:  # longer headers are for names of fields, which nobody reads here
        raise ValueError(f"{path} holds records, expected arrays of numbers.")
    shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"{path} holds Python objects, expected plain NumPy arrays.")
    if prod(shape) * dtype.itemsize > size:
        raise ValueError(
            f"{path} says that it holds an array of shape {shape}, but is shorter."
        )
