"""Finished curves of success against queries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Curves:
    """Finished curves, read from their folder.

    Attributes
    ----------
    folder : Path
        The folder.
    config : dict
        Every setting.
    rows : list of dict
        One per seed, attacker, granularity and budget: ``queries``, means over the
        classes of ``accuracy`` and ``coverage``, and how many classes are ``missing``.
    """

    folder: Path
    config: dict[str, Any]
    rows: list[dict[str, Any]]


def over_seeds(
    curves: Curves, attacker: str, granularity: str, measure: str
) -> tuple[list[int], NDArray[np.float64]]:
    """Budgets that every seed has, and values of shape (n_seeds, n_budgets).

    The last budget is the number of queries without a limit, on average.
    """
    chosen = [
        row
        for row in curves.rows
        if (row["attacker"], row["granularity"]) == (attacker, granularity)
    ]
    seeds = curves.config["seeds"]
    table = {(row["seed"], row["budget"]): row for row in chosen}
    asked = list(dict.fromkeys(row["budget"] for row in chosen))
    shared = [b for b in asked if b is not None and all((s, b) in table for s in seeds)]
    kept: list[int | None] = [*sorted(shared), None]
    values = np.array([[table[s, b][measure] for b in kept] for s in seeds])
    most = np.mean([table[s, None]["queries"] for s in seeds])
    return [*sorted(shared), round(float(most))], values
