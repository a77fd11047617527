"""Is clipped coverage the share of good images? Mixtures of digits and letters.

    python benchmarks/clipped_coverage.py --data FOLDER --models FOLDER [--seed 0]

Unseen images of a digit (EMNIST's test part) are mixed with letters, of which 0, 25,
50, 75 or 100 % are left out in favour of digits, 400 images per class. Prints clipped
coverage of the private digits, in the features of the judge: mean over the digits, the
lowest and the highest, and the largest distance of a mean from the share.
"""

import argparse

import numpy as np
import torch
from attacks import models_of

from kldiv_attack import evaluate_attack, load_dataset

N = 400
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def main() -> None:
    """Measure five mixtures and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train = load_dataset("emnist", options.data, "mnist", part="train")
    good = load_dataset("emnist", options.data, "mnist", part="test")
    wrong = load_dataset("emnist", options.data, "letters", part="test")
    _, _, judge = models_of(train, options.models, options.seed)
    rng = np.random.default_rng(options.seed)
    apart = []
    print("good images   clipped coverage (lowest to highest class)")
    for share in SHARES:
        n_good = round(share * N)
        mixed = {}
        for label in range(train.n_classes):
            rows = rng.permutation(np.flatnonzero(good.labels == label))[:n_good]
            others = rng.permutation(len(wrong))[: N - n_good]
            mixed[label] = np.concatenate([good.images[rows], wrong.images[others]])
        report = evaluate_attack(mixed, train, judge, random_state=options.seed)
        found = report["clipped_coverage"]
        apart.append(abs(found.mean() - share))
        print(
            f"{share:11.2f}   {found.mean():.3f} ({found.min():.3f} to "
            f"{found.max():.3f})",
            flush=True,
        )
    print(f"largest distance of a mean from the share: {max(apart):.3f}")


if __name__ == "__main__":
    main()
