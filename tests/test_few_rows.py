"""More columns than rows: no matrix of all columns, and a verdict with its reason."""

import itertools
import time
import tracemalloc
import warnings

import numpy as np
import pytest

from kldiv import (
    ConditionalKLScorer,
    DivergenceWarning,
    KNNDivergence,
    TrustWarning,
    datasets,
    estimate_divergence,
    kl_divergence,
)
from kldiv._preparation import prepare
from kldiv._ratio._corrections import CORRECTIONS
from kldiv._ratio._few_rows import in_spanned_columns, principal_scores


def prepared(X, Y):
    return prepare(
        X,
        Y,
        5,
        duplicates="raise",
        metric="euclidean",
        random_state=None,
        finite=False,
    )


def distances(rows):
    return np.linalg.norm(rows[:, None] - rows[None], axis=2)


def test_distances_stay_in_what_the_rows_span(rng):
    X, Y = rng.normal(3, 1, (12, 80)), rng.normal(0, 2, (9, 80))
    pair = prepared(X, Y)
    found = in_spanned_columns(pair, None)
    assert found.X.shape[1] == 20
    assert found.dimension == 80
    both = np.concatenate([found.X, found.Y])
    given = np.concatenate([pair.X, pair.Y])
    np.testing.assert_allclose(distances(both), distances(given), rtol=1e-9)
    # no column is much wider than another, so that no scale is needed
    sizes = both.std(axis=0)
    assert sizes.max() < 4 * np.median(sizes)


def test_more_rows_than_columns_stay_as_they_are(rng):
    pair = prepared(rng.normal(size=(30, 20)), rng.normal(size=(30, 20)))
    assert in_spanned_columns(pair, "auto") is pair


def test_scores_of_rows_on_a_smaller_plane(rng):
    rows = rng.normal(size=(15, 4)) @ rng.normal(size=(4, 60))
    centred = rows - rows.mean(axis=0)
    scores = principal_scores(centred)
    assert scores.shape == (15, 4)
    np.testing.assert_allclose(distances(scores), distances(rows), atol=1e-9)


@pytest.mark.parametrize(("n", "m", "d"), [(20, 20, 30), (30, 14, 13), (25, 25, 400)])
def test_fewer_rows_than_columns_are_not_to_be_used(n, m, d, rng):
    found = estimate_divergence(rng.normal(size=(n, d)), rng.normal(size=(m, d)))
    assert found.trust == "do not use"
    assert f"{n} rows of X and {m} of Y in {d} columns are few" in found.notes[0]
    assert np.isfinite(found.value)
    if found.standard_error is None:
        assert any(note.name == "no standard error" for note in found.notes)


def test_order_of_rows_and_columns(rng):
    X, Y = rng.normal(0.3, 1, (30, 200)), rng.normal(0, 1, (25, 200))
    columns = rng.permutation(200)
    other = (
        sample[rng.permutation(len(sample))][:, columns] * 3 + 1 for sample in (X, Y)
    )
    assert kl_divergence(*other) == pytest.approx(kl_divergence(X, Y), rel=1e-6)


def test_thousands_of_columns_take_no_matrix_of_them(rng):
    X, Y = rng.normal(size=(40, 6000)), rng.normal(size=(40, 6000))
    started = time.perf_counter()
    tracemalloc.start()
    try:
        found = estimate_divergence(X, Y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * X.nbytes + 2e7  # a matrix of 6000 x 6000 has 288 MB
    assert time.perf_counter() - started < 60
    assert found.trust == "do not use"


def test_a_report_says_do_not_use(rng):
    y = np.zeros(14)
    X, A = rng.normal(size=(14, 13)), rng.normal(size=(14, 13))
    report = ConditionalKLScorer(confidence_level=0.95).fit((X, y), (A, y)).report()
    assert report["trust"].tolist() == ["do not use"]
    assert "are few" in report.notes[0.0]
    assert np.isnan(report["standard_error"][0])
    assert "no standard error" in report.notes[0.0]


@pytest.mark.parametrize("kind", ["shift", "corr"])
def test_a_large_divergence_of_few_rows_is_seen(kind):
    X, Y, truth = datasets.make_gaussian_pair(
        kind, n_features=200, n_samples=(60, 60), random_state=1
    )
    with pytest.warns(TrustWarning, match="can prove"):
        found = estimate_divergence(X, Y)
    assert found.trust == "do not use"
    assert 0.5 * truth < found.value < 1.5 * truth


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("d", [1, 4])
def test_the_fewest_rows_give_a_number_or_a_refusal(correction, d, rng):
    """No warning of numpy: warnings are errors, and those of kldiv are left out."""
    for n, m in itertools.product(range(2, 6), range(1, 6)):
        X, Y = rng.normal(size=(n, d)), rng.normal(size=(m, d))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DivergenceWarning)
            try:
                found = kl_divergence(X, Y, n_neighbors=1, correction=correction)
            except ValueError as error:
                assert f"X has {n} and Y has {m}" in str(error)  # noqa: PT017
            else:
                assert np.isfinite(found)


@pytest.mark.parametrize("correction", ["mixture", "marginal"])
def test_classes_of_too_few_rows_for_a_density(correction, rng):
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(50, 2))
    labels = np.arange(60) < 57, np.arange(50) < 49  # three rows, and one
    scorer = ConditionalKLScorer(KNNDivergence(n_neighbors=1, correction=correction))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        scorer.fit((X, labels[0]), (Y, labels[1]))
    report = scorer.report()
    assert np.isnan(scorer.score_per_class()[0])
    assert "correction needs at least" in report.reasons[False]
