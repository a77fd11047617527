"""Warnings have classes, and nothing of NumPy or SciPy surfaces."""

import pickle
import warnings

import numpy as np
import pytest

import kldiv
from kldiv import ConditionalKLScorer, estimate_divergence
from tests.notes import warned

CASES = {
    kldiv.SameSampleWarning: lambda X, _: (X, X),
    kldiv.DiscreteDataWarning: lambda X, Y: (X, np.c_[Y[:, 0], 0 * Y[:, 1]]),
    kldiv.SingularSampleWarning: lambda X, Y: (np.c_[X[:, 0], X[:, 0]], Y),
    kldiv.SamplesApartWarning: lambda X, Y: (X, Y + 1000),
}


@pytest.fixture
def samples(rng):
    return rng.normal(size=(120, 2)), rng.normal(size=(100, 2))


@pytest.mark.parametrize("category", CASES)
def test_every_warning_has_its_class(category, samples):
    X, Y = CASES[category](*samples)
    if category is kldiv.DiscreteDataWarning:
        X = np.c_[X[:, 0], X[:, 1] > 0]
    with pytest.warns(category) as caught:
        result = estimate_divergence(X, Y)
    (note,) = warned(result)
    assert note.category is category
    assert all(note.name for note in result.notes)
    assert issubclass(category, kldiv.DivergenceWarning)
    assert [str(warning.message) for warning in caught] == [note]
    assert caught[0].filename == __file__
    copy = pickle.loads(pickle.dumps(note))
    assert (copy, copy.category) == (note, category)


def test_warnings_can_be_silenced_by_their_class(samples):
    X, Y = samples
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", kldiv.SamplesApartWarning)
        assert warned(estimate_divergence(X, Y + 1000))
        with pytest.raises(kldiv.SameSampleWarning):
            estimate_divergence(X, X)


def test_the_scorer_warns_once_for_each_kind(samples):
    X, Y = samples
    y, z = np.repeat([0, 1], 60), np.repeat([0, 1], 50)
    far = Y + np.where(z == 1, 1000, 0)[:, None]
    with pytest.warns(kldiv.SamplesApartWarning, match="1 of 2 scores need care") as w:
        scorer = ConditionalKLScorer().fit((X, y), (far, z))
    assert len(w) == 1
    assert "lie apart" in scorer.report().notes[1]
    assert "lie apart" not in scorer.report().notes.get(0, "")


def with_flag(rng, n, d, share):
    return np.c_[rng.normal(size=(n, d)), rng.random(n) < share]


@pytest.mark.parametrize("correction", ["auto", None, "adaptive", "gaussian"])
@pytest.mark.parametrize("shares", [(0.7, 0.4), (0.02, 0.02), (0.05, 0.9)])
@pytest.mark.parametrize(("n", "d"), [(1000, 1), (1000, 2), (40, 1)])
def test_a_column_of_zeros_and_ones(n, d, shares, correction):
    """No error and no warning of NumPy: warnings are errors here."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X, Y = with_flag(rng, n, d, shares[0]), with_flag(rng, n // 2, d, shares[1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kldiv.DivergenceWarning)
            assert np.isfinite(estimate_divergence(X, Y, correction=correction).value)


def test_powers_that_overflow_are_infinite_without_a_warning_of_numpy(samples):
    X, Y = samples
    with pytest.warns(kldiv.SamplesApartWarning):
        result = estimate_divergence(X, Y + 1e4, divergence="chi2")
    assert result.value == np.inf
    assert result.standard_error is None
