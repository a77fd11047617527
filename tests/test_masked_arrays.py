"""Masked arrays are refused where something is masked: fill values are no data."""

import numpy as np
import pytest

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    KSDistance,
    estimate_divergence,
    kl_divergence,
    ks_test,
    neighbor_distances,
)

TOLD = r"holds? \d+ masked values, the first in row \d+; .*compress_rows"


@pytest.fixture
def pair(rng):
    return rng.normal(0.5, 1, (60, 2)), rng.normal(0, 1, (50, 2))


def masked(rows, n_masked=3):
    """A sample with fill values under a mask."""
    found = np.ma.array(rows.copy())
    found[:n_masked] = -9999
    found[:n_masked] = np.ma.masked
    return found


QUESTIONS = {
    "kl_divergence": kl_divergence,
    "estimate_divergence": estimate_divergence,
    "energy": lambda X, Y: estimate_divergence(X, Y, divergence="energy"),
    "neighbor_distances": lambda X, Y: neighbor_distances(X, Y, n_neighbors=2),
    "ks_test": ks_test,
    "ks_test by rows": lambda X, Y: ks_test(X, Y, method="rows"),
    "KNNDivergence": lambda X, Y: KNNDivergence().fit(Y).score(X),
    "KSDistance": lambda X, Y: KSDistance().fit(Y).score(X),
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", QUESTIONS)
def test_masked_values_are_refused(name, which, pair):
    samples = list(pair)
    samples[which] = masked(samples[which])
    with pytest.raises(ValueError, match=TOLD):
        QUESTIONS[name](*samples)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_mask_that_hides_nothing_is_no_matter(name, pair):
    plain, with_mask = (
        QUESTIONS[name](*samples) for samples in (pair, map(np.ma.array, pair))
    )
    values = [
        getattr(one, "value", getattr(one, "global_statistic", one))
        for one in (plain, with_mask)
    ]
    if name == "neighbor_distances":
        values = [one.xy for one in values]
    np.testing.assert_array_equal(*values)


def test_masked_values_in_lists_and_vectors(pair):
    X, Y = pair
    rows = X.tolist()
    rows[4][1] = np.ma.masked
    for sample in (rows, list(masked(X)), tuple(masked(X))):
        with pytest.raises(ValueError, match=TOLD):
            kl_divergence(sample, Y)
    with pytest.raises(ValueError, match="X holds 1 masked values, the first in row 4"):
        kl_divergence(rows, Y)
    for vector in (masked(X[:, 0]), list(masked(X[:, 0]))):
        with pytest.raises(ValueError, match=TOLD):
            ks_test(vector, Y[:, 0])


def test_the_scorer_refuses_masks_of_rows_labels_and_answers(rng):
    y, X, A = np.repeat([0, 1], 30), rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    answers = np.full((60, 2), 0.5)
    hidden = np.ma.array(y, mask=np.arange(60) < 2)
    for train, aux in (
        ((masked(X), y), (A, y)),
        ((X, y), (masked(A), y)),
        ((X, hidden), (A, y)),
        ((X, y), (A, hidden)),
        ((X, y), (A, masked(answers))),
    ):
        with pytest.raises(ValueError, match="masked values"):
            ConditionalKLScorer().fit(train, aux)


def test_masked_blocks_are_refused(pair):
    array = pytest.importorskip("dask.array")
    X, Y = pair
    with pytest.raises(ValueError, match="masked values"):
        kl_divergence(array.from_array(masked(X), chunks=(20, 2)), Y)
