"""Verdicts on results: what each check sees, and what it leaves alone."""

from pathlib import Path

import numpy as np
import pytest

import kldiv
from kldiv import ConditionalKLScorer, DivergenceResult, estimate_divergence
from kldiv._order import next_row_correlation
from kldiv._trust import NOTES, TRUST, Outcome, notes_of

PAGE = Path(__file__).parent.parent / "docs" / "user_guide" / "trust.rst"


def names_of(result):
    return {note.name for note in result.notes}


def gaussians(seed, n=400, m=300, d=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(m, d))


@pytest.mark.parametrize("seed", range(3))
def test_one_law_is_trusted(seed):
    result = estimate_divergence(*gaussians(seed), n_permutations=99, random_state=0)
    assert (result.trust, result.notes) == ("good", ())


def test_few_rows():
    X, Y = gaussians(0, 14, 14, 13)
    assert "few rows" in names_of(result := estimate_divergence(X, Y))
    assert result.trust == "do not use"
    X, Y = gaussians(0, 45, 300)
    assert estimate_divergence(X, Y).trust == "caution"


def test_another_scale():
    X, Y = gaussians(0)
    with pytest.warns(kldiv.TrustWarning, match="another scale: the middle half of"):
        result = estimate_divergence(X, 255 * Y)
    assert result.trust == "do not use"


@pytest.mark.parametrize("sign", [1, -1])
def test_rows_beyond_a_sharp_edge_are_an_infinite_divergence(sign, rng):
    X, Y = (
        sign * (rng.random((500, 2)) + np.array([0.3, 0])),
        sign * rng.random((400, 2)),
    )
    assert "beyond the support" in names_of(estimate_divergence(X, Y))
    inside = sign * (0.1 + 0.8 * rng.random((500, 2)))
    assert "beyond the support" not in names_of(estimate_divergence(inside, Y))


@pytest.mark.parametrize("seed", range(5))
def test_a_wider_gaussian_is_not_beyond_the_support(seed):
    X, Y = gaussians(seed, 500, 400, 10)
    assert "beyond the support" not in names_of(estimate_divergence(2 * X, Y))


def test_many_rows_close_to_an_edge_are_not_beyond_it(rng):
    X, Y = rng.random((1000, 3)), rng.random((500, 3))
    X[:50, 1] = 1 - 1e-6 * rng.random(50)  # no more than Y leaves by chance
    assert "beyond the support" not in names_of(estimate_divergence(X, Y))


def test_a_bounded_divergence_has_no_infinite_truth(rng):
    X, Y = rng.random((500, 1)) + 0.3, rng.random((400, 1))
    result = estimate_divergence(X, Y, divergence="hellinger")
    assert "beyond the support" not in names_of(result)


@pytest.mark.parametrize(
    "divergence", ["hellinger", "jensen-shannon", "total-variation", "tsallis", "chi2"]
)
def test_nats_that_are_proven_are_no_other_unit(divergence):
    X, Y = gaussians(0, 1000, 600)
    result = estimate_divergence(1.5 + X, Y, divergence=divergence)
    assert not names_of(result) & {"more is proven", "less is proven"}


def test_rows_that_depend_on_the_row_before(rng):
    X, Y = gaussians(0)
    walk = np.cumsum(X, axis=0)
    result = estimate_divergence(walk / walk.std(axis=0), Y)
    assert "dependent rows" in names_of(result)
    assert result.trust == "do not use"
    shuffled = rng.permutation(walk / walk.std(axis=0))
    assert "dependent rows" not in names_of(estimate_divergence(shuffled, Y))


@pytest.mark.parametrize("seed", range(3))
def test_single_rows_of_a_heavy_tail_are_held_back_and_said(seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_t(3, (1000, 5)), rng.normal(size=(500, 5))
    result = estimate_divergence(X, Y)
    assert "single rows" in names_of(result)
    # E log p/q is 0.97, most of it from rows that Y does not reach
    low, high = result.confidence_interval
    assert low < 0.97 < high


def test_references_that_do_not_fit(rng):
    X, Y = rng.random((500, 2)), rng.random((400, 2))
    X, Y = (np.column_stack([np.cos(6 * Z), np.sin(6 * Z)]) for Z in (X, Y))
    rings = estimate_divergence(X, Y, correction="gaussian")
    assert "misfit" in names_of(rings)
    fits = estimate_divergence(*gaussians(0), correction="gaussian")
    assert "misfit" not in names_of(fits)


@pytest.mark.parametrize(("end", "said"), [(0.9, True), (1.1, False)])
def test_an_interval_below_what_is_proven(end, said):
    facts = {"value": 0.8, "confidence_interval": (0.7, end), "notes": ()}
    doubts = {"proven": 1.0}
    outcome = Outcome(*gaussians(0), 2, [], doubts, facts, True, True, True)
    assert bool(notes_of(outcome, ("more is proven",))) == said


def test_more_than_the_rows_can_prove():
    X, Y = gaussians(0, d=10)
    result = estimate_divergence(X + 1.5, Y)
    assert result.value > np.log(300)
    assert {"beyond the evidence", "low coverage"} <= names_of(result)
    assert result.trust == "caution"


def test_no_standard_error_is_said():
    X, Y = gaussians(0, 22, 22, 1)
    result = estimate_divergence(X, Y)
    assert result.standard_error is None
    assert "no standard error" in names_of(result)
    without = estimate_divergence(X, Y, confidence_level=None)
    assert "no standard error" not in names_of(without)


def test_the_report_has_verdicts_that_survive_json(rng):
    X, y = rng.normal(size=(400, 2)), np.arange(400) % 2
    A, a = rng.normal(size=(230, 2)), np.repeat([0, 1], [200, 30])
    report = ConditionalKLScorer().fit((X, y), (A, a)).report()
    assert list(report["trust"]) == ["good", "caution"]
    assert "rows of X" in report.notes[1]
    again = kldiv.PerClassReport.from_json(report.to_json())
    assert list(again["trust"]) == ["good", "caution"]
    assert "caution" in report.to_html()


def test_a_result_keeps_its_verdict_in_json():
    result = estimate_divergence(*gaussians(0, 45, 300))
    again = DivergenceResult.from_json(result.to_json())
    assert (again.trust, tuple(again.notes)) == ("caution", tuple(result.notes))


def test_the_page_shows_every_check():
    page = PAGE.read_text(encoding="utf-8")
    for name, check in NOTES.items():
        assert name in page
        assert check.measured in page
        assert check.threshold in page
    assert all(f'"{verdict}"' in page for verdict in TRUST)


def test_a_value_far_below_zero_is_not_to_be_used():
    facts = {"value": -1.5, "confidence_interval": (-4.0, 1.0), "notes": ()}
    outcome = Outcome(*gaussians(0), 2, [], {}, facts, True, True, True)
    (note,) = notes_of(outcome, ("below zero",))
    assert (note.severity, note.category) == ("do not use", kldiv.TrustWarning)
    assert "off by at least" in note


@pytest.mark.parametrize(
    ("value", "in_nats", "severity"),
    [
        (5.0, True, None),
        (6.0, True, "caution"),
        (60.0, True, "do not use"),
        (60.0, False, None),
    ],
)
def test_what_three_hundred_rows_cannot_prove(value, in_nats, severity):
    facts = {"value": value, "notes": (), "correction": "mixture"}
    outcome = Outcome(*gaussians(0), 2, [], {}, facts, True, True, in_nats)
    said = [note.severity for note in notes_of(outcome, ("beyond the evidence",))]
    assert said == ([] if severity is None else [severity])


@pytest.mark.parametrize(
    ("value", "error", "severity"),
    [
        (0.1, 0.4, None),
        (3.0, 1.4, None),
        (1.0, 0.6, "caution"),
        (100.0, 60.0, "do not use"),
    ],
)
def test_an_error_as_large_as_the_value(value, error, severity):
    facts = {"value": value, "standard_error": error, "notes": ()}
    outcome = Outcome(*gaussians(0), 2, [], {}, facts, True, True, True)
    said = [note.severity for note in notes_of(outcome, ("wide interval",))]
    assert said == ([] if severity is None else [severity])


@pytest.mark.parametrize(
    ("start", "proven", "severity"),
    [
        (2.0, 0.6, None),
        (0.9, -0.1, None),
        (2.0, 0.4, "caution"),
        (2.0, -0.1, "do not use"),
        (2.0, -np.inf, None),
    ],
)
def test_an_estimate_that_claims_more_than_unseen_rows_prove(start, proven, severity):
    facts = {"value": 2.5, "confidence_interval": (start, 3.0), "notes": ()}
    outcome = Outcome(*gaussians(0), 2, [], {"proven": proven}, facts, True, True, True)
    said = [note.severity for note in notes_of(outcome, ("less is proven",))]
    assert said == ([] if severity is None else [severity])


@pytest.mark.parametrize("n_values", [2, 5, 1000])
def test_correlation_of_next_rows_shares_ranks_among_equals(n_values, rng):
    sample = rng.integers(0, n_values, size=(70, 4)).astype(float)
    ranks = np.array([(row > sample).sum(0) - (row < sample).sum(0) for row in sample])
    expected = (
        (ranks[1:] * ranks[:-1]).sum(axis=0) / (2 * np.arange(70) - 69).var() / 70
    )
    assert next_row_correlation(sample) == pytest.approx(expected.max(), abs=1e-12)


def test_columns_of_nearly_one_value_do_not_make_rows_depend(rng):
    """As the border of images: until now, equal values kept the order of the rows."""
    X = rng.normal(size=(500, 3))
    X[:, 1] = 0
    X[100:102, 1] = 1, 2
    assert next_row_correlation(X) < 0.2
    assert next_row_correlation(np.repeat([0.0, 1.0], 250)[:, None]) > 0.5


@pytest.mark.parametrize("d", [2, 3])
def test_weights_that_rise_and_fall_between_neighbours(d):
    rng = np.random.default_rng(d)
    X, Y = rng.normal(size=(1000, d)), rng.normal(size=(800, d))
    kinds = {
        "restless": lambda rows: 1 + 0.9 * np.sin(4 * rows[:, 0]),
        "smooth": lambda rows: np.exp(0.7 * rows[:, 0]),
        "chance": lambda rows: rng.exponential(size=len(rows)),
    }
    for kind, weight in kinds.items():
        result = estimate_divergence(
            X, Y, correction="common", reference_weight=weight(Y), confidence_level=None
        )
        assert ("restless weights" in names_of(result)) == (kind == "restless")
