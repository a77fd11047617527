"""Log-spline densities of one column: closed forms, leaving out, effects of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kldiv._ratio import _log_splines
from kldiv._ratio._log_splines import fit_log_splines

PENALTY = 30.0


def standardised(values):
    return (values - values.mean()) / values.std()


def two_peaks(rng, n):
    return rng.choice([-1.5, 1.5], n) + 0.5 * rng.normal(size=n)


SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "two peaks": two_peaks,
    "uniform": lambda rng, n: rng.uniform(size=n),
    "beta": lambda rng, n: rng.beta(2, 5, n),
}


def log_density(spline, z):
    return spline.log_ratio_at(z) + stats.norm.logpdf(z)


def fit_log_spline(z):
    (spline,) = fit_log_splines(z[:, None])
    return spline


def fit_with_penalty(z):
    """What `fit_log_spline` finds with one penalty."""
    penalty = PENALTY * _log_splines._PENALTY + _log_splines._RIDGE
    moments = _log_splines._counts(z)[None] @ _log_splines._SPLINES
    start = np.zeros((1, len(penalty)))
    found = _log_splines._maximise(moments, len(z), penalty, start)
    (spline,) = _log_splines._fitted(found, len(z), penalty).splines()
    return spline


@pytest.mark.parametrize("name", SHAPES)
def test_the_density_integrates_to_one(name, rng):
    spline = fit_log_spline(standardised(SHAPES[name](rng, 500)))
    grid = np.linspace(-9, 9, 20_001)
    total = np.trapezoid(np.exp(log_density(spline, grid)), grid)
    assert total == pytest.approx(1, abs=1e-3)


@given(
    st.integers(0, 1000), st.sampled_from(sorted(SHAPES)), st.sampled_from([25, 400])
)
def test_scores_increase(seed, name, n):
    spline = fit_log_spline(standardised(SHAPES[name](np.random.default_rng(seed), n)))
    # far beyond the grid as well
    assert (np.diff(spline.scores_at(np.linspace(-20, 20, 2001))) >= 0).all()
    assert (np.diff(spline.scores_at(np.linspace(-4, 4, 401))) > 0).all()


@pytest.mark.parametrize("name", SHAPES)
def test_the_slope_of_the_scores_is_the_density(name, rng):
    spline = fit_log_spline(standardised(SHAPES[name](rng, 500)))
    grid = np.linspace(-2.5, 2.5, 201)
    step = _log_splines._STEP
    ends = stats.norm.cdf([spline.scores_at(grid + s * step) for s in (-1, 1)])
    found = (ends[1] - ends[0]) / (2 * step)
    np.testing.assert_allclose(found, np.exp(log_density(spline, grid)), atol=0.02)


def test_a_gaussian_column_stays_gaussian(rng):
    spline = fit_log_spline(standardised(rng.normal(size=1000)))
    z = np.linspace(-6, 6, 2401)
    lost = -np.trapezoid(spline.log_ratio_at(z) * stats.norm.pdf(z), z)
    assert 0 <= lost < 5 / 1000
    inner = z[np.abs(z) < 2]
    np.testing.assert_allclose(spline.scores_at(inner), inner, atol=0.1)


def test_two_peaks_are_seen(rng):
    seen, unseen = two_peaks(rng, 1000), two_peaks(rng, 4000)
    spline = fit_log_spline((seen - seen.mean()) / seen.std())
    found = log_density(spline, (unseen - seen.mean()) / seen.std())
    found -= np.log(seen.std())
    peaks = stats.norm.logpdf(unseen[:, None], [-1.5, 1.5], 0.5)
    expected = np.logaddexp.reduce(peaks, axis=1) - np.log(2)
    lost = (expected - found).mean()
    assert 0 <= lost < 0.02
    normal = stats.norm.logpdf(unseen, seen.mean(), seen.std())
    assert (expected - normal).mean() > 0.3


@pytest.mark.parametrize("name", ["two peaks", "beta"])
def test_leaving_a_row_out(name, rng):
    """In the linear approximation, against fits without the row."""
    z = standardised(SHAPES[name](rng, 300))
    spline = fit_with_penalty(z)
    expected = [
        spline.log_ratio_at(z[i : i + 1])
        - fit_with_penalty(np.delete(z, i)).log_ratio_at(z[i : i + 1])
        for i in range(0, 300, 6)
    ]
    found = spline.influence_at(z[::6])
    assert (found >= 0).all()
    # rows at the ends have more leverage than the linear part knows
    np.testing.assert_allclose(
        np.sort(found)[:45], np.sort(np.ravel(expected))[:45], rtol=0.1
    )
    assert found.sum() == pytest.approx(np.sum(expected), rel=0.25)


def test_effects_of_rows_against_fits_with_one_more(rng):
    z, judged = standardised(two_peaks(rng, 400)), rng.normal(size=200)
    weights = rng.uniform(size=200) / 200
    spline = fit_with_penalty(z)
    found = spline.effects(z, judged, weights)
    before = weights @ spline.log_ratio_at(judged)
    expected = [
        400 * (weights @ fit_with_penalty(np.append(z, row)).log_ratio_at(judged))
        - 400 * before
        for row in z[:40]
    ]
    np.testing.assert_allclose(found[:40], expected, atol=0.1 * np.abs(found).max())
    assert np.corrcoef(found[:40], expected)[0, 1] > 0.99


def test_order_and_repetition_of_rows(rng):
    z = standardised(two_peaks(rng, 300))
    grid = np.linspace(-3, 3, 61)
    spline = fit_log_spline(z)
    shuffled = fit_log_spline(rng.permutation(z))
    np.testing.assert_allclose(
        shuffled.log_ratio_at(grid), spline.log_ratio_at(grid), atol=1e-9
    )


def test_columns_fitted_together_are_those_fitted_alone(rng):
    columns = [standardised(make(rng, 400)) for make in SHAPES.values()]
    together = fit_log_splines(np.column_stack([*columns, columns[1]]))
    for spline, z in zip(together, [*columns, columns[1]], strict=True):
        alone = fit_log_spline(z)
        for name in ("log_ratio", "scores", "influence", "mean", "inverse"):
            one, other = getattr(spline, name), getattr(alone, name)
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)
