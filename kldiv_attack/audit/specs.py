"""The victim that a user names, as one object that answers batches of rows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack.audit.answers import Answers, read_answers
from kldiv_attack.audit.samples import Sample


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
    by_position : bool
        Whether numbers that it answers are known to be positions of classes.
    """

    name: str
    spec: str
    kind: str
    ask: Callable[[Any], Any] | None = None
    columns: Any = None
    table: NDArray[Any] | None = None
    network: Any = None
    caution: str = ""
    by_position: bool = False

    def reading(self, answers: Answers) -> Model:
        """The victim whose answers are read as these were."""
        return replace(self, by_position=answers.by_position)

    def answer(self, sample: Sample) -> Answers:
        """Checked answers to all rows of a sample, in one batch."""
        if self.ask is None:
            raise VictimError(f"{self.name}: only its answers are known.")
        try:
            raw = self.ask(sample.rows)
        except (Exception, SystemExit) as error:  # a model may raise anything
            why = " ".join(str(error).split()) or "no message"
            if isinstance(error, TypeError) and "takes 0 positional" in why:
                why += f". If it makes the model, write {self.spec}()"
            raise VictimError(
                f"victim {self.name} raised {type(error).__name__} for rows of shape "
                f"{tuple(sample.rows.shape)}: {why}"
            ) from error
        return read_answers(
            raw,
            len(sample),
            self.class_names,
            self.columns,
            f"victim {self.name}",
            by_position=self.by_position,
        )

    class_names: tuple[str, ...] = ()


def of_object(found: Any, device: str, **common: Any) -> Model:
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
            return of_network(found, device, "torch module", **common)
    for method in ("predict_proba", "predict"):
        if hasattr(found, method):
            return _of_estimator(found, getattr(found, method), **common)
    if hasattr(found, "network") and hasattr(found, "query"):
        return of_victim(found, **common)
    if not callable(found):
        raise VictimError(
            f"victim: {common['spec']} is a {type(found).__name__}; expected an "
            "estimator with predict_proba or predict, a torch module, or a function "
            "from a batch of rows to probabilities or labels."
        )
    return Model(kind="function", ask=found, **common)


def of_victim(victim: Any, **common: Any) -> Model:
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


def of_network(network: Any, device: str, kind: str, **common: Any) -> Model:
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(device)
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
