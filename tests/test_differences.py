"""Differences of two scores: paired rows, intervals, reports compared."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kldiv import ConditionalKLScorer, KNNDivergence
from kldiv._errors._differences import TracedEffects, difference_of
from kldiv._errors._standard_errors import Effects, SampleEffects, spread_of
from kldiv._errors._subsets import N_SUBSETS
from tests.labelled_samples import three_classes
from tests.soft_samples import soft_simulation


@pytest.fixture
def samples(rng):
    return three_classes(rng)


def test_compare_needs_standard_errors_and_known_classes(rng):
    X, labels, aux, victim = soft_simulation(2, rng, n=60)
    pair = (X, labels), (aux, victim(aux))
    with pytest.raises(ValueError, match="compare needs standard errors"):
        ConditionalKLScorer().fit(*pair).report().compare(0, 1)
    report = ConditionalKLScorer(confidence_level=0.9).fit(*pair).report()
    with pytest.raises(ValueError, match="7 is not a class of the report"):
        report.compare(0, 7)


@pytest.mark.parametrize("conditioning", ["hard", "soft"])
def test_compare_reports_on_two_auxiliary_sets(rng, conditioning):
    X, labels, aux, victim = soft_simulation(2, rng, n=150)
    train = X, labels, victim(X)
    scorer = ConditionalKLScorer(conditioning=conditioning, confidence_level=0.9)
    first, second = (
        scorer.fit(train, (rows, victim(rows))).report()
        for rows in (aux, rng.normal(0.4, 1, size=(200, 2)))
    )
    table = first.compare(second)
    np.testing.assert_allclose(table["difference"], first["kl"] - second["kl"])
    assert table["paired"].tolist() == [True, True]
    # what the training rows contribute to both errors cancels
    apart = np.hypot(first["standard_error"], second["standard_error"])
    assert (table["standard_error"] < apart).all()
    one = first.compare(second, 1)
    assert one == (
        table["difference"][1],
        (table["difference_low"][1], table["difference_high"][1]),
    )
    turned = second.compare(first)
    np.testing.assert_allclose(turned["standard_error"], table["standard_error"])
    same = first.compare(first)
    assert same["difference"].tolist() == same["standard_error"].tolist() == [0, 0]


def test_compare_needs_the_same_rows_to_pair(samples, rng):
    train, aux = samples
    scorer = ConditionalKLScorer(confidence_level=0.95)
    report = scorer.fit(train, aux).report()
    order = rng.permutation(len(train[0]))
    other = scorer.fit((train[0][order], train[1][order]), aux).report()
    assert report.compare(other)["paired"].all()  # by the auxiliary rows
    moved = scorer.fit((train[0] + 1, train[1]), (aux[0] + 1, aux[1])).report()
    table = report.compare(moved)
    assert not table["paired"].any()
    np.testing.assert_allclose(
        table["standard_error"],
        np.hypot(report["standard_error"], moved["standard_error"]),
    )
    stored = replace(report, pairing={})  # as read from a file
    assert not stored.compare(report)["paired"].any()
    renamed = replace(report, classes=np.array(["a", "b", "c"]))
    with pytest.raises(ValueError, match="no class in common"):
        report.compare(renamed)


def test_compare_with_a_class_that_has_no_score(samples):
    train, (A, a) = samples
    keep = a != 1
    report = (
        ConditionalKLScorer(confidence_level=0.95)
        .fit(train, (A[keep], a[keep]))
        .report()
    )
    difference, (low, high) = report.compare(0, 1)
    assert np.isnan([difference, low, high]).all()


def effects_on_a_mean(values, n_groups):
    """As of an estimate that is a mean: of rows, and of groups beside half of them."""
    rows = np.tile(values - values.mean(), (5, 1))
    x = SampleEffects(rows, 0)
    if n_groups:
        x = SampleEffects(rows / 2, 0, SampleEffects(rows / 2, 0).groups(n_groups))
    return Effects(x, SampleEffects(np.zeros((N_SUBSETS, 40)), 1))


@pytest.mark.parametrize("n_groups", [(0, 0), (20, 0), (20, 10), (10, 10)])
def test_the_error_of_a_difference_of_means(n_groups, rng):
    """From effects of rows, of groups, of as many or of twice as many groups."""
    values = rng.normal(size=(2, 1000))
    values[1] += values[0]
    sides = [effects_on_a_mean(v, g) for v, g in zip(values, n_groups, strict=True)]
    pairs = tuple(TracedEffects(side, 1, which) for which, side in enumerate(sides))
    found = difference_of((0.0, 0.0), (1.0, 1.0), pairs, 0.95)
    assert found.paired
    tolerance = 0.5 if any(n_groups) else 0.05
    truth = np.sqrt(1 / 1000)
    assert found.standard_error == pytest.approx(truth, rel=tolerance)
    apart = tuple(TracedEffects(side, which, which) for which, side in enumerate(sides))
    found = difference_of((0.0, 0.0), (1.0, 1.0), apart, 0.95)
    assert not found.paired
    errors = [spread_of((side.x, side.y)).standard_error for side in sides]
    assert found.standard_error == pytest.approx(np.hypot(*errors))


def test_what_references_draw_cancels_with_their_rows(rng):
    rows = np.tile(rng.normal(size=100), (5, 1))
    rows -= rows.mean()
    side = Effects(
        SampleEffects(rows, 0, bootstrap=1.0), SampleEffects(rows, 1, bootstrap=2.0)
    )
    for train, aux, variance in ((0, 0, 0.0), (0, 1, 4.0), (1, 0, 6.0)):
        found = difference_of(
            (0.0, 0.0),
            (9.0, 9.0),
            (TracedEffects(side, 0, 0), TracedEffects(side, train, aux)),
            0.9,
        )
        of_rows = 2 * rows[0].var() / 100 * ((train > 0) + (aux > 0))
        assert found.standard_error**2 == pytest.approx(variance + of_rows)


def test_intervals_of_differences_cover_the_truth():
    """Classes N(s_c, I) against auxiliary sets N(t, I): differences in closed form."""
    repeats, covered, widths = 30, np.zeros(3), np.zeros(2)
    y, centres, d = np.repeat([0, 1], 100), np.array([0.3, 0.6]), 2
    scorer = ConditionalKLScorer(
        KNNDivergence(correction="gaussian"), confidence_level=0.95
    )
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(200, d)) + centres[y][:, None]
        reports = [
            scorer.fit((X, y), (rng.normal(t, 1, size=(200, d)), y)).report()
            for t in (0.0, -0.4)
        ]
        table = reports[1].compare(reports[0])
        truth = d / 2 * ((centres + 0.4) ** 2 - centres**2)
        covered[:2] += (table["difference_low"] <= truth) & (
            truth <= table["difference_high"]
        )
        _, (low, high) = reports[0].compare(1, 0)
        covered[2] += low <= d / 2 * (0.6**2 - 0.3**2) <= high
        errors = [report["standard_error"][0] for report in reports]
        widths += table["standard_error"][0], np.hypot(*errors)
    # with coverage 0.9 fewer than 22 of 30 happen once in 500 times
    assert (covered >= stats.binom.ppf(0.002, repeats, 0.9)).all()
    assert widths[0] < 0.95 * widths[1]
