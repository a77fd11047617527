"""Bounded divergences from log ratios at rows that no fit has seen.

Noise in log ratios raises a plug-in formula. A lower bound that the true ratio attains
is not raised by it: at rows unseen, a ratio that is chance proves nothing. Such a ratio
lowers it, so that ratios are brought to the scale that other rows show, zero if need
be.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kldiv._divergences import Terms
from kldiv._errors._standard_errors import Effects, SampleEffects
from kldiv._errors._subsets import N_SUBSETS
from kldiv._estimation._options import Options
from kldiv._preparation import PreparedPair
from kldiv._ratio._classifier import judged_rows, scaled_by_others
from kldiv._ratio._corrections import estimate_log_ratio
from kldiv._ratio._log_ratio import LogRatio
from kldiv._typing import Floats


def unseen_ratio(pair: PreparedPair, options: Options) -> LogRatio | None:
    """Log ratios that hold such at rows unseen, if the divergence is measured there."""
    entry = options.entry
    # rows left out depend on those that follow them
    known = pair.weights is not None or options.exclusion_window
    finite = entry.is_finite(options.order)
    if known or options.correction is None or entry.terms is None or not finite:
        return None
    found = estimate_log_ratio(pair, options.correction, options.settings, unseen=True)
    known = all(np.isfinite(one).all() for _, one in found.unseen)
    return found if found.unseen and known else None


def measured_unseen(ratio: LogRatio, terms: Terms, order: float) -> dict[str, Any]:
    """Value, and what the rows of both samples do to it."""
    weights = np.array([weight for weight, _ in ratio.unseen])
    ratios = [one for _, one in ratio.unseen]
    n, m = len(ratio.X), len(ratio.Y)
    x, y = _terms(terms, np.tensordot(weights, ratios, axes=1), n, m, order)
    each = [
        float(sum(one.mean() for one in _terms(terms, each, n, m, order)))
        for each in ratios
    ]
    between = float(weights @ (np.array(each) - weights @ each) ** 2)
    # two numbers are fitted, each of which costs half a row in log loss
    fitted = 1 / (len(x) + len(y)) ** 2
    effects = Effects(
        SampleEffects(_effects(x, n), 0, bootstrap=between + fitted),
        SampleEffects(_effects(y, m), 1),
    )
    return {"value": float(x.mean() + y.mean()), "effects": effects}


def _terms(
    terms: Terms, log_ratios: Floats, n: int, m: int, order: float
) -> tuple[Floats, Floats]:
    """Terms at the judged rows; no row says more against a ratio than all rows can."""
    judged, most = len(judged_rows(n)), np.log(min(n, m))
    log_ratios = _on_scale(log_ratios, judged)
    x, y = log_ratios[:judged], log_ratios[judged:]
    return terms(np.maximum(x, -most), np.minimum(y, most), order)


def _on_scale(log_ratios: Floats, n: int) -> Floats:
    """Log ratios with a shift and a scale that rows of other parts have set."""
    of_x = np.arange(len(log_ratios)) < n
    low, high = np.quantile(log_ratios, [0.25, 0.75])
    size = high - low if high > low else 1.0
    logits, chance = scaled_by_others(log_ratios / size, of_x)
    return logits - chance


def _effects(judged: Floats, n_rows: int) -> Floats:
    """Effects of all rows, of which only some were judged."""
    effects = np.zeros(n_rows)
    effects[judged_rows(n_rows)] = (judged - judged.mean()) * (n_rows / len(judged))
    return np.tile(effects, (N_SUBSETS, 1))
