"""Model inversion attackers, all with the two verbs ``fit`` and ``invert``."""

from __future__ import annotations

import inspect
from typing import Any

from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._base import Attacker
from kldiv_attack.attackers._brep_mi import BREPMIAttacker
from kldiv_attack.attackers._cgan import CGANAttacker
from kldiv_attack.attackers._genetic import GeneticAttacker
from kldiv_attack.attackers._gmi import GMIAttacker
from kldiv_attack.attackers._known import Blur, Mask
from kldiv_attack.attackers._label_only import LabelOnlyAttacker
from kldiv_attack.attackers._lomma import LOMMAAttacker
from kldiv_attack.attackers._mi_face import MIFaceAttacker
from kldiv_attack.attackers._plg_mi import PLGMIAttacker
from kldiv_attack.attackers._preimage_gan import PreImageGANAttacker
from kldiv_attack.attackers._recorder import Recorder
from kldiv_attack.attackers._retrieval import RetrievalAttacker

__all__ = [
    "ATTACKERS",
    "Attacker",
    "BREPMIAttacker",
    "Blur",
    "CGANAttacker",
    "GMIAttacker",
    "GeneticAttacker",
    "LOMMAAttacker",
    "LabelOnlyAttacker",
    "MIFaceAttacker",
    "Mask",
    "PLGMIAttacker",
    "PreImageGANAttacker",
    "QueryAccess",
    "Recorder",
    "RetrievalAttacker",
    "make_attacker",
]


def __dir__() -> list[str]:
    return sorted(__all__)


ATTACKERS: dict[str, type[Attacker]] = {
    "brep_mi": BREPMIAttacker,
    "cgan": CGANAttacker,
    "genetic": GeneticAttacker,
    "gmi": GMIAttacker,
    "label_only": LabelOnlyAttacker,
    "lomma": LOMMAAttacker,
    "mi_face": MIFaceAttacker,
    "plg_mi": PLGMIAttacker,
    "preimage_gan": PreImageGANAttacker,
    "retrieval": RetrievalAttacker,
}


def make_attacker(name: str, **params: Any) -> Attacker:
    """Make an attacker by name.

    Parameters
    ----------
    name : str
        Key of ``ATTACKERS``.
    **params
        Parameters of its class.

    Returns
    -------
    Attacker
        Not fitted yet.

    Raises
    ------
    ValueError
        For an unknown name or parameter.

    Examples
    --------
    >>> make_attacker("cgan", steps=100).access
    'probabilities'
    """
    if name not in ATTACKERS:
        raise ValueError(f"attacker {name!r}: expected one of {sorted(ATTACKERS)}.")
    accepted = list(inspect.signature(ATTACKERS[name]).parameters)
    unknown = sorted(set(params) - set(accepted))
    if unknown:
        raise ValueError(
            f"attacker {name!r} has no parameter {', '.join(unknown)}; it accepts "
            f"{', '.join(accepted)}."
        )
    return ATTACKERS[name](**params)
