"""What a training consists of, and how a snapshot keeps it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kldiv_attack.attackers._stepping import Draws, stack
from kldiv_attack.attackers._updates import draw_shifts, following

CHECKPOINT_FORMAT = 3
#: What is drawn once per step and not for every turn of the discriminator.
ONCE = {"moved", "following", "lesson"}


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
