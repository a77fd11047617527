"""One update of a network, and what images and losses it is made of."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

PENALTY = 10.0  # weight of the gradient penalty (Gulrajani et al., 2017)


def frozen_copy(network: nn.Module, place: torch.device) -> nn.Module:
    """A copy in evaluation mode on another device; the network stays as it is."""
    return copy.deepcopy(network).to(place).eval().requires_grad_(False)


def move(network: nn.Module, place: torch.device, channels_last: bool) -> None:
    """Put a network on a device, its weights laid out as asked for."""
    network.to(place)
    if channels_last:
        network.to(memory_format=torch.channels_last)


def adam(
    network: nn.Module, rate: float, momentum: float, second: float = 0.99
) -> torch.optim.Optimizer:
    """Adam in one kernel, which a GPU can replay."""
    weights = list(network.parameters())
    return torch.optim.Adam(
        weights,
        lr=rate,
        betas=(float(momentum), second),
        fused=True,
        capturable=weights[0].is_cuda,
    )


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Make one step down the gradient of a loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


@contextmanager
def held(network: nn.Module) -> Iterator[None]:
    """Let gradients pass a network without asking for those of its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def following(decay: float, number: int) -> Tensor:
    """Weight of the network in its running mean: more of it in the first steps.

    Parameters
    ----------
    decay : float
        Share of the running mean that is kept.
    number : int
        Number of the step, from 1.
    """
    return torch.tensor(1 - min(decay, (1 + number) / (10 + number)))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, weight: Tensor) -> None:
    """Move the running mean towards the network; its statistics as well.

    Parameters
    ----------
    average : torch.nn.Module
        Changed in place.
    network : torch.nn.Module
        The network in training.
    weight : Tensor of shape ()
        Share of the way, as :func:`following` says.
    """
    ours = [*average.parameters(), *average.buffers()]
    theirs = [*network.parameters(), *network.buffers()]
    for one, other in zip(ours, theirs, strict=True):
        if one.is_floating_point():
            one.lerp_(other, weight)
        else:
            one.copy_(other)


@torch.no_grad()
def recalibrate(
    generator: nn.Module, inputs: Callable[[int], Sequence[Tensor]], batches: int = 20
) -> None:
    """Measure the statistics that the averaged weights really produce.

    The running mean of the weights never saw a batch; its normalisations hold means
    of other networks' statistics until they are measured again (as in stochastic
    weight averaging, Izmailov et al., 2018).

    Parameters
    ----------
    generator : torch.nn.Module
        Changed in place; in evaluation mode afterwards.
    inputs : callable
        Returns so many inputs of the generator.
    batches : int, default=20
        Batches of 256 inputs.
    """
    norms = [
        m for m in generator.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain mean over batches
        norm.train()
    for _ in range(batches):
        generator(*inputs(256))
    generator.eval()


@torch.no_grad()
def generate(
    generator: nn.Module, noise: Tensor, condition: Tensor
) -> NDArray[np.float32]:
    """Images of one condition for every row of noise, as an array."""
    place = next(generator.parameters()).device
    blocks = [
        generator(part.to(place), condition.expand(len(part), -1).to(place)).cpu()
        for part in torch.split(noise, 1000)
    ]
    images: NDArray[np.float32] = torch.cat(blocks).numpy()
    return images


@torch.no_grad()
def log_odds(
    network: nn.Module, images: NDArray[np.float32], label: int
) -> NDArray[np.float32]:
    """How sure a network is of one class: log of its odds, in nats."""
    place = next(network.parameters()).device
    blocks = []
    for part in torch.split(torch.from_numpy(images), 1000):
        logits = network(part.to(place))
        others = torch.cat([logits[:, :label], logits[:, label + 1 :]], 1)
        blocks.append((logits[:, label] - others.logsumexp(1)).cpu().numpy())
    return np.concatenate(blocks)


def largest_shift(translation: int | None, image_shape: Sequence[int]) -> int:
    """Most pixels that images are moved by: a tenth of the smaller side by default."""
    return min(image_shape[1:]) // 10 if translation is None else translation


def draw_shifts(n: int, most: int, source: torch.Generator) -> Tensor:
    """Shifts for :func:`translate`, shape (n, 2, 1), from 0 to twice ``most``."""
    if most == 0:
        return torch.zeros(n, 2, 1, dtype=torch.int64)
    return torch.randint(0, 2 * most + 1, (n, 2, 1), generator=source)


def translate(images: Tensor, most: int, shifts: Tensor) -> Tensor:
    """Move every image by up to ``most`` pixels each way; black moves in.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images; gradients flow through (Zhao et al., 2020, "DiffAugment").
    most : int
        Largest shift.
    shifts : Tensor of shape (n, 2, 1), int64
        Down and right, plus ``most``.

    Returns
    -------
    Tensor
        Images of the same shape.
    """
    if most == 0:
        return images
    n, _, height, width = images.shape
    padded = F.pad(images, (most, most, most, most)).permute(0, 2, 3, 1)
    rows = (shifts[:, 0] + torch.arange(height, device=images.device))[:, :, None]
    columns = (shifts[:, 1] + torch.arange(width, device=images.device))[:, None, :]
    each = torch.arange(n, device=images.device)[:, None, None]
    return padded[each, rows, columns].permute(0, 3, 1, 2)


def gradient_penalty(
    score: Callable[..., Tensor],
    real: Sequence[Tensor],
    fake: Sequence[Tensor],
    share: Tensor,
) -> Tensor:
    """Squared distance from 1 of the critic's slope between real and generated images.

    Parameters
    ----------
    score : callable
        The critic; takes images and whatever follows them.
    real, fake : sequence of Tensor
        Images, and conditions if the critic takes them, of equal shapes.
    share : Tensor of shape (n,)
        Where between real (0) and generated (1) the slope of each pair is taken,
        uniformly random.

    Returns
    -------
    Tensor
        Mean over the images (Gulrajani et al., 2017, eq. 3).
    """
    mixed = [
        torch.lerp(a, b.detach(), share.view(-1, *[1] * (a.ndim - 1)))
        for a, b in zip(real, fake, strict=True)
    ]
    mixed[0].requires_grad_(True)
    (slope,) = torch.autograd.grad(score(*mixed).sum(), mixed[0], create_graph=True)
    # The root has no gradient at 0.
    length = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
    return (length - 1).square().mean()
