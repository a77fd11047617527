"""How much of the private digits 400 public images per class can cover at all.

    python benchmarks/coverage_bound.py --data FOLDER --models FOLDER [--seed 0]

With the balanced part of EMNIST as public images, which holds 400 of each digit among
letters that look like some of them. Prints accuracy of the judge and coverage of: the
images of which the victim is surest; unseen images of the private distribution; the
public digits themselves; and what is chosen by someone who knows which public images
are digits and may use, to choose others, the victim's answers alone or the pixels too
(cross-validated, so that no image is chosen for its own label). No attacker has these
labels: the last lines bound what a choice among the public images can reach.
"""

import argparse

import numpy as np
import torch
from attacks import line, models_of
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kldiv_attack import CONTROLS, evaluate_attack, load_dataset
from kldiv_attack._models import owner_answers
from kldiv_attack.attackers._sureness import certainty

N = 400


def main() -> None:
    """Judge every choice and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train = load_dataset("emnist", options.data, "mnist", part="train")
    unseen = load_dataset("emnist", options.data, "mnist", part="test")
    aux = load_dataset("emnist", options.data, "balanced", part="test")
    seeds, victim, judge = models_of(train, options.models, options.seed)
    answers, seed = owner_answers(victim, aux), seeds["evaluate"]
    print(line(f"seed {options.seed}", ["accuracy", "coverage"]))
    for title, images in choices(aux, unseen, answers, seed):
        report = evaluate_attack(images, train, judge, victim=victim, random_state=seed)
        means = report["accuracy"].mean(), report["coverage"].mean()
        print(line(title, [f"{value:.3f}" for value in means]), flush=True)


def choices(aux, unseen, answers, seed):
    """Title and images per class, 400 of each."""
    rng = np.random.default_rng(seed)
    yield "surest", CONTROLS["confident"](aux.images, answers, N, random_state=seed)
    own = {c: np.flatnonzero(unseen.labels == c) for c in range(10)}
    yield (
        "unseen private",
        {c: unseen.images[rng.permutation(rows)[:N]] for c, rows in own.items()},
    )
    names = np.array(aux.class_names)[aux.labels]
    yield "public digits", {c: aux.images[names == str(c)][:N] for c in range(10)}
    answered = np.log(np.maximum(answers, 1e-30))
    pixels = PCA(30, random_state=0).fit_transform(aux.images.reshape(len(aux), -1))
    for title, model, features in (
        (
            "known, by answers",
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)),
            answered,
        ),
        (
            "known, by answers and pixels",
            HistGradientBoostingClassifier(max_iter=60, random_state=0),
            np.hstack([answered, pixels]),
        ),
    ):
        chosen = {}
        for c in range(10):
            rows = np.flatnonzero(answers.argmax(1) == c)
            sure = certainty(answers[rows], c)[:, None]
            digit = cross_val_predict(
                model,
                np.hstack([features[rows], sure]),
                names[rows] == str(c),
                cv=4,
                method="predict_proba",
            )
            chosen[c] = aux.images[rows[np.argsort(-digit[:, 1])[:N]]]
        yield title, chosen


if __name__ == "__main__":
    main()
