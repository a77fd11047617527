"""The part of a victim that an attacker declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kldiv_attack._classifier import check_logits
from kldiv_attack.victim import Victim


class QueryAccess:
    """The part of a victim that an attacker declared; nothing else is reachable.

    Parameters
    ----------
    victim : Victim
        The classifier under attack.
    access : {"labels", "probabilities", "gradients"}
        What the attacker declared.

    Attributes
    ----------
    n_classes : int
        Number of classes.
    class_names : tuple of str
        Names of the classes.
    asked_before : int
        Queries of an interrupted run that this one continues; they count.
    deterministic : bool
        Whether the victim is a frozen network; a plain function may answer otherwise
        when it is asked again.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv_attack import Victim
    >>> def black(images):
    ...     return np.tile([0.9, 0.1], (len(images), 1))
    >>> victim = Victim.from_callable(black, n_classes=2)
    >>> QueryAccess(victim, "labels").query(np.zeros((2, 1, 8, 8)))
    array([0, 0])
    >>> victim.n_queries
    2
    """

    __slots__ = (
        "_ask",
        "_network",
        "_spent",
        "asked_before",
        "class_names",
        "deterministic",
        "n_classes",
    )

    def __init__(self, victim: Victim, access: str):
        if access != "labels" and victim.answers == "labels":
            raise ValueError(
                f"this attack needs {access}, the victim answers only labels; choose "
                "an attacker with access='labels'."
            )
        if access == "gradients" and not victim.has_gradients:
            raise ValueError(
                "this attack needs gradients, the victim is a plain function; choose a "
                "black-box attacker."
            )
        self.n_classes = victim.n_classes
        self.class_names = victim.class_names
        self._ask = _labels_of(victim) if access == "labels" else victim.query
        self._spent = _spent_of(victim)
        self._network = victim.network if access == "gradients" else None
        self.deterministic = victim.has_gradients
        self.asked_before = 0

    def query(self, images: Any) -> NDArray[Any]:
        """Answers of the victim, counted by the victim."""
        return self._ask(images)

    @property
    def n_queries(self) -> int:
        """Images asked about so far, those of the interrupted run included."""
        made, counted, _ = self._spent()
        return self.asked_before + made - counted

    @property
    def remaining(self) -> int | None:
        """Images that may still be asked about; None without a budget."""
        made, counted, budget = self._spent()
        if budget is None:
            return None
        # An interrupted run of this process is in both numbers, but made once.
        return max(0, budget - made - max(0, self.asked_before - counted))

    @property
    def network(self) -> nn.Module:
        """The frozen network, for attackers that declared gradients."""
        if self._network is None:
            raise PermissionError(
                "this attacker did not declare access='gradients'; it may only query."
            )
        return self._network


def _labels_of(victim: Victim) -> Any:
    def ask(images: Any) -> NDArray[np.int64]:
        answers = victim.query(images)
        return answers if answers.ndim == 1 else answers.argmax(1)

    return ask


def _spent_of(victim: Victim) -> Callable[[], tuple[int, int, int | None]]:
    counted = victim.n_queries  # when the attack begins
    return lambda: (victim.n_queries, counted, victim.budget)


@torch.no_grad()
def check_network(victim: Victim, images: NDArray[np.float32]) -> None:
    """Refuse a network whose outputs are no logits of the victim's classes."""
    (pixels,) = victim._batches(images)  # checks their shape
    check_logits(victim.network(pixels), len(pixels), victim.n_classes)
