"""One run: a victim, an attacker, the indicator and the outcome, in one folder."""

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from kldiv import PerClassReport, __version__
from kldiv_attack._controls import CONTROLS
from kldiv_attack._files import write_atomic, write_json
from kldiv_attack._indicator import score_indicators
from kldiv_attack._models import (
    accuracies,
    discard_models,
    owner_answers,
    prepare_models,
)
from kldiv_attack._run import Run, load_run
from kldiv_attack._run_folder import (
    FORMAT_VERSION,
    RunRecorder,
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
    folder = Path(folder)
    models = folder / "models" if models is None else Path(models)
    settings = complete_settings(config)
    train, aux = load_images(settings["train"]), load_images(settings["aux"])
    held_out = (
        None if settings["held_out"] is None else load_images(settings["held_out"])
    )
    check_data(train, aux)
    for name, data in (("train", train), ("aux", aux), ("held_out", held_out)):
        settings[name] = None if data is None else describe_images(settings[name], data)
    settings = json.loads(json.dumps(settings))  # what a file can hold
    if restart and models == folder / "models":
        discard_models(models)
    if open_run(folder, settings, restart=restart):
        logger.info("%s holds the finished run; nothing to compute.", folder)
        return load_run(folder)
    started = time.perf_counter()
    victim, judge = prepare_models(settings, train, models, verbose=verbose)
    responses = owner_answers(victim, aux)
    indicators = score_indicators(
        settings["indicator"],
        train,
        aux,
        responses,
        judge,
        folder / "indicator.json",
        random_state=settings["seeds"]["evaluate"],
        verbose=verbose,
        train_responses=owner_answers(victim, train)
        if victim.answers != "labels"
        else None,
    )
    images, attacker = run_attack(settings, victim, aux, train, folder, verbose=verbose)
    success, controls = evaluate_run(
        settings,
        images,
        attacker.reasons_,
        train,
        aux,
        responses,
        judge,
        victim,
        prior=attacker.prior(
            attacker.classes_,
            settings["evaluate"]["n_reconstructions"],
            random_state=settings["seeds"]["evaluate"],
        ),
        verbose=verbose,
    )
    facts = {
        "train": train.name,
        "aux": aux.name,
        "n_train": len(train),
        "n_aux": len(aux),
        "access": attacker.access,
        "n_queries": int(attacker.n_queries_),
        **_gradients(attacker),
        "budget_exhausted": bool(attacker.budget_exhausted_),
        "answered": np.bincount(
            responses.argmax(axis=1), minlength=train.n_classes
        ).tolist(),
        **accuracies(victim, judge, train, held_out),
    }
    _write_images(folder, images, train, aux, responses)
    write_json(
        folder / "results.json",
        {
            "format_version": FORMAT_VERSION,
            "code_version": __version__,
            "facts": facts,
            "success": report_to_dict(success),
            "controls": {k: report_to_dict(v) for k, v in controls.items()},
            "indicators": {k: report_to_dict(v) for k, v in indicators.items()},
            "seconds": round(time.perf_counter() - started, 1),
        },
    )
    run = load_run(folder)
    write_report(run)
    return run


def run_attack(
    settings: Mapping[str, Any],
    victim: Victim,
    aux: LabelledImages,
    train: LabelledImages,
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
    attacker.fit(victim, aux.images, recorder=recorder)
    images = attacker.invert(
        np.arange(train.n_classes),
        settings["evaluate"]["n_reconstructions"],
        random_state=settings["seeds"]["evaluate"],
    )
    return images, attacker


def _gradients(attacker: Attacker) -> dict[str, int]:
    """How many images the victim's gradient was taken for, where that is counted."""
    count = getattr(attacker, "n_gradients_", None)
    return {} if count is None else {"n_gradients": int(count)}


def evaluate_run(
    settings: Mapping[str, Any],
    images: NDArray[np.float32],
    reasons: Mapping[int, str],
    train: LabelledImages,
    aux: LabelledImages,
    responses: NDArray[np.float64],
    judge: Judge,
    victim: Victim,
    *,
    prior: NDArray[np.float32] | None,
    verbose: int,
) -> tuple[PerClassReport, dict[str, PerClassReport]]:
    options = dict(settings["evaluate"])
    n = options.pop("n_reconstructions")
    seed = settings["seeds"]["evaluate"]
    sets: dict[str, Any] = {"attack": images}
    for name, control in CONTROLS.items():
        sets[name] = control(aux.images, responses, n, random_state=seed)
    titles = {name: f"Control: {name} auxiliary rows" for name in CONTROLS}
    titles |= {"attack": "Success of the attack", "prior": "Control: no search"}
    if prior is not None:
        sets["prior"] = prior
    reports = {}
    for name in tqdm(sets, desc="evaluation", disable=not verbose):
        reports[name] = evaluate_attack(
            sets[name],
            train,
            judge,
            victim=victim,
            random_state=seed,
            title=titles[name],
            **options,
        )
    success = reports.pop("attack")
    told = {train.class_names[c]: f"no reconstruction: {w}" for c, w in reasons.items()}
    return replace(success, reasons={**success.reasons, **told}), reports


def _write_images(
    folder: Path,
    images: NDArray[np.float32],
    train: LabelledImages,
    aux: LabelledImages,
    responses: NDArray[np.float64],
) -> None:
    from safetensors.numpy import save

    kept = {f"reconstructions/{c}": value for c, value in enumerate(images)}
    sure = CONTROLS["confident"](aux.images, responses, _EXAMPLES)
    kept |= {f"auxiliary/{c}": value for c, value in sure.items()}
    for c in range(train.n_classes):
        kept[f"private/{c}"] = train.images[train.labels == c][:_EXAMPLES]
    pixels = {
        name: np.rint(value * 255).astype(np.uint8)
        for name, value in kept.items()
        if len(value) and np.isfinite(value).all()
    }
    write_atomic(folder / "images.safetensors", save(pixels))
