"""The classifier under attack: answers that are counted, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kldiv_attack._classifier import Classifier
from kldiv_attack.datasets._base import check_choice, to_array
from kldiv_attack.networks import ImageShape


class QueryBudgetExceeded(RuntimeError):
    """A query would cost more answers than the victim's budget still holds."""


class Victim(Classifier):
    """The classifier under attack: answers queries and counts them.

    Parameters
    ----------
    network : torch.nn.Module
        Maps images in [0, 1] to logits.
    class_names : sequence of str
        Names of the classes, in the order of the outputs.
    image_shape : tuple of int, optional
        Channels, height and width that the network accepts.
    answers : {"probabilities", "labels"}, default="probabilities"
        What a query returns.
    budget : int, optional
        Largest number of images that may be asked about; unlimited by default.
    device : str, default="auto"
        Where to compute.
    settings : dict, optional
        How the network was trained, for reports.

    Attributes
    ----------
    n_queries : int
        Number of images asked about so far.

    See Also
    --------
    train_victim : Train one.
    Victim.from_callable : Wrap a model of your own.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    >>> victim = Victim(network, ("cat", "dog"), (1, 8, 8), budget=5)
    >>> victim.query(np.zeros((3, 1, 8, 8), dtype=np.float32)).shape
    (3, 2)
    >>> victim.n_queries
    3
    """

    kind = "victim"

    def __init__(
        self,
        network: nn.Module,
        class_names: Sequence[str],
        image_shape: ImageShape | None = None,
        *,
        answers: str = "probabilities",
        budget: int | None = None,
        device: str | torch.device = "auto",
        settings: dict[str, Any] | None = None,
    ):
        super().__init__(
            network, class_names, image_shape, device=device, settings=settings
        )
        self.answers = check_choice("answers", answers, ("probabilities", "labels"))
        self.budget = budget
        self.n_queries = 0
        self.function: Callable[[NDArray[np.float32]], Any] | None = None

    @classmethod
    def from_callable(
        cls,
        function: Callable[[NDArray[np.float32]], Any],
        n_classes: int,
        *,
        class_names: Sequence[str] | None = None,
        image_shape: ImageShape | None = None,
        answers: str = "probabilities",
        budget: int | None = None,
    ) -> Victim:
        """Wrap a model of your own.

        Parameters
        ----------
        function : callable
            Takes float32 images of shape (n, channels, height, width) in [0, 1] and
            returns probabilities of shape (n, n_classes), or labels of shape (n,) with
            ``answers="labels"``. Every answer is checked.
        n_classes : int
            Number of classes.
        class_names : sequence of str, optional
            Names of the classes; by default their numbers.
        image_shape : tuple of int, optional
            Channels, height and width that the function accepts.
        answers : {"probabilities", "labels"}, default="probabilities"
            What the function returns.
        budget : int, optional
            Largest number of images that may be asked about.

        Returns
        -------
        Victim
            Without gradients: attacks that need them refuse it.
        """
        names = class_names or [str(label) for label in range(n_classes)]
        if len(names) != n_classes:
            raise ValueError(
                f"class_names: expected {n_classes} names, got {len(names)}."
            )
        victim = cls(
            nn.Identity(),
            names,
            image_shape,
            answers=answers,
            budget=budget,
            device="cpu",
        )
        victim.function = function
        return victim

    def __repr__(self) -> str:
        budget = "" if self.budget is None else f", budget={self.budget}"
        return (
            f"Victim({len(self.class_names)} classes, answers={self.answers!r}, "
            f"n_queries={self.n_queries}{budget})"
        )

    @property
    def has_gradients(self) -> bool:
        """Whether a white-box attack can reach the network."""
        return self.function is None

    def query(self, images: Any) -> NDArray[Any]:
        """Answer for every image, and count the images.

        Parameters
        ----------
        images : array-like of shape (n, channels, height, width)
            Images in [0, 1].

        Returns
        -------
        ndarray of shape (n, n_classes), float32, or of shape (n,), int64
            Probabilities, or labels if ``answers="labels"``.

        Raises
        ------
        QueryBudgetExceeded
            Before anything is answered, if the budget is too small for all images.
        """
        count = len(images)
        if self.budget is not None and self.n_queries + count > self.budget:
            raise QueryBudgetExceeded(
                f"query of {count} images after {self.n_queries} exceeds the budget of "
                f"{self.budget}; ask about fewer images or raise the budget."
            )
        answers = self._answer(images)
        self.n_queries += count
        return answers

    def __call__(self, images: Any) -> NDArray[Any]:
        """Same as :meth:`query`: a victim can stand where a function is expected."""
        return self.query(images)

    def _probabilities(self, images: Any) -> NDArray[np.float32]:
        if self.function is None:
            return super()._probabilities(images)
        answers = self._ask_function(images)
        if self.answers == "labels":
            answers = np.eye(self.n_classes, dtype=np.float32)[answers]
        return answers

    def _answer(self, images: Any) -> NDArray[Any]:
        if self.function is not None:
            return self._ask_function(images)
        probabilities = self._probabilities(images)
        if self.answers == "labels":
            labels: NDArray[np.int64] = probabilities.argmax(1)
            return labels
        return probabilities

    def _ask_function(self, images: Any) -> NDArray[Any]:
        function = self.function
        if function is None:
            raise TypeError("this victim wraps a network, not a function.")
        blocks = [
            check_answers(function(x.numpy()), len(x), self.n_classes, self.answers)
            for x in self._batches(images)
        ]
        if blocks:
            return np.concatenate(blocks)
        empty = (0,) if self.answers == "labels" else (0, self.n_classes)
        return np.empty(empty, np.int64 if self.answers == "labels" else np.float32)

    @contextmanager
    def frozen(self) -> Iterator[nn.Module]:
        """Hand out the network in evaluation mode without parameter gradients.

        Mode and flags are put back afterwards, whatever happened inside.
        """
        modes = [(module, module.training) for module in self.network.modules()]
        flags = [(p, p.requires_grad) for p in self.network.parameters()]
        try:
            yield self.network.eval().requires_grad_(False)
        finally:
            for module, mode in modes:
                module.training = mode
            for parameter, flag in flags:
                parameter.requires_grad_(flag)


def check_answers(
    answers: Any, n: int, n_classes: int, kind: str = "probabilities"
) -> NDArray[Any]:
    """Check what a user's model answered.

    Parameters
    ----------
    answers : array-like
        The answers.
    n : int
        Number of images asked about.
    n_classes : int
        Number of classes.
    kind : {"probabilities", "labels"}, default="probabilities"
        What was agreed.

    Returns
    -------
    ndarray
        float32 probabilities of shape (n, n_classes) or int64 labels of shape (n,).

    Raises
    ------
    ValueError
        Wrong shape, NaN, negative values, or rows that do not sum to one.
    """
    array = to_array(answers)
    expected = (n,) if kind == "labels" else (n, n_classes)
    if array.shape != expected:
        raise ValueError(
            f"victim: expected {kind} of shape {expected}, got {array.shape}."
        )
    if kind == "labels":
        if array.dtype.kind not in "iu":
            raise ValueError(f"victim: expected whole labels, got dtype {array.dtype}.")
        if n and (array.min() < 0 or array.max() >= n_classes):
            raise ValueError(
                f"victim: expected labels 0 to {n_classes - 1}, got {array.min()} to "
                f"{array.max()}."
            )
        return array.astype(np.int64)
    if not np.isfinite(array).all():
        rows = np.flatnonzero(~np.isfinite(array).all(1))
        raise ValueError(
            f"victim: {len(rows)} of {n} answers hold NaN or infinity, first for image "
            f"{rows[0]}."
        )
    sums = array.sum(1, dtype=np.float64)
    if n and (array.min() < 0 or np.abs(sums - 1).max() > 1e-3):
        raise ValueError(
            "victim: expected probabilities that sum to one, got sums "
            f"{sums.min():.4g} to {sums.max():.4g} and a smallest value of "
            f"{array.min():.4g}. Apply a softmax to logits."
        )
    return array.astype(np.float32)
