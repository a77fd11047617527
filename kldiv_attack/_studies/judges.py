"""The attacks of a study under several judges that know neither side's images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._controls import CONTROLS
from kldiv_attack._files import read_json, write_json
from kldiv_attack._models import owner_answers
from kldiv_attack._panel import adversarial_images, judge_attack, train_panel
from kldiv_attack._run import Run
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.judge import fingerprints
from kldiv_attack.victim import Victim

Images = NDArray[np.float32]

MOST_ROWS = 6000  # of the images that judges learn from and are tried on
_NOISE = 20  # adversarial images per class
_LEAST = 40  # rows without which there is no panel

#: Columns of the panel's report that a study keeps.
KEPT = ("accuracy", "recognised", "corrected")


def judge_runs(
    settings: Mapping[str, Any],
    runs: Mapping[str, Run],
    data: tuple[LabelledImages, LabelledImages, LabelledImages],
    models: Path,
    home: Path,
    seed: int,
    restart: bool,
) -> list[dict[str, Any]]:
    """Every attack on one auxiliary set under every judge of a panel.

    Parameters
    ----------
    settings : mapping
        Of the study.
    runs : mapping of str to Run
        The attacks.
    data : tuple of LabelledImages
        Private and public images, and those for the judges: two thirds to learn from,
        the others to be recognised. What is private or public too is left out.
    models : Path
        Folder of the victim.
    home : Path
        Folder of the runs, where the result is kept.
    seed : int
        Of the judges.
    restart : bool
        Whether what is kept is thrown away.

    Returns
    -------
    list of dict
        One per attack, control included, and judge; empty where no image is left to
        train judges on.
    """
    path = home / "judges.json"
    wanted = [*runs, *(f"control: {name}" for name in CONTROLS)]
    if path.exists() and not restart:
        stored: list[dict[str, Any]] = read_json(path)
        if not stored or {row["attacker"] for row in stored} == {*wanted}:
            return stored
    train, aux, panel = data
    victim = Victim.load(models / "victim.safetensors")
    answers = owner_answers(victim, aux)
    images: dict[str, Any] = {name: _images_of(run) for name, run in runs.items()}
    for name, control in CONTROLS.items():
        n = settings["n_reconstructions"]
        images[f"control: {name}"] = control(aux.images, answers, n, random_state=seed)
    rows = _rows(images, train, _strangers(panel, train, aux), victim, seed)
    write_json(path, rows)
    return rows


def _images_of(run: Run) -> dict[int, Images]:
    kept = enumerate(run.images("reconstructions"))
    return {label: images for label, images in kept if images is not None}


def _strangers(
    panel: LabelledImages, train: LabelledImages, aux: LabelledImages
) -> LabelledImages:
    """Images that are neither private nor public: judges would know them by heart."""
    known = np.concatenate([fingerprints(train.images), fingerprints(aux.images)])
    rows = np.flatnonzero(~np.isin(fingerprints(panel.images), known))
    mixed = np.random.default_rng(0).permutation(rows)
    return panel.subset(np.sort(mixed[:MOST_ROWS]))


def _rows(
    images: Mapping[str, Any],
    train: LabelledImages,
    panel: LabelledImages,
    victim: Victim,
    seed: int,
) -> list[dict[str, Any]]:
    if len(panel) < _LEAST:
        return []
    learnt = np.random.default_rng(seed).random(len(panel)) < 2 / 3
    judges = train_panel(panel.subset(learnt), random_state=seed + 1)
    noise = adversarial_images(victim, _NOISE, train.image_shape, random_state=seed)
    rows = []
    for attacker, made in images.items():
        if not made:
            continue
        report = judge_attack(
            made,
            train,
            judges,
            members=panel.subset(~learnt),
            non_members={"noise": noise},
            victim=victim,
        )
        names = [*KEPT, "false: noise"]
        ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
        for i, judge in enumerate(judges):
            numbers = {end: float(report[end][i]) for end in ends}
            known = {k: v if np.isfinite(v) else None for k, v in numbers.items()}
            rows.append({"attacker": attacker, "judge": judge, **known})
    return rows


def ranking_rows(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Mean accuracy under each judge, over sets and seeds, and the place it means."""
    means = _means(rows, "accuracy")
    judges = list(dict.fromkeys(row["judge"] for row in rows))
    attackers = list(dict.fromkeys(row["attacker"] for row in rows))
    cells = []
    for attacker in attackers:
        line = [attacker]
        for judge in judges:
            better = sum(
                means[other, judge] > means[attacker, judge] for other in attackers
            )
            line.append(f"{means[attacker, judge]:.2f} ({better + 1})")
        cells.append(line)
    return ("attacker", *judges), cells


def rate_rows(
    rows: Sequence[Mapping[str, Any]],
) -> tuple[tuple[str, ...], list[list[str]]]:
    """What each judge recognises of unseen images, and lets pass of noise."""
    cells = []
    for judge in dict.fromkeys(row["judge"] for row in rows):
        own = [row for row in rows if row["judge"] == judge]
        line = [judge]
        for name in ("recognised", "false: noise"):
            middle, low, high = (
                _mean([row[f"{name}{end}"] for row in own])
                for end in ("", "_low", "_high")
            )
            line.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
        cells.append(line)
    return ("judge", "recognised", "false: noise"), cells


def _means(
    rows: Sequence[Mapping[str, Any]], name: str
) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row["attacker"], row["judge"]), []).append(row[name])
    return {key: _mean(values) for key, values in found.items()}


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else np.nan
