"""Which divergence predicts which attack: every attacker on every auxiliary set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from kldiv_attack._files import (
    RunError,
    check_home,
    checked_path,
    read_json,
    write_json,
)
from kldiv_attack._indicator import Features, at_most
from kldiv_attack._models import discard_models, owner_answers
from kldiv_attack._progress import progress
from kldiv_attack._run import Run
from kldiv_attack._settings import complete_settings, load_images
from kldiv_attack._studies.judges import judge_runs
from kldiv_attack._studies.measures import PREDICTORS, Floats, K, Measure
from kldiv_attack._studies.pages import write_study
from kldiv_attack._studies.result import FORMAT_VERSION, Study, load_study, missing
from kldiv_attack._studies.settings import complete_study
from kldiv_attack.experiment import run_experiment
from kldiv_attack.judge import Judge
from kldiv_attack.victim import Victim


def run_study(
    config: Mapping[str, Any],
    folder: str | os.PathLike[str],
    *,
    restart: bool = False,
    verbose: int = 1,
) -> Study:
    """Run every attacker on every auxiliary set with every seed, and compare.

    The victim and the judge of a seed are shared by its runs. Interrupted, the same
    call goes on; attackers, auxiliary sets and seeds may be added to a finished study.

    Parameters
    ----------
    config : mapping
        ``train`` and ``held_out``: what ``load_dataset`` takes, or images; ``panel``:
        the same for images that several judges learn from, by default those of
        ``held_out``; ``auxiliary``: name to the same; ``attackers``: name to
        parameters, with the key ``name`` where it is not the name of the attacker
        itself; ``seeds``; ``victim`` and ``judge``: options of their training;
        ``features`` and ``max_rows``: what the divergences are measured on;
        ``n_reconstructions`` per class; ``n_permutations``.
    folder : path
        One run folder per seed, auxiliary set and attacker, ``study.json``,
        ``observations.csv``, ``correlations.csv``, ``report.md`` and ``report.html``.
    restart : bool, default=False
        Discard what the runs hold.
    verbose : int, default=1
        0 turns progress bars off.

    Returns
    -------
    Study
        The finished study.

    Raises
    ------
    RunError
        If the folder holds runs with other settings.
    ValueError
        For settings that do not exist.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from kldiv_attack import load_study, run_study, study_config
    >>> config = study_config(["mi_face"], demo=True) | {
    ...     "auxiliary": {"digits": {"name": "digits", "part": "test"}},
    ...     "max_rows": 30,
    ...     "n_reconstructions": 10,
    ...     "n_permutations": 20,
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     study = run_study(config, folder, verbose=0)
    >>> study.attackers
    ['mi_face', 'control: random', 'control: confident']
    """
    folder = checked_path(folder, "folder")
    settings = complete_study(config)
    _refuse(settings, folder)
    train = load_images(settings["train"])
    sets = {name: load_images(aux) for name, aux in settings["auxiliary"].items()}
    panel = settings["panel"] or settings["held_out"]
    judges = None if panel is None else load_images(panel)
    rows: list[dict[str, Any]] = []
    judged: list[dict[str, Any]] = []
    for seed in settings["seeds"]:
        models = folder / f"seed_{seed}" / "models"
        if restart:
            discard_models(models)
        for aux, data in sets.items():
            home = folder / f"seed_{seed}" / aux
            how: Any = {"restart": restart, "verbose": verbose}
            runs = _run_all(settings, seed, aux, home, models, **how)
            told = _divergences(settings, (train, data), models, home, **how)
            rows += _rows(seed, aux, runs, told)
            if judges is not None:
                found = judge_runs(
                    settings, runs, (train, data, judges), models, home, seed, restart
                )
                judged += [{"seed": seed, "auxiliary": aux, **row} for row in found]
    _write(folder / "study.json", settings, rows, judged)
    study = load_study(folder)
    write_study(study)
    return study


def _run_all(
    settings: Mapping[str, Any],
    seed: int,
    aux: str,
    home: Path,
    models: Path,
    *,
    restart: bool,
    verbose: int,
) -> dict[str, Run]:
    """Every attacker on one auxiliary set."""
    return {
        name: run_experiment(
            _run_settings(settings, seed, aux, parameters),
            home / name,
            models=models,
            restart=restart,
            verbose=verbose,
        )
        for name, parameters in settings["attackers"].items()
    }


def _refuse(settings: Mapping[str, Any], folder: Path) -> None:
    """Find settings and folders that will not do before the first run begins."""
    seeds = [f"seed_{seed}" for seed in settings["seeds"]]
    check_home(folder, seeds, "seed_*/models/models.json")
    for aux, attacker in product(settings["auxiliary"], settings["attackers"].values()):
        complete_settings(_run_settings(settings, 0, aux, attacker))


def _write(
    path: Path,
    settings: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    judged: Sequence[Mapping[str, Any]],
) -> None:
    """Settings without paths of this machine, and the observations."""
    config = {
        **settings,
        **{name: _named(settings[name]) for name in ("train", "held_out", "panel")},
        "auxiliary": {k: _named(v) for k, v in settings["auxiliary"].items()},
    }
    known = [{k: None if missing(v) else v for k, v in row.items()} for row in rows]
    content = {"format_version": FORMAT_VERSION, "config": config, "rows": known}
    write_json(path, {**content, "judged": list(judged)})


def _run_settings(
    settings: Mapping[str, Any], seed: int, aux: str, attacker: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "seed": seed,
        "train": settings["train"],
        "held_out": settings["held_out"],
        "aux": settings["auxiliary"][aux],
        "victim": settings["victim"],
        "judge": settings["judge"],
        "attacker": dict(attacker),
        "indicator": [
            {
                "features": settings["features"],
                "n_neighbors": K,
                "max_rows": settings["max_rows"],
                "duplicates": "drop",
            }
        ],
        "evaluate": {"n_reconstructions": settings["n_reconstructions"]},
    }


def _divergences(
    settings: Mapping[str, Any],
    data: tuple[Any, Any],
    models: Path,
    home: Path,
    *,
    restart: bool,
    verbose: int,
) -> dict[str, list[float | None]]:
    """Every divergence of every class; None where there are too few rows."""
    path = home / "divergences.json"
    wanted = {name: settings[name] for name in ("features", "max_rows")}
    wanted["predictors"] = list(PREDICTORS)
    if path.exists() and not restart:
        stored = read_json(path)
        if stored["settings"] != wanted:
            raise RunError(
                f"{path} holds divergences with other settings. Choose another folder, "
                "or start over with restart=True (--restart)."
            )
        return dict(stored["values"])
    train, aux = data
    answers = owner_answers(Victim.load(models / "victim.safetensors"), aux).argmax(
        axis=1
    )
    judge = Judge.load(models / "judge.safetensors")
    X, Y = Features(train, aux, judge)(settings["features"])
    rng = np.random.default_rng(0)
    X, x = at_most((X, train.labels), settings["max_rows"], rng)
    Y, y = at_most((Y, answers), settings["max_rows"], rng)
    values: dict[str, list[float | None]] = {name: [] for name in PREDICTORS}
    classes = range(train.n_classes)
    for c in progress(classes, desc="divergences", disable=not verbose, leave=False):
        for name, measure in PREDICTORS.items():
            values[name].append(_measured(measure, X[x == c], Y[y == c]))
    write_json(path, {"settings": wanted, "values": values})
    return values


def _measured(measure: Measure, train: Floats, aux: Floats) -> float | None:
    """A divergence, or None for a class with fewer rows than neighbours need."""
    if min(len(np.unique(train, axis=0)), len(np.unique(aux, axis=0))) < K + 2:
        return None
    value = measure(train, aux)
    return value if np.isfinite(value) else None


def _rows(
    seed: int,
    aux: str,
    runs: Mapping[str, Run],
    divergences: Mapping[str, Sequence[float | None]],
) -> list[dict[str, Any]]:
    """Observations of one seed and auxiliary set: attackers, then the controls."""
    first = next(iter(runs.values()))
    reports = {
        name: (run.success, run.facts["access"], run.facts["n_queries"])
        for name, run in runs.items()
    }
    for name, report in first.controls.items():
        reports[f"control: {name}"] = (report, "probabilities", first.facts["n_aux"])
    rows = []
    for attacker, (report, access, queries) in reports.items():
        for c, label in enumerate(first.class_names):
            scale = report["private_distance"][c]
            distance = report["nearest_distance"][c] / scale if scale else np.nan
            rows.append(
                {
                    "seed": seed,
                    "auxiliary": aux,
                    "class": label,
                    "attacker": attacker,
                    "access": access,
                    "queries": queries,
                    "rows": first.facts["answered"][c],
                    "accuracy": float(report["accuracy"][c]),
                    "coverage": float(report["coverage"][c]),
                    "clipped coverage": float(report["clipped_coverage"][c]),
                    "distance": float(distance),
                    **{
                        name: np.nan if values[c] is None else values[c]
                        for name, values in divergences.items()
                    },
                }
            )
    return rows


def _named(source: Any) -> Any:
    """A dataset as JSON: its options without the folder, or its name."""
    if source is None or isinstance(source, Mapping):
        return {k: v for k, v in (source or {}).items() if k != "root"}
    return {"name": source.name}
