"""Images of the user: arrays in memory, or a folder with one subfolder per class."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack.datasets._base import LabelledImages, check_images

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm")


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
        Resize to this size; by default all images must have one size.
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
    from PIL import Image

    if root is None:
        raise ValueError("folder: expected root=<folder with one subfolder per class>.")
    if channels not in (1, 3):
        raise ValueError(f"folder: channels={channels!r}: expected 1 or 3.")
    folder = Path(root) / part if part else Path(root)
    if not folder.is_dir():
        raise FileNotFoundError(f"folder: {folder.resolve()} is not a folder.")
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    images: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for label, class_name in enumerate(classes):
        for path in sorted((folder / class_name).iterdir()):
            if path.suffix.lower() in SUFFIXES:
                with Image.open(path) as image:
                    images.append(_to_array(image, size, channels))
                labels.append(label)
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
    return LabelledImages(
        np.stack(images), np.array(labels), tuple(classes), f"folder/{folder.name}"
    )


def _to_array(
    image: Any, size: int | tuple[int, int] | None, channels: int
) -> NDArray[np.float32]:
    picture = image.convert("L" if channels == 1 else "RGB")
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else size
        picture = picture.resize((width, height))
    pixels = np.asarray(picture, dtype=np.float32) / np.float32(255)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
