"""``--set NAME=VALUE`` of the command line, as parameters."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

# As Python writes what JSON writes otherwise.
_WORDS = {"True": True, "False": False, "None": None}


def parameters_of(given: Sequence[str]) -> dict[str, Any]:
    """Parameters from NAME=VALUE; values are JSON, Python's constants or plain words.

    Parameters
    ----------
    given : sequence of str
        What followed every ``--set``.

    Returns
    -------
    dict
        Parameters of the attacker.

    Raises
    ------
    ValueError
        For words without a sign, the name of an attacker, or a name given twice.
    """
    found: dict[str, Any] = {}
    for item in given:
        name, sign, text = item.partition("=")
        if not sign or not name:
            raise ValueError(f"--set {item}: expected NAME=VALUE.")
        if name in found:
            raise ValueError(f"--set {item}: {name} was set before; give it once.")
        found[name] = _value(text)
    return without_name(found, "--set")


def without_name(parameters: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The parameters, which must not choose another attacker in passing."""
    if "name" in parameters:
        raise ValueError(
            f"{where} name={parameters['name']}: expected a parameter of the attacker, "
            "got its name. The commands attack, study and audit take the attacker as "
            "--attacker, --attackers and --attack; demo and paper always use cgan."
        )
    return dict(parameters)


def _value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
