"""BREP-MI: labels alone push a code away from the boundary of its class."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from kldiv_attack._rules import POSITIVE, Number, Rule, Whole
from kldiv_attack.attackers._latent import Ask, LatentAttacker, Search

_LONGEST_STEP = 3.0  # the paper's, in standard deviations of the prior


class BREPMIAttacker(LatentAttacker):
    r"""Boundary repulsion: a search that sees the class of each query and no more.

    A conditional GAN learns the public images and the labels that the victim gives
    them. From one of its codes :math:`z` that the victim puts into the class, the
    search asks about :math:`N` points on a sphere of radius :math:`R` around it (Kahla
    et al., 2022). Those outside the class push the code away from them,

    .. math::

       z \leftarrow z - \min(R/3, 3) \, \frac{m}{\lVert m \rVert}, \qquad
       m = \frac{1}{N} \sum_{i :\, f(G(z + R u_i)) \ne c} u_i,

    if the victim still says :math:`c` there. When all of the sphere is inside, the
    radius grows: the code moves to where the class is widest, and that is where images
    are typical of it. No surrogate of the victim is trained.

    Parameters
    ----------
    steps : int, default=2000
        Updates of the generator.
    iterations : int, default=40
        Most spheres that a search asks about.
    searches : int, default=20
        Searches per class.
    points : int, default=32
        Points on a sphere, :math:`N`.
    radius : float, default=2.0
        Radius of the first sphere.
    growth : float, default=1.3
        Factor of the radius when a whole sphere was inside.
    patience : int, default=20
        Spheres of one radius after which a search ends.
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
        What was found for each class: first the codes at the middle of a sphere, then
        the points of the last sphere that was wholly inside.
    responses_ : ndarray of shape (n_asked, n_classes)
        Labels of the public images, one-hot.
    cuda_graph_ : bool
        Whether the steps of the training were replayed.

    See Also
    --------
    LabelOnlyAttacker : Labels as well, through a surrogate.

    Notes
    -----
    Queries are the public images and at most ``searches * iterations * (points + 1)``
    images a class. A search that has no code in the class yet spends its points on
    draws from the prior. A budget that ends, ends all searches; what was found until
    then is used. ``invert`` takes the middles of spheres in random order, then points
    of wholly confirmed spheres; where more images are asked for than were found they
    are repeated. A class of which no code was confirmed gets draws from the prior.

    Two things differ from the paper. Its generator knows no classes; a conditional one
    starts in the class more often. And a search ends here when a sphere as wide as the
    prior, :math:`R \ge \sqrt{n_\mathrm{noise}}`, was inside: beyond, spheres hold
    codes that the generator never learnt, and images lose accuracy and variety.

    References
    ----------
    .. [1] Kahla, Chen, Just and Jia, "Label-only model inversion attacks via boundary
       repulsion", CVPR 2022, arXiv 2203.01925.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, make_attacker, train_victim
    >>> victim = train_victim(load_dataset("digits"), epochs=3, batch_size=32)
    >>> victim.answers = "labels"
    >>> public = load_dataset("digits", part="test")
    >>> attacker = make_attacker(
    ...     "brep_mi", steps=2, iterations=2, searches=2, points=4, min_responses=1
    ... )
    >>> attacker.fit(victim, public.images).invert([3, 8], 2).shape
    (2, 2, 1, 8, 8)
    """

    access = "labels"
    rules: ClassVar[Mapping[str, Rule]] = {
        "points": Whole(),
        "radius": POSITIVE,
        "growth": Number(1, low_too=False),
        "patience": Whole(),
    }

    def __init__(
        self,
        *,
        steps: int = 2000,
        iterations: int = 40,
        searches: int = 20,
        points: int = 32,
        radius: float = 2.0,
        growth: float = 1.3,
        patience: int = 20,
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
        self.points = points
        self.radius = radius
        self.growth = growth
        self.patience = patience
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
        return BoundaryRepulsion(self, labels)


class BoundaryRepulsion(Search):
    """Codes on their way to the middle of their class.

    Parameters
    ----------
    settings : BREPMIAttacker
        Its parameters.
    labels : Tensor of shape (n_searches,)
        What each search looks for.
    """

    def __init__(self, settings: BREPMIAttacker, labels: Tensor):
        super().__init__(labels, settings.n_noise, settings.random_state)
        self.settings = settings
        n = len(labels)
        self.middle = self.draw(n)
        self.confirmed = torch.zeros(n, dtype=torch.bool)
        self.radius = torch.full((n,), float(settings.radius))
        self.tries = torch.zeros(n, dtype=torch.int64)
        self.inside = torch.zeros(n, dtype=torch.bool)  # whether a sphere ever was
        self.sphere = torch.zeros(n, settings.points, settings.n_noise)

    def state(self) -> dict[str, Tensor]:
        """Tensors that steps change."""
        names = "going", "middle", "confirmed", "radius", "tries", "inside", "sphere"
        return {name: getattr(self, name) for name in names}

    def step(self, ask: Ask) -> None:
        """Ask about a sphere around every middle, then about where they move."""
        rows = self.going.nonzero().flatten()
        middle, radius = self.middle[rows], self.radius[rows]
        away = self.draw(len(rows), self.settings.points)
        on_sphere = away / away.norm(dim=2, keepdim=True)
        points = middle[:, None] + radius[:, None, None] * on_sphere
        points = torch.where(self.confirmed[rows, None, None], points, away)
        hit = self._hits(
            ask, points.flatten(0, 1), rows.repeat_interleave(len(away[0]))
        )
        done = len(hit) // self.settings.points  # the budget may end among them
        rows, points, on_sphere = rows[:done], points[:done], on_sphere[:done]
        hit = hit[: done * self.settings.points].view(done, self.settings.points)
        known, whole = self.confirmed[rows], hit.all(1)
        self._begin(rows[~known], points[~known], hit[~known])
        self._grow(rows[known & whole], points[known & whole])
        torn = known & ~whole
        self._move(ask, rows[torn], on_sphere[torn], hit[torn])

    def _hits(self, ask: Ask, codes: Tensor, rows: Tensor) -> Tensor:
        """Whether the victim puts codes into the class of their search."""
        labels = self.labels[rows]
        answers = torch.from_numpy(ask(codes, labels))
        return answers == labels[: len(answers)]

    def _begin(self, rows: Tensor, points: Tensor, hit: Tensor) -> None:
        """Start at the first draw from the prior that is in the class."""
        some = hit.any(1)
        first = hit[some].to(torch.uint8).argmax(1)
        self.middle[rows[some]] = points[some, first]
        self.confirmed[rows[some]] = True
        self._wait(rows[~some])

    def _grow(self, rows: Tensor, points: Tensor) -> None:
        """Keep a sphere that is inside and try a larger one, up to the prior's."""
        self.inside[rows] = True
        self.sphere[rows] = points
        self.going[rows] = self.radius[rows] < self.n_noise**0.5
        self.radius[rows] *= self.settings.growth
        self.tries[rows] = 0

    def _move(self, ask: Ask, rows: Tensor, on_sphere: Tensor, hit: Tensor) -> None:
        """Move away from the points outside, unless that leaves the class."""
        if not len(rows):
            return
        outside = (on_sphere * ~hit[:, :, None]).mean(1)
        away = -outside / outside.norm(dim=1, keepdim=True)
        length = (self.radius[rows] / 3).clamp_max(_LONGEST_STEP)
        moved = self.middle[rows] + length[:, None] * away
        allowed = self._hits(ask, moved, rows)
        stays = rows[: len(allowed)][allowed]
        self.middle[stays] = moved[: len(allowed)][allowed]
        self._wait(rows)

    def _wait(self, rows: Tensor) -> None:
        """Count a sphere that was not inside."""
        self.tries[rows] += 1
        self.going[rows] = self.tries[rows] < self.settings.patience

    def progress(self) -> dict[str, float]:
        """How many searches have a code, and how wide their spheres are."""
        return {
            "confirmed": float(self.confirmed.sum()),
            "radius": float(self.radius.mean()),
            "going": float(self.going.sum()),
        }

    def found(self, label: int) -> list[Tensor]:
        """Middles of spheres, and points of those that were wholly inside."""
        mine = self.labels == label
        kept: list[Any] = [self.middle[mine & self.confirmed]]
        if not len(kept[0]):
            return [self.middle[mine]]
        return [*kept, self.sphere[mine & self.inside].flatten(0, 1)]
