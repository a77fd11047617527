"""Which divergence predicts which attack: every attacker on every auxiliary set."""

import csv
import inspect
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from kldiv import KNNDivergence, ks_test
from kldiv_attack._demo import AUXILIARY
from kldiv_attack._indicator import _at_most, _Features
from kldiv_attack._ranks import RankCorrelations, rank_correlations
from kldiv_attack._run_folder import RunError, read_json, write_atomic, write_json
from kldiv_attack._study_pages import study_text, write_study_pages
from kldiv_attack.attackers import ATTACKERS, make_attacker
from kldiv_attack.experiment import (
    Run,
    _ask,
    _images,
    discard_models,
    run_experiment,
)
from kldiv_attack.victim import Judge, Victim

__all__ = ["OUTCOMES", "PREDICTORS", "Study", "load_study", "run_study", "study_config"]

Floats = NDArray[np.float64]
FORMAT_VERSION = 1
K = 5


Measure = Callable[[Floats, Floats], float]


def _neighbours(name: str, *, reverse: bool = False, order: float = 0.5) -> Measure:
    def measure(train: Floats, aux: Floats) -> float:
        first, second = (aux, train) if reverse else (train, aux)
        estimator = KNNDivergence(
            name, n_neighbors=K, correction=None, duplicates="drop", order=order
        )
        return float(estimator.fit(second).score(first))

    return measure


def _largest_gap(train: Floats, aux: Floats) -> float:
    return float(ks_test(train, aux, method="columns").global_statistic)


#: Name to a function of private and auxiliary features of one class.
PREDICTORS: dict[str, Measure] = {
    "KL": _neighbours("kl"),
    "reverse KL": _neighbours("kl", reverse=True),
    "Jensen-Shannon": _neighbours("jensen-shannon"),
    "Hellinger": _neighbours("hellinger"),
    "Renyi 2": _neighbours("renyi", order=2),
    "energy": _neighbours("energy"),
    "MMD": _neighbours("mmd"),
    "KS": _largest_gap,
}

#: Name of an outcome to the sign that its correlation with a divergence should have.
OUTCOMES: dict[str, int] = {"accuracy": -1, "coverage": -1, "distance": 1}

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


@dataclass(frozen=True)
class Study:
    """A finished study, read from its folder.

    Attributes
    ----------
    folder : Path
        The folder.
    config : dict
        Every setting.
    rows : list of dict
        One per seed, auxiliary set, class and attacker: the divergences, the outcomes
        and what the attacker was allowed. Controls without a generator are listed as
        attackers.
    """

    folder: Path
    config: dict[str, Any]
    rows: list[dict[str, Any]]

    @property
    def attackers(self) -> list[str]:
        """Names of attackers and controls, in order."""
        return list(dict.fromkeys(row["attacker"] for row in self.rows))

    def correlations(
        self, attacker: str, outcome: str, *, within: bool = False
    ) -> RankCorrelations:
        """Rank correlation of every divergence with one outcome of one attacker.

        Parameters
        ----------
        attacker : str
            One of ``attackers``.
        outcome : str
            Key of ``OUTCOMES``.
        within : bool, default=False
            Compare the classes inside each auxiliary set only.

        Returns
        -------
        RankCorrelations
            Values in the order of ``PREDICTORS``.
        """
        x, y, groups = self._tensors(attacker, outcome)
        return rank_correlations(
            x,
            y,
            groups,
            within=within,
            sign=OUTCOMES[outcome],
            n_permutations=self.config["n_permutations"],
        )

    def _tensors(
        self, attacker: str, outcome: str
    ) -> tuple[Floats, Floats, NDArray[np.intp]]:
        chosen = [row for row in self.rows if row["attacker"] == attacker]
        n_seeds = len(self.config["seeds"])
        x = np.array([[row[name] for name in PREDICTORS] for row in chosen])
        y = np.array([row[outcome] for row in chosen])
        sets = list(self.config["auxiliary"])
        groups = np.array([sets.index(row["auxiliary"]) for row in chosen])
        return (
            x.reshape(n_seeds, -1, len(PREDICTORS)),
            y.reshape(n_seeds, -1),
            groups.reshape(n_seeds, -1)[0],
        )


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
    """
    names = list(ATTACKERS) if attackers is None else list(attackers)
    chosen = {name: {**_DEMO} if demo else {} for name in names}
    for name in names:
        make_attacker(name)  # an unknown name is found here
        accepted = inspect.signature(ATTACKERS[name]).parameters
        chosen[name] = {k: v for k, v in chosen[name].items() if k in accepted}
    for key, value in (parameters or {}).items():
        _place(chosen, key, value)
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
        ``train`` and ``held_out``: what ``load_dataset`` takes, or images;
        ``auxiliary``: name to the same; ``attackers``: name to parameters, with the key
        ``name`` where it is not the name of the attacker itself; ``seeds``; ``victim``
        and ``judge``: options of their training; ``features`` and ``max_rows``: what
        the divergences are measured on; ``n_reconstructions`` per class;
        ``n_permutations``.
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
    """
    folder = Path(folder)
    settings = _complete(config)
    train = _images(settings["train"])
    sets = {name: _images(aux) for name, aux in settings["auxiliary"].items()}
    rows: list[dict[str, Any]] = []
    for seed in settings["seeds"]:
        models = folder / f"seed_{seed}" / "models"
        if restart:
            discard_models(models)
        for aux in sets:
            runs = {
                name: run_experiment(
                    _run_settings(settings, seed, aux, parameters),
                    folder / f"seed_{seed}" / aux / name,
                    models=models,
                    restart=restart,
                    verbose=verbose,
                )
                for name, parameters in settings["attackers"].items()
            }
            divergences = _divergences(
                settings,
                (train, sets[aux]),
                models,
                folder / f"seed_{seed}" / aux / "divergences.json",
                restart=restart,
                verbose=verbose,
            )
            rows += _rows(seed, aux, runs, divergences)
    write_json(
        folder / "study.json",
        {
            "format_version": FORMAT_VERSION,
            "config": {
                **settings,
                **{name: _named(settings[name]) for name in ("train", "held_out")},
                "auxiliary": {k: _named(v) for k, v in settings["auxiliary"].items()},
            },
            "rows": [
                {k: None if _missing(v) else v for k, v in row.items()} for row in rows
            ],
        },
    )
    study = load_study(folder)
    write_study(study)
    return study


def load_study(folder: str | os.PathLike[str]) -> Study:
    """Read a finished study from its folder alone.

    Parameters
    ----------
    folder : path
        What :func:`run_study` filled.

    Returns
    -------
    Study
        Settings and observations.

    Raises
    ------
    RunError
        If the folder holds no finished study of this format.
    """
    folder = Path(folder)
    stored = read_json(folder / "study.json")
    if stored.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{folder} holds a study of format {stored.get('format_version')}, this "
            f"version reads {FORMAT_VERSION}. Run it again in a new folder."
        )
    rows = [
        {k: np.nan if v is None else v for k, v in row.items()}
        for row in stored["rows"]
    ]
    return Study(folder, stored["config"], rows)


def write_study(study: Study) -> None:
    """Write the tables and the report of a study from its observations alone."""
    write_atomic(study.folder / "observations.csv", _csv(study.rows).encode())
    found = _correlation_rows(study)
    write_atomic(study.folder / "correlations.csv", _csv(found).encode())
    write_study_pages(study, found)
    write_atomic(study.folder / "study.txt", study_text(study, found).encode())


def _correlation_rows(study: Study) -> list[dict[str, Any]]:
    """One row per attacker, outcome, divergence and way to compare."""
    found = []
    for attacker in study.attackers:
        for outcome in OUTCOMES:
            for within in (False, True):
                one = study.correlations(attacker, outcome, within=within)
                for i, name in enumerate(PREDICTORS):
                    found.append(
                        {
                            "attacker": attacker,
                            "outcome": outcome,
                            "pairs": "within sets" if within else "all",
                            "n_pairs": one.n_pairs,
                            "divergence": name,
                            "rho": one.rho[i],
                            "lowest": one.lowest[i],
                            "highest": one.highest[i],
                            "null_low": one.null_low[i],
                            "null_high": one.null_high[i],
                            "pvalue": one.pvalue[i],
                            "pvalue_any": one.pvalue_any[i],
                            "strongest": one.strongest[i],
                        }
                    )
    return found


def _complete(config: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(config) - set(_SETTINGS))
    if unknown:
        raise ValueError(
            f"the study has no setting {', '.join(unknown)}; it accepts "
            f"{', '.join(_SETTINGS)}."
        )
    settings = {**_SETTINGS, **config}
    for name in ("auxiliary", "attackers", "seeds"):
        if not settings[name]:
            raise ValueError(f"{name}: expected at least one, got none.")
    settings["seeds"] = list(settings["seeds"])
    settings["attackers"] = {
        name: {"name": name, **parameters}
        for name, parameters in settings["attackers"].items()
    }
    return settings


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
    path: Path,
    *,
    restart: bool,
    verbose: int,
) -> dict[str, list[float | None]]:
    """Every divergence of every class; None where there are too few rows."""
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
    answers = _ask(Victim.load(models / "victim.safetensors"), aux).argmax(axis=1)
    judge = Judge.load(models / "judge.safetensors")
    X, Y = _Features(train, aux, judge)(settings["features"])
    rng = np.random.default_rng(0)
    X, x = _at_most((X, train.labels), settings["max_rows"], rng)
    Y, y = _at_most((Y, answers), settings["max_rows"], rng)
    values: dict[str, list[float | None]] = {name: [] for name in PREDICTORS}
    classes = range(train.n_classes)
    for c in tqdm(classes, desc="divergences", disable=not verbose, leave=False):
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
                    "distance": float(distance),
                    **{
                        name: np.nan if values[c] is None else values[c]
                        for name, values in divergences.items()
                    },
                }
            )
    return rows


def _missing(value: Any) -> bool:
    return isinstance(value, float) and not np.isfinite(value)


def _named(source: Any) -> Any:
    """A dataset as JSON: its options without the folder, or its name."""
    if source is None or isinstance(source, Mapping):
        return {k: v for k, v in (source or {}).items() if k != "root"}
    return {"name": source.name}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                k: ("" if _missing(v) else f"{v:.6g}" if isinstance(v, float) else v)
                for k, v in row.items()
            }
        )
    return buffer.getvalue()
