"""PLG-MI: a conditional GAN of pseudo labels that the victim's margin teaches."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kldiv_attack._classifier import resolve_device
from kldiv_attack._progress import progress
from kldiv_attack._rules import AMOUNT, POSITIVE, Pair, Rule, Whole
from kldiv_attack.attackers._cgan_training import CGANSettings, CGANTraining
from kldiv_attack.attackers._pairs import Pairs
from kldiv_attack.attackers._recorder import Recorder, Snapshot
from kldiv_attack.attackers._stepping import Draws, drawn
from kldiv_attack.attackers._training import NetworkTaughtAttacker, train
from kldiv_attack.attackers._updates import (
    draw_shifts,
    frozen_copy,
    largest_shift,
    translate,
)

CHUNK = 500  # codes that are improved together


class PLGMIAttacker(NetworkTaughtAttacker, CGANSettings):
    r"""Conditional GAN of pseudo labels, taught by the victim's gradient.

    The public images of which the victim is surest are taken for images of the class,
    ``top`` for each (pseudo labels). A conditional GAN learns them, and its generator
    is pulled to where the victim's margin is wide (Yuan et al., 2023):

    .. math::

       L_G = -D(G(z, c), c) - \alpha \left( \ell_c - \max_{j \ne c} \ell_j \right),

    with the logits :math:`\ell` of the victim for :math:`G(z, c)`. ``invert`` then
    follows the gradient of the same margin from random codes.

    Parameters
    ----------
    steps : int, default=2000
        Updates of the generator.
    iterations : int, default=20
        Steps from a random code to a reconstruction.
    top : int, default=400
        Public images of each class, the surest ones.
    margin : float, default=0.2
        Weight :math:`\alpha` of the margin while the generator learns.
    latent_rate : float, default=0.1
        Step length of Adam in the latent space.
    batch_size : int, default=64
        Real and generated pairs per step.
    translation : int, optional
        Largest shift in pixels, drawn anew for every image that discriminator and
        victim see. By default a tenth of the smaller side.
    ema : float, default=0.998
        Decay of the running mean of the generator's weights that is used to invert.
    n_noise : int, default=64
        Length of a code.
    width : int, default=48
        Channels of the generator; the discriminator has two thirds of them.
    learning_rate : (float, float), default=(3e-4, 4e-4)
        Of generator and discriminator.
    momentum : float, default=0.0
        First moment of Adam.
    min_responses : int, default=20
        Classes that are answered less often are not reconstructed: NaN and a reason.
    precision : {"float32", "bfloat16"}, default="float32"
        In which the convolutions and products of the training are computed.
    channels_last : bool, default=False
        Keep the channels of a pixel side by side in memory while training.
    cuda_graph : {"auto"} or bool, default="auto"
        On a GPU, record one step of the training and replay it.
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
    network_ : torch.nn.Module
        Copy of the victim's network.
    responses_ : ndarray of shape (n_asked, n_classes)
        Answers of the victim to the public images.
    n_gradients_ : int
        Images for which the victim's gradient was taken, beside the queries.
    cuda_graph_ : bool
        Whether the steps were replayed.

    See Also
    --------
    PreImageGANAttacker : A generator that the victim alone teaches the classes.
    GMIAttacker : A generator that knows no classes, and a search.

    Notes
    -----
    An image can be among the surest of several classes; the paper's datasets have many
    more classes than public images that show them, and so it ranks all images for each.
    Images to which the victim gives no probability at all are left out.

    References
    ----------
    .. [1] Yuan, Chen, Zhang, Zhang and Yu, "Pseudo label-guided model inversion attack
       via conditional generative adversarial network", AAAI 2023, arXiv 2302.09814.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, make_attacker, train_victim
    >>> victim = train_victim(load_dataset("digits"), epochs=3, batch_size=32)
    >>> public = load_dataset("digits", part="test")
    >>> attacker = make_attacker("plg_mi", steps=2, iterations=2, min_responses=1)
    >>> attacker.fit(victim, public.images).invert([3, 8], 2).shape
    (2, 2, 1, 8, 8)
    """

    access = "gradients"
    rules: ClassVar[Mapping[str, Rule]] = {
        "iterations": Whole(0),
        "top": Whole(),
        "margin": AMOUNT,
        "latent_rate": POSITIVE,
        "learning_rate": Pair(POSITIVE),
    }

    loss = "hinge"
    critic_steps = None
    discriminator = "projection"
    spectral_norm = None
    conditional_norm = True
    consistency = None
    candidates = 1

    def __init__(
        self,
        *,
        steps: int = 2000,
        iterations: int = 20,
        top: int = 400,
        margin: float = 0.2,
        latent_rate: float = 0.1,
        batch_size: int = 64,
        translation: int | None = None,
        ema: float = 0.998,
        n_noise: int = 64,
        width: int = 48,
        learning_rate: tuple[float, float] = (3e-4, 4e-4),
        momentum: float = 0.0,
        min_responses: int = 20,
        precision: str = "float32",
        channels_last: bool = False,
        cuda_graph: bool | str = "auto",
        device: str | torch.device = "auto",
        random_state: int = 0,
        verbose: int = 0,
    ):
        self.steps = steps
        self.iterations = iterations
        self.top = top
        self.margin = margin
        self.latent_rate = latent_rate
        self.batch_size = batch_size
        self.translation = translation
        self.ema = ema
        self.n_noise = n_noise
        self.width = width
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.min_responses = min_responses
        self.precision = precision
        self.channels_last = channels_last
        self.cuda_graph = cuda_graph
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def prior(
        self, labels: ArrayLike, n: int, *, random_state: int = 0
    ) -> NDArray[np.float32]:
        """Where the search begins: images of the generator, which knows the classes."""
        kept, self.iterations = self.iterations, 0
        try:
            return self.invert(labels, n, random_state=random_state)
        finally:
            self.iterations = kept

    def _learn(
        self,
        images: NDArray[np.float32],
        answers: NDArray[np.float32],
        network: nn.Module,
        n_queries: int,
        recorder: Recorder | None,
        snapshot: Snapshot | None,
    ) -> None:
        self.responses_ = answers
        self._find_reasons(answers.argmax(1), self.min_responses)
        place = resolve_device(self.device)
        self.network_ = frozen_copy(network, place)
        rows, labels = self._pseudo_labels(answers)
        meant = np.eye(answers.shape[1], dtype=np.float32)[labels]
        pairs = Pairs(images[rows], meant, place)
        training = PLGMITraining(self, pairs, self.network_, answers)
        if snapshot is not None:
            training.restore(snapshot[1])
        train(
            self,
            training,
            start=snapshot[0] if snapshot else 0,
            losses=("loss_discriminator", "loss_generator", "margin"),
            sample=training.grid,
            extra=self._extra(n_queries),
            recorder=recorder,
            title="train cGAN of pseudo labels",
        )
        self.n_gradients_ = self.steps * self.batch_size
        self.generator_ = training.finish()

    def _pseudo_labels(
        self, answers: NDArray[np.float32]
    ) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """The surest images of each class, and which class that is."""
        known = [int(c) for c in self.classes_ if c not in self.reasons_]
        surest = [np.argsort(-answers[:, c], kind="stable")[: self.top] for c in known]
        surest = [
            rows[answers[rows, c] > 0] for c, rows in zip(known, surest, strict=True)
        ]
        labels = np.repeat(known, [len(rows) for rows in surest]).astype(np.int64)
        return np.concatenate(surest), labels

    def _invert(self, label: int, n: int, random_state: int) -> NDArray[np.float32]:
        source = self._source_of(label, random_state)
        codes = torch.randn(n, self.n_noise, generator=source)
        parts = torch.split(codes, CHUNK)
        return np.concatenate([self._descend(part, label, source) for part in parts])

    def _descend(
        self, codes: Tensor, label: int, source: torch.Generator
    ) -> NDArray[np.float32]:
        """Codes on their way to a wide margin; returns their images."""
        place = next(self.generator_.parameters()).device
        n = len(codes)
        shift = largest_shift(self.translation, self.image_shape_)
        labels = torch.full((n,), label, device=place)
        asked = torch.eye(len(self.classes_), device=place)[labels]
        codes = codes.to(place).requires_grad_(True)
        optimizer = torch.optim.Adam([codes], lr=self.latent_rate)

        def draw(number: int) -> Draws:
            del number
            return {"shifts": draw_shifts(n, shift, source)}

        for now in progress(
            drawn(draw, range(self.iterations), place),
            desc="search",
            total=self.iterations,
            leave=False,
            disable=not self.verbose,
        ):
            shown = translate(self.generator_(codes, asked), shift, now["shifts"])
            cost = -margins(self.network_(shown), labels).sum()
            (codes.grad,) = torch.autograd.grad(cost, codes)
            optimizer.step()
        self.n_gradients_ += self.iterations * n
        with torch.no_grad():
            found: NDArray[np.float32] = self.generator_(codes, asked).cpu().numpy()
        return found


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Logit of the class above the largest of the others, per image."""
    own = F.one_hot(labels, logits.shape[1]).bool()
    others = logits.masked_fill(own, -torch.inf).amax(1)
    return logits.gather(1, labels[:, None]).squeeze(1) - others


class PLGMITraining(CGANTraining):
    """A conditional GAN whose generator the victim's margin teaches as well."""

    settings: PLGMIAttacker

    def __init__(
        self,
        settings: PLGMIAttacker,
        pairs: Pairs,
        victim: nn.Module,
        answers: NDArray[np.float32],
    ):
        super().__init__(settings, answers.shape[1], pairs)
        self.victim = victim
        self.fixed = {"responses": torch.from_numpy(answers)}

    def lesson(self, fake: Tensor, moved: Tensor, asked: Tensor) -> Tensor:
        """The victim's margin, negative, for what the discriminator was shown."""
        del fake
        return -margins(self.victim(moved), asked.argmax(1)).mean()

    def lesson_weight(self, number: int) -> float:
        """Weight of the margin, the same from the first step on."""
        del number
        return self.settings.margin
