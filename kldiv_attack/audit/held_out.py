"""Known class or leaked individuals? Training rows against rows not trained on."""

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._shares import difference_interval, differences
from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.content import HeldOut
from kldiv_attack.audit.distances import nearest, own_radius

Rows = NDArray[np.float64]

ALL = "all classes"
_FEWEST = 10


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
    under one law both kinds are exchangeable, and both are compared with the same
    auxiliary rows. The interval of the difference is Newcombe's (1998, method 10); that
    of all classes combines them as strata.
    """
    rng = np.random.default_rng(random_state)
    rows: list[int] = []
    shares: list[tuple[float, float] | None] = []
    for c in range(len(class_names)):
        inside, outside = train[labels == c], held_out[held_out_labels == c]
        n = min(len(inside), len(outside))
        known = aux[answers.labels == c]
        rows.append(n)
        if n < max(_FEWEST, n_neighbors + 1):
            shares.append(None)
            continue
        inside = inside[rng.permutation(len(inside))[:n]]
        outside = outside[rng.permutation(len(outside))[:n]]
        covered = _covered(np.concatenate([inside, outside]), known, n_neighbors)
        shares.append((float(covered[:n].mean()), float(covered[n:].mean())))
    return _result(rows, shares, class_names, victim, aux_name, level)


def _covered(both: Rows, known: Rows, n_neighbors: int) -> NDArray[np.bool_]:
    """Rows whose ball up to the k-th neighbour holds a row of `known`."""
    if not len(known):
        return np.zeros(len(both), dtype=bool)
    covered: NDArray[np.bool_] = nearest(both, known)[0][:, 0] <= own_radius(
        both, n_neighbors
    )
    return covered


def _result(
    rows: list[int],
    shares: list[tuple[float, float] | None],
    class_names: list[str],
    victim: str,
    aux_name: str,
    level: float,
) -> HeldOut:
    found: dict[str, list[float | None]] = {
        name: [] for name in ("train", "held_out", "difference", "low", "high")
    }

    def add(*values: float | None) -> None:
        for column, value in zip(found.values(), values, strict=True):
            column.append(value)

    for n, share in zip(rows, shares, strict=True):
        if share is None:
            add(None, None, None, None, None)
        else:
            low, high = difference_interval(share[0], n, share[1], n, level)
            add(*share, share[0] - share[1], low, high)
    used = [(n, s) for n, s in zip(rows, shares, strict=True) if s is not None]
    if used:
        add(*differences(used, level))
    else:
        add(None, None, None, None, None)
    total = sum(n for n, _ in used)
    return HeldOut(victim, aux_name, [*class_names, ALL], [*rows, total], **found)
