"""Changes to images that leave what they show."""

import torch
from torch import Tensor
from torch.nn import functional as F


def bend(images: Tensor, strength: float, source: torch.Generator) -> Tensor:
    """Move the pixels of every image along a smooth random field.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    strength : float
        Standard deviation of the moves at the knots of the field, in halves of a side.
    source : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    Tensor
        Images of the same shape.
    """
    n, _, height, width = images.shape
    knots = strength * torch.randn(n, 2, 5, 5, generator=source)
    field = F.interpolate(
        knots, size=(height, width), mode="bicubic", align_corners=True
    )
    still = F.affine_grid(
        torch.eye(2, 3).expand(n, 2, 3), list(images.shape), align_corners=False
    )
    grid = still + field.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, align_corners=False)


def stretch(images: Tensor) -> Tensor:
    """Brighten every image until its brightest pixels are white.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images in [0, 1].

    Returns
    -------
    Tensor
        Images of the same shape.
    """
    top = images.amax((1, 2, 3), keepdim=True).clamp_min(1e-3)
    return (1.15 * images / top).clamp_max(1)
