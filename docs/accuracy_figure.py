"""Draw the accuracy of all methods, light and dark.

    python docs/accuracy_figure.py

Reads ``docs/benchmarks/accuracy.csv``, which holds what ``benchmarks/accuracy.py``
prints, and writes ``accuracy_packages.png`` and its dark version to ``docs/_static``.
"""

import csv
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).parent
OWN = (
    "auto",
    "common",
    "mixture",
    "marginal",
    "classifier",
    "gaussian",
    "adaptive",
    "published",
)
SMALLEST, LEAST_TRUTH = 1e-3, 0.1
INKS = {"": "black", "_dark": "white"}


def errors():
    """Relative error of every case, by method."""
    found = defaultdict(list)
    with (HERE / "benchmarks" / "accuracy.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            truth, error = float(row["truth"]), float(row["error"])
            if truth > LEAST_TRUTH and np.isfinite(error):
                found[row["method"]].append(abs(error) / truth)
    others = sorted(set(found) - set(OWN), key=lambda name: np.median(found[name]))
    return {name: np.array(found[name]) for name in (*OWN, *others)}


def draw(found):
    """A line of dots per method, the default on top."""
    figure, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
    rng = np.random.default_rng(0)
    for place, (name, values) in enumerate(found.items()):
        color = "#d9622b" if name == "auto" else "#4f8fc0"
        heights = place + rng.uniform(-0.22, 0.22, values.size)
        shown = np.maximum(values, SMALLEST)
        ax.plot(shown, heights, "o", color=color, markersize=3, alpha=0.6)
        middle = np.median(values)
        ax.plot([middle, middle], [place - 0.36, place + 0.36], color=color, lw=3)
    ax.set_xscale("log")
    ax.set_xlim(SMALLEST * 0.8, None)
    ax.xaxis.set_major_formatter(lambda x, _: f"{100 * x:g} %")
    ax.set_yticks(range(len(found)), [f"{name}" for name in found])
    ax.invert_yaxis()
    ax.grid(axis="x", alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel("error relative to the true divergence")
    return figure


for suffix, ink in INKS.items():
    kinds = ("text.color", "axes.labelcolor", "axes.edgecolor")
    colors = dict.fromkeys((*kinds, "xtick.color", "ytick.color"), ink)
    with mpl.rc_context(colors):
        draw(errors()).savefig(
            HERE / "_static" / f"accuracy_packages{suffix}.png",
            dpi=150,
            transparent=True,
        )
