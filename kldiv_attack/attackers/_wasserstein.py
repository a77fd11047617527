"""Wasserstein GAN of images alone, which the white-box attackers build on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kldiv_attack._rules import POSITIVE, Rule, Whole
from kldiv_attack.attackers._snapshots import ONCE, TrainingState
from kldiv_attack.attackers._stepping import Draws
from kldiv_attack.attackers._training import GANAttacker
from kldiv_attack.attackers._updates import (
    PENALTY,
    adam,
    draw_shifts,
    follow,
    frozen_copy,
    generate,
    gradient_penalty,
    held,
    largest_shift,
    move,
    recalibrate,
    translate,
    update,
)
from kldiv_attack.networks import Discriminator, Generator, seeded


class WassersteinAttacker(GANAttacker):
    """Parameters and noise of an attacker with a Wasserstein GAN."""

    critic_steps: int
    translation: int | None
    ema: float
    n_noise: int
    width: int
    learning_rate: float
    momentum: float

    rules: ClassVar[Mapping[str, Rule]] = {
        "critic_steps": Whole(),
        "learning_rate": POSITIVE,
    }

    @property
    def _shift(self) -> int:
        return largest_shift(self.translation, self.image_shape_)

    def _uniform(self, n: int, source: torch.Generator) -> Tensor:
        """Noise of n images, uniform in [-1, 1]."""
        return torch.rand(n, self.n_noise, generator=source) * 2 - 1


class WassersteinTraining(TrainingState):
    """Generator, critic of images alone, and one step of their training.

    Parameters
    ----------
    settings : WassersteinAttacker
        Their parameters.
    public : Tensor of shape (n, channels, height, width)
        Public images, on the device where to compute.
    n_classes : int
        Length of the generator's condition, which the critic does not see.
    fixed : dict of str to Tensor
        What snapshots hold beside networks and optimisers.
    """

    def __init__(
        self,
        settings: WassersteinAttacker,
        public: Tensor,
        n_classes: int,
        fixed: dict[str, Tensor],
    ):
        self.settings = settings
        self.public = public
        self.n_classes = n_classes
        place = public.device
        self.shift = settings._shift
        self.critic_steps = settings.critic_steps
        shape = settings.image_shape_
        with seeded(settings.random_state):
            self.generator = Generator(
                shape, n_classes, settings.n_noise, settings.width, n_classes > 0
            )
            self.critic = Discriminator(
                shape, 0, max(2, settings.width * 2 // 3), "none", normalise=False
            )
        for network in (self.generator, self.critic):
            move(network, place, settings.channels_last)
        self.average = frozen_copy(self.generator, place)
        learning = {"generator": self.generator, "discriminator": self.critic}
        super().__init__(
            place,
            settings.precision,
            {**learning, "average": self.average},
            {
                name: adam(network, settings.learning_rate, settings.momentum, 0.999)
                for name, network in learning.items()
            },
            torch.Generator().manual_seed(settings.random_state),
            fixed,
        )

    def draw_rows(self, n: int) -> Tensor:
        """Rows of n public images."""
        return torch.randint(len(self.public), (n,), generator=self.source)

    def draw_conditions(self, n: int, source: torch.Generator) -> Draws:
        """What n conditions are made of; by default there are none."""
        del n, source
        return {}

    def conditions(self, draws: Draws, n: int) -> Tensor:
        """Conditions of the generator; by default it has none."""
        del draws
        return torch.empty(n, 0, device=self.place)

    def lesson(self, shown: Tensor, asked: Tensor) -> Tensor:
        """Another loss of the generator; by default there is none."""
        del asked
        return shown.new_zeros(())

    def lesson_weight(self, number: int) -> float:
        """Weight of that loss."""
        del number
        return 0.0

    def draw_turn(self) -> Draws:
        """Public images, conditions and noise, and how the images are shown."""
        n, source = self.settings.batch_size, self.source
        return {
            "public": self.draw_rows(n),
            **self.draw_conditions(n, source),
            "noise": self.settings._uniform(n, source),
            "shown": draw_shifts(2 * n, self.shift, source),
            "share": torch.rand(n, generator=source),
        }

    def step(self, draws: Draws) -> Tensor:
        """Update critic, generator and running mean; return the losses."""
        settings = self.settings
        for turn in range(self.critic_steps):
            now = {k: v[turn] for k, v in draws.items() if k not in ONCE}
            asked = self.conditions(now, settings.batch_size)
            with torch.set_grad_enabled(turn == self.critic_steps - 1):
                fake = self.ask(self.generator, now["noise"], asked)
            distance = self.update_critic(fake.detach(), now)
        loss, lesson = self.update_generator(fake, asked, draws)
        follow(self.average, self.generator, draws["following"])
        return torch.stack([distance, loss, lesson])

    def update_critic(self, fake: Tensor, now: Draws) -> Tensor:
        """One step of the critic; returns its estimate of the distance."""
        n = len(fake)
        real = self.public[now["public"]]
        shown = translate(torch.cat([real, fake]), self.shift, now["shown"])
        scores: Tensor = self.ask(self.critic, shown)
        distance = scores[:n].mean() - scores[n:].mean()
        critic = partial(self.ask, self.critic)
        penalty = gradient_penalty(critic, (shown[:n],), (shown[n:],), now["share"])
        update(self.optimizers["discriminator"], PENALTY * penalty - distance)
        return distance.detach()

    def update_generator(
        self, fake: Tensor, asked: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """One step of the generator."""
        with held(self.critic):
            shown = translate(fake, self.shift, draws["moved"])
            loss = -self.ask(self.critic, shown).mean()
            lesson = self.lesson(shown, asked)
            update(self.optimizers["generator"], loss + draws["lesson"] * lesson)
        return loss.detach(), lesson.detach()

    def images(self, noise: Tensor, condition: Tensor) -> NDArray[np.float32]:
        """Images of the averaged generator for one condition."""
        return generate(self.average, noise, condition)

    def finish(self) -> nn.Module:
        """The averaged generator, ready for use."""
        source = torch.Generator().manual_seed(self.settings.random_state)

        def inputs(n: int) -> tuple[Tensor, Tensor]:
            draws = self.draw_conditions(n, source)
            there = {name: values.to(self.place) for name, values in draws.items()}
            noise = self.settings._uniform(n, source).to(self.place)
            return noise, self.conditions(there, n)

        recalibrate(self.average, inputs)
        return self.average


class GMITraining(WassersteinTraining):
    """A generator without conditions, taught by the public images alone."""

    def __init__(self, settings: WassersteinAttacker, images: Tensor):
        super().__init__(settings, images, 0, {})

    def step(self, draws: Draws) -> Tensor:
        """Update critic, generator and running mean; return the losses."""
        return super().step(draws)[:2]

    def grid(self) -> NDArray[np.float32]:
        """Images from noise that never changes, ten for every class."""
        n_classes = len(self.settings.classes_)
        noise = self.settings._uniform(10 * n_classes, torch.Generator().manual_seed(0))
        images = self.images(noise, torch.empty(0))
        return images.reshape(n_classes, 10, *images.shape[1:])
