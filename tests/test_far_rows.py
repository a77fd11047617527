"""A fill value or a misprint neither hides a dimension nor decides a number."""

import numpy as np
import pytest

from kldiv import KNNDivergence, TrustWarning, estimate_divergence, kl_divergence
from kldiv._far_rows import far_rows
from tests.tolerances import ITERATED

TOLD = "lie alone, more than 20 interquartile ranges"


@pytest.fixture
def pair(rng):
    return rng.normal(1, 1, (300, 2)), rng.normal(0, 1, (200, 2))


@pytest.mark.parametrize("size", [1e3, -1e6, 1e8, 1e12])
@pytest.mark.parametrize("columns", [slice(None), 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_far_row_of_the_reference_changes_nothing_but_is_told(
    pair, size, columns, dtype
):
    X, Y = (sample.astype(dtype) for sample in pair)
    clean = estimate_divergence(X, Y[1:])
    Y[0, columns] = size
    with pytest.warns(TrustWarning, match="1 of 200 rows of Y " + TOLD):
        found = estimate_divergence(X, Y)
    assert found.value == pytest.approx(clean.value, rel=ITERATED)
    assert found.standard_error == pytest.approx(clean.standard_error, rel=1e-6)
    assert (found.n_features, found.n, found.m) == (2, 300, 199)
    assert found.trust != "good"
    assert found.notes[0].name == "far rows"


def test_far_rows_of_both_samples(pair):
    X, Y = pair
    clean = kl_divergence(X[2:], Y[3:])
    X[:2, 0], Y[:3] = [9e5, -4e7], [[1e20], [2e20], [-1e20]]
    with pytest.warns(TrustWarning, match="2 of 300 rows of X and 3 of 200 rows of Y"):
        found = estimate_divergence(X, Y)
    assert found.value == pytest.approx(clean, rel=ITERATED)
    assert np.isnan(found.log_ratio[:2]).all()
    assert np.isfinite(found.log_ratio[2:]).all()


def test_the_estimator_tells_too(pair):
    X, Y = pair
    Y[0] = 1e8
    with pytest.warns(TrustWarning, match=TOLD):
        KNNDivergence().fit(Y).score(X)


@pytest.mark.parametrize("correction", [None, "adaptive"])
def test_published_estimators_keep_all_rows(pair, correction):
    X, Y = pair
    Y[0] = 1e8
    found = estimate_divergence(X, Y, correction=correction)
    assert found.m == 200
    assert found.value == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize(
    "law",
    [
        lambda rng, shape: rng.normal(size=shape),
        lambda rng, shape: rng.standard_t(1, shape),
        lambda rng, shape: rng.pareto(0.3, shape),
        lambda rng, shape: np.exp(3 * rng.normal(size=shape)),
        lambda rng, shape: rng.uniform(size=shape),
        lambda rng, shape: rng.poisson(3, shape).astype(float),
        lambda rng, shape: rng.normal(0, rng.choice([1, 30], size=shape)),
        lambda rng, shape: rng.normal(100 * (rng.random(shape) < 0.2), 1),
    ],
)
def test_rows_of_a_tail_are_not_far(law, rng):
    assert sum(far_rows(law(rng, (n, 40))).sum() for n in (50, 200, 2000)) == 0


def test_more_than_a_few_are_a_part_of_the_law(rng):
    sample = rng.normal(size=(400, 2))
    sample[:20] += 1e6
    assert not far_rows(sample).any()
    sample = rng.normal(size=(400, 2))
    sample[:8] += 1e6
    assert far_rows(sample).nonzero()[0].tolist() == list(range(8))


def test_constant_columns_and_few_rows(rng):
    sample = np.c_[rng.normal(size=100), np.zeros(100)]
    sample[0, 1] = 1e8
    assert not far_rows(sample).any()
    assert not far_rows(np.r_[rng.normal(size=(20, 1)), [[1e9]]]).any()


@pytest.mark.parametrize("correction", ["gaussian", "mixture", "marginal", "auto"])
@pytest.mark.parametrize("value", [1e20, 1e100])
def test_fill_values_beside_which_a_sample_is_one_point(value, correction, rng):
    """Too many to be far rows; in units of both, all other numbers are equal."""
    X, Y = rng.normal(size=(300, 1)), rng.normal(size=(300, 1))
    Y[:30] = value * (1 + 0.1 * rng.random((30, 1)))
    with pytest.raises(ValueError, match=r"rows of X are equal beside.*fill values"):
        kl_divergence(X, Y, correction=correction)
