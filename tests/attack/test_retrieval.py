"""What is particular to the attacker that has no generator."""

import numpy as np
import pytest
import torch

from kldiv_attack import make_attacker
from kldiv_attack.attackers._retrieval import KINDS
from kldiv_attack.attackers._warps import bend, stretch
from kldiv_attack.victim import Victim
from tests.attack.conftest import MemoryRecorder


def make(**changes):
    parameters = {"steps": len(KINDS), "variants": 60, "min_responses": 5}
    return make_attacker("retrieval", **parameters | changes)


def rows(images):
    return {row.tobytes() for row in images}


def test_public_images_where_the_victim_is_sure_of_enough(victim, public):
    fitted = make(certainty=0.6, steps=1).fit(victim, public.images)
    assert min(map(len, fitted.rows_.values())) >= 20
    images = fitted.invert(fitted.classes_, 20)
    for label, found in enumerate(images):
        assert len(rows(found)) == 20  # none twice
        assert rows(found) <= rows(fitted.rows_[label])
    assert rows(fitted.rows_[0]) <= rows(public.images)


def test_classes_with_few_sure_images_are_filled_with_confirmed_variants(
    victim, public
):
    fitted = make(certainty=0.99).fit(victim, public.images)
    label = min(fitted.rows_, key=lambda c: len(fitted.rows_[c]) - fitted.n_sure_[c])
    n_rows, n_sure = len(fitted.rows_[label]), fitted.n_sure_[label]
    assert n_sure > 1
    images = fitted.invert([label], n_rows + n_sure - 1)[0]
    np.testing.assert_array_equal(images[:n_rows], fitted.rows_[label])
    made = images[n_rows:]
    assert rows(made) <= rows(fitted.variants_[label][:n_sure])
    assert not rows(made) & rows(public.images)
    assert victim.query(made)[:, label].min() >= 0.99 - 1e-6


def test_more_than_there_is_repeats_and_all_of_it_is_called_so(victim, public):
    fitted = make(steps=1, variants=5).fit(victim, public.images)
    images = fitted.invert([4], 500)[0]
    assert len(rows(images)) < 500
    assert (victim.query(images).argmax(1) == 4).all()


def test_an_interruption_costs_no_answer(trained, public):
    """Every round is kept, however rarely the recorder wants a snapshot."""
    for stop_after in (1, 3):
        victim = Victim(trained.network, trained.class_names)
        recorder = MemoryRecorder(every=1000, stop_after=stop_after)
        with pytest.raises(KeyboardInterrupt):
            make(steps=3, variants=10).fit(victim, public.images, recorder=recorder)
        asked = len(public) + (stop_after - 1) * 100
        assert victim.n_queries == asked
        resumed = make(steps=3, variants=10).fit(
            victim, public.images, recorder=recorder
        )
        assert victim.n_queries == len(public) + 3 * 100
        assert resumed.n_queries_ == victim.n_queries


def test_a_budget_that_ends_in_a_round_is_told_once(trained, public, caplog):
    victim = Victim(trained.network, trained.class_names, budget=len(public) + 700)
    fitted = make().fit(victim, public.images)
    assert fitted.budget_exhausted_
    assert victim.n_queries == len(public) + 700
    assert caplog.text.count("budget allows 40 more queries: round 2 of 6") == 1
    assert caplog.text.count("budget allows") == 1


def test_bend_and_stretch():
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) / 2
    still = bend(images, 0.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(still, images)
    moved = bend(images, 0.2, torch.Generator().manual_seed(0))
    assert (moved - images).abs().amax((1, 2, 3)).min() > 0.01
    bright = stretch(images)
    torch.testing.assert_close(bright.amax((1, 2, 3)), torch.ones(4))
    assert (bright >= images).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"certainty": 0.5}, "certainty=0.5: expected a number > 0.5 and < 1"),
        ({"certainty": 1.0}, "certainty=1.0"),
        ({"certainty": np.nan}, "certainty=nan"),
        ({"turn": -1.0}, "turn=-1.0: expected a number >= 0"),
        ({"bend": np.inf}, "bend=inf"),
        ({"variants": 0}, "variants=0"),
    ],
)
def test_bad_parameters(victim, public, changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes).fit(victim, public.images)
    assert victim.n_queries == 0
