"""What curves of queries look like on paper: tables, a figure, report pages."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from kldiv_attack._figures import COLOURS, MARKERS, figure_png
from kldiv_attack._files import write_atomic
from kldiv_attack._pages import (
    Figure,
    Heading,
    Listing,
    Paragraph,
    Part,
    Table,
    write_pages,
)
from kldiv_attack._studies.curve_result import Curves, over_seeds
from kldiv_attack._tables import text_lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MEASURES = ("accuracy", "coverage")
_STYLES = ("-", "--", "-.", ":")
_FAINT = 0.01

TERMS = (
    "accuracy: share of the reconstructions that a judge, never the victim, puts in "
    "the class; coverage: share of private images with a reconstruction nearby. Means "
    "over the classes; a class of which there is no reconstruction counts as 0.",
    "answers: labels alone; top-k, the three most probable classes; rounded to one "
    "decimal; full, every digit.",
    "half, 90 %: queries from which on, in every larger measured budget, an attack "
    "covers at least that share of what it covers without a limit; the range is over "
    "the seeds. A limit on queries must stay below them to matter.",
)


def write_curves(curves: Curves) -> None:
    """Write tables, figure and report of finished curves."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(curves.rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(curves.rows)
    write_atomic(curves.folder / "curves.csv", buffer.getvalue().encode())
    write_atomic(curves.folder / "curves.txt", curves_text(curves).encode())
    config = curves.config
    parts: list[Part] = [
        Paragraph(
            f"Private images: {config['train']['name']}; public images: "
            f"{config['aux']['name']}, {config['aux']['rows']} of them. Every attack "
            "was made anew with each number of queries."
        ),
        Figure(
            "curves",
            figure_png(draw_curves(curves)),
            "Accuracy and coverage against the number of queries on a logarithmic "
            "scale, one line per attacker and granularity.",
            "Mean over the classes and the range over the seeds.",
        ),
        Heading("Queries that suffice"),
        Table(*limit_rows(curves), "Queries for shares of an attack's coverage."),
        Paragraph(finding(curves)),
        Listing(TERMS),
    ]
    parts += [Table(*value_rows(curves, m), f"{m.capitalize()}.") for m in MEASURES]
    write_pages(curves.folder, "Success against queries", parts)


def lines_of(curves: Curves) -> list[tuple[str, str]]:
    """Attacker and granularity of every line, in order."""
    return list(
        dict.fromkeys((row["attacker"], row["granularity"]) for row in curves.rows)
    )


def enough(values: np.ndarray[Any, Any], share: float) -> int:
    """First budget from which on at least a share of the last value is kept."""
    fails = np.flatnonzero(values < share * values[-1])
    return int(fails[-1]) + 1 if len(fails) else 0


def limit_rows(curves: Curves) -> tuple[tuple[str, ...], list[list[str]]]:
    """Queries for half and for most of what an attack covers."""
    rows = []
    for attacker, told in lines_of(curves):
        asked, values = over_seeds(curves, attacker, told, "coverage")
        cells = [
            _range([asked[enough(one, share)] for one in values])
            for share in (0.5, 0.9)
        ]
        if values[:, -1].min() < _FAINT:  # shares of nothing
            cells = ["-", "-"]
        rows.append([attacker, told, f"{values[:, -1].mean():.2f}", *cells])
    return ("attacker", "answers", "coverage", "half", "90 %"), rows


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def finding(curves: Curves) -> str:
    """The limit that the strongest attack suggests, and how far seeds agree on it."""
    found_by = {
        (attacker, told): over_seeds(curves, attacker, told, "coverage")
        for attacker, told in lines_of(curves)
    }
    best = max(found_by, key=lambda line: found_by[line][1][:, -1].mean())
    asked, values = found_by[best]
    found = [asked[enough(one, 0.5)] for one in values]
    least = f"the fewest that were measured, {asked[0]:,}, are enough"
    if max(found) > asked[0]:
        least = f"{_range(found)} queries are needed"
    sure = f"{len(values)} seeds"
    if len(values) == 1:
        sure = "one seed, so nothing is known of how far that varies"
    apart = 10 ** (1 / curves.config["points_per_decade"])
    return (
        f"{best[0]} with {best[1]} answers covers most: {values[:, -1].mean():.2f}. "
        f"For half of it {least} ({sure}). Budgets are {apart:.1f}-fold apart, so that "
        "the true number may be that much smaller."
    )


def value_rows(curves: Curves, measure: str) -> tuple[tuple[str, ...], list[list[str]]]:
    """Means over the seeds, one column per budget."""
    every = {row["budget"] for row in curves.rows if row["budget"] is not None}
    grid = sorted(every)
    rows = []
    for attacker, told in lines_of(curves):
        asked, values = over_seeds(curves, attacker, told, measure)
        means = dict(zip(asked[:-1], values.mean(axis=0), strict=False))
        cells = [f"{means[b]:.2f}" if b in means else "" for b in grid]
        last = f"{values[:, -1].mean():.2f} ({asked[-1]:,})"
        rows.append([attacker, told, *cells, last])
    return ("attacker", "answers", *(f"{b:,}" for b in grid), "all"), rows


def curves_text(curves: Curves) -> str:
    """The tables as text."""
    tables = {
        "Queries for shares of an attack's coverage": limit_rows(curves),
        **{m.capitalize(): value_rows(curves, m) for m in MEASURES},
    }
    blocks = []
    for title, (header, rows) in tables.items():
        first, *rest = text_lines([header, *rows], n_left=2)
        blocks.append("\n".join([title, first, "-" * len(first), *rest]))
    return "\n\n".join([*blocks, finding(curves), "\n".join(TERMS)]) + "\n"


def draw_curves(curves: Curves) -> Canvas:
    """One panel per measure, a colour per attacker, a line style per granularity."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=(9.6, 4.2), layout="constrained")
    panels = canvas.subplots(1, len(MEASURES), sharex=True)
    names = list(curves.config["attackers"])
    told_all = curves.config["granularities"]
    for panel, measure in zip(panels, MEASURES, strict=True):
        for attacker, told in lines_of(curves):
            asked, values = over_seeds(curves, attacker, told, measure)
            i = names.index(attacker)
            colour = COLOURS[i % len(COLOURS)]
            place = told_all.index(told) if told in told_all else 0
            panel.plot(
                asked, values.mean(axis=0), _STYLES[place % len(_STYLES)],
                color=colour, marker=MARKERS[i % len(MARKERS)], markersize=4,
                label=f"{attacker}, {told}",
            )  # fmt: skip
            low, high = values.min(axis=0), values.max(axis=0)
            panel.fill_between(asked, low, high, color=colour, alpha=0.12, linewidth=0)
        panel.set(xscale="log", xlabel="queries", ylabel=measure, ylim=(-0.02, 1.02))
        panel.grid(color="0.9")
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside right center", frameon=False)
    return canvas
