"""Genetic search of a generator's codes for what the victim is sure of."""

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit
from torch import Tensor

from kldiv_attack._rules import Number, Rule, Whole
from kldiv_attack.attackers._latent import Ask, LatentAttacker, Search
from kldiv_attack.attackers._sureness import certainty

_TOURNAMENT = 2  # of so many codes drawn at random, the surer one has children


class GeneticAttacker(LatentAttacker):
    r"""Genetic search by probabilities alone, without a gradient.

    A conditional GAN learns the public images and the answers of the victim to them, as
    in :class:`CGANAttacker`. Then its codes are searched through queries, as the
    black-box attack of An et al. (2022) searches those of a large generator: small
    populations of codes have children, each of which takes every number from one of two
    parents (crossover) and is moved a little (mutation); those that the victim is
    surest of live on.

    Mutation keeps the distribution of the prior,
    :math:`z \leftarrow \sqrt{1 - m^2}\, z + m \varepsilon`, and a code that the victim
    is sure enough of counts no more than another: the search ends where all are sure,
    before they are all alike.

    Parameters
    ----------
    steps : int, default=2000
        Updates of the generator.
    iterations : int, default=40
        Most generations.
    searches : int, default=40
        Populations per class.
    population : int, default=10
        Codes in a population, each of which costs a query in every generation.
    mutation : float, default=0.4
        Share :math:`m` of a mutation in a code.
    certainty : float, default=0.9999
        Probability of the class from which the victim counts as sure.
    batch_size : int, default=64
        Real and generated pairs per step.
    translation : int, optional
        Largest shift in pixels of what the discriminator sees; by default a tenth of
        the smaller side.
    ema : float, default=0.998
        Decay of the running mean of the generator's weights that is searched.
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
        The conditional GAN that was searched.
    codes_ : dict of int to list of Tensor
        What was found for each class: the codes that the victim is sure of, then the
        surest of the others, each by its rank in its population.
    responses_ : ndarray of shape (n_asked, n_classes)
        Answers of the victim to the public images.
    cuda_graph_ : bool
        Whether the steps of the training were replayed.

    See Also
    --------
    BREPMIAttacker : The same codes searched by labels.
    GMIAttacker : A latent search by gradients.

    Notes
    -----
    Queries are the public images and at most ``searches * population * iterations``
    images a class. A budget that ends, ends all searches; what was found until then is
    used. ``invert`` takes sure codes in random order, then others from the first rank
    on; where more images are asked for than there are codes they are repeated.

    References
    ----------
    .. [1] An, Tao, Xu, Liu, Shen, Yao, Xu and Zhang, "MIRROR: model inversion for deep
       learning network with high fidelity", NDSS 2022.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, make_attacker, train_victim
    >>> victim = train_victim(load_dataset("digits"), epochs=3, batch_size=32)
    >>> public = load_dataset("digits", part="test")
    >>> attacker = make_attacker(
    ...     "genetic", steps=2, iterations=2, searches=2, population=4, min_responses=1
    ... )
    >>> attacker.fit(victim, public.images).n_queries_
    1059
    """

    access = "probabilities"
    rules: ClassVar[Mapping[str, Rule]] = {
        "population": Whole(),
        "mutation": Number(0, 1, low_too=False),
        "certainty": Number(0.5, 1, low_too=False, high_too=False),
    }

    def __init__(
        self,
        *,
        steps: int = 2000,
        iterations: int = 40,
        searches: int = 40,
        population: int = 10,
        mutation: float = 0.4,
        certainty: float = 0.9999,
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
        self.searches = searches
        self.population = population
        self.mutation = mutation
        self.certainty = certainty
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

    def _make_search(self, labels: Tensor) -> Search:
        return Populations(self, labels)


class Populations(Search):
    """Small populations of codes, of which the surest live on.

    Parameters
    ----------
    settings : GeneticAttacker
        Its parameters.
    labels : Tensor of shape (n_searches,)
        What each population is sure of in the end.
    """

    def __init__(self, settings: GeneticAttacker, labels: Tensor):
        super().__init__(labels, settings.n_noise, settings.random_state)
        self.size, self.mutation = settings.population, settings.mutation
        self.enough = float(logit(settings.certainty))
        self.codes = self.draw(len(labels), self.size)
        # Nobody was asked.
        self.sure = torch.full(self.codes.shape[:2], -torch.inf, dtype=torch.float64)

    def state(self) -> dict[str, Tensor]:
        """Tensors that steps change."""
        return {"going": self.going, "codes": self.codes, "sure": self.sure}

    def step(self, ask: Ask) -> None:
        """Ask about the first codes, or about the children of those that are there."""
        rows = self.going.nonzero().flatten()
        begun = bool(self.sure[rows].isfinite().any())
        young = self.children(rows) if begun else self.codes[rows]
        labels = self.labels[rows].repeat_interleave(self.size)
        answers = ask(young.flatten(0, 1), labels)
        done = len(answers) // self.size  # the budget may end among them
        rows, young = rows[:done], young[:done]
        sure = self._score(answers[: done * self.size], labels[: done * self.size])
        sure = sure.view(done, self.size)
        if begun:
            young = torch.cat([self.codes[rows], young], 1)
            sure = torch.cat([self.sure[rows], sure], 1)
        best = sure.sort(dim=1, descending=True, stable=True).indices[:, : self.size]
        self.codes[rows] = young.gather(
            1, best[:, :, None].expand(-1, -1, self.n_noise)
        )
        self.sure[rows] = sure.gather(1, best)
        self.going[rows] = self.sure[rows].amin(1) < self.enough

    def _score(self, answers: NDArray[np.float32], labels: Tensor) -> Tensor:
        """Certainty of the class in nats, as far as it counts."""
        sure = np.empty(len(answers))
        for label in np.unique(labels.numpy()):
            mine = labels.numpy() == label
            sure[mine] = certainty(answers[mine], label)
        return torch.from_numpy(sure).clamp_max(self.enough)

    def children(self, rows: Tensor) -> Tensor:
        """As many codes as a population has, each of two parents."""
        shape = len(rows), self.size
        one, other = self._parents(rows), self._parents(rows)
        mixed = torch.rand(*shape, self.n_noise, generator=self.source) < 0.5
        kept = math.sqrt(1 - self.mutation**2)
        return kept * torch.where(mixed, one, other) + self.mutation * self.draw(*shape)

    def _parents(self, rows: Tensor) -> Tensor:
        """Codes that are surer than others drawn with them."""
        drawn = torch.randint(
            self.size, (len(rows), self.size, _TOURNAMENT), generator=self.source
        )
        chosen = drawn.amin(2)  # populations are sorted, the surest first
        return self.codes[rows[:, None], chosen]

    def progress(self) -> dict[str, float]:
        """How many codes the victim is sure of, and of how many classes it is not."""
        return {
            "sure": float((self.sure >= self.enough).sum()),
            "going": float(self.going.sum()),
        }

    def found(self, label: int) -> list[Tensor]:
        """Codes that the victim is sure of, then those of each rank."""
        mine = self.labels == label
        codes, sure = self.codes[mine], self.sure[mine] >= self.enough
        ranks = [codes[:, k][~sure[:, k]] for k in range(self.size)]
        return [codes[sure], *ranks]
