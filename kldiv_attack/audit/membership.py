"""Was this row trained on? A baseline on the same rows, without shadow models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, rankdata

from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.content import Membership
from kldiv_attack.audit.distances import nearest

Rows = NDArray[np.float64]
Values = NDArray[np.float64]

RATES = (0.001, 0.01, 0.1)
_SMALLEST = 1e-12  # a victim's certainty of another class is no proof of it
_NEIGHBOURS = 5


def losses(answers: Answers, labels: NDArray[np.int64], n_classes: int) -> Values:
    """Loss of every row: minus the log probability of its class.

    Of a victim that answers labels only, whether it is wrong.
    """
    if answers.probabilities is None:
        wrong: Values = (answers.labels != labels).astype(np.float64)
        return wrong
    table = answers.one_hot(n_classes)
    found: Values = -np.log(
        np.maximum(table[np.arange(len(labels)), labels], _SMALLEST)
    )
    return found


def usual_losses(
    rows: Rows, labels: NDArray[np.int64], aux: Rows, answers: Answers, n_classes: int
) -> Values:
    """What the victim's loss would be at the rows, judged by their surroundings.

    The mean loss of the five nearest auxiliary rows if they had the class of the row:
    rows in a part of space where the victim is unsure have a high loss whether they
    were trained on or not.
    """
    kept = answers.answered
    _, found = nearest(rows, aux[kept], _NEIGHBOURS)
    table = answers.one_hot(n_classes)[kept]
    if answers.probabilities is None:
        around = 1 - table[found, labels[:, None]]
    else:
        around = -np.log(np.maximum(table[found, labels[:, None]], _SMALLEST))
    mean: Values = around.mean(axis=1)
    return mean


def membership(
    inside: Values,
    outside: Values,
    *,
    victim: str,
    attack: str,
    level: float = 0.95,
    random_state: int = 0,
) -> Membership:
    """How well a threshold on a value tells members from others.

    Parameters
    ----------
    inside, outside : ndarray
        A value that is smaller for members: of training rows and of held-out rows.
    victim, attack : str
        For the report.
    level : float, default=0.95
        Of the intervals.
    random_state : int, default=0
        Seed of the split of the held-out rows.

    Returns
    -------
    Membership
        Area under the curve, and true positive rates at low false positive rates.

    Notes
    -----
    One half of the held-out rows sets the threshold of each rate, the other half and
    the training rows measure what it does, so that the intervals, Clopper and
    Pearson's, are exact. A rate that is too low to be aimed at with that half is left
    out.
    """
    order = np.random.default_rng(random_state).permutation(len(outside))
    half = len(outside) // 2
    setting, checking = np.sort(outside[order[:half]]), outside[order[half:]]
    columns: dict[str, list[float | None]] = {name: [] for name in _COLUMNS}
    for rate in RATES:
        values = _at_rate(rate, setting, {"true": inside, "false": checking}, level)
        for name, column in columns.items():
            column.append(values.get(name))
    area, low, high = _area(inside, outside, level)
    return Membership(
        victim=victim,
        attack=attack,
        members=len(inside),
        non_members=len(outside),
        auc=area,
        auc_low=low,
        auc_high=high,
        rates=list(RATES),
        **columns,
    )


_COLUMNS = tuple(
    f"{kind}_{value}" for kind in ("true", "false") for value in ("rate", "low", "high")
)


def _at_rate(
    rate: float, setting: Values, groups: Mapping[str, Values], level: float
) -> dict[str, float]:
    """Share of each group below the threshold of a rate; nothing if it is too low."""
    allowed = int(np.floor(rate * len(setting)))
    if allowed < 1:
        return {}
    # Strictly below the next value, so that ties never raise the rate.
    limit = setting[allowed]
    found = {}
    for kind, values in groups.items():
        hits = int((values < limit).sum())
        exact = binomtest(hits, len(values)).proportion_ci(level, method="exact")
        found[f"{kind}_rate"] = hits / len(values)
        found[f"{kind}_low"] = float(exact.low)
        found[f"{kind}_high"] = float(exact.high)
    return found


def _area(inside: Values, outside: Values, level: float) -> tuple[float, float, float]:
    """Area under the curve with DeLong's interval."""
    n, m = len(inside), len(outside)
    ranks = rankdata(np.concatenate([outside, inside]))
    of_inside = (ranks[m:] - rankdata(inside)) / m  # share of others that are smaller
    of_outside = 1 - (ranks[:m] - rankdata(outside)) / n
    area = 1 - float(of_inside.mean())
    variance = of_inside.var(ddof=1) / n + of_outside.var(ddof=1) / m
    reach = float(norm.ppf(0.5 + level / 2) * np.sqrt(variance))
    return area, max(0.0, area - reach), min(1.0, area + reach)


def calibration_error(answers: Answers, labels: NDArray[np.int64]) -> float | None:
    """Expected calibration error in fifteen bins; None for labels only."""
    if answers.probabilities is None:
        return None
    kept = answers.answered
    sure = answers.probabilities[kept].max(axis=1)
    right = answers.labels[kept] == labels[kept]
    if not len(sure):
        return None
    bins = np.minimum((sure * 15).astype(int), 14)
    error = 0.0
    for b in np.unique(bins):
        inside = bins == b
        error += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
    return float(error)
