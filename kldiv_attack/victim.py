"""The classifier under attack, and the different one that judges attacks."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from kldiv_attack.datasets import LabelledImages, check_images
from kldiv_attack.datasets._base import check_choice
from kldiv_attack.networks import NETWORKS, ImageShape

logger = logging.getLogger(__name__)

FORMAT = 1
BATCH = 1024


class QueryBudgetExceeded(RuntimeError):
    """A query would cost more answers than the victim's budget still holds."""


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Turn "auto" into CUDA if there is a device, else the CPU.

    Parameters
    ----------
    device : str or torch.device, default="auto"
        Anything that torch accepts, or "auto".

    Returns
    -------
    torch.device
        Where to compute.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


class _Classifier:
    """A frozen network in evaluation mode with a file format."""

    kind = ""

    def __init__(
        self,
        network: nn.Module,
        class_names: Sequence[str],
        image_shape: ImageShape | None = None,
        *,
        device: str | torch.device = "auto",
        settings: dict[str, Any] | None = None,
    ):
        self.class_names = tuple(map(str, class_names))
        self.image_shape = image_shape
        self.device = resolve_device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self._settings = settings

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    def _batches(self, images: Any) -> Iterator[Tensor]:
        pixels = check_images(images)
        if self.image_shape is not None and pixels.shape[1:] != self.image_shape:
            raise ValueError(
                f"{self.kind}: expected images of shape {self.image_shape}, got "
                f"{pixels.shape[1:]}."
            )
        for start in range(0, len(pixels), BATCH):
            yield torch.from_numpy(pixels[start : start + BATCH]).to(self.device)

    @torch.no_grad()
    def _probabilities(self, images: Any) -> NDArray[np.float32]:
        blocks = [
            check_logits(self.network(x), len(x), self.n_classes, self.kind)
            .softmax(1)
            .cpu()
            .numpy()
            for x in self._batches(images)
        ]
        return np.concatenate([np.empty((0, self.n_classes), np.float32), *blocks])

    def accuracy(self, data: LabelledImages) -> float:
        """Share of images whose most probable class is their label.

        Parameters
        ----------
        data : LabelledImages
            Labelled images; not counted as queries.

        Returns
        -------
        float
            Between 0 and 1.
        """
        if not len(data):
            raise ValueError(f"accuracy: {data.name} holds no image.")
        return float((self._probabilities(data.images).argmax(1) == data.labels).mean())

    def save(self, path: str | PathLike[str]) -> None:
        """Write network and settings to a safetensors file.

        The file is written under a temporary name and renamed when complete.

        Parameters
        ----------
        path : path
            File to write.
        """
        if self._settings is None:
            raise ValueError(
                f"{self.kind}: only networks trained here can be saved; keep your own "
                "model in your own format."
            )
        header = {"format": FORMAT, "kind": self.kind, **self._settings}
        tensors = {
            k: v.contiguous().cpu() for k, v in self.network.state_dict().items()
        }
        temporary = Path(f"{os.fspath(path)}.tmp")
        try:
            save_file(tensors, temporary, metadata={"kldiv": json.dumps(header)})
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(
        cls, path: str | PathLike[str], *, device: str | torch.device = "auto"
    ) -> Self:
        """Read a file that :meth:`save` wrote.

        Parameters
        ----------
        path : path
            File to read.
        device : str, default="auto"
            Where to compute.

        Returns
        -------
        Victim or Judge
            With a fresh query counter.

        Raises
        ------
        ValueError
            If the file is damaged, of another kind or of another version.
        """
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads((file.metadata() or {}).get("kldiv", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(
                f"{path} is damaged or no safetensors file ({error}); train again."
            ) from error
        if header.get("kind") != cls.kind or header.get("format") != FORMAT:
            raise ValueError(
                f"{path}: expected a {cls.kind} of format {FORMAT}, got "
                f"{header.get('kind')} of format {header.get('format')}."
            )
        shape = tuple(header["image_shape"])
        network = NETWORKS[cls.kind](shape, len(header["class_names"]), header["width"])
        network.load_state_dict(tensors)
        settings = {k: v for k, v in header.items() if k not in ("format", "kind")}
        return cls(
            network, header["class_names"], shape, device=device, settings=settings
        )


class Victim(_Classifier):
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
    ) -> "Victim":
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
    if hasattr(answers, "detach"):
        answers = answers.detach().cpu().numpy()
    array = np.asarray(answers)
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


def check_logits(
    logits: Tensor, n: int, n_classes: int, kind: str = "victim"
) -> Tensor:
    """Check what a network returned.

    Parameters
    ----------
    logits : Tensor
        The outputs.
    n : int
        Number of images.
    n_classes : int
        Number of classes.
    kind : str, default="victim"
        What to call the network in a message.

    Returns
    -------
    Tensor
        The same.

    Raises
    ------
    ValueError
        Wrong shape, NaN or infinity.
    """
    if logits.shape != (n, n_classes):
        raise ValueError(
            f"{kind}: expected logits of shape {(n, n_classes)}, the network returned "
            f"{tuple(logits.shape)}. Give as many class names as it has outputs."
        )
    broken = torch.isnan(logits).any(1) | (logits == torch.inf).any(1)
    if bool(broken.any()):
        rows = broken.nonzero()
        raise ValueError(
            f"{kind}: the network returned NaN or infinity for {len(rows)} of {n} "
            f"images, first for image {int(rows[0])}; check its weights."
        )
    return logits


class Judge(_Classifier):
    """Classifier that scores reconstructions; never the victim.

    Parameters
    ----------
    network : torch.nn.Module
        Maps images in [0, 1] to logits, with a method ``features``.
    class_names : sequence of str
        Names of the classes, in the order of the outputs.
    image_shape : tuple of int, optional
        Channels, height and width that the network accepts.
    device : str, default="auto"
        Where to compute.

    See Also
    --------
    train_judge : Train one.
    check_judge : Refuses a judge that is the victim.
    """

    kind = "judge"

    def probabilities(self, images: Any) -> NDArray[np.float32]:
        """Class probabilities of shape (n, n_classes).

        Parameters
        ----------
        images : array-like of shape (n, channels, height, width)
            Images in [0, 1].

        Returns
        -------
        ndarray of float32
            Rows sum to one.
        """
        return self._probabilities(images)

    def predict(self, images: Any) -> NDArray[np.int64]:
        """Most probable class of every image.

        Parameters
        ----------
        images : array-like of shape (n, channels, height, width)
            Images in [0, 1].

        Returns
        -------
        ndarray of int64
            Labels.
        """
        labels: NDArray[np.int64] = self._probabilities(images).argmax(1)
        return labels

    @torch.no_grad()
    def features(self, images: Any) -> NDArray[np.float32]:
        """Values before the last layer.

        Parameters
        ----------
        images : array-like of shape (n, channels, height, width)
            Images in [0, 1].

        Returns
        -------
        ndarray of float32, shape (n, n_features)
            Features in which coverage is measured.
        """
        network: Any = self.network
        blocks = [network.features(x).cpu().numpy() for x in self._batches(images)]
        width = getattr(network, "n_features", 0)
        return np.concatenate([np.empty((0, width), np.float32), *blocks])


def check_judge(judge: Judge, victim: Victim) -> None:
    """Refuse a judge that is the victim.

    Parameters
    ----------
    judge : Judge
        Classifier that is to score reconstructions.
    victim : Victim
        Classifier that was attacked.

    Raises
    ------
    ValueError
        If both share the network, or hold the same parameters.
    """
    asked = getattr(victim.function, "__self__", None)
    same = judge.network is victim.network or asked is judge
    if not same:
        ours, theirs = judge.network.state_dict(), victim.network.state_dict()
        same = len(ours) > 0 and list(ours) == list(theirs)
        same = same and all(
            ours[k].shape == theirs[k].shape
            and bool((ours[k].cpu() == theirs[k].cpu()).all())
            for k in ours
        )
    if same:
        raise ValueError(
            "the judge is the victim: an attack always pleases the classifier it was "
            "made against. Train another one with train_judge."
        )


def train_victim(
    data: LabelledImages,
    *,
    epochs: int = 6,
    width: int = 16,
    batch_size: int = 256,
    learning_rate: float = 4e-3,
    val: LabelledImages | None = None,
    device: str | torch.device = "auto",
    random_state: int = 0,
    verbose: int = 0,
) -> Victim:
    """Train a small convolutional classifier to be attacked.

    Parameters
    ----------
    data : LabelledImages
        Private images; sides of at least 8 pixels.
    epochs : int, default=6
        Passes over the data.
    width : int, default=16
        Channels of the first convolution.
    batch_size : int, default=256
        Images per step.
    learning_rate : float, default=4e-3
        Peak of the one-cycle schedule.
    val : LabelledImages, optional
        Held-out images; their accuracy is logged after every epoch.
    device : str, default="auto"
        Where to compute.
    random_state : int, default=0
        Seed; the same seed gives the same network on one CPU.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Victim
        Frozen, in evaluation mode.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, train_victim
    >>> digits = load_dataset("digits", part="train")
    >>> victim = train_victim(digits, epochs=3, batch_size=32)
    >>> answers = victim.query(digits.images).argmax(axis=1)
    >>> bool((answers == digits.labels).mean() > 0.8)
    True
    """
    network, settings = _train(
        "victim", data, epochs, width, batch_size, learning_rate, 0.0, val, device,
        random_state, verbose,
    )  # fmt: skip
    return Victim(
        network, data.class_names, data.image_shape, device=device, settings=settings
    )


def train_judge(
    data: LabelledImages,
    *,
    epochs: int = 5,
    width: int = 16,
    batch_size: int = 256,
    learning_rate: float = 4e-3,
    augment: float = 1.0,
    val: LabelledImages | None = None,
    device: str | torch.device = "auto",
    random_state: int = 1,
    verbose: int = 0,
) -> Judge:
    """Train the classifier that judges reconstructions.

    Another architecture than the victim's, other initial values, and random affine
    maps of the images, so that it does not share the victim's blind spots.

    Parameters
    ----------
    data : LabelledImages
        Labelled images of the victim's classes.
    epochs : int, default=5
        Passes over the data.
    width : int, default=16
        Channels of the first convolution.
    batch_size : int, default=256
        Images per step.
    learning_rate : float, default=4e-3
        Peak of the one-cycle schedule.
    augment : float, default=1.0
        Strength of the random affine maps; 0 turns them off.
    val : LabelledImages, optional
        Held-out images; their accuracy is logged after every epoch.
    device : str, default="auto"
        Where to compute.
    random_state : int, default=1
        Seed.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Judge
        Frozen, in evaluation mode.
    """
    network, settings = _train(
        "judge", data, epochs, width, batch_size, learning_rate, augment, val, device,
        random_state, verbose,
    )  # fmt: skip
    return Judge(
        network, data.class_names, data.image_shape, device=device, settings=settings
    )


def _train(
    kind: str,
    data: LabelledImages,
    epochs: int,
    width: int,
    batch_size: int,
    learning_rate: float,
    augment: float,
    val: LabelledImages | None,
    device: str | torch.device,
    random_state: int,
    verbose: int,
) -> tuple[nn.Module, dict[str, Any]]:
    if min(data.image_shape[1:]) < 8:
        raise ValueError(
            f"{kind}: expected images of at least 8 x 8 pixels, got "
            f"{data.image_shape[1]} x {data.image_shape[2]}."
        )
    if len(data) < 2 or epochs < 1:
        raise ValueError(
            f"{kind}: expected at least 2 images and 1 epoch, got {len(data)} images "
            f"and epochs={epochs}."
        )
    place = resolve_device(device)
    with seeded(random_state):
        network = NETWORKS[kind](data.image_shape, data.n_classes, width).to(place)
    generator = torch.Generator().manual_seed(random_state)
    images = torch.from_numpy(data.images).to(place)
    labels = torch.from_numpy(data.labels).to(place)
    batch_size = min(batch_size, len(data))
    per_epoch = len(data) // batch_size
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * per_epoch
    )
    with tqdm(
        total=epochs * per_epoch, desc=f"train {kind}", disable=not verbose
    ) as bar:
        for epoch in range(epochs):
            network.train()
            order = torch.randperm(len(data), generator=generator).to(place)
            for rows in torch.split(order[: per_epoch * batch_size], batch_size):
                batch = images[rows]
                if augment:
                    batch = random_affine(batch, augment, generator)
                loss = F.cross_entropy(network(batch), labels[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                bar.update()
            _log_epoch(kind, network, data, val, epoch, place)
    settings = {
        "class_names": data.class_names,
        "image_shape": data.image_shape,
        "width": width,
        "epochs": epochs,
        "random_state": random_state,
        "trained_on": data.name,
        "n_train": len(data),
    }
    return network, settings


def _log_epoch(
    kind: str,
    network: nn.Module,
    data: LabelledImages,
    val: LabelledImages | None,
    epoch: int,
    place: torch.device,
) -> None:
    if val is not None:
        judged = _Classifier(network, data.class_names, data.image_shape, device=place)
        logger.info(
            "%s epoch %d: %.4f on %s", kind, epoch, judged.accuracy(val), val.name
        )
        network.requires_grad_(True)


def random_affine(
    images: Tensor, strength: float, generator: torch.Generator
) -> Tensor:
    """Turn, scale, shear and move every image a little.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.
    strength : float
        1 means turns of about 0.15 rad, scales of 10 % and moves of 7 %.
    generator : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    Tensor
        Images of the same shape.
    """
    n = len(images)
    sizes = strength * torch.tensor([[0.1, 0.15, 0.07], [0.15, 0.1, 0.07]])
    theta = sizes * torch.randn(n, 2, 3, generator=generator)
    theta[:, 0, 0] += 1
    theta[:, 1, 1] += 1
    grid = F.affine_grid(
        theta.to(images.device), list(images.shape), align_corners=False
    )
    return F.grid_sample(images, grid, align_corners=False)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch for the initial values of networks, then put its state back."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
