"""Log ratios of the rows in results: order, what they add up to, units, ways out."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kldiv import (
    ConditionalKLScorer,
    DivergenceResult,
    KNNDivergence,
    divergence,
    estimate_divergence,
    kl_divergence,
)
from kldiv._divergences import DIVERGENCES

pytestmark = pytest.mark.filterwarnings("ignore::kldiv.DivergenceWarning")
LOGARITHMIC = [name for name, one in DIVERGENCES.items() if one.logarithmic]
OTHERS = [name for name in DIVERGENCES if name not in LOGARITHMIC]


@pytest.fixture
def samples(rng):
    return rng.normal(0.5, 1, size=(120, 2)), rng.normal(size=(150, 2))


@pytest.mark.parametrize("correction", ["auto", None, "adaptive", "mixture", "common"])
def test_the_mean_is_the_divergence(samples, correction):
    result = estimate_divergence(*samples, correction=correction)
    assert result.log_ratio.shape == (120,)
    assert result.log_ratio.mean() == pytest.approx(result.value, rel=1e-12)


@pytest.mark.parametrize("correction", ["auto", None, "classifier"])
def test_ratios_come_in_the_order_given(samples, rng, correction):
    X, Y = samples
    ratios = estimate_divergence(X, Y, correction=correction).log_ratio
    order = rng.permutation(len(X))
    moved = estimate_divergence(X[order], Y[::-1], correction=correction).log_ratio
    np.testing.assert_allclose(moved, ratios[order], rtol=1e-9, atol=1e-9)


def test_far_rows_have_large_ratios(samples):
    X, Y = samples
    X[17] = 5.0
    assert estimate_divergence(X, Y).log_ratio.argmax() == 17


def test_ratios_are_close_to_the_truth(rng):
    X, Y = rng.normal(1, 1, (2000, 1)), rng.normal(0, 1, (2000, 1))
    found = estimate_divergence(X, Y).log_ratio
    # k neighbours leave an error of sqrt(2 / k) at most in a single ratio
    assert np.sqrt(np.mean((found - (X[:, 0] - 0.5)) ** 2)) < np.sqrt(2 / 5)


def test_dropped_rows_have_no_ratio(samples):
    X, Y = samples
    X = np.concatenate([X, X[[3]]])
    result = estimate_divergence(X, Y, duplicates="drop")
    assert np.flatnonzero(np.isnan(result.log_ratio)).tolist() in ([3], [120])
    assert np.nanmean(result.log_ratio) == pytest.approx(result.value)


def test_mixed_columns(rng):
    """Each row has its own cell; rows that repeat leave a gap."""
    flag = rng.integers(0, 2, 200)
    X = np.column_stack([rng.normal(size=200) + 2 * flag, flag])
    Y = np.column_stack([rng.normal(size=300), rng.integers(0, 2, 300)])
    X = np.concatenate([X[[0]], X])
    result = estimate_divergence(X, Y, discrete=[1], duplicates="drop")
    assert np.isnan(result.log_ratio).sum() == 1
    assert np.nanmean(result.log_ratio) == pytest.approx(result.value)
    in_cell = X[:, 1] == 1
    assert np.nanmean(result.log_ratio[in_cell]) > np.nanmean(
        result.log_ratio[~in_cell]
    )


def test_rows_that_make_it_infinite(rng):
    X = np.column_stack([rng.normal(size=100), np.r_[np.zeros(50), np.ones(50)]])
    Y = np.column_stack([rng.normal(size=100), np.zeros(100)])
    result = estimate_divergence(X, Y, discrete=[1])
    assert result.value == np.inf
    assert np.isinf(result.log_ratio).tolist() == [False] * 50 + [True] * 50


def test_the_same_sample_has_ratios_of_zero(samples):
    X, _ = samples
    assert not estimate_divergence(X, X.copy()).log_ratio.any()


@pytest.mark.parametrize("name", ["energy", "mmd"])
def test_distances_have_no_ratios(samples, name):
    result = estimate_divergence(*samples, divergence=name)
    assert result.log_ratio is None
    with pytest.raises(ValueError, match="no log ratios"):
        result.rows_to_frame()


def test_in_a_frame(samples):
    result = estimate_divergence(*samples)
    frame = result.rows_to_frame()
    assert frame["row"].tolist() == list(range(120))
    assert frame["contribution"].sum() == pytest.approx(result.value)
    np.testing.assert_array_equal(frame["log_ratio"], result.log_ratio)


def test_the_plot_names_the_rows_that_drive_it(samples):
    plt = pytest.importorskip("matplotlib.pyplot")
    X, Y = samples
    X[17] = 5.0
    ax = estimate_divergence(X, Y).plot()
    assert next(text.get_text() for text in ax.texts) == "row 17"
    plt.close(ax.figure)


def test_files_keep_them(samples):
    result = estimate_divergence(*samples)
    ratios = np.r_[result.log_ratio[:-2], np.nan, np.inf]
    again = DivergenceResult.from_json(replace(result, log_ratio=ratios).to_json())
    np.testing.assert_array_equal(again.log_ratio, ratios)
    assert "log_ratio" not in result.to_html() + result.to_csv()


@pytest.mark.parametrize("name", LOGARITHMIC)
def test_bits(samples, name):
    nats = estimate_divergence(*samples, divergence=name)
    bits = estimate_divergence(*samples, divergence=name, base=2)
    assert bits.value == pytest.approx(nats.value / np.log(2))
    assert bits.standard_error == pytest.approx(nats.standard_error / np.log(2))
    np.testing.assert_allclose(
        bits.confidence_interval, np.divide(nats.confidence_interval, np.log(2))
    )
    np.testing.assert_allclose(bits.log_ratio, nats.log_ratio / np.log(2))
    assert "bits" in bits.to_html()
    assert DivergenceResult.from_json(bits.to_json()).base == 2


@pytest.mark.parametrize("name", [*OTHERS, lambda ratio: ratio - 1])
def test_no_base_without_a_logarithm(samples, name):
    with pytest.raises(ValueError, match="base=2 is for divergences that are log"):
        divergence(*samples, divergence=name, base=2)


@pytest.mark.parametrize("base", [1, 0.5, -2, np.inf, np.nan])
def test_a_base_is_above_one(samples, base):
    with pytest.raises(ValueError, match="base must be None"):
        kl_divergence(*samples, base=base)


def test_a_base_is_a_number(samples):
    with pytest.raises(TypeError, match="base must be None"):
        kl_divergence(*samples, base="2")


def test_functions_and_estimator_agree(samples):
    X, Y = samples
    options = {"base": 2, "scale": None, "metric": "manhattan", "n_neighbors": 3}
    value = estimate_divergence(X, Y, **options).value
    assert kl_divergence(X, Y, **options) == value
    assert divergence(X, Y, **options) == value
    assert KNNDivergence(**options).fit(Y).score(X) == value


def test_the_estimator_permutes(samples):
    X, Y = samples
    options = {"correction": None, "random_state": 0}
    one = KNNDivergence(**options).fit(Y).estimate(X, n_permutations=19)
    other = estimate_divergence(X, Y, n_permutations=19, **options)
    assert one.pvalue == other.pvalue


@pytest.fixture
def labelled(rng):
    y = rng.permutation(np.repeat([0, 1, 2], [60, 60, 2]))
    X = rng.normal(size=(122, 2)) + y[:, None]
    answers = rng.dirichlet(np.ones(3), 122)
    return (X, y, answers), (rng.normal(size=(122, 2)), answers)


@pytest.mark.parametrize("conditioning", ["hard", "soft"])
def test_rows_of_a_class_drive_its_score(labelled, conditioning):
    train, aux = labelled
    scorer = ConditionalKLScorer(conditioning=conditioning, confidence_level=0.9)
    scores = scorer.fit(train, aux).score_per_class()
    for label in (0, 1):
        mean = scorer.log_ratio_[train[1] == label].mean()
        assert mean == pytest.approx(scores[label])
    assert np.isnan(scorer.log_ratio_[train[1] == 2]).all()


@pytest.mark.parametrize("conditioning", ["hard", "soft"])
@pytest.mark.parametrize("pipeline", [False, True])
def test_a_report_in_bits(labelled, conditioning, pipeline):
    reports = []
    for base in (None, 2):
        estimator = KNNDivergence(correction=None, base=base)
        if pipeline:
            estimator = make_pipeline(StandardScaler(), estimator)
        scorer = ConditionalKLScorer(
            estimator, conditioning=conditioning, confidence_level=0.9
        )
        reports.append(scorer.fit(*labelled).report())
    nats, bits = reports
    for name in {"kl", "standard_error", "kl_low", "log_answer"} & {*nats.columns}:
        np.testing.assert_allclose(bits[name], nats[name] / np.log(2))
    assert "(bits; " in bits.title
    with pytest.raises(ValueError, match="score both in one base"):
        nats.compare(bits)
