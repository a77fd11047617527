"""Conditional GAN attacker: the paper's attack, black box, through queries alone."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from kldiv_attack.attackers._base import Attacker, QueryAccess, Recorder
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.datasets._base import check_choice
from kldiv_attack.networks import Discriminator, Generator, VictimNetwork
from kldiv_attack.victim import resolve_device, seeded

QUERY_BATCH = 1000
LOG_EVERY = 50
CHECKPOINT_FORMAT = 2


def vanilla_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Eq. 1 of the paper: cross entropy of real against generated pairs."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def vanilla_generator(fake: Tensor) -> Tensor:
    """Eq. 2 in the non-saturating form of Goodfellow et al. (2014)."""
    return F.softplus(-fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss (Lim and Ye, 2017)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """Linear generator loss that goes with the hinge."""
    return -fake.mean()


# name -> (loss of the discriminator, loss of the generator)
LOSSES = {
    "vanilla": (vanilla_discriminator, vanilla_generator),
    "hinge": (hinge_discriminator, hinge_generator),
}


class CGANAttacker(Attacker):
    r"""Conditional GAN trained on public images and the victim's answers to them.

    Pairs :math:`(x', f(x'))` of public images and answers are the real examples. The
    generator learns :math:`G(z, y)` such that pairs :math:`(G(z, y), y)` look real;
    asked with the one-hot vector of a class it returns what the victim would call
    that class. The victim is queried once per public image and never again.

    Parameters
    ----------
    steps : int, default=9000
        Steps; each updates the discriminator once and the generator once.
    batch_size : int, default=64
        Real and generated pairs per step.
    loss : {"vanilla", "hinge"}, default="vanilla"
        ``"vanilla"`` is the paper's.
    discriminator : {"projection", "concat"}, default="projection"
        How the discriminator sees the answer: inner product with its features, or
        constant image planes as in the original conditional GAN.
    spectral_norm : bool, default=True
        Normalise every layer of the discriminator.
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
    consistency : {"surrogate", None}, default="surrogate"
        ``"surrogate"`` distils the answers already received into a network of the
        attacker's own and asks that it recognises the condition in :math:`G(z, y)`.
    consistency_weight : float, default=1.0
        Weight of that term, reached after 500 steps. More of it makes images easier
        to recognise and more alike.
    ema : float, default=0.998
        Decay of the running mean of the generator's weights that is used to invert.
    n_noise : int, default=64
        Length of the noise.
    width : int, default=48
        Channels of the generator; the discriminator has two thirds of them.
    learning_rate : (float, float), default=(3e-4, 4e-4)
        Of generator and discriminator.
    momentum : float, default=0.5
        First moment of Adam. 0 gives more varied images, fewer of which are
        recognised; worth trying when coverage matters more.
    candidates : int, default=4
        Images generated for each one that ``invert`` returns; it keeps those that the
        surrogate is surest of, without a further query. 1 returns every image.
    min_responses : int, default=20
        Classes that are answered less often are not reconstructed: NaN and a reason.
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

    See Also
    --------
    kldiv_attack.make_attacker : Any attacker by name.

    References
    ----------
    .. [1] Mirza and Osindero, "Conditional generative adversarial nets", 2014.
    .. [2] Miyato and Koyama, "cGANs with projection discriminator", ICLR 2018.
    """

    access = "probabilities"

    def __init__(
        self,
        *,
        steps: int = 9000,
        batch_size: int = 64,
        loss: str = "vanilla",
        discriminator: str = "projection",
        spectral_norm: bool = True,
        conditional_norm: bool = True,
        responses: str = "soft",
        balanced: bool = True,
        confidence: float = 0.0,
        translation: int | None = None,
        consistency: str | None = "surrogate",
        consistency_weight: float = 1.0,
        ema: float = 0.998,
        n_noise: int = 64,
        width: int = 48,
        learning_rate: tuple[float, float] = (3e-4, 4e-4),
        momentum: float = 0.5,
        candidates: int = 4,
        min_responses: int = 20,
        device: str | torch.device = "auto",
        random_state: int = 0,
        verbose: int = 0,
    ):
        self.steps = steps
        self.batch_size = batch_size
        self.loss = loss
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
        self.min_responses = min_responses
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _fit(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        recorder: Recorder | None,
    ) -> None:
        self._check_parameters()
        snapshot = recorder.load() if recorder else None
        if snapshot is None:
            answers = self._ask(victim, images)
            queries = len(images)
        else:
            self._check_snapshot(snapshot[2])
            answers = snapshot[1]["responses"].numpy()
            queries = self._resumed_queries = int(snapshot[2]["n_queries"])
        self._learn(images, answers, queries, recorder, snapshot)

    def _fit_ideal(self, data: LabelledImages, recorder: Recorder | None) -> None:
        self._check_parameters()
        answers = np.eye(data.n_classes, dtype=np.float32)[data.labels]
        snapshot = recorder.load() if recorder else None
        if snapshot is not None:
            self._check_snapshot(snapshot[2])
        self._learn(data.images, answers, 0, recorder, snapshot)

    def _invert(self, label: int, n: int, random_state: int) -> NDArray[np.float32]:
        seed = np.random.SeedSequence([random_state, label]).generate_state(1)[0]
        source = torch.Generator().manual_seed(int(seed))
        noise = torch.randn(n * self.candidates, self.n_noise, generator=source)
        images = _generate(self.generator_, noise, label)
        if self.candidates == 1:
            return images
        sure = _log_odds(self.surrogate_, images, label)
        return images[np.sort(np.argsort(-sure, kind="stable")[:n])]

    def _check_parameters(self) -> None:
        check_choice("loss", self.loss, tuple(LOSSES))
        check_choice("discriminator", self.discriminator, ("projection", "concat"))
        check_choice("responses", self.responses, ("soft", "hard"))
        if self.consistency is not None:
            check_choice("consistency", self.consistency, ("surrogate",))
        counts = ("steps", "batch_size", "n_noise", "width", "candidates")
        for name in (*counts, "min_responses"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}: expected a whole number >= 1.")
        if self.batch_size < 2:
            raise ValueError("batch_size=1: batch normalisation needs at least 2.")
        if self.translation is not None and (
            not isinstance(self.translation, int) or self.translation < 0
        ):
            raise ValueError(
                f"translation={self.translation!r}: expected a whole number >= 0."
            )
        for name in ("ema", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: expected 0 <= {name} < 1."
                )
        height, width = self.image_shape_[1:]
        if height % 4 or width % 4 or min(height, width) < 8:
            raise ValueError(
                "the conditional GAN needs images whose sides are multiples of 4 and "
                f"at least 8, got {height} x {width}; pad or resize the images and "
                "train the victim on them."
            )

    def _settings(self) -> dict[str, Any]:
        """Everything that a snapshot must agree on."""
        unimportant = {"steps", "device", "verbose"}
        settings = {k: v for k, v in vars(self).items() if not k.endswith("_")}
        settings = {k: v for k, v in settings.items() if not k.startswith("_")}
        settings["learning_rate"] = list(self.learning_rate)
        return {k: v for k, v in settings.items() if k not in unimportant}

    def _check_snapshot(self, extra: dict[str, Any]) -> None:
        if extra.get("format") != CHECKPOINT_FORMAT:
            raise ValueError(
                f"snapshot of format {extra.get('format')}: expected "
                f"{CHECKPOINT_FORMAT}; start again in an empty folder."
            )
        if extra.get("data") != self._data_digest:
            raise ValueError(
                "snapshot was made with other images; start again in an empty folder."
            )
        ours = self._settings()
        theirs = extra.get("settings", {})
        changed = [k for k in ours if ours[k] != theirs.get(k)]
        if changed:
            pairs = ", ".join(
                f"{k}={ours[k]!r} (was {theirs.get(k)!r})" for k in changed
            )
            raise ValueError(
                f"snapshot was made with other settings: {pairs}; put them back or "
                "start again in an empty folder."
            )

    def _ask(
        self, victim: QueryAccess, images: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        starts = range(0, len(images), QUERY_BATCH)
        bar = tqdm(starts, desc="query victim", disable=not self.verbose)
        return np.concatenate(
            [victim.query(images[start : start + QUERY_BATCH]) for start in bar]
        )

    def _learn(
        self,
        images: NDArray[np.float32],
        answers: NDArray[np.float32],
        n_queries: int,
        recorder: Recorder | None,
        snapshot: Any,
    ) -> None:
        self.responses_ = answers
        n_classes = answers.shape[1]
        counts = np.bincount(answers.argmax(1), minlength=n_classes)
        self._find_reasons(counts, self.min_responses)
        self._extra = {
            "format": CHECKPOINT_FORMAT,
            "data": self._data_digest,
            "settings": self._settings(),
            "n_queries": n_queries,
        }
        place = resolve_device(self.device)
        if self.translation is None:
            self._shift = min(self.image_shape_[1:]) // 10
        else:
            self._shift = self.translation
        training = _Training(self, n_classes, place)
        pairs = _Pairs(self, images, answers, place)
        if snapshot is None:
            training.add_surrogate(pairs)
        else:
            training.restore(snapshot[1], pairs)
        start = snapshot[0] if snapshot else 0
        _run(self, training, pairs, start, recorder)
        self.generator_, self.surrogate_ = training.average, training.surrogate
        recalibrate(self.generator_, pairs, self.n_noise, self.random_state)


class _Pairs:
    """Public images with the victim's answers, drawn class by class."""

    def __init__(
        self,
        settings: CGANAttacker,
        images: NDArray[np.float32],
        answers: NDArray[np.float32],
        place: torch.device,
    ):
        self.place = place
        self.images = torch.from_numpy(images).to(place)
        self.answers = torch.from_numpy(answers).to(place)
        self.called = self.answers.argmax(1)
        if settings.responses == "soft":
            self.conditions = self.answers
        else:
            self.conditions = F.one_hot(self.called, answers.shape[1]).float()
        weights = self.answers.amax(1).double().cpu() ** settings.confidence
        if settings.balanced:
            called = self.called.cpu()
            weights /= torch.bincount(called, weights)[called]
        self.cumulative = weights.cumsum(0) / weights.sum()

    def draw(self, n: int, source: torch.Generator) -> Tensor:
        """Rows of n pairs, with replacement."""
        uniform = torch.rand(n, generator=source, dtype=torch.float64)
        rows = torch.searchsorted(self.cumulative, uniform)
        return rows.clamp_(max=len(self.cumulative) - 1).to(self.place)


class _Training:
    """Networks, optimisers and the random source: all that a snapshot holds."""

    def __init__(self, settings: CGANAttacker, n_classes: int, place: torch.device):
        self.settings = settings
        self.place = place
        shape = settings.image_shape_
        with seeded(settings.random_state):
            self.generator: nn.Module = Generator(
                shape,
                n_classes,
                settings.n_noise,
                settings.width,
                settings.conditional_norm,
            ).to(place)
            self.discriminator: nn.Module = Discriminator(
                shape,
                n_classes,
                max(2, settings.width * 2 // 3),
                settings.discriminator,
                settings.spectral_norm,
            ).to(place)
            self.surrogate = VictimNetwork(shape, n_classes).to(place)
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.optimizers = {
            name: torch.optim.Adam(
                getattr(self, name).parameters(),
                lr=rate,
                betas=(float(settings.momentum), 0.99),
                fused=True,
            )
            for name, rate in zip(
                ("generator", "discriminator"), settings.learning_rate, strict=True
            )
        }
        self.source = torch.Generator().manual_seed(settings.random_state)

    def add_surrogate(self, pairs: _Pairs) -> None:
        """Distil the answers received so far into a network of the attacker's own."""
        if self.uses_surrogate:
            distil(
                self.surrogate,
                pairs,
                self.source,
                translation=self.settings._shift,
                verbose=self.settings.verbose,
            )
        self.surrogate.eval().requires_grad_(False)

    @property
    def uses_surrogate(self) -> bool:
        """Whether anything asks the attacker's own copy of the victim."""
        return self.settings.consistency is not None or self.settings.candidates > 1

    def _names(self) -> tuple[str, ...]:
        names = ("generator", "discriminator", "average")
        return (*names, "surrogate") if self.uses_surrogate else names

    def noise(self) -> Tensor:
        """One batch of noise."""
        size = (self.settings.batch_size, self.settings.n_noise)
        return torch.randn(size, generator=self.source).to(self.place)

    def tensors(self, pairs: _Pairs) -> dict[str, Tensor]:
        """Everything that a continued training needs, as named tensors."""
        found = {"responses": pairs.answers, "random": self.source.get_state()}
        for name in self._names():
            state = getattr(self, name).state_dict()
            found |= {f"{name}.{key}": value for key, value in state.items()}
        for name, optimizer in self.optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                found |= {f"adam.{name}.{index}.{k}": v for k, v in state.items()}
        return {
            k: v.detach().to("cpu", copy=True).contiguous() for k, v in found.items()
        }

    def restore(self, tensors: dict[str, Tensor], pairs: _Pairs) -> None:
        """Undo :meth:`tensors`."""
        expected = set(self.tensors(pairs))
        missing = sorted(k for k in expected if k not in tensors)
        if missing:
            raise ValueError(
                f"snapshot lacks {len(missing)} tensors, first {missing[0]!r}; start "
                "again in an empty folder."
            )
        for name in self._names():
            getattr(self, name).load_state_dict(_below(tensors, f"{name}."))
        self.surrogate.eval().requires_grad_(False)
        for name, optimizer in self.optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(tensors, f"adam.{name}.").items():
                index, field = key.split(".")
                state.setdefault(int(index), {})[field] = value.clone()
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.source.set_state(tensors["random"])


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
    }


def _run(
    settings: CGANAttacker,
    training: _Training,
    pairs: _Pairs,
    start: int,
    recorder: Recorder | None,
) -> None:
    """Fetch, step, log, snapshot."""
    waiting: list[tuple[int, Tensor]] = []
    bar = tqdm(
        total=settings.steps,
        initial=start,
        desc="train cGAN",
        disable=not settings.verbose,
    )
    with bar:
        for step in range(start + 1, settings.steps + 1):
            losses = _step(settings, training, pairs, step)
            bar.update()
            if recorder is None:
                continue
            waiting.append((step, losses))
            snapshot = step % recorder.every == 0 or step == settings.steps
            if snapshot or len(waiting) >= LOG_EVERY:
                _flush(waiting, recorder)
            if snapshot:
                recorder.sample(step, _grid(settings, training))
                recorder.save(step, training.tensors(pairs), settings._extra)


def _step(
    settings: CGANAttacker, training: _Training, pairs: _Pairs, step: int
) -> Tensor:
    """Update discriminator, generator and running mean once; return the losses."""
    loss_d, loss_g = LOSSES[settings.loss]
    n = settings.batch_size
    rows = pairs.draw(n, training.source)
    asked = pairs.conditions[pairs.draw(n, training.source)]
    fake = training.generator(training.noise(), asked)

    # One pass for both halves: spectral norms are computed once.
    both = torch.cat([pairs.images[rows], fake.detach()])
    scores = training.discriminator(
        translate(both, settings._shift, training.source),
        torch.cat([pairs.conditions[rows], asked]),
    )
    first = loss_d(scores[:n], scores[n:])
    _update(training.optimizers["discriminator"], first)

    training.discriminator.requires_grad_(False)
    moved = translate(fake, settings._shift, training.source)
    second = loss_g(training.discriminator(moved, asked))
    total = second
    consistency = torch.zeros_like(second)
    if settings.consistency:
        consistency = F.cross_entropy(training.surrogate(fake), asked)
        weight = settings.consistency_weight * min(1.0, step / 500)
        total = second + weight * consistency
    _update(training.optimizers["generator"], total)
    training.discriminator.requires_grad_(True)

    decay = min(settings.ema, (1 + step) / (10 + step))
    _follow(training.average, training.generator, 1 - decay)
    return torch.stack([first.detach(), second.detach(), consistency.detach()])


def translate(images: Tensor, most: int, source: torch.Generator) -> Tensor:
    """Move every image by up to ``most`` pixels each way; black moves in.

    Parameters
    ----------
    images : Tensor of shape (n, channels, height, width)
        Images; gradients flow through (Zhao et al., 2020, "DiffAugment").
    most : int
        Largest shift.
    source : torch.Generator
        Source of randomness, on the CPU.

    Returns
    -------
    Tensor
        Images of the same shape.
    """
    if most == 0:
        return images
    n, _, height, width = images.shape
    padded = F.pad(images, (most, most, most, most)).permute(0, 2, 3, 1)
    starts = torch.randint(0, 2 * most + 1, (n, 2, 1), generator=source)
    starts = starts.to(images.device)
    rows = (starts[:, 0] + torch.arange(height, device=images.device))[:, :, None]
    columns = (starts[:, 1] + torch.arange(width, device=images.device))[:, None, :]
    each = torch.arange(n, device=images.device)[:, None, None]
    return padded[each, rows, columns].permute(0, 3, 1, 2)


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, weight: float) -> None:
    """Move the running mean towards the network; its statistics as well."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), weight)
    for ours, theirs in zip(average.buffers(), network.buffers(), strict=True):
        if ours.is_floating_point():
            ours.lerp_(theirs, weight)
        else:
            ours.copy_(theirs)


def _flush(waiting: list[tuple[int, Tensor]], recorder: Recorder) -> None:
    rows = torch.stack([losses for _, losses in waiting]).tolist()
    for (step, _), (first, second, third) in zip(waiting, rows, strict=True):
        recorder.log(
            step, loss_discriminator=first, loss_generator=second, consistency=third
        )
    waiting.clear()


def _grid(settings: CGANAttacker, training: _Training) -> NDArray[np.float32]:
    """Ten images of every class from noise that never changes."""
    source = torch.Generator().manual_seed(0)
    noise = torch.randn(10, settings.n_noise, generator=source)
    n_classes = len(settings.classes_)
    return np.stack([_generate(training.average, noise, c) for c in range(n_classes)])


@torch.no_grad()
def _generate(generator: nn.Module, noise: Tensor, label: int) -> NDArray[np.float32]:
    place = next(generator.parameters()).device
    n_classes = generator.dense[0].in_features - noise.shape[1]  # type: ignore[index,union-attr]
    blocks = []
    for part in torch.split(noise, 1000):
        condition = torch.zeros(len(part), n_classes)
        condition[:, label] = 1
        blocks.append(generator(part.to(place), condition.to(place)).cpu().numpy())
    return np.concatenate(blocks)


@torch.no_grad()
def _log_odds(
    network: nn.Module, images: NDArray[np.float32], label: int
) -> NDArray[np.float32]:
    """How sure a network is of one class: log of its odds, in nats."""
    place = next(network.parameters()).device
    blocks = []
    for part in torch.from_numpy(images).split(1000):
        logits = network(part.to(place))
        others = torch.cat([logits[:, :label], logits[:, label + 1 :]], 1)
        blocks.append((logits[:, label] - others.logsumexp(1)).cpu().numpy())
    return np.concatenate(blocks)


@torch.no_grad()
def recalibrate(generator: nn.Module, pairs: _Pairs, n_noise: int, seed: int) -> None:
    """Measure the statistics that the averaged weights really produce.

    The running mean of the weights never saw a batch; its normalisations hold means
    of other networks' statistics until they are measured again (as in stochastic
    weight averaging, Izmailov et al., 2018).
    """
    source = torch.Generator().manual_seed(seed)
    norms = [
        m for m in generator.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain mean over batches
        norm.train()
    for _ in range(20):
        asked = pairs.conditions[pairs.draw(256, source)]
        noise = torch.randn(256, n_noise, generator=source).to(pairs.place)
        generator(noise, asked)
    generator.eval()


def distil(
    network: nn.Module,
    pairs: _Pairs,
    source: torch.Generator,
    *,
    batch_size: int = 128,
    epochs: int = 12,
    translation: int = 0,
    learning_rate: float = 2e-3,
    verbose: int = 0,
) -> None:
    """Teach a network the answers that the victim has already given.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    pairs : _Pairs
        Images and answers.
    source : torch.Generator
        Source of the order.
    batch_size : int, default=128
        Pairs per step.
    epochs : int, default=12
        Passes over the pairs; at least 100 steps are made in any case.
    translation : int, default=0
        Largest shift of an image in pixels.
    learning_rate : float, default=2e-3
        Highest rate of the one-cycle schedule.
    verbose : int, default=0
        1 shows a progress bar.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    steps = max(100, epochs * len(pairs.images) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps
    )
    for _ in tqdm(range(steps), desc="distil answers", disable=not verbose):
        rows = pairs.draw(batch_size, source)
        images = translate(pairs.images[rows], translation, source)
        _update(optimizer, F.cross_entropy(network(images), pairs.answers[rows]))
        schedule.step()
