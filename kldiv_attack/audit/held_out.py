"""Known class or leaked individuals? Training rows against rows not trained on."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

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


def differences(
    used: list[tuple[int, tuple[float, float]]], level: float = 0.95
) -> tuple[float, float, float, float, float]:
    """Two shares and their difference, over strata weighted by their rows.

    Parameters
    ----------
    used : list of (int, (float, float))
        Rows of either kind, and both shares of them.
    level : float, default=0.95
        Of the interval.

    Returns
    -------
    tuple of float
        Both shares, the first minus the second, and the ends of its interval.
    """
    weights = np.array([n for n, _ in used], dtype=np.float64)
    weights /= weights.sum()
    inside = float(weights @ [s[0] for _, s in used])
    outside = float(weights @ [s[1] for _, s in used])
    middle = inside - outside
    # What lies below and above the difference of each stratum adds up in squares.
    below, above = 0.0, 0.0
    for weight, (n, (a, b)) in zip(weights, used, strict=True):
        low, high = difference_interval(a, n, b, n, level)
        below += (weight * (a - b - low)) ** 2
        above += (weight * (high - (a - b))) ** 2
    return (
        inside,
        outside,
        middle,
        float(middle - np.sqrt(below)),
        float(middle + np.sqrt(above)),
    )


def difference_interval(
    first: float, n: int, second: float, m: int, level: float = 0.95
) -> tuple[float, float]:
    """Interval of the difference of two shares (Newcombe 1998, method 10).

    Parameters
    ----------
    first, second : float
        The shares.
    n, m : int
        Rows that they are taken of.
    level : float, default=0.95
        Of the interval.

    Returns
    -------
    tuple of float
        Lower and upper end of `first` minus `second`.

    Examples
    --------
    >>> low, high = difference_interval(56 / 70, 70, 48 / 80, 80)
    >>> round(low, 4), round(high, 4)
    (0.0524, 0.3339)
    """
    a, b = wilson(first, n, level), wilson(second, m, level)
    middle = first - second
    low = middle - np.hypot(first - a[0], b[1] - second)
    high = middle + np.hypot(a[1] - first, second - b[0])
    return float(low), float(high)


def wilson(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share of n rows.

    Parameters
    ----------
    share : float
        Between 0 and 1.
    n : int
        Rows.
    level : float, default=0.95
        Of the interval.

    Returns
    -------
    tuple of float
        Lower and upper end.
    """
    z = float(norm.ppf(0.5 + level / 2))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, float(centre - reach)), min(1.0, float(centre + reach))
