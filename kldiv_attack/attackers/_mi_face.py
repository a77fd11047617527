"""MI-Face: gradient descent on the pixels of one image, white box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kldiv_attack._classifier import resolve_device
from kldiv_attack._progress import progress
from kldiv_attack._rules import POSITIVE, Choice, Number, Rule, Whole, optional
from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._base import Attacker
from kldiv_attack.attackers._recorder import Recorder
from kldiv_attack.attackers._training import own_victim
from kldiv_attack.attackers._updates import frozen_copy
from kldiv_attack.datasets import LabelledImages

BATCH = 500
_BINOMIAL = (0.25, 0.5, 0.25)


class MIFaceAttacker(Attacker):
    r"""Gradient descent on the victim's confidence (Fredrikson et al., 2015).

    Algorithm 1 of the paper: start from an image, follow the gradient of the cost
    :math:`1 - f_c(x)`, and stop after ``steps`` steps, when the cost is no longer below
    the largest of the last ``patience`` ones, or when the victim is sure enough. The
    image of least cost is returned. There is nothing to learn, so ``fit`` copies the
    victim's network and ``invert`` does the work; no query is made and no public image
    is needed unless ``start="public"``.

    Deep networks are sure of images that nobody else recognises, so this attack
    convinces the victim and hardly anyone else. It is the classical baseline.

    Parameters
    ----------
    steps : int, default=5000
        Most steps per image, :math:`\alpha` in the paper.
    patience : int, default=100
        Steps without progress after which an image is left, :math:`\beta`.
    confidence : float, default=0.99
        Probability of the class at which an image is finished, :math:`1 - \gamma`.
    learning_rate : float, default=0.1
        Step length, :math:`\lambda`.
    cost : {"log", "probability"}, default="log"
        ``"probability"`` is the paper's :math:`1 - f_c(x)`, whose gradient vanishes
        where a deep network is sure of another class; ``"log"`` is
        :math:`-\log f_c(x)`, which has the same minima.
    process : {"denoise", None}, default=None
        What is done to the image before every step besides the restriction to [0, 1],
        the paper's PROCESS: ``"denoise"`` blurs it and sharpens the result, as the
        paper does with the reconstructions of autoencoders.
    start : {"blank", "public"}, default="blank"
        Black images as in the paper, or public images drawn at random.
    noise : float, default=0.1
        Size of the uniform noise that makes the starts of several images differ; the
        first image starts without.
    device : str, default="auto"
        Where to compute.
    random_state : int, default=0
        Seed of the starts.
    verbose : int, default=0
        1 shows progress bars.

    Attributes
    ----------
    network_ : torch.nn.Module
        Copy of the victim's network.

    References
    ----------
    .. [1] Fredrikson, Jha and Ristenpart, "Model inversion attacks that exploit
       confidence information and basic countermeasures", CCS 2015.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, make_attacker, train_victim
    >>> digits = load_dataset("digits", part="train")
    >>> victim = train_victim(digits, epochs=3, batch_size=32)
    >>> attacker = make_attacker("mi_face", steps=200).fit(victim, digits.images[:1])
    >>> attacker.invert([3, 8], 2).shape
    (2, 2, 1, 8, 8)
    """

    access = "gradients"
    rules: ClassVar[Mapping[str, Rule]] = {
        "steps": Whole(),
        "patience": Whole(),
        "confidence": Number(0, 1, low_too=False, high_too=False),
        "learning_rate": POSITIVE,
        "cost": Choice(("log", "probability")),
        "process": optional(Choice(("denoise",))),
        "start": Choice(("blank", "public")),
        "noise": Number(0, 1),
    }

    def __init__(
        self,
        *,
        steps: int = 5000,
        patience: int = 100,
        confidence: float = 0.99,
        learning_rate: float = 0.1,
        cost: str = "log",
        process: str | None = None,
        start: str = "blank",
        noise: float = 0.1,
        device: str | torch.device = "auto",
        random_state: int = 0,
        verbose: int = 0,
    ):
        self.steps = steps
        self.patience = patience
        self.confidence = confidence
        self.learning_rate = learning_rate
        self.cost = cost
        self.process = process
        self.start = start
        self.noise = noise
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _fit(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        recorder: Recorder | None,
    ) -> None:
        del recorder  # nothing is learnt
        self._keep(victim.network, images)

    def _fit_ideal(self, data: LabelledImages, recorder: Recorder | None) -> None:
        """The owner of the images needs no victim: train a network and invert it."""
        del recorder  # short enough to be done again
        self._find_reasons(data.labels, 1)
        network = own_victim(data, self.device, self.random_state)
        self._keep(network, data.images)

    def _keep(self, network: nn.Module, images: NDArray[np.float32]) -> None:
        place = resolve_device(self.device)
        self._place = place
        self.network_ = frozen_copy(network, place)
        self._public = images if self.start == "public" else images[:0]

    def _invert(self, label: int, n: int, random_state: int) -> NDArray[np.float32]:
        seed = [self.random_state, random_state, label]
        starts = self._starts(n, np.random.default_rng(seed))
        name = self.class_names_[label]
        parts = [
            self._descend(torch.from_numpy(part), label, name)
            for part in np.array_split(starts, -(-n // BATCH))
        ]
        return np.concatenate(parts)

    def _starts(self, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        if self.start == "public":
            rows = rng.choice(len(self._public), n, replace=n > len(self._public))
            starts = self._public[rows].astype(np.float64)
        else:
            starts = np.zeros((n, *self.image_shape_))
        noise = self.noise * rng.random(starts.shape)
        if self.start == "blank":
            noise[0] = 0
        return np.clip(starts + noise, 0, 1).astype(np.float32)

    def _descend(self, starts: Tensor, label: int, name: str) -> NDArray[np.float32]:
        """Images of least cost on the way down; each stops by itself."""
        place = self._place
        images = starts.to(place)
        best = images.clone()
        n = len(images)
        lowest = torch.full((n,), torch.inf, device=place)
        window = torch.full((self.patience, n), torch.inf, device=place)
        going = torch.arange(n, device=place)
        bar = progress(range(self.steps + 1), desc=f"invert {name}", leave=False,
                   disable=not self.verbose)  # fmt: skip
        for step in bar:
            costs, gradient, sure = self._cost(images, label)
            better = costs < lowest[going]
            lowest[going[better]] = costs[better]
            best[going[better]] = images[better]
            stuck = costs >= window.amax(0)
            window[step % self.patience] = costs
            goes_on = ~(stuck | sure)
            if not bool(goes_on.all()):
                going, window = going[goes_on], window[:, goes_on]
                images, gradient = images[goes_on], gradient[goes_on]
            if not len(going):
                break
            images = self._process(images - self.learning_rate * gradient)
        return best.cpu().numpy()

    def _cost(self, images: Tensor, label: int) -> tuple[Tensor, Tensor, Tensor]:
        """Cost, its gradient, and whether the victim is sure enough, per image."""
        images = images.detach().requires_grad_(True)
        with torch.enable_grad():
            log_sure = F.log_softmax(self.network_(images), 1)[:, label]
            costs = -log_sure if self.cost == "log" else -torch.expm1(log_sure)
            (gradient,) = torch.autograd.grad(costs.sum(), images)
        sure = log_sure.detach().exp() >= self.confidence
        return costs.detach(), gradient, sure

    def _process(self, images: Tensor) -> Tensor:
        if self.process == "denoise":
            smooth = blur(images)
            images = smooth + (smooth - blur(smooth))
        return images.clamp(0, 1)


def blur(images: Tensor) -> Tensor:
    """Binomial filter of 3 x 3 pixels; the border is repeated.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images.

    Returns
    -------
    Tensor
        Images of the same shape.
    """
    weights = torch.tensor(_BINOMIAL, device=images.device)
    channels = images.shape[1]
    kernel = torch.outer(weights, weights).expand(channels, 1, 3, 3)
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernel, groups=channels)
