"""What attackers that learn step by step share: snapshots, the loop, running means."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from kldiv_attack.attackers._base import Attacker, QueryAccess, Recorder, Snapshot
from kldiv_attack.attackers._stepping import (
    Draws,
    Stepper,
    check_cuda_graph,
    drawn,
    stack,
)
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.datasets._base import check_choice
from kldiv_attack.victim import resolve_device, train_victim

QUERY_BATCH = 1000
LOG_EVERY = 50
CHECKPOINT_FORMAT = 3
#: What is drawn once per step and not for every turn of the discriminator.
ONCE = {"moved", "following", "lesson"}
PENALTY = 10.0  # weight of the gradient penalty (Gulrajani et al., 2017)


class TrainedAttacker(Attacker):
    """Base of attackers that go on from the last snapshot of an interrupted run.

    A subclass keeps its parameters under their own names and calls ``_answers`` (or
    ``_resume`` if it asks nothing) before it trains.
    """

    steps: int
    batch_size: int
    random_state: int
    verbose: int
    device: str | torch.device
    precision: str
    channels_last: bool
    cuda_graph: bool | str
    cuda_graph_: bool
    #: Parameters that are whole numbers of at least 1.
    _wholes: ClassVar[tuple[str, ...]] = ("steps", "batch_size")
    #: Parameters in [0, 1).
    _fractions: ClassVar[tuple[str, ...]] = ()
    #: Parameters that are larger than 0, and those that may be 0.
    _positives: ClassVar[tuple[str, ...]] = ()
    _amounts: ClassVar[tuple[str, ...]] = ()

    def _check_numbers(self) -> None:
        for name in self._wholes:
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}: expected a whole number >= 1.")
        if self.batch_size < 2:
            raise ValueError("batch_size=1: batch normalisation needs at least 2.")
        for name in self._fractions:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: expected 0 <= {name} < 1."
                )
        for name in self._positives:
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected > 0.")
        for name in self._amounts:
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected >= 0.")
        shift = getattr(self, "translation", None)
        if shift is not None and (not isinstance(shift, int) or shift < 0):
            raise ValueError(f"translation={shift!r}: expected a whole number >= 0.")
        check_choice("precision", self.precision, ("float32", "bfloat16"))
        check_cuda_graph(self.cuda_graph, resolve_device(self.device))
        height, width = self.image_shape_[1:]
        if height % 4 or width % 4 or min(height, width) < 8:
            raise ValueError(
                f"{type(self).__name__} needs images whose sides are multiples of 4 "
                f"and at least 8, got {height} x {width}; pad or resize the images and "
                "train the victim on them."
            )

    def _settings(self) -> dict[str, Any]:
        """Everything that a snapshot must agree on."""
        unimportant = {"steps", "device", "verbose", "channels_last", "cuda_graph"}
        settings = {k: v for k, v in vars(self).items() if not k.endswith("_")}
        settings = {k: v for k, v in settings.items() if not k.startswith("_")}
        settings = {
            k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()
        }
        return {k: v for k, v in settings.items() if k not in unimportant}

    def _check_snapshot(self, extra: dict[str, Any]) -> None:
        if extra.get("format") != CHECKPOINT_FORMAT:
            raise ValueError(
                f"snapshot of format {extra.get('format')}: expected "
                f"{CHECKPOINT_FORMAT}; start again in an empty folder."
            )
        if extra.get("data") != self._data_digest:
            raise ValueError(
                "snapshot was made with other images; start again in an empty folder."
            )
        ours = self._settings()
        theirs = extra.get("settings", {})
        changed = [k for k in ours if ours[k] != theirs.get(k)]
        if changed:
            pairs = ", ".join(
                f"{k}={ours[k]!r} (was {theirs.get(k)!r})" for k in changed
            )
            raise ValueError(
                f"snapshot was made with other settings: {pairs}; put them back or "
                "start again in an empty folder."
            )

    def _resume(self, recorder: Recorder | None) -> Snapshot | None:
        """The snapshot of an interrupted run, if there is one that fits."""
        snapshot = recorder.load() if recorder else None
        if snapshot is not None:
            self._check_snapshot(snapshot[2])
            self._resumed_queries = int(snapshot[2]["n_queries"])
        return snapshot

    def _answers(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        snapshot: Snapshot | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Public images and answers: asked once, then taken from the snapshot."""
        if snapshot is None:
            return self._ask_public(
                victim, images, batch=QUERY_BATCH, verbose=self.verbose
            )
        answers: NDArray[np.float32] = snapshot[1]["responses"].numpy()
        self.budget_exhausted_ = len(answers) < len(images)
        victim.asked_before = self._resumed_queries
        return self._asked_images(images, len(answers)), answers

    def _extra(self, n_queries: int) -> dict[str, Any]:
        """What is written beside the tensors of a snapshot."""
        return {
            "format": CHECKPOINT_FORMAT,
            "data": self._data_digest,
            "settings": self._settings(),
            "n_queries": n_queries,
        }

    def _source_of(self, label: int, random_state: int) -> torch.Generator:
        """Source of the noise of one class, the same whatever else is asked for."""
        seed = np.random.SeedSequence([random_state, label]).generate_state(1)[0]
        return torch.Generator().manual_seed(int(seed))


def frozen_copy(network: nn.Module, place: torch.device) -> nn.Module:
    """A copy in evaluation mode on another device; the network stays as it is."""
    return copy.deepcopy(network).to(place).eval().requires_grad_(False)


def own_victim(
    data: LabelledImages, device: str | torch.device, random_state: int
) -> nn.Module:
    """The classifier that an owner of the private images trains on them.

    Parameters
    ----------
    data : LabelledImages
        Private images with their true labels.
    device : str or torch.device
        Where to compute.
    random_state : int
        Seed.

    Returns
    -------
    torch.nn.Module
        Frozen; maps images to logits.
    """
    return train_victim(
        data,
        epochs=max(6, -(-1000 // len(data))),
        batch_size=min(64, len(data)),
        device=device,
        random_state=random_state,
    ).network


class TrainingState(ABC):
    """Networks, optimisers and the random source: all that a snapshot holds.

    Subclasses say what a step of their game is; ``settings``, ``shift`` and
    ``critic_steps`` are theirs.

    Parameters
    ----------
    place : torch.device
        Where to compute.
    precision : {"float32", "bfloat16"}
        In which convolutions and products are computed; weights are float32.
    networks : dict of str to Module
        Networks by name.
    optimizers : dict of str to Optimizer
        Optimisers by the name of their network.
    source : torch.Generator
        The one source of randomness, on the CPU.
    fixed : dict of str to Tensor
        Tensors that training does not change, for instance the answers.
    """

    settings: Any
    shift: int
    critic_steps: int

    def __init__(
        self,
        place: torch.device,
        precision: str,
        networks: dict[str, nn.Module],
        optimizers: dict[str, torch.optim.Optimizer],
        source: torch.Generator,
        fixed: dict[str, Tensor],
    ):
        self.place = place
        self.precision = precision
        self.networks = networks
        self.optimizers = optimizers
        self.source = source
        self.fixed = fixed

    def draw(self, number: int) -> Draws:
        """Everything random or scheduled in a step, on the CPU."""
        settings = self.settings
        return {
            **stack([self.draw_turn() for _ in range(self.critic_steps)]),
            "moved": draw_shifts(settings.batch_size, self.shift, self.source),
            "following": following(settings.ema, number),
            "lesson": torch.tensor(self.lesson_weight(number)),
        }

    @abstractmethod
    def draw_turn(self) -> Draws:
        """Everything random in one turn of the discriminator, on the CPU."""

    @abstractmethod
    def lesson_weight(self, number: int) -> float:
        """Weight in a step of what the generator learns beside the discriminator."""

    @abstractmethod
    def step(self, draws: Draws) -> Tensor:
        """Make a step and return its losses without waiting for the device."""

    def ask(self, network: Callable[..., Any], *inputs: Tensor) -> Any:
        """What a network answers, computed in the precision of the training."""
        low = self.precision == "bfloat16"
        with torch.autocast(self.place.type, torch.bfloat16, enabled=low):
            answer = network(*inputs)
        if isinstance(answer, tuple):
            return tuple(part if part is None else part.float() for part in answer)
        return answer.float()

    def learners(self) -> list[nn.Module]:
        """Networks that a step may change."""
        return list(self.networks.values())

    def live(self) -> list[Tensor]:
        """All tensors that a step may change, themselves and no copies."""
        found: list[Tensor] = []
        for network in self.networks.values():
            found += [*network.parameters(), *network.buffers()]
        for optimizer in self.optimizers.values():
            for values in optimizer.state.values():
                found += values.values()
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a continued training needs, as named tensors."""
        found = {**self.fixed, "random": self.source.get_state()}
        for name, network in self.networks.items():
            state = network.state_dict()
            found |= {f"{name}.{key}": value for key, value in state.items()}
        for name, optimizer in self.optimizers.items():
            for index, values in optimizer.state_dict()["state"].items():
                found |= {f"adam.{name}.{index}.{k}": v for k, v in values.items()}
        return {
            k: v.detach().to("cpu", copy=True).contiguous() for k, v in found.items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Undo :meth:`tensors`."""
        missing = sorted(k for k in self.tensors() if k not in tensors)
        if missing:
            raise ValueError(
                f"snapshot lacks {len(missing)} tensors, first {missing[0]!r}; start "
                "again in an empty folder."
            )
        for name, network in self.networks.items():
            network.load_state_dict(_below(tensors, f"{name}."))
        for name, optimizer in self.optimizers.items():
            weights = optimizer.param_groups[0]["params"]
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(tensors, f"adam.{name}.").items():
                index, field = key.split(".")
                kept = _laid_out_like(value, weights[int(index)])
                state.setdefault(int(index), {})[field] = kept
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.source.set_state(tensors["random"])


def _laid_out_like(value: Tensor, weight: Tensor) -> Tensor:
    """A copy; moments of a weight lie in memory as the weight does."""
    if value.shape != weight.shape:
        return value.clone()
    return torch.empty_like(weight, requires_grad=False).copy_(value)


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
    }


def train(
    settings: TrainedAttacker,
    training: TrainingState,
    *,
    start: int,
    losses: Sequence[str],
    sample: Callable[[], NDArray[np.float32]],
    extra: dict[str, Any],
    recorder: Recorder | None,
    title: str,
) -> None:
    """Draw, step, log, snapshot.

    Parameters
    ----------
    settings : TrainedAttacker
        Says how many steps to make; learns whether they were replayed.
    training : TrainingState
        Makes the steps; what a snapshot holds.
    start : int
        Steps made already.
    losses : sequence of str
        Names of what a step returns.
    sample : callable
        Images to keep beside a snapshot.
    extra : dict
        What is written beside the tensors of a snapshot.
    recorder : Recorder or None
        Receives numbers, samples and snapshots.
    title : str
        Text of the progress bar.
    """
    waiting: list[tuple[int, Tensor]] = []
    stepper = Stepper(training, settings.cuda_graph)
    every = recorder.every if recorder else settings.steps
    bar = tqdm(
        total=settings.steps, initial=start, desc=title, disable=not settings.verbose
    )
    with bar:
        while start < settings.steps:
            # The random source must stand at the snapshot when it is written.
            end = min(settings.steps, start - start % every + every)
            numbers = range(start + 1, end + 1)
            draws = drawn(training.draw, numbers, training.place)
            for number, draw in zip(numbers, draws, strict=True):
                waiting.append((number, stepper(draw)))
                bar.update()
                if len(waiting) >= LOG_EVERY:
                    _flush(waiting, losses, recorder)
            _flush(waiting, losses, recorder)
            if recorder is not None:
                recorder.sample(end, sample())
                recorder.save(end, training.tensors(), extra)
            start = end
    settings.cuda_graph_ = stepper.recorded


def _flush(
    waiting: list[tuple[int, Tensor]], losses: Sequence[str], recorder: Recorder | None
) -> None:
    """Hand on the losses of some steps; only here the device is waited for."""
    if recorder is not None and waiting:
        rows = torch.stack([values for _, values in waiting]).tolist()
        for (step, _), row in zip(waiting, rows, strict=True):
            recorder.log(step, **dict(zip(losses, row, strict=True)))
    waiting.clear()


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
def generate(generator: nn.Module, noise: Tensor, condition: Tensor) -> Any:
    """Images of one condition for every row of noise, as an array."""
    place = next(generator.parameters()).device
    blocks = [
        generator(part.to(place), condition.expand(len(part), -1).to(place)).cpu()
        for part in torch.split(noise, 1000)
    ]
    return torch.cat(blocks).numpy()


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
        Passes over the pairs; at least 100 steps are made in any case.
    translation : int, default=0
        Largest shift of an image in pixels.
    learning_rate : float, default=2e-3
        Highest rate of the one-cycle schedule.
    verbose : int, default=0
        1 shows a progress bar.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    steps = max(100, epochs * len(pairs.images) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps
    )

    def draw(number: int) -> Draws:
        del number
        rows = pairs.draw(batch_size, source)
        return {"rows": rows, "shifts": draw_shifts(batch_size, translation, source)}

    draws = drawn(draw, range(steps), pairs.place)
    bar = tqdm(draws, desc="distil answers", total=steps, disable=not verbose)
    for now in bar:
        images = translate(pairs.images[now["rows"]], translation, now["shifts"])
        update(optimizer, F.cross_entropy(network(images), pairs.answers[now["rows"]]))
        schedule.step()


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
