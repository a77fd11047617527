"""Conditional GAN attacker: the paper's attack, black box, through queries alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit

from kldiv_attack._classifier import resolve_device
from kldiv_attack._rules import (
    AMOUNT,
    FRACTION,
    POSITIVE,
    Choice,
    Flag,
    Pair,
    Rule,
    Whole,
    optional,
)
from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._cgan_training import LOSSES, CGANSettings, CGANTraining
from kldiv_attack.attackers._pairs import Pairs
from kldiv_attack.attackers._recorder import Recorder, Snapshot
from kldiv_attack.attackers._training import train
from kldiv_attack.attackers._updates import log_odds
from kldiv_attack.datasets import LabelledImages


class CGANAttacker(CGANSettings):
    r"""Conditional GAN trained on public images and the victim's answers to them.

    Pairs :math:`(x', f(x'))` of public images and answers are the real examples. The
    generator learns :math:`G(z, y)` such that pairs :math:`(G(z, y), y)` look real;
    asked with the one-hot vector of a class it returns what the victim would call
    that class. The victim is queried once per public image and never again.

    Parameters
    ----------
    steps : int, default=6000
        Updates of the generator.
    batch_size : int, default=64
        Real and generated pairs per step.
    loss : {"vanilla", "hinge", "wgan-gp"}, default="vanilla"
        ``"vanilla"`` is the paper's; ``"wgan-gp"`` is the Wasserstein distance with
        a penalty on the slope of the discriminator.
    critic_steps : int, optional
        Updates of the discriminator before each of the generator; by default 5 with
        ``"wgan-gp"``, as published, and 1 otherwise.
    discriminator : {"projection", "concat", "acgan"}, default="projection"
        How the discriminator sees the answer: inner product with its features,
        constant image planes as in the original conditional GAN, or not at all:
        ``"acgan"`` scores the image alone and learns to tell the answer from it,
        which generator and discriminator then both want it to succeed at.
    spectral_norm : bool, optional
        Normalise every layer of the discriminator; by default wherever nothing else
        keeps it smooth, that is except with ``"wgan-gp"``.
    conditional_norm : bool, default=True
        Condition the generator's batch normalisations on the answer.
    responses : {"soft", "hard"}, default="soft"
        Condition on probabilities, or on the one-hot vector of the answered class.
    balanced : bool, default=True
        Draw pairs so that every answered class is equally frequent.
    confidence : float, default=0.0
        Draw pairs in proportion to this power of the largest probability.
    translation : int, optional
        Largest shift in pixels, drawn anew for every image that the discriminator
        sees, real or generated (differentiable augmentation). Without it the
        discriminator learns the public images by heart. By default a tenth of the
        smaller side.
    consistency : {"surrogate", None}, optional
        ``"surrogate"`` asks, while the generator learns, that the surrogate of
        ``candidates`` recognises the condition in :math:`G(z, y)`. That makes images
        easier to recognise and more alike; choosing among candidates afterwards costs
        less variety.
    consistency_weight : float, default=1.0
        Weight of that term, reached after 500 steps.
    ema : float, default=0.998
        Decay of the running mean of the generator's weights that is used to invert.
    n_noise : int, default=64
        Length of the noise.
    width : int, default=48
        Channels of the generator; the discriminator has two thirds of them.
    learning_rate : (float, float), default=(3e-4, 4e-4)
        Of generator and discriminator.
    momentum : float, default=0.0
        First moment of Adam. More of it gives images that are easier to recognise
        and less varied.
    candidates : int, default=4
        Images generated for each one that ``invert`` returns. The answers already
        received are distilled into a network of the attacker's own, the surrogate;
        ``invert`` keeps the first that it recognises, or the surest where too few
        are, without a further query. 1 returns every image.
    certainty : float, default=0.995
        Probability of the class, given by the surrogate, from which an image is
        recognised. Near 1 the surest candidates are taken whatever they are, which
        costs variety where most of them are good.
    min_responses : int, default=20
        Classes that are answered less often are not reconstructed: NaN and a reason.
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
    surrogate_ : VictimNetwork
        The attacker's copy of the victim.
    responses_ : ndarray of shape (n_aux, n_classes)
        Answers of the victim.
    cuda_graph_ : bool
        Whether the steps were replayed.

    See Also
    --------
    kldiv_attack.make_attacker : Any attacker by name.

    References
    ----------
    .. [1] Mirza and Osindero, "Conditional generative adversarial nets", 2014.
    .. [2] Miyato and Koyama, "cGANs with projection discriminator", ICLR 2018.
    .. [3] Gulrajani et al., "Improved training of Wasserstein GANs", NeurIPS 2017.
    .. [4] Odena, Olah and Shlens, "Conditional image synthesis with auxiliary
       classifier GANs", ICML 2017.

    Examples
    --------
    Two steps, to see shapes; an attack takes thousands.

    >>> from kldiv_attack import load_dataset
    >>> attacker = CGANAttacker(steps=2, width=8, device="cpu")
    >>> attacker = attacker.fit_ideal(load_dataset("digits"))
    >>> attacker.invert([0, 8], n=3).shape
    (2, 3, 1, 8, 8)
    """

    access = "probabilities"
    rules: ClassVar[Mapping[str, Rule]] = {
        "loss": Choice(tuple(LOSSES)),
        "critic_steps": optional(Whole()),
        "discriminator": Choice(("projection", "concat", "acgan")),
        "spectral_norm": optional(Flag()),
        "conditional_norm": Flag(),
        "responses": Choice(("soft", "hard")),
        "balanced": Flag(),
        "confidence": AMOUNT,
        "consistency": optional(Choice(("surrogate",))),
        "consistency_weight": AMOUNT,
        "learning_rate": Pair(POSITIVE),
        "candidates": Whole(),
        "certainty": FRACTION,
    }

    def __init__(
        self,
        *,
        steps: int = 6000,
        batch_size: int = 64,
        loss: str = "vanilla",
        critic_steps: int | None = None,
        discriminator: str = "projection",
        spectral_norm: bool | None = None,
        conditional_norm: bool = True,
        responses: str = "soft",
        balanced: bool = True,
        confidence: float = 0.0,
        translation: int | None = None,
        consistency: str | None = None,
        consistency_weight: float = 1.0,
        ema: float = 0.998,
        n_noise: int = 64,
        width: int = 48,
        learning_rate: tuple[float, float] = (3e-4, 4e-4),
        momentum: float = 0.0,
        candidates: int = 4,
        certainty: float = 0.995,
        min_responses: int = 20,
        precision: str = "float32",
        channels_last: bool = False,
        cuda_graph: bool | str = "auto",
        device: str | torch.device = "auto",
        random_state: int = 0,
        verbose: int = 0,
    ):
        self.steps = steps
        self.batch_size = batch_size
        self.loss = loss
        self.critic_steps = critic_steps
        self.discriminator = discriminator
        self.spectral_norm = spectral_norm
        self.conditional_norm = conditional_norm
        self.responses = responses
        self.balanced = balanced
        self.confidence = confidence
        self.translation = translation
        self.consistency = consistency
        self.consistency_weight = consistency_weight
        self.ema = ema
        self.n_noise = n_noise
        self.width = width
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.candidates = candidates
        self.certainty = certainty
        self.min_responses = min_responses
        self.precision = precision
        self.channels_last = channels_last
        self.cuda_graph = cuda_graph
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _fit(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        recorder: Recorder | None,
    ) -> None:
        snapshot = self._resume(recorder)
        images, answers = self._answers(victim, images, snapshot)
        self._learn(images, answers, victim.n_queries, recorder, snapshot)

    def _fit_ideal(self, data: LabelledImages, recorder: Recorder | None) -> None:
        answers = np.eye(data.n_classes, dtype=np.float32)[data.labels]
        self._learn(data.images, answers, 0, recorder, self._resume(recorder))

    def _invert(self, label: int, n: int, random_state: int) -> NDArray[np.float32]:
        source = self._source_of(label, random_state)
        noise = torch.randn(n * self.candidates, self.n_noise, generator=source)
        images = self._images(self.generator_, noise, label)
        if self.candidates == 1:
            return images
        sure = log_odds(self.surrogate_, images, label)
        enough = np.flatnonzero(sure >= logit(self.certainty))
        if len(enough) < n:
            enough = np.sort(np.argsort(-sure, kind="stable")[:n])
        return images[enough[:n]]

    def _learn(
        self,
        images: NDArray[np.float32],
        answers: NDArray[np.float32],
        n_queries: int,
        recorder: Recorder | None,
        snapshot: Snapshot | None,
    ) -> None:
        self.responses_ = answers
        n_classes = answers.shape[1]
        self._find_reasons(answers.argmax(1), self.min_responses)
        pairs = Pairs(
            images,
            answers,
            resolve_device(self.device),
            hard=self.responses == "hard",
            balanced=self.balanced,
            confidence=self.confidence,
        )
        training = CGANTraining(self, n_classes, pairs)
        if snapshot is None:
            training.add_surrogate()
        else:
            training.restore(snapshot[1])
        train(
            self,
            training,
            start=snapshot[0] if snapshot else 0,
            losses=("loss_discriminator", "loss_generator", "consistency"),
            sample=training.grid,
            extra=self._extra(n_queries),
            recorder=recorder,
            title="train cGAN",
        )
        self.generator_, self.surrogate_ = training.finish(), training.surrogate
