"""Several judges of one attack, what they let pass, and success corrected for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from kldiv import PerClassReport
from kldiv_attack._classifier_training import train_classifier, train_judge
from kldiv_attack._neighbour_judge import NeighbourJudge
from kldiv_attack._shares import wilson
from kldiv_attack.attackers import make_attacker
from kldiv_attack.datasets import LabelledImages
from kldiv_attack.evaluate import by_label
from kldiv_attack.judge import Judge, check_judge, fingerprints
from kldiv_attack.victim import Victim

__all__ = ["adversarial_images", "judge_attack", "train_panel"]

Images = NDArray[np.float32]
NonMembers = Mapping[str, Mapping[int, ArrayLike]]


class AnyJudge(Protocol):
    """What a panel asks of a judge."""

    def predict(self, images: Any) -> NDArray[np.int64]:
        """A label for every image, -1 for "none of the classes"."""


def train_panel(
    data: LabelledImages,
    *,
    epochs: int = 5,
    random_state: int = 1,
    device: str | torch.device = "auto",
    verbose: int = 0,
) -> dict[str, AnyJudge]:
    """Train judges of three kinds on images that the victim never saw.

    Parameters
    ----------
    data : LabelledImages
        Images of the victim's classes; none of the victim's training rows.
    epochs : int, default=5
        Passes over them.
    random_state : int, default=1
        Seed.
    device : str, default="auto"
        Where the networks compute.
    verbose : int, default=0
        1 shows progress bars.

    Returns
    -------
    dict
        ``"convolution"``, the architecture of :func:`train_judge`; ``"perceptron"``,
        dense layers alone; ``"neighbours"``, the five nearest images by their pixels,
        which knows "none of the classes".

    See Also
    --------
    kldiv_attack.judge_attack : What they are for.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, train_panel
    >>> panel = train_panel(load_dataset("digits", part="test"), epochs=1)
    >>> sorted(panel)
    ['convolution', 'neighbours', 'perceptron']
    """
    options: Any = {"device": device, "verbose": verbose}
    batch = min(256, max(16, len(data) // 40))
    network, settings = train_classifier(
        "perceptron", data, 2 * epochs, 64, batch, 2e-3, 1.0, None, device,
        random_state + 1, verbose,
    )  # fmt: skip
    dense = Judge(
        network, data.class_names, data.image_shape, device=device, settings=settings
    )
    dense.fingerprints = fingerprints(data.images)
    return {
        "convolution": train_judge(
            data, epochs=epochs, batch_size=batch, random_state=random_state, **options
        ),
        "perceptron": dense,
        "neighbours": NeighbourJudge(data),
    }


def adversarial_images(
    victim: Victim, n: int, image_shape: tuple[int, int, int], *, random_state: int = 0
) -> dict[int, Images]:
    """Noise that the victim is sure of and that shows nothing.

    Parameters
    ----------
    victim : Victim
        Whose gradient is followed, from uniform noise, until it is sure of the class.
    n : int
        Images per class.
    image_shape : tuple of int
        Channels, height and width.
    random_state : int, default=0
        Seed.

    Returns
    -------
    dict of int to ndarray
        Those images of each class that did convince the victim: known non-members.

    Raises
    ------
    ValueError
        If the victim is a plain function, which has no gradient.

    Examples
    --------
    >>> from kldiv_attack import load_dataset, train_victim
    >>> digits = load_dataset("digits", part="train")
    >>> victim = train_victim(digits, epochs=3, batch_size=32)
    >>> noise = adversarial_images(victim, 2, digits.image_shape)
    >>> bool((victim.query(noise[3]).argmax(1) == 3).all())
    True
    """
    attacker = make_attacker(
        "mi_face", noise=1.0, steps=500, random_state=random_state, device=victim.device
    )
    attacker.fit(victim, np.zeros((1, *image_shape), np.float32))
    found = {}
    for label in range(victim.n_classes):
        images = attacker.invert([label], n, random_state=random_state)[0]
        fooled = victim._probabilities(images).argmax(axis=1) == label
        if fooled.any():
            found[label] = images[fooled]
    return found


@dataclass(frozen=True)
class _Rate:
    """A share of images, and of how many."""

    share: float
    n: int

    def ends(self, level: float) -> tuple[float, float]:
        return wilson(self.share, self.n, level) if self.n else (np.nan, np.nan)

    @property
    def variance(self) -> float:
        # One more success and failure: a share of 0 or 1 is not certain.
        smooth = (self.share * self.n + 1) / (self.n + 2)
        return smooth * (1 - smooth) / self.n if self.n else np.nan


def judge_attack(
    reconstructions: ArrayLike | Mapping[int, ArrayLike],
    private: LabelledImages,
    judges: Mapping[str, AnyJudge],
    *,
    members: LabelledImages,
    non_members: NonMembers,
    victim: Victim | None = None,
    confidence_level: float = 0.95,
    title: str = "Success under several judges",
) -> PerClassReport:
    r"""Success under several judges, corrected for what each of them lets pass.

    Parameters
    ----------
    reconstructions : array or mapping
        As :func:`evaluate_attack` takes them.
    private : LabelledImages
        The images that the victim was trained on. A judge that was trained on any of
        them is refused.
    judges : mapping of str to judge
        Anything with ``predict``; -1 means "none of the classes". :func:`train_panel`
        trains three.
    members : LabelledImages
        Real images of the classes, known to no judge and not to the victim: how many of
        them a judge recognises.
    non_members : mapping of str to mapping of int to images
        Kinds of images that show no class: for each label those that the victim calls
        so. How many of them a judge calls so as well is its false positive rate.
    victim : Victim, optional
        The attacked classifier; only used to refuse it as a judge.
    confidence_level : float, default=0.95
        Level of all intervals.
    title : str
        Heading of the report.

    Returns
    -------
    PerClassReport
        One row per judge and a row ``"agreement"``. Columns: ``accuracy`` over all
        reconstructions; ``recognised``, of the members; ``false: KIND`` of each kind of
        non-members; ``corrected``; each with ``_low`` and ``_high``. In the row
        ``agreement`` stands the share of images about which all judges say the same.

    Raises
    ------
    ValueError
        If a judge is the victim or was trained on private images, or nothing is given
        that rates could be measured on.

    Notes
    -----
    With the rate :math:`s` of members recognised and the largest false positive rate
    :math:`q` over the kinds, the corrected success is

    .. math:: \frac{a - q}{s - q}

    (Rogan and Gladen 1978), the share of reconstructions that show the class if the
    others pass as often as the non-members that pass most easily. It is negative where
    fewer pass than that, and never clamped. Its interval is the delta method's.

    References
    ----------
    .. [1] Rogan and Gladen, "Estimating prevalence from the results of a screening
       test", American Journal of Epidemiology 107, 1978.
    .. [2] Ho, Koh, Vo et al., "Revisiting model inversion evaluation: from misleading
       standards to reliable privacy assessment", arXiv 2505.03519, 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from kldiv_attack import judge_attack, load_dataset, train_panel
    >>> private = load_dataset("digits", part="train")
    >>> other = load_dataset("digits", part="test")
    >>> panel = train_panel(other.subset(slice(0, 600)), epochs=1)
    >>> rest = other.subset(slice(600, None))
    >>> noise = np.random.default_rng(0).random((20, 1, 8, 8))
    >>> report = judge_attack(
    ...     {3: rest.images[rest.labels == 3]},
    ...     private,
    ...     panel,
    ...     members=rest,
    ...     non_members={"noise": {3: noise}},
    ... )
    >>> report.classes.tolist()
    ['convolution', 'perceptron', 'neighbours', 'agreement']
    """
    _check(judges, private, members, non_members, victim)
    made = by_label(reconstructions, private)
    if not made:
        raise ValueError("reconstructions: expected images of at least one class.")
    real = {c: members.images[members.labels == c] for c in np.unique(members.labels)}
    sets: dict[str, Mapping[int, ArrayLike]] = {"accuracy": made, "recognised": real}
    sets |= {f"false: {kind}": images for kind, images in non_members.items()}
    said = {
        name: {kind: _ask(judge, images) for kind, images in sets.items()}
        for name, judge in judges.items()
    }
    columns, reasons = _table(said, confidence_level)
    return PerClassReport(
        classes=np.array([*judges, "agreement"]),
        columns=columns,
        reasons=reasons,
        settings={
            "private": private.name,
            "members": members.name,
            "non-members": {k: _count(v) for k, v in non_members.items()},
            "reconstructions": _count(made),
            "confidence_level": confidence_level,
            "training rows known": {
                k: getattr(j, "fingerprints", None) is not None
                for k, j in judges.items()
            },
        },
        title=title,
    )


def _check(
    judges: Mapping[str, AnyJudge],
    private: LabelledImages,
    members: LabelledImages,
    non_members: NonMembers,
    victim: Victim | None,
) -> None:
    if not judges or not len(members) or not any(map(_count, non_members.values())):
        raise ValueError(
            "expected at least one judge, members and one kind of non-members: rates "
            f"are measured on them; got {len(judges)} judges, {len(members)} members "
            f"and {sum(map(_count, non_members.values()))} non-members."
        )
    secret, known = fingerprints(private.images), fingerprints(members.images)
    for name, judge in judges.items():
        if victim is not None and isinstance(judge, Judge):
            check_judge(judge, victim)
        trained = getattr(judge, "fingerprints", None)
        if trained is None:  # a judge of the user's own; the report says so
            continue
        for what, rows in (("private images", secret), ("members", known)):
            shared = int(np.isin(rows, trained).sum())
            if shared:
                raise ValueError(
                    f"judge {name!r} was trained on {shared} of the {len(rows)} {what}:"
                    " it would recognise what it has seen. Train it on other images of "
                    "the classes."
                )


def _count(images: Mapping[int, ArrayLike]) -> int:
    return sum(len(np.asarray(value)) for value in images.values())


def _table(
    said: Mapping[str, Mapping[str, NDArray[np.int64]]], level: float
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Columns, and why some of their values are NaN."""
    rows = {name: _row(answers, level) for name, answers in said.items()}
    reasons = {
        name: "recognises members no more often than it lets non-members pass"
        for name, row in rows.items()
        if np.isnan(row["corrected"])
    }
    reasons["agreement"] = "only shares are defined for several judges"
    keys = list(next(iter(rows.values())))
    every = [*rows.values(), _agreement(said, level)]
    columns = {key: np.array([row.get(key, np.nan) for row in every]) for key in keys}
    return columns, reasons


def _ask(judge: AnyJudge, images: Mapping[int, ArrayLike]) -> NDArray[np.int64]:
    """What a judge says to all images, and what it should say to them: two rows."""
    kept = {c: value for c, value in images.items() if len(np.asarray(value))}
    if not kept:
        return np.empty((2, 0), dtype=np.int64)
    said = np.concatenate([judge.predict(value) for value in kept.values()])
    meant = np.repeat(list(kept), [len(np.asarray(v)) for v in kept.values()])
    return np.stack([said, meant]).astype(np.int64)


def _rate(said: NDArray[np.int64]) -> _Rate:
    n = said.shape[1]
    return _Rate(float((said[0] == said[1]).mean()) if n else np.nan, n)


def _row(answers: Mapping[str, NDArray[np.int64]], level: float) -> dict[str, float]:
    """The rates of one judge with their intervals, and its corrected accuracy."""
    rates = {kind: _rate(said) for kind, said in answers.items()}
    row: dict[str, float] = {}
    for kind, rate in rates.items():
        row[kind] = rate.share
        row[f"{kind}_low"], row[f"{kind}_high"] = rate.ends(level)
    worst = max(
        (rate for kind, rate in rates.items() if kind.startswith("false: ") and rate.n),
        key=lambda rate: rate.share,
    )
    value, error = _corrected(rates["accuracy"], rates["recognised"], worst)
    reach = float(norm.ppf(0.5 + level / 2)) * error
    row["corrected"] = value
    row["corrected_low"], row["corrected_high"] = value - reach, value + reach
    return row


def _corrected(passed: _Rate, members: _Rate, others: _Rate) -> tuple[float, float]:
    """Rogan and Gladen's estimate and its standard error."""
    scale = members.share - others.share
    if not scale > 0:
        return np.nan, np.nan
    value = (passed.share - others.share) / scale
    variance = (
        passed.variance
        + value**2 * members.variance
        + (1 - value) ** 2 * others.variance
    )
    return value, float(np.sqrt(variance)) / scale


def _agreement(
    said: Mapping[str, Mapping[str, NDArray[np.int64]]], level: float
) -> dict[str, float]:
    """Share of the images of each kind about which all judges say the same."""
    row: dict[str, float] = {}
    for kind in next(iter(said.values())):
        answers = np.stack([answered[kind][0] for answered in said.values()])
        n = answers.shape[1]
        same = _Rate(float((answers == answers[0]).all(0).mean()) if n else np.nan, n)
        row[kind] = same.share
        row[f"{kind}_low"], row[f"{kind}_high"] = same.ends(level)
    return row
