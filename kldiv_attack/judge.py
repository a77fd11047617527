"""The classifier that scores reconstructions; never the victim."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kldiv_attack._classifier import Classifier
from kldiv_attack.victim import Victim


class Judge(Classifier):
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
    settings : dict, optional
        How the network was trained, for its file.

    See Also
    --------
    train_judge : Train one.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, train_judge
    >>> digits = load_dataset("digits")
    >>> judge = train_judge(digits, epochs=1, batch_size=32)
    >>> judge.predict(digits.images[:3]).shape, judge.features(digits.images[:3]).shape
    ((3,), (3, 64))
    """

    kind = "judge"

    def __repr__(self) -> str:
        return f"Judge({len(self.class_names)} classes)"

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


def fingerprints(images: Any) -> NDArray[np.uint64]:
    """A number for every image, equal where 8-bit pixels are equal.

    Parameters
    ----------
    images : array of shape (n, channels, height, width)
        Images in [0, 1].

    Returns
    -------
    ndarray of shape (n,), uint64
        Hashes.
    """
    pixels = np.rint(np.asarray(images) * 255).astype(np.uint8)
    hashed = b"".join(blake2b(row.tobytes(), digest_size=8).digest() for row in pixels)
    return np.frombuffer(hashed, dtype=np.uint64).copy()  # a writable one for torch
