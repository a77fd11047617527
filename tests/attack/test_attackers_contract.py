"""What every entry of ATTACKERS promises, on embedded digits and in a few steps."""

import copy
import gc
import inspect
import json
import sys
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from kldiv_attack import make_attacker
from kldiv_attack.attackers import ATTACKERS
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.victim import QueryBudgetExceeded, Victim
from tests.attack.conftest import MemoryRecorder, digest, small

pytestmark = pytest.mark.usefixtures("brief")


def having(condition):
    """A mark: the attackers that fulfil a condition, and no others."""
    names = [name for name, kind in ATTACKERS.items() if condition(kind)]
    assert names
    return pytest.mark.parametrize("attacker", sorted(names))


def _learns(kind):
    """Whether the attacker needs answers to public images of every class."""
    return "min_responses" in inspect.signature(kind).parameters


with_gradients = having(lambda kind: kind.access == "gradients")
through_queries = having(lambda kind: kind.access != "gradients")
needs_more_than_labels = having(lambda kind: kind.access != "labels")
labels_are_enough = having(lambda kind: kind.access == "labels")
learns_answers = having(_learns)
learns_no_answers = having(lambda kind: not _learns(kind))
# Attackers that search anew for every image have nothing to keep.
WITHOUT_SNAPSHOTS = {ATTACKERS["mi_face"]}
keeps_snapshots = having(lambda kind: kind not in WITHOUT_SNAPSHOTS)
keeps_no_snapshots = having(lambda kind: kind in WITHOUT_SNAPSHOTS)


@pytest.fixture(params=sorted(ATTACKERS))
def attacker(request):
    """Name of every attacker."""
    return request.param


@pytest.fixture
def make(attacker):
    def _make(**changes):
        return make_attacker(attacker, **small(attacker, **changes))

    return _make


class Whole:
    """An undisturbed fit of one attacker, its images, and what its recorder got."""

    def __init__(self, made, victim, images):
        self.recorder = MemoryRecorder()
        self.fitted = made.fit(victim, images, recorder=self.recorder)
        self.n_queries = victim.n_queries
        self.digest = digest(self.fitted)


@pytest.fixture(scope="session")
def wholes():
    """Undisturbed fits by attacker: many tests compare theirs with it."""
    return {}


@pytest.fixture
def whole(attacker, make, wholes, trained, public):
    """The undisturbed fit of this attacker, not to be changed."""
    if attacker not in wholes:
        victim = Victim(trained.network, trained.class_names, trained.image_shape)
        wholes[attacker] = Whole(make(), victim, public.images)
    return wholes[attacker]


@pytest.fixture
def recorded(whole):
    """A recorder that holds what the undisturbed fit left."""
    return copy.deepcopy(whole.recorder)


@pytest.fixture
def access(attacker):
    """What this attacker declares."""
    return ATTACKERS[attacker].access


@pytest.fixture
def few_answers(attacker):
    """Parameters with which a class needs no more than five answers."""
    return {"min_responses": 5} if _learns(ATTACKERS[attacker]) else {}


def labels_of(function, n_classes):
    return Victim.from_callable(
        lambda x: np.asarray(function(x)).argmax(1), n_classes, answers="labels"
    )


# By what an attacker declares: a victim that a function of the images answers for.
ASKING = {"labels": labels_of, "probabilities": Victim.from_callable}


@pytest.fixture
def ask_function(access):
    """Make a victim of this attacker's kind from a function of the images."""
    return ASKING[access]


@pytest.fixture
def answer(trained):
    """What the trained network says, as a plain function."""

    def _answer(images):
        with torch.no_grad():
            return trained.network(torch.from_numpy(images)).softmax(1).numpy()

    return _answer


def assert_images(images, shape):
    assert images.dtype == np.float32
    assert images.shape == shape
    assert images.min() >= 0
    assert images.max() <= 1


# What comes out


def test_images_in_range_for_every_class(whole, victim):
    fitted = whole.fitted
    images = fitted.invert([4, 0, 4], 6)
    assert_images(images, (3, 6, 1, 8, 8))
    np.testing.assert_array_equal(images[0], images[2])  # noise belongs to the class
    assert not np.array_equal(images[0], images[1])
    assert fitted.class_names_ == victim.class_names
    assert fitted.reasons_ == {}


def test_same_seed_same_numbers_and_nothing_else_is_touched(
    whole, make, victim, public, capsys, monkeypatch
):
    """Also without a recorder and in another global state; nothing is printed."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    torch.manual_seed(7)  # another global state than when the other fit began
    before, images = torch.get_rng_state(), public.images.copy()
    numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002 - that it is unused
    again = make(random_state=0).fit(victim, images)
    np.testing.assert_array_equal(digest(again), whole.digest)
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(images, public.images)
    assert capsys.readouterr() == ("", "")


def test_other_seeds_other_numbers(whole, make, victim, public):
    other = make(random_state=2).fit(victim, public.images)
    assert not np.array_equal(digest(other), whole.digest)
    first, second = (whole.fitted.invert([0], 3, random_state=s) for s in (0, 1))
    assert not np.array_equal(first, second)


COLOUR = [
    (3, 12, 8),
    (3, 32, 32),
    pytest.param((3, 64, 64), marks=pytest.mark.slow),
]


@pytest.fixture
def make_quick(make, attacker):
    """Without steps and parts that say nothing about the size of images."""
    cheap = {"candidates": 1} if attacker == "cgan" else {}
    if attacker == "label_only":
        cheap = {"gan": {"consistency": None, "candidates": 1}}
    return lambda: make(steps=2, **cheap)


def colour_images(shape):
    """Half of them dark and half of them bright, and no two alike."""
    images = np.random.default_rng(0).random((40, *shape), dtype=np.float32) / 2
    images[::2] += 0.5
    return images


@with_gradients
@pytest.mark.parametrize("shape", COLOUR)
def test_colour_images_of_another_size_with_gradients(make_quick, shape):
    n = int(np.prod(shape))
    network = nn.Sequential(nn.Flatten(), nn.Linear(n, 2))
    with torch.no_grad():  # dark against bright
        network[1].weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, n) * 100 / n)
        network[1].bias.copy_(torch.tensor([50.0, -50.0]))
    victim = Victim(network, ("dark", "bright"), shape, device="cpu")
    fitted = make_quick().fit(victim, colour_images(shape))
    assert_images(fitted.invert([0, 1], 2), (2, 2, *shape))


@through_queries
@pytest.mark.parametrize("shape", COLOUR)
def test_colour_images_of_another_size_through_queries(make_quick, ask_function, shape):
    victim = ask_function(
        lambda x: (
            np.where(x.mean((1, 2, 3))[:, None] < 0.5, [0.7, 0.3], [0.2, 0.8])
            if len(x)
            else np.zeros((0, 2))
        ),
        2,
    )
    fitted = make_quick().fit(victim, colour_images(shape))
    assert_images(fitted.invert([0, 1], 2), (2, 2, *shape))


@pytest.mark.parametrize("sides", [(9, 11), (10, 8), (6, 8)])
def test_odd_sides_are_served_or_refused_before_anything_is_asked(
    make, attacker, sides
):
    victim = Victim(
        nn.Sequential(nn.Flatten(), nn.Linear(sides[0] * sides[1], 2)),
        ("dark", "bright"),
        (1, *sides),
        device="cpu",
    )
    images = colour_images((1, *sides))
    if "width" in inspect.signature(ATTACKERS[attacker]).parameters or (
        attacker == "label_only"  # its GAN has a width
    ):
        with pytest.raises(ValueError, match=f"sides .*got {sides[0]} x {sides[1]}"):
            make().fit(victim, images)
        assert victim.n_queries == 0
    else:
        few = {"min_responses": 1} if _learns(ATTACKERS[attacker]) else {}
        fitted = make(**few).fit(victim, images)
        known = [c for c in (0, 1) if c not in fitted.reasons_]
        assert_images(fitted.invert(known, 2), (len(known), 2, 1, *sides))


# Access


class Counting(Victim):
    """Knows whether it is being queried."""

    counting = False

    def query(self, images):
        self.counting = True
        answers = super().query(images)
        self.counting = False
        return answers


class QueriesOnly(Counting):
    """Fails where its probabilities are looked at without a query."""

    def _probabilities(self, images):
        assert self.counting
        return super()._probabilities(images)


@with_gradients
def test_gradients_are_no_queries_and_inverting_asks_nothing(make, trained, public):
    victim = Counting(trained.network, trained.class_names)
    fitted = make().fit(victim, public.images)
    assert fitted.n_queries_ == victim.n_queries
    before = victim.n_queries
    digest(fitted)
    assert victim.n_queries == before


@through_queries
def test_it_gets_what_it_declared_and_nothing_else(
    make, trained, public, ask_function, answer
):
    victim = ask_function(answer, 10)  # a plain function: no network to reach
    victim.__class__ = QueriesOnly
    victim.network = None
    victim.frozen = trained.frozen
    fitted = make().fit(victim, public.images)
    assert fitted.n_queries_ == victim.n_queries >= len(public)
    before = victim.n_queries
    digest(fitted)
    assert victim.n_queries == before  # inverting asks nothing any more


@labels_are_enough
def test_a_victim_that_gives_labels_is_enough(make, trained, public):
    victim = Victim(trained.network, trained.class_names, answers="labels")
    assert make().fit(victim, public.images).n_queries_ >= len(public)


@needs_more_than_labels
def test_a_victim_that_gives_only_labels_is_refused(make, trained, public):
    victim = Victim(trained.network, trained.class_names, answers="labels")
    with pytest.raises(ValueError, match="answers only labels"):
        make().fit(victim, public.images)


@with_gradients
def test_a_victim_without_gradients_is_refused(make, public):
    with pytest.raises(ValueError, match="needs gradients"):
        make().fit(Victim.from_callable(len, 10), public.images)


def test_victim_is_frozen_while_attacked_restored_and_forgotten(make, trained, public):
    network = copy.deepcopy(trained.network)
    victim = Victim(network, trained.class_names)
    network.train().requires_grad_(True)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fitted = make().fit(victim, public.images)
    fitted.invert([3], 2)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in network.parameters())
    for key, value in network.state_dict().items():
        assert torch.equal(before[key], value), key
    # What happens to the victim afterwards does not reach the attacker.
    reference = digest(fitted)
    assert np.isfinite(reference).all()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    gone = weakref.ref(victim)
    del victim
    gc.collect()
    assert gone() is None
    np.testing.assert_array_equal(digest(fitted), reference)


# Snapshots


def test_snapshots_hold_every_step(whole):
    recorder = whole.recorder
    assert sorted(recorder.numbers) == list(range(1, len(recorder.numbers) + 1))
    for step, sample in recorder.samples.items():
        assert step in recorder.numbers
        assert sample.ndim == 5
        assert sample.shape[2:] == (1, 8, 8)
        assert sample.min() >= 0
        assert sample.max() <= 1


@keeps_snapshots
@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_interrupted_run_goes_on_to_the_same_result(
    whole, make, victim, public, stop_after
):
    stopped = MemoryRecorder(stop_after=min(stop_after, whole.recorder.n_saves))
    with pytest.raises(KeyboardInterrupt):
        make().fit(victim, public.images, recorder=stopped)
    resumed = make().fit(victim, public.images, recorder=stopped)
    np.testing.assert_array_equal(digest(resumed), whole.digest)
    assert stopped.numbers == whole.recorder.numbers
    assert resumed.n_queries_ == whole.fitted.n_queries_


@keeps_snapshots
def test_a_run_that_was_almost_done_asks_nothing_again(whole, make, victim, public):
    stopped = MemoryRecorder(stop_after=whole.recorder.n_saves - 1)
    with pytest.raises(KeyboardInterrupt):
        make().fit(victim, public.images, recorder=stopped)
    asked = victim.n_queries
    make().fit(victim, public.images, recorder=stopped)
    assert victim.n_queries == asked  # answers are in the snapshot


def test_truth_is_no_number(make, victim, public):
    attacker = make(steps=True)
    with pytest.raises(ValueError, match="steps=True: expected a whole number >= 1"):
        attacker.fit(victim, public.images)


@keeps_snapshots
def test_finished_run_is_rebuilt_from_its_snapshot(
    whole, recorded, make, victim, public
):
    again = make().fit(victim, public.images, recorder=recorded)
    np.testing.assert_array_equal(digest(again), whole.digest)
    assert again.n_queries_ == whole.fitted.n_queries_ == whole.n_queries
    assert victim.n_queries == 0


@keeps_snapshots
def test_snapshot_of_another_run_is_refused(recorded, make, victim, public):
    recorder = recorded
    with pytest.raises(ValueError, match=r"random_state=5 \(was 0\)"):
        make(random_state=5).fit(victim, public.images, recorder=recorder)
    with pytest.raises(ValueError, match="other images"):
        make().fit(victim, public.images[1:], recorder=recorder)
    step, tensors, extra = recorder.snapshot
    recorder.snapshot = step, tensors, json.dumps({**json.loads(extra), "format": 99})
    with pytest.raises(ValueError, match="format 99"):
        make().fit(victim, public.images, recorder=recorder)


@keeps_no_snapshots
def test_nothing_is_learnt_so_nothing_can_be_mistaken(
    whole, recorded, make, victim, public
):
    assert whole.recorder.snapshot is None
    assert whole.recorder.numbers == {}
    again = make().fit(victim, public.images, recorder=recorded)
    np.testing.assert_array_equal(digest(again), whole.digest)
    assert again.n_queries_ == whole.fitted.n_queries_


# Classes


def answered(victim, public):
    """Public images without those of class 3, and with four of class 7."""
    answers = victim.query(public.images).argmax(1)
    keep = answers != 3
    keep[np.flatnonzero(answers == 7)[4:]] = False
    return public.images[keep]


@learns_answers
def test_tiny_and_missing_classes_are_nan_with_a_reason(make, victim, public, caplog):
    fitted = make(min_responses=5).fit(victim, answered(victim, public))
    assert set(fitted.reasons_) == {3, 7}
    assert "never answered" in fitted.reasons_[3]
    assert "4 times" in fitted.reasons_[7]
    assert "3: the victim never answered" in caplog.text
    images = fitted.invert([2, 3, 7], 4)
    assert np.isnan(images[1:]).all()
    assert np.isfinite(images[0]).all()


@learns_no_answers
def test_images_of_other_classes_do_as_well(make, victim, public):
    fitted = make().fit(victim, answered(victim, public))
    assert np.isfinite(fitted.invert([2, 3, 7], 4)).all()
    assert make().fit(victim, public.images[:1]).reasons_ == {}


@pytest.mark.parametrize(
    ("attacker", "n_missing"),
    [(name, 9 * _learns(kind)) for name, kind in sorted(ATTACKERS.items())],
)
def test_public_images_of_one_class(make, n_missing, victim, public):
    answers = victim.query(public.images).argmax(1)
    fitted = make().fit(victim, public.images[answers == 6])
    assert np.isfinite(fitted.invert([6], 2)).all()
    assert len(fitted.reasons_) == n_missing


@learns_answers
def test_no_class_with_enough_answers_is_an_error(make, victim, public):
    with pytest.raises(ValueError, match="min_responses=2000"):
        make(min_responses=2000).fit(victim, public.images)


def test_a_victim_of_one_class_is_refused(make, public):
    victim = Victim(nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), ("all",))
    with pytest.raises(ValueError, match="1 class: its answers tell nothing"):
        make().fit(victim, public.images)


def test_ideal_attacker_needs_no_victim(make, private):
    few = private.subset(slice(0, 300))
    fitted = make().fit_ideal(few)
    assert fitted.n_queries_ == 0
    assert_images(digest(fitted), (10, 3, 1, 8, 8))
    without = few.subset(few.labels != 6)
    fitted = make().fit_ideal(without)
    assert set(fitted.reasons_) == {6}
    assert np.isnan(fitted.invert([6], 2)).all()
    with pytest.raises(ValueError, match="at least one image, got none"):
        make().fit_ideal(few.subset(slice(0)))


# Queries


@pytest.mark.parametrize("budget", [250, 920])
def test_a_budget_is_kept_and_what_was_answered_is_used(
    make, few_answers, trained, public, caplog, budget
):
    victim = Victim(trained.network, trained.class_names, budget=budget)
    fitted = make(**few_answers).fit(victim, public.images)
    assert victim.n_queries <= budget
    assert fitted.n_queries_ == victim.n_queries
    assert_images(fitted.invert([0, 9], 2), (2, 2, 1, 8, 8))
    assert fitted.budget_exhausted_ == ("budget allows" in caplog.text)
    assert victim.n_queries == budget or not fitted.budget_exhausted_


@learns_answers
def test_a_budget_for_a_part_of_the_public_images_is_exhausted(make, trained, public):
    budget = len(public) // 2
    victim = Victim(trained.network, trained.class_names, budget=budget)
    assert make(min_responses=5).fit(victim, public.images).budget_exhausted_


@keeps_snapshots
def test_a_small_budget_is_kept_by_a_run_that_goes_on(
    make, few_answers, trained, public
):
    """The queries before the interruption count, also in another process."""

    def fresh():
        return Victim(trained.network, trained.class_names, budget=910)

    whole = make(**few_answers).fit(fresh(), public.images)
    recorder = MemoryRecorder(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        make(**few_answers).fit(fresh(), public.images, recorder=recorder)
    resumed = make(**few_answers).fit(fresh(), public.images, recorder=recorder)
    np.testing.assert_array_equal(digest(resumed), digest(whole))
    assert resumed.n_queries_ == whole.n_queries_ <= 910
    assert resumed.budget_exhausted_ == whole.budget_exhausted_


@learns_answers
def test_a_spent_budget_is_an_error(make, trained, public):
    victim = Victim(trained.network, trained.class_names, budget=0)
    with pytest.raises(QueryBudgetExceeded, match="before the first query"):
        make().fit(victim, public.images)


@learns_no_answers
def test_a_spent_budget_does_for_who_asks_nothing(make, trained, public):
    victim = Victim(trained.network, trained.class_names, budget=0)
    assert make().fit(victim, public.images).n_queries_ == 0


@with_gradients
def test_a_frozen_network_does_not_change_its_mind(whole):
    assert np.isnan(whole.fitted.changed_answers_)


@through_queries
def test_a_victim_that_changes_its_mind_is_noticed(
    make, public, ask_function, answer, caplog
):
    steady = make().fit(ask_function(answer, 10), public.images)
    assert steady.changed_answers_ == 0
    assert "changed its mind" not in caplog.text
    rng = np.random.default_rng(0)
    fitted = make().fit(
        ask_function(lambda x: rng.dirichlet(np.ones(10), len(x)), 10), public.images
    )
    assert fitted.changed_answers_ > 0
    assert "changed its mind about" in caplog.text
    known = [c for c in range(10) if c not in fitted.reasons_]
    assert np.isfinite(fitted.invert(known, 2)).all()


# Bad input


def test_invert_before_fit_and_with_bad_labels(whole, make):
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError, match="call fit"):
        make().invert([0], 1)
    fitted = whole.fitted
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
        (np.zeros((5, 64)), r"rows of pixels can, after images\.reshape"),
        (np.zeros((5, 8, 8)), r"images\[:, None\]"),
        (np.full((5, 1, 8, 8), np.nan), "NaN"),
        (np.full((5, 1, 8, 8), 255.0), "Divide 8-bit"),
        (np.full((5, 1, 8, 8), 255, np.uint8), "Divide 8-bit"),
        (np.zeros((5, 1, 12, 12)), r"\(1, 8, 8\)"),
        (np.zeros((5, 3, 8, 8)), r"\(1, 8, 8\)"),
    ],
)
def test_bad_auxiliary_images(make, victim, images, message):
    with pytest.raises(ValueError, match=message):
        make().fit(victim, images)


@through_queries
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: np.ones((len(x), 10)), "sum to one"),
        (lambda x: np.full((len(x), 10), np.nan), "NaN or infinity"),
        (lambda x: np.full((len(x), 7), 1 / 7), r"\(\d+, 10\), got \(\d+, 7\)"),
    ],
)
def test_bad_answers_of_a_function_stop_the_attack(make, public, answer, message):
    with pytest.raises(ValueError, match=message):
        make().fit(Victim.from_callable(answer, 10), public.images)


@labels_are_enough
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda x: np.full(len(x), 10), "labels 0 to 9"),
        (lambda x: np.full(len(x), 0.5), "whole labels"),
        (lambda x: np.zeros((len(x), 10), int), r"labels of shape"),
    ],
)
def test_bad_labels_of_a_function_stop_the_attack(make, public, answer, message):
    victim = Victim.from_callable(answer, 10, answers="labels")
    with pytest.raises(ValueError, match=message):
        make().fit(victim, public.images)


class Broken(nn.Module):
    """A network that returns what it should not."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, images):
        return images.flatten(1)[:, :10] * 0 + self.outputs


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Broken(torch.nan), "NaN or infinity for"),
        (Broken(torch.inf), "NaN or infinity for"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 7)), r"returned \(\d+, 7\)"),
    ],
)
def test_broken_networks_are_refused(make, public, network, message):
    victim = Victim(network, tuple("0123456789"), (1, 8, 8), device="cpu")
    with pytest.raises(ValueError, match=message):
        make().fit(victim, public.images)


# Manners


def test_progress_bars_when_asked(make, victim, public, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    make(verbose=1).fit(victim, public.images).invert([0], 2)
    assert "%|" in capsys.readouterr().err


def test_unknown_names_list_what_exists(attacker):
    with pytest.raises(ValueError, match=attacker):
        make_attacker("gans")
    with pytest.raises(ValueError, match=r"no parameter epochs_; it accepts .*steps"):
        make_attacker(attacker, epochs_=3)


def test_settings_fit_into_a_file(attacker):
    """A run folder stores them as JSON, and an equal attacker comes out of it."""
    made = make_attacker(attacker)
    names = inspect.signature(ATTACKERS[attacker]).parameters
    stored = {name: getattr(made, name) for name in names}
    again = make_attacker(attacker, **json.loads(json.dumps(stored)))
    back = {name: getattr(again, name) for name in names}
    assert json.dumps(back) == json.dumps(stored)


def test_labels_beyond_the_images_are_no_problem(make, private):
    """A class name without a row is allowed everywhere."""
    few = private.subset(slice(0, 200))
    more = LabelledImages(
        few.images, few.labels, (*few.class_names, "ten"), "digits and nothing"
    )
    fitted = make().fit_ideal(more)
    assert set(fitted.reasons_) >= {10}
