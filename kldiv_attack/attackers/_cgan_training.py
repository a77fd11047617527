"""The conditional GAN: its losses, its networks and one step of their training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kldiv_attack.attackers._pairs import Pairs, distil
from kldiv_attack.attackers._snapshots import TrainingState
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
from kldiv_attack.networks import Discriminator, Generator, VictimNetwork, seeded


class CGANSettings(GANAttacker):
    """Parameters of the conditional GAN, and how it makes images."""

    loss: str
    critic_steps: int | None
    discriminator: str
    spectral_norm: bool | None
    conditional_norm: bool
    translation: int | None
    consistency: str | None
    consistency_weight: float
    ema: float
    n_noise: int
    width: int
    learning_rate: tuple[float, float]
    momentum: float
    candidates: int

    def _images(
        self, generator: nn.Module, noise: Tensor, label: int
    ) -> NDArray[np.float32]:
        asked = torch.eye(len(self.classes_))[label]
        return generate(generator, noise, asked)


def vanilla_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Eq. 1 of the paper: cross entropy of real against generated pairs."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def vanilla_generator(fake: Tensor) -> Tensor:
    """Eq. 2 in the non-saturating form of Goodfellow et al. (2014)."""
    return F.softplus(-fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss (Lim and Ye, 2017)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Difference of the mean scores (Arjovsky et al., 2017)."""
    return fake.mean() - real.mean()


def linear_generator(fake: Tensor) -> Tensor:
    """Generator's side of the hinge and of the Wasserstein distance."""
    return -fake.mean()


@dataclass(frozen=True)
class AdversarialLoss:
    """Both sides of the game, and what its discriminator is kept smooth by."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    penalised: bool = False
    critic_steps: int = 1


LOSSES = {
    "vanilla": AdversarialLoss(vanilla_discriminator, vanilla_generator),
    "hinge": AdversarialLoss(hinge_discriminator, linear_generator),
    "wgan-gp": AdversarialLoss(
        wasserstein_discriminator, linear_generator, penalised=True, critic_steps=5
    ),
}


class CGANTraining(TrainingState):
    """The cGAN's networks and one step of their training."""

    settings: CGANSettings

    def __init__(self, settings: CGANSettings, n_classes: int, pairs: Pairs):
        self.settings = settings
        self.pairs = pairs
        self.loss = LOSSES[settings.loss]
        self.critic_steps = settings.critic_steps or self.loss.critic_steps
        normalise = settings.spectral_norm
        shape = settings.image_shape_
        self.shift = largest_shift(settings.translation, shape)
        # Whether anything asks the attacker's own copy of the victim.
        self.uses_surrogate = bool(settings.consistency) or settings.candidates > 1
        with seeded(settings.random_state):
            self.generator = Generator(
                shape,
                n_classes,
                settings.n_noise,
                settings.width,
                settings.conditional_norm,
            )
            self.discriminator = Discriminator(
                shape,
                n_classes,
                max(2, settings.width * 2 // 3),
                settings.discriminator,
                not self.loss.penalised if normalise is None else normalise,
            )
            self.surrogate = VictimNetwork(shape, n_classes).to(pairs.place)
        for network in (self.generator, self.discriminator):
            move(network, pairs.place, settings.channels_last)
        self.average = frozen_copy(self.generator, pairs.place)
        networks: dict[str, nn.Module] = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.average,
        }
        rates = dict(zip(networks, settings.learning_rate, strict=False))
        if self.uses_surrogate:
            networks["surrogate"] = self.surrogate
        super().__init__(
            pairs.place,
            settings.precision,
            networks,
            {k: adam(networks[k], rates[k], settings.momentum) for k in rates},
            torch.Generator().manual_seed(settings.random_state),
            {"responses": pairs.answers},
        )

    def add_surrogate(self) -> None:
        """Distil the answers received so far into a network of the attacker's own."""
        if self.uses_surrogate:
            distil(
                self.surrogate,
                self.pairs,
                self.source,
                translation=self.shift,
                verbose=self.settings.verbose,
            )
        self.surrogate.eval().requires_grad_(False)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Undo :meth:`tensors`."""
        super().restore(tensors)
        self.surrogate.eval().requires_grad_(False)

    def lesson_weight(self, number: int) -> float:
        """Weight that the consistency term has reached."""
        return self.settings.consistency_weight * min(1.0, number / 500)

    def draw_turn(self) -> Draws:
        """Real pairs, answers to generate images for, noise, and how all is shown."""
        n, source = self.settings.batch_size, self.source
        draws = {
            "rows": self.pairs.draw(n, source),
            "asked": self.pairs.draw(n, source),
            "noise": torch.randn(n, self.settings.n_noise, generator=source),
            "shown": draw_shifts(2 * n, self.shift, source),
        }
        if self.loss.penalised:
            draws["share"] = torch.rand(n, generator=source)
        return draws

    def step(self, draws: Draws) -> Tensor:
        """Update discriminator, generator and running mean; return the losses."""
        for turn in range(self.critic_steps):
            asked = self.pairs.conditions[draws["asked"][turn]]
            with torch.set_grad_enabled(turn == self.critic_steps - 1):
                fake = self.ask(self.generator, draws["noise"][turn], asked)
            first = self.update_discriminator(fake.detach(), asked, draws, turn)
        second, consistency = self.update_generator(fake, asked, draws)
        follow(self.average, self.generator, draws["following"])
        return torch.stack([first, second, consistency])

    def update_discriminator(
        self, fake: Tensor, asked: Tensor, draws: Draws, turn: int
    ) -> Tensor:
        """One step of the discriminator."""
        rows, n = draws["rows"][turn], len(fake)
        real, given = self.pairs.images[rows], self.pairs.conditions[rows]
        # One pass for both halves: spectral norms are computed once.
        shown = translate(torch.cat([real, fake]), self.shift, draws["shown"][turn])
        conditions = torch.cat([given, asked])
        scores, recognised = self.ask(self.discriminator.judge, shown, conditions)
        loss = self.loss.discriminator(scores[:n], scores[n:])
        if self.loss.penalised:
            loss = loss + PENALTY * gradient_penalty(
                partial(self.ask, self.discriminator),
                (shown[:n], given),
                (shown[n:], asked),
                draws["share"][turn],
            )
        if recognised is not None:
            loss = loss + F.cross_entropy(recognised, conditions)
        update(self.optimizers["discriminator"], loss)
        return loss.detach()

    def update_generator(
        self, fake: Tensor, asked: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """One step of the generator."""
        with held(self.discriminator):
            moved = translate(fake, self.shift, draws["moved"])
            scores, recognised = self.ask(self.discriminator.judge, moved, asked)
            loss = self.loss.generator(scores)
            if recognised is not None:
                loss = loss + F.cross_entropy(recognised, asked)
            total = loss
            lesson = self.lesson(fake, moved, asked)
            if lesson is not None:
                total = loss + draws["lesson"] * lesson
            update(self.optimizers["generator"], total)
        taught = torch.zeros_like(loss) if lesson is None else lesson.detach()
        return loss.detach(), taught

    def lesson(self, fake: Tensor, moved: Tensor, asked: Tensor) -> Tensor | None:
        """Another loss of the generator: what the surrogate objects to."""
        del moved
        if not self.settings.consistency:
            return None
        return F.cross_entropy(self.surrogate(fake), asked)

    def finish(self) -> nn.Module:
        """The averaged generator, ready for use."""
        settings, pairs = self.settings, self.pairs
        source = torch.Generator().manual_seed(settings.random_state)

        def inputs(n: int) -> tuple[Tensor, Tensor]:
            asked = pairs.conditions[pairs.draw(n, source).to(pairs.place)]
            noise = torch.randn(n, settings.n_noise, generator=source)
            return noise.to(pairs.place), asked

        recalibrate(self.average, inputs)
        return self.average

    def grid(self) -> NDArray[np.float32]:
        """Ten images of every class from noise that never changes."""
        settings = self.settings
        source = torch.Generator().manual_seed(0)
        noise = torch.randn(10, settings.n_noise, generator=source)
        n_classes = len(settings.classes_)
        return np.stack(
            [settings._images(self.average, noise, c) for c in range(n_classes)]
        )
