"""What an attack costs per step, and per image that it hands over."""

import inspect
import logging

import numpy as np

from .common import SEED

# All of kldiv_attack.attackers.ATTACKERS, spelled out: the grid is read without torch.
ATTACKERS = [
    "brep_mi",
    "cgan",
    "genetic",
    "gmi",
    "label_only",
    "lomma",
    "mi_face",
    "plg_mi",
    "preimage_gan",
    "retrieval",
]
STEPS = 30
# What makes an attack short; each attacker takes the ones that it has.
SHORT = {
    "steps": STEPS,
    "candidates": 1,
    "consistency": None,
    "n_generated": 100,
    "surrogate_steps": 10,
    "iterations": 5,
    "searches": 4,
    "variants": 20,
    "models": 1,
    "min_responses": 1,
    "random_state": SEED,
}


def prepare(name):
    """An attacker that has not learnt yet, a victim, and images of 28 x 28 pixels."""
    try:
        import torch

        from kldiv_attack import attackers
        from kldiv_attack.networks import VictimNetwork, seeded
        from kldiv_attack.victim import Victim
    except ImportError as error:
        raise NotImplementedError(str(error)) from error
    if name not in attackers.ATTACKERS:
        raise NotImplementedError(f"no attacker {name}")
    torch.set_num_threads(1)
    logging.getLogger("kldiv_attack").setLevel(logging.ERROR)  # noise has few classes
    rng = np.random.default_rng(SEED)
    images = rng.random((2000, 1, 28, 28), dtype=np.float32)
    with seeded(SEED):
        network = VictimNetwork((1, 28, 28), 10)
    victim = Victim(network, tuple("0123456789"), (1, 28, 28), device="cpu")
    accepted = inspect.signature(attackers.ATTACKERS[name]).parameters
    options = {k: v for k, v in SHORT.items() if k in accepted}
    return attackers.make_attacker(name, **options, device="cpu"), victim, images


class Attack:
    """A few steps of learning."""

    params = (ATTACKERS,)
    param_names = ("attacker",)
    timeout = 300

    def setup(self, name):
        self.attacker, self.victim, self.images = prepare(name)

    def time_fit(self, name):
        self.attacker.fit(self.victim, self.images)

    def peakmem_fit(self, name):
        self.attacker.fit(self.victim, self.images)


class Reconstruction:
    """200 images of one class."""

    params = (ATTACKERS,)
    param_names = ("attacker",)
    timeout = 300

    def setup(self, name):
        attacker, victim, images = prepare(name)
        self.fitted = attacker.fit(victim, images)
        self.label = min(set(range(10)) - set(self.fitted.reasons_))

    def time_invert(self, name):
        self.fitted.invert([self.label], 200)


class GanSteps:
    """The training loop of the GAN alone, by batch size."""

    params = ([64, 256],)
    param_names = ("batch_size",)
    timeout = 300

    def setup(self, batch_size):
        attacker, self.victim, self.images = prepare("cgan")
        options = {"consistency": None, "candidates": 1, "min_responses": 1}
        self.make = lambda steps: type(attacker)(
            steps=steps, batch_size=batch_size, device="cpu", **options
        )

    def time_30_steps(self, batch_size):
        self.make(30).fit(self.victim, self.images)

    def track_milliseconds_per_step(self, batch_size):
        """Cost of a step without what comes before and after the loop."""
        import time

        times = []
        for steps in (5, 35):
            begin = time.process_time()
            self.make(steps).fit(self.victim, self.images)
            times.append(time.process_time() - begin)
        return 1000 * (times[1] - times[0]) / 30

    track_milliseconds_per_step.unit = "ms"
