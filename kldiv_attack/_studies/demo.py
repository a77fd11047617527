"""The whole path on embedded images: no data, no network, a few minutes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from kldiv_attack._files import check_home, checked_path
from kldiv_attack._models import discard_models
from kldiv_attack._pages import Heading, Listing, Paragraph, Part, Table, write_pages
from kldiv_attack._run import Run
from kldiv_attack._set_options import without_name
from kldiv_attack._summary import (
    SUCCESS_TERMS,
    facts_of,
    grids_gallery,
    mean_known,
    number,
    reasons_of,
    scatter_figure,
    success_header,
    success_rows,
)
from kldiv_attack._tables import text_lines
from kldiv_attack.experiment import run_experiment

__all__ = ["AUXILIARY", "demo_table", "run_demo"]

#: Name in the table to the auxiliary images.
AUXILIARY: dict[str, dict[str, Any]] = {
    "held-out digits": {"name": "digits", "part": "test"},
    "glyph letters": {"name": "glyphs", "split": "letters", "size": 8},
    "glyph letters and digits": {"name": "glyphs", "split": "balanced", "size": 8},
}

#: Enough for images of 8 x 8 pixels; the default is meant for 28 x 28.
STEPS = 2000


def run_demo(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    attacker: Mapping[str, Any] | None = None,
    restart: bool = False,
    verbose: int = 1,
) -> dict[str, Run]:
    """Attack a victim on embedded digits with three auxiliary sets; write a report.

    Parameters
    ----------
    folder : path
        Where one run folder per auxiliary set and the report go.
    seed : int, default=0
        The one seed.
    attacker : mapping, optional
        Parameters of the attacker other than the demo's.
    restart : bool, default=False
        Discard what the folder holds.
    verbose : int, default=1
        0 turns progress bars off.

    Returns
    -------
    dict of str to Run
        The finished runs by name of the auxiliary set.
    """
    folder = checked_path(folder, "folder")
    parameters = without_name(attacker or {}, "attacker:")
    homes = {name: name.replace(" ", "_") for name in AUXILIARY}
    check_home(folder, (*homes.values(), "models"), "models/models.json")
    if restart:
        discard_models(folder / "models")
    runs = {}
    for name, aux in AUXILIARY.items():
        runs[name] = run_experiment(
            {
                "seed": seed,
                "train": {"name": "digits", "part": "train"},
                "held_out": {"name": "digits", "part": "test"},
                "aux": aux,
                "victim": {"epochs": 30, "batch_size": 32},
                "judge": {"epochs": 40, "batch_size": 32},
                "attacker": {"name": "cgan", "steps": STEPS, **parameters},
                "indicator": [{"features": "pca6", "n_neighbors": 5}],
                "evaluate": {"n_reconstructions": 100},
            },
            folder / homes[name],
            models=folder / "models",
            restart=restart,
            verbose=verbose,
        )
    _write_report(folder, runs)
    return runs


def demo_table(runs: Mapping[str, Run]) -> str:
    """The one table of the demo as text, at most 80 columns wide."""
    groups = {name: [*success_rows(run), mean_row(run)] for name, run in runs.items()}
    header = success_header(next(iter(runs.values())))
    everything = [header, *(row for rows in groups.values() for row in rows)]
    first, *cells = text_lines(everything, n_left=0)
    rule = "-" * len(first)
    lines, rest = [first, rule], iter(cells)
    for name, rows in groups.items():
        lines.append(f"{name} ({runs[name].facts['n_queries']} queries)")
        lines += [*islice(rest, len(rows)), rule]
    return "\n".join(lines)


def mean_row(run: Run) -> list[str]:
    """Means over the classes that could be measured."""

    def mean(values: Any) -> str:
        return number(mean_known(values))

    controls = [
        f"{mean(report['accuracy'])}/{mean(report['coverage'])}"
        for report in run.controls.values()
    ]
    success = run.success
    return [
        "mean",
        str(int(run.indicator["n_aux"].sum())),
        mean(run.indicator["kl"]),
        mean(run.indicator["floor"]),
        mean(success["accuracy"]),
        "",
        mean(success["coverage"]),
        *controls,
    ]


def _write_report(folder: Path, runs: Mapping[str, Run]) -> None:
    first = next(iter(runs.values()))
    parts: list[Part] = [
        Paragraph(
            "A classifier was trained on private handwritten digits. An attacker, who "
            "may only ask it for class probabilities, owns other images: digits by "
            "other writers, printed letters, or printed letters and digits. The KL "
            "divergence says before the attack which classes are exposed; the rest of "
            "the table says what a conditional GAN then achieved."
        ),
        Listing([facts_of(first)[0], *facts_of(first)[-2:]]),
        Heading("Indicator against outcome"),
        scatter_figure(runs),
        Listing(SUCCESS_TERMS),
    ]
    for i, (name, run) in enumerate(runs.items()):
        parts += [
            Heading(name.capitalize()),
            Listing(facts_of(run)[1:3]),
            Table(
                success_header(run),
                [*success_rows(run), mean_row(run)],
                f"With {name}.",
            ),
        ]
        if reasons_of(run):
            parts += [Paragraph("Not measured:"), Listing(reasons_of(run))]
        parts.append(grids_gallery(run, f"{i}_"))
    write_pages(folder, "Model inversion on embedded digits", parts)
