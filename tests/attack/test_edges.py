"""Attackers and data as people meet them: parameters, text, what dir() lists."""

import importlib

import numpy as np
import pytest

import kldiv
import kldiv_attack
from kldiv_attack import NeighbourJudge, load_dataset, train_victim
from kldiv_attack.attackers import ATTACKERS, Blur, Mask, make_attacker


@pytest.mark.parametrize("name", list(ATTACKERS))
def test_parameters_make_the_same_attacker(name):
    attacker = make_attacker(name, random_state=3)
    assert repr(attacker) == f"{ATTACKERS[name].__name__}(random_state=3)"
    params = attacker.get_params()
    assert params["random_state"] == 3
    assert make_attacker(name, **params).get_params() == params


def test_fit_takes_labelled_images():
    data = load_dataset("digits").subset(slice(200))
    victim = train_victim(data, epochs=1, random_state=0)
    settings = {"steps": 1, "variants": 1, "min_responses": 1}
    found = [
        make_attacker("retrieval", **settings).fit(victim, public).invert([1], n=1)
        for public in (data, data.images)
    ]
    np.testing.assert_array_equal(*found)


def test_data_say_what_they_hold():
    text = repr(load_dataset("digits").subset(slice(200)))
    assert text.startswith("LabelledImages(")
    assert text.endswith("200 images of 1x8x8, 10 classes)")


def test_neighbours_say_what_was_found():
    nearest = kldiv.neighbor_distances([[0.0], [1.0]], [[2.0], [3.0]], n_neighbors=1)
    assert repr(nearest).startswith("NeighborDistances(xx, xy; n=2, m=2, n_features=1")


@pytest.mark.parametrize(
    "name",
    [
        "kldiv",
        "kldiv.datasets",
        "kldiv.plots",
        "kldiv_attack",
        "kldiv_attack.attackers",
        "kldiv_attack.datasets",
    ],
)
def test_dir_lists_public_names_only(name):
    module = importlib.import_module(name)
    listed = set(dir(module)) - {"__version__"}
    assert set(module.__all__) <= listed
    assert not [one for one in listed if one.startswith("_")]
    allowed = set(module.__all__) | {"datasets", "plots"}
    assert listed <= allowed


@pytest.mark.parametrize("package", [kldiv, kldiv_attack])
def test_help_is_short(package):
    """Annotations are shown as written, not as what they stand for."""
    for name in package.__all__:
        public = getattr(package, name)
        shown = vars(public).values() if isinstance(public, type) else [public]
        for one in shown:
            # scikit-learn and dataclass write some functions themselves
            if getattr(one, "__module__", "").startswith("kldiv"):
                hints = getattr(one, "__annotations__", {}).values()
                assert all(hint is None or isinstance(hint, str) for hint in hints)


def test_masks_and_models_in_short():
    data = load_dataset("digits").subset(slice(200))
    victim = train_victim(data, epochs=1, random_state=0)
    assert repr(victim) == "Victim(10 classes, answers='probabilities', n_queries=0)"
    assert repr(NeighbourJudge(data)) == "NeighbourJudge(10 classes)"
    assert repr(Blur(2)) == "Blur(2)"
    assert repr(Mask(np.eye(4))) == "Mask(4 of 4x4 pixels known)"
