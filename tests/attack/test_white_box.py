"""Attackers that follow the victim's gradient: PreImageGAN and GMI."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from kldiv_attack import make_attacker
from kldiv_attack.attackers import Blur, Mask
from kldiv_attack.attackers._pairs import Pairs
from kldiv_attack.attackers._preimage_gan import PreImageGANTraining
from kldiv_attack.victim import Victim
from tests.attack.conftest import small


def accuracy(judge, images):
    return np.mean([(judge.predict(x) == c).mean() for c, x in enumerate(images)])


# PreImageGAN


@pytest.mark.statistical
def test_preimage_gan_on_digits(victim, judge, public):
    """Held-out digits as public images; chance is 0.1.

    Without the victim's gradient the generator has nothing to tell classes by.
    """
    options = {"steps": 150, "width": 24, "similarity_growth": 0.01}
    found = {}
    for similarity in (3.0, 0.0):
        fitted = make_attacker("preimage_gan", similarity=similarity, **options)
        images = fitted.fit(victim, public.images).invert(range(10), 30)
        found[similarity] = accuracy(judge, images)
    assert found[3.0] > 0.6
    assert found[0.0] < 0.3


def test_answers_are_drawn_around_those_of_the_victim(victim, public):
    answers = victim.query(public.images)
    pairs = Pairs(public.images, answers, torch.device("cpu"))
    settings = make_attacker("preimage_gan", **small("preimage_gan"), bandwidth=0.01)
    settings._begin(victim.class_names, public.images)
    training = PreImageGANTraining(settings, pairs, victim.network)
    draws = training.draw_conditions(4000, torch.Generator().manual_seed(0))
    drawn = training.conditions(draws, 4000).numpy()
    np.testing.assert_allclose(drawn.sum(1), 1, rtol=1e-5)
    assert drawn.min() >= 0
    nearest = np.abs(drawn[:200, None] - answers[None]).max(2).min(1)
    assert 0 < nearest.mean() < 0.03
    shares = np.bincount(drawn.argmax(1), minlength=10) / len(drawn)
    np.testing.assert_allclose(shares, 0.1, atol=0.02)  # balanced


def test_gradients_are_counted_beside_queries(victim, public):
    fitted = make_attacker("preimage_gan", **small("preimage_gan"))
    fitted.fit(victim, public.images)
    assert fitted.n_queries_ == len(public)
    assert fitted.n_gradients_ == 12 * 8
    gmi = make_attacker("gmi", **small("gmi")).fit(victim, public.images)
    assert (gmi.n_queries_, gmi.n_gradients_) == (0, 0)
    gmi.invert([1, 2], 5)
    assert gmi.n_gradients_ == 2 * 5 * 3 * 2  # labels, images, iterations, restarts


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("preimage_gan", {"bandwidth": -1}, "bandwidth=-1"),
        ("preimage_gan", {"similarity": float("nan")}, "similarity=nan"),
        ("preimage_gan", {"critic_steps": 0}, "critic_steps=0"),
        ("preimage_gan", {"learning_rate": 0}, "learning_rate=0"),
        ("preimage_gan", {"translation": -2}, "translation=-2"),
        ("gmi", {"iterations": -1}, "iterations=-1"),
        ("gmi", {"restarts": 0}, "restarts=0"),
        ("gmi", {"identity": -0.5}, "identity=-0.5"),
        ("gmi", {"latent_rate": 0}, "latent_rate=0"),
        ("gmi", {"ema": 1.0}, "ema=1.0"),
    ],
)
def test_bad_parameters(victim, public, name, changes, message):
    with pytest.raises(ValueError, match=message):
        make_attacker(name, **changes).fit(victim, public.images)
    assert victim.n_queries == 0


# GMI


@pytest.fixture(scope="module")
def gmi(trained, public):
    attacker = make_attacker("gmi", steps=250, width=24, iterations=30, restarts=2)
    return attacker.fit(trained, public.images)


def test_gmi_on_digits_beats_its_own_prior(gmi, judge):
    found = accuracy(judge, gmi.invert(range(10), 20))
    before = accuracy(judge, gmi.prior(range(10), 20))
    assert before < 0.3
    assert found > before + 0.2


def test_prior_is_where_the_search_begins(gmi):
    settings = gmi.iterations, gmi.restarts
    prior = gmi.prior([3, 5], 4, random_state=7)
    assert (gmi.iterations, gmi.restarts) == settings
    search = copy.copy(gmi)
    search.iterations, search.restarts = 0, 1
    np.testing.assert_array_equal(search.invert([3, 5], 4, random_state=7), prior)
    search.iterations, search.latent_rate = 1, 1e-6
    np.testing.assert_allclose(
        search.invert([3, 5], 4, random_state=7), prior, atol=1e-3
    )


def test_of_several_searches_the_victim_chooses(gmi):
    """One search more can only raise the probability that the victim gives."""
    sure = []
    for restarts in (1, 3):
        search = copy.copy(gmi)
        search.restarts, search.iterations = restarts, 5
        images = torch.from_numpy(search.invert([2], 20)[0])
        with torch.no_grad():
            sure.append(search.network_(images).log_softmax(1)[:, 2])
    assert (sure[1] >= sure[0] - 1e-5).all()
    assert (sure[1] > sure[0] + 0.1).any()


def test_known_pixels_stay_and_the_rest_is_filled_in(gmi, private):
    truth = private.subset(slice(0, 40))
    lower = Mask.box((8, 8), hidden=(0, 0, 4, 8))
    found = gmi.invert_from(lower(truth.images), truth.labels, lower)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, :, 4:], truth.images[:, :, 4:])
    filled = np.square(found[:, :, :4] - truth.images[:, :, :4]).mean()
    assert filled < np.square(truth.images[:, :, :4]).mean()  # better than black
    again = gmi.invert_from(lower(truth.images), truth.labels, lower)
    np.testing.assert_array_equal(found, again)


def test_blurred_images_are_sharpened_towards_the_truth(gmi, private):
    truth = private.subset(slice(0, 40))
    blur = Blur(2)
    found = gmi.invert_from(blur(truth.images), truth.labels, blur)
    blind = gmi.prior(truth.labels, 1)[:, 0]
    wrong = [np.square(x - truth.images).mean() for x in (found, blind)]
    known = [np.square(blur(x) - blur(truth.images)).mean() for x in (found, blind)]
    assert known[0] < 0.5 * known[1]
    assert wrong[0] < 0.75 * wrong[1]


def test_what_is_known_must_fit(gmi, private):
    blur = Blur(4)
    known = blur(private.images[:5])
    with pytest.raises(ValueError, match=r"expected shape \(3, 1, 2, 2\)"):
        gmi.invert_from(known, [1, 2, 3], blur)
    with pytest.raises(ValueError, match="what degrade returns"):
        gmi.invert_from(private.images[:2], [1, 2], blur)
    known[0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        gmi.invert_from(known, private.labels[:5], blur)
    with pytest.raises(ValueError, match="0 to 9"):
        gmi.invert_from(blur(private.images[:1]), [10], blur)


def test_images_of_a_missing_class_are_not_reconstructed(private):
    data = private.subset(private.labels != 6)
    fitted = make_attacker("gmi", **small("gmi")).fit_ideal(data.subset(slice(0, 200)))
    blur = Blur(4)
    found = fitted.invert_from(blur(private.images[:2]), [6, 1], blur)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


@pytest.mark.parametrize("images", [np.ones((2, 1, 8, 8)), torch.ones(2, 1, 8, 8)])
def test_masks_and_blurs_refuse_other_sizes(images):
    with pytest.raises(ValueError, match=r"mask of \(4, 4\)"):
        Mask(np.ones((4, 4)))(images)
    with pytest.raises(ValueError, match="no multiples"):
        Blur(3)(images)
    with pytest.raises(ValueError, match="at least one known pixel"):
        Mask(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="size=1"):
        Blur(1)
    assert type(Mask(np.ones((8, 8)))(images)) is type(images)


def test_victim_on_another_device_or_dtype_is_left_alone(public):
    """The attackers follow the gradient of a copy."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    victim = Victim(network, ("a", "b"), (1, 8, 8), device="cpu")
    before = network[1].weight.clone()
    fitted = make_attacker("gmi", **small("gmi")).fit(victim, public.images)
    fitted.invert([0, 1], 3)
    assert torch.equal(before, network[1].weight)
    assert fitted.network_ is not network
