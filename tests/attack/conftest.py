"""Small experiments that run in seconds."""

import copy
import inspect
import json
from functools import partial

import numpy as np
import pytest
import torch

from kldiv_attack import LabelledImages, load_dataset
from kldiv_attack._classifier_training import train_judge, train_victim
from kldiv_attack.attackers import ATTACKERS, _cgan_training, _pairs, _wasserstein
from kldiv_attack.attackers._pairs import distil
from kldiv_attack.attackers._updates import recalibrate
from kldiv_attack.victim import Victim

# Few steps of a small attacker: enough to walk the whole path, not to succeed.
STEPS = 12
QUICK_VICTIM = {"epochs": 3, "batch_size": 32}
SMALL = {
    "steps": STEPS,
    "batch_size": 8,
    "width": 8,
    "n_noise": 8,
    "n_generated": 40,
    "surrogate_steps": 10,
    "iterations": 3,
    "restarts": 2,
    "searches": 4,
    "points": 6,
    "population": 4,
    "models": 1,
    "top": 30,
}


def small(attacker, **changes):
    """Parameters that make an attacker quick: those of SMALL that it has."""
    accepted = inspect.signature(ATTACKERS[attacker]).parameters
    chosen = {k: v for k, v in SMALL.items() if k in accepted}
    if "gan" in accepted:
        chosen["gan"] = {"consistency": None}
    return chosen | changes


def three_digits(part, n=None):
    """Of the embedded images, or the first n of them.

    Enough where more classes and images only take more time.
    """
    data = load_dataset("digits", part=part)
    kept = np.flatnonzero(data.labels < 3)[:n]
    return LabelledImages(data.images[kept], data.labels[kept], "012", data.name)


def digest(fitted):
    """Three images of every class."""
    return fitted.invert(fitted.classes_, 3)


class MemoryRecorder:
    """Keeps everything as a file would: only tensors and JSON."""

    def __init__(self, every=5, stop_at=None, stop_after=None):
        self.every = every
        self.stop_at, self.stop_after = stop_at, stop_after
        self.numbers, self.samples, self.snapshot = {}, {}, None
        self.n_saves = 0

    def log(self, step, **values):
        assert all(isinstance(value, float) for value in values.values())
        self.numbers[step] = values

    def sample(self, step, images):
        self.samples[step] = images

    def save(self, step, tensors, extra):
        assert all(type(tensor) is torch.Tensor for tensor in tensors.values())
        assert all(tensor.is_contiguous() for tensor in tensors.values())
        self.snapshot = step, copy.deepcopy(tensors), json.dumps(extra)
        self.n_saves += 1
        if step == self.stop_at or self.n_saves == self.stop_after:
            raise KeyboardInterrupt

    def load(self):
        if self.snapshot is None:
            return None
        step, tensors, extra = self.snapshot
        self.numbers = {k: v for k, v in self.numbers.items() if k <= step}
        return step, copy.deepcopy(tensors), json.loads(extra)


@pytest.fixture
def brief(monkeypatch):
    """Surrogates and averages that are worse, where a test is not about them."""
    monkeypatch.setattr(_pairs, "LEAST_STEPS", 10)
    monkeypatch.setattr(_cgan_training, "distil", partial(distil, epochs=1))
    for module in (_cgan_training, _wasserstein):
        monkeypatch.setattr(module, "recalibrate", partial(recalibrate, batches=1))


@pytest.fixture(scope="session")
def private():
    return load_dataset("digits", part="train")


@pytest.fixture(scope="session")
def public():
    return load_dataset("digits", part="test")


@pytest.fixture(scope="session")
def trained(private):
    return train_victim(private, epochs=8, batch_size=64)


@pytest.fixture(scope="session")
def judge(private):
    return train_judge(private, epochs=10, batch_size=64)


@pytest.fixture
def victim(trained):
    """The same network with a fresh counter."""
    return Victim(trained.network, trained.class_names, trained.image_shape)


@pytest.fixture
def quick():
    """Settings of a run that takes a second or two."""
    return {
        "seed": 3,
        "train": {"name": "digits", "part": "train"},
        "held_out": {"name": "digits", "part": "test"},
        "aux": {"name": "glyphs", "split": "letters", "size": 8, "n_per_class": 30},
        "victim": QUICK_VICTIM,
        "judge": {"epochs": 3, "batch_size": 32},
        "attacker": {"name": "cgan", "steps": STEPS},
        "checkpoint_every": 4,
        "evaluate": {"n_reconstructions": 20},
    }


@pytest.fixture(scope="session")
def quick_models(tmp_path_factory):
    """Folder of one victim and one judge for all quick runs."""
    return tmp_path_factory.mktemp("models")
