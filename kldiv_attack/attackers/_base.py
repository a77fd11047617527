"""What every attacker shares: the two verbs, checked images, known reasons."""

from __future__ import annotations

import hashlib
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kldiv_attack._classifier import resolve_device, within_memory
from kldiv_attack._progress import progress
from kldiv_attack._rules import SEED, VERBOSITY, Rule, check_values
from kldiv_attack.attackers._access import QueryAccess, check_network
from kldiv_attack.attackers._recorder import Recorder
from kldiv_attack.datasets import LabelledImages, check_images, check_labels
from kldiv_attack.victim import QueryBudgetExceeded, Victim

logger = logging.getLogger(__name__)


#: Public images that a victim behind a plain function is asked about twice.
REPEATED = 8


class Attacker(ABC):
    """Base of all attackers: learn from public images, then invert labels.

    Attributes
    ----------
    access : {"labels", "probabilities", "gradients"}
        What the attacker needs of the victim; it is handed no more.
    classes_ : ndarray of int64
        Labels that can be asked for.
    class_names_ : tuple of str
        Their names.
    image_shape_ : tuple of int
        Channels, height and width of the reconstructions.
    n_queries_ : int
        Queries that ``fit`` made.
    reasons_ : dict of int to str
        Labels that cannot be reconstructed, and why. ``invert`` returns NaN for them.
    budget_exhausted_ : bool
        Whether the victim's budget ended the queries early; what was answered until
        then was used.
    changed_answers_ : float
        Share of up to eight images, asked about twice, whose second answer differed;
        NaN if none was. Only victims behind a plain function are asked twice: a network
        in evaluation mode answers the same.

    Examples
    --------
    A subclass says what it needs and fills in three methods. This one returns the
    mean of the public images, whatever the label:

    >>> class MeanAttacker(Attacker):
    ...     access = "labels"
    ...     def _fit(self, victim, images, recorder):
    ...         self.mean_ = images.mean(0)
    ...     def _fit_ideal(self, data, recorder):
    ...         self.mean_ = data.images.mean(0)
    ...     def _invert(self, label, n, random_state):
    ...         return np.tile(self.mean_, (n, 1, 1, 1))
    >>> from kldiv_attack import load_dataset
    >>> attacker = MeanAttacker().fit_ideal(load_dataset("digits"))
    >>> attacker.invert([3, 5], n=2).shape
    (2, 2, 1, 8, 8)
    """

    access: ClassVar[str]
    #: What each parameter may be; the rules of base classes hold as well.
    rules: ClassVar[Mapping[str, Rule]] = {"random_state": SEED, "verbose": VERBOSITY}

    def get_params(self) -> dict[str, Any]:
        """Parameters of the attacker, as scikit-learn's estimators have them.

        Returns
        -------
        dict
            Name to value; another attacker made of them is the same, not fitted.
        """
        names = inspect.signature(type(self)).parameters
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if value != defaults[name].default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def check(self, image_shape: tuple[int, ...] | None = None) -> None:
        """Refuse parameters that mean nothing, before anything is asked or trained.

        Parameters
        ----------
        image_shape : tuple of int, optional
            Channels, height and width of the images, where they are known already.

        Raises
        ------
        ValueError
            With the name, what was expected and what came.
        """
        del image_shape  # any will do
        rules: dict[str, Rule] = {}
        for kind in reversed(type(self).__mro__):
            rules |= vars(kind).get("rules", {})
        parameters = inspect.signature(type(self)).parameters
        check_values(
            {name: getattr(self, name) for name in parameters},
            rules,
            defaults={k: v.default for k, v in parameters.items()},
            of=type(self).__name__,
        )
        if "device" in parameters:
            resolve_device(vars(self)["device"])

    @within_memory("the attack")
    def fit(
        self, victim: Victim, aux_images: Any, *, recorder: Recorder | None = None
    ) -> Self:
        """Learn from the answers of the victim to public images.

        Parameters
        ----------
        victim : Victim
            The classifier under attack.
        aux_images : array-like of shape (n, channels, height, width), or LabelledImages
            Public images in [0, 1]; labels that come with them are not looked at.
        recorder : Recorder, optional
            Receives numbers, samples and snapshots; a recorder that holds a snapshot
            makes the training go on from there.

        Returns
        -------
        Attacker
            Itself.
        """
        if isinstance(aux_images, LabelledImages):
            aux_images = aux_images.images
        images = check_images(aux_images, name="aux_images")
        if not len(images):
            raise ValueError("aux_images: expected at least one image, got none.")
        self.check(images.shape[1:])
        self._begin(victim.class_names, images)
        before = victim.n_queries
        with victim.frozen():
            access = QueryAccess(victim, self.access)
            if self.access == "gradients":
                check_network(victim, images[:2])
            self._fit(access, images, recorder)
        self.n_queries_ = getattr(self, "_resumed_queries", 0)
        self.n_queries_ += victim.n_queries - before
        return self

    @within_memory("the ideal attack")
    def fit_ideal(
        self, data: LabelledImages, *, recorder: Recorder | None = None
    ) -> Self:
        """Learn from the private images themselves: the ideal attacker of eq. 1.

        Parameters
        ----------
        data : LabelledImages
            Private images with their true labels.
        recorder : Recorder, optional
            As in :meth:`fit`.

        Returns
        -------
        Attacker
            Itself; it made no query.
        """
        if not len(data):
            raise ValueError("fit_ideal: expected at least one image, got none.")
        self.check(data.image_shape)
        self._begin(data.class_names, data.images)
        self._fit_ideal(data, recorder)
        self.n_queries_ = 0
        return self

    @within_memory("the reconstruction")
    def invert(
        self, labels: ArrayLike, n: int, *, random_state: int = 0
    ) -> NDArray[np.float32]:
        """Reconstruct images of the private classes.

        Parameters
        ----------
        labels : array-like of int
            Which classes.
        n : int
            Images per class.
        random_state : int, default=0
            Seed of the noise.

        Returns
        -------
        ndarray of shape (len(labels), n, channels, height, width), float32
            Values in [0, 1]; NaN for a label in ``reasons_``.
        """
        self._check_fitted()
        wanted = check_labels(np.atleast_1d(np.asarray(labels)), len(self.classes_))
        if n < 1:
            raise ValueError(f"n={n}: expected at least 1 image per class.")
        images = np.full((len(wanted), n, *self.image_shape_), np.nan, np.float32)
        for position, label in enumerate(wanted):
            if int(label) not in self.reasons_:
                images[position] = self._invert(int(label), n, random_state)
        return images

    def prior(
        self, labels: ArrayLike, n: int, *, random_state: int = 0
    ) -> NDArray[np.float32] | None:
        """Where an attacker that searches begins, another control beside its result.

        Parameters
        ----------
        labels : array-like of int
            Which classes.
        n : int
            Images per class.
        random_state : int, default=0
            Seed of the noise.

        Returns
        -------
        ndarray of shape (len(labels), n, channels, height, width), float32, or None
            What ``invert`` would return without the victim; None for an attacker that
            does not search.
        """
        del labels, n, random_state
        return None

    def _check_fitted(self) -> None:
        if not hasattr(self, "reasons_"):
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(
                f"{type(self).__name__} is not fitted; call fit or fit_ideal first."
            )

    def _begin(self, class_names: tuple[str, ...], images: NDArray[np.float32]) -> None:
        if len(class_names) < 2:
            raise ValueError(
                f"the victim has {len(class_names)} class: its answers tell nothing "
                "about an image. Attack a classifier of at least 2 classes."
            )
        channels, height, width = images.shape[1:]
        self.image_shape_ = (channels, height, width)
        self.class_names_ = tuple(class_names)
        self.classes_ = np.arange(len(class_names))
        self.reasons_: dict[int, str] = {}
        self.budget_exhausted_ = False
        self.changed_answers_ = np.nan
        self._resumed_queries = 0
        self._data_digest = hashlib.sha256(images.tobytes()).hexdigest()

    def _ask_public(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        *,
        batch: int = 1000,
        verbose: int = 0,
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Ask about the public images, or as many random ones as the budget allows.

        Returns
        -------
        tuple
            The images that were asked about, in their order, and the answers.
        """
        allowed = victim.remaining
        if allowed is not None and allowed < len(images):
            self.budget_exhausted_ = True
            if not allowed:
                raise QueryBudgetExceeded(
                    "the victim's budget is spent before the first query; raise it."
                )
            logger.warning(
                "the victim's budget allows %d queries: %d of %d auxiliary images, "
                "drawn at random, are asked about.",
                allowed,
                allowed,
                len(images),
            )
            images = self._asked_images(images, allowed)
        starts = range(0, len(images), batch)
        bar = progress(starts, desc="query victim", disable=not verbose)
        answers = np.concatenate(
            [victim.query(images[start : start + batch]) for start in bar]
        )
        self._ask_again(victim, images, answers)
        return images, answers

    def _asked_images(self, images: NDArray[np.float32], n: int) -> NDArray[np.float32]:
        """The images that a budget of n queries is spent on; always the same."""
        if n >= len(images):
            return images
        seed = getattr(self, "random_state", 0)
        rows = np.random.default_rng(seed).permutation(len(images))[:n]
        return images[np.sort(rows)]

    def _ask_again(
        self, victim: QueryAccess, images: NDArray[np.float32], answers: NDArray[Any]
    ) -> None:
        """Ask about a few images twice and warn about a victim that wavers."""
        again = len(images) if victim.remaining is None else victim.remaining
        again = min(REPEATED, again, len(images))
        if victim.deterministic or not again:
            return
        rows = np.linspace(0, len(images) - 1, again).astype(int)
        second = victim.query(images[rows])
        apart = np.abs(second - answers[rows]).reshape(again, -1).max(1) > 1e-3
        self.changed_answers_ = float(apart.mean())
        if apart.any():
            logger.warning(
                "the victim changed its mind about %d of %d images that were asked "
                "about twice. If it is not meant to answer at random, put it in "
                "evaluation mode; the attack takes the first answers.",
                apart.sum(),
                again,
            )

    def _find_reasons(self, labels: NDArray[Any], min_responses: int) -> None:
        """Note the classes that the victim answered too rarely to learn from."""
        counts = np.bincount(labels, minlength=len(self.classes_))
        for label, count in enumerate(counts):
            if count < min_responses:
                self.reasons_[label] = (
                    "the victim never answered this class"
                    if count == 0
                    else f"the victim answered this class {int(count)} times, "
                    f"min_responses={min_responses}"
                )
        if self.reasons_:
            logger.warning(
                "classes that cannot be reconstructed: %s",
                "; ".join(
                    f"{self.class_names_[k]}: {v}" for k, v in self.reasons_.items()
                ),
            )
        if len(self.reasons_) == len(self.classes_):
            raise ValueError(
                f"no class got min_responses={min_responses} answers from "
                f"{int(counts.sum())} auxiliary images; give more images or lower it."
            )

    @abstractmethod
    def _fit(
        self,
        victim: QueryAccess,
        images: NDArray[np.float32],
        recorder: Recorder | None,
    ) -> None: ...

    @abstractmethod
    def _fit_ideal(self, data: LabelledImages, recorder: Recorder | None) -> None: ...

    @abstractmethod
    def _invert(self, label: int, n: int, random_state: int) -> NDArray[np.float32]: ...
