"""What an attacker learns with a number of queries, at a granularity of answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.content import Curve
from kldiv_attack.audit.defences import parse_defence
from kldiv_attack.audit.distances import nearest, own_radius

Rows = NDArray[np.float64]

AGREEMENT = "agreement"
COVERAGE = "coverage"
GRANULARITIES: dict[str, str | None] = {
    "labels": "label_only",
    "top-k": "top_k:3",
    "rounded": "rounding:1",
    "full": None,
}
REPEATS = 5
_LEAST = 20
_MOST_ROWS = 1000
_NEIGHBOURS = 5


def budgets(n: int) -> list[int]:
    """Numbers of queries from twenty to all n, three for each factor of ten."""
    if n <= _LEAST:
        return [n]
    steps = int(np.ceil(3 * np.log10(n / _LEAST)))
    found = np.unique(np.round(np.geomspace(_LEAST, n, steps + 1)).astype(int))
    return [int(value) for value in found]


def leakage_curves(
    train: Rows,
    labels: NDArray[np.int64],
    victim_labels: NDArray[np.int64] | None,
    aux: Rows,
    answers: Answers,
    n_classes: int,
    *,
    victim: str,
    aux_name: str,
    random_state: int = 0,
) -> list[Curve]:
    """Two measures against the number of queries.

    Parameters
    ----------
    train, labels : ndarray
        Features and classes of the training rows.
    victim_labels : ndarray or None
        What the victim calls the training rows; their classes if it cannot be asked.
    aux, answers : ndarray and Answers
        Auxiliary rows and the victim's answers, of which random ones are known.
    n_classes : int
        Number of classes.
    victim, aux_name : str
        For the report.
    random_state : int, default=0
        Seed of the draws.

    Returns
    -------
    list of Curve
        ``"agreement"``: share of training rows that a copy of the victim, the five
        nearest rows that were asked about, calls as the victim does. ``"coverage"``:
        share of training rows as near to a row that was asked about and put into their
        class as to their own fifth neighbour.
    """
    rng = np.random.default_rng(random_state)
    kept = np.flatnonzero(answers.answered)
    chosen = np.sort(rng.permutation(len(train))[:_MOST_ROWS])
    told = labels if victim_labels is None else victim_labels
    sample, queries = train[chosen], budgets(len(kept))
    draws = [kept[rng.permutation(len(kept))] for _ in range(REPEATS)]
    tables = _tables(answers, n_classes, rng)
    covered = _coverage(train, labels, chosen, aux, answers, draws, queries)
    agreed = np.array(
        [
            [_agreement(sample, told[chosen], aux, tables, d[:q]) for d in draws]
            for q in queries
        ]
    )
    curves = {(COVERAGE, "labels"): covered}
    for i, name in enumerate(tables):
        curves[AGREEMENT, name] = agreed[:, :, i]
    return [
        _curve(
            values,
            queries,
            victim=victim,
            aux=aux_name,
            measure=measure,
            granularity=name,
        )
        for (measure, name), values in curves.items()
    ]


def _tables(
    answers: Answers, n_classes: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """What an attacker is told at each granularity."""
    found = {}
    for name, defence in GRANULARITIES.items():
        if name == "labels" or answers.probabilities is not None:
            told = answers if defence is None else parse_defence(defence)(answers, rng)
            found[name] = told.one_hot(n_classes)
    return found


def _agreement(
    sample: Rows,
    goal: NDArray[np.int64],
    aux: Rows,
    tables: dict[str, NDArray[np.float64]],
    asked: NDArray[np.int64],
) -> list[float]:
    """Share of rows that a copy calls right, for each granularity."""
    found = asked[nearest(sample, aux[asked], _NEIGHBOURS)[1]]
    guessed = [table[found].mean(axis=1).argmax(axis=1) for table in tables.values()]
    return [float((labels == goal).mean()) for labels in guessed]


def _coverage(
    rows: Rows,
    labels: NDArray[np.int64],
    chosen: NDArray[np.int64],
    aux: Rows,
    answers: Answers,
    draws: list[NDArray[np.int64]],
    queries: list[int],
) -> NDArray[np.float64]:
    """Share of chosen rows that are covered, for each budget and draw."""
    radius = _radii(rows, labels, chosen)
    first = np.full((len(draws), len(chosen)), len(aux))  # query that covers the row
    turn = np.empty((len(draws), len(aux)), dtype=np.int64)
    for d, order in enumerate(draws):
        turn[d, order] = np.arange(len(order))
    for c in np.unique(labels[chosen]):
        own = np.flatnonzero(labels[chosen] == c)
        known = np.flatnonzero(answers.labels == c)
        if not len(known):
            continue
        covers = cdist(rows[chosen[own]], aux[known]) <= radius[own, None]
        for d in range(len(draws)):
            turns = np.where(covers, turn[d, known], len(aux))
            first[d, own] = turns.min(axis=1)
    measured = np.isfinite(radius)
    if not measured.any():
        return np.zeros((len(queries), len(draws)))
    return np.array([(first[:, measured] < q).mean(axis=1) for q in queries])


def _radii(
    train: Rows, labels: NDArray[np.int64], chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Distance of chosen rows to their fifth neighbour in their class."""
    radius = np.full(len(chosen), np.nan)
    for c in np.unique(labels[chosen]):
        own = train[labels == c]
        if len(own) <= _NEIGHBOURS:
            continue
        mine = labels[chosen] == c
        radii = np.empty(len(train))
        radii[labels == c] = own_radius(own, _NEIGHBOURS)
        radius[mine] = radii[chosen[mine]]
    return radius


def _curve(
    values: NDArray[np.float64],
    queries: list[int],
    *,
    victim: str,
    aux: str,
    measure: str,
    granularity: str,
) -> Curve:
    mean = values.mean(axis=1)
    # Between draws of the rows that are asked about; the last budget asks all.
    reach = values.std(axis=1, ddof=1) * 2
    enough = int(np.argmax(mean >= 0.9 * mean[-1]))
    return Curve(
        queries=queries,
        value=mean.tolist(),
        low=(mean - reach).tolist(),
        high=(mean + reach).tolist(),
        enough=queries[enough],
        victim=victim,
        aux=aux,
        measure=measure,
        granularity=granularity,
    )
