"""Scores per class: what the order of files does, what notes say, what verdicts are."""

import numpy as np
import pytest

from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.content import ClassTable
from kldiv_attack.audit.scoring import score, table_of, verdict
from kldiv_attack.audit.sections import _by_check


def table(train, aux, floor=None):
    zeros = np.zeros(len(train), dtype=np.int64), np.zeros(len(aux), dtype=np.int64)
    answers = Answers(zeros[1])
    scores = score(train, zeros[0], aux, answers, ["0"], floor=[floor], n_jobs=None)
    return table_of(scores, ["0"], victim="v", defence="", aux="a")


def in_order(rows):
    return rows[np.argsort(rows[:, 0])]


def test_auxiliary_rows_may_be_sorted(rng):
    train, aux = rng.normal(size=(2, 200, 2))
    plain, ordered = table(train, aux), table(train, in_order(aux))
    assert ordered.columns["trust"] == plain.columns["trust"] == ["good"]
    assert "dependent rows" not in ordered.notes.get("0", {})


def test_dependent_training_rows_are_told_and_take_no_score_away(rng):
    train, aux = rng.normal(size=(2, 200, 2))
    found = table(in_order(train), aux)
    assert found.evaluable(0)
    assert found.columns["trust"] == ["caution"]
    said = found.notes["0"]["dependent rows"]
    assert said.startswith("Training rows depend on the row before them")


def test_other_reasons_still_take_the_score_away(rng):
    found = table(in_order(rng.normal(size=(200, 2))), rng.normal(size=(10, 2)))
    assert found.columns["trust"] == ["do not use"]
    assert not found.evaluable(0)
    assert found.notes["0"]["few rows"].startswith(
        "200 training rows and 10 auxiliary rows in 2 columns are few"
    )


def test_a_floor_far_from_zero_is_noted(rng):
    train, aux = rng.normal(size=(2, 200, 2))
    for floor, trust in ((0.2, "good"), (None, "good"), (0.9, "caution")):
        found = table(train, aux, floor)
        assert found.columns["trust"] == [trust]
        assert found.evaluable(0)
        assert ("floor" in found.notes.get("0", {})) == (trust == "caution")
    assert found.notes["0"]["floor"].startswith(
        "Two halves of the training rows, which differ in nothing, seem 0.90 nats apart"
    )


def test_notes_on_the_samples_do_not_take_each_others_place(rng):
    train, aux = rng.integers(0, 12, (2, 200, 6)).astype(float)
    train[:, 0], aux[:, 0] = 0, rng.integers(1, 12, 200)
    found = table(train, aux).notes["0"]
    assert "look discrete" in found["discrete values"]
    assert "the divergence is infinite" in found["flat sample"]


@pytest.mark.parametrize(
    ("low", "coverage", "pvalue", "word"),
    [
        (-1.0, 0.3, 0.5, "exposed"),
        (-1.0, 0.3, None, "exposed"),
        (-1.0, 0.3, 0.005, "partly exposed"),  # wide interval, yet plainly apart
        (-1.0, 0.05, 0.5, "partly exposed"),
        (-1.0, 0.05, 0.005, "apart"),
        (1.0, 0.6, 0.005, "exposed"),
        (1.0, 0.3, 0.005, "partly exposed"),
        (1.0, 0.05, 0.005, "apart"),
    ],
)
def test_verdicts(low, coverage, pvalue, word):
    columns = {
        "kl": [2.0],
        "kl_low": [low],
        "floor": [0.1],
        "coverage": [coverage],
        "pvalue": [pvalue],
        "trust": ["caution"],
    }
    one = ClassTable("v", "", "a", ["0"], columns, {}, {})
    assert verdict(one, 0, 0) == word
    assert verdict(one, 0, 3) == "leaked"


def test_notes_are_told_once_with_their_classes():
    notes = {
        "a": {"low coverage": "Only 3%.", "few rows": "Bring more."},
        "b": {"low coverage": "Only 9%.", "few rows": "Bring more."},
    }
    classes = ["a", "b", "c"]
    found = _by_check(ClassTable("v", "", "x", classes, {}, {}, notes))
    assert found == [
        "Low coverage (classes a, b). For instance class a: Only 3%.",
        "Few rows (classes a, b). Bring more.",
    ]
