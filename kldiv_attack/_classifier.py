"""A frozen classifier, where it computes, and its file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as packed
from torch import Tensor, nn

from kldiv_attack._files import write_atomic
from kldiv_attack.datasets import LabelledImages, check_images
from kldiv_attack.networks import NETWORKS, ImageShape

FORMAT = 1
#: Name of the training rows' hashes among the tensors of a file.
FINGERPRINTS = "training_rows"


BATCH = 1024


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

    Raises
    ------
    ValueError
        If it is no device, or none that this machine has.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if not isinstance(device, str | torch.device):
            raise TypeError(type(device))
        place = torch.device(device)
        torch.zeros(1, device=place).cpu()
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device={device!r}: expected 'auto', 'cpu', or a device that torch finds "
            "here, for instance 'cuda' or 'cuda:1' on a machine with GPUs."
        ) from error
    return place


@contextmanager
def within_memory(task: str) -> Iterator[None]:
    """Turn what torch's allocators say into a MemoryError that names the task.

    Parameters
    ----------
    task : str
        What is being done.

    Raises
    ------
    MemoryError
        If an allocator refused.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error).lower() for words in _NO_MEMORY):
            raise
        raise MemoryError(
            f"{task} needs more memory than there is. Lower width, n_noise or "
            "batch_size, or give fewer or smaller images."
        ) from error


# Of torch's allocators: CPU, CUDA, and sizes that no address reaches.
_NO_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "not enough memory",
    "storage size calculation overflowed",
)


def images_of_shape(
    images: Any, shape: ImageShape | None, kind: str
) -> NDArray[np.float32]:
    """Checked images; ValueError unless they have the shape asked for, if any."""
    pixels = check_images(images)
    if shape is not None and pixels.shape[1:] != shape:
        raise ValueError(
            f"{kind}: expected images of shape {shape}, got {pixels.shape[1:]}."
        )
    return pixels


class Classifier:
    """A frozen network in evaluation mode with a file format."""

    kind = ""
    #: Of the rows that it was trained on, where they are known.
    fingerprints: NDArray[np.uint64] | None = None

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
        pixels = images_of_shape(images, self.image_shape, self.kind)
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

        Raises
        ------
        RunError
            If the system refuses, for instance because the disk is full.
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
        if self.fingerprints is not None:
            tensors[FINGERPRINTS] = torch.from_numpy(self.fingerprints.view(np.int64))
        data = packed(tensors, metadata={"kldiv": json.dumps(header)})
        write_atomic(Path(path), data)

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
        except (SafetensorError, ValueError) as error:
            raise _damaged(path, error) from error
        if not isinstance(header, dict):
            raise _damaged(path, "its description is no mapping")
        if header.get("kind") != cls.kind or header.get("format") != FORMAT:
            raise ValueError(
                f"{path}: expected a {cls.kind} of format {FORMAT}, got "
                f"{header.get('kind')} of format {header.get('format')}."
            )
        rows = tensors.pop(FINGERPRINTS, None)
        try:
            shape, names = tuple(header["image_shape"]), header["class_names"]
            network = NETWORKS[header.get("network", cls.kind)](
                shape, len(names), header["width"]
            )
            network.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise _damaged(path, error) from error
        settings = {k: v for k, v in header.items() if k not in ("format", "kind")}
        found = cls(network, names, shape, device=device, settings=settings)
        if rows is not None:
            found.fingerprints = rows.numpy().view(np.uint64)
        return found


def _damaged(path: str | PathLike[str], why: Exception | str) -> ValueError:
    return ValueError(
        f"{path} is damaged or no safetensors file of ours "
        f"({' '.join(str(why).split())}); train again."
    )


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
