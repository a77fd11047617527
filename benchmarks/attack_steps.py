"""Training steps per second of the attackers' GANs, on a CPU or a GPU.

    python benchmarks/attack_steps.py [--device auto] [--steps 100] [--rounds 5]
        [--attacker cgan] [--attacker preimage_gan] [--attacker gmi]

Networks for images of 28 x 28 pixels and batches of 64, on random images. All ways to
make a step take turns in one process, and the fastest round of each counts; ratios are
to the first row. On a GPU the wall clock is read after the device has finished, on a
CPU the time of the process on one thread. Rows:

published    How published attack repositories train a conditional GAN: batches from a
             data loader, moved to the device one by one; one pass for real and one for
             generated images; the losses read in every step.
usual        The step of this library, its operations launched one by one.
replayed     The same step as a CUDA graph; on a CPU there is none.
draws alone  The random numbers of a step, which are drawn on the CPU.

usual and replayed also with ``precision="bfloat16"`` and ``channels_last=True``.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from kldiv_attack import make_attacker
from kldiv_attack._classifier import resolve_device
from kldiv_attack.attackers._cgan_training import CGANTraining
from kldiv_attack.attackers._gmi import GMITraining
from kldiv_attack.attackers._pairs import Pairs
from kldiv_attack.attackers._preimage_gan import PreImageGANTraining
from kldiv_attack.attackers._snapshots import TrainingState
from kldiv_attack.attackers._stepping import Stepper, drawn
from kldiv_attack.attackers._updates import frozen_copy
from kldiv_attack.networks import Discriminator, Generator, VictimNetwork, seeded

SHAPE, N_CLASSES, N_IMAGES, BATCH = (1, 28, 28), 10, 10_000, 64
OPTIONS = {
    "": {},
    " bfloat16": {"precision": "bfloat16"},
    " channels last": {"channels_last": True},
    " bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
}


def main() -> None:
    """Print one table per attacker."""
    options = arguments()
    torch.set_num_threads(1)
    place = resolve_device(options.device)
    print(f"{name_of(place)}; torch {torch.__version__}\n")
    for attacker in options.attacker or ["cgan", "preimage_gan", "gmi"]:
        table(attacker, place, options.steps, options.rounds)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=100, help="steps per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--attacker", action="append", default=[])
    return parser.parse_args()


def name_of(place: torch.device) -> str:
    """What the steps are made on."""
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    return f"{place.type}, one thread"


def table(attacker: str, place: torch.device, steps: int, rounds: int) -> None:
    """Time all ways to make a step in turns and print them."""
    images, answers = data()
    ways: dict[str, Callable[[int], None]] = {}
    if attacker == "cgan":
        ways["published"] = published(images, answers, place)
    graphs = {"usual": False, "replayed": True}
    if place.type != "cuda":
        del graphs["replayed"]
    for kind, cuda_graph in graphs.items():
        for suffix, chosen in OPTIONS.items():
            training = training_of(attacker, images, answers, place, chosen)
            ways[kind + suffix] = ours(training, Stepper(training, cuda_graph))
    ways["draws alone"] = draws_alone(training_of(attacker, images, answers, place, {}))
    for way in ways.values():
        way(10)  # warm up and record
    times = in_turns(ways, steps, rounds, place)
    first = min(next(iter(times.values())))
    print(f"{attacker:<36}{'ms per step':>12}{'steps per s':>13}{'ratio':>8}")
    for name, found in times.items():
        each = min(found) / steps
        rate = first / min(found)
        print(f"{name:<36}{1000 * each:>12.2f}{1 / each:>13.0f}{rate:>8.2f}")
    print()


def in_turns(
    ways: dict[str, Callable[[int], None]], steps: int, rounds: int, place: torch.device
) -> dict[str, list[float]]:
    """Seconds of every round of every way."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(seconds(way, steps, place))
    return times


def seconds(way: Callable[[int], None], steps: int, place: torch.device) -> float:
    """Wall clock of a GPU that has finished, or time of this process."""
    if place.type != "cuda":
        begin = time.process_time()
        way(steps)
        return time.process_time() - begin
    torch.cuda.synchronize(place)
    begin = time.perf_counter()
    way(steps)
    torch.cuda.synchronize(place)
    return time.perf_counter() - begin


def data() -> tuple[np.ndarray, np.ndarray]:
    """Random images and answers."""
    rng = np.random.default_rng(0)
    images = rng.random((N_IMAGES, *SHAPE), dtype=np.float32)
    return images, rng.dirichlet(np.full(N_CLASSES, 0.1), N_IMAGES).astype(np.float32)


def training_of(
    name: str,
    images: np.ndarray,
    answers: np.ndarray,
    place: torch.device,
    chosen: dict[str, object],
) -> TrainingState:
    """The training of an attacker with its default parameters."""
    settings = make_attacker(name, device=place, **chosen)
    settings._begin(tuple("0123456789"), images)
    pairs = Pairs(images, answers, place)
    if name == "cgan":
        return CGANTraining(settings, N_CLASSES, pairs)
    if name == "gmi":
        return GMITraining(settings, pairs.images)
    with seeded(0):
        victim = VictimNetwork(SHAPE, N_CLASSES)
    return PreImageGANTraining(settings, pairs, frozen_copy(victim, place))


def ours(training: TrainingState, stepper: Stepper) -> Callable[[int], None]:
    """Make so many steps and read the losses once."""

    def way(steps: int) -> None:
        numbers = range(1, steps + 1)
        losses = [
            stepper(draws) for draws in drawn(training.draw, numbers, training.place)
        ]
        torch.stack(losses).tolist()

    return way


def draws_alone(training: TrainingState) -> Callable[[int], None]:
    """Draw for so many steps and make none."""
    cpu = torch.device("cpu")

    def way(steps: int) -> None:
        for _ in drawn(training.draw, range(1, steps + 1), cpu):
            pass

    return way


def published(
    images: np.ndarray, answers: np.ndarray, place: torch.device
) -> Callable[[int], None]:
    """The structure of published training loops, with the same networks."""
    with seeded(0):
        generator = Generator(SHAPE, N_CLASSES).to(place)
        discriminator = Discriminator(SHAPE, N_CLASSES).to(place)
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=3e-4, betas=(0.0, 0.99))
        for network in (generator, discriminator)
    ]
    pairs = TensorDataset(torch.from_numpy(images), torch.from_numpy(answers))
    loader = DataLoader(pairs, BATCH, shuffle=True, drop_last=True)

    def forever() -> Iterator[list[torch.Tensor]]:
        while True:
            yield from loader

    batches = forever()
    softplus = torch.nn.functional.softplus

    def way(steps: int) -> None:
        for _ in range(steps):
            real, given = (part.to(place) for part in next(batches))
            noise = torch.randn(BATCH, 64).to(place)
            fake = generator(noise, given)
            optimizers[1].zero_grad()
            loss_real = softplus(-discriminator(real, given)).mean()
            loss_fake = softplus(discriminator(fake.detach(), given)).mean()
            (loss_real + loss_fake).backward()
            optimizers[1].step()
            optimizers[0].zero_grad()
            loss = softplus(-discriminator(fake, given)).mean()
            loss.backward()
            optimizers[0].step()
            _ = loss_real.item(), loss_fake.item(), loss.item()

    return way


if __name__ == "__main__":
    main()
