"""Known class or leaked individuals? Training rows against rows not trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._shares import difference_interval, over_strata
from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.content import HeldOut
from kldiv_attack.audit.distances import nearest, own_radius

Rows = NDArray[np.float64]

ALL = "all classes"
_FEWEST = 10
_COLUMNS = (
    "train", "held_out", "near_train", "near_held_out", "difference", "low", "high"
)  # fmt: skip
#: Covered and near, each of training rows and of held-out rows.
Shares = tuple[float, float, float, float]


def held_out_control(
    train: Rows,
    labels: NDArray[np.int64],
    held_out: Rows,
    held_out_labels: NDArray[np.int64],
    aux: Rows,
    answers: Answers,
    class_names: list[str],
    *,
    victim: str,
    aux_name: str,
    n_neighbors: int = 5,
    level: float = 0.95,
    random_state: int = 0,
) -> HeldOut:
    """Coverage of training rows minus coverage of held-out rows, per class.

    Parameters
    ----------
    train, labels : ndarray
        Features and classes of the training rows.
    held_out, held_out_labels : ndarray
        The same of rows that were not trained on.
    aux, answers : ndarray and Answers
        Auxiliary rows and what the victim calls them.
    class_names : list of str
        Names of the classes.
    victim, aux_name : str
        For the report.
    n_neighbors : int, default=5
        Neighbour whose distance is the radius of a ball.
    level : float, default=0.95
        Of the intervals.
    random_state : int, default=0
        Seed of the draw of rows.

    Returns
    -------
    HeldOut
        Positive differences: the auxiliary rows that the victim puts into a class lie
        nearer to what it was trained on than to other rows of the class.

    Notes
    -----
    As many training rows as held-out rows are drawn from every class. The radius of a
    row's ball is the distance to its k-th neighbour among both kinds together, so that
    under one distribution both kinds are exchangeable, and both are compared with the
    same auxiliary rows. Which rows have an auxiliary row near at all is chance, and has
    nothing to do with the victim; so every row is paired with itself, labels left out:
    the difference is (coverage - nearness) of training rows minus the same of held-out
    rows. The interval is Newcombe's (1998, method 10) for the shares of rows that are
    near to auxiliary rows of other labels only; that of all classes combines them as
    strata.
    """
    rng = np.random.default_rng(random_state)
    rows: list[int] = []
    shares: list[Shares | None] = []
    for c in range(len(class_names)):
        inside, outside = train[labels == c], held_out[held_out_labels == c]
        n = min(len(inside), len(outside))
        rows.append(n)
        if n < max(_FEWEST, n_neighbors + 1):
            shares.append(None)
            continue
        inside = inside[rng.permutation(len(inside))[:n]]
        outside = outside[rng.permutation(len(outside))[:n]]
        both = np.concatenate([inside, outside])
        radius = own_radius(both, n_neighbors)
        covered = _reached(both, radius, aux[answers.labels == c])
        near = _reached(both, radius, aux)
        found = (covered[:n], covered[n:], near[:n], near[n:])
        shares.append(tuple(float(part.mean()) for part in found))  # type: ignore[arg-type]
    return _result(rows, shares, class_names, victim, aux_name, level)


def _reached(both: Rows, radius: Rows, known: Rows) -> NDArray[np.bool_]:
    """Rows whose ball holds a row of `known`."""
    if not len(known):
        return np.zeros(len(both), dtype=bool)
    reached: NDArray[np.bool_] = nearest(both, known)[0][:, 0] <= radius
    return reached


def _result(
    rows: list[int],
    shares: list[Shares | None],
    class_names: list[str],
    victim: str,
    aux_name: str,
    level: float,
) -> HeldOut:
    columns: dict[str, list[float | None]] = {name: [] for name in _COLUMNS}

    def add(*values: float | None) -> None:
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)

    used = []
    for n, share in zip(rows, shares, strict=True):
        if share is None:
            add(*[None] * len(_COLUMNS))
            continue
        lost = [max(0.0, share[2 + i] - share[i]) for i in range(2)]
        ends = difference_interval(lost[1], n, lost[0], n, level)
        used.append((n, share, (lost[1] - lost[0], *ends)))
        add(*share, *used[-1][2])
    if used:
        sizes = [n for n, *_ in used]
        mean = np.average([share for _, share, _ in used], axis=0, weights=sizes)
        add(*mean.tolist(), *over_strata(sizes, [ends for *_, ends in used]))
    else:
        add(*[None] * len(_COLUMNS))
    total = sum(n for n, *_ in used)
    return HeldOut(victim, aux_name, [*class_names, ALL], [*rows, total], **columns)
