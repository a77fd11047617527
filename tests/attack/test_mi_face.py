"""MI-Face does what Algorithm 1 of Fredrikson et al. (2015) says."""

import numpy as np
import pytest
import torch
from torch import nn

from kldiv_attack import make_attacker
from kldiv_attack.attackers._mi_face import blur
from kldiv_attack.victim import Victim


@pytest.fixture
def linear():
    """A victim whose confidence is known in closed form."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(64, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(3, 64, generator=generator) / 4)
        layer.bias.zero_()
    network = nn.Sequential(nn.Flatten(), layer)
    return Victim(network, ("a", "b", "c"), (1, 8, 8), device="cpu")


def algorithm_1(victim, start, label, *, steps, patience, confidence, rate, cost):
    """One image at a time, with the whole history: the slow twin."""
    image, costs, images = start.copy(), [], []
    for _ in range(steps + 1):
        x = torch.from_numpy(image[None]).requires_grad_(True)
        probability = victim.network(x).softmax(1)[0, label]
        value = 1 - probability if cost == "probability" else -probability.log()
        (gradient,) = torch.autograd.grad(value, x)
        costs.append(float(value.detach()))
        images.append(image)
        stuck = len(costs) > patience and costs[-1] >= max(costs[-patience - 1 : -1])
        if stuck or float(probability.detach()) >= confidence:
            break
        image = np.clip(image - rate * gradient[0].numpy(), 0, 1).astype(np.float32)
    return images[int(np.argmin(costs))], len(costs)


@pytest.mark.parametrize("cost", ["probability", "log"])
@pytest.mark.parametrize(
    ("patience", "confidence", "steps"), [(5, 0.6, 400), (4, 0.9, 300), (7, 0.99, 9)]
)
def test_every_image_goes_its_own_way(
    linear, public, cost, patience, confidence, steps
):
    options = {"patience": patience, "confidence": confidence, "steps": steps}
    fitted = make_attacker(
        "mi_face", cost=cost, noise=0.5, start="public", learning_rate=0.5, **options
    ).fit(linear, public.images)
    starts = fitted._starts(6, np.random.default_rng([0, 3, 1]))
    expected = [
        algorithm_1(linear, start, 1, rate=0.5, cost=cost, **options)
        for start in starts
    ]
    found = fitted.invert([1], 6, random_state=3)[0]
    np.testing.assert_allclose(found, [image for image, _ in expected], atol=1e-5)
    if confidence == 0.9:  # they do stop at different steps
        assert len({length for _, length in expected}) > 1


def test_it_stops_where_the_victim_is_sure(victim, public):
    fitted = make_attacker("mi_face", confidence=0.9).fit(victim, public.images[:1])
    sure = victim.query(fitted.invert([2, 7], 4).reshape(-1, 1, 8, 8))
    assert (sure[:4, 2] >= 0.9).all()
    assert (sure[4:, 7] >= 0.9).all()


def test_the_first_image_starts_black_and_the_others_beside_it(victim, public):
    fitted = make_attacker("mi_face").fit(victim, public.images[:1])
    starts = fitted._starts(40, np.random.default_rng(0))
    assert (starts[0] == 0).all()
    assert 0 < starts[1:].max() <= 0.1


def test_public_starts_are_public_images(victim, public):
    fitted = make_attacker("mi_face", start="public", noise=0).fit(
        victim, public.images
    )
    starts = fitted._starts(50, np.random.default_rng(0))
    rows = {image.tobytes() for image in public.images}
    assert all(start.tobytes() in rows for start in starts)


def test_processing_makes_smoother_images(victim, public):
    roughness = {}
    for process in (None, "denoise"):
        options = {"steps": 100, "learning_rate": 1.0, "noise": 0.5}
        fitted = make_attacker("mi_face", process=process, **options)
        images = fitted.fit(victim, public.images).invert(range(10), 5)
        assert images.min() >= 0
        assert images.max() <= 1
        roughness[process] = np.abs(np.diff(images, axis=-1)).mean()
    assert roughness["denoise"] < roughness[None]


def test_blur_keeps_constants_and_is_the_binomial_filter():
    constant = torch.full((2, 3, 5, 6), 0.3)
    torch.testing.assert_close(blur(constant), constant)
    point = torch.zeros(1, 1, 5, 5)
    point[0, 0, 2, 2] = 16
    expected = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    torch.testing.assert_close(blur(point)[0, 0, 1:4, 1:4], expected)


def test_many_images_are_made_in_parts(victim, public, monkeypatch):
    import kldiv_attack.attackers._mi_face as module

    fitted = make_attacker("mi_face", steps=5).fit(victim, public.images[:1])
    whole = fitted.invert([3], 10)
    monkeypatch.setattr(module, "BATCH", 4)
    np.testing.assert_allclose(fitted.invert([3], 10), whole, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cost": "margin"}, "log"),
        ({"start": "mean"}, "blank"),
        ({"process": "sharpen"}, "denoise"),
        ({"steps": 0}, "steps=0"),
        ({"patience": 1.5}, "patience=1.5"),
        ({"confidence": 1.0}, "confidence=1.0"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"noise": 2}, "noise=2"),
    ],
)
def test_bad_parameters(victim, public, changes, message):
    with pytest.raises(ValueError, match=message):
        make_attacker("mi_face", **changes).fit(victim, public.images)
