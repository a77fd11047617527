"""One run: a victim, an attacker, the indicator and the outcome, in one folder."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv import PerClassReport, __version__
from kldiv_attack._controls import CONTROLS
from kldiv_attack._files import check_home, checked_path, write_atomic, write_json
from kldiv_attack._indicator import score_indicators
from kldiv_attack._locks import locked
from kldiv_attack._models import (
    accuracies,
    discard_models,
    owner_answers,
    prepare_models,
)
from kldiv_attack._progress import progress
from kldiv_attack._run import Run, load_run
from kldiv_attack._run_folder import (
    FORMAT_VERSION,
    RunRecorder,
    look_into,
    open_run,
    report_to_dict,
)
from kldiv_attack._settings import (
    check_data,
    complete_settings,
    describe_images,
    load_images,
)
from kldiv_attack._summary import write_report
from kldiv_attack.attackers import Attacker, make_attacker
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.evaluate import evaluate_attack
from kldiv_attack.judge import Judge
from kldiv_attack.victim import Victim

logger = logging.getLogger(__name__)

_EXAMPLES = 8  # images per class that a run keeps of private and auxiliary data


def run_experiment(
    config: Mapping[str, Any],
    folder: str | os.PathLike[str],
    *,
    models: str | os.PathLike[str] | None = None,
    restart: bool = False,
    verbose: int = 1,
) -> Run:
    """Train a victim, score its classes, attack it and measure the outcome.

    The same call continues a run that was interrupted, from its last checkpoint, and
    returns a finished one without computing anything. One seed gives one result on one
    machine.

    Parameters
    ----------
    config : mapping
        Settings; what is missing comes from ``DEFAULTS``.
    folder : path
        Folder of this run: config.json, indicator.json, metrics.jsonl, samples/,
        checkpoint.safetensors, images.safetensors, results.json, report.md and
        report.html.
    models : path, optional
        Folder of victim and judge, shared by runs on the same victim; by default
        ``models`` inside `folder`.
    restart : bool, default=False
        Discard what `folder` holds of an earlier run.
    verbose : int, default=1
        0 turns progress bars off.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    RunError
        If the folder holds another run, another format, a damaged checkpoint, or
        cannot be written.
    ValueError
        For settings that do not exist or data that do not fit together.

    Notes
    -----
    The indicator needs no attack and is computed before it, so that data that cannot
    be scored are found in the first minute.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from kldiv_attack import run_experiment
    >>> config = {
    ...     "victim": {"epochs": 2},
    ...     "judge": {"epochs": 2},
    ...     "attacker": {"name": "cgan", "steps": 2},
    ...     "evaluate": {"n_reconstructions": 10},
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     run = run_experiment(config, folder, verbose=0)
    >>> list(run.controls), len(run.success.classes)
    (['random', 'confident'], 10)
    """
    folder = checked_path(folder, "folder")
    home = folder / "models" if models is None else checked_path(models, "models")
    settings = complete_settings(config)
    check_home(folder, ("models",), "config.json")
    settings, data = _load(settings)
    if look_into(folder, settings, restart=restart):
        logger.info("%s holds the finished run; nothing to compute.", folder)
        run = load_run(folder)
        if not (folder / "report.html").exists():  # it was stopped on the last line
            write_report(run)
        return run
    with locked(folder):
        # Between the look and the lock another process may have finished.
        if not open_run(folder, settings, restart=restart):
            if restart and models is None:
                discard_models(home)
            _compute(settings, data, folder, home, verbose)
    return load_run(folder)


def _compute(
    settings: Mapping[str, Any],
    data: RunImages,
    folder: Path,
    models: Path,
    verbose: int,
) -> None:
    """Everything that a run computes, in its folder."""
    started = time.perf_counter()
    victim, judge = prepare_models(settings, data.train, models, verbose=verbose)
    responses = owner_answers(victim, data.aux)
    indicators = _score(settings, data, victim, judge, responses, folder, verbose)
    images, attacker = run_attack(settings, victim, data, folder, verbose=verbose)
    success, controls = evaluate_run(
        settings, images, attacker, data, responses, judge, victim, verbose=verbose
    )
    _write_images(folder, images, data, responses)
    write_json(
        folder / "results.json",
        {
            "format_version": FORMAT_VERSION,
            "code_version": __version__,
            "facts": _facts(data, victim, judge, attacker, responses),
            "success": report_to_dict(success),
            "controls": {k: report_to_dict(v) for k, v in controls.items()},
            "indicators": {k: report_to_dict(v) for k, v in indicators.items()},
            "seconds": round(time.perf_counter() - started, 1),
        },
    )
    write_report(load_run(folder))


@dataclass(frozen=True)
class RunImages:
    """The images of a run."""

    train: LabelledImages
    aux: LabelledImages
    held_out: LabelledImages | None


def _load(settings: dict[str, Any]) -> tuple[dict[str, Any], RunImages]:
    """The images that the settings name, and the settings with what identifies them."""
    train, aux = load_images(settings["train"]), load_images(settings["aux"])
    held_out = settings["held_out"]
    data = RunImages(train, aux, None if held_out is None else load_images(held_out))
    check_data(train, aux)
    for name, images in vars(data).items():
        if images is not None:
            settings[name] = describe_images(settings[name], images)
    return json.loads(json.dumps(settings)), data  # what a file can hold


def _score(
    settings: Mapping[str, Any],
    data: RunImages,
    victim: Victim,
    judge: Judge,
    responses: NDArray[np.float64],
    folder: Path,
    verbose: int,
) -> dict[str, PerClassReport]:
    """Every indicator; soft conditioning needs probabilities of private images too."""
    hard = victim.answers == "labels"
    return score_indicators(
        settings["indicator"],
        data.train,
        data.aux,
        responses,
        judge,
        folder / "indicator.json",
        random_state=settings["seeds"]["evaluate"],
        verbose=verbose,
        train_responses=None if hard else owner_answers(victim, data.train),
    )


def run_attack(
    settings: Mapping[str, Any],
    victim: Victim,
    data: RunImages,
    folder: Path,
    *,
    verbose: int,
) -> tuple[NDArray[np.float32], Attacker]:
    """Let the attacker learn, from its checkpoint if there is one, and invert."""
    parameters = dict(settings["attacker"])
    attacker = make_attacker(
        parameters.pop("name"),
        **parameters,
        random_state=settings["seeds"]["attacker"],
        device=settings["device"],
        verbose=verbose,
    )
    recorder = RunRecorder(folder, settings["checkpoint_every"])
    attacker.fit(victim, data.aux.images, recorder=recorder)
    images = attacker.invert(
        np.arange(data.train.n_classes),
        settings["evaluate"]["n_reconstructions"],
        random_state=settings["seeds"]["evaluate"],
    )
    return images, attacker


def _facts(
    data: RunImages,
    victim: Victim,
    judge: Judge,
    attacker: Attacker,
    responses: NDArray[np.float64],
) -> dict[str, Any]:
    """Numbers of the whole run."""
    answered = np.bincount(responses.argmax(axis=1), minlength=data.train.n_classes)
    return {
        "train": data.train.name,
        "aux": data.aux.name,
        "n_train": len(data.train),
        "n_aux": len(data.aux),
        "access": attacker.access,
        "n_queries": int(attacker.n_queries_),
        **_gradients(attacker),
        "budget_exhausted": bool(attacker.budget_exhausted_),
        "answered": answered.tolist(),
        **accuracies(victim, judge, data.train, data.held_out),
    }


def _gradients(attacker: Attacker) -> dict[str, int]:
    """How many images the victim's gradient was taken for, where that is counted."""
    count = getattr(attacker, "n_gradients_", None)
    return {} if count is None else {"n_gradients": int(count)}


def evaluate_run(
    settings: Mapping[str, Any],
    images: NDArray[np.float32],
    attacker: Attacker,
    data: RunImages,
    responses: NDArray[np.float64],
    judge: Judge,
    victim: Victim,
    *,
    verbose: int,
) -> tuple[PerClassReport, dict[str, PerClassReport]]:
    """Success of the attack, and of the controls that it must be printed beside."""
    options = dict(settings["evaluate"])
    n = options.pop("n_reconstructions")
    seed = settings["seeds"]["evaluate"]
    sets: dict[str, Any] = {"attack": images}
    for name, control in CONTROLS.items():
        sets[name] = control(data.aux.images, responses, n, random_state=seed)
    titles = {name: f"Control: {name} auxiliary rows" for name in CONTROLS}
    titles |= {"attack": "Success of the attack", "prior": "Control: no search"}
    prior = attacker.prior(attacker.classes_, n, random_state=seed)
    if prior is not None:
        sets["prior"] = prior
    reports = {}
    for name in progress(sets, desc="evaluation", disable=not verbose):
        reports[name] = evaluate_attack(
            sets[name],
            data.train,
            judge,
            victim=victim,
            held_out=data.held_out,
            random_state=seed,
            title=titles[name],
            **options,
        )
    success = reports.pop("attack")
    names = data.train.class_names
    told = {
        names[c]: f"no reconstruction: {why}" for c, why in attacker.reasons_.items()
    }
    return replace(success, reasons={**success.reasons, **told}), reports


def _write_images(
    folder: Path,
    images: NDArray[np.float32],
    data: RunImages,
    responses: NDArray[np.float64],
) -> None:
    from safetensors.numpy import save

    kept = {f"reconstructions/{c}": value for c, value in enumerate(images)}
    sure = CONTROLS["confident"](data.aux.images, responses, _EXAMPLES)
    kept |= {f"auxiliary/{c}": value for c, value in sure.items()}
    for c in range(data.train.n_classes):
        private = data.train.images[data.train.labels == c]
        kept[f"private/{c}"] = private[:_EXAMPLES]
    pixels = {
        name: np.rint(value * 255).astype(np.uint8)
        for name, value in kept.items()
        if len(value) and np.isfinite(value).all()
    }
    write_atomic(folder / "images.safetensors", save(pixels))
