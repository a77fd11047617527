"""Retrieval: the public images themselves, and what is made of the surest of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from kldiv_attack._classifier_training import random_affine
from kldiv_attack._progress import progress
from kldiv_attack._rules import AMOUNT, Number, Rule, Whole
from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._recorder import Recorder
from kldiv_attack.attackers._training import QUERY_BATCH, TrainedAttacker
from kldiv_attack.attackers._warps import bend, stretch
from kldiv_attack.datasets import LabelledImages

logger = logging.getLogger(__name__)

Images = NDArray[np.float32]
Floats = NDArray[np.float64]

_COMPONENTS = 30  # of the pixels, in which images are compared
_FEWEST = 60  # public images of a class that variants are made of, where there are any
_MILDER = 4.0  # nats of certainty that such an image may lack


#: Kinds of blends, and among how many of the nearest the other image is drawn.
KINDS_OF_BLENDS: dict[str, int | None] = {
    "blended with near": 8,
    "blended with similar": 40,
    "blended with any": None,
}
KINDS = ("turned", "bent", "turned and bent", *KINDS_OF_BLENDS)


class RetrievalAttacker(TrainedAttacker):
    """Public images that the victim is sure of, and variants of them; no generator.

    Where public images resemble the private ones, handing over the surest of them is
    hard to beat, and what it lacks is variety: the classes that have few sure images
    are filled with unsure ones. This attacker fills them with *variants* instead: the
    surest public images of a class, turned, bent and blended with one another. The
    victim is asked about each, and those that it is as sure of are kept. Where there
    are more sure public images than asked for, those are taken that stand for the
    others best (medoids), not the surest, which look alike.

    Parameters
    ----------
    steps : int, default=6
        Rounds of variants.
    variants : int, default=600
        Variants per class and round; each costs a query.
    certainty : float, default=0.9999
        Probability of the class from which the victim counts as sure.
    turn : float, default=1.0
        Strength of the random affine maps.
    bend : float, default=0.08
        Strength of the smooth random warps, in halves of the image's side.
    min_responses : int, default=20
        Classes that are answered less often are not reconstructed: NaN and a reason.
    device : str, default="auto"
        Accepted as by every attacker; the work is done on the CPU.
    random_state : int, default=0
        Seed.
    verbose : int, default=0
        1 shows progress bars.

    Attributes
    ----------
    rows_ : dict of int to ndarray
        Public images of each class that the victim is sure of, surest first.
    variants_ : dict of int to ndarray
        Variants that the victim put into the class, surest first.
    n_sure_ : dict of int to int
        How many of those it is sure of.
    responses_ : ndarray of shape (n_aux, n_classes)
        Answers of the victim to the public images.

    See Also
    --------
    kldiv_attack.CONTROLS : Handing over public images as they are.

    Notes
    -----
    Pixels of variants are rounded to 8 bits before the victim is asked, as they would
    be in a file. Rounds take turns: affine maps of an image, smooth warps, both, and
    blends, stretched to full contrast, with one of its nearest among the surest images,
    with a similar one, and with any of them. A budget that ends during a round ends the
    rounds; what was answered until then is used. Classes are served in their order, so
    that such a round may leave the last ones without variants.

    A snapshot follows the public images and every round that asked, however rarely a
    recorder wants them: what was answered has cost queries.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, make_attacker, train_victim
    >>> victim = train_victim(load_dataset("digits", part="train"), epochs=3)
    >>> public = load_dataset("digits", part="test").images
    >>> attacker = make_attacker("retrieval", steps=1, variants=20, min_responses=1)
    >>> attacker.fit(victim, public).n_queries_
    1099
    """

    access = "probabilities"
    rules: ClassVar[Mapping[str, Rule]] = {
        "variants": Whole(),
        "certainty": Number(0.5, 1, low_too=False, high_too=False),
        "turn": AMOUNT,
        "bend": AMOUNT,
    }

    def __init__(
        self,
        *,
        steps: int = 6,
        variants: int = 600,
        certainty: float = 0.9999,
        turn: float = 1.0,
        bend: float = 0.08,
        min_responses: int = 20,
        device: str | torch.device = "auto",
        random_state: int = 0,
        verbose: int = 0,
    ):
        self.steps = steps
        self.variants = variants
        self.certainty = certainty
        self.turn = turn
        self.bend = bend
        self.min_responses = min_responses
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _fit(
        self,
        victim: QueryAccess,
        images: Images,
        recorder: Recorder | None,
    ) -> None:
        snapshot = self._resume(recorder)
        images, answers = self._answers(victim, images, snapshot)
        self._prepare(images, answers)
        start = 0
        if snapshot is not None:
            start = snapshot[0]
            self._restore(snapshot[1])
            self.budget_exhausted_ |= bool(snapshot[2]["exhausted"])
        elif recorder is not None:
            self._save(0, victim, recorder)
        bar = progress(
            range(start + 1, self.steps + 1),
            desc="ask about variants",
            disable=not self.verbose,
        )
        for number in bar:
            asks = not self.budget_exhausted_
            if asks:
                self._round(number, victim)
            if recorder is not None:
                recorder.log(number, sure=float(sum(self.n_sure_.values())))
                if asks:
                    self._save(number, victim, recorder)
        if recorder is not None:
            recorder.sample(self.steps, self._sample())
            self._save(self.steps, victim, recorder)

    def _save(self, number: int, victim: QueryAccess, recorder: Recorder) -> None:
        extra = self._extra(victim.n_queries)
        extra["exhausted"] = self.budget_exhausted_
        recorder.save(number, self._tensors(), extra)

    def _fit_ideal(self, data: LabelledImages, recorder: Recorder | None) -> None:
        """The owner of the images hands over what stands for them best."""
        del recorder  # nothing is asked
        answers = np.eye(data.n_classes, dtype=np.float32)[data.labels]
        self._prepare(data.images, answers)

    def _invert(self, label: int, n: int, random_state: int) -> Images:
        rng = np.random.default_rng([self.random_state, random_state, label])
        rows, made = self.rows_[label], self.variants_[label]
        if len(rows) >= n:
            return rows[self._medoids(rows, n, rng)]
        sure = self.n_sure_[label]
        lacking = n - len(rows)
        if sure >= lacking:
            return np.concatenate(
                [rows, made[np.sort(rng.permutation(sure)[:lacking])]]
            )
        # Not enough that the victim is sure of: the surest of what it put in the class.
        most = [rows, made, self._unsure[label]]
        found = np.concatenate(most)[:n]
        return found[np.resize(np.arange(len(found)), n)]

    def _prepare(self, images: Images, answers: NDArray[np.float32]) -> None:
        """Public images of every class, surest first, and what variants are made of."""
        self.responses_ = answers
        called = answers.argmax(1)
        self._find_reasons(called, self.min_responses)
        flat = images.reshape(len(images), -1)
        few = flat[:: -(-len(flat) // 5000)]
        self._pca = PCA(
            min(_COMPONENTS, *few.shape), random_state=self.random_state
        ).fit(few)
        threshold = float(logit(self.certainty))
        self.rows_, self._unsure, self._bases = {}, {}, {}
        self.variants_, self._sureness = {}, {}
        for c in range(answers.shape[1]):
            own = np.flatnonzero(called == c)
            sure = certainty(answers[own], c)
            order = np.argsort(-sure, kind="stable")
            own, sure = own[order], sure[order]
            n_sure = int((sure >= threshold).sum())
            self.rows_[c] = images[own[:n_sure]]
            self._unsure[c] = images[own[n_sure:]]
            mild = max(_FEWEST, int((sure >= threshold - _MILDER).sum()))
            self._bases[c] = images[own[:mild]]
            self.variants_[c] = images[:0]
            self._sureness[c] = np.empty(0)
        self._count()

    def _round(self, number: int, victim: QueryAccess) -> None:
        """Make variants of every class and keep those that the victim recognises."""
        source = torch.Generator().manual_seed(self.random_state * 1009 + number)
        for c, bases in self._bases.items():
            if c in self.reasons_:
                continue
            made = self._vary(bases, number, source)
            allowed = victim.remaining
            if allowed is not None and allowed < len(made):
                logger.warning(
                    "the victim's budget allows %d more queries: round %d of %d, about "
                    "variants, is the last and stops there.",
                    allowed,
                    number,
                    self.steps,
                )
                self.budget_exhausted_ = True
                made = made[:allowed]
            if len(made):
                self._keep(c, made, self._ask(victim, made))
            if self.budget_exhausted_:
                break
        self._count()

    def _ask(self, victim: QueryAccess, made: Images) -> NDArray[np.float32]:
        parts = range(0, len(made), QUERY_BATCH)
        return np.concatenate([victim.query(made[i : i + QUERY_BATCH]) for i in parts])

    def _keep(self, label: int, made: Images, answers: NDArray[np.float32]) -> None:
        mine = answers.argmax(1) == label
        images = np.concatenate([self.variants_[label], made[mine]])
        sure = np.concatenate([self._sureness[label], certainty(answers[mine], label)])
        order = np.argsort(-sure, kind="stable")
        self.variants_[label], self._sureness[label] = images[order], sure[order]

    def _count(self) -> None:
        threshold = float(logit(self.certainty))
        self.n_sure_ = {
            c: int((sure >= threshold).sum()) for c, sure in self._sureness.items()
        }

    def _vary(self, bases: Images, number: int, source: torch.Generator) -> Images:
        """Variants of a class, of the kind that is this round's turn."""
        rows = torch.randint(len(bases), (self.variants,), generator=source)
        images = torch.from_numpy(bases[rows.numpy()])
        kind = KINDS[(number - 1) % len(KINDS)]
        if kind == "turned":
            made = random_affine(images, 0.6 * self.turn, source)
        elif kind == "bent":
            made = bend(images, 0.6 * self.bend, source)
        elif kind == "turned and bent":
            made = bend(random_affine(images, self.turn, source), self.bend, source)
        else:
            near = KINDS_OF_BLENDS[kind]
            made = self._blend(images, bases, rows, near or len(bases), source)
        pixels = made.clamp(0, 1).mul(255).round().numpy()
        return pixels.astype(np.float32) / np.float32(255)

    def _blend(
        self,
        images: Tensor,
        bases: Images,
        rows: Tensor,
        near: int,
        source: torch.Generator,
    ) -> Tensor:
        """Mean of an image and one of its nearest, at full contrast."""
        placed = self._project(bases)
        most = min(near + 1, len(bases))
        search = NearestNeighbors(n_neighbors=most).fit(placed)
        found = search.kneighbors(placed[rows.numpy()], return_distance=False)
        turn = torch.randint(min(1, most - 1), most, (len(rows),), generator=source)
        other = torch.from_numpy(bases[found[np.arange(len(rows)), turn.numpy()]])
        share = 0.2 + 0.6 * torch.rand(len(rows), 1, 1, 1, generator=source)
        return stretch(torch.lerp(images, other, share))

    def _tensors(self) -> dict[str, Tensor]:
        """What a snapshot holds."""
        found = {"responses": torch.from_numpy(self.responses_)}
        for c, images in self.variants_.items():
            pixels = (images * 255).round().astype(np.uint8)
            found[f"variants.{c}"] = torch.from_numpy(pixels)
            found[f"certainty.{c}"] = torch.from_numpy(self._sureness[c])
        return found

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        """Undo :meth:`_tensors`."""
        for c in self.variants_:
            pixels = tensors[f"variants.{c}"].numpy().astype(np.float32)
            self.variants_[c] = pixels / np.float32(255)
            self._sureness[c] = tensors[f"certainty.{c}"].numpy()
        self._count()

    def _sample(self) -> Images:
        """Ten images of every class."""
        blank = np.zeros((10, *self.image_shape_), np.float32)
        return np.stack(
            [
                blank if c in self.reasons_ else self._invert(int(c), 10, 0)
                for c in self.classes_
            ]
        )

    def _project(self, images: Images) -> Floats:
        flat = images.reshape(len(images), -1)
        found: Floats = self._pca.transform(flat).astype(np.float64)
        return found

    def _medoids(
        self, images: Images, n: int, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Rows nearest to the centres of n clusters, filled up at random."""
        rows = self._project(images)
        seed = int(rng.integers(2**31))
        centres = (
            MiniBatchKMeans(
                n, n_init=1, max_iter=20, batch_size=1024, random_state=seed
            )
            .fit(rows)
            .cluster_centers_
        )
        nearest = NearestNeighbors(n_neighbors=1).fit(rows)
        chosen = np.unique(nearest.kneighbors(centres, return_distance=False))
        others = rng.permutation(np.setdiff1d(np.arange(len(rows)), chosen))
        return np.sort(np.concatenate([chosen, others[: n - len(chosen)]]))


def certainty(answers: NDArray[np.float32], label: int) -> Floats:
    """Log of the odds of a class, in nats; ties where a victim rounds its answers."""
    precise = answers.astype(np.float64)
    others = np.delete(precise, label, axis=1).sum(axis=1)
    tiny = np.finfo(np.float32).tiny
    odds: Floats = np.log(precise[:, label] + tiny) - np.log(others + tiny)
    return odds
