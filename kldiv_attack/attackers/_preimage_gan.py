"""PreImageGAN: a generator that the victim's gradient teaches the classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from kldiv_attack._classifier import resolve_device
from kldiv_attack._rules import AMOUNT, Flag, Rule
from kldiv_attack.attackers._pairs import Pairs
from kldiv_attack.attackers._recorder import Recorder, Snapshot
from kldiv_attack.attackers._stepping import Draws
from kldiv_attack.attackers._training import NetworkTaughtAttacker, train
from kldiv_attack.attackers._updates import frozen_copy, generate
from kldiv_attack.attackers._wasserstein import WassersteinAttacker, WassersteinTraining


class PreImageGANAttacker(NetworkTaughtAttacker, WassersteinAttacker):
    r"""Generator taught by a critic of public images and by the victim's gradient.

    The critic sees images alone and keeps them like the public ones; what makes
    :math:`G(z, y)` an image of class :math:`y` is the victim :math:`f` (Kusano and
    Sakuma, 2018):

    .. math::

       \min_G \max_D \; E[D(x')] - E[D(G(z, y))] - \gamma E[s(f(G(z, y)), y)],

    where the critic is kept smooth by a gradient penalty, the similarity :math:`s` is
    the negative cross entropy, :math:`\gamma` grows during training and :math:`y` is
    drawn from a kernel density of the victim's answers to the public images.

    Parameters
    ----------
    steps : int, default=1000
        Updates of the generator.
    batch_size : int, default=64
        Public and generated images per update.
    critic_steps : int, default=3
        Updates of the critic before each of the generator.
    bandwidth : float, default=0.01
        Standard deviation of the kernel around an answer.
    balanced : bool, default=True
        Draw answers and public images so that every answered class is equally
        frequent; the paper draws them as they come.
    similarity : float, default=3.0
        Largest weight :math:`\gamma` of the similarity.
    similarity_growth : float, default=0.002
        What is added to the weight in every step, from 0.
    translation : int, optional
        Largest shift in pixels, drawn anew for every image that critic and victim
        see. The victim's weaknesses move with the pixels less than its strengths do,
        so that fewer images please the victim alone. By default a tenth of the smaller
        side; 0 is the paper's.
    ema : float, default=0.995
        Decay of the running mean of the generator's weights that is used to invert.
    n_noise : int, default=128
        Length of the noise, which is uniform in [-1, 1].
    width : int, default=48
        Channels of the generator; the critic has two thirds of them.
    learning_rate : float, default=5e-4
        Of generator and critic.
    momentum : float, default=0.5
        First moment of Adam.
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
    responses_ : ndarray of shape (n_aux, n_classes)
        Answers of the victim.
    n_gradients_ : int
        Images for which the victim's gradient was taken, beside the queries.
    cuda_graph_ : bool
        Whether the steps were replayed.

    See Also
    --------
    CGANAttacker : The same question without the victim's gradient.

    References
    ----------
    .. [1] Kusano and Sakuma, "Classifier-to-generator attack: estimation of training
       data distribution from classifier", 2018.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, make_attacker, train_victim
    >>> victim = train_victim(load_dataset("digits"), epochs=3, batch_size=32)
    >>> public = load_dataset("digits", part="test")
    >>> attacker = make_attacker("preimage_gan", steps=3).fit(victim, public.images)
    >>> attacker.invert([3, 8], 2).shape
    (2, 2, 1, 8, 8)
    """

    access = "gradients"
    rules: ClassVar[Mapping[str, Rule]] = {
        "bandwidth": AMOUNT,
        "balanced": Flag(),
        "similarity": AMOUNT,
        "similarity_growth": AMOUNT,
    }

    def __init__(
        self,
        *,
        steps: int = 1000,
        batch_size: int = 64,
        critic_steps: int = 3,
        bandwidth: float = 0.01,
        balanced: bool = True,
        similarity: float = 3.0,
        similarity_growth: float = 0.002,
        translation: int | None = None,
        ema: float = 0.995,
        n_noise: int = 128,
        width: int = 48,
        learning_rate: float = 5e-4,
        momentum: float = 0.5,
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
        self.critic_steps = critic_steps
        self.bandwidth = bandwidth
        self.balanced = balanced
        self.similarity = similarity
        self.similarity_growth = similarity_growth
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

    def _invert(self, label: int, n: int, random_state: int) -> NDArray[np.float32]:
        noise = self._uniform(n, self._source_of(label, random_state))
        asked = torch.eye(len(self.classes_))[label]
        return generate(self.generator_, noise, asked)

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
        pairs = Pairs(images, answers, place, balanced=self.balanced)
        victim = frozen_copy(network, place)
        training = PreImageGANTraining(self, pairs, victim)
        if snapshot is not None:
            training.restore(snapshot[1])
        train(
            self,
            training,
            start=snapshot[0] if snapshot else 0,
            losses=("distance", "loss_generator", "cross_entropy"),
            sample=training.grid,
            extra=self._extra(n_queries),
            recorder=recorder,
            title="train PreImageGAN",
        )
        self.n_gradients_ = self.steps * self.batch_size if n_queries else 0
        self.generator_ = training.finish()


class PreImageGANTraining(WassersteinTraining):
    """The generator learns from the victim what the condition means."""

    settings: PreImageGANAttacker

    def __init__(self, settings: PreImageGANAttacker, pairs: Pairs, victim: nn.Module):
        self.pairs = pairs
        self.victim = victim
        super().__init__(
            settings,
            pairs.images,
            pairs.answers.shape[1],
            {"responses": pairs.answers},
        )

    def draw_rows(self, n: int) -> Tensor:
        """Public images, class by class."""
        return self.pairs.draw(n, self.source)

    def draw_conditions(self, n: int, source: torch.Generator) -> Draws:
        """Answers, and where in the kernel around each of them."""
        rows = self.pairs.draw(n, source)
        return {"rows": rows, "near": torch.randn(n, self.n_classes, generator=source)}

    def conditions(self, draws: Draws, n: int) -> Tensor:
        """Draws from the kernel density of the answers, put back on the simplex."""
        del n
        answers = self.pairs.answers[draws["rows"]]
        near = (answers + self.settings.bandwidth * draws["near"]).clamp_min(0)
        return near / near.sum(1, keepdim=True)

    def lesson(self, shown: Tensor, asked: Tensor) -> Tensor:
        """Cross entropy of the victim's answer."""
        return F.cross_entropy(self.victim(shown), asked)

    def lesson_weight(self, number: int) -> float:
        """Weight that the lesson has reached."""
        settings = self.settings
        return min(settings.similarity, settings.similarity_growth * number)

    def grid(self) -> NDArray[np.float32]:
        """Ten images of every class from noise that never changes."""
        noise = self.settings._uniform(10, torch.Generator().manual_seed(0))
        return np.stack([self.images(noise, c) for c in torch.eye(self.n_classes)])
