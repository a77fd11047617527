"""What an attacker learns with a number of queries, at a granularity of answers."""

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.content import Curve
from kldiv_attack.audit.defences import parse_defence

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
_MOST_ROWS = 2000
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
    goal, sample = told[chosen], train[chosen]
    radius = _radii(train, labels, chosen)
    draws = [kept[rng.permutation(len(kept))] for _ in range(REPEATS)]
    common = {"victim": victim, "aux": aux_name}
    found = [
        _curve(
            [
                [_coverage(sample, labels[chosen], radius, aux, answers, d[:q])
                 for d in draws]
                for q in budgets(len(kept))
            ],
            budgets(len(kept)),
            measure=COVERAGE,
            granularity="labels",
            **common,
        )
    ]  # fmt: skip
    for name, defence in GRANULARITIES.items():
        if answers.probabilities is None and name != "labels":
            continue
        told_answers = answers
        if defence is not None:
            told_answers = parse_defence(defence)(answers, rng)
        table = told_answers.one_hot(n_classes)
        values = [
            [_agreement(sample, goal, aux, table, d[:q]) for d in draws]
            for q in budgets(len(kept))
        ]
        found.append(
            _curve(
                values,
                budgets(len(kept)),
                measure=AGREEMENT,
                granularity=name,
                **common,
            )
        )
    return found


def _agreement(
    sample: Rows,
    goal: NDArray[np.int64],
    aux: Rows,
    table: NDArray[np.float64],
    asked: NDArray[np.int64],
) -> float:
    number = min(_NEIGHBOURS, len(asked))
    near = NearestNeighbors(n_neighbors=number).fit(aux[asked])
    found = near.kneighbors(sample, return_distance=False)
    guessed = table[asked][found].mean(axis=1).argmax(axis=1)
    return float((guessed == goal).mean())


def _coverage(
    sample: Rows,
    labels: NDArray[np.int64],
    radius: NDArray[np.float64],
    aux: Rows,
    answers: Answers,
    asked: NDArray[np.int64],
) -> float:
    covered = np.zeros(len(sample), dtype=bool)
    for c in np.unique(labels):
        known = asked[answers.labels[asked] == c]
        own = np.flatnonzero(labels == c)
        if len(known):
            near = NearestNeighbors(n_neighbors=1).fit(aux[known])
            covered[own] = near.kneighbors(sample[own])[0][:, 0] <= radius[own]
    return float(covered[np.isfinite(radius)].mean())


def _radii(
    train: Rows, labels: NDArray[np.int64], chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Distance of chosen rows to their fifth neighbour in their class."""
    radius = np.full(len(chosen), np.nan)
    for c in np.unique(labels[chosen]):
        own = train[labels == c]
        if len(own) <= _NEIGHBOURS:
            continue
        near = NearestNeighbors(n_neighbors=_NEIGHBOURS + 1).fit(own)
        mine = labels[chosen] == c
        radius[mine] = near.kneighbors(train[chosen[mine]])[0][:, -1]
    return radius


def _curve(values: list[list[float]], queries: list[int], **where: str) -> Curve:
    table = np.asarray(values)
    mean = table.mean(axis=1)
    # Between draws of the rows that are asked about; the last budget asks all.
    reach = table.std(axis=1, ddof=1) * 2
    enough = int(np.argmax(mean >= 0.9 * mean[-1]))
    return Curve(
        queries=queries,
        value=mean.tolist(),
        low=(mean - reach).tolist(),
        high=(mean + reach).tolist(),
        enough=queries[enough],
        **where,
    )
