"""What a run looks like on paper: its table, its figures and its report pages."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._figures import draw_grids, draw_scatter, figure_png
from kldiv_attack._pages import (
    Figure,
    Gallery,
    Heading,
    Listing,
    Paragraph,
    Part,
    Table,
    write_pages,
)

if TYPE_CHECKING:
    from kldiv_attack._run import Run


def number(value: float, digits: int = 2) -> str:
    """A table cell; what could not be measured is a dash."""
    return "-" if not np.isfinite(value) else f"{value:.{digits}f}"


def mean_known(values: NDArray[Any]) -> float:
    """Mean over the classes that could be measured, NaN if there are none."""
    known = np.asarray(values)[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


SUCCESS_HEADER = (
    "class",
    "rows",
    "KL",
    "floor",
    "success",
    "interval",
    "coverage",
    "random",
    "confident",
)


def success_header(run: Run) -> tuple[str, ...]:
    """Names of the columns of that table; the controls of a run are the last."""
    return (*SUCCESS_HEADER[:-2], *run.controls)


def success_rows(run: Run) -> list[list[str]]:
    """The one table that every run prints: indicator, outcome and controls."""
    success, indicator = run.success, run.indicator
    rows = []
    for i, name in enumerate(run.class_names):
        low, high = success["accuracy_low"][i], success["accuracy_high"][i]
        controls = [
            f"{number(c['accuracy'][i])}/{number(c['coverage'][i])}"
            for c in run.controls.values()
        ]
        rows.append(
            [
                name,
                str(int(indicator["n_aux"][i])),
                number(indicator["kl"][i]),
                number(indicator["floor"][i]),
                number(success["accuracy"][i]),
                "-" if not np.isfinite(low) else f"{low:.2f}-{high:.2f}",
                number(success["coverage"][i]),
                *controls,
            ]
        )
    return rows


#: What the columns of that table mean.
SUCCESS_TERMS = (
    "rows: auxiliary images that the victim puts in the class.",
    "KL: divergence of the private images from them, in nats; small means exposed.",
    "floor: the same between two parts of the private images, where the truth is 0.",
    "success: share of the reconstructions that an independent judge puts in the "
    "class; interval: 95 % Wilson interval of it.",
    "coverage: share of private images with a reconstruction nearby.",
    "random, confident: success/coverage of an attacker without a GAN, who returns "
    "random rows, or the rows of which the victim is surest.",
)


def success_terms(run: Run) -> list[str]:
    """What the columns of one run's table mean."""
    searched = ["prior: the same of generated images before the victim is asked."]
    return [*SUCCESS_TERMS, *(searched if "prior" in run.controls else [])]


def reasons_of(run: Run) -> list[str]:
    """What could not be measured, and why."""
    found = []
    for report in (run.indicator, run.success):
        found += [f"class {name}: {why}" for name, why in report.reasons.items()]
    return list(dict.fromkeys(found))


def facts_of(run: Run) -> list[str]:
    """The numbers of the whole run as sentences."""
    facts = run.facts
    spent = facts.get("budget_exhausted", False)
    lines = [
        f"Private images: {facts['train']}, {facts['n_train']} images.",
        f"Auxiliary images: {facts['aux']}, {facts['n_aux']} images.",
        f"Queries that the attacker made: {facts['n_queries']}."
        + (" The budget ended before the attack did." if spent else ""),
    ]
    if "n_gradients" in facts:
        lines.append(
            f"Images that it took the victim's gradient for: {facts['n_gradients']}."
        )
    for kind in ("victim", "judge"):
        key = f"{kind}_accuracy"
        where = "held-out images" if key in facts else "its training images"
        value = facts.get(key, facts[f"{kind}_accuracy_train"])
        lines.append(f"Accuracy of the {kind} on {where}: {100 * value:.2f} %.")
    return lines


def grids_gallery(run: Run, prefix: str = "") -> Gallery:
    """Private images, auxiliary images and reconstructions side by side."""
    kinds = {
        "private": "Private images",
        "auxiliary": "Auxiliary images of which the victim is surest",
        "reconstructions": "Reconstructions",
    }
    return Gallery(
        [
            grid_figure(f"{prefix}{kind}", title, run.images(kind), run.class_names)
            for kind, title in kinds.items()
        ]
    )


def grid_figure(
    name: str,
    title: str,
    images: Sequence[NDArray[Any] | None],
    class_names: Sequence[str],
) -> Figure:
    """One grid of images with one row per class."""
    return Figure(
        name,
        figure_png(draw_grids({"": images}, class_names)),
        f"{title}: a grid of images with one row per class, classes "
        f"{', '.join(class_names)} from top to bottom.",
        f"{title}, one row per class.",
        pixels=True,
    )


def scatter_figure(runs: Mapping[str, Run], name: str = "kl_coverage") -> Figure:
    """The divergence of every class against the coverage that the attack reached."""
    groups = {
        title: (run.indicator["kl"], run.success["coverage"], run.class_names)
        for title, run in runs.items()
    }
    first = next(iter(runs.values()))
    features = next(iter(first.indicators))
    figure = draw_scatter(
        groups,
        xlabel=f"KL of private from auxiliary images, nats ({features})",
        ylabel="coverage of the private images",
    )
    return Figure(
        name,
        figure_png(figure),
        "Scatter plot, one point per class and auxiliary set: KL divergence on the "
        "horizontal axis, coverage of the private images by the reconstructions on the "
        "vertical axis.",
        "Each point is a class, known before the attack on the horizontal axis and "
        "measured after it on the vertical one.",
    )


def write_report(run: Run) -> None:
    """Write report.md and report.html of a run from its folder alone."""
    parts: list[Part] = [
        Listing(facts_of(run)),
        Heading("Indicator and outcome per class"),
        Listing(success_terms(run)),
        Table(success_header(run), success_rows(run), f"With {run.facts['aux']}."),
    ]
    if reasons_of(run):
        parts += [Paragraph("Not measured:"), Listing(reasons_of(run))]
    parts += [
        Heading("Reconstructions"),
        grids_gallery(run),
        Heading("Indicator against outcome"),
        scatter_figure({run.facts["aux"]: run}),
        Heading("Settings"),
        Listing([f"{k}: {json.dumps(v)}" for k, v in run.config.items()]),
    ]
    write_pages(run.folder, f"Model inversion with {run.facts['aux']}", parts)
