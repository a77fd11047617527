"""Exclusion windows of series: neighbours, estimates, intervals, p-values, refusals."""

import numpy as np
import pytest
from scipy.signal import lfilter

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    estimate_divergence,
    kl_divergence,
    neighbor_distances,
)
from kldiv._backends._exclusion import Apart
from kldiv._errors._permutations import labellings
from kldiv._preparation import prepare
from kldiv._ratio._common import common_balls
from kldiv._ratio._log_ratio import Settings
from tests import reference
from tests.tolerances import OTHER_ORDER


def series(rng, n, d, memory=0.9):
    noise = rng.normal(size=(n + 200, d)) * np.sqrt(1 - memory**2)
    return lfilter([1], [1, -memory], noise, axis=0)[200:]


@pytest.mark.parametrize("algorithm", ["auto", "tree", "gemm", "brute"])
@pytest.mark.parametrize(("n", "window"), [(60, 1), (60, 25), (200, 7)])
def test_neighbours_are_those_of_a_plain_loop(algorithm, n, window, rng):
    X, Y = series(rng, n, 3), rng.normal(size=(40, 3))
    found = neighbor_distances(
        X,
        Y,
        n_neighbors=4,
        blocks=("xx", "xy", "yy"),
        algorithm=algorithm,
        exclusion_window=window if window < 15 else 15,
        return_indices=True,
    )
    window = min(window, 15)
    for sample, block in ((X, "xx"), (Y, "yy")):
        places = np.arange(len(sample))
        expected = reference.neighbor_block_apart(sample, places, 4, window)
        np.testing.assert_allclose(found.block(block), expected, rtol=OTHER_ORDER)
        rows = getattr(found, f"{block}_indices")
        assert (np.abs(rows - places[:, None]) > window).all()
        gaps = np.linalg.norm(sample[rows] - sample[:, None], axis=2)
        np.testing.assert_allclose(gaps, expected, rtol=OTHER_ORDER)
    plain = reference.neighbor_block(X, Y, 4)
    np.testing.assert_allclose(found.block("xy"), plain, rtol=OTHER_ORDER)
    assert (found.n, found.m) == (n, 40)


def test_a_row_that_stays_long_at_one_place_searches_more(rng):
    """All rows of the first half are nearer to each other than to the others."""
    X = np.concatenate([rng.normal(size=(40, 2)), 100 + rng.normal(size=(40, 2))])
    found = neighbor_distances(X, X, n_neighbors=3, blocks=("xx",), exclusion_window=30)
    expected = reference.neighbor_block_apart(X, np.arange(80), 3, 30)
    np.testing.assert_allclose(found.block("xx"), expected, rtol=OTHER_ORDER)


def test_rows_of_the_window_are_counted_in_balls(rng):
    X, radii = series(rng, 80, 2), rng.uniform(0.1, 2, 80)
    places = rng.permutation(100)[:80]
    far = reference.distances(X, X)
    near = np.abs(places[:, None] - places) <= 9
    np.fill_diagonal(near, False)
    expected = (near & (far <= radii[:, None])).sum(axis=1)
    assert (Apart(places, 9).inside(X, radii) == expected).all()
    others = (np.abs(places[:, None] - places) > 9).sum(axis=1)
    assert (Apart(places, 9).others() == others).all()


@pytest.mark.parametrize("window", [1, 12])
def test_the_published_estimate_is_that_of_a_plain_loop(window, rng):
    X, Y = series(rng, 150, 2), series(rng, 120, 2)
    found = kl_divergence(X, Y, correction=None, exclusion_window=window)
    assert found == pytest.approx(reference.kl_apart(X, Y, 5, window), rel=1e-9)


def test_common_balls_are_those_of_a_plain_loop(rng):
    X, Y = series(rng, 150, 2), series(rng, 120, 2)
    pair = prepare(
        X,
        Y,
        5,
        duplicates="raise",
        metric="euclidean",
        random_state=None,
        finite=False,
    )
    found = common_balls(pair, Settings(5, scale=None, exclusion_window=12))
    expected = reference.common_apart(X, Y, 5, 12)[pair.order[0]]
    np.testing.assert_allclose(found.values, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("d", [2, 10])
def test_series_that_do_not_differ(d):
    values, held = [], 0
    for seed in range(4):
        rng = np.random.default_rng([seed, d])
        X, Y = series(rng, 1000, d), series(rng, 500, d)
        result = estimate_divergence(X, Y, exclusion_window=20)
        values.append(result.value)
        low, high = result.confidence_interval
        held += low <= 0 <= high
        assert result.correction == "common"
        assert "dependent rows" not in [note.name for note in result.notes]
    # without a window 8 nats in ten columns; chance is that of 25 rows of Y
    assert np.mean(values) == pytest.approx(0, abs=0.35)
    assert held >= 3


def test_a_window_that_is_too_short_is_told(rng):
    X, Y = series(rng, 1000, 2), series(rng, 1000, 2)
    notes = estimate_divergence(X, Y, exclusion_window=3).notes
    told = [note for note in notes if note.name == "dependent rows"]
    assert "exclusion_window=3" in told[0]
    plain = estimate_divergence(X, Y).notes
    assert any("give as exclusion_window" in note for note in plain)


def test_permutations_exchange_blocks(rng):
    labels = labellings(30, 20, 200, rng, block=5)
    assert (labels.sum(axis=1) == 30).all()
    assert labels[0, :30].all()
    assert labels[1:].mean(axis=0) == pytest.approx(0.6, abs=0.12)
    together = labels.reshape(len(labels), 10, 5)
    assert (together.all(axis=2) | ~together.any(axis=2)).all()


def test_p_values_of_series_that_do_not_differ():
    pvalues = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, Y = series(rng, 400, 2), series(rng, 300, 2)
        result = estimate_divergence(
            X,
            Y,
            correction=None,
            exclusion_window=20,
            n_permutations=99,
            confidence_level=None,
            random_state=0,
        )
        pvalues.append(result.pvalue)
    assert np.mean(np.array(pvalues) <= 0.1) <= 0.34
    assert np.mean(pvalues) > 0.2


def test_independent_rows_lose_little(rng):
    X, Y = rng.normal(0.8, 1, (1000, 1)), rng.normal(size=(1000, 1))
    plain, apart = (
        estimate_divergence(X, Y, correction=None, exclusion_window=window)
        for window in (0, 10)
    )
    assert apart.value == pytest.approx(plain.value, abs=0.05)
    assert apart.standard_error == pytest.approx(plain.standard_error, rel=0.6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"exclusion_window": -1}, "exclusion_window must be at least 0"),
        ({"correction": "mixture"}, "is fitted to rows that depend on each other"),
        ({"divergence": "energy"}, "uses no neighbours to leave out"),
        ({"duplicates": "expand"}, "has no exclusion_window=20"),
        ({"exclusion_window": 150}, "leaves a row of X 0 of 200 rows"),
        ({"sample_weight": np.arange(200.0)}, "and these have weights"),
        ({"algorithm": "chunks"}, "is for samples in memory"),
    ],
)
def test_what_no_window_is_for(options, said, rng):
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    with pytest.raises(ValueError, match=said):
        estimate_divergence(X, Y, **{"exclusion_window": 20, **options})


def test_categories_and_classes_have_no_window(rng):
    X, Y = (
        np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)]) for _ in "XY"
    )
    with pytest.raises(ValueError, match="columns that are all continuous"):
        estimate_divergence(X, Y, exclusion_window=5)
    scorer = ConditionalKLScorer(KNNDivergence(exclusion_window=5))
    with pytest.raises(ValueError, match="are no series"):
        scorer.fit((X, X[:, 1]), (Y, Y[:, 1]))
