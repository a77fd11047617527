"""Which rows are compared for a class, and how one comparison is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from kldiv._conditional._labelled_pair import LabelledPair, too_few
from kldiv._errors._differences import TracedEffects
from kldiv._estimation._columns import Asked
from kldiv._estimation._options import fewest_rows
from kldiv._estimators import KNNDivergence
from kldiv._order import row_order
from kldiv._results._results import DivergenceResult
from kldiv._threads import in_workers
from kldiv._typing import FloatArray
from kldiv._validation import Weights, check_pair

#: A class with its training and auxiliary rows, and their weights.
Job = tuple[Any, FloatArray, FloatArray, Weights | None]

# Rows of a class that are halved; more cost time and hardly move the floor.
_MOST_ROWS = 2000


def class_jobs(
    pair: LabelledPair, final: KNNDivergence, *, soft: bool
) -> tuple[list[Job], dict[Any, str]]:
    """Classes to score with their rows, and why the others cannot be scored."""
    jobs: list[Job] = []
    reasons: dict[Any, str] = {}
    for label in pair.classes.tolist():
        train, aux = pair.rows_of(label, all_aux=soft)
        reason = too_few(len(train), len(aux), *needs_of(final))
        if reason:
            reasons[label] = reason
        else:
            weights = pair.weights_of(label, all_aux=soft)
            jobs.append((label, train, aux, weights))
    return jobs, reasons


def unscored_error(reasons: dict[Any, str], n_classes: int) -> ValueError:
    """Which classes cannot be scored, where that is an error."""
    listed = "; ".join(f"class {c}: {r}" for c, r in reasons.items())
    return ValueError(
        f"{len(reasons)} of {n_classes} classes cannot be scored ({listed}). Lower "
        "n_neighbors, drop those classes, or choose on_unscored='nan'."
    )


def needs_of(final: KNNDivergence) -> tuple[int, int]:
    """Neighbours, and rows of each sample, without which nothing is estimated."""
    return int(final.n_neighbors), fewest_rows(final.correction)


def half_jobs(pair: LabelledPair, final: KNNDivergence) -> list[Job]:
    """One half of the training rows of each class against the other.

    Contents of rows decide which half they are in, not their positions.
    """
    jobs: list[Job] = []
    for label in pair.classes.tolist():
        of_class = np.flatnonzero(pair.train_labels == label)
        halved = min(len(of_class), _MOST_ROWS)
        if too_few(halved - halved // 2, halved // 2, *needs_of(final)):
            continue
        rows = of_class[row_order(pair.train[of_class])[:_MOST_ROWS]]
        first, second = np.sort(rows[::2]), np.sort(rows[1::2])
        weights = pair.weights
        if weights is not None:
            weights = Weights(weights.of_x, weights.of_x).taken(first, second)
        jobs.append((label, pair.train[first], pair.train[second], weights))
    return jobs


def score_job(
    estimator: Any,
    job: Job,
    asked: Asked | None,
    *,
    confidence_level: float | None = None,
    beside_others: bool = False,
) -> DivergenceResult:
    """The divergence of one class, in nats; `beside_others` on one thread."""
    label, train, aux, weights = job
    estimator = KNNDivergence() if estimator is None else clone(estimator)
    try:
        if isinstance(estimator, Pipeline):
            head = estimator[:-1].fit(aux)
            train, aux = head.transform(train), head.transform(aux)
            estimator, asked = estimator[-1], None
        estimator.set_params(base=None)  # terms are added up in nats
        if beside_others:  # classes are the parallel level
            estimator.set_params(n_jobs=None)
        if isinstance(train, np.ndarray):  # others are checked as they are read
            train, aux = check_pair(train, aux)
        result: DivergenceResult = estimator._estimate_checked(
            train,
            aux,
            asked,
            confidence_level=confidence_level,
            weights=weights,
        )
    except ValueError as error:
        raise ValueError(f"class {label}: {error}") from error
    return result


def floors_of(
    estimator: Any,
    final: KNNDivergence,
    pair: LabelledPair,
    n_jobs: int,
    verbose: int,
) -> dict[Any, float]:
    """Divergence between halves of the training rows of each class, by its label."""
    jobs = half_jobs(pair, final)
    score = partial(score_halves, beside_others=n_jobs > 1)
    asked = [(estimator, job, pair.asked) for job in jobs]
    found = in_workers(score, asked, n_jobs, verbose, "floors of classes")
    unit = 1.0 if final.base is None else float(np.log(final.base))
    labels = (label for label, *_ in jobs)
    return {c: one / unit for c, one in zip(labels, found, strict=True)}


def given_floors(
    floors: Any, classes: Sequence[Any] | None = None
) -> Mapping[Any, float]:
    """Floors that are given and need not be measured, of `classes` where known."""
    if isinstance(floors, bool | np.bool_):
        return {}
    if not isinstance(floors, Mapping):
        raise TypeError(
            f"floors={floors!r}: expected True, False, or a dict of class label to "
            "floor, as score_halves returns it."
        )
    for label, floor in floors.items():
        if not isinstance(floor, Real) or np.isinf(float(floor)):
            raise ValueError(
                f"floors: class {label} has {floor!r}: expected a finite number, or "
                "NaN where a class cannot be halved."
            )
        if classes is not None and label not in classes:
            raise ValueError(
                f"floors: class {label!r} is no label of the training rows, which are "
                f"{', '.join(map(repr, classes))}. Take score_halves of these rows."
            )
    return floors


def pairings_of(
    results: Mapping[Any, DivergenceResult], pair: LabelledPair, *, soft: bool
) -> dict[Any, TracedEffects]:
    """What rows did to the scores, and which rows, where that is known."""
    pairings = {}
    for c, result in results.items():
        if result.effects is None:
            continue
        keys = pair.keys_of(c, all_aux=soft)
        traced = TracedEffects.of(result.effects, *keys)
        if traced is not None:
            pairings[c] = traced
    return pairings


def score_halves(
    estimator: Any, job: Job, asked: Asked | None, *, beside_others: bool = False
) -> float:
    """The divergence of two halves in nats; NaN where there is none to be had."""
    try:
        return score_job(estimator, job, asked, beside_others=beside_others).value
    except ValueError:  # rows repeat, say, which the score itself has told
        return float("nan")
