"""Differences of two scores: paired rows, intervals, reports compared."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from kldiv import ConditionalKLScorer, KNNDivergence
from kldiv._errors._differences import (
    TracedEffects,
    difference_of,
    mean_difference,
)
from kldiv._errors._doubts import Doubt, variance_of_difference
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


def traced(effects, train, aux):
    """Rows of the samples of these numbers: those of two samples are others."""
    keys = (
        np.arange(one.rows.shape[1], dtype=np.uint64) + np.uint64(10**6 * which)
        for one, which in ((effects.x, train), (effects.y, aux))
    )
    return TracedEffects.of(effects, *keys)


@pytest.mark.parametrize("n_groups", [(0, 0), (20, 0), (20, 10), (10, 10)])
def test_the_error_of_a_difference_of_means(n_groups, rng):
    """From effects of rows, of groups, of as many or of twice as many groups."""
    values = rng.normal(size=(2, 1000))
    values[1] += values[0]
    sides = [effects_on_a_mean(v, g) for v, g in zip(values, n_groups, strict=True)]
    pairs = tuple(traced(side, 1, which) for which, side in enumerate(sides))
    found = difference_of((0.0, 0.0), (1.0, 1.0), pairs, 0.95)
    assert found.paired
    tolerance = 0.5 if any(n_groups) else 0.05
    truth = np.sqrt(1 / 1000)
    assert found.standard_error == pytest.approx(truth, rel=tolerance)
    apart = tuple(traced(side, which, which) for which, side in enumerate(sides))
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
            (traced(side, 0, 0), traced(side, train, aux)),
            0.9,
        )
        of_rows = 2 * rows[0].var() / 100 * ((train > 0) + (aux > 0))
        assert found.standard_error**2 == pytest.approx(variance + of_rows)


@pytest.mark.statistical
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


def means_of_classes(values, labels):
    """Plus or minus the mean of each class, with the effects of its rows."""
    found = []
    for c in range(labels.max() + 1):
        rows = np.flatnonzero(labels == c)
        mine = values[rows] * (1 - 2 * c)
        apart = mine - mine.mean()
        effects = Effects(
            SampleEffects(np.zeros((N_SUBSETS, 10)), 0),
            SampleEffects(np.tile(apart, (N_SUBSETS, 1)), 1),
        )
        keys = np.arange(10, dtype=np.uint64) + np.uint64(100 * c)
        traced = TracedEffects(effects, keys, rows.astype(np.uint64))
        found.append((mine.mean(), traced))
    return found


@pytest.mark.parametrize("follows", [False, True])
def test_errors_where_rows_change_their_class(follows, rng):
    """Two draws of the same random answers; they may follow the values of the rows."""
    found = []
    for _ in range(300):
        values = rng.normal(size=200)
        sides = []
        for _ in range(2):
            chances = 1 / (1 + np.exp(-3 * values * follows))
            labels = (rng.random(200) < chances).astype(int)
            sides.append(means_of_classes(values, labels))
        compared = [
            ((a, b), (1.0, 1.0), (one, two))
            for (a, one), (b, two) in zip(*sides, strict=True)
        ]
        mean = mean_difference(compared, 0.95)
        alone = [difference_of(*each, 0.95) for each in compared]
        found.append(
            [[each.value, each.standard_error, each.paired] for each in (mean, *alone)]
        )
    values, errors, paired = np.moveaxis(np.array(found), 2, 0)
    assert paired.all()
    np.testing.assert_allclose(
        np.sqrt((errors**2).mean(axis=0)), values.std(axis=0), rtol=0.15
    )
    # a row that one class loses and the other one gains does something to both
    apart = np.sqrt((errors[:, 1:] ** 2).mean(axis=0).sum()) / 2
    assert abs(apart / values[:, 0].std() - 1) > 0.2


def test_answers_drawn_anew_are_no_change_and_worse_ones_are():
    """Zero within intervals as often as said, overall and per class; and power."""
    repeats, none, seen = 40, np.zeros(3), 0
    scorer = ConditionalKLScorer(
        KNNDivergence(correction=None), transformer=None, confidence_level=0.95
    )
    y = np.repeat([0, 1], 100)
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        X, aux = rng.normal(size=(2, 200, 2)) + 2.5 * y[:, None]
        reports = []
        for wrong in (0.1, 0.1, 0.3):
            answers = np.where(rng.random(200) < wrong, 1 - y, y)
            reports.append(scorer.fit((X, y), (aux, answers)).report())
        table = reports[1].compare(reports[0])
        low, high = table["difference_low"], table["difference_high"]
        none[:2] += (low <= 0) & (high >= 0)
        assert table["paired"].all()
        difference, (low, high) = reports[1].compare_means(reports[0])
        assert difference == pytest.approx(table["difference"].mean())
        none[2] += low <= 0 <= high
        _, (low, _) = reports[2].compare_means(reports[0])
        seen += low > 0
    # with coverage 0.95 fewer than 33 of 40 happen less than once in 200 times
    assert (none >= stats.binom.ppf(0.004, repeats, 0.95)).all()
    assert seen >= 0.9 * repeats


def test_means_of_reports_in_which_a_class_has_no_score(samples):
    train, (A, a) = samples
    scorer = ConditionalKLScorer(confidence_level=0.95)
    whole, part = (
        scorer.fit(train, (A[keep], a[keep])).report() for keep in (a >= 0, a != 1)
    )
    difference, (low, high) = whole.compare_means(part)
    found = np.array([0, 2])
    assert difference == pytest.approx((whole["kl"] - part["kl"])[found].mean())
    assert low <= difference <= high
    assert whole.compare_means(whole) == (0.0, (0.0, 0.0))
    nothing = replace(part, columns={**part.columns, "kl": part["kl"] * np.nan})
    assert np.isnan(whole.compare_means(nothing)[0])


def doubt(**parts):
    weights, values, errors = np.array(list(parts.values()), float).T
    return Doubt(tuple(parts), weights, values, errors)


def test_doubts_cancel_as_far_as_they_are_the_same():
    one = doubt(a=(0.5, 1.0, 0.2), b=(0.5, 3.0, 0.0))
    assert one.variance == pytest.approx(1 + 0.01)
    assert variance_of_difference([one], [one], 1.0) == 0
    assert variance_of_difference([one], [one], 0.0) == pytest.approx(2 * one.variance)
    moved = doubt(a=(0.5, 6.0, 0.2), b=(0.5, 8.0, 0.0))  # by the same: as certain
    assert variance_of_difference([one], [moved], 1.0) == pytest.approx(0)
    # a tenth of the weight goes to a candidate that is two nats away
    shifted = doubt(a=(0.4, 1.0, 0.0), b=(0.6, 3.0, 0.0))
    whole = doubt(a=(0.5, 1.0, 0.0), b=(0.5, 3.0, 0.0))
    expected = 0.1 * 2**2 - (0.1 * 2) ** 2
    assert variance_of_difference([whole], [shifted], 1.0) == pytest.approx(expected)
    other = doubt(c=(1.0, 0.0, 0.3))
    assert variance_of_difference([one], [other], 1.0) == pytest.approx(
        one.variance + other.variance
    )
    assert variance_of_difference([one], [], 1.0) == pytest.approx(one.variance)
    assert one.times(-2).variance == pytest.approx(4 * one.variance)


def test_which_correction_is_right_is_part_of_a_difference_of_answers():
    """Where the mean of several corrections jumps from one to the other."""
    side = Effects(
        SampleEffects(np.zeros((N_SUBSETS, 50)), 0),
        SampleEffects(np.zeros((N_SUBSETS, 50)), 1),
    )
    first = replace(side, doubts=(doubt(a=(0.8, 1.0, 0.0), b=(0.2, 2.0, 0.0)),))
    second = replace(side, doubts=(doubt(a=(0.3, 1.0, 0.0), b=(0.7, 2.0, 0.0)),))
    pairs = traced(first, 0, 0), traced(second, 0, 0)
    found = difference_of((1.2, 1.7), (0.0, 0.0), pairs, 0.95)
    low, high = found.confidence_interval
    assert low < 0 < high
    assert found.standard_error == pytest.approx(0.5)
