"""Retrieval: the public images themselves, and what is made of the surest of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from kldiv_attack._classifier_training import random_affine
from kldiv_attack._progress import progress
from kldiv_attack._rules import AMOUNT, Number, Rule, Whole
from kldiv_attack.attackers._access import QueryAccess
from kldiv_attack.attackers._recorder import Recorder
from kldiv_attack.attackers._representatives import representatives
from kldiv_attack.attackers._sureness import (
    ask,
    certainty,
    count_sure,
    overconfidence,
    rounded,
)
from kldiv_attack.attackers._training import TrainedAttacker
from kldiv_attack.attackers._warps import bend, stretch
from kldiv_attack.datasets import LabelledImages

logger = logging.getLogger(__name__)

Images = NDArray[np.float32]
Floats = NDArray[np.float64]

_COMPONENTS = 30  # of the pixels, in which images are compared
_FEWEST = 60  # public images of a class that variants are made of, where there are any
_SUREST = 10  # images of a class that tell how sure the victim can be of it
_HONEST = 5.0  # times as many changes of class as admitted that are none too many


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
    others best, not the surest, which look alike. What counts as sure is told
    by each class itself, since a victim of many classes that look alike is never as
    sure as one of ten digits.

    Parameters
    ----------
    steps : int, default=6
        Rounds of variants.
    variants : int, default=600
        Variants per class and round; each costs a query.
    certainty : float, default=0.55
        An image counts as sure from this share of the log odds that the tenth surest
        image of the class reaches, public or variant.
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
        Public images that the victim put into each class, surest first.
    variants_ : dict of int to ndarray
        Variants that the victim put into the class, surest first.
    certainty_ : dict of int to float
        Log odds of the class, in nats, from which an image counts as sure.
    n_sure_ : dict of int to tuple of int
        Sure public images and sure variants of each class.
    overconfidence_ : float
        How often the victim changed its mind about turned images, in units of what its
        probabilities admit; NaN where it was asked about none.
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
    with a similar one, and with any of them. Sure public images are handed over first,
    then sure variants, then the surest of all others. Where as many public images as
    are asked for are sure enough without regard to variants, which are often surer,
    none are needed: images are chosen so that as many of those as possible have one
    nearby, by principal components of the pixels, and the nearer the denser they lie.

    Before the rounds the victim is asked again about 2,000 public images of which it
    said to be 99 % sure, turned a little (a tenth of what is left of a budget at most).
    A victim that changes its mind more than five times as often as its probabilities
    admit has not learned such images: those of which it is less sure show something
    else. What any other victim is less sure of are private-like images that are hard,
    so that all it finds more likely than not come before variants.

    A budget that ends during a round ends the rounds. Classes are served in their
    order, so that such a round may leave the last ones without variants.

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
        "certainty": Number(0, 1, low_too=False, high_too=False),
        "turn": AMOUNT,
        "bend": AMOUNT,
    }

    def __init__(
        self,
        *,
        steps: int = 6,
        variants: int = 600,
        certainty: float = 0.55,
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
        else:
            self.overconfidence_ = overconfidence(
                victim, images, answers, 0.6 * self.turn, self.random_state
            )
            if recorder is not None:
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
                sure = sum(made for _, made in self.n_sure_.values())
                recorder.log(number, sure=float(sure))
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
        self.overconfidence_ = np.nan

    def _invert(self, label: int, n: int, random_state: int) -> Images:
        rng = np.random.default_rng([self.random_state, random_state, label])
        rows, made = self.rows_[label], self.variants_[label]
        n_rows, n_made = self.n_sure_[label]
        public = self._sureness[label][0]
        enough = rows[: count_sure(public, self._share_of_surest(public))]
        if len(enough) >= n:
            return enough[representatives(self._project(enough), n, rng)]
        if not self.overconfidence_ > _HONEST:
            n_rows = max(n_rows, count_sure(self._sureness[label][0], 0.0))
        filled = np.sort(rng.permutation(n_made)[: max(0, n - n_rows)])
        rest = np.concatenate([rows[n_rows:], made[n_made:]])
        of_rows, of_made = self._sureness[label]
        sure = np.concatenate([of_rows[n_rows:], of_made[n_made:]])
        rest = rest[np.argsort(-sure, kind="stable")]
        found = np.concatenate([rows[:n_rows], made[filled], rest])[:n]
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
        self.rows_, self.variants_, self._sureness = {}, {}, {}
        for c in range(answers.shape[1]):
            own = np.flatnonzero(called == c)
            sure = certainty(answers[own], c)
            order = np.argsort(-sure, kind="stable")
            self.rows_[c], self.variants_[c] = images[own[order]], images[:0]
            self._sureness[c] = sure[order], np.empty(0)
        self._tell_sure()
        self._bases = {
            c: rows[: max(_FEWEST, self.n_sure_[c][0])]
            for c, rows in self.rows_.items()
        }

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
                self._keep(c, made, ask(victim, made))
            if self.budget_exhausted_:
                break
        self._tell_sure()

    def _keep(self, label: int, made: Images, answers: NDArray[np.float32]) -> None:
        mine = answers.argmax(1) == label
        images = np.concatenate([self.variants_[label], made[mine]])
        of_rows, of_made = self._sureness[label]
        sure = np.concatenate([of_made, certainty(answers[mine], label)])
        order = np.argsort(-sure, kind="stable")
        self.variants_[label] = images[order]
        self._sureness[label] = of_rows, sure[order]

    def _tell_sure(self) -> None:
        """From where on the victim counts as sure of each class, and of how much."""
        self.certainty_, self.n_sure_ = {}, {}
        for c, both in self._sureness.items():
            self.certainty_[c] = least = self._share_of_surest(np.concatenate(both))
            self.n_sure_[c] = count_sure(both[0], least), count_sure(both[1], least)

    def _share_of_surest(self, sure: Floats) -> float:
        """From where on an image is sure enough."""
        surest = np.sort(sure)[::-1][:_SUREST]
        reached = float(surest[-1]) if len(surest) else 0.0
        # nothing is sure of a class that never is the more likely one
        return self.certainty * reached if reached > 0 else np.inf

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
        return rounded(made)

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
        found = {
            "responses": torch.from_numpy(self.responses_),
            "overconfidence": torch.tensor(self.overconfidence_, dtype=torch.float64),
        }
        for c, images in self.variants_.items():
            pixels = (images * 255).round().astype(np.uint8)
            found[f"variants.{c}"] = torch.from_numpy(pixels)
            found[f"certainty.{c}"] = torch.from_numpy(self._sureness[c][1])
        return found

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        """Undo :meth:`_tensors`."""
        self.overconfidence_ = tensors["overconfidence"].item()
        for c in self.variants_:
            pixels = tensors[f"variants.{c}"].numpy().astype(np.float32)
            self.variants_[c] = pixels / np.float32(255)
            made = tensors[f"certainty.{c}"].numpy()
            self._sureness[c] = self._sureness[c][0], made
        self._tell_sure()

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
