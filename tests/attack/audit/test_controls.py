"""Held-out control, membership baseline and curves on data of known answer."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from kldiv_attack._shares import difference_interval, over_strata, wilson
from kldiv_attack.audit.answers import Answers, from_probabilities
from kldiv_attack.audit.curves import budgets, leakage_curves
from kldiv_attack.audit.features import make_space, row_ids
from kldiv_attack.audit.held_out import held_out_control
from kldiv_attack.audit.intervals import paired_interval
from kldiv_attack.audit.membership import (
    calibration_error,
    losses,
    membership,
    usual_losses,
)
from kldiv_attack.audit.samples import Sample


def noisy(rng, n):
    """Rows of two classes that overlap so much that labels are nearly noise."""
    rows = rng.normal(size=(n, 2))
    return rows, (rng.random(n) < 0.5 + 0.05 * np.sign(rows[:, 0])).astype(int)


def control(victim, seed, n=200):
    rng = np.random.default_rng(seed)
    train, held_out, aux = (noisy(rng, size) for size in (n, n, 20 * n))
    victim.fit(*train)
    return held_out_control(
        *train,
        *held_out,
        aux[0],
        Answers(victim.predict(aux[0])),
        ["0", "1"],
        victim="v",
        aux_name="a",
        n_neighbors=1,
    )


def test_the_control_sees_what_a_victim_has_learned_by_heart():
    seen = [control(KNeighborsClassifier(1), seed).low[-1] > 0 for seed in range(20)]
    assert sum(seen) >= 19


class Rule:
    """A victim that has learned nothing of its training rows."""

    def fit(self, rows, labels):
        return self

    def predict(self, rows):
        return (rows[:, 0] > 0).astype(int)


def test_the_control_says_nothing_of_a_victim_that_has_not():
    found = [control(Rule(), seed) for seed in range(20)]
    holds = [f.low[-1] <= 0 <= f.high[-1] for f in found]
    assert sum(holds) >= 18


def test_classes_with_few_held_out_rows_are_left_out():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 2)), np.repeat([0, 1], 30)
    found = held_out_control(
        rows, labels, rows[:34] + 0.1, labels[:34], rows, Answers(labels),
        ["0", "1"], victim="v", aux_name="a",
    )  # fmt: skip
    assert found.difference[1] is None
    assert found.rows == [30, 4, 30]
    assert found.difference[2] == found.difference[0]


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (50, 50), (7, 1000)])
def test_wilson_is_scipys(hits, n):
    expected = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits / n, n) == pytest.approx((expected.low, expected.high))


def test_wilson_holds_the_share_itself():
    """Also where nothing or everything was a hit, which rounding must not push out."""
    assert all(wilson(0.0, n)[0] == 0 and wilson(1.0, n)[1] == 1 for n in range(1, 200))


def test_the_difference_is_that_of_coverage_minus_nearness():
    found = control(KNeighborsClassifier(1), 0)
    columns = (found.train, found.near_train, found.held_out, found.near_held_out)
    for a, near_a, b, near_b, value in zip(*columns, found.difference, strict=True):
        assert a <= near_a
        assert b <= near_b
        assert value == pytest.approx((a - near_a) - (b - near_b))


def test_labels_that_say_nothing_make_no_difference():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(120, 2)), np.repeat([0, 1], 60)
    aux = np.concatenate([rng.normal(size=(30, 2))] * 2)  # each row in both classes
    found = held_out_control(
        rows, labels, rng.normal(size=(120, 2)), labels, aux,
        Answers(np.repeat([0, 1], 30)), ["0", "1"], victim="v", aux_name="a",
    )  # fmt: skip
    assert found.train != found.held_out
    assert found.difference == [0.0, 0.0, 0.0]
    assert found.low[2] < 0 < found.high[2]


# Newcombe 1998, table II: both, first only, second only, neither.
@pytest.mark.parametrize(
    ("counts", "ends"),
    [((36, 12, 2, 0), (0.0569, 0.3404)), ((20, 12, 2, 16), (0.0562, 0.3292))],
)
def test_paired_intervals_are_newcombes(counts, ends):
    first = np.repeat([1, 1, 0, 0], counts)
    second = np.repeat([1, 0, 1, 0], counts)
    assert paired_interval(first, second) == pytest.approx(ends, abs=1e-4)
    low, high = paired_interval(second, first)
    assert (-high, -low) == pytest.approx(ends, abs=1e-4)


def test_paired_intervals_hold_the_difference():
    rng, holds, narrower = np.random.default_rng(0), 0, 0
    for _ in range(400):
        easy = rng.random(100)
        first, second = ((easy + rng.normal(0, 0.1, 100)) < p for p in (0.6, 0.5))
        low, high = paired_interval(first, second)
        holds += low <= 0.1 <= high
        apart = difference_interval(first.mean(), 100, second.mean(), 100)
        narrower += high - low < apart[1] - apart[0]
    assert holds >= 374
    assert narrower == 400


def test_strata_weigh_as_they_should():
    value, low, high = over_strata([3, 1], [(0.0, -1.0, 2.0), (4.0, 3.0, 4.0)])
    assert value == 1
    assert (low, high) == pytest.approx((1 - np.hypot(0.75, 0.25), 1 + 1.5))


def test_intervals_of_differences_have_a_width_at_the_ends():
    low, high = difference_interval(1.0, 50, 1.0, 50)
    assert low < 0 < high


# -- membership ------------------------------------------------------------------------


def test_members_that_are_known_for_sure():
    found = membership(np.zeros(400), np.ones(400), victim="v", attack="a")
    assert (found.auc, found.true_rate[1], found.false_rate[1]) == (1.0, 1.0, 0.0)
    exact = binomtest(400, 400).proportion_ci(0.95, method="exact")
    assert found.true_low[1] == pytest.approx(exact.low)


def test_nothing_is_known_where_members_are_like_others():
    holds, right = 0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        inside, outside = rng.normal(size=300), rng.normal(size=300)
        found = membership(inside, outside, victim="v", attack="a", random_state=seed)
        holds += found.auc_low <= 0.5 <= found.auc_high
        right.append(found.false_rate[2])
    assert holds >= 36
    assert np.mean(right) == pytest.approx(0.1, abs=0.02)


def test_the_area_is_that_of_scikit_learn_also_with_ties(rng):
    inside, outside = rng.integers(0, 5, 200), rng.integers(1, 6, 100)
    found = membership(
        inside.astype(float), outside.astype(float), victim="v", attack="a"
    )
    truth = np.repeat([1, 0], [200, 100])
    expected = roc_auc_score(truth, -np.concatenate([inside, outside]))
    assert found.auc == pytest.approx(expected)


def test_rates_that_the_rows_cannot_measure_are_left_out():
    found = membership(np.zeros(50), np.ones(50), victim="v", attack="a")
    assert found.true_rate[0] is None
    assert found.true_rate[1] is None
    assert found.true_rate[2] == 1


def test_ties_never_raise_the_false_positive_rate():
    found = membership(np.zeros(100), np.zeros(2000), victim="v", attack="a")
    assert found.false_rate == [0.0, 0.0, 0.0]


def test_losses_and_their_surroundings():
    table = np.array([[0.9, 0.1], [0.2, 0.8]])
    answers = from_probabilities(table)
    np.testing.assert_allclose(
        losses(answers, np.array([0, 0]), 2), -np.log([0.9, 0.2])
    )
    np.testing.assert_array_equal(
        losses(Answers(np.array([0, 1])), np.array([0, 0]), 2), [0, 1]
    )
    rows = np.array([[0.0], [10.0]])
    aux = np.repeat(rows, 5, axis=0) + np.linspace(0, 0.1, 10)[:, None]
    known = from_probabilities(np.repeat(table, 5, axis=0))
    found = usual_losses(rows, np.array([0, 0]), aux, known, 2)
    np.testing.assert_allclose(found, -np.log([0.9, 0.2]))


def test_calibration_error():
    table = np.tile([0.8, 0.2], (100, 1))
    labels = np.repeat([0, 1], [60, 40])
    error = calibration_error(from_probabilities(table), labels)
    assert error == pytest.approx(0.2)
    assert calibration_error(Answers(labels), labels) is None


# -- curves ----------------------------------------------------------------------------


def curves_of(answers, rows, labels, aux):
    found = leakage_curves(
        rows, labels, None, aux, answers, 3, victim="v", aux_name="a"
    )
    return {(c.measure, c.granularity): c for c in found}


def test_more_queries_and_finer_answers_tell_more():
    rng = np.random.default_rng(0)
    centres = 3.0 * np.eye(3)
    labels = np.arange(600) % 3
    rows = rng.normal(size=(600, 3)) + centres[labels]
    aux = 2 * rng.normal(size=(2000, 3)) + 1
    score = np.exp(aux @ centres.T / 2)
    answers = from_probabilities(score / score.sum(1, keepdims=True))
    found = curves_of(answers, rows, labels, aux)
    coverage = found["coverage", "labels"].value
    assert (np.diff(coverage) >= 0).all()
    assert coverage[-1] > 3 * coverage[0]
    agreement = {g: c.value for (m, g), c in found.items() if m == "agreement"}
    assert list(agreement) == ["labels", "top-k", "rounded", "full"]
    assert agreement["full"][0] > agreement["labels"][0]
    assert agreement["labels"][-1] > agreement["labels"][0]
    curve = found["agreement", "full"]
    reached = curve.value[curve.queries.index(curve.enough)]
    assert reached >= 0.9 * curve.value[-1]


def test_a_victim_of_labels_has_one_granularity():
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(60, 3)), np.arange(60) % 3
    found = curves_of(Answers(labels), rows, labels, rows + 0.1)
    assert list(found) == [("coverage", "labels"), ("agreement", "labels")]


@pytest.mark.parametrize("n", [1, 20, 21, 500, 20_000])
def test_budgets_reach_from_few_to_all(n):
    found = budgets(n)
    assert found[-1] == n
    assert found == sorted(set(found))


# -- features --------------------------------------------------------------------------


def test_equal_rows_have_equal_features_and_ids():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 40))
    train = Sample(rows, np.arange(500) % 2, ("0", "1"), "train")
    aux = Sample(
        np.concatenate([rows[::7], rng.normal(size=(50, 40))]), None, (), "aux"
    )
    space = make_space(train, [aux], 0)
    same = len(rows[::7])
    np.testing.assert_array_equal(space.others[0][:same], space.train[::7])
    np.testing.assert_array_equal(space.ids[1][:same], space.ids[0][::7])
    assert not np.isin(space.ids[1][same:], space.ids[0]).any()
    assert space.train.shape[1] == 15


def test_zero_has_one_sign():
    assert row_ids([np.array([[0.0], [-0.0]])])[0].tolist() == [0, 0]


def test_columns_of_a_table_count_alike():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 20)) * np.geomspace(1, 1e6, 20)
    space = make_space(Sample(rows, None, (), "t"), [], 0)
    assert space.train.std(0).max() < 5
