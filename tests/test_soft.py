"""Soft conditioning: the closed form, the victim's answers, and what they lack."""

import numpy as np
import pytest

from kldiv import ConditionalKLScorer
from tests.soft_samples import soft_simulation


@pytest.mark.parametrize("d", [2, 10])
def test_soft_conditioning_reaches_the_closed_form(d, rng):
    X, labels, aux, victim = soft_simulation(d, rng)
    scorer = ConditionalKLScorer(
        conditioning="soft", transformer=None, confidence_level=0.95
    )
    scorer.fit((X, labels, victim(X)), (aux, victim(aux)))
    draws = rng.normal(size=(400_000, d)) - 1
    log_answer = np.log(victim(draws)[:, 0]).mean()
    truth = d / 2 - log_answer - np.log(2)
    report = scorer.report()
    for score, error in zip(report["kl"], report["standard_error"], strict=True):
        assert score == pytest.approx(truth, abs=4 * error)
    terms = report["kl_marginal"] - report["log_answer"] + report["log_share"]
    np.testing.assert_allclose(report["kl"], terms)
    assert (report["kl_low"] < report["kl"]).all()
    assert (report["kl"] < report["kl_high"]).all()
    difference, (low, high) = report.compare(0, 1)
    assert difference == report["kl"][0] - report["kl"][1]
    assert low < 0 < high


def test_soft_conditioning_asks_the_victim(rng):
    X, labels, aux, victim = soft_simulation(2, rng, n=100)
    asked = ConditionalKLScorer(conditioning="soft", victim=victim)
    given = ConditionalKLScorer(conditioning="soft")
    np.testing.assert_array_equal(
        asked.fit((X, labels), aux).score_per_class(),
        given.fit((X, labels, victim(X)), (aux, victim(aux))).score_per_class(),
    )


def test_soft_conditioning_needs_probabilities(rng):
    X, labels, aux, victim = soft_simulation(2, rng, n=50)
    scorer = ConditionalKLScorer(conditioning="soft")
    with pytest.raises(ValueError, match="those of train are missing"):
        scorer.fit((X, labels), (aux, victim(aux)))
    with pytest.raises(ValueError, match="those of aux are missing"):
        scorer.fit((X, labels, victim(X)), (aux, victim(aux).argmax(axis=1)))


def test_probability_zero_is_an_infinite_soft_score_with_a_warning(rng):
    X, labels, aux, victim = soft_simulation(2, rng, n=50)
    answers = victim(X)
    answers[0] = [0.0, 1.0]
    scorer = ConditionalKLScorer(conditioning="soft")
    with pytest.warns(UserWarning, match="probability 0 to 1 of 50 training rows"):
        scorer.fit((X, labels, answers), (aux, victim(aux)))
    scores = scorer.score_per_class()
    assert scores[0] == np.inf
    assert np.isfinite(scores[1])
