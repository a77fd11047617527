"""Victims that are stored in files; nothing is unpickled."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kldiv_attack.audit.paths import load_array, read_frame
from kldiv_attack.audit.specs import (
    Model,
    VictimError,
    of_network,
    of_object,
    of_victim,
)

PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pth", ".ckpt")
TABLES = (".csv", ".tsv", ".parquet", ".npy", ".npz")
RUNS_CODE = "reading it runs the code that it holds: only audit files you trust"


def model_of_file(path: Path, device: str, common: dict[str, Any]) -> Model:
    if not path.is_file():
        raise FileNotFoundError(f"victim: {path} not found.")
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return _of_table(path, common)
    if suffix in PICKLES or _is_pickle(path):
        raise VictimError(
            f"victim: {path} is a pickle, and reading a pickle runs whatever code it "
            "holds. Store the model with skops (skops.io.dump), ONNX, torch.export or "
            "safetensors, or name it in code of your own: --victim package.module:name."
        )
    if suffix not in READERS:
        raise VictimError(
            f"victim: {path} ends in {suffix or 'nothing'}; expected one of "
            f"{', '.join([*READERS, *TABLES])}, or package.module:name."
        )
    return READERS[suffix](path, device, common)


def digest_of(spec: str) -> str:
    """What tells a file from another one of its name; nothing for a model of code.

    Parameters
    ----------
    spec : str
        A victim as the user named it. Code may be mended before an audit goes on,
        whereas another file is another model.

    Returns
    -------
    str
        SHA-256 of the file, or "".
    """
    path = Path(spec.partition("@")[0])
    if path.suffix.lower() not in (*TABLES, *READERS) or not path.is_file():
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, or an archive of ``torch.save`` without code."""
    with open(path, "rb") as file:
        start = file.read(2)
    if start[:1] == b"\x80":
        return True
    if path.suffix.lower() not in (".pt", ".ts") or start != b"PK":
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return False
    return not any("/code/" in n or n.endswith("constants.pkl") for n in names)


def _of_table(path: Path, common: dict[str, Any]) -> Model:
    columns = None
    if path.suffix.lower() in (".npy", ".npz"):
        stored = load_array(path)
        if isinstance(stored, dict):
            if len(stored) != 1:
                raise VictimError(
                    f"victim: {path} holds {len(stored)} arrays; expected one, the "
                    "answers to the auxiliary rows."
                )
            (stored,) = stored.values()
    else:
        frame = read_frame(path)
        columns = [str(column) for column in frame.columns]
        stored = frame.to_numpy()
        if stored.shape[1] == 1:
            stored, columns = stored[:, 0], None
    return Model(kind="answers only", table=stored, columns=columns, **common)


def _of_onnx(path: Path, device: str, common: dict[str, Any]) -> Model:
    del device
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"{path}: ONNX files need onnxruntime: pip install 'kldiv[onnx]'"
        ) from error
    try:
        session = onnxruntime.InferenceSession(
            os.fspath(path), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has exceptions of its own
        why = " ".join(str(error).split())
        raise VictimError(f"victim: {path} could not be read: {why}") from error
    entry = session.get_inputs()[0]

    def ask(rows: Any) -> Any:
        kind = np.float64 if "double" in entry.type else np.float32
        batch = np.ascontiguousarray(rows, dtype=kind)
        if len(entry.shape) == 2:
            batch = batch.reshape(len(batch), -1)
        return _probabilities_of(session.run(None, {entry.name: batch}))

    return Model(kind="ONNX", ask=ask, **common)


def _probabilities_of(outputs: list[Any]) -> Any:
    """The probabilities among the outputs of an ONNX graph, or the labels."""
    for output in outputs:
        if isinstance(output, list) and output and isinstance(output[0], dict):
            return np.array([list(row.values()) for row in output])
    arrays = [np.asarray(output) for output in outputs]
    tables = [a for a in arrays if a.ndim == 2 and a.shape[1] > 1]
    if not tables:
        return arrays[0]
    table = tables[0].astype(np.float64)
    if table.min() < 0 or np.abs(table.sum(1) - 1).max() > 1e-3:
        shifted = np.exp(table - table.max(1, keepdims=True))
        table = shifted / shifted.sum(1, keepdims=True)
    return table


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Nothing is logged under a name."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _of_export(path: Path, device: str, common: dict[str, Any]) -> Model:
    import torch

    try:
        with _silent("torch.export"):  # it logs what it raises
            network = torch.export.load(path).module()
    except Exception as error:  # the reader raises what it likes
        why = " ".join(str(error).split())[:300]
        raise VictimError(f"victim: {path} could not be read: {why}") from error
    kind = "torch.export file"
    return of_network(network, device, kind, caution=RUNS_CODE, **common)


def _of_script(path: Path, device: str, common: dict[str, Any]) -> Model:
    import torch

    try:
        with warnings.catch_warnings():  # torch would rather have another format
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(path, map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except Exception as error:  # the reader raises what it likes
        why = " ".join(str(error).split())[:300]
        raise VictimError(f"victim: {path} could not be read: {why}") from error
    kind = "TorchScript file"
    return of_network(network, device, kind, caution=RUNS_CODE, **common)


def _of_skops(path: Path, device: str, common: dict[str, Any]) -> Model:
    del device
    try:
        from skops import io
    except ImportError as error:
        raise ImportError(
            f"{path}: skops files need skops: pip install 'kldiv[skops]'"
        ) from error
    try:
        unknown = io.get_untrusted_types(file=path)
        if unknown:
            raise VictimError(
                f"victim: {path} holds types that skops does not trust: "
                f"{', '.join(unknown[:5])}. Load it in code of your own and name that: "
                "--victim package.module:name."
            )
        model = io.load(path)
    except VictimError:
        raise
    except Exception as error:  # a damaged archive
        why = " ".join(str(error).split())
        raise VictimError(f"victim: {path} could not be read: {why}") from error
    return of_object(model, "cpu", **common)


def _of_safetensors(path: Path, device: str, common: dict[str, Any]) -> Model:
    from kldiv_attack.victim import Victim

    try:
        victim = Victim.load(path, device=device)
    except (ValueError, KeyError) as error:
        raise VictimError(
            f"victim: {path} holds weights without their network; name its class: "
            f"--victim {path}@package.module:Class."
        ) from error
    return of_victim(victim, **common)


READERS: dict[str, Callable[[Path, str, dict[str, Any]], Model]] = {
    ".onnx": _of_onnx,
    ".pt2": _of_export,
    ".pt": _of_script,
    ".ts": _of_script,
    ".skops": _of_skops,
    ".safetensors": _of_safetensors,
}

SUFFIXES = (*PICKLES, *TABLES, *READERS)
