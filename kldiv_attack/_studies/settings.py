"""Settings of a study."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

from kldiv_attack._files import check_name
from kldiv_attack._rules import SEED, Rule, Whole, check_value
from kldiv_attack._settings import with_defaults
from kldiv_attack._studies.demo import AUXILIARY
from kldiv_attack.attackers import ATTACKERS, make_attacker

# What --demo changes: enough to walk the whole path, not to succeed.
_DEMO: dict[str, Any] = {
    "steps": 40,
    "width": 16,
    "n_generated": 100,
    "surrogate_steps": 60,
}


_DEMO_SIZES: dict[str, Any] = {"n_reconstructions": 40, "n_permutations": 200}


_DEMO_EMBEDDED: dict[str, Any] = {
    **_DEMO_SIZES,
    "victim": {"epochs": 5, "batch_size": 32},
    "judge": {"epochs": 5, "batch_size": 32},
}


_SETTINGS: dict[str, Any] = {
    "train": {"name": "digits", "part": "train"},
    "held_out": {"name": "digits", "part": "test"},
    "panel": None,
    "auxiliary": {},
    "attackers": {},
    "seeds": [0],
    "victim": {},
    "judge": {},
    "features": "pca6",
    "max_rows": 1500,
    "n_reconstructions": 200,
    "n_permutations": 2000,
}


_RULES: dict[str, Rule] = {
    "max_rows": Whole(2),
    "n_reconstructions": Whole(),
    "n_permutations": Whole(0),
}


def study_config(
    attackers: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] = (0,),
    data: str | os.PathLike[str] | None = None,
    demo: bool = False,
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Settings of a study on embedded images or on EMNIST.

    Parameters
    ----------
    attackers : sequence of str, optional
        Names; all by default.
    seeds : sequence of int, default=(0,)
        One victim, judge and set of attacks per seed.
    data : path, optional
        Folder that holds ``EMNIST/raw``; embedded digits and glyphs without.
    demo : bool, default=False
        Small attackers and few images: a minute instead of an evening.
    parameters : mapping, optional
        Parameters for every attacker that has them, or with the name of an attacker
        and a point before the parameter for that one.

    Returns
    -------
    dict
        What :func:`run_study` takes.

    Examples
    --------
    >>> from kldiv_attack import study_config
    >>> config = study_config(["cgan", "gmi"], parameters={"gmi.steps": 500})
    >>> config["attackers"], list(config["auxiliary"])[0]
    ({'cgan': {}, 'gmi': {'steps': 500}}, 'held-out_digits')
    """
    names = list(ATTACKERS) if attackers is None else list(attackers)
    chosen = chosen_attackers(names, _DEMO if demo else {}, parameters or {})
    config: dict[str, Any] = {"attackers": chosen, "seeds": list(seeds)}
    if data is not None:
        return {**config, **_emnist(str(data)), **(_DEMO_SIZES if demo else {})}
    return {
        **config,
        "auxiliary": {k.replace(" ", "_"): v for k, v in AUXILIARY.items()},
        "victim": {"epochs": 30, "batch_size": 32},
        "judge": {"epochs": 40, "batch_size": 32},
        **(_DEMO_EMBEDDED if demo else {}),
    }


def chosen_attackers(
    names: Sequence[str], common: Mapping[str, Any], parameters: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Parameters of every attacker: the common ones that it has, then those given.

    Parameters
    ----------
    names : sequence of str
        The attackers.
    common : mapping
        Parameters that attackers may lack.
    parameters : mapping
        As :func:`study_config` takes them.

    Returns
    -------
    dict of str to dict
        Name to parameters.
    """
    chosen = {}
    for name in names:
        make_attacker(name)  # an unknown name is found here
        accepted = inspect.signature(ATTACKERS[name]).parameters
        chosen[name] = {k: v for k, v in common.items() if k in accepted}
    for key, value in parameters.items():
        _place(chosen, key, value)
    return chosen


def _place(chosen: dict[str, dict[str, Any]], key: str, value: Any) -> None:
    """Give a parameter to the attackers that it is meant for."""
    name, point, parameter = key.rpartition(".")
    wanted = [name] if point else list(chosen)
    taken = False
    for one in wanted:
        if one not in chosen:
            raise ValueError(
                f"{key}: {one} takes no part; expected one of {', '.join(chosen)}."
            )
        if parameter in inspect.signature(ATTACKERS[one]).parameters:
            chosen[one][parameter] = value
            taken = True
    if not taken:
        raise ValueError(
            f"{key}: none of {', '.join(wanted)} has a parameter {parameter}."
        )


def _emnist(root: str) -> dict[str, Any]:
    def split(name: str, part: str) -> dict[str, Any]:
        return {"name": "emnist", "split": name, "part": part, "root": root}

    return {
        "train": split("mnist", "train"),
        "held_out": split("mnist", "test"),
        "auxiliary": {
            name: split(name, "test") for name in ("mnist", "balanced", "letters")
        },
    }


def complete_study(config: Mapping[str, Any]) -> dict[str, Any]:
    settings = with_defaults("the study", _SETTINGS, config, _RULES)
    for name in ("auxiliary", "attackers", "seeds"):
        if not settings[name]:
            raise ValueError(f"{name}: expected at least one, got none.")
    settings["seeds"] = [
        check_value("seed", seed, SEED, of="the study") for seed in settings["seeds"]
    ]
    settings["attackers"] = {
        name: {"name": name, **parameters}
        for name, parameters in settings["attackers"].items()
    }
    for name in (*settings["auxiliary"], *settings["attackers"]):
        check_name(name)
    return settings
