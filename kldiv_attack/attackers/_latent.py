"""Search of a generator's codes through queries: what such attackers share."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from kldiv_attack._classifier import resolve_device
from kldiv_attack._progress import progress
from kldiv_attack._rules import POSITIVE, Pair, Rule, Whole
from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._cgan_training import CGANSettings, CGANTraining
from kldiv_attack.attackers._pairs import Pairs
from kldiv_attack.attackers._recorder import Recorder, Snapshot
from kldiv_attack.attackers._training import QUERY_BATCH, train
from kldiv_attack.datasets import LabelledImages

logger = logging.getLogger(__name__)

CHUNK = 1000  # codes that are turned into images together

#: Asks about the images of codes; the answers may end where the budget does.
Ask = Callable[[Tensor, Tensor], NDArray[Any]]


class Search(ABC):
    """Searches of several classes side by side, one step of all at a time.

    Parameters
    ----------
    labels : Tensor of shape (n_searches,)
        What each search looks for.
    n_noise : int
        Length of a code; codes of the prior are standard normal.
    seed : int
        Seed.
    """

    def __init__(self, labels: Tensor, n_noise: int, seed: int):
        self.labels = labels
        self.n_noise = n_noise
        self.source = torch.Generator().manual_seed(seed)
        self.going = torch.ones(len(labels), dtype=torch.bool)

    def draw(self, *shape: int) -> Tensor:
        """Codes of the prior."""
        return torch.randn(*shape, self.n_noise, generator=self.source)

    @abstractmethod
    def step(self, ask: Ask) -> None:
        """Make a step of every search that goes on."""

    @abstractmethod
    def progress(self) -> dict[str, float]:
        """Numbers for the log."""

    @abstractmethod
    def found(self, label: int) -> list[Tensor]:
        """Codes of a class, the better ones in the first tensors."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Tensors that steps change, themselves and no copies."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a continued search needs."""
        kept = {**self.state(), "random": self.source.get_state()}
        return {f"search.{name}": value.clone() for name, value in kept.items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Undo :meth:`tensors`."""
        for name, value in self.state().items():
            value.copy_(tensors[f"search.{name}"])
        self.source.set_state(tensors["search.random"])


class LatentAttacker(CGANSettings):
    """Train a conditional GAN on public images, then search its codes by queries.

    The queries of a search belong to ``fit``: ``invert`` draws from what was found.
    A subclass makes its :class:`Search`.
    """

    iterations: int
    searches: int
    min_responses: int
    codes_: dict[int, list[Tensor]]

    # The prior is the paper's conditional GAN; what is chosen from it is the search's.
    loss = "vanilla"
    critic_steps = None
    discriminator = "projection"
    spectral_norm = None
    conditional_norm = True
    consistency = None
    consistency_weight = 0.0
    candidates = 1

    rules: ClassVar[Mapping[str, Rule]] = {
        "iterations": Whole(),
        "searches": Whole(),
        "learning_rate": Pair(POSITIVE),
    }

    @abstractmethod
    def _make_search(self, labels: Tensor) -> Search: ...

    def _settings(self) -> dict[str, Any]:
        """The search follows the last step, so that their number matters too."""
        return {**super()._settings(), "steps": self.steps}

    def prior(
        self, labels: ArrayLike, n: int, *, random_state: int = 0
    ) -> NDArray[np.float32]:
        """What the generator returns without a search; see :meth:`Attacker.prior`."""
        self._check_fitted()
        kept, self.codes_ = self.codes_, {}
        try:
            return self.invert(labels, n, random_state=random_state)
        finally:
            self.codes_ = kept

    def _fit(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        recorder: Recorder | None,
    ) -> None:
        snapshot = self._resume(recorder)
        images, answers = self._answers(victim, images, snapshot)
        if answers.ndim == 1:
            answers = np.eye(victim.n_classes, dtype=np.float32)[answers]
        kept = self._learn(images, answers, victim.n_queries, recorder, snapshot)
        known = [int(c) for c in self.classes_ if c not in self.reasons_]
        search = self._make_search(torch.tensor(known).repeat_interleave(self.searches))
        self._run(search, victim, recorder, snapshot, kept)
        self.codes_ = {c: search.found(c) for c in known}

    def _fit_ideal(self, data: LabelledImages, recorder: Recorder | None) -> None:
        """Whoever owns the images has nobody to ask and nothing to search for."""
        answers = np.eye(data.n_classes, dtype=np.float32)[data.labels]
        self._learn(data.images, answers, 0, recorder, self._resume(recorder))
        self.codes_ = {}

    def _learn(
        self,
        images: NDArray[np.float32],
        answers: NDArray[np.float32],
        n_queries: int,
        recorder: Recorder | None,
        snapshot: Snapshot | None,
    ) -> dict[str, Tensor]:
        """Train the generator; returns what snapshots of the search hold of it."""
        self.responses_ = answers
        self._find_reasons(answers.argmax(1), self.min_responses)
        pairs = Pairs(images, answers, resolve_device(self.device))
        training = CGANTraining(self, answers.shape[1], pairs)
        start = 0
        if snapshot is not None:
            training.restore(snapshot[1])
            start = min(snapshot[0], self.steps)
        train(
            self,
            training,
            start=start,
            losses=("loss_discriminator", "loss_generator", "consistency"),
            sample=training.grid,
            extra=self._extra(n_queries),
            recorder=recorder,
            title="train cGAN",
        )
        kept = training.tensors() if recorder else {}
        self.generator_ = training.finish()
        return kept

    def _run(
        self,
        search: Search,
        victim: QueryAccess,
        recorder: Recorder | None,
        snapshot: Snapshot | None,
        kept: dict[str, Tensor],
    ) -> None:
        """Step, log, snapshot; a budget that ends, ends the search."""
        start = 0
        if snapshot is not None and snapshot[0] > self.steps:
            start = snapshot[0] - self.steps
            search.restore(snapshot[1])
            self.budget_exhausted_ = bool(snapshot[2]["exhausted"])

        def ask(codes: Tensor, labels: Tensor) -> NDArray[Any]:
            return self._ask_within(victim, self._render(codes, labels))

        def save(number: int) -> None:
            if recorder is not None:
                extra = self._extra(victim.n_queries)
                extra["exhausted"] = self.budget_exhausted_
                state = {**kept, **search.tensors()}
                recorder.save(self.steps + number, state, extra)

        numbers = range(start + 1, self.iterations + 1)
        for number in progress(numbers, desc="search", disable=not self.verbose):
            if not self.budget_exhausted_ and bool(search.going.any()):
                search.step(ask)
            if recorder is not None:
                recorder.log(self.steps + number, **search.progress())
                if number % recorder.every == 0 or number == self.iterations:
                    save(number)
        if recorder is not None:
            self.codes_ = {c: search.found(c) for c in set(search.labels.tolist())}
            recorder.sample(self.steps + self.iterations, self._sample())
            save(self.iterations)

    def _ask_within(
        self, victim: QueryAccess, images: NDArray[np.float32]
    ) -> NDArray[Any]:
        """Answers about as many of the images as the budget allows."""
        allowed = victim.remaining
        if allowed is not None and allowed < len(images):
            self.budget_exhausted_ = True
            logger.warning(
                "the victim's budget allows %d more queries: the search stops there.",
                allowed,
            )
            images = images[:allowed]
        if not len(images):
            shape = (0,) if self.access == "labels" else (0, victim.n_classes)
            return np.empty(shape, dtype=np.float32)
        parts = range(0, len(images), QUERY_BATCH)
        return np.concatenate(
            [victim.query(images[i : i + QUERY_BATCH]) for i in parts]
        )

    @torch.no_grad()
    def _render(self, codes: Tensor, labels: Tensor) -> NDArray[np.float32]:
        """Images of codes, each of its own class."""
        place = next(self.generator_.parameters()).device
        asked = torch.eye(len(self.classes_))[labels]
        parts = zip(torch.split(codes, CHUNK), torch.split(asked, CHUNK), strict=True)
        images = [self.generator_(z.to(place), y.to(place)).cpu() for z, y in parts]
        return torch.cat(images).numpy()

    def _invert(self, label: int, n: int, random_state: int) -> NDArray[np.float32]:
        source = self._source_of(label, random_state)
        if label not in self.codes_:
            codes = torch.randn(n, self.n_noise, generator=source)
        else:
            rows = [
                codes[torch.randperm(len(codes), generator=source)]
                for codes in self.codes_[label]
            ]
            codes = torch.cat(rows)
            codes = codes[torch.arange(n) % len(codes)]
        return self._render(codes, torch.full((n,), label))

    def _sample(self) -> NDArray[np.float32]:
        """Ten images of every class."""
        blank = np.zeros((10, *self.image_shape_), np.float32)
        return np.stack(
            [
                blank if c in self.reasons_ else self._invert(int(c), 10, 0)
                for c in self.classes_
            ]
        )
