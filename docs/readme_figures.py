"""Draw the two figures of the README, light and dark, from what the example keeps.

    python docs/readme_figures.py

Reads ``docs/examples/data`` (see ``collect_emnist.py`` there) and writes
``emnist_digits.png`` and ``emnist_kl_coverage.png`` to ``docs/_static``, and their dark
versions for readers whose screens are dark.
"""

import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

HERE = Path(__file__).parent
DATA, OUT = HERE / "examples" / "data", HERE / "_static"
SETS = ("mnist", "balanced", "letters")
# By what ends the name of a file: style, paler words, how digits are drawn, colours.
STYLES = {
    "": ("default", "0.3", "gray_r", ("#33658a", "#c77f0a", "#a23b2a")),
    "_dark": ("dark_background", "0.75", "gray", ("#7db8e8", "#f0b34f", "#f08a76")),
}
DARK = "#0d1117"  # as pages that show a README are
WORDS = {
    "mnist": "other people's digits",
    "balanced": "digits and letters",
    "letters": "letters only",
}
SIDE, UNDER = 28, -0.14


def digits(runs, sheet, pale, inks, colors):
    """Private digits, reconstructions, and the divergence under each."""
    figure, axes = plt.subplots(
        4, 11, figsize=(9, 4.1), width_ratios=[2.6, *[1] * 10], layout="constrained"
    )
    for row, name in enumerate([None, *SETS]):
        for ax in axes[row]:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        words = f"rebuilt from\n{WORDS[name]}" if name else "private images"
        color = colors[name] if name else plt.rcParams["text.color"]
        side = {"ha": "right", "va": "center", "transform": axes[row, 1].transAxes}
        axes[row, 0].text(-0.2, 0.5, words, color=color, weight="bold", **side)
        if name:
            axes[row, 0].text(
                -0.2, UNDER, "divergence, nats", size=8, color=pale, **side
            )
        for c, ax in enumerate(axes[row, 1:]):
            image = sheet[row * SIDE : (row + 1) * SIDE, c * SIDE : (c + 1) * SIDE]
            ax.imshow(image, cmap=inks, vmin=0, vmax=1)
            if name:
                kl = f"{runs[name]['kl'][c]:.2f}"
                middle = {"ha": "center", "va": "center", "transform": ax.transAxes}
                ax.text(0.5, UNDER, kl, color=color, **middle)
    return figure


def name_points(ax, x, y, pale):
    """Write the class beside each point, where no other point or label is."""
    ax.figure.canvas.draw()
    points = ax.transData.transform(np.column_stack([x, y]))
    taken = list(points)
    ring = np.exp(1j * np.linspace(0, 2 * np.pi, 24, endpoint=False))
    places = [r * np.array([z.real, z.imag]) for r in (10, 14, 19) for z in ring]
    for i, point in enumerate(points):
        free = [
            min(np.linalg.norm(point + place - other) for other in taken) - 0.3 * r
            for place, r in zip(places, np.repeat([10, 14, 19], 24), strict=True)
        ]
        spot = point + places[int(np.argmax(np.minimum(free, 8)))]
        taken.append(spot)
        at = ax.transData.inverted().transform(spot)
        ax.text(*at, str(i % 10), size=8, ha="center", va="center", color=pale)


def scatter(runs, pale, colors):
    """Divergence before the attack against what the attack then covered."""
    figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    every = {
        key: np.concatenate([runs[s][key] for s in SETS]) for key in ("kl", "coverage")
    }
    for name, color in colors.items():
        kl, coverage = runs[name]["kl"], runs[name]["coverage"]
        ax.plot(kl, coverage, "o", color=color, markersize=4, label=WORDS[name])
    ax.set(xscale="log", ylim=(0, 1), xticks=[0.1, 0.3, 1, 3])
    ax.xaxis.set_major_formatter("{x:g}")
    slope, start = np.polyfit(every["kl"], every["coverage"], 1)
    ends = np.geomspace(every["kl"].min(), every["kl"].max())
    ax.plot(ends, start + slope * ends, color="0.5", linewidth=1, zorder=0)
    rho = spearmanr(every["kl"], every["coverage"]).statistic
    ax.set(
        xlabel="divergence, nats (logarithmic): known before any attack",
        ylabel="private images covered\nby the attack",
        title=f"30 classes under attack, Spearman correlation {rho:.2f}",
    )
    ax.legend(title="public images", loc="lower left")
    name_points(ax, every["kl"], every["coverage"], pale)
    return figure


def main():
    """Draw both, light and dark."""
    mpl.use("Agg")
    runs = json.loads((DATA / "emnist_paper.json").read_text(encoding="utf-8"))
    sheet = plt.imread(DATA / "emnist_paper.png")
    for end, (style, pale, inks, shades) in STYLES.items():
        colors = dict(zip(SETS, shades, strict=True))
        with plt.style.context(style):
            if end:
                plt.rcParams.update(
                    dict.fromkeys(
                        ("figure.facecolor", "axes.facecolor", "savefig.facecolor"),
                        DARK,
                    )
                )
            for name, figure in {
                "emnist_digits": digits(runs, sheet, pale, inks, colors),
                "emnist_kl_coverage": scatter(runs, pale, colors),
            }.items():
                figure.savefig(OUT / f"{name}{end}.png", dpi=160)


if __name__ == "__main__":
    main()
