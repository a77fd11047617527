"""What attackers that learn step by step share: parameters, snapshots, the loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kldiv_attack._classifier import resolve_device
from kldiv_attack._classifier_training import train_victim
from kldiv_attack._progress import progress
from kldiv_attack._rules import (
    FRACTION,
    WIDTH,
    Choice,
    Flag,
    Rule,
    Whole,
    optional,
    plain,
)
from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._base import Attacker
from kldiv_attack.attackers._recorder import Recorder, Snapshot
from kldiv_attack.attackers._snapshots import CHECKPOINT_FORMAT, TrainingState
from kldiv_attack.attackers._stepping import Stepper, check_cuda_graph, drawn
from kldiv_attack.datasets import LabelledImages

QUERY_BATCH = 1000


LOG_EVERY = 50


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
    rules: ClassVar[Mapping[str, Rule]] = {
        "steps": Whole(),
        "min_responses": Whole(),
    }

    def _settings(self) -> dict[str, Any]:
        """Everything that a snapshot must agree on."""
        unimportant = {"steps", "device", "verbose", "channels_last", "cuda_graph"}
        settings = {k: v for k, v in vars(self).items() if not k.endswith("_")}
        settings = {k: v for k, v in settings.items() if not k.startswith("_")}
        return {k: plain(v) for k, v in settings.items() if k not in unimportant}

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


class GANAttacker(TrainedAttacker):
    """Base of attackers that train a generator of images."""

    rules: ClassVar[Mapping[str, Rule]] = {
        "batch_size": Whole(2, 2**20),  # batch normalisation needs two
        "ema": FRACTION,
        "momentum": FRACTION,
        "n_noise": Whole(1, 2**16),
        "width": WIDTH,
        "translation": optional(Whole(0)),
        "precision": Choice(("float32", "bfloat16")),
        "channels_last": Flag(),
    }

    def check(self, image_shape: tuple[int, ...] | None = None) -> None:
        """See :meth:`Attacker.check`; sides of images are multiples of 4."""
        super().check(image_shape)
        check_cuda_graph(self.cuda_graph, resolve_device(self.device))
        height, width = (8, 8) if image_shape is None else image_shape[1:]
        if height % 4 or width % 4 or min(height, width) < 8:
            raise ValueError(
                f"{type(self).__name__} needs images whose sides are multiples of 4 "
                f"and at least 8, got {height} x {width}; pad or resize the images and "
                "train the victim on them."
            )


class NetworkTaughtAttacker(GANAttacker):
    """A GAN that answers to the public images and the victim's gradient teach."""

    @abstractmethod
    def _learn(
        self,
        images: NDArray[np.float32],
        answers: NDArray[np.float32],
        network: nn.Module,
        n_queries: int,
        recorder: Recorder | None,
        snapshot: Snapshot | None,
    ) -> None: ...

    def _fit(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        recorder: Recorder | None,
    ) -> None:
        snapshot = self._resume(recorder)
        images, answers = self._answers(victim, images, snapshot)
        self._learn(
            images, answers, victim.network, victim.n_queries, recorder, snapshot
        )

    def _fit_ideal(self, data: LabelledImages, recorder: Recorder | None) -> None:
        """The owner of the images has no victim: one is trained on them."""
        answers = np.eye(data.n_classes, dtype=np.float32)[data.labels]
        network = own_victim(data, self.device, self.random_state)
        self._learn(data.images, answers, network, 0, recorder, self._resume(recorder))


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
    bar = progress(
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
