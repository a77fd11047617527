"""The classifier that tells samples apart: leaving out, effects, invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from kldiv._ratio import _classifier
from kldiv._ratio._classifier import fit_classifier, log_loss, pooled_scores
from tests.ratios import log_ratio
from tests.tolerances import ITERATED, OTHER_ORDER


def shifted(rng, n, m, d=3, shift=0.5):
    return rng.normal(shift, 1, (n, d)), rng.normal(size=(m, d))


def fit_again(found, of_x, rows):
    """Coefficients with the penalty and the features of a fitted classifier."""
    start = np.zeros(found.features.shape[1])
    seen = found.features[rows], of_x[rows]
    return _classifier.fit_logistic(*seen, found.penalty, start)


def test_log_loss_by_hand():
    ratios = np.array([0.3, -1.0, 0.2])
    found = log_loss(ratios, 2)
    of_x = expit(ratios + np.log(2))
    np.testing.assert_allclose(
        found, -np.log([of_x[0], of_x[1], 1 - of_x[2]]), rtol=OTHER_ORDER
    )
    np.testing.assert_array_equal(ratios, [0.3, -1.0, 0.2])


@given(st.integers(0, 100))
def test_pooled_scores_know_ranks_only(seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(40, 2)), rng.normal(size=(30, 2))
    expected = pooled_scores(X, Y)
    found = pooled_scores(np.exp(X), np.exp(Y))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(pooled_scores(-X, -Y)[0], -expected[0], atol=ITERATED)


def test_leaving_a_row_out_against_really_leaving_it_out(rng):
    X, Y = shifted(rng, 200, 150)
    found = fit_classifier(X, Y)
    of_x, rows = np.arange(350) < 200, np.arange(350)
    some = rows[::7]
    left_out = np.array(
        [found.features[i] @ fit_again(found, of_x, np.delete(rows, i)) for i in some]
    ) - np.log(200 / 150)
    moved = left_out - found.logits[some]
    np.testing.assert_allclose(
        found.held_out[some] - found.logits[some],
        moved,
        atol=0.1 * np.abs(moved).max(),
    )
    assert np.abs(moved).max() > 0.05


def test_effects_of_rows_against_fits_with_one_more(rng):
    X, Y = shifted(rng, 300, 200)
    found = fit_classifier(X, Y)
    of_x, rows = np.arange(500) < 300, np.arange(500)
    weights = np.where(of_x, 1 / 300, 0.0)
    before = weights @ (found.features @ fit_again(found, of_x, rows))
    expected = [
        weights @ (found.features @ fit_again(found, of_x, np.append(rows, i))) - before
        for i in rows[::10]
    ]
    effects = found.effects(weights)[::10]
    assert np.corrcoef(effects, expected)[0, 1] > 0.99
    np.testing.assert_allclose(effects, expected, atol=0.15 * np.abs(effects).max())


@settings(max_examples=8)
@given(st.integers(0, 100), st.integers(1, 4))
def test_order_of_rows_and_columns(seed, d):
    rng = np.random.default_rng(seed)
    X, Y = shifted(rng, 80, 60, d)
    found = fit_classifier(X, Y)
    i, j, columns = rng.permutation(80), rng.permutation(60), rng.permutation(d)
    shuffled = fit_classifier(X[i][:, columns], Y[j][:, columns])
    order = np.concatenate([i, 80 + j])
    np.testing.assert_allclose(shuffled.logits, found.logits[order], atol=ITERATED)
    np.testing.assert_allclose(shuffled.held_out, found.held_out[order], atol=ITERATED)


@pytest.mark.parametrize("sizes", [(400, 400), (600, 100), (100, 600)])
def test_the_odds_of_the_sizes_do_not_count(sizes):
    found = []
    for seed in range(5):
        X, Y = shifted(np.random.default_rng(seed), *sizes, d=2)
        found.append(log_ratio(X, Y, correction="classifier").values.mean())
    assert np.mean(found) == pytest.approx(0.25, abs=0.1)


def test_nothing_differs(rng):
    for d in (1, 5, 20):
        X, Y = shifted(rng, 500, 300, d, shift=0.0)
        value = log_ratio(X, Y, correction="classifier").values.mean()
        assert value == pytest.approx(0, abs=0.05)
        held_out = fit_classifier(X, Y).held_out
        prior = log_loss(np.zeros(800), 500).mean()
        assert log_loss(held_out, 500).mean() < prior + 0.01


def test_dependence_is_seen_by_products(rng):
    X = rng.normal(size=(1000, 3))
    X[:, 1] = 0.8 * X[:, 0] + 0.6 * X[:, 1]
    Y = rng.normal(size=(800, 3))
    value = log_ratio(X, Y, correction="classifier").values.mean()
    assert value == pytest.approx(-np.log(0.6), rel=0.2)


def test_flags_and_near_duplicate_columns(rng):
    X, Y = shifted(rng, 120, 90, 2)
    X = np.column_stack([X, X[:, 0] * (1 + 1e-15), rng.random(120) < 0.7])
    Y = np.column_stack([Y, Y[:, 0] * (1 + 1e-15), rng.random(90) < 0.4])
    found = fit_classifier(X, Y)
    assert np.isfinite(found.held_out).all()
    assert found.held_out[:120].mean() > 0


def test_more_rows_than_are_fitted(rng):
    X, Y = shifted(rng, 6000, 5500, 1, shift=1.0)
    found = fit_classifier(X, Y)
    assert (found.residuals == 0).sum() >= 1500
    assert found.held_out[:6000].mean() == pytest.approx(0.5, abs=0.05)


def test_many_columns_have_fewer_bends(rng):
    X, Y = shifted(rng, 300, 200, 300, shift=0.1)
    found = fit_classifier(X, Y)
    assert found.features.shape[1] < 2 * 300 + 12
    assert found.held_out[:300].mean() > 0.2


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.5, 5.0])
def test_downhill_ends_where_the_held_out_loss_is_least(shift, rng):
    X, Y = shifted(rng, 200, 150, shift=shift)
    found, of_x, rows = fit_classifier(X, Y), np.arange(350) < 200, np.arange(350)
    losses = {}
    for penalty in 10.0 ** np.arange(-1.5, 4, 0.5):
        start = np.zeros(found.features.shape[1])
        fitted = _classifier.fit_logistic(found.features, of_x, penalty, start)
        one = _classifier._describe(found.features, of_x, rows, penalty, fitted)
        losses[penalty] = log_loss(one.held_out, 200).mean()
    least = min(losses.values())
    found_loss = log_loss(found.held_out, 200).mean()
    assert found_loss <= least + 1e-3
    assert max(losses.values()) > least + 1e-2
