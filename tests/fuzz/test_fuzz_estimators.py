"""Every public number on samples of any kind: finite, or refused in a sentence."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    divergence,
    estimate_divergence,
    ks_test,
)
from kldiv._divergences import DIVERGENCES
from kldiv._ks._methods import METHODS
from kldiv._ratio._corrections import CORRECTIONS
from tests.fuzz.test_fuzz_core import samples
from tests.fuzz.tiers import fuzzed, refusal

pytestmark = pytest.mark.filterwarnings("ignore::kldiv.DivergenceWarning")
POLICIES = ("raise", "drop", "expand", "dither")
LARGEST = np.finfo(np.float64).max
SPECIAL = (0.0, -0.0, 1.0, -9999.0, 1e8, 1e20, 5e-324, LARGEST)


@st.composite
def wild(draw, least=4, most=40, widest=5):
    """Samples as others are, in any units, with fill values, copies and constants."""
    X, Y = draw(samples(least=least, most=most, widest=widest))
    X, Y = (np.array(rows, dtype=np.float64) for rows in (X, Y))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    for change in draw(st.lists(st.sampled_from(CHANGES), max_size=3)):
        with np.errstate(over="ignore"):
            change(X, Y, int(rng.integers(X.shape[1])), rng)
    for rows in (X, Y):
        np.clip(rows, -LARGEST, LARGEST, out=rows)
    return X, Y


def other_unit(X, Y, _, rng):
    unit = 10.0 ** rng.integers(-290, 280)
    X *= unit
    Y *= unit


def other_unit_of_a_column(X, Y, column, rng):
    unit = 10.0 ** rng.integers(-30, 30)
    X[:, column] *= unit
    Y[:, column] *= unit


def fill_value(X, Y, column, rng):
    rows = X if rng.random() < 0.5 else Y
    some = rng.random(len(rows)) < rng.choice([0.03, 0.3, 1.0])
    rows[some, column] = rng.choice(SPECIAL)


def copies(X, Y, _, rng):
    rows = X if rng.random() < 0.5 else Y
    rows[rng.random(len(rows)) < 0.3] = rows[0]


def flag(X, Y, column, rng):
    for rows in (X, Y):
        rows[:, column] = rng.random(len(rows)) < rng.random()


def rounded(X, Y, column, rng):
    for rows in (X, Y):
        np.round(rows[:, column], int(rng.integers(0, 3)), out=rows[:, column])


def shared(X, Y, _, rng):
    some = rng.integers(0, min(len(X), len(Y)))
    X[:some] = Y[:some]


CHANGES = (
    *(other_unit, other_unit_of_a_column, fill_value),
    *(copies, flag, rounded, shared),
)


def number_or_sentence(call):
    """What a call returns, or None if it refuses in a sentence."""
    found = []
    error = refusal(lambda: found.append(call()), ValueError, TypeError)
    if error is None:
        return found[0]
    assert str(error).endswith((".", ")")), error
    return None


class Chosen:
    """What an example draws, in turn, each time it is tried."""

    def __init__(self, *values):
        self.values = itertools.cycle(values)

    def draw(self, _):
        return next(self.values)


# Inputs that failed: a fold of equal rows, one row left, quartiles that differ by more
# than float64 holds, numbers beyond single precision.
TIES = np.array([[0.0], [0], [1], [0]]), np.array([[1.0], [0], [1], [1], [1]])
SHARED = np.arange(8.0).reshape(4, 2) ** 2, np.arange(10.0).reshape(5, 2) ** 2
CORNERS = np.array([[1.0, -1], [1, 1], [-1, 1], [-1, -1]] * 3) * LARGEST
FAR = (
    np.column_stack([np.sin(np.arange(60.0)), np.full(60, 1e20)]),
    np.cos(np.arange(1.0, 121).reshape(60, 2)),
)
HUGE = tuple(rows[:, :1] * 1e193 for rows in SHARED)


@pytest.mark.parametrize("correction", [*CORRECTIONS, "auto"])
@fuzzed
@example(pair=TIES, data=Chosen(1, "expand"))
@example(pair=FAR, data=Chosen(4, "drop"))
@example(pair=SHARED, data=Chosen(1, "drop"))
@example(pair=(CORNERS, CORNERS[1:]), data=Chosen(1, "expand"))
@example(pair=(CORNERS[:4], CORNERS[:3]), data=Chosen(1, "raise"))
@example(pair=(abs(CORNERS[:4]), abs(CORNERS[:4])), data=Chosen(1, "raise"))
@given(pair=wild(), data=st.data())
def test_estimates_are_numbers_or_refusals(correction, pair, data):
    X, Y = pair
    options = {
        "n_neighbors": data.draw(st.integers(1, 5)),
        "duplicates": data.draw(st.sampled_from(POLICIES)),
    }
    found = number_or_sentence(
        lambda: estimate_divergence(X, Y, correction=correction, **options)
    )
    if found is None:
        return
    assert np.isfinite(found.value) or found.value == np.inf
    assert found.standard_error is None or found.standard_error >= 0
    unit = 0.5 if all((rows * 0.5 * 2 == rows).all() for rows in pair) else 1.0
    if options["duplicates"] != "dither" and found.trust != "do not use":
        again = estimate_divergence(
            X[::-1] * unit, Y * unit, correction=correction, **options
        )
        np.testing.assert_allclose(again.value, found.value, 1e-6, 1e-7)


@pytest.mark.parametrize("name", DIVERGENCES)
@fuzzed
@example(pair=HUGE, data=Chosen("raise"))
@given(pair=wild(), data=st.data())
def test_divergences_are_numbers_or_refusals(name, pair, data):
    policy = data.draw(st.sampled_from(POLICIES))
    found = number_or_sentence(
        lambda: divergence(*pair, divergence=name, duplicates=policy, correction=None)
    )
    assert found is None or not np.isnan(found)


@pytest.mark.parametrize("method", METHODS)
@fuzzed
@given(pair=wild(least=1), data=st.data())
def test_gaps_are_shares(method, pair, data):
    X, Y = pair
    found = number_or_sentence(
        lambda: ks_test(X, Y, method=method, n_permutations=19, random_state=0)
    )
    if found is None:
        return
    assert 0 <= found.global_statistic <= 1
    assert 0 <= found.global_pvalue <= 1
    if method == "max-sliced":
        columns = ks_test(X, Y).statistic
        assert found.statistic >= columns.max() - 1e-12
    repeated = data.draw(st.integers(1, 3))
    if method == "columns":
        weights = np.full(len(X), float(repeated))
        weights[0] = 1.0
        copies = np.repeat(X, weights.astype(int), axis=0)
        weighted = ks_test(X, Y, sample_weight=weights).statistic
        np.testing.assert_allclose(weighted, ks_test(copies, Y).statistic, atol=1e-12)


@fuzzed
@example(pair=(CORNERS, CORNERS[::-1]), data=Chosen(0, 1, None, "raise"))
@given(pair=wild(least=12), data=st.data())
def test_scores_by_class_are_numbers_or_have_a_reason(pair, data):
    X, Y = pair
    seed = data.draw(st.integers(0, 2**32))
    labels = [np.random.default_rng(seed).integers(0, 3, len(rows)) for rows in pair]
    estimator = KNNDivergence(
        n_neighbors=data.draw(st.integers(1, 3)),
        correction=data.draw(st.sampled_from([None, "adaptive", "auto"])),
        duplicates=data.draw(st.sampled_from(POLICIES)),
    )
    scorer = ConditionalKLScorer(estimator)
    found = number_or_sentence(
        lambda: scorer.fit((X, labels[0]), (Y, labels[1])).score_per_class()
    )
    if found is None:
        return
    report = scorer.report()
    for name, value in zip(scorer.classes_, found, strict=True):
        assert not np.isnan(value) or report.reasons[name]
