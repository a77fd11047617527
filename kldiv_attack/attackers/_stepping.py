"""How training steps are made: random numbers in blocks, operations told or replayed.

A step is a function of tensors alone: everything random or scheduled in it is drawn
beforehand on the CPU, so that a seed means the same stream on every device, and is
copied to the device for many steps at once. Nothing in a step waits for the device,
which is what lets a GPU replay the recording of one step (a CUDA graph) instead of
being told some hundred small operations anew.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

#: Steps whose random numbers are copied to the device together.
BLOCK = 50
#: Steps made in the usual way before one is recorded.
WARM_UP = 3
# A recording is used if one step of it moves every network like the usual way does, up
# to this share of the way, and gives the same losses up to this share. Atomic sums
# differ in the last digits, and Adam turns a gradient that is nothing but rounding into
# a full step; a forgotten update or an input that is not renewed differs by the whole.
_SHARE_OF_STEP, _SHARE_OF_LOSS = 0.25, 0.01

#: What a step needs beside the networks, by name.
Draws = dict[str, Tensor]


class Training(Protocol):
    """What is trained step by step."""

    place: torch.device

    def draw(self, number: int) -> Draws:
        """Everything random or scheduled in a step, on the CPU, always alike."""

    def step(self, draws: Draws) -> Tensor:
        """Make a step and return its losses without waiting for the device."""

    def learners(self) -> Sequence[nn.Module]:
        """Networks that a step may change."""

    def live(self) -> list[Tensor]:
        """All tensors that a step may change, themselves and no copies."""


def stack(draws: Sequence[Draws]) -> Draws:
    """Draws of several turns or steps in one, along a new first axis."""
    return {name: torch.stack([each[name] for each in draws]) for name in draws[0]}


def drawn(
    draw: Callable[[int], Draws], numbers: range, place: torch.device
) -> Iterator[Draws]:
    """What every step needs, drawn in the order of the steps and copied in blocks.

    Parameters
    ----------
    draw : callable
        Takes the number of a step.
    numbers : range
        Steps to be made. The source of ``draw`` has gone on to the last of them when
        the last is handed out.
    place : torch.device
        Where the steps are made.

    Yields
    ------
    dict of str to Tensor
        Draws of one step, on the device.
    """
    for start in range(0, len(numbers), BLOCK):
        block = [draw(number) for number in numbers[start : start + BLOCK]]
        there = {name: _sent(values, place) for name, values in stack(block).items()}
        for row in range(len(block)):
            yield {name: values[row] for name, values in there.items()}


def _sent(values: Tensor, place: torch.device) -> Tensor:
    if place.type == "cuda":
        return values.pin_memory().to(place, non_blocking=True)
    return values.to(place)


def check_cuda_graph(wanted: bool | str, place: torch.device) -> None:
    """Refuse what ``cuda_graph`` cannot mean on a device."""
    if not isinstance(wanted, bool | str) or wanted not in ("auto", True, False):
        raise ValueError(f"cuda_graph={wanted!r}: expected 'auto', True or False.")
    if wanted is True and not can_record(place):
        raise ValueError(
            f"cuda_graph=True: device is {str(place)!r}, graphs need CUDA; choose "
            "cuda_graph='auto'."
        )


def can_record(place: torch.device) -> bool:
    """Whether a device can replay recordings."""
    return place.type == "cuda"


@contextmanager
def aside(place: torch.device) -> Iterator[None]:
    """Make steps on a stream of their own, as a recording asks of those before it."""
    with torch.cuda.device(place):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        usual = torch.cuda.current_stream()
        stream.wait_stream(usual)
        with torch.cuda.stream(stream):
            yield
        usual.wait_stream(stream)


def record(
    function: Callable[[], Tensor], place: torch.device
) -> tuple[Callable[[], None], Tensor]:
    """Record what a function asks of the device, without doing it.

    Parameters
    ----------
    function : callable
        Reads and writes tensors that stay where they are.
    place : torch.device
        A CUDA device.

    Returns
    -------
    tuple
        What does all of it again, and the tensor where the result is then found.
    """
    with torch.cuda.device(place):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = function()
    return graph.replay, result


class Stepper:
    """Makes the steps of a training, from a recording where that is possible.

    After three steps one is recorded. It is made both ways from the same state, and
    the recording is used if both agree.

    Parameters
    ----------
    training : Training
        What is trained.
    cuda_graph : {"auto"} or bool
        Whether to record. ``"auto"`` does on a GPU, and goes on without, with a
        warning, where the recording fails or disagrees; True raises then.
    """

    def __init__(self, training: Training, cuda_graph: bool | str):
        self.training = training
        self.demanded = cuda_graph is True
        self.wanted = cuda_graph is not False and can_record(training.place)
        self._made = 0
        self._inputs: Draws = {}
        self._replay: tuple[Callable[[], None], Tensor] | None = None

    @property
    def recorded(self) -> bool:
        """Whether steps are replayed."""
        return self._replay is not None

    def __call__(self, draws: Draws) -> Tensor:
        """Make a step and return its losses, on the device."""
        if self._replay is not None:
            return self._again(draws)
        if not self.wanted:
            return self.training.step(draws)
        if self._made < WARM_UP:
            self._made += 1
            with aside(self.training.place):
                return self.training.step(draws)
        return self._record(draws)

    def _again(self, draws: Draws) -> Tensor:
        replay, losses = self._replay  # type: ignore[misc]
        for name, values in self._inputs.items():
            values.copy_(draws[name])
        replay()
        return losses.clone()

    def _record(self, draws: Draws) -> Tensor:
        """Record a step, and make it both ways."""
        self._inputs = {name: torch.zeros_like(draws[name]) for name in draws}
        try:
            self._replay = record(
                lambda: self.training.step(self._inputs), self.training.place
            )
        except RuntimeError as error:
            self._give_up(f"could not be recorded ({error})")
            return self.training.step(draws)
        live = self.training.live()
        start = _copies(live)
        before = self._parameters()
        losses = self.training.step(draws).clone()
        end, usual = _copies(live), self._parameters()
        _put_back(live, start)
        found = self._again(draws)
        if _agree(before, usual, self._parameters(), losses, found):
            return found
        _put_back(live, end)
        self._give_up("does something else when it is replayed")
        return losses

    def _parameters(self) -> list[list[Tensor]]:
        return [_copies(list(n.parameters())) for n in self.training.learners()]

    def _give_up(self, reason: str) -> None:
        self._replay, self.wanted = None, False
        text = f"a training step {reason}"
        if self.demanded:
            raise RuntimeError(f"{text}; choose cuda_graph='auto' or False.")
        logger.warning("%s; the attack goes on without a CUDA graph.", text)


def _copies(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


@torch.no_grad()
def _put_back(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _agree(
    before: list[list[Tensor]],
    usual: list[list[Tensor]],
    found: list[list[Tensor]],
    losses: Tensor,
    found_losses: Tensor,
) -> bool:
    """Whether two ways to make a step moved every network alike."""
    for start, one, other in zip(before, usual, found, strict=True):
        if not _distance(one, other) <= _SHARE_OF_STEP * _distance(start, one):
            return False
    return torch.allclose(losses, found_losses, _SHARE_OF_LOSS, _SHARE_OF_LOSS)


def _distance(ones: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    squares = [
        (one - other).double().square().sum()
        for one, other in zip(ones, others, strict=True)
    ]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
