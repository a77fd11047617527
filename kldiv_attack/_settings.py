"""Settings of a run: defaults, checks, and the data that they name."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from kldiv_attack._classifier import resolve_device
from kldiv_attack._classifier_training import RULES as TRAINING_RULES
from kldiv_attack._classifier_training import train_judge, train_victim
from kldiv_attack._indicator import INDICATOR, INDICATOR_RULES, check_indicator
from kldiv_attack._rules import (
    SEED,
    Choice,
    Rule,
    Whole,
    check_values,
    optional,
    plain,
)
from kldiv_attack.attackers import make_attacker
from kldiv_attack.datasets import LabelledImages, load_dataset

#: Every setting of a run. ``train`` and ``aux`` are what ``load_dataset`` takes, with
#: its ``name``, or images that are loaded already; ``attacker`` is what
#: ``make_attacker`` takes. The first entry of ``indicator`` is the score of the run,
#: the others are printed beside it.
DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "train": {"name": "digits", "part": "train"},
    "held_out": None,
    "aux": {"name": "digits", "part": "test"},
    "victim": {},
    "judge": {},
    "attacker": {"name": "cgan"},
    "checkpoint_every": 250,
    "indicator": [{"features": "pca6", "n_neighbors": 1}],
    "evaluate": {"n_reconstructions": 400, "n_neighbors": 5, "max_rows": 500},
    "device": "auto",
}


#: What settings may be that have no section of their own.
_RULES: dict[str, Rule] = {"seed": SEED, "checkpoint_every": Whole()}
_EVALUATE_RULES: dict[str, Rule] = {
    "n_reconstructions": Whole(),
    "n_neighbors": Whole(),
    "max_rows": Whole(2),
}
_VICTIM_RULES: dict[str, Rule] = {
    "answers": Choice(("probabilities", "labels")),
    "budget": optional(Whole(0)),
}


# Parameters of an attacker that are settings of the whole run.
_OF_THE_RUN = {
    "random_state": "the seed",
    "device": "the device",
    "verbose": "the verbosity",
}


# What the attacker may ask; no part of how the victim is trained.
ACCESS: dict[str, Any] = {"answers": "probabilities", "budget": None}


def complete_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """All settings, spelled out, with one seed per stage."""
    settings = with_defaults("config", DEFAULTS, config, _RULES)
    resolve_device(settings["device"])
    settings["evaluate"] = with_defaults(
        "evaluate", DEFAULTS["evaluate"], settings["evaluate"], _EVALUATE_RULES
    )
    settings["indicator"] = _indicators(settings["indicator"])
    for name, function in (("victim", train_victim), ("judge", train_judge)):
        defaults = _training_defaults(function)
        if name == "victim":
            defaults |= ACCESS
        rules = {**TRAINING_RULES, **_VICTIM_RULES}
        settings[name] = with_defaults(name, defaults, settings[name], rules)
    settings["attacker"] = _attacker_settings(settings["attacker"])
    states = np.random.SeedSequence(settings["seed"]).generate_state(4) >> 1
    names = ("victim", "judge", "attacker", "evaluate")
    settings["seeds"] = dict(zip(names, states.tolist(), strict=True))
    return settings


def _indicators(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"indicator={given!r}: expected a list of mappings.")
    entries = [
        with_defaults("indicator", INDICATOR, one, INDICATOR_RULES) for one in given
    ]
    if not entries:
        raise ValueError("indicator: expected at least one entry, got none.")
    for one in entries:
        check_indicator(one)
    return entries


def _attacker_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Name and parameters of the attacker, its defaults included."""
    parameters = dict(_mapping("attacker", given))
    name = parameters.pop("name", DEFAULTS["attacker"]["name"])
    for ours, instead in _OF_THE_RUN.items():
        if ours in parameters:
            raise ValueError(f"attacker: {ours} is set by {instead} of the run.")
    attacker = make_attacker(name, **parameters)
    attacker.check()
    accepted = inspect.signature(type(attacker)).parameters
    spelled = {k: plain(getattr(attacker, k)) for k in accepted if k not in _OF_THE_RUN}
    return {"name": name, **spelled}


def with_defaults(
    name: str,
    defaults: Mapping[str, Any],
    given: Mapping[str, Any],
    rules: Mapping[str, Rule],
) -> dict[str, Any]:
    """What is given, checked by the rules, and the defaults of all else."""
    unknown = sorted(set(map(str, _mapping(name, given))) - set(defaults))
    if unknown:
        raise ValueError(
            f"{name} has no setting {', '.join(unknown)}; it accepts "
            f"{', '.join(defaults)}."
        )
    check_values(given, rules, defaults=defaults, of=name)
    return {**defaults, **plain(dict(given))}


def _mapping(name: str, given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{name}={given!r}: expected a mapping from settings to values."
        )
    return given


def _training_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Options of a training function that a run may set, with their defaults."""
    ours = ("data", "val", "device", "random_state", "verbose")
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in ours
    }


def load_images(source: Mapping[str, Any] | LabelledImages) -> LabelledImages:
    if isinstance(source, LabelledImages):
        return source
    if "name" not in source:
        raise ValueError(f"a dataset needs a name, got {dict(source)}.")
    return load_dataset(**source)


def describe_images(
    source: Mapping[str, Any] | LabelledImages, data: LabelledImages
) -> dict[str, Any]:
    """What identifies a dataset: its options and a hash of its content."""
    options = {} if isinstance(source, LabelledImages) else dict(source)
    digest = hashlib.sha256(data.images.tobytes())
    digest.update(data.labels.tobytes())
    return {
        "name": data.name,
        **{k: str(v) if k == "root" else v for k, v in options.items()},
        "rows": len(data),
        "sha256": digest.hexdigest(),
    }


def check_data(train: LabelledImages, aux: LabelledImages) -> None:
    if train.image_shape != aux.image_shape:
        raise ValueError(
            f"{train.name} holds images of shape {train.image_shape}, {aux.name} of "
            f"shape {aux.image_shape}: an attacker needs images of the victim's shape."
        )
    if not len(train) or not len(aux):
        empty = train if not len(train) else aux
        raise ValueError(f"{empty.name} holds no image.")
