"""Torch modules: shapes, value ranges, conditioning."""

import numpy as np
import pytest
import torch

from kldiv_attack.networks import (
    NETWORKS,
    ConditionalBatchNorm,
    Discriminator,
    Generator,
    halvings,
)

SHAPES = [(1, 8, 8), (3, 12, 16), (1, 28, 28), (1, 32, 32), (3, 64, 64)]


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("kind", sorted(NETWORKS))
@pytest.mark.parametrize("shape", [*SHAPES, (1, 9, 11)])
def test_classifiers_take_any_size_from_eight(kind, shape):
    network = NETWORKS[kind](shape, 7, 8).eval()
    images = torch.rand(5, *shape)
    assert network(images).shape == (5, 7)
    assert network.features(images).shape == (5, network.n_features)
    # Normalisation is inside: the head sees exactly what features returns.
    torch.testing.assert_close(network(images), network.head(network.features(images)))


def test_victim_and_judge_have_no_layer_in_common():
    victim, judge = (NETWORKS[kind]((1, 28, 28), 10) for kind in ("victim", "judge"))
    shapes = [
        {tuple(p.shape) for p in network.body.parameters() if p.ndim > 1}
        for network in (victim, judge)
    ]
    assert not shapes[0] & shapes[1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("conditional_norm", [True, False])
def test_generator_makes_images(shape, conditional_norm):
    generator = Generator(shape, 10, 16, 12, conditional_norm)
    images = generator(torch.randn(4, 16), torch.eye(10)[:4])
    assert images.shape == (4, *shape)
    assert float(images.detach().min()) >= 0
    assert float(images.detach().max()) <= 1


@pytest.mark.parametrize(
    ("sides", "times"),
    [
        ((8, 8), 2),
        ((28, 28), 2),
        ((32, 32), 2),
        ((44, 44), 2),  # no multiple of 8
        ((64, 64), 3),
        ((64, 48), 3),
        ((128, 96), 4),
    ],
)
def test_networks_of_larger_images_have_more_layers(sides, times):
    assert halvings((1, *sides)) == times
    generator, scorer = Generator((3, *sides), 2, 8, 8), Discriminator((3, *sides), 2)
    assert len(generator.ups) == len(scorer.downs) == times
    # what is left of the sides where no position is known any more
    assert max(generator.start[1:]) <= 11
    images = generator(torch.randn(3, 8), torch.eye(2)[[0, 1, 0]])
    assert images.shape == (3, 3, *sides)
    assert scorer(images, torch.eye(2)[[0, 1, 0]]).shape == (3,)


@pytest.mark.parametrize("conditioning", ["projection", "concat"])
@pytest.mark.parametrize("normalise", [True, False])
def test_discriminator_scores_depend_on_image_and_condition(conditioning, normalise):
    scorer = Discriminator((1, 8, 8), 3, 8, conditioning, normalise).eval()
    images, other = torch.rand(2, 6, 1, 8, 8)
    first, second = torch.eye(3)[0].expand(6, 3), torch.eye(3)[1].expand(6, 3)
    base = scorer(images, first)
    assert base.shape == (6,)
    assert float((base - scorer(images, second)).detach().abs().max()) > 1e-4
    assert float((base - scorer(other, first)).detach().abs().max()) > 1e-4


@pytest.mark.parametrize("conditioning", ["acgan", "none"])
def test_discriminator_that_scores_the_image_alone(conditioning):
    scorer = Discriminator((1, 8, 8), 3, 8, conditioning).eval()
    images = torch.rand(6, 1, 8, 8)
    score, recognised = scorer.judge(images, torch.eye(3)[0].expand(6, 3))
    torch.testing.assert_close(score, scorer(images, torch.eye(3)[1].expand(6, 3)))
    torch.testing.assert_close(score, scorer(images))
    assert (recognised is None) == (conditioning == "none")
    if recognised is not None:
        assert recognised.shape == (6, 3)


def test_projection_is_linear_in_the_condition():
    """A soft answer scores like the mixture of the classes (Miyato and Koyama)."""
    scorer = Discriminator((1, 8, 8), 3, 8).eval()
    images = torch.rand(6, 1, 8, 8)
    mix = torch.tensor([0.2, 0.5, 0.3])
    each = torch.stack([scorer(images, row.expand(6, 3)) for row in torch.eye(3)])
    torch.testing.assert_close(scorer(images, mix.expand(6, 3)), mix @ each)


def test_spectral_norm_bounds_every_layer():
    scorer = Discriminator((1, 8, 8), 3, 8)
    for _ in range(100):  # power iterations
        scorer(torch.rand(2, 1, 8, 8), torch.eye(3)[:2])
    scorer.eval()
    for layer in (scorer.dense, scorer.score, scorer.embed):
        largest = np.linalg.norm(layer.weight.detach().numpy(), 2)
        assert largest == pytest.approx(1, abs=1e-3)


def test_conditional_batch_norm_starts_as_plain_and_then_follows_the_condition():
    norm = ConditionalBatchNorm(4, 3)
    images = torch.randn(32, 4, 5, 5)
    condition = torch.softmax(torch.randn(32, 3), 1)
    plain = torch.nn.BatchNorm2d(4, affine=False)(images)
    torch.testing.assert_close(norm(images, condition), plain)
    with torch.no_grad():
        norm.affine.weight[:4, 1] = 2.0  # scale of class 1
        norm.affine.weight[4:, 2] = -1.0  # shift of class 2
    expected = plain * (1 + 2 * condition[:, 1, None, None, None])
    expected = expected - condition[:, 2, None, None, None]
    torch.testing.assert_close(norm(images, condition), expected)
