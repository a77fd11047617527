"""How far an attack got: success per class under a judge that is not the victim."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    PerClassReport,
    SamplesApartWarning,
    TrustWarning,
)
from kldiv_attack._coverage import Balls
from kldiv_attack._held_out import COLUMNS as HELD_OUT
from kldiv_attack._held_out import (
    How,
    check_held_out,
    compare_held_out,
    excess_of_all,
)
from kldiv_attack.datasets import LabelledImages, check_images
from kldiv_attack.datasets._base import check_whole, to_array
from kldiv_attack.judge import Judge, check_judge
from kldiv_attack.victim import Victim

Images = NDArray[np.float32]


def evaluate_attack(
    reconstructions: ArrayLike | Mapping[int, ArrayLike],
    private: LabelledImages,
    judge: Judge,
    *,
    victim: Victim | None = None,
    held_out: LabelledImages | None = None,
    n_neighbors: int = 5,
    max_rows: int = 500,
    confidence_level: float = 0.95,
    estimator: Any = None,
    transformer: Any = None,
    random_state: int = 0,
    title: str = "Success of the attack",
) -> PerClassReport:
    """Measure per class how much of the private data an attack recovered.

    Parameters
    ----------
    reconstructions : array of shape (n_classes, n, channels, height, width) or mapping
        Images in [0, 1], what ``attacker.invert(range(n_classes), n)`` returns; or a
        mapping from label to images, which may differ in number. A missing label, an
        empty set and NaN images are "no reconstruction of this class".
    private : LabelledImages
        The images that the victim was trained on.
    judge : Judge
        A classifier other than the victim. Reconstructions that fool the attacked
        network alone do not count.
    victim : Victim, optional
        The attacked classifier; only used to refuse it as a judge.
    held_out : LabelledImages, optional
        Images of the same classes that the victim was not trained on, for the control
        described below.
    n_neighbors : int, default=5
        Neighbours that set the size of the ball around a private row.
    max_rows : int, default=500
        Private rows per class that coverage and distances are measured on, drawn
        with ``random_state``. Coverage depends on this number, so compare attacks
        at the same one.
    confidence_level : float, default=0.95
        Level of the Wilson interval around the judge's accuracy.
    estimator : KNNDivergence, optional
        Estimator of the column ``divergence``; by default the published estimator
        with one neighbour.
    transformer : transformer of scikit-learn, optional
        Features of the column ``divergence``; by default the leading principal
        components of the private pixels, six of them where there are as many.
    random_state : int, default=0
        Seed of the draw of private rows.
    title : str
        Heading of the report.

    Returns
    -------
    PerClassReport
        One row per class of ``private`` with the columns

        - ``rows``: private rows of the class;
        - ``reconstructions``: images that were judged;
        - ``accuracy``, ``accuracy_low``, ``accuracy_high``: share of them that the
          judge puts into the class, with its interval;
        - ``coverage``: share of private rows whose ball, up to their k-th private
          neighbour in the judge's features, holds a reconstruction (Naeem et al.
          2020; a reconstruction on the edge of the ball counts);
        - ``clipped_coverage``, ``clipped_density``: the same question and that of
          likeness, on a scale where 0.5 means what half of as many good images
          give (:func:`clipped_coverage`, :func:`clipped_density`);
        - ``nearest_distance``: mean distance, in the judge's features, from a
          reconstruction to the nearest private row; ``private_distance``: the same
          from a private row to the next one, for scale;
        - ``divergence``: KL divergence of the private rows from the reconstructions,
          in nats. Estimates may be negative.

        With `held_out` also ``coverage_held_out``, ``excess``, ``excess_low`` and
        ``excess_high``: coverage of unseen rows, and by how much that of as many
        training rows is larger, with its interval (Newcombe 1998). No excess means
        that an attack found the class and not the rows. The balls of this comparison
        hold both kinds of rows, so that its coverage is another one than above. The
        setting ``excess over all classes`` is the sum.

        What could not be measured is NaN, with a reason.

    Raises
    ------
    ValueError
        If the judge is the victim, or images of different shapes are compared.

    References
    ----------
    .. [1] Naeem, Oh, Uh, Choi, Yoo, "Reliable fidelity and diversity metrics for
       generative models", ICML 2020.

    Examples
    --------
    >>> from kldiv_attack import evaluate_attack, load_dataset
    >>> from kldiv_attack import train_judge
    >>> private = load_dataset("digits", part="train")
    >>> public = load_dataset("digits", part="test")
    >>> judge = train_judge(private, epochs=3, batch_size=32)
    >>> guesses = {c: public.images[public.labels == c][:20] for c in range(10)}
    >>> report = evaluate_attack(guesses, private, judge)
    >>> report["reconstructions"].tolist()
    [20, 20, 20, 20, 20, 20, 20, 20, 20, 20]
    """
    _check_options(n_neighbors, max_rows, confidence_level)
    if victim is not None:
        check_judge(judge, victim)
    if held_out is not None:
        check_held_out(held_out, private)
    images = by_label(reconstructions, private)
    how = How(judge, int(n_neighbors), max_rows, confidence_level, random_state)
    table, reasons, excess = _judged(images, private, held_out, how)
    estimator = default_estimator() if estimator is None else estimator
    transformer = default_features(private) if transformer is None else transformer
    divergences, missing, notes = _divergences(images, private, estimator, transformer)
    for label, reason in missing.items():
        reasons[label] = "; ".join(filter(None, [reasons.get(label), reason]))
    names = private.class_names
    return PerClassReport(
        classes=np.asarray(names),
        columns={**table, "divergence": divergences},
        reasons={names[label]: reason for label, reason in reasons.items()},
        settings={
            "private": private.name,
            "n_neighbors": n_neighbors,
            "max_rows": max_rows,
            "confidence_level": confidence_level,
            "interval": "Wilson",
            **({} if held_out is None else {"held out": held_out.name}),
            **({} if held_out is None else {"excess over all classes": excess}),
            "random_state": random_state,
            "divergence": repr(estimator),
            "features of the divergence": repr(transformer),
        },
        title=title,
        notes={names[label]: note for label, note in notes.items()},
    )


def default_estimator() -> KNNDivergence:
    """The published estimator with one neighbour; repeated rows count once."""
    return KNNDivergence(n_neighbors=1, correction=None, duplicates="drop")


def default_features(private: LabelledImages) -> PCA:
    """Six leading principal components, or as many as the images have."""
    return PCA(min(6, len(private), int(np.prod(private.image_shape))), random_state=0)


_COLUMNS = (
    "rows",
    "reconstructions",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "coverage",
    "clipped_coverage",
    "clipped_density",
    "nearest_distance",
    "private_distance",
)


def _check_options(n_neighbors: Any, max_rows: int, level: float) -> None:
    number = n_neighbors.item() if isinstance(n_neighbors, np.integer) else n_neighbors
    check_whole("n_neighbors", number, 1)
    if max_rows <= n_neighbors:
        raise ValueError(
            f"max_rows={max_rows} leaves no row a neighbour number {n_neighbors}; "
            f"expected at least {n_neighbors + 1}."
        )
    if not 0 < level < 1:
        raise ValueError(f"confidence_level={level}: expected between 0 and 1.")


def by_label(
    reconstructions: ArrayLike | Mapping[int, ArrayLike], private: LabelledImages
) -> dict[int, Images]:
    """Usable images per label; labels without any are left out."""
    if isinstance(reconstructions, Mapping):
        given = {int(label): value for label, value in reconstructions.items()}
    else:
        given = dict(enumerate(to_array(reconstructions)))
        if len(given) != private.n_classes:
            raise ValueError(
                f"reconstructions: expected {private.n_classes} classes on the first "
                f"axis, one per class of {private.name}, got {len(given)}. Pass a "
                "mapping from label to images for some of the classes."
            )
    outside = sorted(set(given) - set(range(private.n_classes)))
    if outside:
        raise ValueError(
            f"reconstructions: labels {outside} are not classes of {private.name}, "
            f"which has 0 to {private.n_classes - 1}."
        )
    kept = {}
    for label, value in given.items():
        array = to_array(value)
        if not len(array) or np.isnan(array).all():
            continue
        array = check_images(array, name=f"reconstructions of class {label}")
        if array.shape[1:] != private.image_shape:
            raise ValueError(
                f"reconstructions of class {label} have shape {array.shape[1:]}, the "
                f"private images {private.image_shape}."
            )
        kept[label] = array
    return kept


def _judged(
    images: Mapping[int, Images],
    private: LabelledImages,
    held_out: LabelledImages | None,
    how: How,
) -> tuple[dict[str, NDArray[Any]], dict[int, str], str]:
    """Columns that the judge gives, what is missing in them, and the total excess."""
    rng = np.random.default_rng(how.random_state)
    reasons: dict[int, str] = {}
    found = []
    for label in range(private.n_classes):
        drawn = how.draw(private, label, rng)
        scored, reason = _score_class(label, images.get(label), drawn, how)
        scored["rows"] = int((private.labels == label).sum())
        if held_out is not None and label in images:
            # another stream, so that this control changes no other number
            unseen = how.draw(
                held_out, label, np.random.default_rng([how.random_state, label])
            )
            more, missing = compare_held_out(images[label], drawn, unseen, how)
            scored |= more
            reason = "; ".join(filter(None, [reason, missing]))
        found.append(scored)
        if reason:
            reasons[label] = reason

    def column(name: str) -> NDArray[Any]:
        return np.array([scored.get(name, np.nan) for scored in found])

    kept = (*_COLUMNS, *(HELD_OUT if held_out is not None else ()))
    table = {name: column(name) for name in kept}
    for name in ("rows", "reconstructions"):
        table[name] = table[name].astype(int)
    compared = {name: column(name) for name in ("compared", *HELD_OUT)}
    return table, reasons, excess_of_all(compared)


def _score_class(
    label: int, images: Images | None, private: Images, how: How
) -> tuple[dict[str, float], str]:
    """What the judge sees of one class, and why something is missing."""
    if images is None:
        return {"reconstructions": 0}, "no reconstruction of this class"
    hits = int((to_array(how.judge.predict(images)) == label).sum())
    interval = binomtest(hits, len(images)).proportion_ci(how.level, method="wilson")
    scored = {
        "reconstructions": len(images),
        "accuracy": hits / len(images),
        "accuracy_low": float(interval.low),
        "accuracy_high": float(interval.high),
    }
    if len(private) < how.n_neighbors + 1:
        return scored, (
            f"coverage with n_neighbors={how.n_neighbors} needs at least "
            f"{how.n_neighbors + 1} private rows, the class has {len(private)}"
        )
    scored |= _nearness(how.features(private), how.features(images), how.n_neighbors)
    return scored, ""


def _nearness(
    private: NDArray[np.float64], made: NDArray[np.float64], n_neighbors: int
) -> dict[str, float]:
    """Coverage and mean distances between the features of two sets of images."""
    balls = Balls.around(private, made, n_neighbors)
    return {
        "coverage": float(balls.covered.mean()),
        "clipped_coverage": balls.clipped_coverage(),
        "clipped_density": balls.clipped_density(),
        "nearest_distance": float(balls.across.min(axis=0).mean()),
        "private_distance": float(balls.within.min(axis=1).mean()),
    }


def _divergences(
    images: dict[int, Images],
    private: LabelledImages,
    estimator: Any,
    transformer: Any,
) -> tuple[NDArray[np.float64], dict[int, str], dict[int, str]]:
    """Divergence of private from reconstructed rows per label, what prevented it and
    what stands against it.

    Each class goes through the scorer alone, so that a class whose reconstructions
    cannot be scored (all of them one image, say) does not take the others along.
    """
    rows = private.images.reshape(len(private), -1)
    features = clone(transformer).fit(rows.astype(np.float64))
    scorer = ConditionalKLScorer(
        estimator=estimator,
        transformer=FunctionTransformer(features.transform),
        floors=False,
    )
    values = np.full(private.n_classes, np.nan)
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    for label, made in images.items():
        own = rows[private.labels == label].astype(np.float64)
        other = made.reshape(len(made), -1).astype(np.float64)
        if not len(own):
            reasons[label] = "no private row of this class"
            continue
        try:
            with warnings.catch_warnings():
                # a failed attack is not worth a warning; the report keeps it as a note
                for told in (SamplesApartWarning, TrustWarning):
                    warnings.simplefilter("ignore", told)
                scorer.fit(
                    (own, np.full(len(own), label)), (other, np.full(len(other), label))
                )
        except ValueError as error:
            reasons[label] = f"divergence: {error}"
            continue
        values[label] = scorer.score_per_class()[0]
        report = scorer.report()
        for kept, said in ((reasons, report.reasons), (notes, report.notes)):
            if label in said:
                kept[label] = f"divergence: {said[label]}"
    return values, reasons, notes
