"""What may be known of an image beforehand: a part of it, or a blur."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from kldiv_attack.datasets._base import check_whole


class Mask:
    """Known pixels of an image; the others are black.

    Parameters
    ----------
    visible : array-like of shape (height, width), bool
        Which pixels are known.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv_attack.attackers import Mask
    >>> middle = Mask.box((4, 4), hidden=(1, 1, 3, 3))
    >>> middle(np.ones((1, 1, 4, 4)))[0, 0].astype(int)
    array([[1, 1, 1, 1],
           [1, 0, 0, 1],
           [1, 0, 0, 1],
           [1, 1, 1, 1]])
    """

    def __init__(self, visible: ArrayLike):
        self.visible = np.asarray(visible, dtype=bool)
        if self.visible.ndim != 2 or not self.visible.any():
            raise ValueError(
                "visible: expected an array of shape (height, width) with at least one "
                f"known pixel, got shape {self.visible.shape} with "
                f"{int(self.visible.sum())}."
            )

    def __repr__(self) -> str:
        height, width = self.visible.shape
        return f"Mask({int(self.visible.sum())} of {height}x{width} pixels known)"

    @classmethod
    def box(cls, shape: tuple[int, int], *, hidden: tuple[int, int, int, int]) -> Mask:
        """Hide a rectangle.

        Parameters
        ----------
        shape : tuple of int
            Height and width of the images.
        hidden : tuple of int
            First row and column of the hidden rectangle, and the row and column after
            its last.

        Returns
        -------
        Mask
            Everything else is known.
        """
        visible = np.ones(shape, dtype=bool)
        top, left, bottom, right = hidden
        visible[top:bottom, left:right] = False
        return cls(visible)

    def __call__(self, images: Any) -> Any:
        """What is known of images, arrays or tensors."""
        if images.shape[-2:] != self.visible.shape:
            raise ValueError(
                f"mask of {self.visible.shape} pixels: got images of "
                f"{tuple(images.shape[-2:])}."
            )
        return images * self._like(images)

    def restore(self, images: Tensor, known: Tensor) -> Tensor:
        """Put the known pixels back."""
        return torch.where(self._like(images) > 0, known, images)

    def _like(self, images: Any) -> Any:
        if isinstance(images, Tensor):
            return torch.from_numpy(self.visible).to(images)
        return self.visible.astype(images.dtype)


class Blur:
    """Means over squares of pixels are known.

    Parameters
    ----------
    size : int
        Side of the squares; height and width of the images are multiples of it.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv_attack.attackers import Blur
    >>> Blur(4)(np.eye(8, dtype=np.float32)[None, None])[0, 0]
    array([[0.25, 0.  ],
           [0.  , 0.25]], dtype=float32)
    """

    def __init__(self, size: int):
        self.size = check_whole("size", size, 2)

    def __repr__(self) -> str:
        return f"Blur({self.size})"

    def __call__(self, images: Any) -> Any:
        """What is known of images, arrays or tensors."""
        height, width = images.shape[-2:]
        if height % self.size or width % self.size:
            raise ValueError(
                f"blur of size {self.size}: got images of {height} x {width}, which "
                "are no multiples of it."
            )
        squares = images.reshape(
            *images.shape[:-2],
            height // self.size,
            self.size,
            width // self.size,
            self.size,
        )
        return squares.mean((-3, -1))
