"""What is particular to each attacker; test_attackers_contract.py has the rest."""

import numpy as np
import pytest
import torch

from kldiv_attack import make_attacker
from kldiv_attack.attackers import QueryAccess
from kldiv_attack.attackers._cgan_training import LOSSES
from kldiv_attack.attackers._pairs import Pairs
from kldiv_attack.attackers._updates import draw_shifts, gradient_penalty, translate
from kldiv_attack.victim import Victim
from tests.attack.conftest import MemoryRecorder, digest, small

# Access


@pytest.mark.parametrize("access", ["labels", "probabilities", "gradients"])
def test_access_is_what_was_declared(victim, public, access):
    granted = QueryAccess(victim, access)
    answers = granted.query(public.images[:5])
    assert victim.n_queries == 5
    assert answers.ndim == (1 if access == "labels" else 2)
    if access == "gradients":
        assert granted.network is victim.network
    else:
        with pytest.raises(PermissionError, match="may only query"):
            _ = granted.network


# Conditional GAN


OPTIONS = [
    {},
    {"discriminator": "concat", "spectral_norm": False, "conditional_norm": False},
    {"discriminator": "acgan"},
    {"critic_steps": 2},
    {"consistency": "surrogate", "translation": 0},
    {"responses": "hard", "balanced": False},
    {"candidates": 1},
    {"confidence": 2.0, "ema": 0.0, "momentum": 0.5},
]
# Every loss as it is and with one critic or another; other options with one loss.
TRAINED = [
    *((loss, changes) for loss in sorted(LOSSES) for changes in OPTIONS[:3]),
    *(("hinge", changes) for changes in OPTIONS[3:]),
]


@pytest.fixture(scope="module")
def plain():
    """Images by loss, of attackers without another option."""
    return {}


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize(("loss", "changes"), TRAINED)
def test_every_option_trains(plain, victim, public, loss, changes):
    """Each option changes the result, and a resumed run still repeats it."""

    def train(recorder=None, **options):
        made = make_attacker("cgan", loss=loss, **{**small("cgan"), **options})
        return digest(made.fit(victim, public.images, recorder=recorder))

    if loss not in plain:
        plain[loss] = train()
    changed = train(**changes)
    assert np.isfinite(changed).all()
    assert np.array_equal(plain[loss], changed) == (not changes)
    recorder = MemoryRecorder(stop_at=5)
    with pytest.raises(KeyboardInterrupt):
        train(recorder, **changes)
    recorder.stop_at = None
    np.testing.assert_array_equal(train(recorder, **changes), changed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "wasserstein"}, "hinge"),
        ({"discriminator": "both"}, "projection"),
        ({"consistency": "victim"}, "surrogate"),
        ({"critic_steps": 0}, "critic_steps=0"),
        ({"responses": "logits"}, "soft"),
        ({"steps": 0}, "steps=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"batch_size": 1}, "whole number >= 2"),
        ({"candidates": 0}, "candidates=0"),
        ({"certainty": 1.0}, "certainty=1.0"),
        ({"translation": -1}, "translation=-1"),
        ({"ema": 1.0}, "ema=1.0"),
        ({"momentum": -0.5}, "momentum=-0.5"),
    ],
)
def test_bad_parameters(victim, public, changes, message):
    with pytest.raises(ValueError, match=message):
        make_attacker("cgan", **changes).fit(victim, public.images)
    assert victim.n_queries == 0


def test_sides_that_are_no_multiple_of_four():
    victim = Victim.from_callable(lambda x: np.full((len(x), 2), 0.5), 2)
    with pytest.raises(ValueError, match=r"multiples of 4.*got 10 x 8"):
        make_attacker("cgan", **small("cgan")).fit(victim, np.zeros((9, 1, 10, 8)))


def test_balanced_pairs_hold_every_class_equally_often(victim, public):
    answers = victim.query(public.images)
    few = answers.argmax(1) >= 5
    few[::9] = True  # classes 0 to 4 are rare
    pairs = Pairs(public.images[few], answers[few], torch.device("cpu"))
    rows = pairs.draw(20_000, torch.Generator().manual_seed(0))
    shares = np.bincount(pairs.called[rows]) / len(rows)
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


@pytest.mark.parametrize("certainty", [0.0, 0.2, 1 - 1e-12])
def test_candidates_are_chosen_without_queries(victim, public, certainty):
    """The first that the surrogate recognises; the surest where those are too few."""
    options = small("cgan", candidates=5, certainty=certainty)
    fitted = make_attacker("cgan", **options).fit(victim, public.images)
    asked = victim.n_queries
    kept = fitted.invert([3], 4)[0]
    assert victim.n_queries == asked
    fitted.candidates = 1
    everything = fitted.invert([3], 20)[0]
    with torch.no_grad():
        logits = fitted.surrogate_(torch.from_numpy(everything))
    probability = logits.softmax(1)[:, 3].numpy()
    right = np.flatnonzero(probability >= certainty)
    if len(right) < 4:
        right = np.sort(np.argsort(-probability)[:4])
    np.testing.assert_array_equal(kept, everything[right[:4]])


def test_surrogate_answers_as_the_victim_does(victim, public):
    fitted = make_attacker("cgan", steps=1).fit(victim, public.images)
    with torch.no_grad():
        guess = fitted.surrogate_(torch.from_numpy(public.images)).argmax(1).numpy()
    assert (guess == fitted.responses_.argmax(1)).mean() > 0.9


def test_translation_moves_whole_pixels_and_carries_gradients():
    images = torch.rand(40, 2, 6, 5, requires_grad=True)
    shifts = draw_shifts(40, 2, torch.Generator().manual_seed(0))
    assert set(shifts.unique().tolist()) == {0, 1, 2, 3, 4}
    moved = translate(images, 2, shifts)
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2)).detach()
    for image, canvas in zip(moved.detach(), padded, strict=True):
        windows = canvas.unfold(1, 6, 1).unfold(2, 5, 1).permute(1, 2, 0, 3, 4)
        matches = (windows == image).flatten(2).all(2)
        assert matches.sum() == 1
    moved.sum().backward()
    assert images.grad is not None
    assert set(images.grad.unique().tolist()) <= {0.0, 1.0}
    assert translate(images, 0, draw_shifts(40, 0, torch.Generator())) is images


def test_gradient_penalty_of_known_slopes():
    """A linear critic has one slope everywhere; the condition is not penalised."""
    real, fake = torch.rand(2, 6, 1, 4, 4)
    weights = torch.full((16,), 0.75, requires_grad=True)  # slope of length 3
    conditions = torch.rand(2, 6, 2)

    def score(images, condition):
        return images.flatten(1) @ weights + 100 * condition.sum(1)

    penalty = gradient_penalty(
        score, (real, conditions[0]), (fake, conditions[1]), torch.rand(6)
    )
    assert float(penalty.detach()) == pytest.approx(4, rel=1e-5)
    penalty.backward()  # of (3 - 1)^2 by each weight: 2 * 2 * 0.75 / 3
    np.testing.assert_allclose(weights.grad, 1, rtol=1e-5)


def test_gradient_penalty_is_measured_between_real_and_generated_images():
    seen = []

    def score(images):
        seen.append(images.detach())
        return images.flatten(1).square().sum(1)

    real, fake = torch.zeros(500, 1, 4, 4), torch.ones(500, 1, 4, 4)
    shares = torch.rand(500)
    gradient_penalty(score, (real,), (fake,), shares)
    np.testing.assert_allclose(
        seen[0].flatten(1), shares[:, None].expand(-1, 16), rtol=1e-6
    )


def test_wasserstein_trains_the_critic_more_often_and_without_spectral_norm(
    victim, public
):
    """Adam counts its steps; a normalised layer keeps its vectors."""
    for loss, per_step, normalised in (("wgan-gp", 5, False), ("hinge", 1, True)):
        recorder = MemoryRecorder()
        attacker = make_attacker("cgan", **small("cgan", loss=loss))
        attacker.fit(victim, public.images, recorder=recorder)
        tensors = recorder.snapshot[1]
        assert tensors["adam.discriminator.0.step"] == 12 * per_step
        assert tensors["adam.generator.0.step"] == 12
        assert any("parametrizations" in name for name in tensors) == normalised


@pytest.mark.statistical
@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "wgan-gp", "critic_steps": 2, "learning_rate": (5e-4, 1e-3)},
        {"discriminator": "acgan"},
    ],
)
def test_other_kinds_of_gan_learn(victim, judge, public, changes):
    """Without the surrogate's help: what the discriminator says must be enough."""
    changes = {"steps": 250, "consistency": None, "candidates": 1, **changes}
    fitted = make_attacker("cgan", **changes).fit(victim, public.images)
    images = fitted.invert(range(10), 50)
    accuracy = [(judge.predict(images[label]) == label).mean() for label in range(10)]
    assert np.mean(accuracy) > 0.5  # chance is 0.1


def test_quality_on_digits(victim, judge, public):
    """Held-out digits as public images: most reconstructions are the digit asked for.

    Chance is 0.1; an attack that ignores the label cannot pass.
    """
    fitted = make_attacker("cgan", steps=500).fit(victim, public.images)
    images = fitted.invert(range(10), 100)
    accuracy = [(judge.predict(images[label]) == label).mean() for label in range(10)]
    assert np.mean(accuracy) > 0.85
    assert images.std(axis=1).mean() > 0.05  # not one image over and over
