"""Soft conditioning: every auxiliary row, weighted by the victim's probability."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from kldiv._conditional._labelled_pair import LabelledPair
from kldiv._errors._standard_errors import Effects
from kldiv._results._results import DivergenceResult
from kldiv._typing import Floats
from kldiv._validation import Weights
from kldiv._warnings import Note, ZeroProbabilityWarning, warn_of


@dataclass(frozen=True)
class SoftTerms:
    """The three terms of a soft score: kl(F_c || F') - log_answer + log_share.

    Attributes
    ----------
    marginal : DivergenceResult
        Divergence of the training rows of c from all auxiliary rows.
    log_answer, log_answer_error : float
        Mean log probability of c at the training rows of c, and its standard error.
    log_share, log_share_error : float
        Log of the mean probability of c at the auxiliary rows, and its standard error.
    """

    marginal: DivergenceResult
    log_answer: float
    log_answer_error: float
    log_share: float
    log_share_error: float

    def in_base(self, base: float | None) -> SoftTerms:
        """The same terms as logarithms of another base than e."""
        if base is None:
            return self
        one = np.log(base)
        return SoftTerms(
            self.marginal.in_base(base),
            float(self.log_answer / one),
            float(self.log_answer_error / one),
            float(self.log_share / one),
            float(self.log_share_error / one),
        )


def soft_terms(
    marginal: DivergenceResult, pair: LabelledPair, column: int
) -> SoftTerms:
    """The terms of the class in a column of the answers; warns if one is infinite."""
    label, own, all_aux = _answers(pair, column)
    weights = _weights(pair, label)
    if (own == 0).any():
        text = (
            f"class {label}: the victim gives probability 0 to "
            f"{int((own == 0).sum())} of {len(own)} training rows of the class, so "
            "that the soft score is infinite. Ask the victim in higher precision, or "
            "use hard conditioning."
        )
        warn_of([Note(text, ZeroProbabilityWarning)])
    with np.errstate(divide="ignore", invalid="ignore"):
        log_answer, log_answer_error = _mean_and_error(np.log(own), weights.of_x)
        share, share_error = _mean_and_error(all_aux, weights.of_y)
        return SoftTerms(
            marginal=marginal,
            log_answer=log_answer,
            log_answer_error=log_answer_error,
            log_share=float(np.log(share)),
            log_share_error=share_error / share,
        )


def _weights(pair: LabelledPair, label: Any) -> Weights:
    """Of the training rows of a class and of all auxiliary rows, ones if not given."""
    weights = pair.weights_of(label, all_aux=True)
    if weights is not None:
        return weights
    n = int((pair.train_labels == label).sum())
    return Weights(np.ones(n), np.ones(len(pair.aux)))


def _mean_and_error(values: Floats, weights: Floats) -> tuple[float, float]:
    """Mean of numbers by weights of mean one, and its standard error."""
    mean = float((weights * values).mean())
    apart = weights * (values - mean)
    return mean, float(np.sqrt(apart @ apart) / values.size)


def _answers(
    pair: LabelledPair, column: int
) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
    """A class, and its probabilities at its training rows and at all auxiliary rows."""
    assert pair.train_answers is not None
    assert pair.aux_answers is not None
    label = pair.classes[column]
    own = pair.train_answers[pair.train_labels == label, column]
    return label, own, pair.aux_answers[:, column]


def soft_result(
    terms: SoftTerms, pair: LabelledPair, column: int, level: float | None
) -> DivergenceResult:
    """The sum of the terms and its standard error."""
    marginal = terms.marginal
    value = marginal.value - terms.log_answer + terms.log_share
    marginal = replace(marginal, log_ratio=_soft_ratios(terms, pair, column))
    if marginal.standard_error is None or level is None:
        return replace(marginal, value=value)
    effects = _soft_effects(terms, pair, column)
    if effects is not None:
        spread = effects.spread()
        return replace(
            marginal,
            value=value,
            standard_error=spread.standard_error,
            confidence_interval=spread.interval(value, level),
            effects=effects,
        )
    error = float(
        np.sqrt(
            marginal.standard_error**2
            + terms.log_answer_error**2
            + terms.log_share_error**2
        )
    )
    reach = float(norm.ppf(0.5 + level / 2)) * error
    return replace(
        marginal,
        value=value,
        standard_error=error,
        confidence_interval=(value - reach, value + reach),
        effects=None,
    )


def _soft_ratios(terms: SoftTerms, pair: LabelledPair, column: int) -> Floats | None:
    """Log ratio to the weighted auxiliary rows, at each training row of the class."""
    _, own, _ = _answers(pair, column)
    of_marginal = terms.marginal.log_ratio
    if of_marginal is None:
        return None
    with np.errstate(divide="ignore"):
        ratios: Floats = of_marginal - np.log(own) + terms.log_share
    return ratios


def _soft_effects(terms: SoftTerms, pair: LabelledPair, column: int) -> Effects | None:
    """Effects of the rows on the sum of the three terms.

    None if rows were dropped as duplicates, so that rows cannot be matched, or if the
    score is infinite.
    """
    marginal = terms.marginal
    label, own, all_aux = _answers(pair, column)
    weights = _weights(pair, label)
    assert marginal.effects is not None
    x, y = marginal.effects.x, marginal.effects.y
    if (marginal.n, marginal.m) != (len(own), len(all_aux)) or (own == 0).any():
        return None
    share = (weights.of_y * all_aux).mean()
    of_answers = weights.of_x * (np.log(own) - terms.log_answer)
    of_shares = weights.of_y * (all_aux / share - 1)
    return replace(
        marginal.effects,
        x=replace(x, rows=x.rows - of_answers),
        y=replace(y, rows=y.rows + of_shares),
    )
