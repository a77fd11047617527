"""Does the score order many classes of one auxiliary set as an attack does?

    python benchmarks/many_classes.py --data FOLDER --out FOLDER
        [--private letters] [--aux balanced] [--rows 800] [--attacker retrieval]
        [--seed 0] [--outcomes]

Ten digits leave the order within one auxiliary set open; EMNIST's letters are 26
classes and its balanced part 47. Up to so many rows of each class of the one test part
are private, the other test part is public, without what is private as well. Prints the
tables of ``kldiv-attack study``; the same call goes on after an interruption. With
``--outcomes`` nothing is correlated: attack and controls, mean over the classes that
all of them reconstruct, with the models of the same folder.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from attacks import MEASURES, line, models_of

from kldiv_attack import (
    CONTROLS,
    evaluate_attack,
    load_dataset,
    make_attacker,
    run_study,
)
from kldiv_attack._models import owner_answers
from kldiv_attack.judge import fingerprints


def main() -> None:
    """Run the study and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="folder that holds EMNIST/raw")
    parser.add_argument("--out", required=True, help="folder of the study")
    parser.add_argument("--private", default="letters", help="letters or balanced")
    parser.add_argument("--aux", default="balanced", help="another set, its test part")
    parser.add_argument("--rows", type=int, default=800, help="private rows per class")
    parser.add_argument("--attacker", action="append", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--outcomes", action="store_true", help="no correlations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    train = load_dataset("emnist", options.data, options.private, part="test")
    train = train.subset(first_of_each(train, options.rows))
    aux = load_dataset("emnist", options.data, options.aux, part="test")
    known = np.isin(fingerprints(aux.images), fingerprints(train.images))
    print(
        f"{train.n_classes} classes of {options.private}, {len(train)} private images; "
        f"{options.aux}: {len(aux)} public images without {known.sum()} that are "
        "private too"
    )
    if options.outcomes:
        outcomes(options, train, aux.subset(~known))
        return
    config = {
        "train": train,
        "held_out": None,
        "auxiliary": {options.aux: aux.subset(~known)},
        "attackers": {name: {} for name in options.attacker or ["retrieval"]},
        "seeds": [options.seed],
    }
    study = run_study(config, options.out, verbose=0)
    print((study.folder / "study.txt").read_text(encoding="utf-8"), end="")


def outcomes(options, train, aux):
    """Attack, and print what it and the controls reach; 200 images per class."""
    models = Path(options.out) / f"seed_{options.seed}" / "models"
    seeds, victim, judge = models_of(train, models, options.seed)
    answers = owner_answers(victim, aux)
    found = {}
    for name in options.attacker or ["retrieval"]:
        attacker = make_attacker(name, random_state=seeds["attacker"], device="cpu")
        attacker.fit(victim, aux.images)
        labels, seed = range(train.n_classes), seeds["evaluate"]
        found[name] = attacker.invert(labels, 200, random_state=seed)
    for name, rows in CONTROLS.items():
        found[name] = rows(aux.images, answers, 200, random_state=seeds["evaluate"])
    reports = {
        name: evaluate_attack(
            images, train, judge, victim=victim, random_state=seeds["evaluate"]
        )
        for name, images in found.items()
    }
    all_of_them = np.all(
        [np.isfinite(report["accuracy"]) for report in reports.values()], axis=0
    )
    titles = [measure.replace("clipped_coverage", "clipped") for measure in MEASURES]
    print(line(f"{all_of_them.sum()} classes", titles))
    for name, report in reports.items():
        means = [report[measure][all_of_them].mean() for measure in MEASURES]
        print(line(name, [f"{value:.3f}" for value in means]))


def first_of_each(data, rows):
    """Mask of the first rows of each class, in the order of the file."""
    kept = np.zeros(len(data), dtype=bool)
    for label in range(data.n_classes):
        kept[np.flatnonzero(data.labels == label)[:rows]] = True
    return kept


if __name__ == "__main__":
    main()
