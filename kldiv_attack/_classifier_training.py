"""Training of victims and judges."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kldiv_attack._classifier import Classifier, resolve_device, within_memory
from kldiv_attack._progress import progress
from kldiv_attack._rules import (
    AMOUNT,
    POSITIVE,
    SEED,
    VERBOSITY,
    WIDTH,
    Rule,
    Whole,
    check_values,
)
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.judge import Judge, fingerprints
from kldiv_attack.networks import NETWORKS, seeded
from kldiv_attack.victim import Victim

logger = logging.getLogger(__name__)

#: What the options of both trainings may be.
RULES: dict[str, Rule] = {
    "epochs": Whole(),
    "width": WIDTH,
    "batch_size": Whole(),
    "learning_rate": POSITIVE,
    "augment": AMOUNT,
    "random_state": SEED,
    "verbose": VERBOSITY,
}


def train_victim(
    data: LabelledImages,
    *,
    epochs: int = 6,
    width: int = 16,
    batch_size: int = 256,
    learning_rate: float = 4e-3,
    val: LabelledImages | None = None,
    device: str | torch.device = "auto",
    random_state: int = 0,
    verbose: int = 0,
) -> Victim:
    """Train a small convolutional classifier to be attacked.

    Parameters
    ----------
    data : LabelledImages
        Private images; sides of at least 8 pixels.
    epochs : int, default=6
        Passes over the data.
    width : int, default=16
        Channels of the first convolution.
    batch_size : int, default=256
        Images per step.
    learning_rate : float, default=4e-3
        Peak of the one-cycle schedule.
    val : LabelledImages, optional
        Held-out images; their accuracy is logged after every epoch.
    device : str, default="auto"
        Where to compute.
    random_state : int, default=0
        Seed; the same seed gives the same network on one CPU.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Victim
        Frozen, in evaluation mode.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, train_victim
    >>> digits = load_dataset("digits", part="train")
    >>> victim = train_victim(digits, epochs=3, batch_size=32)
    >>> answers = victim.query(digits.images).argmax(axis=1)
    >>> bool((answers == digits.labels).mean() > 0.8)
    True
    """
    network, settings = train_classifier(
        "victim", data, epochs, width, batch_size, learning_rate, 0.0, val, device,
        random_state, verbose,
    )  # fmt: skip
    return Victim(
        network, data.class_names, data.image_shape, device=device, settings=settings
    )


def train_judge(
    data: LabelledImages,
    *,
    epochs: int = 5,
    width: int = 16,
    batch_size: int = 256,
    learning_rate: float = 4e-3,
    augment: float = 1.0,
    val: LabelledImages | None = None,
    device: str | torch.device = "auto",
    random_state: int = 1,
    verbose: int = 0,
) -> Judge:
    """Train the classifier that judges reconstructions.

    Another architecture than the victim's, other initial values, and random affine
    maps of the images, so that it does not share the victim's blind spots.

    Parameters
    ----------
    data : LabelledImages
        Labelled images of the victim's classes.
    epochs : int, default=5
        Passes over the data.
    width : int, default=16
        Channels of the first convolution.
    batch_size : int, default=256
        Images per step.
    learning_rate : float, default=4e-3
        Peak of the one-cycle schedule.
    augment : float, default=1.0
        Strength of the random affine maps; 0 turns them off.
    val : LabelledImages, optional
        Held-out images; their accuracy is logged after every epoch.
    device : str, default="auto"
        Where to compute.
    random_state : int, default=1
        Seed.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Judge
        Frozen, in evaluation mode.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, train_judge
    >>> digits = load_dataset("digits")
    >>> train_judge(digits, epochs=3, batch_size=32).accuracy(digits) > 0.8
    True
    """
    network, settings = train_classifier(
        "judge", data, epochs, width, batch_size, learning_rate, augment, val, device,
        random_state, verbose,
    )  # fmt: skip
    judge = Judge(
        network, data.class_names, data.image_shape, device=device, settings=settings
    )
    judge.fingerprints = fingerprints(data.images)
    return judge


@within_memory("training of a classifier")
def train_classifier(
    kind: str,
    data: LabelledImages,
    epochs: int,
    width: int,
    batch_size: int,
    learning_rate: float,
    augment: float,
    val: LabelledImages | None,
    device: str | torch.device,
    random_state: int,
    verbose: int,
) -> tuple[nn.Module, dict[str, Any]]:
    """Train a network of a kind; returns it and what its file says about it."""
    _check(kind, data, locals())
    place = resolve_device(device)
    with seeded(random_state):
        network = NETWORKS[kind](data.image_shape, data.n_classes, width).to(place)
    generator = torch.Generator().manual_seed(random_state)
    batch_size = min(batch_size, len(data))
    n_steps = len(data) // batch_size
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * n_steps
    )
    images = torch.from_numpy(data.images).to(place)
    labels = torch.from_numpy(data.labels).to(place)
    bar = progress(total=epochs * n_steps, desc=f"train {kind}", disable=not verbose)
    with bar:
        for epoch in range(epochs):
            network.train()
            order = torch.randperm(len(data), generator=generator).to(place)
            for rows in torch.split(order[: n_steps * batch_size], batch_size):
                batch = images[rows]
                if augment:
                    batch = random_affine(batch, augment, generator)
                _descend(network, batch, labels[rows], optimizer)
                schedule.step()
                bar.update()
            _log_epoch(kind, network, data, val, epoch, place)
    return network, _described(kind, data, width, epochs, random_state)


def _described(
    kind: str, data: LabelledImages, width: int, epochs: int, random_state: int
) -> dict[str, Any]:
    """What the file of a classifier says about it."""
    return {
        "network": kind,
        "class_names": data.class_names,
        "image_shape": data.image_shape,
        "width": width,
        "epochs": epochs,
        "random_state": random_state,
        "trained_on": data.name,
        "n_train": len(data),
    }


def _check(kind: str, data: LabelledImages, options: Mapping[str, Any]) -> None:
    check_values(options, RULES, defaults={}, of=f"training of the {kind}")
    if min(data.image_shape[1:]) < 8:
        raise ValueError(
            f"{kind}: expected images of at least 8 x 8 pixels, got "
            f"{data.image_shape[1]} x {data.image_shape[2]}."
        )
    if len(data) < 2:
        raise ValueError(f"{kind}: expected at least 2 images, got {len(data)} images.")


def _descend(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
) -> None:
    """One step down the cross entropy."""
    loss = F.cross_entropy(network(images), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _log_epoch(
    kind: str,
    network: nn.Module,
    data: LabelledImages,
    val: LabelledImages | None,
    epoch: int,
    place: torch.device,
) -> None:
    if val is not None:
        judged = Classifier(network, data.class_names, data.image_shape, device=place)
        logger.info(
            "%s epoch %d: %.4f on %s", kind, epoch, judged.accuracy(val), val.name
        )
        network.requires_grad_(True)


def random_affine(
    images: Tensor, strength: float, generator: torch.Generator
) -> Tensor:
    """Turn, scale, shear and move every image a little.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    strength : float
        1 means turns of about 0.15 rad, scales of 10 % and moves of 7 %.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    Tensor
        Images of the same shape.
    """
    n = len(images)
    sizes = strength * torch.tensor([[0.1, 0.15, 0.07], [0.15, 0.1, 0.07]])
    theta = sizes * torch.randn(n, 2, 3, generator=generator)
    theta[:, 0, 0] += 1
    theta[:, 1, 1] += 1
    grid = F.affine_grid(
        theta.to(images.device), list(images.shape), align_corners=False
    )
    return F.grid_sample(images, grid, align_corners=False)
