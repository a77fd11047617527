"""Attackers that follow the victim's margin (PLG-MI) or its logits (LOMMA)."""

import numpy as np
import pytest
import torch
from torch import nn

from kldiv_attack import make_attacker
from kldiv_attack.attackers._plg_mi import margins
from kldiv_attack.victim import Victim
from tests.attack.conftest import MemoryRecorder, small


def accuracy(judge, images):
    return np.mean([(judge.predict(x) == c).mean() for c, x in enumerate(images)])


def logits_of(victim, images):
    with torch.no_grad():
        return victim.network(torch.from_numpy(images))


# PLG-MI


def test_a_margin_is_the_logit_above_the_largest_of_the_others():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [0.0, 0.0, -5.0]])
    found = margins(logits, torch.tensor([0, 1, 0]))
    np.testing.assert_allclose(found, [1.0, -2.0, 0.0])


def test_pseudo_labels_are_the_surest_images_of_each_class(victim, public):
    fitted = make_attacker("plg_mi", **small("plg_mi", top=25))
    fitted.fit(victim, public.images)
    answers = fitted.responses_
    rows, labels = fitted._pseudo_labels(answers)
    np.testing.assert_array_equal(np.bincount(labels), [25] * 10)
    for c in range(10):
        mine = answers[rows[labels == c], c]
        others = np.delete(answers[:, c], rows[labels == c])
        assert mine.min() >= others.max()
    fitted.top = 5000  # more than there are: only what the victim thinks possible
    sure = np.eye(10, dtype=np.float32)[answers.argmax(1)]
    rows, labels = fitted._pseudo_labels(sure)
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(public)))
    np.testing.assert_array_equal(sure[rows].argmax(1), labels)


def test_the_search_widens_the_margin(victim, public):
    fitted = make_attacker("plg_mi", **small("plg_mi", steps=40, iterations=20))
    fitted.fit(victim, public.images)
    asked = torch.full((30,), 4)
    before, after = (
        margins(logits_of(victim, images), asked)
        for images in (fitted.prior([4], 30)[0], fitted.invert([4], 30)[0])
    )
    assert (after > before).float().mean() > 0.8
    assert fitted.iterations == 20


def test_gradients_are_counted(victim, public):
    fitted = make_attacker("plg_mi", **small("plg_mi")).fit(victim, public.images)
    assert fitted.n_queries_ == len(public)
    assert fitted.n_gradients_ == 12 * 8
    fitted.invert([1, 2], 5)
    assert fitted.n_gradients_ == 12 * 8 + 2 * 5 * 3


@pytest.mark.statistical
def test_plg_mi_on_digits(victim, judge, public):
    """Held-out digits as public images; chance is 0.1."""
    fitted = make_attacker("plg_mi", steps=400, width=24, top=60)
    fitted.fit(victim, public.images)
    assert accuracy(judge, fitted.invert(range(10), 30)) > 0.7


# LOMMA


def test_the_logit_loss_by_hand(public):
    """One linear layer: its features are the pixels."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    victim = Victim(network, tuple("0123456789"), (1, 8, 8), device="cpu")
    options = small("lomma", models=0, regularisation=0.5)
    fitted = make_attacker("lomma", **options).fit(victim, public.images)
    images, labels = public.images[:20], public.labels[:20]
    pixels = public.images.reshape(len(public), -1).astype(np.float64)
    apart = np.square(pixels[:20] - pixels.mean(0)).sum(1) / pixels.var(0).sum()
    own = logits_of(victim, images).numpy()[np.arange(20), labels]
    with torch.no_grad():
        found = fitted._wrong(torch.from_numpy(images), torch.from_numpy(labels))
    np.testing.assert_allclose(found, 0.5 * apart - own, rtol=1e-4, atol=1e-4)


def test_the_loss_is_a_mean_over_the_models(victim, public):
    options = small("lomma", models=2, regularisation=0.0)
    fitted = make_attacker("lomma", **options).fit(victim, public.images)
    assert len(fitted.models_) == 3
    images = torch.from_numpy(public.images[:7])
    labels = torch.full((7,), 5)
    with torch.no_grad():
        each = [-model(images)[:, 5] for model in fitted.models_]
        found = fitted._wrong(images, labels)
    np.testing.assert_allclose(found, torch.stack(each).mean(0), rtol=1e-5)
    assert not torch.allclose(each[1], each[2])


def test_models_repeat_the_victim_and_are_in_snapshots(victim, public):
    recorder = MemoryRecorder()
    fitted = make_attacker("lomma", **small("lomma"))
    fitted.fit(victim, public.images, recorder=recorder)
    said = victim.query(public.images).argmax(1)
    with torch.no_grad():
        repeated = fitted.models_[1](torch.from_numpy(public.images)).argmax(1)
    assert (repeated.numpy() == said).mean() > 0.8
    assert any(name.startswith("model_0.") for name in recorder.snapshot[1])
    assert fitted.n_queries_ == 0


def test_a_network_without_a_linear_layer(public):
    network = nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())
    victim = Victim(network, tuple("0123456789"), (1, 8, 8), device="cpu")
    with pytest.raises(ValueError, match="choose regularisation=0"):
        make_attacker("lomma", **small("lomma")).fit(victim, public.images)
    fitted = make_attacker("lomma", **small("lomma", regularisation=0))
    images = fitted.fit(victim, public.images).invert([3], 2)
    assert np.isfinite(images).all()


@pytest.mark.statistical
def test_lomma_on_digits_beats_its_own_prior(victim, judge, public):
    options = {"steps": 250, "width": 24, "iterations": 30}
    fitted = make_attacker("lomma", **options).fit(victim, public.images)
    found = accuracy(judge, fitted.invert(range(10), 20))
    assert found > accuracy(judge, fitted.prior(range(10), 20)) + 0.2
