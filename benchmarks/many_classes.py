"""Does the score order many classes of one auxiliary set as an attack does?

    python benchmarks/many_classes.py --data FOLDER --out FOLDER
        [--private letters] [--aux balanced] [--rows 800] [--attacker retrieval]
        [--seed 0]

Ten digits leave the order within one auxiliary set open; EMNIST's letters are 26
classes and its balanced part 47. Up to so many rows of each class of the one test part
are private, the other test part is public, without what is private as well. Prints the
tables of ``kldiv-attack study``; the same call goes on after an interruption.
"""

import argparse

import numpy as np
import torch

from kldiv_attack import load_dataset, run_study
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
    config = {
        "train": train,
        "held_out": None,
        "auxiliary": {options.aux: aux.subset(~known)},
        "attackers": {name: {} for name in options.attacker or ["retrieval"]},
        "seeds": [options.seed],
    }
    study = run_study(config, options.out, verbose=0)
    print((study.folder / "study.txt").read_text(encoding="utf-8"), end="")


def first_of_each(data, rows):
    """Mask of the first rows of each class, in the order of the file."""
    kept = np.zeros(len(data), dtype=bool)
    for label in range(data.n_classes):
        kept[np.flatnonzero(data.labels == label)[:rows]] = True
    return kept


if __name__ == "__main__":
    main()
