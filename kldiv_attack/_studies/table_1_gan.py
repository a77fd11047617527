"""The simulation's conditional GAN: small networks, one per repetition."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS, BATCH, WIDTH, RATE = 1500, 64, 64, 1e-3
# R1 penalty (Mescheder et al. 2018) on every fourth step, so four times as strong.
PENALTY, PENALTY_EVERY = 0.3, 4
AVERAGE = 0.01  # weight of the newest generator in the running mean


class Networks:
    """One three-layer perceptron per repetition, evaluated in one batched product."""

    def __init__(
        self, count: int, sizes: Sequence[int], leak: float, generator: torch.Generator
    ) -> None:
        self.leak = leak
        self.parameters: list[torch.Tensor] = []
        for inputs, outputs in pairwise(sizes):
            bound = inputs**-0.5
            for shape in ((count, inputs, outputs), (count, 1, outputs)):
                drawn = torch.rand(shape, generator=generator) * 2 * bound - bound
                self.parameters.append(drawn.requires_grad_())

    def __call__(
        self, x: torch.Tensor, parameters: Sequence[torch.Tensor] | None = None
    ) -> torch.Tensor:
        values = self.parameters if parameters is None else parameters
        for layer in range(0, len(values), 2):
            if layer:
                x = F.leaky_relu(x, self.leak)
            x = torch.baddbmm(values[layer + 1], x, values[layer])
        return x


def gan_reconstructions(
    aux: Sequence[Array], answers: Sequence[NDArray[Any]], *, n: int, seed: int
) -> list[Array]:
    """Train one conditional GAN per repetition and draw n rows given class 0.

    Parameters
    ----------
    aux : sequence of ndarray of shape (m, d)
        The attacker's rows, one array per repetition.
    answers : sequence of ndarray of shape (m,)
        The victim's labels, 0 or 1.
    n : int
        Rows to draw per repetition.
    seed : int
        Seed of everything random.

    Returns
    -------
    list of ndarray of shape (n, d)
        Reconstructions of class 0.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the products are too small to share
    try:
        return _gan_reconstructions(aux, answers, n, seed)
    finally:
        torch.set_num_threads(threads)


def _gan_reconstructions(
    aux: Sequence[Array], answers: Sequence[NDArray[Any]], n: int, seed: int
) -> list[Array]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.tensor(np.stack(aux), dtype=torch.float32)
    labels = F.one_hot(torch.tensor(np.stack(answers)).long(), 2).float()
    count, _, d = rows.shape
    n_noise = max(8, min(d, 64))
    maker = Networks(count, (n_noise + 2, WIDTH, WIDTH, d), 0.0, generator)
    judge = Networks(count, (d + 2, WIDTH, WIDTH, 1), 0.2, generator)
    averaged = _train(maker, judge, rows, labels, n_noise, generator)
    noise = torch.randn((count, n, n_noise), generator=generator)
    wanted = F.one_hot(torch.zeros((count, n), dtype=torch.long), 2).float()
    with torch.no_grad():
        made = maker(torch.cat([noise, wanted], 2), averaged)
    return [one.double().numpy() for one in made]


def _train(
    maker: Networks,
    judge: Networks,
    rows: torch.Tensor,
    labels: torch.Tensor,
    n_noise: int,
    generator: torch.Generator,
) -> list[torch.Tensor]:
    """Non-saturating logistic GAN; returns the running mean of the generator."""
    count, size, d = rows.shape
    options: dict[str, Any] = {"lr": RATE, "betas": (0.5, 0.99), "fused": True}
    maker_step = torch.optim.Adam(maker.parameters, **options)
    judge_step = torch.optim.Adam(judge.parameters, **options)
    averaged = [one.detach().clone() for one in maker.parameters]
    repetition = torch.arange(count)[:, None]

    def made(wanted: torch.Tensor) -> torch.Tensor:
        noise = torch.randn((count, BATCH, n_noise), generator=generator)
        return torch.cat([maker(torch.cat([noise, wanted], 2)), wanted], 2)

    for step in range(STEPS):
        picked = torch.randint(size, (2, count, BATCH), generator=generator)
        wanted = labels[repetition, picked[1]]
        with torch.no_grad():
            fake = made(wanted)
        seen = repetition, picked[0]
        real = torch.cat([rows[seen], labels[seen]], 2)
        _update(judge_step, _judge_loss(judge, real, fake, d, step))
        _update(maker_step, F.softplus(-judge(made(wanted))).mean((1, 2)))
        with torch.no_grad():
            for mean, newest in zip(averaged, maker.parameters, strict=True):
                mean.lerp_(newest, AVERAGE)
    return averaged


def _judge_loss(
    judge: Networks, real: torch.Tensor, fake: torch.Tensor, d: int, step: int
) -> torch.Tensor:
    """Logistic loss per repetition, with the penalty on the slope where it is due."""
    penalised = step % PENALTY_EVERY == 0
    real.requires_grad_(penalised)
    score = judge(real)
    loss = F.softplus(-score).mean((1, 2)) + F.softplus(judge(fake)).mean((1, 2))
    if penalised:
        (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
        size_of_slope = slope[:, :, :d].square().sum(2).mean(1)
        loss = loss + PENALTY_EVERY * PENALTY / 2 * size_of_slope
    return loss


def _update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step()
