"""Hashes of a fixed set of small attacks, reports and tables.

    python benchmarks/fixed_attacks.py > before.txt
    ... a change that must not move a number ...
    python benchmarks/fixed_attacks.py > after.txt; diff before.txt after.txt

Every attacker, a few steps each, on embedded images: what is made, measured and written
is hashed to the last bit. One thread on a CPU; two machines, or two versions of torch,
may differ.
"""

import hashlib
import inspect
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors import safe_open
from threadpoolctl import threadpool_limits

import kldiv_attack
from kldiv_attack import (
    LabelledImages,
    Victim,
    evaluate_attack,
    evaluate_pairs,
    load_dataset,
    load_run,
    make_attacker,
    run_experiment,
    run_study,
    table_3,
    train_judge,
    train_victim,
)
from kldiv_attack._controls import CONTROLS
from kldiv_attack._studies.demo import demo_table
from kldiv_attack._studies.paper import write_paper
from kldiv_attack._studies.table_1 import run_table_1
from kldiv_attack.attackers import ATTACKERS, Blur, Mask

SMALL = {
    "steps": 8,
    "batch_size": 8,
    "width": 8,
    "n_noise": 8,
    "n_generated": 40,
    "surrogate_steps": 10,
    "iterations": 3,
    "restarts": 2,
    "min_responses": 5,
}
VARIANTS = [
    ("cgan", {}),
    ("cgan", {"loss": "wgan-gp", "responses": "hard"}),
    ("cgan", {"loss": "hinge", "discriminator": "acgan", "consistency": "surrogate"}),
    ("cgan", {"discriminator": "concat", "candidates": 1, "balanced": False}),
    ("gmi", {}),
    ("label_only", {}),
    ("mi_face", {}),
    ("mi_face", {"start": "public", "process": "denoise", "cost": "probability"}),
    ("preimage_gan", {}),
]
RUN = {
    "seed": 3,
    "held_out": {"name": "digits", "part": "test"},
    "victim": {"epochs": 3, "batch_size": 32},
    "judge": {"epochs": 3, "batch_size": 32},
    "checkpoint_every": 4,
    "indicator": [{"features": "pca6"}, {"features": "judge4", "max_rows": 60}],
    "evaluate": {"n_reconstructions": 20},
}
GLYPHS = {"name": "glyphs", "size": 8, "n_per_class": 30}


class Recorder:
    """Keeps the last of everything that a training hands over."""

    every = 4

    def __init__(self):
        self.numbers, self.images, self.snapshot = [], [], None

    def log(self, step, **values):
        self.numbers.append([step, values])

    def sample(self, step, images):
        self.images.append((step, images))

    def save(self, step, tensors, extra):
        self.snapshot = step, tensors, extra

    def load(self):
        return None


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    threadpool_limits(1)
    logging.getLogger("kldiv_attack").setLevel(logging.ERROR)
    private, public = load_dataset("digits"), load_dataset("digits", part="test")
    victim = train_victim(private, epochs=3, batch_size=32, device="cpu")
    judge = train_judge(private, epochs=3, batch_size=32, device="cpu")
    with TemporaryDirectory() as name:
        folder = Path(name)
        for lines in (
            data_sets(),
            models(victim, judge, public, folder),
            attacks(victim, private, public),
            measures(victim, judge, private, public),
            runs(folder),
            studies(folder),
        ):
            for call, value in lines:
                print(f"{call:64s} {digest(value)}", flush=True)


def data_sets() -> Iterator[tuple[str, object]]:
    """What the loaders return."""
    for name, options in (
        ("digits", {}),
        ("digits", {"part": "test"}),
        ("glyphs", {"split": "letters", "n_per_class": 5}),
        ("glyphs", {"split": "balanced", "n_per_class": 2, "size": 16}),
    ):
        data = load_dataset(name, **options)
        yield call("load_dataset", name, options), (data.images, data.labels)


def models(victim, judge, public, folder) -> Iterator[tuple[str, object]]:
    """Trained weights, answers and files."""
    yield "train_victim, query", victim.query(public.images)
    yield "train_judge, probabilities", judge.probabilities(public.images)
    yield "train_judge, features", judge.features(public.images)
    for kind, model in (("victim", victim), ("judge", judge)):
        path = folder / f"{kind}.safetensors"
        model.save(path)
        yield f"{kind}, file", path.read_bytes()
    yield (
        "victim, loaded",
        Victim.load(folder / "victim.safetensors").query(public.images[:50]),
    )


def attacks(victim, private, public) -> Iterator[tuple[str, object]]:
    """Losses, snapshots and reconstructions of every attacker."""
    for name, changes in VARIANTS:
        fresh = Victim(victim.network, victim.class_names, victim.image_shape)
        recorder = Recorder()
        attacker = small(name, changes).fit(fresh, public.images, recorder=recorder)
        title = call("", name, changes)
        yield f"{title}, numbers", recorder.numbers
        yield f"{title}, samples", recorder.images
        yield f"{title}, snapshot", recorder.snapshot
        yield f"{title}, invert", attacker.invert([0, 3, 9], 5)
        yield f"{title}, queries", fresh.n_queries
    for name in ATTACKERS:
        attacker = small(name, {}).fit_ideal(private)
        yield f"{name}, fit_ideal, invert", attacker.invert([1, 8], 4)
    few = Victim(victim.network, victim.class_names, victim.image_shape, budget=300)
    attacker = small("label_only", {}).fit(few, public.images)
    yield "label_only with 300 queries", attacker.invert([1, 8], 4)
    attacker = small("gmi", {}).fit(victim, public.images)
    yield "gmi, prior", attacker.prior([1, 8], 4)
    for title, degrade in (
        ("Mask", Mask.box((8, 8), hidden=(0, 0, 4, 8))),
        ("Blur", Blur(2)),
    ):
        known = degrade(private.images[:5])
        images = attacker.invert_from(known, private.labels[:5], degrade)
        yield f"gmi, invert_from {title}", images


def measures(victim, judge, private, public) -> Iterator[tuple[str, object]]:
    """Reports on reconstructions."""
    answers = victim.query(public.images)
    for name, control in CONTROLS.items():
        images = control(public.images, answers, 30, random_state=2)
        yield f"control {name}", images
        report = evaluate_attack(images, private, judge, victim=victim, max_rows=60)
        yield f"control {name}, evaluate_attack", report.to_json()
    report = evaluate_pairs(private.images * np.float32(0.9), private, judge)
    yield "evaluate_pairs", report.to_json()


def runs(folder: Path) -> Iterator[tuple[str, object]]:
    """Folders of runs, their reports, and the tables of the paper over them."""
    paper = folder / "paper"
    letters = GLYPHS | {"split": "letters"}
    balanced = GLYPHS | {"split": "balanced"}
    digits = {"name": "digits", "part": "test"}
    for title, name, source in (
        ("mnist", "cgan", digits),
        ("letters", "cgan", letters),
        ("balanced", "cgan", balanced),
        ("gmi", "gmi", letters),
        ("label_only", "label_only", balanced),
    ):
        attacker = small(name, {})
        chosen = {k: v for k, v in SMALL.items() if hasattr(attacker, k)}
        settings = RUN | {"aux": source, "attacker": {"name": name, **chosen}}
        run = run_experiment(
            settings, paper / title, models=paper / "models", verbose=0
        )
        yield f"run {title}, demo_table", demo_table({title: run})
        yield f"run {title}, load_run", load_run(paper / title).images("auxiliary")
        yield from files(f"run {title}", paper / title)
    write_paper(paper)
    yield "table_3", table_3(paper).to_json()
    yield "paper, report.md", (paper / "report.md").read_bytes()
    yield "paper, report.html", (paper / "report.html").read_bytes()


def studies(folder: Path) -> Iterator[tuple[str, object]]:
    """A study of two attackers, and Table 1."""
    sizes = {"steps": 4, "batch_size": 8, "width": 8, "n_noise": 8}
    config = {
        "auxiliary": {
            "held_out": {"name": "digits", "part": "test"},
            "glyphs": GLYPHS | {"split": "letters"},
        },
        "attackers": {
            "cgan": sizes,
            "gmi": sizes | {"iterations": 2, "restarts": 1},
        },
        "victim": RUN["victim"],
        "judge": RUN["judge"],
        "max_rows": 60,
        "n_reconstructions": 15,
        "n_permutations": 50,
    }
    run_study(config, folder / "study", verbose=0)
    yield from files("study", folder / "study")
    run_table_1(folder / "one", n_seeds=2, dimensions=[1, 5], attackers=["ideal"])
    run_table_1(
        folder / "two",
        n_seeds=2,
        dimensions=[2],
        attackers=["cgan"],
        corrections=[None],
    )
    for name in ("one", "two"):
        yield from files(f"table_1 {name}", folder / name)
    yield "table_1", kldiv_attack.table_1(folder / "one")


def small(name: str, changes: dict[str, object]) -> object:
    """An attacker that is done in a second."""
    accepted = inspect.signature(ATTACKERS[name]).parameters
    chosen = {k: v for k, v in SMALL.items() if k in accepted}
    return make_attacker(name, **{**chosen, "device": "cpu", **changes})


def files(title: str, folder: Path) -> Iterator[tuple[str, object]]:
    """Files of a folder itself, without the time that a run took."""
    for path in sorted(folder.iterdir()):
        if path.name == "results.json":
            content = json.loads(path.read_text(encoding="utf-8"))
            del content["seconds"]
            yield f"{title}, {path.name}", content
        elif path.name == "checkpoint.safetensors":
            yield f"{title}, {path.name}", checkpoint(path)
        elif path.is_file():
            yield f"{title}, {path.name}", path.read_bytes()


def checkpoint(path: Path) -> tuple[object, object]:
    """Content of a checkpoint; its metadata are written in any order."""
    with safe_open(path, framework="pt") as file:
        names = sorted(file.keys())
        metadata = sorted(file.metadata().items())
        return metadata, [(name, file.get_tensor(name)) for name in names]


def call(function: str, name: str, options: dict[str, object]) -> str:
    """How a call is named in the table."""
    inside = ", ".join([name, *(f"{k}={v}" for k, v in options.items())])
    return f"{function}({inside})" if function else inside


def digest(value: object) -> str:
    """Hash of arrays, tensors, files, texts and what holds them."""
    state = hashlib.sha256()
    feed(state, value)
    return state.hexdigest()[:16]


def feed(state, value: object) -> None:
    """Add a value and its type to a hash."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        state.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
    elif isinstance(value, bytes):
        state.update(value)
    elif isinstance(value, dict):
        feed(state, [(str(k), v) for k, v in value.items()])
    elif isinstance(value, list | tuple):
        state.update(f"{len(value)}:".encode())
        for one in value:
            feed(state, one)
    elif isinstance(value, LabelledImages):
        feed(state, (value.images, value.labels))
    else:
        state.update(repr(value).encode())


if __name__ == "__main__":
    main()
