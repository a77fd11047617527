"""Coverage, and samples that lie apart."""

import numpy as np
import pytest

from kldiv import ConditionalKLScorer, datasets, estimate_divergence
from tests.notes import warned


@pytest.mark.parametrize("correction", [None, "adaptive", "gaussian"])
@pytest.mark.parametrize(("gap", "d"), [(0.2, 1), (0.5, 2), (1.0, 10), (100.0, 3)])
def test_samples_that_lie_apart_are_told(gap, d, correction, rng):
    X = rng.uniform(size=(300, d))
    Y = rng.uniform(size=(250, d)) + 1 + gap
    with pytest.warns(UserWarning, match="samples lie apart.*may be infinite") as told:
        found = estimate_divergence(X, Y, correction=correction, confidence_level=None)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert "lie apart" in found.notes[0]
    assert found.coverage == 0
    assert np.isfinite(found.value)


@pytest.mark.parametrize("name", ["renyi", "chi2", "jeffreys", "tsallis"])
def test_only_divergences_that_can_be_infinite_are_told(name, rng):
    X, Y = rng.uniform(size=(200, 2)), rng.uniform(size=(200, 2)) + 3
    options = {"confidence_level": None, "correction": None, "order": 1.5}
    with pytest.warns(UserWarning, match="samples lie apart"):
        estimate_divergence(X, Y, divergence=name, **options)
    for bounded in ("hellinger", "jensen-shannon", "total-variation", "energy"):
        assert not warned(estimate_divergence(X, Y, divergence=bounded, **options))
    options["order"] = 0.5
    assert not warned(estimate_divergence(X, Y, divergence="tsallis", **options))


@pytest.mark.parametrize(
    ("kind", "d"),
    [("shift", 100), ("shift", 500), ("narrow", 100), ("corr", 100), ("wide", 100)],
)
@pytest.mark.filterwarnings("ignore:the value is -:kldiv.TrustWarning")
def test_far_distributions_that_overlap_are_not_told(kind, d):
    """No ball holds a row of the other sample, yet the divergence is finite."""
    X, Y, _ = datasets.make_gaussian_pair(kind, n_features=d, random_state=0)
    found = estimate_divergence(X, Y, correction=None, confidence_level=None)
    assert not any("lie apart" in note for note in found.notes)
    assert found.coverage == (kind == "wide")


@pytest.mark.parametrize("d", [10, 50])
def test_mixtures_and_image_like_laws_are_not_told(d):
    for make in (datasets.make_mixture_pair, datasets.make_image_like_pair):
        X, Y, _ = make(n_features=d, n_samples=(600, 300), random_state=0)
        found = estimate_divergence(X, Y, correction=None, confidence_level=None)
        assert not warned(found)


def test_a_narrow_law_between_the_rows_of_a_wide_one_is_not_told(rng):
    """The rows of the wide law are as far from each other as from the narrow one."""
    X, Y = rng.normal(size=(300, 60)), rng.normal(0, 6, size=(300, 60))
    found = estimate_divergence(X, Y, correction=None, confidence_level=None)
    assert found.coverage == 0
    assert not warned(found)


def test_the_scorer_keeps_the_note_of_a_class_that_lies_apart(rng):
    y = np.repeat([0, 1], 100)
    X, A = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    X[y == 1] += 50
    with pytest.warns(UserWarning, match="1 of 2 scores need care.*lie apart"):
        report = ConditionalKLScorer().fit((X, y), (A, y)).report()
    assert "lie apart" in report.notes[1]


def test_coverage_falls_with_distance(rng):
    X, Y = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    near, far = (
        estimate_divergence(X, Y + shift, divergence="hellinger").coverage
        for shift in (0, 100)
    )
    assert near > 0.9
    assert far == 0
