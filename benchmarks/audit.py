"""What ``kldiv audit`` must show, as figures.

    python benchmarks/audit.py newcomer          # embedded data: processor seconds
    python benchmarks/audit.py time [--emnist FOLDER]  # 60,000 x 784 against 20,000
    python benchmarks/audit.py defences --emnist FOLDER
    python benchmarks/audit.py leaky --emnist FOLDER
    python benchmarks/audit.py nothing           # a wrapper that changes nothing
    python benchmarks/audit.py held-out --emnist FOLDER

``--seeds N`` repeats (default 20), ``--small`` tries a command with a tenth of the
work, and without ``--emnist`` the embedded digits stand in for EMNIST.

newcomer  audit of a support vector machine on digits, imports included; three minutes
          of one core are allowed
time      seconds outside the victim's answers on random images, or on digits and
          letters of EMNIST; 20 are allowed on two cores
defences  one report of one command, which is printed, on a network without a defence,
          with labels only, rounded and flattened probabilities: change of the
          divergence, labels changed, change of attack success, cost in accuracy
leaky     verdicts where 0, 1, 10 and 100 training rows of half of the classes are among
          the auxiliary rows
nothing   seeds in which zero lies within the interval of the difference, for wrappers
          that change nothing (19 of 20 are asked for): a function around the victim,
          a temperature, and random answers drawn anew; then for what does change
          answers, where zero should be outside: noise of two strengths, and a victim
          trained again, which is another model; at most 500 training rows a class
held-out  how often the interval of the difference of coverages lies above zero for a
          victim that has learned 200 rows a class by heart (200 epochs), for one that
          learned a fifth of wrong labels with them, and for one of 5 epochs; as many
          auxiliary rows, of the same law; beside them the area under the curve of the
          loss threshold
"""

import argparse
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import numpy as np

from kldiv_attack import (
    AuditReport,
    LabelledImages,
    Victim,
    audit,
    load_dataset,
    train_victim,
)


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
    images, labels, centres = (emnist_rows if options.emnist else random_rows)(options)
    n, m = map(len, images)
    spent, computed = [0.0], [0.0]

    def victim(rows: np.ndarray) -> np.ndarray:
        started, began = time.perf_counter(), time.process_time()
        flat = rows.reshape(len(rows), -1)
        answers = (flat @ centres.T - (centres**2).sum(1) / 2).argmax(1)
        spent[0] += time.perf_counter() - started
        computed[0] += time.process_time() - began
        return answers

    square = [part.reshape(-1, 28, 28) for part in images]
    began = time.process_time()
    _, seconds = run(victim, (square[0], labels), square[1], n_jobs=-1)
    print(
        f"{n:,} x 784 against {m:,}: {seconds - spent[0]:.1f} s outside the victim, "
        f"{time.process_time() - began - computed[0]:.1f} s of the processors"
    )


Rows = tuple[list[np.ndarray], np.ndarray, np.ndarray]


def random_rows(options: argparse.Namespace) -> Rows:
    """Both samples, training labels and the centres of ten classes."""
    rng = np.random.default_rng(options.seed)
    part = 10 if options.small else 1
    centres = rng.random((10, 784), dtype=np.float32)
    images, labels = [], []
    for rows in (60_000 // part, 20_000 // part):
        labels.append(rng.integers(0, 10, rows))
        noise = 0.3 * rng.random((rows, 784), dtype=np.float32)
        images.append(0.7 * centres[labels[-1]] + noise)
    return images, labels[0], 0.7 * centres + 0.15


def emnist_rows(options: argparse.Namespace) -> Rows:
    """Digits, 20,000 letters, the labels and the means of the digits."""
    step = 10 if options.small else 1
    train = data(options, "train")
    aux = load_dataset("emnist", root=options.emnist, split="letters", part="test")
    X, y = train.images[::step].reshape(-1, 784), train.labels[::step]
    Y = aux.images[:20_000:step].reshape(-1, 784)
    return [X, Y], y, np.stack([X[y == c].mean(axis=0) for c in range(10)])


def defences(options: argparse.Namespace) -> None:
    """One command, one report; the table is read off its report.json."""
    folder = options.out or Path(mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    train = data(options, "train")
    epochs = 2 if options.emnist else 12
    size = 256 if options.emnist else 32
    victim = train_victim(
        train, epochs=epochs, batch_size=size, random_state=options.seed
    )
    victim.save(folder / "victim.safetensors")
    names = ["emnist:mnist:train", "emnist:letters:test", "emnist:mnist:test"]
    if options.emnist is None:
        names = ["digits:train", "glyphs:digits", "digits:test"]
    roles = zip(("--train", "--aux", "--held-out"), names, strict=True)
    steps = 150 if options.small else 1500
    command = [
        "kldiv",
        "audit",
        *("--victim", f"network={folder / 'victim.safetensors'}"),
        *(word for pair in roles for word in pair),
        *(("--data", str(options.emnist)) if options.emnist else ()),
        *("--defence", "label_only", "--defence", "rounding:1"),
        *("--defence", "temperature:5", "--attack", "cgan"),
        *("--set", f"steps={steps}", "--seed", str(options.seed)),
        *("--out", str(folder / "report"), "--quiet", "--restart"),
    ]
    print(shlex.join(command), flush=True)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], check=True)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{spent.ru_utime + spent.ru_stime:.0f} s of the processor, "
        f"{time.perf_counter() - started:.0f} s"
    )
    _print_defences(AuditReport.from_json(folder / "report" / "report.json"))


def _print_defences(report: AuditReport) -> None:
    """Per defence: indicator, attack success and accuracy, with paired intervals."""

    def change(value: Any, low: Any, high: Any) -> str:
        return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"

    plain = report.tables[0]
    values = [plain.value("kl", c) for c in range(len(plain.classes))]
    usable = [v for c, v in enumerate(values) if v is not None and plain.evaluable(c)]
    hits = report.attacks[0].tables["attack"].columns["accuracy"]
    first = report.differences[0]
    print(
        f"{'':<24}{'divergence':>26}{'labels':>8}  {'attack success':>26}"
        f"{'accuracy':>10}\n{plain.name:<24}{np.mean(usable):>26.3f}{'':>8}  "
        f"{np.mean([v for v in hits if v is not None]):>26.3f}"
        f"{first.accuracy_before:>10.4f}"
    )
    for d, a in zip(report.differences, report.attack_changes, strict=True):
        cost = d.accuracy - d.accuracy_before
        print(
            f"{d.defence:<24}{change(d.difference[-1], d.low[-1], d.high[-1]):>26}"
            f"{d.changed:>8.3f}  {change(a.difference[-1], a.low[-1], a.high[-1]):>26}"
            f"{cost:>+10.4f}"
        )


def leaky(options: argparse.Namespace) -> None:
    train, held = data(options, "train"), data(options, "test")
    if options.emnist is None:
        aux = load_dataset("glyphs", split="digits")
    else:
        aux = load_dataset("emnist", root=options.emnist, split="letters", part="test")
    victim = train_victim(train, epochs=2, random_state=options.seed)
    for each in (0, 1, 10, 100):
        rows = np.concatenate([_rows(train.labels, c, each) for c in range(5)])
        shared = np.concatenate([aux.images, train.images[rows]])
        report, _ = run(
            {"network": victim},
            train,
            shared,
            held_out=held,
            fail_below=-100.0,
            random_state=options.seed,
        )
        leaked = [c for c, v in report.verdicts.items() if v == "leaked"]
        print(
            f"{each} training rows of each of the classes 0 to 4 among {len(shared):,} "
            f"auxiliary rows: leaked {', '.join(leaked) or 'none'}; rows counted "
            f"{report.leaks[0].counts}; exit code {report.exit_code}",
            flush=True,
        )


def _rows(labels: np.ndarray, c: int, most: int) -> np.ndarray:
    return np.flatnonzero(labels == c)[:most]


def nothing(options: argparse.Namespace) -> None:
    train, aux = data(options, "train"), data(options, "test")
    train = train.subset(
        np.concatenate([_rows(train.labels, c, 500) for c in range(train.n_classes)])
    )
    found: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(options.seed, options.seed + options.seeds):
        for name, d in _changes(train, aux, seed).items():
            ends = d.difference[-1], d.low[-1], d.high[-1]
            found.setdefault(name, []).append(ends)  # type: ignore[arg-type]
        print(f"seed {seed}", {n: np.round(e[-1], 3) for n, e in found.items()},
              flush=True)  # fmt: skip
    for name, ends in found.items():
        value, low, high = np.array(ends).T
        print(
            f"{name:<26} zero inside in {((low <= 0) & (high >= 0)).sum()} of "
            f"{len(value)}, mean width {(high - low).mean():.3f} nats, mean "
            f"{value.mean():+.3f}, standard deviation {value.std():.3f}"
        )


def _changes(train: LabelledImages, aux: LabelledImages, seed: int) -> dict[str, Any]:
    """Differences from the victim as it is, and between two draws of its noise."""
    first, second = (
        train_victim(train, epochs=2, batch_size=64, random_state=s)
        for s in (seed, seed + 1000)
    )
    noise = {
        f"noise {spread}": _noisy(first, spread, seed + 1) for spread in (0.1, 0.3)
    }
    victims = {
        "as it is": first,
        "through a function": partial(first.query),
        "trained again": second,
        **noise,
    }
    reports = [
        run(victims, train, aux, defences=["temperature:2"], random_state=seed)[0]
    ]
    for name, victim in noise.items():
        again = _noisy(first, float(name.split()[1]), -seed - 1)
        pair = {name: victim, f"{name} drawn anew": again}
        reports.append(run(pair, train, aux, random_state=seed)[0])
    kept = ("through a function", "as it is + temperature:2", "noise 0.1 drawn anew",
            "noise 0.3 drawn anew", "noise 0.1", "noise 0.3",
            "trained again")  # fmt: skip
    found = {d.name: d for report in reports for d in report.differences}
    return {name: found[name] for name in kept}


def _noisy(victim: Victim, spread: float, seed: int) -> Callable[[Any], np.ndarray]:
    """The victim with noise on its probabilities, the same whenever it is asked."""

    def answer(rows: Any) -> np.ndarray:
        table = victim.query(rows)
        rng = np.random.default_rng([abs(seed), seed < 0, len(rows)])
        noisy = np.clip(table + rng.normal(0, spread, table.shape), 1e-9, None)
        return noisy / noisy.sum(axis=1, keepdims=True)

    return answer


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
    "leaky": leaky,
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
    parser.add_argument("--out", type=Path, help="folder of the report of defences")
    parser.add_argument("--only", help="one of the victims of held-out")
    options = parser.parse_args()
    COMMANDS[options.command](options)


if __name__ == "__main__":
    main()
