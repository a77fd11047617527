"""Snapshots of an attack in two stages."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kldiv_attack.attackers._recorder import Recorder, Snapshot

CHECKPOINT_FORMAT = 1


PREFIX = "label_only."


class Stages:
    """Snapshots of an attack in two stages, each of which trains one GAN.

    What is known beside the GAN of a stage is stored with its tensors.
    """

    def __init__(self, recorder: Recorder | None, settings: dict[str, Any]):
        self.recorder = recorder
        self.every = recorder.every if recorder else 0
        self.settings = json.loads(json.dumps(settings))
        self.kept: dict[str, Tensor] = {}
        self.exhausted = False
        self.n_queries = 0
        self.stage = 0
        self.before = 0  # steps of earlier stages
        self.last_saved: Snapshot | None = None
        found = recorder.load() if recorder else None
        self.found: Snapshot | None = None if found is None else self._read(found)

    def _read(self, found: Snapshot) -> Snapshot:
        """Take what is ours out of a snapshot; what is left is the GAN's."""
        step, tensors, extra = found
        if extra.get("format") != CHECKPOINT_FORMAT:
            raise ValueError(
                f"snapshot of format {extra.get('format')}: expected "
                f"{CHECKPOINT_FORMAT}; start again in an empty folder."
            )
        own = extra["label_only"]
        self._compare(own["settings"])
        self.exhausted, self.n_queries = own["exhausted"], own["n_queries"]
        self.stage, self.before = own["stage"], own["before"]
        self.kept = {
            name.removeprefix(PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(PREFIX)
        }
        gan = {k: v for k, v in tensors.items() if not k.startswith(PREFIX)}
        return step - self.before, gan, extra["gan"]

    def _compare(self, theirs: dict[str, Any]) -> None:
        ours = self.settings
        if theirs.get("data") != ours["data"]:
            raise ValueError(
                "snapshot was made with other images; start again in an empty folder."
            )
        changed = [k for k in ours if ours[k] != theirs.get(k)]
        if changed:
            pairs = ", ".join(
                f"{k}={ours[k]!r} (was {theirs.get(k)!r})" for k in changed
            )
            raise ValueError(
                f"snapshot was made with other settings: {pairs}; put them back or "
                "start again in an empty folder."
            )

    def keep(self, name: str, tensor: Tensor) -> None:
        """Store this with every snapshot from now on."""
        self.kept[name] = tensor

    def note(self, n_queries: int, exhausted: bool) -> None:
        """Store these numbers with every snapshot from now on."""
        self.n_queries, self.exhausted = n_queries, exhausted

    def enter(self, stage: int, before: int) -> Recorder | None:
        """Recorder of the GAN of a stage that follows so many steps."""
        if self.found is not None and stage != self.stage:
            self.found = None
        self.stage, self.before = stage, before
        return self if self.recorder else None

    def save_again(self) -> None:
        """Store what has become known since the last snapshot."""
        if self.last_saved is not None:
            self.save(*self.last_saved)

    # What a GAN asks of a recorder

    @property
    def _recorder(self) -> Recorder:
        if self.recorder is None:
            raise TypeError("no recorder was given.")
        return self.recorder

    def log(self, step: int, **values: float) -> None:
        """Pass numbers on."""
        self._recorder.log(self.before + step, **values)

    def sample(self, step: int, images: NDArray[np.float32]) -> None:
        """Pass images on."""
        self._recorder.sample(self.before + step, images)

    def save(
        self, step: int, tensors: dict[str, Tensor], extra: dict[str, Any]
    ) -> None:
        """Pass a snapshot on, with what is known beside it."""
        copied = {k: v.detach().clone() for k, v in tensors.items()}
        self.last_saved = step, copied, extra
        own = {
            "settings": self.settings,
            "exhausted": self.exhausted,
            "n_queries": self.n_queries,
            "stage": self.stage,
            "before": self.before,
        }
        self._recorder.save(
            self.before + step,
            {**tensors, **{PREFIX + k: v for k, v in self.kept.items()}},
            {"format": CHECKPOINT_FORMAT, "label_only": own, "gan": extra},
        )

    def load(self) -> Snapshot | None:
        """The snapshot of this stage, if there is one."""
        return self.found
