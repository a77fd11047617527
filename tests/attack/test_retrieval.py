"""What is particular to the attacker that has no generator."""

import numpy as np
import pytest
import torch

from kldiv_attack import make_attacker
from kldiv_attack.attackers._retrieval import KINDS
from kldiv_attack.attackers._sureness import certainty, overconfidence
from kldiv_attack.attackers._warps import bend, stretch
from kldiv_attack.victim import Victim
from tests.attack.conftest import MemoryRecorder


def make(**changes):
    parameters = {"steps": len(KINDS), "variants": 60, "min_responses": 5}
    return make_attacker("retrieval", **parameters | changes)


def rows(images):
    return {row.tobytes() for row in images}


def probabilities(images, odds):
    """Answers whose log odds of class 0 are given, the rest to class 1."""
    share = 1 / (1 + np.exp(-np.asarray(odds, dtype=np.float64)))
    return np.stack([share, 1 - share], axis=1).astype(np.float32)[: len(images)]


def test_public_images_where_the_victim_is_sure_of_enough(victim, public):
    fitted = make(certainty=0.01, steps=1).fit(victim, public.images)
    assert min(n_rows for n_rows, _ in fitted.n_sure_.values()) >= 20
    images = fitted.invert(fitted.classes_, 20)
    for label, found in enumerate(images):
        assert len(rows(found)) == 20  # none twice
        assert rows(found) <= rows(fitted.rows_[label][: fitted.n_sure_[label][0]])
    assert rows(fitted.rows_[0]) <= rows(public.images)


def filled(victim, public, overconfidence):
    fitted = make(certainty=0.9).fit(victim, public.images)
    fitted.overconfidence_ = overconfidence
    label = max(fitted.n_sure_, key=lambda c: fitted.n_sure_[c][1])
    n_rows, n_made = fitted.n_sure_[label]
    assert n_made > 1
    n = n_rows + n_made - 1
    return fitted, label, fitted.invert([label], n)[0]


def test_an_overconfident_victims_classes_are_filled_with_variants(victim, public):
    fitted, label, images = filled(victim, public, overconfidence=9.0)
    n_rows, n_made = fitted.n_sure_[label]
    np.testing.assert_array_equal(images[:n_rows], fitted.rows_[label][:n_rows])
    made = images[n_rows:]
    assert rows(made) <= rows(fitted.variants_[label][:n_made])
    assert not rows(made) & rows(public.images)
    answers = victim.query(made)
    assert certainty(answers, label).min() >= fitted.certainty_[label] - 1e-4


def test_an_honest_victims_classes_are_filled_with_what_it_is_less_sure_of(
    victim, public
):
    fitted, label, images = filled(victim, public, overconfidence=1.0)
    likely = int((certainty(victim.query(fitted.rows_[label]), label) >= 0).sum())
    shown = min(likely, len(images))
    assert shown > fitted.n_sure_[label][0]
    np.testing.assert_array_equal(images[:shown], fitted.rows_[label][:shown])
    assert rows(images[shown:]) <= rows(fitted.variants_[label])


def test_a_class_says_itself_what_is_sure(victim, public):
    """A temperature changes every log odds by a factor, and nothing that is chosen."""
    fitted = make().fit(victim, public.images)
    for c, (of_rows, of_made) in fitted._sureness.items():
        surest = np.sort(np.concatenate([of_rows, of_made]))[-10]
        np.testing.assert_allclose(fitted.certainty_[c], 0.55 * surest)
    before = dict(fitted.n_sure_)
    for c, both in fitted._sureness.items():
        fitted._sureness[c] = both[0] / 3, both[1] / 3
    fitted._tell_sure()
    assert fitted.n_sure_ == before


def test_nothing_is_sure_of_a_class_that_is_never_the_likelier(victim, public):
    fitted = make(steps=1).fit(victim, public.images)
    for c in fitted._sureness:
        fitted._sureness[c] = np.linspace(-0.1, -2, 30), np.empty(0)
    fitted._tell_sure()
    assert set(fitted.n_sure_.values()) == {(0, 0)}
    np.testing.assert_array_equal(fitted.invert([2], 7)[0], fitted.rows_[2][:7])


class Asked:
    """Turned images are called otherwise as often as told."""

    def __init__(self, changed, remaining=None):
        self.changed, self.remaining, self.n_queries = changed, remaining, 0

    def query(self, images):
        self.n_queries += len(images)
        odds = np.where(np.arange(len(images)) < self.changed, -3, 3)
        return probabilities(images, odds)


def test_overconfidence_counts_changes_against_what_is_admitted():
    images = np.full((200, 1, 8, 8), 0.5, np.float32)
    odds = np.r_[np.full(100, np.log(199)), np.full(100, 4.0)]  # 0.995, and 0.98
    answers = probabilities(images, odds)
    for changed, found in ((0, 0.0), (1, 2.0), (3, 6.0)):
        asked = Asked(changed)
        assert overconfidence(asked, images, answers, 0.5, 0) == pytest.approx(
            found, rel=1e-3
        )
        assert asked.n_queries == 100
    limited = Asked(1, remaining=400)
    assert overconfidence(limited, images, answers, 0.5, 0) == pytest.approx(
        5.0, rel=1e-3
    )
    assert limited.n_queries == 40
    assert np.isnan(overconfidence(Asked(0), images, answers[100:], 0.5, 0))
    assert np.isnan(overconfidence(Asked(0, remaining=9), images, answers, 0.5, 0))


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
        probed = victim.n_queries - len(public) - (stop_after - 1) * 100
        assert 0 < probed <= len(public)
        resumed = make(steps=3, variants=10).fit(
            victim, public.images, recorder=recorder
        )
        assert victim.n_queries == len(public) + probed + 3 * 100
        assert resumed.n_queries_ == victim.n_queries


def test_a_budget_that_ends_in_a_round_is_told_once(trained, public, caplog):
    victim = Victim(trained.network, trained.class_names, budget=len(public) + 700)
    fitted = make().fit(victim, public.images)
    assert fitted.budget_exhausted_
    assert victim.n_queries == len(public) + 700
    # 70 of the 700 are spent on turned images, 600 on the first round
    assert caplog.text.count("budget allows 30 more queries: round 2 of 6") == 1
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
        ({"certainty": 0.0}, "certainty=0.0: expected a number > 0 and < 1"),
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


def test_surer_variants_do_not_make_public_images_unsure(victim, public):
    """Enough public images are sure among themselves: none of them is left out."""
    fitted = make(steps=1).fit(victim, public.images)
    own = fitted._sureness[4][0]
    n = int((own >= 0.55 * own[9]).sum())
    assert n > 10
    fitted._sureness[4] = own, np.full(30, 10 * own[0])
    fitted._tell_sure()
    assert fitted.n_sure_[4] == (0, 30)
    images = fitted.invert([4], n - 5)[0]
    assert len(rows(images)) == n - 5
    assert rows(images) <= rows(fitted.rows_[4][:n])
