"""A finished run, read from its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv import PerClassReport
from kldiv_attack._files import checked_path, damaged, read_json
from kldiv_attack._run_folder import check_format, reports_of


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder.

    Attributes
    ----------
    folder : Path
        The run folder.
    config : dict
        Every setting.
    facts : dict
        Numbers of the whole run: ``n_queries``, ``victim_accuracy``, sizes, names.
    success : PerClassReport
        Outcome of the attack, from :func:`evaluate_attack`.
    controls : dict of str to PerClassReport
        The same for the attackers that return auxiliary rows, and for one that
        returns what a searching attacker began with.
    indicators : dict of str to PerClassReport
        Divergence per class, columns ``kl``, ``floor``, ``n_train``, ``n_aux`` and
        ``coverage``; the first entry is the score of the run.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from kldiv_attack import load_run, run_experiment
    >>> config = {
    ...     "victim": {"epochs": 1},
    ...     "judge": {"epochs": 1},
    ...     "attacker": {"name": "mi_face", "steps": 2},
    ...     "evaluate": {"n_reconstructions": 10},
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     _ = run_experiment(config, folder, verbose=0)
    ...     run = load_run(folder)
    ...     examples = run.images("private")
    >>> len(run.class_names), examples[0].shape
    (10, (8, 1, 8, 8))
    """

    folder: Path
    config: dict[str, Any]
    facts: dict[str, Any]
    success: PerClassReport
    controls: dict[str, PerClassReport]
    indicators: dict[str, PerClassReport]

    @property
    def indicator(self) -> PerClassReport:
        """The score of the run."""
        return next(iter(self.indicators.values()))

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, in the order of all reports."""
        return [str(name) for name in self.success.classes]

    def images(self, kind: str) -> list[NDArray[np.float32] | None]:
        """Images per class that the run kept, with 8 bits per pixel.

        Parameters
        ----------
        kind : {"reconstructions", "private", "auxiliary"}
            Results of the attack, examples of the private images, or the auxiliary
            images of which the victim was surest.

        Returns
        -------
        list of ndarray or None
            One array of shape (n, channels, height, width) in [0, 1] per class.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.folder / "images.safetensors"
        try:
            stored = load_file(path)
        except (SafetensorError, OSError) as error:
            raise damaged(path, error) from error
        return [
            (stored[f"{kind}/{label}"] / np.float32(255)).astype(np.float32)
            if f"{kind}/{label}" in stored
            else None
            for label in range(len(self.class_names))
        ]


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Read a finished run from its folder alone.

    Parameters
    ----------
    folder : path
        A folder that :func:`run_experiment` finished.

    Returns
    -------
    Run
        Settings, facts and tables.

    Raises
    ------
    RunError
        If the folder holds no finished run of this format.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from kldiv_attack import load_run, run_experiment
    >>> config = {
    ...     "victim": {"epochs": 1},
    ...     "judge": {"epochs": 1},
    ...     "attacker": {"name": "mi_face", "steps": 2},
    ...     "evaluate": {"n_reconstructions": 10},
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     _ = run_experiment(config, folder, verbose=0)
    ...     run = load_run(folder)
    >>> run.facts["access"]
    'gradients'
    """
    folder = checked_path(folder, "folder")
    config = check_format(folder)["config"]
    path = folder / "results.json"
    results = read_json(path)
    try:
        return Run(
            folder=folder,
            config=config,
            facts=dict(results["facts"]),
            success=reports_of(path, {"success": results["success"]})["success"],
            controls=reports_of(path, results["controls"]),
            indicators=reports_of(path, results["indicators"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
