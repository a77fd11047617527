"""Steps drawn in blocks, replayed recordings, low precision, memory layout.

A recording needs a GPU. On a CPU the function that records is exchanged for one whose
recordings call the step again on the same inputs; on a GPU, where these tests run a
second time, it is the real one. Both are also made to record wrongly.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from kldiv_attack import make_attacker
from kldiv_attack.attackers import _stepping
from kldiv_attack.attackers._cgan_training import CGANTraining
from kldiv_attack.attackers._gmi import GMITraining
from kldiv_attack.attackers._pairs import Pairs
from kldiv_attack.attackers._preimage_gan import PreImageGANTraining
from kldiv_attack.attackers._stepping import BLOCK, Stepper, drawn
from kldiv_attack.attackers._updates import frozen_copy
from kldiv_attack.networks import VictimNetwork, seeded
from tests.attack.conftest import MemoryRecorder, digest, small

pytestmark = pytest.mark.usefixtures("brief")

CPU = torch.device("cpu")
GANS = ["cgan", "preimage_gan", "gmi"]
LOSSES = {"cgan": 3, "preimage_gan": 3, "gmi": 2}
VARIANTS = [
    ("cgan", {}),
    ("cgan", {"loss": "wgan-gp"}),
    ("cgan", {"loss": "hinge", "discriminator": "acgan", "consistency": "surrogate"}),
    ("cgan", {"discriminator": "concat", "translation": 0}),
    ("preimage_gan", {}),
    ("gmi", {}),
]


@pytest.fixture(params=GANS)
def gan(request):
    """Name of every attacker that trains a GAN of its own."""
    return request.param


def training_of(name, place=CPU, **changes):
    """Training of an attacker on random images of 8 x 8 pixels."""
    rng = np.random.default_rng(0)
    images = rng.random((40, 1, 8, 8), dtype=np.float32)
    answers = rng.dirichlet(np.ones(3), 40).astype(np.float32)
    settings = make_attacker(name, **small(name, **changes, device=place))
    settings._begin(("a", "b", "c"), images)
    pairs = Pairs(images, answers, place)
    if name == "cgan":
        return CGANTraining(settings, 3, pairs)
    if name == "gmi":
        return GMITraining(settings, pairs.images)
    with seeded(0):
        victim = VictimNetwork((1, 8, 8), 3)
    return PreImageGANTraining(settings, pairs, frozen_copy(victim, place))


# Drawing


def test_blocks_hand_out_what_each_step_draws():
    def draw_from(source):
        return lambda number: {
            "noise": torch.randn(2, 3, generator=source),
            "number": torch.tensor(float(number)),
        }

    numbers = range(3, 3 + 2 * BLOCK + 7)
    sources = [torch.Generator().manual_seed(5) for _ in range(2)]
    alone = draw_from(sources[0])
    for number, draws in zip(
        numbers, drawn(draw_from(sources[1]), numbers, CPU), strict=True
    ):
        wanted = alone(number)
        assert set(draws) == set(wanted)
        assert all(torch.equal(draws[name], wanted[name]) for name in wanted)
        assert draws["number"] == number
    assert torch.equal(sources[0].get_state(), sources[1].get_state())
    assert not list(drawn(alone, range(0), CPU))


class NothingToWaitFor(TorchDispatchMode):
    """Refuses what would make a GPU wait, or would not be drawn again in a replay."""

    refused = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "rand")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__
        assert not any(part in name for part in self.refused), name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_a_step_waits_for_nothing_and_draws_nothing(name, changes):
    training = training_of(name, **changes)
    (first, second) = (training.draw(number) for number in (1, 2))
    assert {k: v.shape for k, v in first.items()} == {
        k: v.shape for k, v in second.items()
    }
    training.step(first)  # Adam makes its state
    before = training.source.get_state()
    with NothingToWaitFor():
        losses = training.step(second)
    assert losses.shape == (LOSSES[name],)
    assert torch.isfinite(losses).all()
    assert torch.equal(before, training.source.get_state())


def test_the_check_above_refuses():
    for action in (
        lambda: float(torch.ones(1)),
        lambda: torch.tensor([1.0]),
        lambda: torch.rand(2),
        lambda: torch.ones(2)[torch.tensor([True, False])],
    ):
        with NothingToWaitFor(), pytest.raises(AssertionError):
            action()


# Replaying

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=needs_cuda)])
def device(request):
    """Where recordings are made: by a stand-in on a CPU, in earnest on a GPU."""
    return torch.device(request.param)


class Tape:
    """Watches what is recorded, and spoils it on demand.

    On a CPU it stands in for the recorder of a GPU: it calls the step again when the
    recording is replayed.
    """

    def __init__(self, monkeypatch, device, n_losses, *, wrong=None):
        self.replays = 0
        self.device, self.n_losses, self.wrong = device, n_losses, wrong
        self.real = _stepping.record
        monkeypatch.setattr(_stepping, "record", self.record)
        if device.type == "cpu":
            self.real = self.stand_in
            monkeypatch.setattr(_stepping, "can_record", lambda _: True)
            monkeypatch.setattr(_stepping, "aside", lambda _: nullcontext())

    def stand_in(self, function, device):
        del device
        losses = torch.full((self.n_losses,), torch.nan)
        return lambda: losses.copy_(function()), losses

    def record(self, function, device):
        assert device.type == self.device.type
        if self.wrong == "fails":
            raise RuntimeError("operation not permitted when stream is capturing")
        stepper = function.__closure__[0].cell_contents
        if self.wrong == "old input":
            function = stale(stepper)
        if self.wrong == "no update":
            function = without_update(function, stepper.training)
        real_replay, losses = self.real(function, device)

        def replay():
            self.replays += 1
            if self.wrong != "does nothing":
                real_replay()

        return replay, losses


def stale(stepper):
    """A step that reads a copy of its inputs, which is never renewed."""
    copied = {name: values.clone() for name, values in stepper._inputs.items()}
    return lambda: stepper.training.step(copied)


def without_update(function, training):
    """A step without what the optimiser of the generator does."""
    weights = list(training.networks["generator"].parameters())

    def spoilt():
        kept = [weight.detach().clone() for weight in weights]
        losses = function()
        with torch.no_grad():
            for weight, old in zip(weights, kept, strict=True):
                weight.copy_(old)
        return losses

    return spoilt


def assert_alike(one, other, device):
    """The same numbers on a CPU; on a GPU atomic sums differ in the last digits."""
    if device.type == "cpu":
        np.testing.assert_array_equal(one, other)
    else:
        np.testing.assert_allclose(one, other, atol=0.05)


def test_replayed_steps_are_the_usual_ones(gan, device, victim, public, monkeypatch):
    usual, replayed = MemoryRecorder(), MemoryRecorder()
    plain = make_attacker(gan, **small(gan), cuda_graph=False, device=device)
    plain.fit(victim, public.images, recorder=usual)
    assert plain.cuda_graph_ is False
    tape = Tape(monkeypatch, device, LOSSES[gan])
    attacker = make_attacker(gan, **small(gan), cuda_graph=True, device=device)
    attacker.fit(victim, public.images, recorder=replayed)
    assert attacker.cuda_graph_ is True
    assert tape.replays == 12 - _stepping.WARM_UP
    assert usual.numbers.keys() == replayed.numbers.keys()
    for step, losses in usual.numbers.items():
        assert_alike(
            list(losses.values()), list(replayed.numbers[step].values()), device
        )
    assert_alike(digest(plain), digest(attacker), device)


@pytest.fixture(scope="module")
def plain():
    """Images of attackers that record nothing, by attacker and device."""
    return {}


@pytest.mark.parametrize("wrong", ["fails", "does nothing", "old input", "no update"])
def test_a_wrong_recording_is_not_used(
    gan, wrong, device, plain, victim, public, monkeypatch, caplog
):
    def make(cuda_graph):
        return make_attacker(gan, **small(gan), cuda_graph=cuda_graph, device=device)

    if (gan, device) not in plain:
        plain[gan, device] = digest(make(False).fit(victim, public.images))
    tape = Tape(monkeypatch, device, LOSSES[gan], wrong=wrong)
    attacker = make("auto").fit(victim, public.images)
    assert attacker.cuda_graph_ is False
    assert tape.replays <= 1
    assert "goes on without a CUDA graph" in caplog.text
    assert_alike(plain[gan, device], digest(attacker), device)
    with pytest.raises(RuntimeError, match="cuda_graph='auto' or False"):
        make(True).fit(victim, public.images)


@pytest.mark.parametrize("name", GANS)
def test_a_step_that_breaks_off_leaves_the_weights_free(name):
    """A recording may fail in the middle; the next step is made in the usual way."""
    training = training_of(name)
    draws = training.draw(1)
    with pytest.raises(KeyError, match="moved"):
        training.step({key: draws[key] for key in draws if key != "moved"})
    learning = training.networks["discriminator"]
    assert all(weight.requires_grad for weight in learning.parameters())
    assert torch.isfinite(training.step(draws)).all()


@pytest.mark.parametrize("value", ["yes", None, 1])
def test_cuda_graph_takes_three_values(gan, value, victim, public):
    with pytest.raises(ValueError, match="expected 'auto', True or False"):
        make_attacker(gan, cuda_graph=value).fit(victim, public.images)


def test_a_graph_cannot_be_demanded_of_a_cpu(gan, victim, public):
    with pytest.raises(ValueError, match="device is 'cpu', graphs need CUDA"):
        make_attacker(gan, cuda_graph=True, device="cpu").fit(victim, public.images)
    assert victim.n_queries == 0


def test_auto_does_not_record_on_a_cpu(monkeypatch):
    monkeypatch.setattr(_stepping, "record", None)
    stepper = Stepper(training_of("gmi"), "auto")
    for draws in drawn(stepper.training.draw, range(1, 8), CPU):
        stepper(draws)
    assert not stepper.recorded


# Precision and layout


def flat(network):
    """Copy of all weights in one row."""
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


@pytest.mark.parametrize(("name", "changes"), VARIANTS)
def test_low_precision_and_layout_stay_near(name, changes):
    """First losses and first move of the generator, beside single precision."""
    moves, losses = {}, {}
    for option in ("float32", "bfloat16", "channels_last"):
        chosen = {"channels_last": True} if "last" in option else {"precision": option}
        training = training_of(name, **changes, **chosen)
        start = flat(training.generator)
        losses[option] = training.step(training.draw(1))
        end = flat(training.generator)
        assert end.dtype == losses[option].dtype == torch.float32
        moves[option] = end - start
    torch.testing.assert_close(losses["channels_last"], losses["float32"])
    torch.testing.assert_close(
        losses["bfloat16"], losses["float32"], rtol=0.05, atol=0.05
    )
    assert not torch.equal(losses["bfloat16"], losses["float32"])
    for option, least in (("bfloat16", 0.7), ("channels_last", 0.95)):
        alike = torch.cosine_similarity(moves[option], moves["float32"], dim=0)
        assert alike > least, option


@pytest.mark.parametrize(
    "changes", [{"channels_last": True}, {"precision": "bfloat16"}]
)
def test_resumed_as_if_never_interrupted(gan, changes, victim, public):
    """Moments of the weights come back in the layout of the weights."""

    def make():
        return make_attacker(gan, **small(gan, **changes, width=24))

    whole = make().fit(victim, public.images, recorder=MemoryRecorder())
    recorder = MemoryRecorder(stop_at=5)
    with pytest.raises(KeyboardInterrupt):
        make().fit(victim, public.images, recorder=recorder)
    recorder.stop_at = None
    resumed = make().fit(victim, public.images, recorder=recorder)
    np.testing.assert_array_equal(digest(whole), digest(resumed))


def test_precision_has_two_values(gan, victim, public):
    with pytest.raises(ValueError, match="precision"):
        make_attacker(gan, precision="float16").fit(victim, public.images)


# On a GPU


@needs_cuda
@pytest.mark.parametrize(("name", "changes"), VARIANTS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_recorded_steps_on_a_gpu(name, changes, precision):
    """Ten replayed steps beside ten usual ones, and the first losses beside a CPU's."""
    place = torch.device("cuda")
    found = {}
    for wanted in (True, False):
        training = training_of(name, place, **changes, precision=precision)
        stepper = Stepper(training, wanted)
        draws = drawn(training.draw, range(1, 11), place)
        found[wanted] = torch.stack([stepper(each) for each in draws])
        assert stepper.recorded is wanted
    torch.testing.assert_close(found[True], found[False], rtol=0.05, atol=0.05)
    training = training_of(name, **changes)
    losses = training.step(training.draw(1))
    torch.testing.assert_close(found[False][0].cpu(), losses, rtol=0.05, atol=0.05)
