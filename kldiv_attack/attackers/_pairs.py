"""Public images with the answers of the victim, and what they teach a network."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kldiv_attack._progress import progress
from kldiv_attack.attackers._stepping import Draws, drawn
from kldiv_attack.attackers._updates import draw_shifts, translate, update


class Pairs:
    """Public images with the victim's answers, drawn class by class.

    Parameters
    ----------
    images : ndarray of shape (n, channels, height, width)
        Public images.
    answers : ndarray of shape (n, n_classes)
        Probabilities.
    place : torch.device
        Where images and answers stay.
    hard : bool, default=False
        Condition on the one-hot vector of the answered class.
    balanced : bool, default=True
        Draw so that every answered class is equally frequent.
    confidence : float, default=0.0
        Draw in proportion to this power of the largest probability.
    """

    def __init__(
        self,
        images: NDArray[np.float32],
        answers: NDArray[np.float32],
        place: torch.device,
        *,
        hard: bool = False,
        balanced: bool = True,
        confidence: float = 0.0,
    ):
        self.place = place
        self.images = torch.from_numpy(images).to(place)
        self.answers = torch.from_numpy(answers).to(place)
        self.called = self.answers.argmax(1)
        self.conditions = self.answers
        if hard:
            self.conditions = F.one_hot(self.called, answers.shape[1]).float()
        weights = self.answers.amax(1).double().cpu() ** confidence
        if balanced:
            called = self.called.cpu()
            weights /= torch.bincount(called, weights)[called]
        self.cumulative = weights.cumsum(0) / weights.sum()

    def draw(self, n: int, source: torch.Generator) -> Tensor:
        """Rows of n pairs, with replacement, on the CPU."""
        uniform = torch.rand(n, generator=source, dtype=torch.float64)
        rows = torch.searchsorted(self.cumulative, uniform)
        return rows.clamp_(max=len(self.cumulative) - 1)


#: Of a surrogate, however few answers there are.
LEAST_STEPS = 100


def distil(
    network: nn.Module,
    pairs: Pairs,
    source: torch.Generator,
    *,
    batch_size: int = 128,
    epochs: int = 12,
    translation: int = 0,
    learning_rate: float = 2e-3,
    verbose: int = 0,
) -> None:
    """Teach a network the answers that the victim has already given.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    pairs : Pairs
        Images and answers.
    source : torch.Generator
        Source of the order.
    batch_size : int, default=128
        Pairs per step.
    epochs : int, default=12
        Passes over the pairs; at least LEAST_STEPS are made in any case.
    translation : int, default=0
        Largest shift of an image in pixels.
    learning_rate : float, default=2e-3
        Highest rate of the one-cycle schedule.
    verbose : int, default=0
        1 shows a progress bar.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    steps = max(LEAST_STEPS, epochs * len(pairs.images) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps
    )

    def draw(number: int) -> Draws:
        del number
        rows = pairs.draw(batch_size, source)
        return {"rows": rows, "shifts": draw_shifts(batch_size, translation, source)}

    draws = drawn(draw, range(steps), pairs.place)
    bar = progress(draws, desc="distil answers", total=steps, disable=not verbose)
    for now in bar:
        images = translate(pairs.images[now["rows"]], translation, now["shifts"])
        update(optimizer, F.cross_entropy(network(images), pairs.answers[now["rows"]]))
        schedule.step()
