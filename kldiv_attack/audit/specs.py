"""The victim that a user names, as one object that answers batches of rows."""

import importlib
import importlib.util
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack.audit.answers import Answers, read_answers
from kldiv_attack.audit.paths import Sample, load_array, read_frame

_PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pth", ".ckpt")
_TABLES = (".csv", ".tsv", ".parquet", ".npy", ".npz")
RUNS_CODE = "reading it runs the code that it holds: only audit files you trust"


class VictimError(RuntimeError):
    """A victim that cannot be loaded or does not answer."""


@dataclass(frozen=True, eq=False)
class Model:
    """A victim: who it is and how it is asked.

    Attributes
    ----------
    name : str
        What reports call it.
    spec : str
        What the user named.
    kind : str
        Sort of model, for the report.
    ask : callable or None
        From rows to answers; None if only a table of answers is known.
    columns : sequence or None
        Classes of the columns of its probabilities, if it tells them.
    table : ndarray or None
        Answers to the auxiliary rows, one for each.
    network : torch.nn.Module or None
        What a white-box attack may reach.
    caution : str
        What a reader of the report must know about it.
    """

    name: str
    spec: str
    kind: str
    ask: Callable[[Any], Any] | None = None
    columns: Any = None
    table: NDArray[Any] | None = None
    network: Any = None
    caution: str = ""

    def answer(self, sample: Sample) -> Answers:
        """Checked answers to all rows of a sample, in one batch."""
        if self.ask is None:
            raise VictimError(f"{self.name}: only its answers are known.")
        try:
            raw = self.ask(sample.rows)
        except Exception as error:  # anything may come out of a user's model
            why = " ".join(str(error).split()) or "no message"
            raise VictimError(
                f"victim {self.name} raised {type(error).__name__} for rows of shape "
                f"{tuple(sample.rows.shape)}: {why}"
            ) from error
        return read_answers(
            raw, len(sample), self.class_names, self.columns, f"victim {self.name}"
        )

    class_names: tuple[str, ...] = ()


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
        What reports call it; by default what was named.
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
        return _of_object(spec, device, name=label, **{**common, "spec": label})
    text = os.fspath(spec)
    common["name"] = name or text
    weights, sign, architecture = text.partition("@")
    if sign and weights.endswith(".safetensors"):
        network = _with_weights(_import(architecture), Path(weights), device)
        return _of_object(network, device, **common)
    path = Path(text)
    if path.exists() or path.suffix.lower() in (*_PICKLES, *_TABLES, *_READERS):
        return _from_file(path, device, common)
    return _of_object(_import(text), device, **common)


def _from_file(path: Path, device: str, common: dict[str, Any]) -> Model:
    if not path.is_file():
        raise FileNotFoundError(f"victim: {path} not found.")
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return _of_table(path, common)
    if suffix in _PICKLES or _is_pickle(path):
        raise VictimError(
            f"victim: {path} is a pickle, and reading a pickle runs whatever code it "
            "holds. Store the model with skops (skops.io.dump), ONNX, torch.export or "
            "safetensors, or name it in code of your own: --victim package.module:name."
        )
    if suffix not in _READERS:
        raise VictimError(
            f"victim: {path} ends in {suffix or 'nothing'}; expected one of "
            f"{', '.join([*_READERS, *_TABLES])}, or package.module:name."
        )
    return _READERS[suffix](path, device, common)


def _is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, or an archive of ``torch.save`` without code."""
    with open(path, "rb") as file:
        start = file.read(2)
    if start[:1] == b"\x80":
        return True
    if path.suffix.lower() not in (".pt", ".ts") or start != b"PK":
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return not any("/code/" in n or n.endswith("constants.pkl") for n in names)


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
    except Exception as error:  # a user's module may raise anything
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


def _of_object(found: Any, device: str, **common: Any) -> Model:
    if isinstance(found, Model):
        return found
    if isinstance(found, type):
        raise VictimError(
            f"victim: {common['spec']} is a class; name an object, or add () to make "
            "one."
        )
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        if isinstance(found, torch.nn.Module):
            return _of_network(found, device, "torch module", **common)
    for method in ("predict_proba", "predict"):
        if hasattr(found, method):
            return _of_estimator(found, getattr(found, method), **common)
    if hasattr(found, "network") and hasattr(found, "query"):
        return _of_victim(found, **common)
    if not callable(found):
        raise VictimError(
            f"victim: {common['spec']} is a {type(found).__name__}; expected an "
            "estimator with predict_proba or predict, a torch module, or a function "
            "from a batch of rows to probabilities or labels."
        )
    return Model(kind="function", ask=found, **common)


def _of_victim(victim: Any, **common: Any) -> Model:
    network = victim.network if victim.has_gradients else None
    return Model(
        kind="kldiv_attack.Victim",
        ask=victim.query,
        columns=list(victim.class_names),
        network=network,
        **common,
    )


def _of_estimator(model: Any, method: Callable[[Any], Any], **common: Any) -> Model:
    names = getattr(model, "feature_names_in_", None)

    def ask(rows: Any) -> Any:
        if isinstance(rows, np.ndarray):
            rows = rows.reshape(len(rows), -1)
            if names is not None and len(names) == rows.shape[1]:
                import pandas as pd

                rows = pd.DataFrame(rows, columns=names)
        return method(rows)

    classes = getattr(model, "classes_", None)
    with_columns = method.__name__ == "predict_proba" and classes is not None
    columns = _whole(classes) if with_columns else None
    return Model(kind=type(model).__name__, ask=ask, columns=columns, **common)


def _whole(classes: Any) -> list[Any]:
    """Names of classes as they are read from tables: 1.0 is called 1."""
    array = np.asarray(classes)
    if array.dtype.kind == "f" and (array == np.floor(array)).all():
        array = array.astype(np.int64)
    found: list[Any] = array.tolist()
    return found


def _of_network(network: Any, device: str, kind: str, **common: Any) -> Model:
    import torch

    from kldiv_attack.victim import resolve_device

    place = resolve_device(device)
    if hasattr(network, "eval") and kind == "torch module":
        network = network.to(place).eval().requires_grad_(False)

    @torch.no_grad()
    def ask(rows: Any) -> Any:
        batch = torch.from_numpy(np.asarray(rows, dtype=np.float32)).to(place)
        answers = network(batch)
        if answers.ndim != 2 or answers.shape[1] == 1:
            return answers.cpu().numpy()
        sums = answers.sum(1)
        if bool((answers >= 0).all()) and bool(torch.allclose(sums, sums.new_ones(1))):
            return answers.cpu().numpy()
        return answers.double().softmax(1).cpu().numpy()

    reach = network if kind == "torch module" else None
    return Model(kind=kind, ask=ask, network=reach, **common)


def _with_weights(network: Any, weights: Path, device: str) -> Any:
    from safetensors.torch import load_file

    del device
    if isinstance(network, type):
        network = network()
    try:
        network.load_state_dict(load_file(weights))
    except (OSError, RuntimeError, ValueError, AttributeError) as error:
        why = " ".join(str(error).split())
        raise VictimError(f"victim: weights of {weights} do not fit: {why}") from error
    return network


# -- files -----------------------------------------------------------------------------


def _of_table(path: Path, common: dict[str, Any]) -> Model:
    columns = None
    if path.suffix.lower() in (".npy", ".npz"):
        stored = load_array(path)
        if path.suffix.lower() == ".npz":
            if len(stored.files) != 1:
                raise VictimError(
                    f"victim: {path} holds {len(stored.files)} arrays; expected one, "
                    "the answers to the auxiliary rows."
                )
            stored = stored[stored.files[0]]
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


def _of_export(path: Path, device: str, common: dict[str, Any]) -> Model:
    import torch

    try:
        network = torch.export.load(path).module()
    except Exception as error:  # the reader raises what it likes
        why = " ".join(str(error).split())[:300]
        raise VictimError(f"victim: {path} could not be read: {why}") from error
    kind = "torch.export file"
    return _of_network(network, "cpu", kind, caution=RUNS_CODE, **common)


def _of_script(path: Path, device: str, common: dict[str, Any]) -> Model:
    import warnings

    import torch

    try:
        with warnings.catch_warnings():  # of torch, about TorchScript itself
            warnings.simplefilter("ignore", DeprecationWarning)
            network = torch.jit.load(path, map_location="cpu").eval()
    except Exception as error:  # the reader raises what it likes
        why = " ".join(str(error).split())[:300]
        raise VictimError(f"victim: {path} could not be read: {why}") from error
    kind = "TorchScript file"
    return _of_network(network, "cpu", kind, caution=RUNS_CODE, **common)


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
    return _of_object(model, "cpu", **common)


def _of_safetensors(path: Path, device: str, common: dict[str, Any]) -> Model:
    from kldiv_attack import Victim

    try:
        victim = Victim.load(path, device=device)
    except (ValueError, KeyError) as error:
        raise VictimError(
            f"victim: {path} holds weights without their network; name its class: "
            f"--victim {path}@package.module:Class."
        ) from error
    return _of_victim(victim, **common)


_READERS: dict[str, Callable[[Path, str, dict[str, Any]], Model]] = {
    ".onnx": _of_onnx,
    ".pt2": _of_export,
    ".pt": _of_script,
    ".ts": _of_script,
    ".skops": _of_skops,
    ".safetensors": _of_safetensors,
}
