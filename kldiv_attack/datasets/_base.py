"""The one shape in which every dataset arrives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False, repr=False)
class LabelledImages:
    """Images in [0, 1] with integer labels.

    Parameters
    ----------
    images : ndarray of shape (n, channels, height, width), float32
        Pixel values between 0 and 1.
    labels : ndarray of shape (n,), int64
        Positions in ``class_names``.
    class_names : tuple of str
        Name of each class. Classes without a row are allowed.
    name : str
        Where the images come from, for reports.

    Raises
    ------
    ValueError
        If shapes, value range or labels do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.zeros((2, 1, 8, 8), dtype=np.float32)
    >>> data = LabelledImages(images, np.array([1, 0]), ("cat", "dog"), "two images")
    >>> len(data), data.n_classes, data.image_shape
    (2, 2, (1, 8, 8))
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        images = check_images(self.images, name="images")
        labels = check_labels(self.labels, len(self.class_names))
        if len(labels) != len(images):
            raise ValueError(
                f"{self.name}: expected one label per image, got {len(images)} images "
                f"and {len(labels)} labels."
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "class_names", tuple(map(str, self.class_names)))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        return (
            f"LabelledImages({self.name!r}, {len(self)} images of {shape}, "
            f"{self.n_classes} classes)"
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @property
    def n_classes(self) -> int:
        """Number of class names, also of classes without a row."""
        return len(self.class_names)

    def subset(self, rows: ArrayLike | slice) -> LabelledImages:
        """Keep some rows.

        Parameters
        ----------
        rows : array-like of int, mask or slice
            Rows to keep, in this order.

        Returns
        -------
        LabelledImages
            Same classes and name, fewer rows.
        """
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        if isinstance(chosen, np.ndarray) and not chosen.size:
            chosen = slice(0)
        return LabelledImages(
            self.images[chosen], self.labels[chosen], self.class_names, self.name
        )


def to_array(values: Any) -> NDArray[Any]:
    """An array of what may be a torch tensor on any device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def check_images(images: Any, *, name: str = "images") -> NDArray[np.float32]:
    """Check that images are (n, channels, height, width) with values in [0, 1].

    Parameters
    ----------
    images : array-like or torch tensor
        Images; integers are not rescaled.
    name : str, default="images"
        What to call them in a message.

    Returns
    -------
    ndarray of float32
        C-contiguous; the input itself when it already fits.

    Raises
    ------
    ValueError
        Wrong number of axes, NaN or infinity, or values outside [0, 1].

    Examples
    --------
    >>> check_images(np.full((1, 1, 8, 8), 255))
    Traceback (most recent call last):
        ...
    ValueError: images: expected values in [0, 1], got 255 to 255. Divide 8-bit ...
    >>> check_images(np.full((1, 1, 8, 8), 255) / 255).dtype
    dtype('float32')
    """
    array = to_array(images)
    if array.ndim == 2:
        raise ValueError(
            f"{name}: expected shape (n, channels, height, width), got {array.shape}. "
            "A table of other numbers cannot be attacked by image generators; rows of "
            "pixels can, after images.reshape(n, channels, height, width)."
        )
    if array.ndim != 4:
        raise ValueError(
            f"{name}: expected shape (n, channels, height, width), got {array.shape}. "
            "A grey image needs a channel axis: images[:, None]."
        )
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name}: expected numbers, got dtype {array.dtype}.")
    if len(array):
        lowest, highest = float(array.min()), float(array.max())
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            raise ValueError(f"{name}: found NaN or infinity; remove these images.")
        if lowest < 0 or highest > 1:
            raise ValueError(
                f"{name}: expected values in [0, 1], got {lowest:.4g} to "
                f"{highest:.4g}. Divide 8-bit images by 255."
            )
    return np.ascontiguousarray(array, dtype=np.float32)


def check_labels(labels: Any, n_classes: int) -> NDArray[np.int64]:
    """Check that labels are whole numbers from 0 to ``n_classes - 1``.

    Parameters
    ----------
    labels : array-like of shape (n,)
        Labels.
    n_classes : int
        Number of classes.

    Returns
    -------
    ndarray of int64
        The labels.

    Raises
    ------
    ValueError
        Wrong shape or a label outside the range.
    TypeError
        Labels that are not whole numbers.

    Examples
    --------
    >>> check_labels([0, 2, 1], n_classes=3)
    array([0, 2, 1])
    >>> check_labels([0, 3], n_classes=3)
    Traceback (most recent call last):
        ...
    ValueError: labels: expected 0 to 2, got 0 to 3.
    """
    array = to_array(labels)
    if array.ndim != 1:
        raise ValueError(f"labels: expected one axis, got shape {array.shape}.")
    if len(array) and array.dtype.kind not in "iu":
        raise TypeError(f"labels: expected whole numbers, got dtype {array.dtype}.")
    if len(array) and (array.min() < 0 or array.max() >= n_classes):
        raise ValueError(
            f"labels: expected 0 to {n_classes - 1}, got {array.min()} to "
            f"{array.max()}."
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def check_part(part: str) -> str:
    """Return "train" or "test", or explain that nothing else exists."""
    return check_choice("part", part, ("train", "test"))


def check_whole(name: str, value: Any, least: int) -> int:
    """Return ``value`` if it is a whole number of at least ``least``.

    Raises
    ------
    ValueError
        With the least number in the message.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r}: expected a whole number >= {least}.")
    return value


def check_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``.

    Raises
    ------
    ValueError
        With the accepted words in the message.
    """
    if value not in choices:
        raise ValueError(f"{name}={value!r}: expected one of {sorted(choices)}.")
    return str(value)
