"""In which coordinates references are fitted, and with how many components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kldiv._ratio._clusters import Hierarchy, folds
from kldiv._ratio._coordinates import Coordinates, coordinates, normalise
from kldiv._ratio._mixtures import fit_gaussian, rows_to_fit
from kldiv._typing import FloatArray, Floats, Labels, Singles

COMPONENTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16)
# Pseudo-rows, for each column, with which the covariance of a component is pulled
# towards the mean covariance of all while their number is chosen.
SMOOTHING_TO_SELECT = 1.0
# Held-out log likelihood per column, summed over both samples, that more components
# may cost.
_LOSS_PER_COLUMN = 0.015
# Where as many of the smallest mixtures all fall short of one Gaussian, larger ones are
# not tried.
_SIZES_TO_GAIN = 3
# Rows per component at least.
ROWS_PER_COMPONENT = 8
# Held-out log likelihood per column, summed over both samples, that Gaussian-looking
# columns must gain.
_GAIN_PER_COLUMN = 0.04


@dataclass(frozen=True)
class Plan:
    """What to fit: `n_components`, and for more than one a partition of the rows of
    each sample to start from."""

    n_components: int
    labels: tuple[Labels, Labels] | None
    log_likelihood: float


def choose_components(
    X: Floats, Y: Floats, candidates: tuple[int, ...] = COMPONENTS
) -> Plan:
    """Common number of components with the best held-out likelihood of both samples.

    A common number makes what the references miss cancel in the ratio. One Gaussian
    gives way only to a gain of two standard errors; otherwise it is the largest number
    that is little worse than the best, because what too many components do to the
    estimate is measured and subtracted, and what too few do is not.
    """
    judged = [_judge_gaussian(sample) for sample in (X, Y)]
    alone = Plan(1, None, _total(judged))
    most = min(max(candidates), min(len(X), len(Y)) // ROWS_PER_COMPONENT)
    sizes = [size for size in candidates if 1 < size <= most]
    if not sizes:
        return alone
    trees = [Hierarchy(rows_to_fit(sample), most) for sample in (X, Y)]
    logs: dict[int, list[Singles]] = {}
    allowed = _LOSS_PER_COLUMN * X.shape[1]
    for size in sizes:
        if any(tree.collapsed(size) for tree in trees):
            break  # points without a density between them
        logs[size] = [t.held_out(size, SMOOTHING_TO_SELECT * X.shape[1]) for t in trees]
        best = max(logs, key=lambda tried: _total(logs[tried]))
        if _total(logs[best]) - _total(logs[size]) > 4 * allowed:
            break
        if len(logs) == _SIZES_TO_GAIN and _total(logs[best]) < alone.log_likelihood:
            break
    if not logs or _gain(logs[best], judged) < 2:
        return alone
    enough = _total(logs[best]) - allowed
    chosen = max(size for size in logs if _total(logs[size]) >= enough)
    labels = (trees[0].labels(chosen), trees[1].labels(chosen))
    return Plan(chosen, labels, _total(logs[chosen]))


def _judge_gaussian(X: Floats) -> Singles:
    X = rows_to_fit(X)
    logs = []
    for judged in folds(len(X)):
        others = X[~judged]
        varied = (others != others[0]).any()  # few rows with ties may leave equal ones
        logs.append(fit_gaussian(others if varied else X).log_density(X[judged]))
    return np.concatenate(logs).astype(np.float32)


def _total(logs: list[Singles]) -> float:
    """Mean log likelihood of a row of X plus that of a row of Y."""
    return float(sum(values.mean(dtype=np.float64) for values in logs))


def _gain(logs: list[Singles], others: list[Singles]) -> float:
    """How much larger the total likelihood is, in standard errors."""
    differences = [one - two for one, two in zip(logs, others, strict=True)]
    error = np.sqrt(sum(values.var() / len(values) for values in differences))
    return _total(differences) / error if error > 0 else 0.0


def choose_coordinates(
    X: FloatArray, Y: FloatArray, scale: str | None, candidates: tuple[int, ...]
) -> tuple[Coordinates, Plan]:
    """Coordinates in which references fit best, and what to fit there.

    With ``scale="auto"`` the coordinates with nearly Gaussian columns are taken if they
    gain clearly in held-out likelihood.
    """
    plain = coordinates(X, Y, scale)
    plan = choose_components(plain.X, plain.Y, candidates)
    changed = normalise(plain.X, plain.Y) if scale == "auto" else None
    if changed is None:
        return plain, plan
    shaped, slopes = changed
    # Where a mixture in the plain coordinates gains far more than other coordinates do
    # for one Gaussian, these are not what the data ask for.
    alone = _total([_judge_gaussian(sample) for sample in (plain.X, plain.Y)])
    gain = _total([_judge_gaussian(sample) for sample in (shaped.X, shaped.Y)])
    if gain + sum(slopes) - alone < 0.5 * (plan.log_likelihood - alone):
        return plain, plan
    shaped_plan = choose_components(shaped.X, shaped.Y, candidates)
    gain = shaped_plan.log_likelihood + sum(slopes) - plan.log_likelihood
    if gain < _GAIN_PER_COLUMN * X.shape[1]:
        return plain, plan
    return shaped, shaped_plan
