"""From what a user names to a victim."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from kldiv_attack.audit.model_files import SUFFIXES, model_of_file
from kldiv_attack.audit.specs import Model, VictimError, of_object


def load_model(
    spec: Any,
    name: str | None = None,
    *,
    class_names: tuple[str, ...],
    device: str = "auto",
) -> Model:
    """Turn what the user named into a model.

    Parameters
    ----------
    spec : str or object
        ``package.module:name`` or ``file.py:name`` (``name()`` is called first), an
        ONNX, ``torch.export``, TorchScript or skops file, ``weights.safetensors@SPEC``
        with the class of the network, a table of answers, or a model itself.
    name : str, optional
        What reports call it; by default what was named, without its folder.
    class_names : tuple of str
        Classes of the training rows, in order.
    device : str, default="auto"
        Where networks compute.

    Returns
    -------
    Model
        Not asked yet.

    Raises
    ------
    VictimError, FileNotFoundError, ImportError
        If it cannot be loaded, with the way out.
    """
    common = {"spec": str(spec), "class_names": class_names}
    if not isinstance(spec, str | os.PathLike):
        label = name or type(spec).__name__
        return of_object(spec, device, name=label, **{**common, "spec": label})
    text = os.fspath(spec)
    weights, sign, architecture = text.partition("@")
    common["name"] = name or Path(weights).name
    if sign and weights.endswith(".safetensors"):
        network = _with_weights(_import(architecture), Path(weights), device)
        return of_object(network, device, **common)
    path = Path(text)
    if path.exists() or path.suffix.lower() in SUFFIXES:
        return model_of_file(path, device, common)
    return of_object(_import(text), device, **common)


def _import(text: str) -> Any:
    module_name, sign, attribute = text.partition(":")
    if not sign or not attribute or not module_name:
        raise VictimError(
            f"victim: {text} is no file and not of the form package.module:name."
        )
    called = attribute.endswith("()")
    try:
        found = _module(module_name)
        for part in attribute.removesuffix("()").split("."):
            found = getattr(found, part)
        return found() if called else found
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        why = " ".join(str(error).split())
        raise VictimError(
            f"victim: {text} could not be loaded: {type(error).__name__}: {why}"
        ) from error


def _module(name: str) -> Any:
    if not name.endswith(".py"):
        if "" not in sys.path and os.getcwd() not in sys.path:
            sys.path.insert(0, os.getcwd())  # as python -m does; a script does not
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None or not Path(name).is_file():
        raise FileNotFoundError(f"{name} not found.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _with_weights(network: Any, weights: Path, device: str) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    del device
    if isinstance(network, type):
        network = network()
    try:
        network.load_state_dict(load_file(weights))
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        ValueError,
        AttributeError,
    ) as error:
        why = " ".join(str(error).split())
        raise VictimError(f"victim: weights of {weights} do not fit: {why}") from error
    return network
