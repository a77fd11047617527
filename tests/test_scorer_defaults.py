"""Defaults of the scorer: units, scales of both samples, floors, few rows, order."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    TrustWarning,
    estimate_divergence,
    kl_divergence,
)
from kldiv._conditional._table import noted
from kldiv._conditional._units import scale_notes, share_a_unit


def labelled(rng, n_columns, rows=60):
    y = np.repeat([0, 1], rows)
    return rng.normal(size=(2 * rows, n_columns)) + y[:, None], y


def test_columns_of_different_units_count_alike(rng):
    (X, y), (A, _) = labelled(rng, 20), labelled(rng, 20)
    A = A + 0.3
    plain = ConditionalKLScorer().fit((X, y), (A, y))
    assert plain.report().settings["transformer"] == (
        "auto: PCA(15) of 20 features, fitted on train"
    )
    units = 10.0 ** rng.uniform(-4, 4, 20)
    other = ConditionalKLScorer().fit((X * units, y), (A * units, y))
    assert other.report().settings["transformer"] == (
        "auto: columns of different units standardised, PCA(15) of 20 features, "
        "fitted on train"
    )
    mean, size = X.mean(axis=0), X.std(axis=0)
    by_hand = ((X - mean) / size, y), ((A - mean) / size, y)
    expected = ConditionalKLScorer().fit(*by_hand).score_per_class()
    np.testing.assert_allclose(other.score_per_class(), expected, rtol=1e-3)
    more = 10.0 ** rng.uniform(-4, 4, 20) * np.sign(rng.normal(size=20))
    again = ConditionalKLScorer().fit((X * more + 5, y), (A * more + 5, y))
    # Turned round, columns bring rows in another order, and those that have the same
    # labels among their neighbours are left out with others.
    np.testing.assert_allclose(
        again.score_per_class(), other.score_per_class(), rtol=1e-2
    )


def test_images_keep_their_units(rng):
    pixels = rng.random((100, 8, 8)) ** 4
    pixels[:, 0] *= 1e-3  # dark at the edge
    pixels[:, 1:3, 0] = 0
    pixels[:, 3:7] *= rng.random((100, 4, 8)) > 0.5
    y = np.repeat([0, 1], 50)
    seen = ConditionalKLScorer().fit((pixels, y), (pixels[::-1] * 0.99, y))
    assert "standardised" not in seen.report().settings["transformer"]
    assert share_a_unit(np.clip(pixels.reshape(100, -1) - 1e-3, 0, None))


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (lambda rng: rng.normal(size=(50, 20)), True),
        (lambda rng: rng.normal(size=(50, 20)) * np.geomspace(1, 1000, 20), False),
        (lambda rng: np.c_[rng.random((50, 20)), 1e4 * rng.random(50)], False),
        (lambda rng: rng.poisson(np.geomspace(1, 1e4, 20), (50, 20)), False),
        (lambda rng: 0 * rng.random((50, 20)), True),
    ],
)
def test_which_columns_share_a_unit(sample, expected, rng):
    assert share_a_unit(np.asarray(sample(rng), dtype=float)) is expected


@pytest.mark.parametrize("factor", [255.0, 1 / 255])
def test_images_on_another_scale_are_noticed_before_scoring(factor, rng):
    y = np.repeat([0, 1], 60)
    private, public = rng.random((2, 120, 4, 5))
    with pytest.warns(TrustWarning) as told:  # before scoring, and of the scores
        report = ConditionalKLScorer().fit((factor * private, y), (public, y)).report()
    assert "rows are on another scale" in str(told[0].message)
    assert "every class looks far away" in str(told[0].message)
    assert told[0].filename == __file__
    assert report.columns["trust"].tolist() == ["do not use"] * 2
    assert all("another scale" in note for note in report.notes.values())


def test_images_with_and_without_negative_values_are_noticed(rng):
    y = np.repeat([0, 1], 60)
    private, public = rng.random((2, 120, 4, 5))
    with pytest.warns(TrustWarning, match="from 0.*to 1, the auxiliary ones from -1"):
        ConditionalKLScorer().fit((private, y), (2 * public - 1, y))


def test_tables_on_another_scale_are_noticed(rng):
    (X, y), (A, _) = labelled(rng, 6), labelled(rng, 6)
    with pytest.warns(TrustWarning) as told:  # before scoring, and of the scores
        ConditionalKLScorer().fit((X, y), (A * 1000, y))
    assert "on another scale than the training rows" in str(told[0].message)


def test_samples_that_differ_are_not_on_another_scale(rng):
    X = rng.random((80, 30))
    for A, images in (
        (X[:40] * 0.7 + 0.1, True),
        (0.9 + 1e-4 * X[:40], True),
        (0.9 + 1e-4 * X[:40], False),
        (X[:40] * 9 - 3, False),
        (np.c_[X[:40, :20], 1e6 * X[:40, 20:]], False),
    ):
        assert scale_notes(X, A, images=images) == ()


@pytest.mark.parametrize("conditioning", ["hard", "soft"])
def test_floors_are_a_column(conditioning, rng):
    (X, y), (A, _) = labelled(rng, 3, rows=200), labelled(rng, 3, rows=100)
    answers = np.full((200, 2), 0.5)
    train = (X, y, np.full((400, 2), 0.5)) if conditioning == "soft" else (X, y)
    aux = (A, answers if conditioning == "soft" else np.repeat([0, 1], 100))
    scorer = ConditionalKLScorer(conditioning=conditioning)
    report = scorer.fit(train, aux).report()
    assert np.abs(report["floor"]).max() < 0.2
    assert "floor" in report.to_markdown()
    without = ConditionalKLScorer(conditioning=conditioning, floors=False)
    plain = without.fit(train, aux).report()
    assert "floor" not in plain.columns
    np.testing.assert_array_equal(plain["kl"], report["kl"])


def test_floors_in_another_base_and_of_small_or_repeated_classes(rng):
    X, y = rng.normal(size=(126, 2)), np.repeat([0, 1, 2], [60, 60, 6])
    floors = [
        ConditionalKLScorer(KNNDivergence(base=base)).fit((X, y), (X + 0.1, y)).report()
        for base in (None, 2)
    ]
    np.testing.assert_allclose(floors[0]["floor"], floors[1]["floor"] * np.log(2))
    assert np.isnan(floors[0]["floor"]).tolist() == [False, False, True]


def test_a_floor_far_from_zero_is_noted(rng):
    X, y = load_breast_cancer(return_X_y=True)
    aux = X * rng.uniform(0.98, 1.02, X.shape), y
    notes = {}
    for correction in ("mixture", "auto"):
        scorer = ConditionalKLScorer(KNNDivergence(correction=correction), None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrustWarning)
            report = scorer.fit((X, y), aux).report()
        worst = int(np.abs(report["floor"]).argmax())
        notes[correction] = report.notes.get(worst, "")
        assert (np.abs(report["floor"][worst]) > 0.25) == (correction == "mixture")
    assert "two halves of the training rows" in notes["mixture"]
    assert "two halves of the training rows" not in notes["auto"]


@pytest.mark.parametrize("base", [None, 2])
def test_floors_are_noted_in_nats_and_against_the_score(base, rng):
    result = estimate_divergence(rng.normal(1, 1, (200, 1)), rng.normal(size=(200, 1)))
    unit = 1 if base is None else np.log(base)
    for floor, said in ((0.2, 0), (np.nan, 0), (0.3, 1), (-0.3, 1)):
        found = noted(result, (), floor / unit, base)
        assert found.trust == ("caution" if said else result.trust)
        assert len(found.notes) == len(result.notes) + said
    large = replace(result, value=20.0, trust="do not use")
    assert noted(large, (), 0.3, None).notes == large.notes
    assert noted(large, (), 6.0, None).trust == "do not use"


def test_floors_do_not_cost_more_than_a_few_thousand_rows(rng, monkeypatch):
    import kldiv._conditional._jobs as jobs

    monkeypatch.setattr(jobs, "_MOST_ROWS", 100)
    X, y = rng.normal(size=(900, 2)), np.repeat([0, 1], 450)
    bounded = ConditionalKLScorer().fit((X, y), (X + 1, y)).report()["floor"]
    monkeypatch.setattr(jobs, "_MOST_ROWS", 2000)
    whole = ConditionalKLScorer().fit((X, y), (X + 1, y)).report()["floor"]
    assert (bounded != whole).all()


@pytest.mark.parametrize("n_columns", [4, 30])
def test_the_order_of_rows_changes_nothing(n_columns, rng):
    (X, y), (A, _) = labelled(rng, n_columns), labelled(rng, n_columns)
    first, second = rng.permutation(len(X)), rng.permutation(len(A))
    scores = [
        ConditionalKLScorer().fit(train, aux).report()
        for train, aux in (
            ((X, y), (A, y)),
            ((X[first], y[first]), (A[second], y[second])),
        )
    ]
    for column in ("kl", "floor"):
        np.testing.assert_allclose(scores[0][column], scores[1][column], atol=1e-9)


@pytest.mark.parametrize(("n", "m"), [(49, 200), (200, 49)])
def test_few_rows_of_a_class_are_a_caution(n, m, rng):
    X, A = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    report = ConditionalKLScorer().fit((X, np.zeros(n)), (A, np.zeros(m))).report()
    assert report["trust"][0] != "good"
    assert "are few" in report.notes[0.0]


def test_low_coverage_is_a_caution(rng):
    X, A = rng.normal(2.5, 1, (200, 2)), rng.normal(0, 1, (200, 2))
    y, z = np.zeros(len(X)), np.zeros(len(A))
    report = ConditionalKLScorer().fit((X, y), (A, z)).report()
    assert report["coverage"][0] < 0.5
    assert report["trust"][0] != "good"
    assert report["kl"][0] == pytest.approx(kl_divergence(X, A))


def test_halves_alone_are_the_floors_of_the_report(rng):
    (X, y), (A, _) = labelled(rng, 20), labelled(rng, 20)
    scorer = ConditionalKLScorer()
    halves = scorer.score_halves((X, y))
    assert not hasattr(scorer, "classes_")
    floors = scorer.fit((X, y), (A, y)).report()["floor"]
    np.testing.assert_array_equal([halves[0], halves[1]], floors)
    assert scorer.score_halves((X[:70], y[:70])).keys() == {0}


def test_floors_may_be_given_and_are_noted_alike(rng, monkeypatch):
    y = np.repeat(["a", "b"], 200)
    X, A = rng.normal(size=(2, 400, 2))
    own = ConditionalKLScorer().fit((X, y), (A, y)).report()
    floors = ConditionalKLScorer().score_halves((X, y))
    monkeypatch.setattr(ConditionalKLScorer, "_halves", None)  # not measured again
    given = ConditionalKLScorer(floors=floors).fit((X, y), (A, y)).report()
    np.testing.assert_array_equal(given["floor"], own["floor"])
    far = ConditionalKLScorer(floors={"b": -2.0}).fit((X, y), (A, y)).report()
    np.testing.assert_array_equal(far["floor"], [np.nan, -2.0])
    assert far["trust"][1] == "caution"
    assert "seem -2.00 nats apart" in far.notes["b"]
    assert far.notes.get("a") == own.notes.get("a")


@pytest.mark.parametrize(
    ("floors", "error", "message"),
    [
        ("yes", TypeError, "floors='yes': expected True, False, or a dict"),
        ({"a": np.inf}, ValueError, "class a has inf: expected a finite number"),
        ({"a": "0.1"}, ValueError, "class a has '0.1': expected a finite number"),
        ({0: 0.1}, ValueError, "class 0 is no label of the training rows, .* 'a'"),
    ],
)
def test_floors_of_other_kinds_are_refused(floors, error, message, rng):
    y = np.repeat(["a", "b"], 20)
    X = rng.normal(size=(40, 2))
    with pytest.raises(error, match=message):
        ConditionalKLScorer(floors=floors).fit((X, y), (X + 0.5, y))
