"""LOMMA: a latent search for logits, under the victim and models that imitate it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kldiv_attack._rules import AMOUNT, Rule, Whole
from kldiv_attack.attackers._gmi import GMIAttacker
from kldiv_attack.attackers._pairs import Pairs, distil
from kldiv_attack.attackers._recorder import Snapshot
from kldiv_attack.attackers._wasserstein import GMITraining
from kldiv_attack.networks import VictimNetwork, seeded

CHUNK = 1000  # public images that are looked at together
_NARROWEST = 12  # channels of the first model; each further one has four more


class LOMMAAttacker(GMIAttacker):
    r"""Latent search for logits instead of cross entropy, under several models.

    GMI's generator and search with two changes (Nguyen et al., 2023). The cross entropy
    of the victim, which vanishes as soon as the victim is sure, gives way to the *logit
    loss*

    .. math:: -\ell_c + \lambda_r \lVert p - \bar p \rVert^2 / \sigma^2,

    with the logit :math:`\ell_c` of the class and the features :math:`p` before the
    last layer, which are kept near their mean :math:`\bar p` over public images. And
    *augmented models*, which repeat what the victim says about public images, are asked
    beside it, so that the search finds less that pleases one network alone.

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
    restarts : int, default=1
        Searches per image, of which the best is kept.
    models : int, default=3
        Augmented models; 0 asks the victim alone.
    passes : int, default=4
        Passes over the public images by which each of them learns.
    regularisation : float, default=1.0
        Weight :math:`\lambda_r`.
    identity : float, default=100.0
        Weight of the logit loss, a mean over the models; 0 leaves them out.
    known : float, default=10000.0
        Weight of the mean squared distance from what is known, in ``invert_from``.
    latent_rate : float, default=0.05
        Step length of Adam in the latent space.
    translation : int, optional
        Largest shift in pixels, drawn anew for every image that critic and models
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
    critic_ : Discriminator
        What keeps the search among images that look public.
    network_ : torch.nn.Module
        Copy of the victim's network.
    models_ : list of torch.nn.Module
        That copy and the augmented models.
    n_gradients_ : int
        Images for which the victim's gradient was taken so far. There are no queries:
        the models learn from the copy of the network.
    cuda_graph_ : bool
        Whether the steps were replayed.

    See Also
    --------
    GMIAttacker : The search without the two changes.

    Notes
    -----
    The paper draws :math:`p` of every step from a normal distribution around
    :math:`\bar p`; the expected distance from such draws differs from that to the mean
    by a constant, so the mean takes their place. :math:`\sigma^2` is the total variance
    of the features over the public images, so that :math:`\lambda_r` means the same for
    every network. A victim's features are what its last linear layer receives; a
    network without such a layer needs ``regularisation=0``.

    References
    ----------
    .. [1] Nguyen, Chandrasegaran, Abdollahzadeh and Cheung, "Re-thinking model
       inversion attacks against deep neural networks", CVPR 2023, arXiv 2304.01669.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, make_attacker, train_victim
    >>> victim = train_victim(load_dataset("digits"), epochs=3, batch_size=32)
    >>> public = load_dataset("digits", part="test")
    >>> attacker = make_attacker("lomma", steps=3, iterations=4, models=1)
    >>> attacker.fit(victim, public.images).invert([3, 8], 2).shape
    (2, 2, 1, 8, 8)
    """

    access = "gradients"
    rules: ClassVar[Mapping[str, Rule]] = {
        "models": Whole(0),
        "passes": Whole(),
        "regularisation": AMOUNT,
    }

    def __init__(
        self,
        *,
        steps: int = 1000,
        batch_size: int = 64,
        critic_steps: int = 3,
        iterations: int = 60,
        restarts: int = 1,
        models: int = 3,
        passes: int = 4,
        regularisation: float = 1.0,
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
        super().__init__(
            steps=steps,
            batch_size=batch_size,
            critic_steps=critic_steps,
            iterations=iterations,
            restarts=restarts,
            identity=identity,
            known=known,
            latent_rate=latent_rate,
            translation=translation,
            ema=ema,
            n_noise=n_noise,
            width=width,
            learning_rate=learning_rate,
            momentum=momentum,
            precision=precision,
            channels_last=channels_last,
            cuda_graph=cuda_graph,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.models = models
        self.passes = passes
        self.regularisation = regularisation

    def _begin_training(self, images: Tensor, snapshot: Snapshot | None) -> GMITraining:
        if self.regularisation:
            last_linear(self.network_)  # refused before anything is trained
        training = LOMMATraining(self, images)
        if snapshot is None:
            training.imitate(self.network_)
        else:
            training.restore(snapshot[1])
        for model in training.imitating:
            model.eval().requires_grad_(False)
        self.models_ = [self.network_, *training.imitating]
        self._usual = [self._law(model, images) for model in self.models_]
        return training

    def _wrong(self, shown: Tensor, labels: Tensor) -> Tensor:
        """The logit loss, mean over the models."""
        costs = []
        for model, (mean, variance) in zip(self.models_, self._usual, strict=True):
            logits, features = self._look(model, shown)
            apart = (features - mean).square().sum(1) / variance
            own = logits.gather(1, labels[:, None]).squeeze(1)
            costs.append(self.regularisation * apart - own)
        return torch.stack(costs).mean(0)

    @torch.no_grad()
    def _law(self, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and total variance of a model's features of public images."""
        parts = [self._look(model, some)[1] for some in images.split(CHUNK)]  # type: ignore[no-untyped-call]
        features = torch.cat(parts)
        variance = (features - features.mean(0)).square().mean(0).sum()
        return features.mean(0), torch.where(variance > 0, variance, 1.0)

    def _look(self, model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and what the last linear layer made them of; empty if unasked for."""
        if not self.regularisation:
            return model(images), images.new_zeros(len(images), 0)
        kept: list[Tensor] = []

        def keep(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
            del layer
            kept.append(inputs[0])

        handle = last_linear(model).register_forward_pre_hook(keep)
        try:
            logits: Tensor = model(images)
        finally:
            handle.remove()
        return logits, kept[-1].reshape(len(images), -1)


class LOMMATraining(GMITraining):
    """GMI's training, whose snapshots hold the augmented models as well."""

    settings: LOMMAAttacker

    def __init__(self, settings: LOMMAAttacker, images: Tensor):
        super().__init__(settings, images)
        n_classes = len(settings.classes_)
        with seeded(settings.random_state + 1):
            self.imitating = [
                VictimNetwork(settings.image_shape_, n_classes, _NARROWEST + 4 * i)
                for i in range(settings.models)
            ]
        for i, model in enumerate(self.imitating):
            self.networks[f"model_{i}"] = model.to(self.place)

    @torch.no_grad()
    def _answers(self, network: nn.Module) -> Tensor:
        parts = [network(some).softmax(1) for some in self.public.split(CHUNK)]  # type: ignore[no-untyped-call]
        return torch.cat(parts)

    def imitate(self, network: nn.Module) -> None:
        """Teach the models what a network says about the public images."""
        if not self.imitating:
            return
        answers = self._answers(network).cpu().numpy()
        pairs = Pairs(self.public.cpu().numpy(), answers, self.place)
        source = torch.Generator().manual_seed(self.settings.random_state + 1)
        for model in self.imitating:
            distil(
                model,
                pairs,
                source,
                epochs=self.settings.passes,
                translation=self.shift,
                verbose=self.settings.verbose,
            )


def last_linear(network: nn.Module) -> nn.Linear:
    """The last linear layer of a network.

    Raises
    ------
    ValueError
        If there is none.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Linear)]
    if not layers:
        raise ValueError(
            "regularisation: the features of a victim are what its last linear layer "
            "receives, and this network has none; choose regularisation=0."
        )
    return layers[-1]
