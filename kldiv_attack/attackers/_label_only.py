"""Label-only attacker: a surrogate that learns from labels, then a GAN against it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from kldiv_attack._classifier_training import train_classifier
from kldiv_attack._rules import Number, Options, Rule, Whole, optional
from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._base import Attacker
from kldiv_attack.attackers._cgan import CGANAttacker
from kldiv_attack.attackers._recorder import Recorder
from kldiv_attack.attackers._stages import Stages
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.victim import Victim

logger = logging.getLogger(__name__)


QUERY_BATCH = 1000


class LabelOnlyAttacker(Attacker):
    """Attacker that sees the class of each query and nothing else.

    Labels carry no confidence, and a GAN conditioned on them copies whatever public
    images got the label. So their knowledge is transferred first, as in LOKT (Nguyen et
    al., 2023): a surrogate network learns the labels of the public images; a
    conditional GAN is trained against the surrogate for a short time; the victim labels
    what it generated, where the surrogate is wrong most often; the surrogate learns
    again from both; and the final GAN is trained against this one, whose probabilities
    stand in for the victim's. Surrogates learn from slightly turned and moved images,
    without which they would be sure of everything they were taught.

    Parameters
    ----------
    steps : int, default=9000
        Steps of the final GAN.
    n_generated : int, default=4000
        Queries about generated images, as many of each class; 0 trains one GAN on the
        first surrogate. They come after the public images.
    rehearsal : float, default=0.2
        Steps of the first GAN, as a share of `steps`.
    surrogate_steps : int, default=400
        Steps of 256 images that a surrogate learns for, rounded up to whole passes.
    width : int, default=48
        Channels of the generator.
    batch_size : int, default=64
        Pairs per step of the GAN.
    n_noise : int, default=64
        Length of the noise.
    gan : dict, optional
        Other parameters of :class:`CGANAttacker`.
    min_responses : int, default=20
        Classes that the victim answers less often about public images are not
        reconstructed.
    device : str, default="auto"
        Where to compute.
    random_state : int, default=0
        Seed.
    verbose : int, default=0
        1 shows progress bars.

    Attributes
    ----------
    gan_ : CGANAttacker
        The final GAN.
    surrogate_ : Victim
        The network that stands in for the victim.
    labels_ : ndarray of shape (n_asked,)
        Answers about the public images.
    agreement_ : float
        Share of generated images that the first surrogate called as the victim did;
        NaN without such queries.

    Notes
    -----
    A budget that does not suffice for all public images is spent on a random part of
    them, the surrogate answers for the others, and nothing is generated to be asked
    about; ``budget_exhausted_`` says so.

    References
    ----------
    .. [1] Nguyen, Chandrasegaran, Abdollahzadeh and Cheung, "Label-only model inversion
       attacks via knowledge transfer", NeurIPS 2023.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, make_attacker, train_victim
    >>> victim = train_victim(load_dataset("digits", part="train"), epochs=2)
    >>> victim.answers = "labels"
    >>> public = load_dataset("digits", part="test")
    >>> attacker = make_attacker(
    ...     "label_only", steps=2, n_generated=20, surrogate_steps=5, min_responses=1
    ... )
    >>> attacker.fit(victim, public.images).n_queries_
    919
    """

    access = "labels"
    rules: ClassVar[Mapping[str, Rule]] = {
        "steps": Whole(),
        "n_generated": Whole(0),
        "rehearsal": Number(0, 1, low_too=False),
        "surrogate_steps": Whole(),
        "gan": optional(Options()),
        "min_responses": Whole(),
    }

    def __init__(
        self,
        *,
        steps: int = 9000,
        n_generated: int = 4000,
        rehearsal: float = 0.2,
        surrogate_steps: int = 400,
        width: int = 48,
        batch_size: int = 64,
        n_noise: int = 64,
        gan: dict[str, Any] | None = None,
        min_responses: int = 20,
        device: str | torch.device = "auto",
        random_state: int = 0,
        verbose: int = 0,
    ):
        self.steps = steps
        self.n_generated = n_generated
        self.rehearsal = rehearsal
        self.surrogate_steps = surrogate_steps
        self.width = width
        self.batch_size = batch_size
        self.n_noise = n_noise
        self.gan = gan
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
        stages = Stages(recorder, self._own_settings())
        asked = self._public_labels(victim, images, stages)
        self._find_reasons(self.labels_, self.min_responses)
        surrogate = self._learn_labels(asked, self.labels_)
        self.agreement_ = np.nan
        before = 0
        if self._wanted(victim, stages):
            before = max(1, round(self.rehearsal * self.steps))
            extra, labels = self._generated_labels(
                victim, images, surrogate, stages, before
            )
            guessed = surrogate.query(extra).argmax(1)
            self.agreement_ = float((guessed == labels).mean())
            logger.info(
                "surrogate and victim agree about %.0f %% of %d generated images.",
                100 * self.agreement_,
                len(labels),
            )
            surrogate = self._learn_labels(
                np.concatenate([asked, extra]), np.concatenate([self.labels_, labels])
            )
        self.surrogate_ = surrogate
        self.gan_ = self._gan(self.steps)
        self.gan_.fit(surrogate, images, recorder=stages.enter(1, before))
        self.reasons_ = {**self.gan_.reasons_, **self.reasons_}

    def _fit_ideal(self, data: LabelledImages, recorder: Recorder | None) -> None:
        """True labels of private images need no surrogate."""
        self._find_reasons(data.labels, self.min_responses)
        stages = Stages(recorder, self._own_settings())
        self.gan_ = self._gan(self.steps)
        self.gan_.fit_ideal(data, recorder=stages.enter(1, 0))

    def _invert(self, label: int, n: int, random_state: int) -> NDArray[np.float32]:
        images: NDArray[np.float32] = self.gan_.invert(
            [label], n, random_state=random_state
        )[0]
        return images

    def _public_labels(
        self, victim: QueryAccess, images: NDArray[np.float32], stages: Stages
    ) -> NDArray[np.float32]:
        """Ask about the public images, or remember what was answered."""
        if "labels" in stages.kept:
            self.labels_ = stages.kept["labels"].numpy()
            asked = self._asked_images(images, len(self.labels_))
            victim.asked_before = self._resumed_queries = stages.n_queries
            self.budget_exhausted_ = stages.exhausted
        else:
            asked, self.labels_ = self._ask_public(
                victim, images, batch=QUERY_BATCH, verbose=self.verbose
            )
            stages.keep("labels", torch.from_numpy(self.labels_))
            stages.note(victim.n_queries, self.budget_exhausted_)
        return asked

    def _wanted(self, victim: QueryAccess, stages: Stages) -> bool:
        """Whether generated images are to be asked about, or were already."""
        if "extra" in stages.kept or stages.stage == 1:
            return "extra" in stages.kept
        allowed = victim.remaining
        if allowed is None or allowed >= self.n_generated:
            return self.n_generated > 0
        self.budget_exhausted_ = True
        logger.warning(
            "the victim's budget allows %d of %d queries about generated images.",
            allowed,
            self.n_generated,
        )
        return allowed > 0

    def _generated_labels(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        surrogate: Victim,
        stages: Stages,
        steps: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Train a GAN for a short time and ask the victim what it made."""
        if "extra" not in stages.kept:
            gan = self._gan(steps)
            gan.fit(surrogate, images, recorder=stages.enter(0, 0))
            extra = self._generate(gan, victim.remaining)
            starts = range(0, len(extra), QUERY_BATCH)
            labels = np.concatenate(
                [victim.query(extra[start : start + QUERY_BATCH]) for start in starts]
            )
            stages.keep("extra", torch.from_numpy(extra))
            stages.keep("extra_labels", torch.from_numpy(labels))
            stages.note(victim.n_queries, self.budget_exhausted_)
            stages.save_again()
        return stages.kept["extra"].numpy(), stages.kept["extra_labels"].numpy()

    def _generate(self, gan: CGANAttacker, allowed: int | None) -> NDArray[np.float32]:
        """As many images of each class that can be made, within the budget."""
        wanted = self.n_generated if allowed is None else min(self.n_generated, allowed)
        known = [c for c in self.classes_ if c not in gan.reasons_]
        each = -(-wanted // len(known))
        made = gan.invert(known, each, random_state=self.random_state)
        return made.swapaxes(0, 1).reshape(-1, *self.image_shape_)[:wanted]

    def _gan(self, steps: int) -> CGANAttacker:
        options = {
            "width": self.width,
            "batch_size": self.batch_size,
            "n_noise": self.n_noise,
            "min_responses": 1,
            **(self.gan or {}),
        }
        return CGANAttacker(
            steps=steps,
            device=self.device,
            random_state=self.random_state,
            verbose=self.verbose,
            **options,
        )

    def _learn_labels(
        self, images: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> Victim:
        """A surrogate: a network of the attacker's own that repeats the labels."""
        batch = min(256, len(images))
        per_epoch = max(1, len(images) // batch)
        network, settings = train_classifier(
            "victim",
            LabelledImages(images, labels, self.class_names_, "answers"),
            -(-self.surrogate_steps // per_epoch),
            16,
            batch,
            4e-3,
            1.0,
            None,
            self.device,
            self.random_state,
            self.verbose,
        )
        return Victim(
            network,
            self.class_names_,
            self.image_shape_,
            device=self.device,
            settings=settings,
        )

    def check(self, image_shape: tuple[int, ...] | None = None) -> None:
        """See :meth:`Attacker.check`; the parameters of the GAN count as well."""
        super().check(image_shape)
        accepted = set(inspect.signature(CGANAttacker).parameters)
        accepted -= {"steps", "device", "random_state", "verbose"}
        unknown = sorted(set(self.gan or {}) - accepted)
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: gan has no parameter {', '.join(unknown)}; it "
                f"accepts {', '.join(sorted(accepted))}."
            )
        self._gan(self.steps).check(image_shape)

    def _own_settings(self) -> dict[str, Any]:
        """What a snapshot must agree on beside what the GAN itself checks."""
        names = (
            "steps",
            "n_generated",
            "rehearsal",
            "surrogate_steps",
            "min_responses",
        )
        return {
            **{name: getattr(self, name) for name in names},
            "random_state": self.random_state,
            "data": self._data_digest,
        }
