"""Soft conditioning: every auxiliary row, weighted by the victim's probability."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from kldiv._conditional._labelled_pair import LabelledPair
from kldiv._errors._standard_errors import Effects, spread_of
from kldiv._results._results import DivergenceResult
from kldiv._typing import Floats
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
    if (own == 0).any():
        text = (
            f"class {label}: the victim gives probability 0 to "
            f"{int((own == 0).sum())} of {len(own)} training rows of the class, so "
            "that the soft score is infinite. Ask the victim in higher precision, or "
            "use hard conditioning."
        )
        warn_of([Note(text, ZeroProbabilityWarning)])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(own)
        log_share = np.log(all_aux.mean())
        return SoftTerms(
            marginal=marginal,
            log_answer=float(logs.mean()),
            log_answer_error=float(logs.std() / np.sqrt(len(logs))),
            log_share=float(log_share),
            log_share_error=float(
                all_aux.std() / np.sqrt(len(all_aux)) / all_aux.mean()
            ),
        )


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
        spread = spread_of((effects.x, effects.y))
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
    _, own, all_aux = _answers(pair, column)
    assert marginal.effects is not None
    x, y = marginal.effects.x, marginal.effects.y
    if (marginal.n, marginal.m) != (len(own), len(all_aux)) or (own == 0).any():
        return None
    share = all_aux.mean()
    return replace(
        marginal.effects,
        x=replace(x, rows=x.rows - (np.log(own) - terms.log_answer)),
        y=replace(y, rows=y.rows + (all_aux / share - 1)),
    )
