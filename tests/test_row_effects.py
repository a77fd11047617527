"""Effects of single rows: against leaving them out."""

import numpy as np
import pytest

from kldiv._divergences import DIVERGENCES
from kldiv._errors._neighbor_lists import NeighborLists
from kldiv._errors._row_effects import row_effects, thinned
from kldiv._errors._standard_errors import (
    effects_of,
    spread_of,
)
from kldiv._errors._subsets import subsets
from tests import reference
from tests.ratios import log_ratio
from tests.tolerances import ITERATED


def mean(x):
    return float(x.mean())


@pytest.mark.parametrize(("k", "d"), [(1, 2), (3, 1), (5, 4)])
def test_effects_are_those_of_leaving_rows_out(k, d, rng):
    X, Y = rng.normal(size=(60, d)), rng.normal(0.3, 1, size=(50, d))
    ratio = log_ratio(X, Y, k)
    found = row_effects([ratio], [NeighborLists.of(ratio)], mean)
    masks = zip(subsets(60, 0), subsets(50, 1), strict=True)
    for s, (x_mask, y_mask) in enumerate(masks):
        x, y = reference.effects_fixed(X, Y, k, x_mask, y_mask)
        np.testing.assert_allclose(found.x[s], x, atol=ITERATED)
        np.testing.assert_allclose(found.y[s], y, atol=ITERATED)
    assert found.x_bootstrap == found.y_bootstrap == 0


def test_terms_of_two_rows_count_once():
    """T = (mean of x)**2 with mean zero depends on pairs of rows only."""
    rng, n, found = np.random.default_rng(0), 60, []
    for _ in range(400):
        values = rng.normal(size=n)
        effects = []
        for mask in subsets(n, 0):
            size = mask.sum()
            effect = np.empty(n)
            for i, value in enumerate(values):
                rest = (values[mask].sum() - mask[i] * value) / size
                effect[i] = n * ((rest + value / n) ** 2 - rest**2)
            effects.append(effect - effect.mean())
        squares = (np.array(effects) ** 2).sum(axis=1) / n**2
        found.append((thinned(np.array(effects)).sum(), squares[0], squares[1:].mean()))
    integral, jackknife, in_subsets = np.mean(found, axis=0)
    truth = 2 / n**2
    assert jackknife > 1.6 * truth
    assert jackknife * integral / in_subsets == pytest.approx(truth, rel=0.25)


@pytest.mark.parametrize(
    "name", [n for n, e in DIVERGENCES.items() if e.needs != "samples"]
)
def test_effects_on_every_divergence_add_up(name, rng):
    """Leaving out a group changes the estimate by what the effects of its rows say."""
    X, Y = rng.normal(size=(400, 2)), rng.normal(0.5, 1.2, size=(400, 2))
    entry = DIVERGENCES[name]
    pairs = [(X, Y), (Y, X)][: len(entry.needs)]

    def functional(x, y=None):
        return entry.compute(x, y, 5, 0.5)

    ratios = [log_ratio(*pair, 5) for pair in pairs]
    effects = effects_of(ratios, functional)
    whole, exact = functional(*(r.values for r in ratios)), []
    for g in range(20):
        kept = np.ascontiguousarray(Y[np.arange(400) % 20 != g])
        parts = [(X, kept), (kept, X)][: len(entry.needs)]
        exact.append(functional(*(log_ratio(*p, 5).values for p in parts)) - whole)
    sums = np.array([-effects.y.rows[0][g::20].sum() / 380 for g in range(20)])
    assert np.corrcoef(exact, sums)[0, 1] > 0.9
    assert np.std(sums) == pytest.approx(np.std(exact), rel=0.2)


def test_other_metrics_and_repeated_rows_have_effects(rng):
    X, Y = rng.normal(size=(100, 2)), rng.normal(size=(90, 2))
    effects = effects_of([log_ratio(X, Y, 3, metric="manhattan")], mean)
    assert 0 < spread_of((effects.x, effects.y)).standard_error < 0.5
    X[1], X[3], Y[5] = X[0], X[2], X[7]
    for k in (1, 3):
        effects = effects_of([log_ratio(X, Y, k)], mean)
        assert np.isfinite(effects.x.rows).all()
        assert 0 < spread_of((effects.x, effects.y)).standard_error < 0.6
