"""Images of the user: arrays in memory, or a folder with one subfolder per class."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._files import checked_path
from kldiv_attack._rules import Whole, check_value
from kldiv_attack.datasets._base import LabelledImages, check_images, check_part
from kldiv_attack.datasets._decoding import pixels_of
from kldiv_attack.datasets._limits import check_files, check_size

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm")
SIDE = Whole(1, 65536)


def load_arrays(
    *,
    images: Any,
    labels: Any,
    class_names: Sequence[str] | None = None,
    name: str = "arrays",
) -> LabelledImages:
    """Wrap arrays that are already in memory.

    Parameters
    ----------
    images : array-like of shape (n, channels, height, width) or (n, height, width)
        Values in [0, 1], or 8-bit integers, which are divided by 255.
    labels : array-like of shape (n,)
        Class names or whole numbers. Whole numbers from 0 stay as they are when
        ``class_names`` is given.
    class_names : sequence of str, optional
        Names of the classes; by default the distinct labels in sorted order.
    name : str, default="arrays"
        What reports call these images.

    Returns
    -------
    LabelledImages
        The images as float32.

    Examples
    --------
    >>> images = np.array([[[0, 255], [255, 0]], [[51, 51], [51, 51]]], dtype=np.uint8)
    >>> data = load_arrays(images=images, labels=["check", "grey"])
    >>> data.class_names, data.images.shape, data.images[1].max().item()
    (('check', 'grey'), (2, 1, 2, 2), 0.20000000298023224)
    """
    pixels = images.detach().cpu().numpy() if hasattr(images, "detach") else images
    pixels = np.asarray(pixels)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.dtype == np.uint8:
        pixels = pixels.astype(np.float32) / np.float32(255)
    answers = labels.detach().cpu().numpy() if hasattr(labels, "detach") else labels
    answers = np.asarray(answers)
    if class_names is None:
        distinct, answers = np.unique(answers, return_inverse=True)
        class_names = [str(value) for value in distinct]
    return LabelledImages(check_images(pixels), answers, tuple(class_names), name)


def load_folder(
    root: str | PathLike[str] | None = None,
    *,
    part: str | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int = 1,
) -> LabelledImages:
    """Read a folder whose subfolders are classes and hold image files.

    Parameters
    ----------
    root : path
        The folder. With ``part`` its subfolder of that name is read.
    part : {"train", "test"}, optional
        Subfolder of ``root`` that holds the classes.
    size : int or (height, width), optional
        Resize every image to this size: bicubic, with a wider filter where an image
        shrinks, each side by its own factor, nothing cut off. The name of the data says
        so. By default all images must have one size.
    channels : {1, 3}, default=1
        Grey or colour.

    Returns
    -------
    LabelledImages
        Classes in sorted order of the folder names.

    Raises
    ------
    FileNotFoundError
        If the folder is missing or holds no image.
    ValueError
        If the sizes differ and ``size`` is not given.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> with TemporaryDirectory() as root:
    ...     for animal, grey in (("cat", 0), ("dog", 255)):
    ...         Path(root, animal).mkdir()
    ...         Image.new("L", (8, 8), grey).save(Path(root, animal, "1.png"))
    ...     data = load_folder(root)
    >>> data.class_names, data.labels, data.images.shape
    (('cat', 'dog'), array([0, 1]), (2, 1, 8, 8))
    """
    if root is None:
        raise ValueError("folder: expected root=<folder with one subfolder per class>.")
    if channels not in (1, 3):
        raise ValueError(f"folder: channels={channels!r}: expected 1 or 3.")
    folder = checked_path(root, "root")
    if part is not None:
        folder /= check_part(part)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder: {folder.resolve()} is not a folder.")
    files = _files_of(folder)
    images = _images_of(folder, files, channels, _pair(size))
    labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files.values()])
    if not images:
        raise FileNotFoundError(
            f"folder: no image found in {folder.resolve()}; expected subfolders named "
            f"after classes that hold files ending in {', '.join(SUFFIXES)}."
        )
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ValueError(
            f"folder: found images of {len(shapes)} sizes, for example "
            f"{sorted(shapes)[:3]}; give size=(height, width)."
        )
    name = f"folder/{folder.name}"
    if size is not None:
        height, width = images[0].shape[1:]
        name += f" resized to {height} x {width}"
    return LabelledImages(np.stack(images), labels, tuple(files), name)


def _files_of(folder: Path) -> dict[str, list[Path]]:
    """Image files by class, in sorted order."""
    found: dict[str, list[Path]] = {}
    count = 0
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        found[place.name] = []
        for path in place.iterdir():
            if path.suffix.lower() in SUFFIXES:
                count += 1
                check_files(folder, count)
                found[place.name].append(path)
        found[place.name].sort()
    return found


def _images_of(
    folder: Path,
    files: dict[str, list[Path]],
    channels: int,
    size: tuple[int, int] | None,
) -> list[NDArray[np.float32]]:
    found: list[NDArray[np.float32]] = []
    taken = 0
    for path in chain.from_iterable(files.values()):
        found.append(pixels_of(path, channels, size))
        taken += found[-1].nbytes
        check_size(folder, taken)
    return found


def _pair(size: Any) -> tuple[int, int] | None:
    """Height and width, or None."""
    if size is None:
        return None
    if isinstance(size, tuple | list) and len(size) == 2:
        height, width = (check_value("size", side, SIDE, of="folder") for side in size)
        return height, width
    check_value("size", size, SIDE, of="folder")
    return size, size
