"""What should ``ConditionalKLScorer(transformer="auto")`` do with hundreds of pixels?

    python benchmarks/transformer.py                     # embedded digits
    python benchmarks/transformer.py --emnist FOLDER     # EMNIST, half an hour
    python benchmarks/transformer.py --emnist FOLDER --repeats 4 --only pca:15 aux:15

``pca:15`` keeps 15 components fitted on the private rows, ``pooled:15`` fits them on
both samples, ``aux:15`` on the public rows; ``whitened:15`` brings them to unit
variance and turns the estimator's own scaling off; ``variance:0.8`` keeps that share of
the variance and ``rows:20`` one component for 20 rows of the smallest class.

Gaussian mixtures are fitted to every class of private images, and to the public images
that a victim puts in it, in their first components. Rows drawn from the mixtures look
like images to an estimator, and their divergence is known, before and after a linear
transformer. Printed for each transformer, over all classes and public sets:

kept     median share of the divergence that is left after the transformer
error    median relative error of the estimate of what is left
rank     Spearman correlation of estimates with the full divergence, classes of one
         public set, mean over sets and repetitions
all      the same over the classes of all sets together
again    Spearman correlation between repetitions, classes of one set
pairs    share of pairs of classes (truths apart by a tenth or more) in right order
success  with EMNIST: Spearman correlation, over the ten classes, of the estimates from
         the letters themselves with the coverage that an attack with letters reached
seconds  of the processor for one class
"""

import argparse
import itertools
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from kldiv import KNNDivergence
from kldiv.datasets import Mixture, fit_mixture

# Coverage per digit 0..9 of a conditional GAN that attacked with letters (9000 steps,
# hinge loss, soft answers, surrogate consistency), under an independent judge.
COVERAGE = (0.51, 0.76, 0.29, 0.13, 0.26, 0.49, 0.32, 0.14, 0.20, 0.56)

CANDIDATES = [
    *(f"pca:{d}" for d in (5, 8, 10, 12, 15, 20, 30, 50)),
    "pooled:15",
    "aux:15",
    "whitened:15",
    *(f"variance:{share}" for share in (0.8, 0.9)),
    "rows:20",
    "none",
]


@dataclass(frozen=True)
class Laws:
    """Mixtures of one private class and of one public set's rows of that class."""

    public: str
    label: int
    private: Mixture
    other: Mixture
    n_aux: int
    truth: float


def images(options: argparse.Namespace) -> tuple[tuple, dict[str, tuple]]:
    """Private rows with labels; public rows with the victim's answers, by name."""
    if options.emnist is None:
        X, y = load_digits(return_X_y=True)
        train, rest = (X[::2], y[::2]), X[1::2]
        victim = LogisticRegression(max_iter=3000).fit(*train)
        turned = {
            "upside down": rest[:, ::-1].copy(),
            "shifted": np.roll(rest.reshape(-1, 8, 8), 1, axis=2).reshape(-1, 64),
            "upright": rest,
        }
        return train, {name: (Z, victim.predict(Z)) for name, Z in turned.items()}
    from kldiv_attack import load_dataset, train_victim  # needs torch

    root = str(options.emnist)
    full = load_dataset("emnist", root=root, split="mnist", part="train")
    rows = np.random.default_rng(0).permutation(len(full))[:12_000]
    known = replace(full, images=full.images[rows], labels=full.labels[rows])
    victim = train_victim(known, epochs=4, random_state=0, verbose=0)
    aux = {}
    for name in ("mnist", "letters", "balanced"):
        found = load_dataset("emnist", root=root, split=name, part="test").images
        aux[name] = (found.reshape(len(found), -1), victim.query(found).argmax(axis=1))
    return (full.images.reshape(len(full), -1), full.labels), aux


def fit_laws(train: tuple, aux: dict[str, tuple], n_features: int) -> list[Laws]:
    X, y = train
    pca = PCA(n_features, random_state=0).fit(X)
    private = {c: fit(pca.transform(X[y == c])) for c in set(y)}
    found = []
    for name, (Z, answers) in aux.items():
        for label in sorted(private):
            rows = pca.transform(Z[answers == label])
            if len(rows) < 20:
                continue
            other = fit(rows)
            truth = divergence_of(private[label], other)
            found.append(Laws(name, label, private[label], other, len(rows), truth))
    return found


def fit(rows: np.ndarray) -> Mixture:
    """So many components that each has four rows for every column."""
    components = min(12, max(1, len(rows) // (4 * rows.shape[1])))
    return fit_mixture(rows, components, 0.03, 0)


def divergence_of(p: Mixture, q: Mixture, draws: int = 10_000) -> float:
    rows = p.draw(draws, np.random.default_rng(0))
    return float((p.log_density(rows) - q.log_density(rows)).mean())


def through(law: Mixture, map_: np.ndarray) -> Mixture:
    """The mixture after a linear map of its rows."""
    covariances = law.roots @ law.roots.transpose(0, 2, 1)
    return Mixture(law.weights, law.means @ map_, map_.T @ covariances @ map_)


def map_of(candidate: str, train: np.ndarray, aux: np.ndarray, fewest: int):
    """Matrix that the transformer multiplies rows with."""
    name, _, value = candidate.partition(":")
    if name == "none":
        return np.eye(train.shape[1])
    fitted = {"pooled": np.concatenate([train, aux]), "aux": aux}.get(name, train)
    most = min(train.shape[1], 100)
    if name == "rows":  # so many rows of the smallest class for one component
        wanted = int(np.clip(fewest // int(value), 2, most))
    else:
        wanted = float(value) if name == "variance" else min(int(value), most)
    pca = PCA(wanted, random_state=0).fit(fitted)
    map_ = pca.components_.T
    return map_ / np.sqrt(pca.explained_variance_) if name == "whitened" else map_


def score(candidate: str, X: np.ndarray, Y: np.ndarray) -> float:
    scale = None if candidate.startswith("whitened") else "auto"
    return KNNDivergence(scale=scale, duplicates="drop").fit(Y).score(X)


def simulate(laws: list[Laws], seed: int, n: int, m: int) -> dict:
    """Rows of every private class, and of every class of every public set."""
    rng = np.random.default_rng(seed)
    private = {law.label: law.private.draw(n, rng) for law in laws if law}
    largest = max(law.n_aux for law in laws)
    sizes = [max(60, int(m * law.n_aux / largest)) for law in laws]
    public = [law.other.draw(size, rng) for law, size in zip(laws, sizes, strict=True)]
    return {"private": private, "public": public}


def rank(a, b) -> float:
    return float(spearmanr(a, b).statistic)


def study(candidate: str, laws: list[Laws], samples: list[dict]) -> dict[str, float]:
    truth = np.array([law.truth for law in laws])
    sets = np.array([law.public for law in laws])
    found, errors, kept, seconds = [], [], [], []
    for sample in samples:
        train = np.concatenate(list(sample["private"].values()))
        estimates = np.empty(len(laws))
        for name in np.unique(sets):
            rows = np.flatnonzero(sets == name)
            aux = [sample["public"][i] for i in rows]
            fewest = min(map(len, aux))
            map_ = map_of(candidate, train, np.concatenate(aux), fewest)
            for i in rows:
                law, started = laws[i], time.process_time()
                X, Y = sample["private"][law.label], sample["public"][i]
                estimates[i] = score(candidate, X @ map_, Y @ map_)
                seconds.append(time.process_time() - started)
                left = divergence_of(
                    through(law.private, map_), through(law.other, map_)
                )
                errors.append(abs(estimates[i] - left) / left)
                kept.append(left / law.truth)
        found.append(estimates)
    inside = [sets == name for name in np.unique(sets)]
    again = [
        rank(a[rows], b[rows])
        for a, b in itertools.combinations(found, 2)
        for rows in inside
    ]
    return {
        "kept": float(np.median(kept)),
        "error": float(np.median(errors)),
        "rank": float(np.mean([rank(f[r], truth[r]) for f in found for r in inside])),
        "all": float(np.mean([rank(f, truth) for f in found])),
        "again": float(np.mean(again)) if again else np.nan,
        "pairs": float(np.mean([ordered(f, truth, inside) for f in found])),
        "seconds": float(np.mean(seconds)),
    }


def ordered(estimates, truth, inside) -> float:
    right = [
        (estimates[i] < estimates[j]) == (truth[i] < truth[j])
        for rows in inside
        for i, j in itertools.combinations(np.flatnonzero(rows), 2)
        if abs(truth[i] - truth[j]) > 0.1 * max(truth[i], truth[j])
    ]
    return float(np.mean(right))


def success(candidate: str, train: tuple, public: tuple, most: int = 1000) -> float:
    """Rank correlation of the scores of real images with the success of an attack."""
    (X, y), (Z, answers) = train, public
    fewest = int(np.bincount(answers, minlength=10).min())
    map_ = map_of(candidate, X, Z, fewest)
    rng = np.random.default_rng(0)
    scores = []
    for c in range(10):
        pair = [rng.permutation(rows)[:most] for rows in (X[y == c], Z[answers == c])]
        scores.append(score(candidate, *(rows @ map_ for rows in pair)))
    return rank(scores, COVERAGE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--emnist", type=Path, help="folder that holds EMNIST/raw")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--features", type=int, help="of the mixtures; 20 or 60")
    parser.add_argument("--sizes", type=int, nargs=2, default=(1000, 800))
    parser.add_argument("--only", nargs="*", default=CANDIDATES)
    options = parser.parse_args()
    train, aux = images(options)
    laws = fit_laws(train, aux, options.features or (60 if options.emnist else 20))
    samples = [simulate(laws, s, *options.sizes) for s in range(options.repeats)]
    print("public set, truths of its classes in nats, public rows of each class")
    for name in aux:
        of = [law for law in laws if law.public == name]
        print(f"{name:12s}", " ".join(f"{law.truth:6.1f}" for law in of))
        print(f"{'':12s}", " ".join(f"{law.n_aux:6d}" for law in of))
    names = ("kept", "error", "rank", "all", "again", "pairs", "success", "seconds")
    print(f"\n{'transformer':14s}", " ".join(f"{name:>8s}" for name in names))
    for candidate in options.only:
        row = study(candidate, laws, samples)
        row["success"] = (
            success(candidate, train, aux["letters"]) if options.emnist else np.nan
        )
        print(f"{candidate:14s}", " ".join(f"{row[n]:8.2f}" for n in names), flush=True)


if __name__ == "__main__":
    main()
