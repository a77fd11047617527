"""The recipes of the benchmark do what their names say."""

import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

FILE = Path(__file__).parents[3] / "benchmarks" / "recipes.py"
pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="benchmarks are those of a checkout"
)


@pytest.fixture(scope="module")
def recipes():
    spec = importlib.util.spec_from_file_location("recipes", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Gradients:
    """In place of an optimiser: keeps gradients and changes nothing."""

    def __init__(self, network):
        self.network = network

    def zero_grad(self, set_to_none=True):
        self.network.zero_grad(set_to_none=set_to_none)

    def step(self):
        self.seen = [weight.grad.clone() for weight in self.network.parameters()]


def gradients(network, step, images, labels):
    optimizer = Gradients(network)
    step(network, images, labels, optimizer)
    return torch.cat([one.flatten() for one in optimizer.seen])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(12, 1, 10, 9, generator=generator)
    return images, torch.arange(12) % 4


def test_private_steps_cut_off_single_rows(recipes, batch):
    torch.manual_seed(0)
    network = recipes.make_network((1, 10, 9), 4)
    plain = gradients(network, recipes.plain_step, *batch)
    step = partial(recipes.private_step, noise=0.0, expected=12.0)
    whole = gradients(network, partial(step, clip=1e6), *batch)
    torch.testing.assert_close(whole, plain, rtol=1e-4, atol=1e-6)
    one = [row[:1] for row in batch]
    alone = gradients(network, partial(step, clip=0.01), *one)
    assert alone.norm() * 12 == pytest.approx(0.01, rel=1e-4)
    noisy = partial(recipes.private_step, noise=3.0, expected=12.0, clip=0.5)
    added = gradients(network, noisy, *batch)
    assert added.std() * 12 == pytest.approx(3.0 * 0.5, rel=0.1)


@pytest.mark.parametrize(
    ("noise", "epochs", "epsilon"), [(1.3, 15, 1.19), (1.1, 60, 3.01), (0.7, 45, 7.1)]
)
def test_epsilon_is_that_of_published_trainings(recipes, noise, epochs, epsilon):
    """Of 60,000 digits in batches of 256: the table of TensorFlow Privacy."""
    found = recipes.epsilon_of(noise, 256 / 60000, epochs * 60000 // 256)
    assert found == pytest.approx(epsilon, rel=0.02)


def test_smoothing_steps_ask_for_more_than_certainty(recipes, batch):
    torch.manual_seed(0)
    network = recipes.make_network((1, 10, 9), 4)
    images, labels = batch
    found = gradients(network, recipes.smoothing_step, *batch)
    targets = torch.full((12, 4), -0.05 / 4) + 1.05 * F.one_hot(labels, 4)
    network.zero_grad()
    F.cross_entropy(network(images), targets).backward()
    expected = torch.cat([weight.grad.flatten() for weight in network.parameters()])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_erasing_steps_see_images_with_holes(recipes, batch):
    class Seen(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            self.images = images
            return torch.zeros(len(images), 4) + self.weight

    network = Seen()
    gradients(network, recipes.erasing_step, *batch)
    erased = (network.images == 0).float().mean((1, 2, 3)).numpy()
    assert ((erased > 0.05) & (erased < 0.5)).all()
    assert len(np.unique(erased)) > 3
