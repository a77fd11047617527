"""Table 3 and Figure 2 of the paper, from run folders alone.

H. Tanaka et al., "Evaluation Indicator for Model Inversion Attack", AdvML 2020.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kldiv import PerClassReport
from kldiv_attack._figures import draw_grids
from kldiv_attack._files import RunError
from kldiv_attack._ranks import spearman_interval
from kldiv_attack._run import Run, load_run
from kldiv_attack._summary import (
    mean_known,
)

if TYPE_CHECKING:
    import matplotlib.figure


#: Table 3 as printed: divergence per digit for each auxiliary split of EMNIST, in nats.
PUBLISHED_TABLE_3: dict[str, tuple[float, ...]] = {
    "mnist": (0.22, 0.28, 0.16, 0.20, 0.23, 0.20, 0.26, 0.22, 0.19, 0.15),
    "letters": (3.79, 0.60, 1.37, 4.73, 1.63, 0.78, 9.59, 1.83, 6.40, 1.56),
    "balanced": (3.03, 0.34, 0.68, 0.90, 0.91, 1.01, 4.65, 0.73, 4.92, 0.66),
}


def finished_runs(folder: str | os.PathLike[str]) -> dict[str, Run]:
    runs = {}
    for name in PUBLISHED_TABLE_3:
        path = Path(folder) / name
        if not (path / "results.json").exists():
            raise RunError(
                f"{path} holds no finished run. Table 3 and Figure 2 need the run "
                f"folders {', '.join(PUBLISHED_TABLE_3)}; make them with "
                f"python -m kldiv_attack paper --data <EMNIST> --out {folder}."
            )
        runs[name] = load_run(path)
    return runs


def table_3(
    folder: str | os.PathLike[str], indicator: str | None = None
) -> PerClassReport:
    """Divergence per class for the three auxiliary splits, beside the paper's numbers.

    Parameters
    ----------
    folder : path
        What ``run_paper`` filled.
    indicator : str, optional
        One of the features that the runs were scored under, as named in the report;
        the first by default.

    Returns
    -------
    PerClassReport
        Columns ``mnist``, ``letters``, ``balanced`` in nats, each followed by the same
        under soft conditioning and by the published one. Runs against a victim that
        answers with labels have no soft column.

    Raises
    ------
    RunError
        If a run folder is missing or unfinished.

    Examples
    --------
    >>> from kldiv_attack import table_3
    >>> table_3("nowhere")
    Traceback (most recent call last):
        ...
    kldiv_attack._files.RunError: nowhere/mnist holds no finished run. ...
    """
    runs = finished_runs(folder)
    first = runs["mnist"]
    name = next(iter(first.indicators)) if indicator is None else indicator
    if name not in first.indicators:
        raise ValueError(
            f"indicator={name!r}: expected one of {list(first.indicators)}."
        )
    columns, reasons = {}, {}
    for aux, run in runs.items():
        columns[aux] = run.indicators[name]["kl"]
        if "soft" in run.indicators[name].columns:
            columns[f"{aux} soft"] = run.indicators[name]["soft"]
        columns[f"{aux} (paper)"] = np.array(PUBLISHED_TABLE_3[aux])
        for label, why in run.indicators[name].reasons.items():
            reasons[label] = f"{aux}: {why}"
    return PerClassReport(
        classes=first.indicator.classes,
        columns=columns,
        reasons=reasons,
        settings=dict(first.indicators[name].settings),
        title=f"Table 3: KL divergence per class in nats ({name})",
    )


def figure_2(
    folder: str | os.PathLike[str], *, n_columns: int = 8
) -> matplotlib.figure.Figure:
    """Grids of reconstructions, one per auxiliary split.

    Parameters
    ----------
    folder : path
        What ``run_paper`` filled.
    n_columns : int, default=8
        Reconstructions per class.

    Returns
    -------
    matplotlib Figure
        Private images on the left, then one grid per auxiliary split.

    Raises
    ------
    RunError
        If a run folder is missing or unfinished.

    Examples
    --------
    >>> from kldiv_attack import figure_2
    >>> figure_2("nowhere")
    Traceback (most recent call last):
        ...
    kldiv_attack._files.RunError: nowhere/mnist holds no finished run. ...
    """
    runs = finished_runs(folder)
    return draw_grids(
        private_and_attacks(runs), runs["mnist"].class_names, n_columns=n_columns
    )


def private_and_attacks(
    runs: Mapping[str, Run],
) -> dict[str, list[NDArray[np.float32] | None]]:
    grids = {"private images": runs["mnist"].images("private")}
    for name, run in runs.items():
        grids[f"attack with {name}"] = run.images("reconstructions")
    return grids


def success_table(folder: str | os.PathLike[str]) -> PerClassReport:
    """Means over the measured classes of what attacks and controls reached.

    Parameters
    ----------
    folder : path
        What ``run_paper`` filled.

    Returns
    -------
    PerClassReport
        One row per auxiliary split: accuracy under the judge and coverage of the
        attack and of both controls, mean divergence, number of queries.
    """
    runs = finished_runs(folder)
    columns: dict[str, list[float]] = {"KL": [], "success": [], "coverage": []}
    for run in runs.values():
        means = {
            "KL": run.indicator["kl"],
            "success": run.success["accuracy"],
            "coverage": run.success["coverage"],
        }
        for control, report in run.controls.items():
            means[control] = report["accuracy"]
            means[f"{control} coverage"] = report["coverage"]
        for name, values in means.items():
            columns.setdefault(name, []).append(mean_known(values))
    table = {name: np.array(values) for name, values in columns.items()}
    table["queries"] = np.array([run.facts["n_queries"] for run in runs.values()])
    return PerClassReport(
        classes=np.array(list(runs)),
        columns=table,
        title="Means over the classes that could be measured",
    )


def correlations(
    folder: str | os.PathLike[str],
) -> dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]]:
    """Spearman correlation of each indicator with coverage and accuracy.

    Parameters
    ----------
    folder : path
        What ``run_paper`` filled.

    Returns
    -------
    dict of str to pair of (float, float, float)
        Name of the features to the correlation of KL with coverage and with accuracy,
        over all pairs of auxiliary split and class; each with the ends of the 95 %
        interval over resampled pairs.
    """
    runs = finished_runs(folder)

    def join(values: Any) -> Any:
        return np.concatenate([values(run) for run in runs.values()])

    coverage = join(lambda run: run.success["coverage"])
    accuracy = join(lambda run: run.success["accuracy"])
    found = {}
    for name in runs["mnist"].indicators:
        kl = join(lambda run, name=name: run.indicators[name]["kl"])
        found[name] = (
            spearman_interval(kl, coverage),
            spearman_interval(kl, accuracy),
        )
    return found
