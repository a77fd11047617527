"""Model inversion attackers, victims and audits around :mod:`kldiv`."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers see of the names that are loaded on first use
    from kldiv_attack.audit import AuditReport, audit
    from kldiv_attack.evaluate import CONTROLS

# Public name -> module that defines it; loaded on first use.
_HOMES = {
    "AuditReport": "kldiv_attack.audit",
    "CONTROLS": "kldiv_attack.evaluate",
    "LabelledImages": "kldiv_attack.datasets",
    "Victim": "kldiv_attack.victim",
    "audit": "kldiv_attack.audit",
    "evaluate_attack": "kldiv_attack.evaluate",
    "evaluate_pairs": "kldiv_attack._fidelity",
    "figure_2": "kldiv_attack.paper",
    "load_dataset": "kldiv_attack.datasets",
    "make_attacker": "kldiv_attack.attackers",
    "run_experiment": "kldiv_attack.experiment",
    "table_1": "kldiv_attack._table1",
    "table_3": "kldiv_attack.paper",
    "train_victim": "kldiv_attack.victim",
}

__all__ = [
    "CONTROLS",
    "AuditReport",
    "LabelledImages",
    "Victim",
    "audit",
    "evaluate_attack",
    "evaluate_pairs",
    "figure_2",
    "load_dataset",
    "make_attacker",
    "run_experiment",
    "table_1",
    "table_3",
    "train_victim",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'kldiv_attack' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
