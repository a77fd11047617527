"""Success of attacks against the number of queries and the victim's granularity."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._files import (
    RunError,
    check_home,
    checked_path,
    damaged,
    read_json,
    write_json,
)
from kldiv_attack._locks import locked
from kldiv_attack._models import discard_models, prepare_models
from kldiv_attack._progress import progress
from kldiv_attack._rules import SEED, Rule, Whole, check_value
from kldiv_attack._settings import (
    check_data,
    complete_settings,
    describe_images,
    load_images,
    with_defaults,
)
from kldiv_attack._studies.curve_pages import write_curves
from kldiv_attack._studies.curve_result import Curves
from kldiv_attack._studies.settings import chosen_attackers
from kldiv_attack.attackers import ATTACKERS, make_attacker
from kldiv_attack.audit.curves import GRANULARITIES
from kldiv_attack.audit.defences import parse_defence
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.evaluate import evaluate_attack
from kldiv_attack.judge import Judge
from kldiv_attack.victim import Victim

#: Raised when the layout of the folder changes.
FORMAT_VERSION = 1

_LEAST = 100

#: Attackers that query, which a limit of queries concerns.
BLACK_BOXES = tuple(k for k, v in ATTACKERS.items() if v.access != "gradients")

SETTINGS: dict[str, Any] = {
    "train": {"name": "digits", "part": "train"},
    "aux": {"name": "glyphs", "split": "letters", "size": 8},
    "attackers": {},
    "granularities": list(GRANULARITIES),
    "seeds": [0],
    "victim": {},
    "judge": {},
    "points_per_decade": 3,
    "n_reconstructions": 200,
}

# Enough for embedded images of 8 x 8 pixels.
_SMALL = {"epochs": 30, "batch_size": 32}

_RULES: dict[str, Rule] = {"points_per_decade": Whole(), "n_reconstructions": Whole()}


class CoarseVictim(Victim):
    """The same network behind an interface that tells less.

    Parameters
    ----------
    victim : Victim
        Whose network answers.
    granularity : str
        Key of ``GRANULARITIES``.
    budget : int or None
        Largest number of queries.
    """

    def __init__(self, victim: Victim, granularity: str, budget: int | None):
        super().__init__(
            victim.network,
            victim.class_names,
            victim.image_shape,
            budget=budget,
            device=victim.device,
        )
        defence = GRANULARITIES[granularity]
        self.defence = None if defence is None else parse_defence(defence)

    def _answer(self, images: Any) -> NDArray[Any]:
        table = self._probabilities(images)
        if self.defence is None:
            return table
        told = self.defence.table(table.astype(np.float64), np.random.default_rng(0))
        return told.astype(np.float32)


@dataclass(frozen=True)
class Point:
    """One attack with one number of queries; the budget None stands for all."""

    seed: int
    attacker: str
    granularity: str
    budget: int | None

    def path(self, folder: Path) -> Path:
        """Where its result is kept."""
        asked = "all" if self.budget is None else str(self.budget)
        name = f"{self.attacker}_{self.granularity}_{asked}.json"
        return folder / f"seed_{self.seed}" / name


def run_curves(
    config: Mapping[str, Any],
    folder: str | os.PathLike[str],
    *,
    restart: bool = False,
    verbose: int = 1,
) -> Curves:
    """Attack with ever more queries, at several granularities of the answers.

    Parameters
    ----------
    config : mapping
        ``train`` and ``aux``: what ``load_dataset`` takes, or images; ``attackers``:
        name to parameters, all black boxes by default; ``granularities``; ``seeds``;
        ``victim`` and ``judge``: options of their training; ``points_per_decade``:
        budgets for each factor of ten, from 100 up to what the attack asks without a
        limit; ``n_reconstructions`` per class.
    folder : path
        One file per attack, ``curves.json``, ``curves.csv``, ``curves.txt``,
        ``report.md`` and ``report.html``. Interrupted, the same call goes on.
    restart : bool, default=False
        Discard what the folder holds.
    verbose : int, default=1
        0 turns progress bars off.

    Returns
    -------
    Curves
        The finished curves.

    Raises
    ------
    RunError
        If the folder holds curves with other settings, or something else.
    ValueError
        For settings that do not exist.
    """
    folder = checked_path(folder, "folder")
    settings = complete_curves(config)
    seeds = [f"seed_{seed}" for seed in settings["seeds"]]
    check_home(folder, seeds, "curves.json", "curves")
    train, aux = load_images(settings["train"]), load_images(settings["aux"])
    check_data(train, aux)
    for name, data in (("train", train), ("aux", aux)):
        settings[name] = describe_images(settings[name], data)
        settings[name].pop("root", None)
    settings = json.loads(json.dumps(settings))
    with locked(folder):
        _open(folder, settings, restart=restart)
        rows = _measure_all(settings, folder, train, aux, verbose)
    curves = Curves(folder, settings, rows)
    write_curves(curves)
    return curves


def curves_config(
    train: Mapping[str, Any],
    aux: Mapping[str, Any],
    *,
    attackers: Sequence[str] | None = None,
    granularities: Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    parameters: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Settings of curves from what a command line gives.

    Parameters
    ----------
    train, aux : mapping
        Private and public images, as ``load_dataset`` takes them.
    attackers : sequence of str, optional
        Names; all that query by default.
    granularities : sequence of str, optional
        Some of ``GRANULARITIES``; all by default.
    seeds : sequence of int, default=(0,)
        One victim, judge and set of attacks per seed.
    parameters : mapping, optional
        As :func:`study_config` takes them.

    Returns
    -------
    dict
        What :func:`run_curves` takes.
    """
    names = list(BLACK_BOXES if attackers is None else attackers)
    told = list(GRANULARITIES if granularities is None else granularities)
    small = train["name"] == "digits"
    return {
        "train": dict(train),
        "aux": dict(aux),
        "attackers": chosen_attackers(names, {}, parameters or {}),
        "granularities": told,
        "seeds": list(seeds),
        **({"victim": _SMALL, "judge": _SMALL} if small else {}),
    }


def complete_curves(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of curves, spelled out and checked."""
    settings = with_defaults("curves", SETTINGS, config, _RULES)
    chosen = settings["attackers"] or {name: {} for name in BLACK_BOXES}
    for name, parameters in chosen.items():
        make_attacker(name, **parameters).check()
        if name not in BLACK_BOXES:
            raise ValueError(
                f"attacker {name!r} follows gradients, which no limit of queries "
                f"stops; expected some of {', '.join(BLACK_BOXES)}."
            )
    settings["attackers"] = {k: dict(v) for k, v in chosen.items()}
    unknown = set(settings["granularities"]) - set(GRANULARITIES)
    if unknown or not settings["granularities"]:
        raise ValueError(
            f"granularities={settings['granularities']!r}: expected some of "
            f"{', '.join(GRANULARITIES)}."
        )
    if not settings["seeds"]:
        raise ValueError("seeds: expected at least one, got none.")
    for seed in settings["seeds"]:
        check_value("seed", seed, SEED, of="curves")
        _models_of(settings, seed)
    return settings


def _models_of(settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Settings of victim and judge of a seed."""
    parts = {name: settings[name] for name in ("victim", "judge")}
    return complete_settings({"seed": seed, **parts})


def _open(folder: Path, settings: Mapping[str, Any], *, restart: bool) -> None:
    path = folder / "curves.json"
    if path.exists() and not restart:
        stored = read_json(path)
        if not isinstance(stored, dict) or stored.get("config") != settings:
            raise RunError(
                f"{folder} holds curves with other settings. Choose another folder, or "
                "start over with restart=True (--restart)."
            )
        return
    for seed in settings["seeds"]:
        discard_models(folder / f"seed_{seed}" / "models")
        for old in folder.glob(f"seed_{seed}/*.json"):
            old.unlink()
    write_json(path, {"format_version": FORMAT_VERSION, "config": settings})


def lines(settings: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """Seed, attacker and granularity; labels tell attackers of labels everything."""
    for seed, name in product(settings["seeds"], settings["attackers"]):
        told = settings["granularities"]
        if ATTACKERS[name].access == "labels":
            told = ["labels"]
        for granularity in told:
            yield seed, name, granularity


def budgets(most: int, per_decade: int) -> list[int]:
    """Numbers of queries from a hundred on, evenly on a log scale, below the most."""
    found: list[int] = []
    while (next_one := round(_LEAST * 10 ** (len(found) / per_decade))) < most:
        found.append(next_one)
    return found


def _measure_all(
    settings: Mapping[str, Any],
    folder: Path,
    train: LabelledImages,
    aux: LabelledImages,
    verbose: int,
) -> list[dict[str, Any]]:
    """First without a limit, which tells how many queries there are to limit."""
    rows = []
    seeds: dict[int, tuple[Victim, Judge]] = {}
    every = list(lines(settings))

    def measured(point: Point) -> dict[str, Any]:
        path = point.path(folder)
        if not path.exists():
            if point.seed not in seeds:
                home = folder / f"seed_{point.seed}" / "models"
                wanted = _models_of(settings, point.seed) | {"train": settings["train"]}
                seeds[point.seed] = prepare_models(wanted, train, home, verbose=0)
            models = seeds[point.seed]
            write_json(path, _measure(settings, point, models, train, aux))
        return _read(path, point)

    for seed, name, told in progress(every, desc="curves", disable=not verbose):
        most = measured(Point(seed, name, told, None))
        asked = budgets(most["queries"], settings["points_per_decade"])
        rows += [measured(Point(seed, name, told, budget)) for budget in asked]
        rows.append(most)
    return rows


def _read(path: Path, point: Point) -> dict[str, Any]:
    stored = read_json(path)
    numbers = ("queries", "accuracy", "coverage", "missing")
    if not isinstance(stored, dict) or {*stored} != {*vars(point), *numbers}:
        raise damaged(path, "it holds no point of a curve")
    return stored


def _measure(
    settings: Mapping[str, Any],
    point: Point,
    models: tuple[Victim, Judge],
    train: LabelledImages,
    aux: LabelledImages,
) -> dict[str, Any]:
    """One attack; a class of which there is no image counts as 0."""
    victim = CoarseVictim(models[0], point.granularity, point.budget)
    seeds = complete_settings({"seed": point.seed})["seeds"]
    parameters = dict(settings["attackers"][point.attacker])
    if "min_responses" in inspect.signature(ATTACKERS[point.attacker]).parameters:
        parameters.setdefault("min_responses", 1)
    attacker = make_attacker(
        point.attacker, **parameters, random_state=seeds["attacker"]
    )
    attacker.fit(victim, aux.images)
    images = attacker.invert(
        np.arange(train.n_classes),
        settings["n_reconstructions"],
        random_state=seeds["evaluate"],
    )
    report = evaluate_attack(
        images, train, models[1], victim=victim, random_state=seeds["evaluate"]
    )
    success = {k: np.nan_to_num(report[k]) for k in ("accuracy", "coverage")}
    return {
        **vars(point),
        "queries": int(attacker.n_queries_),
        **{k: float(v.mean()) for k, v in success.items()},
        "missing": len(attacker.reasons_),
    }
