"""Contract that every attacker keeps, and what is particular to each."""

import copy
import json

import numpy as np
import pytest
import torch
from scipy import stats

from kldiv_attack import load_dataset, make_attacker
from kldiv_attack.attackers import ATTACKERS, QueryAccess
from kldiv_attack.attackers._cgan import LOSSES
from kldiv_attack.attackers._training import Pairs, gradient_penalty, translate
from kldiv_attack.victim import Victim, train_judge, train_victim

# Enough to walk the whole path, not to succeed.
QUICK = {"cgan": {"steps": 12, "batch_size": 8, "width": 8, "n_noise": 8}}


class MemoryRecorder:
    """Keeps everything as a file would: only tensors and JSON."""

    def __init__(self, every=5, stop_at=None):
        self.every = every
        self.stop_at = stop_at
        self.numbers, self.samples, self.snapshot = {}, {}, None

    def log(self, step, **values):
        assert all(isinstance(value, float) for value in values.values())
        self.numbers[step] = values

    def sample(self, step, images):
        self.samples[step] = images

    def save(self, step, tensors, extra):
        assert all(type(tensor) is torch.Tensor for tensor in tensors.values())
        assert all(tensor.is_contiguous() for tensor in tensors.values())
        self.snapshot = step, copy.deepcopy(tensors), json.dumps(extra)
        if step == self.stop_at:
            raise KeyboardInterrupt

    def load(self):
        if self.snapshot is None:
            return None
        step, tensors, extra = self.snapshot
        return step, copy.deepcopy(tensors), json.loads(extra)


@pytest.fixture(scope="module")
def private():
    return load_dataset("digits", part="train")


@pytest.fixture(scope="module")
def public():
    return load_dataset("digits", part="test")


@pytest.fixture(scope="module")
def trained(private):
    return train_victim(private, epochs=8, batch_size=64)


@pytest.fixture(scope="module")
def judge(private):
    return train_judge(private, epochs=10, batch_size=64)


@pytest.fixture
def victim(trained):
    """The same network with a fresh counter."""
    return Victim(trained.network, trained.class_names, trained.image_shape)


@pytest.fixture(params=sorted(ATTACKERS))
def attacker(request):
    """Name of every attacker."""
    return request.param


@pytest.fixture
def make(attacker):
    def _make(**changes):
        return make_attacker(attacker, **{**QUICK[attacker], **changes})

    return _make


def digest(fitted):
    return fitted.invert(fitted.classes_, 3)


# Every attacker


def test_images_in_range_for_every_class(make, victim, public):
    images = make().fit(victim, public.images).invert([4, 0, 4], 6)
    assert images.dtype == np.float32
    assert images.shape == (3, 6, 1, 8, 8)
    assert images.min() >= 0
    assert images.max() <= 1
    np.testing.assert_array_equal(images[0], images[2])  # noise belongs to the class
    assert not np.array_equal(images[0], images[1])


def test_same_seed_same_numbers(make, victim, public):
    first, again, other = (
        make(random_state=seed).fit(victim, public.images) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(digest(first), digest(again))
    assert not np.array_equal(digest(first), digest(other))
    assert not np.array_equal(
        first.invert([0], 3, random_state=0), first.invert([0], 3, random_state=1)
    )


def test_global_random_state_is_left_alone(make, victim, public):
    before = torch.get_rng_state()
    make().fit(victim, public.images).invert([0], 2)
    assert torch.equal(before, torch.get_rng_state())


def test_fit_asks_nothing_but_what_it_declared(attacker, make, trained, public):
    """A victim that raises when anything but the declared access is used."""
    access = ATTACKERS[attacker].access

    class Guarded(Victim):
        def query(self, images):
            assert access != "gradients" or images.requires_grad is False
            return super().query(images)

        def _probabilities(self, images):
            assert self.asked, "the attacker went around the counter"
            return super()._probabilities(images)

    if access == "gradients":
        guarded = Guarded(trained.network, trained.class_names)
        guarded.asked = True
    else:
        guarded = Guarded.from_callable(trained.query, 10)
        guarded.asked = False  # a plain function: there is no network to reach
    fitted = make().fit(guarded, public.images)
    assert fitted.n_queries_ == guarded.n_queries
    if access != "gradients":
        assert fitted.n_queries_ >= len(public)


def test_victim_is_frozen_while_attacked_and_restored(make, trained, public):
    network = copy.deepcopy(trained.network)
    victim = Victim(network, trained.class_names)
    network.train().requires_grad_(True)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    make().fit(victim, public.images)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())
    for key, value in network.state_dict().items():
        assert torch.equal(before[key], value), key


def test_inputs_are_not_modified(make, victim, public):
    images = public.images.copy()
    make().fit(victim, images)
    np.testing.assert_array_equal(images, public.images)


def test_snapshots_do_not_change_the_result(make, victim, public):
    alone = make().fit(victim, public.images)
    recorder = MemoryRecorder()
    watched = make().fit(victim, public.images, recorder=recorder)
    np.testing.assert_array_equal(digest(alone), digest(watched))
    assert sorted(recorder.samples) == [5, 10, 12]
    assert sorted(recorder.numbers) == list(range(1, 13))
    sample = recorder.samples[12]
    assert sample.shape == (10, 10, 1, 8, 8)
    assert sample.min() >= 0
    assert sample.max() <= 1


@pytest.mark.parametrize("stop_at", [5, 10])
def test_interrupted_run_goes_on_to_the_same_result(make, victim, public, stop_at):
    whole = MemoryRecorder()
    expected = make().fit(victim, public.images, recorder=whole)
    stopped = MemoryRecorder(stop_at=stop_at)
    with pytest.raises(KeyboardInterrupt):
        make().fit(victim, public.images, recorder=stopped)
    assert stopped.snapshot[0] == stop_at
    stopped.stop_at = None
    asked = victim.n_queries
    resumed = make().fit(victim, public.images, recorder=stopped)
    np.testing.assert_array_equal(digest(expected), digest(resumed))
    assert stopped.numbers == whole.numbers
    assert resumed.n_queries_ == expected.n_queries_
    assert victim.n_queries == asked  # answers are in the snapshot


def test_finished_run_is_rebuilt_from_its_snapshot(make, victim, public):
    recorder = MemoryRecorder()
    expected = make().fit(victim, public.images, recorder=recorder)
    again = make().fit(victim, public.images, recorder=recorder)
    np.testing.assert_array_equal(digest(expected), digest(again))


def test_snapshot_of_another_run_is_refused(make, victim, public):
    recorder = MemoryRecorder()
    make().fit(victim, public.images, recorder=recorder)
    with pytest.raises(ValueError, match=r"random_state=5 \(was 0\)"):
        make(random_state=5).fit(victim, public.images, recorder=recorder)
    with pytest.raises(ValueError, match="other images"):
        make().fit(victim, public.images[1:], recorder=recorder)
    step, tensors, extra = recorder.snapshot
    recorder.snapshot = step, tensors, json.dumps({**json.loads(extra), "format": 99})
    with pytest.raises(ValueError, match="format 99"):
        make().fit(victim, public.images, recorder=recorder)
    tensors.pop(next(key for key in tensors if key.startswith("discriminator")))
    recorder.snapshot = step, tensors, extra
    with pytest.raises(ValueError, match="lacks 1 tensors"):
        make().fit(victim, public.images, recorder=recorder)


def test_tiny_and_missing_classes_are_nan_with_a_reason(make, victim, public, caplog):
    answers = victim.query(public.images).argmax(1)
    keep = answers != 3
    keep[np.flatnonzero(answers == 7)[4:]] = False
    fitted = make(min_responses=5).fit(victim, public.images[keep])
    assert set(fitted.reasons_) == {3, 7}
    assert "never answered" in fitted.reasons_[3]
    assert "4 times" in fitted.reasons_[7]
    assert "3: the victim never answered" in caplog.text
    images = fitted.invert([2, 3, 7], 4)
    assert np.isnan(images[1:]).all()
    assert not np.isnan(images[0]).any()


def test_no_class_with_enough_answers_is_an_error(make, victim, public):
    with pytest.raises(ValueError, match="min_responses=2000"):
        make(min_responses=2000).fit(victim, public.images)


def test_ideal_attacker_needs_no_victim(make, private):
    few = private.subset(slice(0, 300))
    fitted = make().fit_ideal(few)
    assert fitted.n_queries_ == 0
    assert digest(fitted).shape == (10, 3, 1, 8, 8)
    without = few.subset(few.labels != 6)
    assert set(make().fit_ideal(without).reasons_) == {6}


def test_invert_before_fit_and_with_bad_labels(make, victim, public):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match="call fit"):
        make().invert([0], 1)
    fitted = make().fit(victim, public.images)
    with pytest.raises(ValueError, match="0 to 9"):
        fitted.invert([10], 1)
    with pytest.raises(TypeError, match="whole numbers"):
        fitted.invert([0.5], 1)
    with pytest.raises(ValueError, match="n=0"):
        fitted.invert([0], 0)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 1, 8, 8)), "at least one image"),
        (np.zeros((5, 64)), "shape"),
        (np.full((5, 1, 8, 8), np.nan), "NaN"),
        (np.full((5, 1, 8, 8), 255.0), "Divide 8-bit"),
        (np.zeros((5, 1, 12, 12)), r"\(1, 8, 8\)"),
    ],
)
def test_bad_auxiliary_images(make, victim, images, message):
    with pytest.raises(ValueError, match=message):
        make().fit(victim, images)


def test_bad_answers_of_an_own_model_stop_the_attack(attacker, make, public):
    if ATTACKERS[attacker].access == "gradients":
        with pytest.raises(ValueError, match="needs gradients"):
            make().fit(Victim.from_callable(len, 10), public.images)
        return
    victim = Victim.from_callable(lambda images: np.ones((len(images), 10)), 10)
    with pytest.raises(ValueError, match="sum to one"):
        make().fit(victim, public.images)


def test_victim_that_answers_less_than_declared(attacker, make, trained, public):
    victim = Victim(trained.network, trained.class_names, answers="labels")
    if ATTACKERS[attacker].access == "labels":
        assert make().fit(victim, public.images).n_queries_ >= len(public)
    else:
        with pytest.raises(ValueError, match="answers only labels"):
            make().fit(victim, public.images)


def test_colour_images_of_another_size(make):
    rng = np.random.default_rng(0)
    images = rng.random((60, 3, 12, 8), dtype=np.float32)
    victim = Victim.from_callable(
        lambda x: np.repeat(
            [[0.7, 0.3], [0.2, 0.8]], [len(x) // 2, -(-len(x) // 2)], 0
        ),
        2,
    )
    if victim.has_gradients is False and make().access == "gradients":
        return
    assert make().fit(victim, images).invert([0, 1], 2).shape == (2, 2, 3, 12, 8)


def test_progress_bars_only_when_asked(make, victim, public, capsys):
    make(verbose=1).fit(victim, public.images)
    assert "12/12" in capsys.readouterr().err
    make().fit(victim, public.images)
    assert capsys.readouterr() == ("", "")


def test_unknown_names_list_what_exists(attacker):
    with pytest.raises(ValueError, match=attacker):
        make_attacker("gans")
    with pytest.raises(ValueError, match=r"no parameter epochs; it accepts .*steps"):
        make_attacker(attacker, epochs=3)


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


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"discriminator": "concat", "spectral_norm": False, "conditional_norm": False},
        {"discriminator": "acgan"},
        {"critic_steps": 2},
        {"consistency": "surrogate", "translation": 0},
        {"responses": "hard", "balanced": False},
        {"candidates": 1},
        {"confidence": 2.0, "ema": 0.0, "momentum": 0.5},
    ],
)
def test_every_option_trains(victim, public, loss, changes):
    """Each option changes the result, and a resumed run still repeats it."""
    made = [
        make_attacker("cgan", loss=loss, **{**QUICK["cgan"], **options})
        for options in ({}, changes, changes)
    ]
    recorder = MemoryRecorder(stop_at=5)
    plain, changed = (each.fit(victim, public.images) for each in made[:2])
    assert np.isfinite(digest(changed)).all()
    assert np.array_equal(digest(plain), digest(changed)) == (not changes)
    with pytest.raises(KeyboardInterrupt):
        made[2].fit(victim, public.images, recorder=recorder)
    recorder.stop_at = None
    resumed = made[2].fit(victim, public.images, recorder=recorder)
    np.testing.assert_array_equal(digest(changed), digest(resumed))


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
        ({"batch_size": 1}, "at least 2"),
        ({"candidates": 0}, "candidates=0"),
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
        make_attacker("cgan", **QUICK["cgan"]).fit(victim, np.zeros((9, 1, 10, 8)))


def test_balanced_pairs_hold_every_class_equally_often(victim, public):
    answers = victim.query(public.images)
    few = answers.argmax(1) >= 5
    few[::9] = True  # classes 0 to 4 are rare
    pairs = Pairs(public.images[few], answers[few], torch.device("cpu"))
    rows = pairs.draw(20_000, torch.Generator().manual_seed(0))
    shares = np.bincount(pairs.called[rows]) / len(rows)
    np.testing.assert_allclose(shares, 0.1, atol=0.01)


def test_candidates_are_chosen_by_the_surrogate_without_queries(victim, public):
    """Those kept are the surest of all drawn, in the order in which they were drawn."""
    fitted = make_attacker("cgan", **{**QUICK["cgan"], "candidates": 5})
    fitted.fit(victim, public.images)
    asked = victim.n_queries
    kept = fitted.invert([3], 4)[0]
    assert victim.n_queries == asked
    fitted.candidates = 1
    everything = fitted.invert([3], 20)[0]
    with torch.no_grad():
        logits = fitted.surrogate_(torch.from_numpy(everything)).numpy()
    others = np.delete(logits, 3, axis=1)
    sure = logits[:, 3] - np.logaddexp.reduce(others, axis=1)
    np.testing.assert_array_equal(kept, everything[np.sort(np.argsort(-sure)[:4])])


def test_surrogate_answers_as_the_victim_does(victim, public):
    fitted = make_attacker("cgan", steps=1).fit(victim, public.images)
    with torch.no_grad():
        guess = fitted.surrogate_(torch.from_numpy(public.images)).argmax(1).numpy()
    assert (guess == fitted.responses_.argmax(1)).mean() > 0.9


def test_translation_moves_whole_pixels_and_carries_gradients():
    images = torch.rand(40, 2, 6, 5, requires_grad=True)
    moved = translate(images, 2, torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2)).detach()
    for image, canvas in zip(moved.detach(), padded, strict=True):
        windows = canvas.unfold(1, 6, 1).unfold(2, 5, 1).permute(1, 2, 0, 3, 4)
        matches = (windows == image).flatten(2).all(2)
        assert matches.sum() == 1
    moved.sum().backward()
    assert images.grad is not None
    assert set(images.grad.unique().tolist()) <= {0.0, 1.0}
    assert translate(images, 0, torch.Generator()) is images


def test_gradient_penalty_of_known_slopes():
    """A linear critic has one slope everywhere; the condition is not penalised."""
    real, fake = torch.rand(2, 6, 1, 4, 4)
    weights = torch.full((16,), 0.75, requires_grad=True)  # slope of length 3
    conditions = torch.rand(2, 6, 2)

    def score(images, condition):
        return images.flatten(1) @ weights + 100 * condition.sum(1)

    penalty = gradient_penalty(
        score, (real, conditions[0]), (fake, conditions[1]), torch.Generator()
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
    source = torch.Generator().manual_seed(0)
    gradient_penalty(score, (real,), (fake,), source)
    shares = seen[0].flatten(1)
    assert (shares == shares[:, :1]).all()  # one place on each line
    assert stats.kstest(shares[:, 0].numpy(), "uniform").pvalue > 0.01


def test_wasserstein_trains_the_critic_more_often_and_without_spectral_norm(
    victim, public
):
    """Adam counts its steps; a normalised layer keeps its vectors."""
    for loss, per_step, normalised in (("wgan-gp", 5, False), ("hinge", 1, True)):
        recorder = MemoryRecorder()
        attacker = make_attacker("cgan", **QUICK["cgan"], loss=loss)
        attacker.fit(victim, public.images, recorder=recorder)
        tensors = recorder.snapshot[1]
        assert tensors["adam.discriminator.0.step"] == 12 * per_step
        assert tensors["adam.generator.0.step"] == 12
        assert any("parametrizations" in name for name in tensors) == normalised


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
