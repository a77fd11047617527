"""What ``kldiv audit`` must show, as figures.

    python benchmarks/audit.py newcomer          # embedded data: processor seconds
    python benchmarks/audit.py time              # 60,000 x 784 against 20,000 rows
    python benchmarks/audit.py defences --emnist FOLDER
    python benchmarks/audit.py nothing           # a wrapper that changes nothing
    python benchmarks/audit.py held-out --emnist FOLDER

``--seeds N`` repeats (default 20), ``--small`` tries a command with a tenth of the
work, and without ``--emnist`` the embedded digits stand in for EMNIST.

newcomer  audit of a support vector machine on digits, imports included; three minutes
          of one core are allowed
time      seconds outside the victim's answers on random images; 20 are allowed on two
          cores
defences  one report on a network without a defence, with labels only, rounded and
          flattened probabilities: change of the divergence, labels changed, accuracy;
          and a model whose training rows are in the auxiliary data
nothing   seeds in which a wrapper that keeps every label, and a victim that was trained
          again on the same rows, differ by zero within the interval; 19 of 20 expected
          of the first
held-out  how often the interval of the difference of coverages lies above zero for a
          victim that has learned 200 rows a class by heart (200 epochs), for one that
          learned a fifth of wrong labels with them, and for one of 5 epochs; as many
          auxiliary rows, of the same law; beside them the area under the curve of the
          loss threshold
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kldiv_attack import AuditReport, LabelledImages, audit, load_dataset, train_victim


def data(options: argparse.Namespace, part: str) -> LabelledImages:
    """EMNIST digits where there is a folder, else the embedded ones."""
    if options.emnist is None:
        return load_dataset("digits", part=part)
    return load_dataset("emnist", root=options.emnist, split="mnist", part=part)


def run(*arguments: object, **options: object) -> tuple[AuditReport, float]:
    """A report, and the seconds it took."""
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        report = audit(*arguments, folder, **options)  # type: ignore[arg-type]
        return report, time.perf_counter() - started


def newcomer(options: argparse.Namespace) -> None:
    from sklearn.svm import SVC

    train = load_dataset("digits", part="train")
    model = SVC().fit(train.images.reshape(len(train), -1), train.labels)
    aux = load_dataset("glyphs", split="digits")
    report, _ = run({"digits": model}, train, aux, random_state=options.seed)
    print(report.sentence)
    print(f"{time.process_time():.1f} s of the processor")


def duration(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    part = 10 if options.small else 1
    n, m = 60_000 // part, 20_000 // part
    centres = rng.random((10, 784), dtype=np.float32)
    images, labels = [], []
    for rows in (n, m):
        label = rng.integers(0, 10, rows)
        noise = 0.3 * rng.random((rows, 784), dtype=np.float32)
        images.append(0.7 * centres[label] + noise)
        labels.append(label)
    spent = [0.0]

    def victim(rows: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        flat = rows.reshape(len(rows), -1)
        answers = (flat @ centres.T - (centres**2).sum(1) * 0.35).argmax(1)
        spent[0] += time.perf_counter() - started
        return answers

    square = [part.reshape(-1, 28, 28) for part in images]
    _, seconds = run(victim, (square[0], labels[0]), square[1], n_jobs=-1)
    print(f"{n:,} x 784 against {m:,}: {seconds - spent[0]:.1f} s outside the victim")


def defences(options: argparse.Namespace) -> None:
    train, aux = data(options, "train"), data(options, "test")
    epochs = 2 if options.small else 6
    victim = train_victim(train, epochs=epochs, random_state=options.seed)
    names = ["label_only", "rounding:1", "temperature:5", "noise:0.2"]
    report, _ = run(
        {"network": victim}, train, aux, defences=names, random_state=options.seed
    )
    print(report.sentence)
    print(
        f"{'defence':<16}{'change':>8}{'from':>8}{'to':>8}{'labels':>9}{'accuracy':>10}"
    )
    for d in report.differences:
        change = f"{d.difference[-1]:8.3f}{d.low[-1]:8.3f}{d.high[-1]:8.3f}"
        print(f"{d.defence:<16}{change}{d.changed:9.3f}{d.accuracy:10.3f}")
    shared = np.concatenate([aux.images, train.images[::10]])
    leaky, _ = run({"network": victim}, train, shared, random_state=options.seed)
    print("with a tenth of the training rows among the auxiliary ones:")
    print(leaky.sentence)


def nothing(options: argparse.Namespace) -> None:
    train, aux = data(options, "train"), data(options, "test")
    epochs, same, again = 2 if options.small else 6, 0, 0
    for seed in range(options.seeds):
        first = train_victim(train, epochs=epochs, random_state=seed)
        second = train_victim(train, epochs=epochs, random_state=seed + 1000)
        report, _ = run(
            {"first": first, "again": second},
            train,
            aux,
            defences=["temperature:2"],
            random_state=seed,
        )
        inside = {d.name: d.low[-1] <= 0 <= d.high[-1] for d in report.differences}
        same += inside["first + temperature:2"]
        again += inside["again"]
    print(f"a wrapper that keeps every label: zero inside in {same} of {options.seeds}")
    print(
        f"trained again on the same rows:   zero inside in {again} of {options.seeds}"
    )


def held_out(options: argparse.Namespace) -> None:
    whole, public = data(options, "train"), data(options, "test")
    each = 30 if options.emnist is None else 200
    long = 20 if options.small else 200
    settings = {
        "by heart": (long, 0.0),
        "by heart, a fifth of the labels wrong": (long, 0.2),
        "not by heart": (5, 0.0),
    }
    print("victim; accuracy trained on, held out; difference; above 0; 0 inside; area")
    for name, (epochs, wrong) in settings.items():
        if options.only not in (None, name):
            continue
        rows = np.array(
            [
                _control(whole, public, each, epochs, wrong, seed)
                for seed in range(options.seeds)
            ]
        )
        inside, outside, value, low, high, area = rows.T
        spread = value.std(ddof=1) / np.sqrt(len(value))
        holds = ((low <= 0) & (high >= 0)).sum()
        print(
            f"{name}; {inside.mean():.3f}, {outside.mean():.3f}; {value.mean():+.4f} "
            f"(standard error {spread:.4f}); {(low > 0).sum()}; {holds} of "
            f"{len(value)}; {area.mean():.3f}",
            flush=True,
        )


def _control(
    whole: LabelledImages,
    public: LabelledImages,
    each: int,
    epochs: int,
    wrong: float,
    seed: int,
) -> list[float]:
    """Both accuracies, difference with its interval, and area of the loss threshold."""
    rng = np.random.default_rng(seed)

    def noisy(data: LabelledImages, places: np.ndarray) -> LabelledImages:
        part = data.subset(places)
        labels = part.labels.copy()
        chosen = rng.random(len(labels)) < wrong
        labels[chosen] = rng.integers(0, part.n_classes, chosen.sum())
        return replace(part, labels=labels)

    places = [
        rng.permutation(np.flatnonzero(whole.labels == c))
        for c in range(whole.n_classes)
    ]
    train = noisy(whole, np.concatenate([p[:each] for p in places]))
    other = noisy(whole, np.concatenate([p[each : 2 * each] for p in places]))
    aux = public.subset(np.sort(rng.permutation(len(public))[: len(train)]))
    victim = train_victim(
        train, epochs=epochs, width=4, batch_size=64, random_state=seed
    )
    report, _ = run(victim, train, aux, held_out=other, random_state=seed)
    table, facts = report.held_out[0], report.victims[0].accuracy
    area = report.membership[0].auc
    ends = [table.difference[-1], table.low[-1], table.high[-1]]
    return [facts["train"][0], facts["held-out"][0], *ends, area]


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "newcomer": newcomer,
    "time": duration,
    "defences": defences,
    "nothing": nothing,
    "held-out": held_out,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--emnist", type=Path, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", help="one of the victims of held-out")
    options = parser.parse_args()
    COMMANDS[options.command](options)


if __name__ == "__main__":
    main()
