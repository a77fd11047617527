"""Victim and judge of a run, trained once and kept in a folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv import __version__
from kldiv_attack._classifier_training import train_judge, train_victim
from kldiv_attack._files import RunError, damaged, read_json, write_json
from kldiv_attack._locks import locked
from kldiv_attack._run_folder import FORMAT_VERSION
from kldiv_attack._settings import ACCESS
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.judge import Judge, check_judge
from kldiv_attack.victim import Victim

logger = logging.getLogger(__name__)


def prepare_models(
    settings: Mapping[str, Any], train: LabelledImages, folder: Path, *, verbose: int
) -> tuple[Victim, Judge]:
    """Load victim and judge from a folder, or train them and keep them there."""
    wanted = {
        "format_version": FORMAT_VERSION,
        "code_version": __version__,
        "train": settings["train"]["sha256"],
        **{kind: _training(settings[kind]) for kind in _MODELS},
        "seeds": {kind: settings["seeds"][kind] for kind in _MODELS},
    }
    if _complete(folder):
        return _load(settings, train, folder, wanted, verbose)
    with locked(folder):
        return _load(settings, train, folder, wanted, verbose)


def _complete(folder: Path) -> bool:
    names = ("models.json", *(f"{kind}.safetensors" for kind in _MODELS))
    return all((folder / name).exists() for name in names)


def _load(
    settings: Mapping[str, Any],
    train: LabelledImages,
    folder: Path,
    wanted: Mapping[str, Any],
    verbose: int,
) -> tuple[Victim, Judge]:
    note = folder / "models.json"
    if note.exists():
        stored = read_json(note)
        if not isinstance(stored, dict):
            raise damaged(note, "it holds no settings")
        changed = sorted(k for k in wanted if stored.get(k) != wanted[k])
        if changed:
            raise RunError(
                f"{folder} holds a victim and a judge with another "
                f"{', '.join(changed)}. Choose another folder, or start over with "
                "restart=True (--restart)."
            )
    else:
        write_json(note, wanted)
    victim = _model("victim", settings, train, folder, verbose)
    victim.answers = settings["victim"]["answers"]
    victim.budget = settings["victim"]["budget"]
    judge = _model("judge", settings, train, folder, verbose)
    check_judge(judge, victim)
    return victim, judge


def _training(options: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k not in ACCESS}


_MODELS: dict[str, tuple[Callable[..., Any], Any]] = {
    "victim": (train_victim, Victim),
    "judge": (train_judge, Judge),
}


def discard_models(folder: Path) -> None:
    """Remove the victim and the judge that a folder keeps."""
    for name in ("models.json", *(f"{kind}.safetensors" for kind in _MODELS)):
        (folder / name).unlink(missing_ok=True)


def _model(
    kind: str,
    settings: Mapping[str, Any],
    train: LabelledImages,
    folder: Path,
    verbose: int,
) -> Any:
    learn, home = _MODELS[kind]
    path = folder / f"{kind}.safetensors"
    if path.exists():
        return home.load(path, device=settings["device"])
    logger.info("Training the %s on %s (%d images).", kind, train.name, len(train))
    model = learn(
        train,
        **_training(settings[kind]),
        device=settings["device"],
        random_state=settings["seeds"][kind],
        verbose=verbose,
    )
    model.save(path)
    return model


def owner_answers(victim: Victim, data: LabelledImages) -> NDArray[np.float64]:
    """The victim's answers to its owner, which are no queries of an attacker."""
    return np.asarray(victim._probabilities(data.images), dtype=np.float64)


def accuracies(
    victim: Victim,
    judge: Judge,
    train: LabelledImages,
    held_out: LabelledImages | None,
) -> dict[str, float]:
    found = {}
    for kind, model in (("victim", victim), ("judge", judge)):
        found[f"{kind}_accuracy_train"] = float(model.accuracy(train))
        if held_out is not None:
            found[f"{kind}_accuracy"] = float(model.accuracy(held_out))
    return found
