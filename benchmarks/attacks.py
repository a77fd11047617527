"""Attacks on EMNIST: judge accuracy per class, controls, queries.

    python benchmarks/attacks.py --data FOLDER --models FOLDER [--seed 0]
        [--attacker preimage_gan] [--attacker gmi] [--set NAME=VALUE] [--n 400]
        [--side]
    python benchmarks/attacks.py --data FOLDER --study FOLDER [--attacker cgan]
    python benchmarks/attacks.py --results FOLDER

FOLDER of the data holds EMNIST/raw; victim and judge are trained once and kept in the
folder of models, and are the same as those of ``python -m kldiv_attack paper`` with the
same seed. Each attack is judged by a classifier that is not the victim. ``--side`` asks
the attacker "gmi" for private images of which a part is known. With ``--results``, what
an attack reached is kept in a file of that folder as well; without ``--models``, the
files of the folder are printed, mean and range over their seeds. ``--study`` goes
through a finished ``python -m kldiv_attack study`` with several seeds and judges its
attackers, as they are, on more images: mean and range over the seeds, and the rank
correlation of divergence and coverage with a bootstrap interval over the pairs.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from kldiv_attack import evaluate_attack, evaluate_pairs, load_dataset, make_attacker
from kldiv_attack._controls import CONTROLS
from kldiv_attack._files import read_json, write_json
from kldiv_attack._models import owner_answers, prepare_models
from kldiv_attack._ranks import spearman_interval
from kldiv_attack._settings import complete_settings
from kldiv_attack._studies.result import load_study
from kldiv_attack.attackers import Blur, Mask
from kldiv_attack.experiment import RunImages, evaluate_run, run_attack

#: Kusano and Sakuma (2018), Table 2, private digits and public letters.
PUBLISHED = (0.97, 1.00, 0.59, 0.39, 0.86, 0.98, 0.97, 0.61, 0.72, 0.48)
N_SIDE = 100
MEASURES = ("accuracy", "coverage", "clipped_coverage")


def main() -> None:
    """Attack and print one table per attacker."""
    options = arguments()
    torch.set_num_threads(1)
    if options.results and not options.models:
        print_results(Path(options.results))
        return
    if options.study:
        for name in options.attacker or ["cgan"]:
            judge_study(Path(options.study), options.data, name, options.n)
        return
    options.attacker = options.attacker or ["preimage_gan", "gmi"]
    train = load_dataset("emnist", options.data, "mnist", part="train")
    aux = load_dataset("emnist", options.data, options.aux, part="test")
    seeds, victim, judge = models_of(train, options.models, options.seed)
    answers = owner_answers(victim, aux)
    for name in options.attacker:
        attack(name, options, seeds, victim, judge, train, aux, answers)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data")
    parser.add_argument("--models")
    parser.add_argument("--results", help="keeps or holds what attacks reached")
    parser.add_argument("--study", help="a finished study, with other seeds")
    parser.add_argument("--aux", default="letters", choices=("letters", "balanced"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attacker", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--n", type=int, default=400, help="images per class")
    parser.add_argument("--side", action="store_true")
    options = parser.parse_args()
    if not (options.study or options.models or options.results):
        parser.error("--models, --study or --results: expected a folder.")
    if not options.data and (options.study or options.models):
        parser.error("--data: expected the folder that holds EMNIST/raw.")
    pairs = (item.partition("=") for item in options.set)
    options.parameters = {name: json.loads(text) for name, _, text in pairs}
    return options


def digest(data):
    """What identifies the private images in a folder of models."""
    from kldiv_attack._settings import describe_images

    return describe_images(data, data)["sha256"]


def models_of(train, folder, seed):
    """Seeds by their use, the victim and the judge, trained once for a folder."""
    settings = complete_settings({"seed": seed})
    settings["train"] = {"sha256": digest(train)}
    return settings["seeds"], *prepare_models(settings, train, Path(folder), verbose=0)


def attack(name, options, seeds, victim, judge, train, aux, answers):
    """One attack: fit, invert, judge, print."""
    started = time.process_time()
    attacker = make_attacker(
        name, **options.parameters, random_state=seeds["attacker"], device="cpu"
    )
    attacker.fit(victim, aux.images)
    fitted = time.process_time() - started
    labels, seed = range(train.n_classes), seeds["evaluate"]
    sets = {name: attacker.invert(labels, options.n, random_state=seed)}
    inverted = time.process_time() - started - fitted
    prior = attacker.prior(labels, options.n, random_state=seed)
    if prior is not None:
        sets["prior"] = prior
    for control, rows in CONTROLS.items():
        sets[control] = rows(aux.images, answers, options.n, random_state=seed)
    gradients = getattr(attacker, "n_gradients_", 0)  # what only white boxes count
    print(
        f"{name} with emnist/{options.aux}/test, seed {options.seed}: "
        f"{attacker.n_queries_} queries, {gradients} gradients; "
        f"fit {fitted:.0f} CPU-s, invert {inverted:.0f} CPU-s"
    )
    print(line("accuracy", train.class_names, "mean", "coverage"))
    reached = {}
    for title, images in sets.items():
        report = evaluate_attack(images, train, judge, victim=victim, random_state=seed)
        accuracy, coverage = report["accuracy"], report["coverage"].mean()
        print(line(title, *cells([*accuracy, accuracy.mean(), coverage])), flush=True)
        means = (report[name].mean() for name in MEASURES)
        reached[title] = dict(zip(MEASURES, means, strict=True))
    if options.results:
        cost = {"queries": attacker.n_queries_, "seconds": fitted + inverted}
        keep(name, options, {"reached": reached, "cost": cost})
    if name == "preimage_gan" and options.aux == "letters":
        print(line("published", *cells([*PUBLISHED, np.mean(PUBLISHED)])))
    if name == "gmi" and options.side:
        side(attacker, seed, victim, judge, train)


def keep(name, options, found):
    """Write what an attack reached, and with what, into a file of its own."""
    changes = [f"{key}={value}" for key, value in sorted(options.parameters.items())]
    what = {
        "attacker": " ".join([name, *changes]),
        "auxiliary": options.aux,
        "n": options.n,
        "seed": options.seed,
    }
    folder = Path(options.results)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ("_".join(str(value) for value in what.values()) + ".json")
    write_json(file, what | found)


def print_results(folder):
    """Mean and range over the seeds, of every attack whose results a folder holds."""
    groups = {}
    for file in sorted(folder.glob("*.json")):
        found = read_json(file)
        attack = (found["auxiliary"], found["attacker"], found["n"])
        groups.setdefault(attack, []).append(found)
    for (aux, name, n), runs in groups.items():
        seeds = ", ".join(str(run["seed"]) for run in runs)
        queries = int(np.mean([run["cost"]["queries"] for run in runs]))
        seconds = np.mean([run["cost"]["seconds"] for run in runs])
        print(
            f"{aux}, {name}: {n} images per class, seeds {seeds}, {queries} queries, "
            f"{seconds:.0f} CPU-s"
        )
        for title in runs[0]["reached"]:
            columns = (
                np.array([run["reached"][title][measure] for run in runs])
                for measure in MEASURES
            )
            print(f"  {title:14s}", *(over_seeds(values) for values in columns))


def judge_study(folder, data, name, n):
    """Accuracy and coverage of an attacker of a study, over its seeds."""
    study = load_study(folder)
    train = load_dataset("emnist", data, "mnist", part="train")
    found, ranks = {}, []
    for seed in study.config["seeds"]:
        kl, coverage = [], []
        models = folder / f"seed_{seed}" / "models"
        for name_of_set in study.config["auxiliary"]:
            aux = load_dataset("emnist", data, name_of_set, part="test")
            run = folder / f"seed_{seed}" / name_of_set / name
            settings = read_json(run / "config.json")["config"]
            settings["evaluate"]["n_reconstructions"] = n
            victim, judge = prepare_models(settings, train, models, verbose=0)
            owned = RunImages(train, aux, None)
            # the checkpoint is the finished one: nothing is trained
            images, attacker = run_attack(settings, victim, owned, run, verbose=0)
            answers = owner_answers(victim, aux)
            success, controls = evaluate_run(
                settings, images, attacker, owned, answers, judge, victim, verbose=0
            )
            for title, report in {name: success, **controls}.items():
                means = report["accuracy"].mean(), report["coverage"].mean()
                found.setdefault((name_of_set, title), []).append(means)
            coverage += list(success["coverage"])
            kl += [
                row["KL"]
                for row in study.rows
                if (row["seed"], row["auxiliary"], row["attacker"])
                == (seed, name_of_set, name)
            ]
        ranks.append(spearman_interval(np.array(kl), np.array(coverage)))
    print(
        f"{n} images per class, seeds {study.config['seeds']}: mean (lowest to highest)"
    )
    for (aux, title), means in found.items():
        columns = np.transpose(means)
        print(f"{aux:10s} {title:12s}", *(over_seeds(values) for values in columns))
    for seed, (rho, low, high) in zip(study.config["seeds"], ranks, strict=True):
        print(
            f"seed {seed}: Spearman(KL, coverage) over {len(kl)} pairs {rho:+.2f}, "
            f"95 % of the bootstrap samples of pairs {low:+.2f} to {high:+.2f}"
        )


def over_seeds(values):
    """Mean and range."""
    return f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})".rjust(28)


def side(attacker, seed, victim, judge, train):
    """Reconstruct private images of which something is known, with and without f."""
    rows = np.random.default_rng(seed).permutation(len(train))[:N_SIDE]
    truth = train.subset(np.sort(rows))
    size = truth.image_shape[1]
    edge = size // 4
    half = Mask.box((size, size), hidden=(0, 0, size // 2, size))
    print(line("known", ["accuracy", "psnr", "ssim"]))
    for title, degrade in (
        ("lower half", half),
        (f"means of {edge} x {edge}", Blur(edge)),
    ):
        known = degrade(truth.images)
        plain = np.repeat(np.repeat(known, edge, 2), edge, 3)
        found = {"nothing else": known if known.shape == truth.images.shape else plain}
        identity = attacker.identity
        for how, weight in (("no victim", 0.0), ("GMI", identity)):
            attacker.identity = weight
            found[how] = attacker.invert_from(
                known, truth.labels, degrade, random_state=seed
            )
        attacker.identity = identity
        for how, images in found.items():
            report = evaluate_pairs(images, truth, judge, victim=victim)
            weights = report["rows"] / report["rows"].sum()
            names = ("accuracy", "psnr", "ssim")
            means = [float((report[column] * weights).sum()) for column in names]
            print(line(f"{title}, {how}", *cells(means)), flush=True)


def cells(values):
    """Numbers with two digits."""
    return [f"{value:.2f}" for value in values]


def line(title, *rest):
    """One row of a table in plain text."""
    flat = []
    for item in rest:
        flat += [item] if isinstance(item, str) else list(item)
    return f"{title:28s}" + "".join(f"{text:>9s}" for text in flat)


if __name__ == "__main__":
    main()
