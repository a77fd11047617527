"""Wasserstein GAN of images alone, which the white-box attackers build on."""

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kldiv_attack.attackers._training import (
    PENALTY,
    TrainedAttacker,
    TrainingState,
    adam,
    follow,
    frozen_copy,
    generate,
    gradient_penalty,
    recalibrate,
    translate,
    update,
)
from kldiv_attack.networks import Discriminator, Generator
from kldiv_attack.victim import seeded


class WassersteinAttacker(TrainedAttacker):
    """Parameters and noise of an attacker with a Wasserstein GAN."""

    critic_steps: int
    translation: int | None
    ema: float
    n_noise: int
    width: int
    learning_rate: float
    momentum: float

    _wholes: ClassVar[tuple[str, ...]] = (
        "steps",
        "batch_size",
        "critic_steps",
        "n_noise",
        "width",
    )
    _fractions = ("ema", "momentum")
    _positives: ClassVar[tuple[str, ...]] = ("learning_rate",)

    @property
    def _shift(self) -> int:
        tenth: int = min(self.image_shape_[1:]) // 10
        return tenth if self.translation is None else self.translation

    def _uniform(self, n: int, source: torch.Generator) -> Tensor:
        """Noise of n images, uniform in [-1, 1]."""
        return torch.rand(n, self.n_noise, generator=source) * 2 - 1


class WassersteinTraining(TrainingState):
    """Generator, critic of images alone, and one step of their training.

    Parameters
    ----------
    settings : WassersteinAttacker
        Their parameters.
    n_classes : int
        Length of the generator's condition, which the critic does not see.
    place : torch.device
        Where to compute.
    fixed : dict of str to Tensor
        What snapshots hold beside networks and optimisers.
    """

    def __init__(
        self,
        settings: WassersteinAttacker,
        n_classes: int,
        place: torch.device,
        fixed: dict[str, Tensor],
    ):
        self.settings = settings
        self.n_classes = n_classes
        self.place = place
        self.shift = settings._shift
        shape = settings.image_shape_
        with seeded(settings.random_state):
            self.generator = Generator(
                shape, n_classes, settings.n_noise, settings.width, n_classes > 0
            ).to(place)
            self.critic = Discriminator(
                shape, 0, max(2, settings.width * 2 // 3), "none", normalise=False
            ).to(place)
        self.average = frozen_copy(self.generator, place)
        learning = {"generator": self.generator, "discriminator": self.critic}
        super().__init__(
            {**learning, "average": self.average},
            {
                name: adam(network, settings.learning_rate, settings.momentum, 0.999)
                for name, network in learning.items()
            },
            torch.Generator().manual_seed(settings.random_state),
            fixed,
        )

    def real(self, n: int) -> Tensor:
        """Draw n public images."""
        raise NotImplementedError

    def conditions(self, n: int, source: torch.Generator) -> Tensor:
        """Draw n conditions of the generator; by default it has none."""
        del source
        return torch.empty(n, 0, device=self.place)

    def lesson(self, shown: Tensor, asked: Tensor, number: int) -> tuple[Tensor, float]:
        """Another loss of the generator, and its weight; by default there is none."""
        del asked, number
        return shown.new_zeros(()), 0.0

    def step(self, number: int) -> Tensor:
        """Update critic, generator and running mean; return the losses."""
        settings = self.settings
        n = settings.batch_size
        for left in reversed(range(settings.critic_steps)):
            real = self.real(n)
            asked = self.conditions(n, self.source)
            noise = settings._uniform(n, self.source).to(self.place)
            with torch.set_grad_enabled(left == 0):
                fake = self.generator(noise, asked)
            distance = self.update_critic(real, fake.detach())
        loss, lesson = self.update_generator(fake, asked, number)
        follow(self.average, self.generator, settings.ema, number)
        return torch.stack([distance, loss, lesson])

    def update_critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """One step of the critic; returns its estimate of the distance."""
        n = len(real)
        shown = translate(torch.cat([real, fake]), self.shift, self.source)
        scores: Tensor = self.critic(shown)
        distance = scores[:n].mean() - scores[n:].mean()
        penalty = gradient_penalty(self.critic, (shown[:n],), (shown[n:],), self.source)
        update(self.optimizers["discriminator"], PENALTY * penalty - distance)
        return distance.detach()

    def update_generator(
        self, fake: Tensor, asked: Tensor, number: int
    ) -> tuple[Tensor, Tensor]:
        """One step of the generator."""
        self.critic.requires_grad_(False)
        shown = translate(fake, self.shift, self.source)
        loss = -self.critic(shown).mean()
        lesson, weight = self.lesson(shown, asked, number)
        update(self.optimizers["generator"], loss + weight * lesson)
        self.critic.requires_grad_(True)
        return loss.detach(), lesson.detach()

    def images(self, noise: Tensor, condition: Tensor) -> NDArray[np.float32]:
        """Images of the averaged generator for one condition."""
        return generate(self.average, noise, condition)  # type: ignore[no-any-return]

    def finish(self) -> nn.Module:
        """The averaged generator, ready for use."""
        source = torch.Generator().manual_seed(self.settings.random_state)

        def inputs(n: int) -> tuple[Tensor, Tensor]:
            asked = self.conditions(n, source)
            return self.settings._uniform(n, source).to(self.place), asked

        recalibrate(self.average, inputs)
        return self.average
