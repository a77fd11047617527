"""Model inversion attackers, victims and audits around :mod:`kldiv`."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers see of the names that are loaded on first use
    from kldiv_attack._classifier_training import train_judge, train_victim
    from kldiv_attack._controls import CONTROLS
    from kldiv_attack._coverage import clipped_coverage, clipped_density
    from kldiv_attack._fidelity import evaluate_pairs
    from kldiv_attack._neighbour_judge import NeighbourJudge
    from kldiv_attack._panel import adversarial_images, judge_attack, train_panel
    from kldiv_attack._run import Run, load_run
    from kldiv_attack._studies.result import Study, load_study
    from kldiv_attack._studies.settings import study_config
    from kldiv_attack._studies.study import run_study
    from kldiv_attack._studies.table_1 import table_1
    from kldiv_attack.attackers import make_attacker
    from kldiv_attack.audit import AuditReport, audit
    from kldiv_attack.datasets import LabelledImages, load_dataset
    from kldiv_attack.evaluate import evaluate_attack
    from kldiv_attack.experiment import run_experiment
    from kldiv_attack.judge import Judge
    from kldiv_attack.paper import figure_2, table_3
    from kldiv_attack.victim import Victim

# Public name -> module that defines it; loaded on first use.
_HOMES = {
    "train_panel": "kldiv_attack._panel",
    "judge_attack": "kldiv_attack._panel",
    "adversarial_images": "kldiv_attack._panel",
    "NeighbourJudge": "kldiv_attack._neighbour_judge",
    "AuditReport": "kldiv_attack.audit",
    "CONTROLS": "kldiv_attack._controls",
    "Judge": "kldiv_attack.judge",
    "LabelledImages": "kldiv_attack.datasets",
    "Run": "kldiv_attack._run",
    "Study": "kldiv_attack._studies.result",
    "Victim": "kldiv_attack.victim",
    "audit": "kldiv_attack.audit",
    "clipped_coverage": "kldiv_attack._coverage",
    "clipped_density": "kldiv_attack._coverage",
    "evaluate_attack": "kldiv_attack.evaluate",
    "evaluate_pairs": "kldiv_attack._fidelity",
    "figure_2": "kldiv_attack.paper",
    "load_dataset": "kldiv_attack.datasets",
    "load_run": "kldiv_attack._run",
    "load_study": "kldiv_attack._studies.result",
    "make_attacker": "kldiv_attack.attackers",
    "run_experiment": "kldiv_attack.experiment",
    "run_study": "kldiv_attack._studies.study",
    "study_config": "kldiv_attack._studies.settings",
    "table_1": "kldiv_attack._studies.table_1",
    "table_3": "kldiv_attack.paper",
    "train_judge": "kldiv_attack._classifier_training",
    "train_victim": "kldiv_attack._classifier_training",
}

__all__ = [
    "CONTROLS",
    "AuditReport",
    "Judge",
    "LabelledImages",
    "NeighbourJudge",
    "Run",
    "Study",
    "Victim",
    "adversarial_images",
    "audit",
    "clipped_coverage",
    "clipped_density",
    "evaluate_attack",
    "evaluate_pairs",
    "figure_2",
    "judge_attack",
    "load_dataset",
    "load_run",
    "load_study",
    "make_attacker",
    "run_experiment",
    "run_study",
    "study_config",
    "table_1",
    "table_3",
    "train_judge",
    "train_panel",
    "train_victim",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'kldiv_attack' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
