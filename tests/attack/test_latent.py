"""Attackers that search the codes of a generator through queries."""

import copy

import numpy as np
import pytest
import torch

from kldiv_attack import make_attacker
from kldiv_attack.attackers._brep_mi import BoundaryRepulsion
from kldiv_attack.attackers._genetic import Populations
from kldiv_attack.victim import Victim
from tests.attack.conftest import MemoryRecorder, small

SEARCHING = ("brep_mi", "genetic")
SEARCHES = {"brep_mi": BoundaryRepulsion, "genetic": Populations}


def accuracy(judge, images):
    return np.mean([(judge.predict(x) == c).mean() for c, x in enumerate(images)])


def settings(name, **changes):
    options = {"searches": 5, "n_noise": 6, "random_state": 1, **changes}
    return make_attacker(name, **options)


@pytest.fixture(params=SEARCHING)
def name(request):
    return request.param


@pytest.fixture
def half_space():
    """A victim of codes: surer of class 1 the larger the first number is."""
    asked = []

    def ask_labels(codes, labels):
        assert len(codes) == len(labels)
        asked.append(len(codes))
        return (codes[:, 0] > 1).long().numpy()

    def ask_probabilities(codes, labels):
        assert len(codes) == len(labels)
        asked.append(len(codes))
        one = torch.sigmoid(4 * (codes[:, 0] - 1)).double()
        return torch.stack([1 - one, one], 1).numpy()

    ask = {"brep_mi": ask_labels, "genetic": ask_probabilities}
    return ask, asked


def test_codes_move_into_the_class(name, half_space):
    """Of standard normal numbers one in six is above 1."""
    ask, asked = half_space
    search = SEARCHES[name](settings(name), torch.ones(5, dtype=torch.int64))
    for _ in range(40):
        if search.going.any():
            search.step(ask[name])
    first = search.found(1)[0]
    assert len(first) >= 5
    assert (first[:, 0] > 1).all()
    assert not search.going.any()
    most = {"brep_mi": 5 * 32, "genetic": 5 * 10}
    assert max(asked) <= most[name]


def test_spheres_grow_as_wide_as_the_prior_and_no_wider(half_space):
    ask, _ = half_space
    search = SEARCHES["brep_mi"](settings("brep_mi"), torch.ones(5, dtype=torch.int64))
    for _ in range(60):
        if search.going.any():
            search.step(ask["brep_mi"])
    middle, sphere = search.found(1)
    radius = (sphere.view(5, -1, 6) - middle[:, None]).norm(dim=2)
    assert (radius.std(1) < 1e-5).all()
    assert (radius[:, 0] >= 6**0.5).all()
    assert (radius[:, 0] < 1.3 * 6**0.5 * 1.3).all()
    assert (sphere[:, 0] > 1).all()  # each was asked about


def test_mutation_and_crossover_keep_the_law_of_the_prior():
    search = Populations(settings("genetic", searches=400), torch.ones(400).long())
    young = search.children(torch.arange(400)).flatten(0, 1)
    np.testing.assert_allclose(young.mean(0), 0, atol=0.06)
    np.testing.assert_allclose(young.std(0), 1, atol=0.06)


def test_what_the_victim_is_sure_of_is_not_replaced():
    """Codes that are sure enough tie, and those that were there first stay."""
    search = Populations(settings("genetic"), torch.ones(5).long())
    everything = np.array([[0.0, 1.0]])
    nothing = np.array([[1.0, 0.0]])
    search.step(lambda codes, _: np.repeat(everything, len(codes), 0))
    assert not search.going.any()
    before = search.codes.clone()
    search.going[:2] = True
    search.step(lambda codes, _: np.repeat(nothing, len(codes), 0))
    assert torch.equal(search.codes, before)


def test_queries_are_those_that_were_announced(name, victim, public):
    fitted = make_attacker(name, **small(name, iterations=2)).fit(victim, public.images)
    each = {"brep_mi": 6 + 1, "genetic": 4}[name]
    assert fitted.n_queries_ <= len(public) + 10 * 4 * each * 2
    assert fitted.n_queries_ > len(public) + 10 * 4 * (each - 1)


@pytest.mark.parametrize("left", [0, 1, 100, 263])
def test_a_budget_ends_a_search_wherever_it_ends(name, trained, public, left, caplog):
    victim = Victim(trained.network, trained.class_names, budget=len(public) + left)
    fitted = make_attacker(name, **small(name, min_responses=1))
    fitted.fit(victim, public.images)
    assert fitted.n_queries_ == victim.n_queries == len(public) + left
    assert fitted.budget_exhausted_
    assert "the search stops there" in caplog.text
    assert np.isfinite(fitted.invert(range(10), 2)).all()


def test_a_search_goes_on_where_its_snapshot_was(name, trained, public):
    """Steps are behind it; answers to earlier steps of the search are kept."""

    def fit(recorder):
        victim = Victim(trained.network, trained.class_names)
        options = small(name, iterations=9, min_responses=1)
        fitted = make_attacker(name, **options)
        return victim, fitted.fit(victim, public.images, recorder=recorder)

    whole, expected = fit(MemoryRecorder())
    recorder = MemoryRecorder(stop_at=12 + 5)
    with pytest.raises(KeyboardInterrupt):
        fit(recorder)
    asked, resumed = fit(recorder)
    assert 0 < asked.n_queries < whole.n_queries - len(public)
    assert resumed.n_queries_ == expected.n_queries_
    np.testing.assert_array_equal(
        resumed.invert(range(10), 9), expected.invert(range(10), 9)
    )


def test_more_steps_after_a_search_are_refused(name, victim, public):
    recorder = MemoryRecorder()
    make_attacker(name, **small(name)).fit(victim, public.images, recorder=recorder)
    longer = make_attacker(name, **small(name, steps=20))
    with pytest.raises(ValueError, match=r"steps=20 \(was 12\)"):
        longer.fit(victim, public.images, recorder=recorder)


def test_prior_is_the_generator_without_a_search(name, victim, public):
    fitted = make_attacker(name, **small(name)).fit(victim, public.images)
    before = copy.deepcopy(fitted.codes_)
    prior = fitted.prior([3], 4)
    assert not np.array_equal(prior, fitted.invert([3], 4))
    for kept, old in zip(fitted.codes_[3], before[3], strict=True):
        assert torch.equal(kept, old)
    from sklearn.exceptions import NotFittedError

    with pytest.raises(NotFittedError):
        make_attacker(name).prior([3], 4)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("brep_mi", {"radius": 0}),
        ("brep_mi", {"growth": 1.0}),
        ("brep_mi", {"points": 0}),
        ("brep_mi", {"patience": 1.5}),
        ("brep_mi", {"searches": 0}),
        ("brep_mi", {"ema": 1.0}),
        ("genetic", {"mutation": 0.0}),
        ("genetic", {"certainty": 0.5}),
        ("genetic", {"population": 0}),
        ("genetic", {"iterations": -1}),
        ("genetic", {"momentum": float("nan")}),
    ],
)
def test_bad_parameters(victim, public, name, changes):
    ((parameter, value),) = changes.items()
    with pytest.raises(ValueError, match=f"{parameter}={value}"):
        make_attacker(name, **changes).fit(victim, public.images)
    assert victim.n_queries == 0


@pytest.mark.statistical
def test_a_search_on_digits_adds_to_its_prior(name, victim, judge, public):
    """Held-out digits as public images; chance is 0.1."""
    options = {"steps": 150, "searches": 6, "iterations": 20}
    fitted = make_attacker(name, **options).fit(victim, public.images)
    made = fitted.invert(range(10), 6)
    said = [(victim.query(x).argmax(1) == c).mean() for c, x in enumerate(made)]
    assert np.mean(said) > 0.9  # it was asked about them
    found = accuracy(judge, fitted.invert(range(10), 40))
    assert found > accuracy(judge, fitted.prior(range(10), 40)) + 0.05
    assert found > 0.6
