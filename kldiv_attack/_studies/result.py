"""A finished study, read from its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._files import RunError, read_json
from kldiv_attack._ranks import RankCorrelations, rank_correlations
from kldiv_attack._studies.measures import OUTCOMES, PREDICTORS, Floats

FORMAT_VERSION = 2


@dataclass(frozen=True)
class Study:
    """A finished study, read from its folder.

    Attributes
    ----------
    folder : Path
        The folder.
    config : dict
        Every setting.
    rows : list of dict
        One per seed, auxiliary set, class and attacker: the divergences, the outcomes
        and what the attacker was allowed. Controls without a generator are listed as
        attackers.
    judged : list of dict
        One per seed, auxiliary set, attacker and judge of a panel: shares with their
        intervals. Sets that leave the panel no images of its own are left out.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from kldiv_attack import load_study, run_study, study_config
    >>> config = study_config(["mi_face"], demo=True) | {
    ...     "auxiliary": {"digits": {"name": "digits", "part": "test"}},
    ...     "max_rows": 30,
    ...     "n_reconstructions": 10,
    ...     "n_permutations": 20,
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     study = run_study(config, folder, verbose=0)
    >>> study.correlations("mi_face", "accuracy").rho.shape
    (8,)
    """

    folder: Path
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    judged: list[dict[str, Any]]

    @property
    def attackers(self) -> list[str]:
        """Names of attackers and controls, in order."""
        return list(dict.fromkeys(row["attacker"] for row in self.rows))

    def correlations(
        self, attacker: str, outcome: str, *, within: bool = False
    ) -> RankCorrelations:
        """Rank correlation of every divergence with one outcome of one attacker.

        Parameters
        ----------
        attacker : str
            One of ``attackers``.
        outcome : str
            Key of ``OUTCOMES``.
        within : bool, default=False
            Compare the classes inside each auxiliary set only.

        Returns
        -------
        RankCorrelations
            Values in the order of ``PREDICTORS``.
        """
        x, y, groups = self._tensors(attacker, outcome)
        return rank_correlations(
            x,
            y,
            groups,
            within=within,
            sign=OUTCOMES[outcome],
            n_permutations=self.config["n_permutations"],
        )

    def _tensors(
        self, attacker: str, outcome: str
    ) -> tuple[Floats, Floats, NDArray[np.intp]]:
        chosen = [row for row in self.rows if row["attacker"] == attacker]
        n_seeds = len(self.config["seeds"])
        x = np.array([[row[name] for name in PREDICTORS] for row in chosen])
        y = np.array([row[outcome] for row in chosen])
        sets = list(self.config["auxiliary"])
        groups = np.array([sets.index(row["auxiliary"]) for row in chosen])
        return (
            x.reshape(n_seeds, -1, len(PREDICTORS)),
            y.reshape(n_seeds, -1),
            groups.reshape(n_seeds, -1)[0],
        )


def load_study(folder: str | os.PathLike[str]) -> Study:
    """Read a finished study from its folder alone.

    Parameters
    ----------
    folder : path
        What :func:`run_study` filled.

    Returns
    -------
    Study
        Settings and observations.

    Raises
    ------
    RunError
        If the folder holds no finished study of this format.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from kldiv_attack import load_study, run_study, study_config
    >>> config = study_config(["mi_face"], demo=True) | {
    ...     "auxiliary": {"digits": {"name": "digits", "part": "test"}},
    ...     "max_rows": 30,
    ...     "n_reconstructions": 10,
    ...     "n_permutations": 20,
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     _ = run_study(config, folder, verbose=0)
    ...     study = load_study(folder)
    >>> len(study.rows)  # classes times attackers and controls
    30
    """
    folder = Path(folder)
    stored = read_json(folder / "study.json")
    if stored.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{folder} holds a study of format {stored.get('format_version')}, this "
            f"version reads {FORMAT_VERSION}. Run it again in a new folder."
        )
    rows = [
        {k: np.nan if v is None else v for k, v in row.items()}
        for row in stored["rows"]
    ]
    return Study(folder, stored["config"], rows, stored["judged"])


def missing(value: Any) -> bool:
    return isinstance(value, float) and not np.isfinite(value)
