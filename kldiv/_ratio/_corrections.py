"""All corrections by name, and the rule behind "auto"."""

from __future__ import annotations

from kldiv._preparation import PreparedPair
from kldiv._ratio._common import CommonBalls
from kldiv._ratio._correction import (
    AdaptiveBalls,
    Correction,
    FixedBalls,
    GaussianReferences,
    MixtureReferences,
)
from kldiv._ratio._few_rows import in_spanned_columns
from kldiv._ratio._judge import judged_ratio
from kldiv._ratio._learned import ClassifierRatio, MarginalReferences
from kldiv._ratio._log_ratio import LogRatio, Settings
from kldiv._ratio._weighting import weighed
from kldiv._typing import UserMetric

CORRECTIONS: dict[str | None, Correction] = {
    None: FixedBalls(),
    "adaptive": AdaptiveBalls(),
    "common": CommonBalls(),
    "gaussian": GaussianReferences(),
    "mixture": MixtureReferences(),
    "marginal": MarginalReferences(),
    "classifier": ClassifierRatio(),
}
#: What "auto" chooses from, and averages, by evidence.
CANDIDATES = ("common", "mixture", "marginal", "classifier")

# "auto" fits something to samples of at least this many rows.
_ROWS_TO_FIT = 20
# Mixtures and maps of single columns are tried up to this many columns.
_COLUMNS_TO_FIT = 150


def choose_corrections(
    correction: str | None,
    n: int,
    m: int,
    d: int,
    metric: str | UserMetric = "euclidean",
) -> tuple[str | None, ...]:
    """The corrections that evidence has to choose from; one for all but "auto".

    Without Euclidean balls, or with too few rows for a fit, the adaptive choice of k,
    which has the smaller bias up to five columns, or the fixed one.
    """
    if correction != "auto":
        return (correction,)
    if min(n, m) < _ROWS_TO_FIT or metric != "euclidean":
        return ("adaptive",) if d <= 5 else (None,)
    if d <= _COLUMNS_TO_FIT:
        return CANDIDATES
    return ("common", "gaussian", "classifier")


def reference_correction(pair: PreparedPair, metric: str | UserMetric) -> str | None:
    """What "auto" stands for where single log ratios count and not only their mean.

    Candidates differ in how noisy a single ratio is, and only that of balls is known.
    """
    names = choose_corrections("auto", len(pair.X), len(pair.Y), pair.dimension, metric)
    return next((one for one in names if one in ("mixture", "gaussian")), names[0])


def estimate_log_ratio(
    pair: PreparedPair,
    correction: str | None,
    settings: Settings,
    *,
    unseen: bool = False,
) -> LogRatio:
    """log p/q at each row of X, by one correction or by what evidence says of some.

    `unseen` asks for log ratios at rows that no fit has seen as well, which all but the
    published correction have.
    """
    names = choose_corrections(
        correction, len(pair.X), len(pair.Y), pair.dimension, settings.metric
    )
    for name in names:
        _check_rows(name, pair)
    if names[0] not in (None, "adaptive"):  # which look at the rows as they are
        pair = in_spanned_columns(pair, settings.scale)
    if len(names) == 1 and (names[0] is None or not unseen):
        return weighed(CORRECTIONS[names[0]].log_ratio(pair, settings), pair)
    candidates = {name: CORRECTIONS[name] for name in names}
    return weighed(judged_ratio(candidates, pair, settings), pair)


def _check_rows(name: str | None, pair: PreparedPair) -> None:
    n, m, fewest = len(pair.X), len(pair.Y), CORRECTIONS[name].fewest_rows
    if min(n, m) < fewest:
        raise ValueError(
            f"correction={name!r} needs at least {fewest} rows in each sample; X has "
            f"{n} and Y has {m}. Bring more rows, or choose correction=None."
        )
