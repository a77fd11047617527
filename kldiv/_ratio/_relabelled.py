"""What a learned log p/q misses, beyond what it would miss were it true.

Balls see what a classifier misses. But a penalised fit falls short of any truth, and
where samples hardly overlap few rows of Y carry the weights that make them a sample of
P, so that balls see something missed even if the ratio is right. So much is measured:
the rows stay, their labels are drawn anew by the learned ratio, which is the truth of
the samples that they make, and all is estimated again (a parametric bootstrap).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import expit, logit

from kldiv._ratio._classifier import Classifier
from kldiv._ratio._common import (
    SHARE,
    Members,
    beyond_noise,
    counted_in_balls,
    members_of,
    missed_by,
    more_than_noise,
)
from kldiv._ratio._log_ratio import LogRatio
from kldiv._typing import Floats

# Draws of labels, for many rows and for few, of which each says less.
_DRAWS, _MORE_DRAWS, _FEW_ROWS = 3, 8, 5000
_BALLS = 500


def missed_beyond_chance(
    found: LogRatio, members: Members, classifier: Classifier
) -> tuple[float, float]:
    """What is to be added to the mean learned log p/q at rows of X, and its error."""
    missed = missed_by(found, members, classifier.learned)
    if found.settings.exclusion_window:  # rows with other labels came at no time
        lost, noise = more_than_noise(missed)
        return SHARE * lost, float(np.hypot(lost, noise))
    anyway = _missed_anyway(found, classifier)
    if len(anyway) < 2:
        return 0.0, abs(float(missed.mean()))
    lost = max(0.0, float(missed.mean() - anyway.mean()))  # a fit falls short
    noise = max(float(anyway.std(ddof=1)), float(missed.std()) / np.sqrt(len(missed)))
    kept = beyond_noise(lost, noise)
    return kept, float(np.hypot(lost, noise))


def _missed_anyway(found: LogRatio, classifier: Classifier) -> Floats:
    """By how much the same exceeds the truth of samples whose log p/q was learned, for
    several draws of labels."""
    n, m = len(found.X), len(found.Y)
    logits = classifier.learned + np.log(n / m)
    of_x = expit(logits)
    if not 0 < of_x.sum() < n + m:  # labels are certain
        return np.empty(0)
    true = logits - logit(of_x.mean())
    rows = np.concatenate([found.X, found.Y])
    settings = replace(found.settings, scale=None, zeros=True, algorithm="auto")
    # Rows come in the order of their ratios: signs and order of columns do not count.
    order, rng = np.argsort(of_x, kind="stable"), np.random.default_rng(0)
    chance, exceeds = np.empty(n + m), []
    for _ in range(_MORE_DRAWS if n + m < _FEW_ROWS else _DRAWS):
        chance[order] = rng.random(n + m)
        drawn = chance < of_x
        if min(drawn.sum(), (~drawn).sum()) <= settings.n_neighbors:
            continue
        learned = classifier.relabelled(drawn).learned
        again = counted_in_balls(
            rows[drawn], rows[~drawn], found.neighbors.n_features, settings
        )
        missed = missed_by(
            again,
            members_of(again, most=_BALLS),
            np.concatenate([learned[drawn], learned[~drawn]]),
        )
        exceeds.append(float(missed.mean() + (learned - true)[drawn].mean()))
    return np.array(exceeds)
