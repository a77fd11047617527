"""GMI: search the latent space of a GAN of public images for what the victim knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kldiv_attack._classifier import resolve_device
from kldiv_attack._progress import progress
from kldiv_attack._rules import AMOUNT, POSITIVE, Rule, Whole
from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._recorder import Recorder, Snapshot
from kldiv_attack.attackers._stepping import Draws, drawn
from kldiv_attack.attackers._training import own_victim, train
from kldiv_attack.attackers._updates import draw_shifts, frozen_copy, translate
from kldiv_attack.attackers._wasserstein import GMITraining, WassersteinAttacker
from kldiv_attack.datasets import LabelledImages, check_labels

CHUNK = 500  # noise vectors that are improved together


class GMIAttacker(WassersteinAttacker):
    r"""Latent search for images that look public and that the victim recognises.

    A generator :math:`G` and a critic :math:`D` learn public images alone, without the
    victim. ``invert`` then follows the victim's gradient from random noise to

    .. math:: \min_z \; -D(G(z)) + \lambda \, \mathrm{CE}(f(G(z)), c),

    several times per image, and keeps the result of which the victim is surest (Zhang
    et al., 2020). ``invert_from`` looks for one image of which a part is known.

    Parameters
    ----------
    steps : int, default=1000
        Updates of the generator.
    batch_size : int, default=64
        Public and generated images per update.
    critic_steps : int, default=3
        Updates of the critic before each of the generator.
    iterations : int, default=60
        Steps from a random noise vector to a reconstruction.
    restarts : int, default=3
        Searches per image, of which the best is kept.
    identity : float, default=100.0
        Weight :math:`\lambda` of what the victim says; 0 leaves the victim out.
    known : float, default=10000.0
        Weight of the mean squared distance from what is known, in ``invert_from``.
    latent_rate : float, default=0.05
        Step length of Adam in the latent space.
    translation : int, optional
        Largest shift in pixels, drawn anew for every image that critic and victim
        see. By default a tenth of the smaller side; 0 is the paper's.
    ema : float, default=0.995
        Decay of the running mean of the generator's weights that is searched.
    n_noise : int, default=64
        Length of the noise, which is uniform in [-1, 1] and stays there.
    width : int, default=48
        Channels of the generator; the critic has two thirds of them.
    learning_rate : float, default=5e-4
        Of generator and critic.
    momentum : float, default=0.5
        First moment of Adam.
    precision : {"float32", "bfloat16"}, default="float32"
        In which the convolutions and products of the training are computed.
    channels_last : bool, default=False
        Keep the channels of a pixel side by side in memory while training.
    cuda_graph : {"auto"} or bool, default="auto"
        On a GPU, record one step and replay it instead of launching its operations
        one by one. ``"auto"`` goes on without, and says so in a warning, where a step
        cannot be recorded or the replayed one disagrees; True raises a RuntimeError
        then, and a ValueError without a GPU.
    device : str, default="auto"
        Where to compute.
    random_state : int, default=0
        Seed; the same seed gives the same numbers on one CPU.
    verbose : int, default=0
        1 shows progress bars.

    Attributes
    ----------
    generator_ : Generator
        Running mean of the trained generators.
    critic_ : Discriminator
        What keeps the search among images that look public.
    network_ : torch.nn.Module
        Copy of the victim's network.
    n_gradients_ : int
        Images for which the victim's gradient was taken so far. There are no queries.
    cuda_graph_ : bool
        Whether the steps were replayed.

    See Also
    --------
    kldiv_attack.evaluate_pairs : Measures what ``invert_from`` returns.

    Notes
    -----
    The paper trains another generator, with the known part as its input, where
    something of the image is known. Here the same generator serves any kind of
    knowledge: what is known is another term of the search, so that one trained
    attacker can be asked with masks and blurs alike.

    References
    ----------
    .. [1] Zhang, Jia, Pei, Wang, Li and Song, "The secret revealer: generative
       model-inversion attacks against deep neural networks", CVPR 2020.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, make_attacker, train_victim
    >>> from kldiv_attack.attackers import Mask
    >>> digits = load_dataset("digits")
    >>> victim = train_victim(digits, epochs=3, batch_size=32)
    >>> public = load_dataset("digits", part="test")
    >>> attacker = make_attacker("gmi", steps=3, iterations=4)
    >>> attacker.fit(victim, public.images).invert([3, 8], 2).shape
    (2, 2, 1, 8, 8)

    The lower half of five private images is known:

    >>> lower = Mask.box((8, 8), hidden=(0, 0, 4, 8))
    >>> images, labels = digits.images[:5], digits.labels[:5]
    >>> attacker.invert_from(lower(images), labels, lower).shape
    (5, 1, 8, 8)
    """

    access = "gradients"
    rules: ClassVar[Mapping[str, Rule]] = {
        "iterations": Whole(0),
        "restarts": Whole(),
        "identity": AMOUNT,
        "known": AMOUNT,
        "latent_rate": POSITIVE,
    }

    def __init__(
        self,
        *,
        steps: int = 1000,
        batch_size: int = 64,
        critic_steps: int = 3,
        iterations: int = 60,
        restarts: int = 3,
        identity: float = 100.0,
        known: float = 10_000.0,
        latent_rate: float = 0.05,
        translation: int | None = None,
        ema: float = 0.995,
        n_noise: int = 64,
        width: int = 48,
        learning_rate: float = 5e-4,
        momentum: float = 0.5,
        precision: str = "float32",
        channels_last: bool = False,
        cuda_graph: bool | str = "auto",
        device: str | torch.device = "auto",
        random_state: int = 0,
        verbose: int = 0,
    ):
        self.steps = steps
        self.batch_size = batch_size
        self.critic_steps = critic_steps
        self.iterations = iterations
        self.restarts = restarts
        self.identity = identity
        self.known = known
        self.latent_rate = latent_rate
        self.translation = translation
        self.ema = ema
        self.n_noise = n_noise
        self.width = width
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.precision = precision
        self.channels_last = channels_last
        self.cuda_graph = cuda_graph
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def prior(
        self, labels: ArrayLike, n: int, *, random_state: int = 0
    ) -> NDArray[np.float32]:
        """Generated images, whatever the label; see :meth:`Attacker.prior`."""
        searched = self.iterations, self.restarts
        self.iterations, self.restarts = 0, 1
        try:
            return self.invert(labels, n, random_state=random_state)
        finally:
            self.iterations, self.restarts = searched

    def invert_from(
        self,
        known: ArrayLike,
        labels: ArrayLike,
        degrade: Callable[[Any], Any],
        *,
        random_state: int = 0,
    ) -> NDArray[np.float32]:
        """Reconstruct images of which something is known.

        Parameters
        ----------
        known : array-like of shape (n, ...)
            What `degrade` makes of the images that are looked for.
        labels : array-like of shape (n,)
            Their classes.
        degrade : callable
            Maps a tensor of images in [0, 1] to what is known of them, with a gradient:
            a :class:`Mask`, a :class:`Blur`, or a function of your own. If it has a
            method ``restore(images, known)``, that has the last word.
        random_state : int, default=0
            Seed of the noise.

        Returns
        -------
        ndarray of shape (n, channels, height, width), float32
            Images in [0, 1]; NaN for a label in ``reasons_``.
        """
        self._check_fitted()
        classes = check_labels(np.asarray(labels), len(self.classes_))
        given = torch.as_tensor(np.asarray(known, dtype=np.float32))
        probe = degrade(torch.zeros(1, *self.image_shape_))
        if given.shape[1:] != probe.shape[1:] or len(given) != len(classes):
            raise ValueError(
                f"known: expected shape ({len(classes)}, "
                f"{', '.join(map(str, probe.shape[1:]))}), one row per label of what "
                f"degrade returns, got {tuple(given.shape)}."
            )
        if not bool(torch.isfinite(given).all()):
            raise ValueError("known: expected finite values, got NaN or infinity.")
        found = np.full((len(classes), *self.image_shape_), np.nan, np.float32)
        rows = np.flatnonzero(~np.isin(classes, list(self.reasons_)))
        if len(rows):
            source = self._source_of(0, random_state)
            target = torch.from_numpy(classes[rows])
            found[rows] = self._search(target, source, (degrade, given[rows]))
        return found

    def _fit(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        recorder: Recorder | None,
    ) -> None:
        self._learn(images, victim.network, recorder, self._resume(recorder))

    def _fit_ideal(self, data: LabelledImages, recorder: Recorder | None) -> None:
        """The owner of the images has no victim: one is trained on them."""
        self._find_reasons(data.labels, 1)
        network = own_victim(data, self.device, self.random_state)
        self._learn(data.images, network, recorder, self._resume(recorder))

    def _learn(
        self,
        images: NDArray[np.float32],
        network: nn.Module,
        recorder: Recorder | None,
        snapshot: Snapshot | None,
    ) -> None:
        place = resolve_device(self.device)
        self.network_ = frozen_copy(network, place)
        self.n_gradients_ = 0
        training = self._begin_training(torch.from_numpy(images).to(place), snapshot)
        train(
            self,
            training,
            start=snapshot[0] if snapshot else 0,
            losses=("distance", "loss_generator"),
            sample=training.grid,
            extra=self._extra(0),
            recorder=recorder,
            title="train GAN of GMI",
        )
        self.generator_ = training.finish()
        self.critic_ = training.critic.eval().requires_grad_(False)

    def _begin_training(self, images: Tensor, snapshot: Snapshot | None) -> GMITraining:
        training = GMITraining(self, images)
        if snapshot is not None:
            training.restore(snapshot[1])
        return training

    def _invert(self, label: int, n: int, random_state: int) -> NDArray[np.float32]:
        source = self._source_of(label, random_state)
        return self._search(torch.full((n,), label), source, None)

    def _search(
        self,
        labels: Tensor,
        source: torch.Generator,
        side: tuple[Callable[[Any], Any], Tensor] | None,
    ) -> NDArray[np.float32]:
        """The best of several searches for every label."""
        images, costs = [], []
        for _ in range(self.restarts):
            parts = []
            for rows in torch.arange(len(labels)).split(CHUNK):  # type: ignore[no-untyped-call]
                given = None if side is None else (side[0], side[1][rows])
                parts.append(self._descend(labels[rows], source, given))
            images.append(torch.cat([part[0] for part in parts]))
            costs.append(torch.cat([part[1] for part in parts]))
        best = torch.stack(costs).argmin(0)
        kept = torch.stack(images)[best, torch.arange(len(labels), device=best.device)]
        return kept.cpu().numpy()

    def _descend(
        self,
        labels: Tensor,
        source: torch.Generator,
        side: tuple[Callable[[Any], Any], Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        """One search per label; returns images and what they cost."""
        place = next(self.generator_.parameters()).device
        labels = labels.to(place)
        noise = self._uniform(len(labels), source).to(place)
        if side is not None:
            side = side[0], side[1].to(place)
        empty = torch.empty(len(labels), 0, device=place)
        noise.requires_grad_(True)
        optimizer = torch.optim.Adam([noise], lr=self.latent_rate)

        def draw(number: int) -> Draws:
            del number
            return {"shifts": draw_shifts(len(labels), self._shift, source)}

        for now in progress(
            drawn(draw, range(self.iterations), place),
            desc="search",
            total=self.iterations,
            leave=False,
            disable=not self.verbose,
        ):
            images = self.generator_(noise, empty)
            shown = translate(images, self._shift, now["shifts"])
            cost = self._cost(images, shown, labels, side)
            cost = cost - self.critic_(shown)
            (noise.grad,) = torch.autograd.grad(cost.sum(), noise)
            optimizer.step()
            with torch.no_grad():
                noise.clamp_(-1, 1)
        self.n_gradients_ += self.iterations * len(labels) * (self.identity > 0)
        return self._end_of_search(noise, labels, side)

    @torch.no_grad()
    def _end_of_search(
        self,
        noise: Tensor,
        labels: Tensor,
        side: tuple[Callable[[Any], Any], Tensor] | None,
    ) -> tuple[Tensor, Tensor]:
        empty = torch.empty(len(labels), 0, device=noise.device)
        images = self.generator_(noise, empty)
        cost = self._cost(images, images, labels, side)
        if side is not None and hasattr(side[0], "restore"):
            images = side[0].restore(images, side[1])
        return images, cost

    def _cost(
        self,
        images: Tensor,
        shown: Tensor,
        labels: Tensor,
        side: tuple[Callable[[Any], Any], Tensor] | None,
    ) -> Tensor:
        """What the victim and the known part object to, per image."""
        cost = images.new_zeros(len(images))
        if self.identity:
            cost = cost + self.identity * self._wrong(shown, labels)
        if side is not None:
            apart = (side[0](images) - side[1]).flatten(1).square().mean(1)
            cost = cost + self.known * apart
        return cost

    def _wrong(self, shown: Tensor, labels: Tensor) -> Tensor:
        """What the victim objects to, per image."""
        return F.cross_entropy(self.network_(shown), labels, reduction="none")
