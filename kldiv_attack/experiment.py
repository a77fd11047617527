"""One run: a victim, an attacker, the indicator and the outcome, in one folder."""

import hashlib
import inspect
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from kldiv import PerClassReport, __version__
from kldiv_attack._indicator import INDICATOR, parse_features, score_indicators
from kldiv_attack._run_folder import (
    FORMAT_VERSION,
    RunError,
    RunRecorder,
    check_format,
    open_run,
    read_json,
    report_to_dict,
    write_atomic,
    write_json,
)
from kldiv_attack._summary import write_report
from kldiv_attack.attackers import Attacker, GMIAttacker, make_attacker
from kldiv_attack.datasets import LabelledImages, load_dataset
from kldiv_attack.evaluate import CONTROLS, evaluate_attack
from kldiv_attack.victim import (
    Judge,
    Victim,
    check_judge,
    train_judge,
    train_victim,
)

__all__ = ["DEFAULTS", "Run", "RunError", "load_run", "run_experiment"]

_LOG = logging.getLogger(__name__)

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
# Parameters of an attacker that are settings of the whole run.
_OF_THE_RUN = {
    "random_state": "the seed",
    "device": "the device",
    "verbose": "the verbosity",
}
# What the attacker may ask; no part of how the victim is trained.
_ACCESS: dict[str, Any] = {"answers": "probabilities", "budget": None}
_EXAMPLES = 8  # images per class that a run keeps of private and auxiliary data


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder.

    Attributes
    ----------
    folder : Path
        The run folder.
    config : dict
        Every setting.
    facts : dict
        Numbers of the whole run: ``n_queries``, ``victim_accuracy``, sizes, names.
    success : PerClassReport
        Outcome of the attack, from :func:`evaluate_attack`.
    controls : dict of str to PerClassReport
        The same for the attackers that return auxiliary rows, and for one that
        returns what a searching attacker began with.
    indicators : dict of str to PerClassReport
        Divergence per class, columns ``kl``, ``floor``, ``n_train``, ``n_aux`` and
        ``coverage``; the first entry is the score of the run.
    """

    folder: Path
    config: dict[str, Any]
    facts: dict[str, Any]
    success: PerClassReport
    controls: dict[str, PerClassReport]
    indicators: dict[str, PerClassReport]

    @property
    def indicator(self) -> PerClassReport:
        """The score of the run."""
        return next(iter(self.indicators.values()))

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of all reports."""
        return [str(name) for name in self.success.classes]

    def images(self, kind: str) -> list[NDArray[np.float32] | None]:
        """Images per class that the run kept, with 8 bits per pixel.

        Parameters
        ----------
        kind : {"reconstructions", "private", "auxiliary"}
            Results of the attack, examples of the private images, or the auxiliary
            images of which the victim was surest.

        Returns
        -------
        list of ndarray or None
            One array of shape (n, channels, height, width) in [0, 1] per class.
        """
        from safetensors.numpy import load_file

        stored = load_file(self.folder / "images.safetensors")
        return [
            (stored[f"{kind}/{label}"] / np.float32(255)).astype(np.float32)
            if f"{kind}/{label}" in stored
            else None
            for label in range(len(self.class_names))
        ]


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
    settings = _complete(config)
    train, aux = _images(settings["train"]), _images(settings["aux"])
    held_out = None if settings["held_out"] is None else _images(settings["held_out"])
    _check_data(train, aux)
    for name, data in (("train", train), ("aux", aux), ("held_out", held_out)):
        settings[name] = None if data is None else _describe(settings[name], data)
    settings = json.loads(json.dumps(settings))  # what a file can hold
    if restart and models == folder / "models":
        discard_models(models)
    if open_run(folder, settings, restart=restart):
        _LOG.info("%s holds the finished run; nothing to compute.", folder)
        return load_run(folder)
    started = time.perf_counter()
    victim, judge = prepare_models(settings, train, models, verbose=verbose)
    responses = _ask(victim, aux)
    indicators = score_indicators(
        settings["indicator"],
        train,
        aux,
        responses,
        judge,
        folder / "indicator.json",
        random_state=settings["seeds"]["evaluate"],
        verbose=verbose,
        train_responses=_ask(victim, train) if victim.answers != "labels" else None,
    )
    images, attacker = _attack(settings, victim, aux, train, folder, verbose=verbose)
    success, controls = _evaluate(
        settings,
        images,
        attacker.reasons_,
        train,
        aux,
        responses,
        judge,
        victim,
        prior=_prior(settings, attacker),
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
        **_accuracies(victim, judge, train, held_out),
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


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Read a finished run from its folder alone.

    Parameters
    ----------
    folder : path
        A folder that :func:`run_experiment` finished.

    Returns
    -------
    Run
        Settings, facts and tables.

    Raises
    ------
    RunError
        If the folder holds no finished run of this format.
    """
    folder = Path(folder)
    config = check_format(folder)["config"]
    results = read_json(folder / "results.json")
    return Run(
        folder=folder,
        config=config,
        facts=results["facts"],
        success=PerClassReport.from_json(results["success"]),
        controls={
            k: PerClassReport.from_json(v) for k, v in results["controls"].items()
        },
        indicators={
            k: PerClassReport.from_json(v) for k, v in results["indicators"].items()
        },
    )


# -- settings and data -----------------------------------------------------------------


def _complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """All settings, spelled out, with one seed per stage."""
    unknown = sorted(set(config) - set(DEFAULTS))
    if unknown:
        raise ValueError(
            f"config has no setting {', '.join(unknown)}; it accepts "
            f"{', '.join(DEFAULTS)}."
        )
    settings = {**DEFAULTS, **config}
    settings["evaluate"] = _with_defaults(
        "evaluate", DEFAULTS["evaluate"], settings["evaluate"]
    )
    settings["indicator"] = [
        _with_defaults("indicator", INDICATOR, one) for one in settings["indicator"]
    ]
    if not settings["indicator"]:
        raise ValueError("indicator: expected at least one entry, got none.")
    for one in settings["indicator"]:
        parse_features(one["features"])
    for name, function in (("victim", train_victim), ("judge", train_judge)):
        defaults = _training_defaults(function)
        if name == "victim":
            defaults |= _ACCESS
        settings[name] = _with_defaults(name, defaults, settings[name])
    settings["attacker"] = _attacker_settings(settings["attacker"])
    states = np.random.SeedSequence(settings["seed"]).generate_state(4) >> 1
    names = ("victim", "judge", "attacker", "evaluate")
    settings["seeds"] = dict(zip(names, states.tolist(), strict=True))
    return settings


def _attacker_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Name and parameters of the attacker, its defaults included."""
    parameters = dict(given)
    name = parameters.pop("name", DEFAULTS["attacker"]["name"])
    for ours, instead in _OF_THE_RUN.items():
        if ours in parameters:
            raise ValueError(f"attacker: {ours} is set by {instead} of the run.")
    attacker = make_attacker(name, **parameters)
    accepted = inspect.signature(type(attacker)).parameters
    spelled = {k: getattr(attacker, k) for k in accepted if k not in _OF_THE_RUN}
    return {"name": name, **spelled}


def _with_defaults(
    name: str, defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise ValueError(
            f"{name} has no setting {', '.join(unknown)}; it accepts "
            f"{', '.join(defaults)}."
        )
    return {**defaults, **given}


def _training_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Options of a training function that a run may set, with their defaults."""
    ours = ("data", "val", "device", "random_state", "verbose")
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in ours
    }


def _images(source: Mapping[str, Any] | LabelledImages) -> LabelledImages:
    if isinstance(source, LabelledImages):
        return source
    if "name" not in source:
        raise ValueError(f"a dataset needs a name, got {dict(source)}.")
    return load_dataset(**source)


def _describe(
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


def _check_data(train: LabelledImages, aux: LabelledImages) -> None:
    if train.image_shape != aux.image_shape:
        raise ValueError(
            f"{train.name} holds images of shape {train.image_shape}, {aux.name} of "
            f"shape {aux.image_shape}: an attacker needs images of the victim's shape."
        )
    if not len(train) or not len(aux):
        empty = train if not len(train) else aux
        raise ValueError(f"{empty.name} holds no image.")


# -- victim and judge ------------------------------------------------------------------


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
    note = folder / "models.json"
    if note.exists():
        stored = read_json(note)
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
    return {k: v for k, v in options.items() if k not in _ACCESS}


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
    _LOG.info("Training the %s on %s (%d images).", kind, train.name, len(train))
    model = learn(
        train,
        **_training(settings[kind]),
        device=settings["device"],
        random_state=settings["seeds"][kind],
        verbose=verbose,
    )
    model.save(path)
    return model


def _ask(victim: Victim, data: LabelledImages) -> NDArray[np.float64]:
    """The victim's answers to its owner, which are no queries of an attacker."""
    return np.asarray(victim._probabilities(data.images), dtype=np.float64)


def _accuracies(
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


# -- attack and outcome ----------------------------------------------------------------


def _attack(
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


def _prior(
    settings: Mapping[str, Any], attacker: Attacker
) -> NDArray[np.float32] | None:
    """Where an attacker that searches began, if it is one: another control."""
    if not isinstance(attacker, GMIAttacker):
        return None
    return attacker.prior(
        attacker.classes_,
        settings["evaluate"]["n_reconstructions"],
        random_state=settings["seeds"]["evaluate"],
    )


def _gradients(attacker: Attacker) -> dict[str, int]:
    """How many images the victim's gradient was taken for, where that is counted."""
    count = getattr(attacker, "n_gradients_", None)
    return {} if count is None else {"n_gradients": int(count)}


def _evaluate(
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
