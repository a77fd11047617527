"""Weighted rows: what weights mean, what changes nothing, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kldiv import KNNDivergence, divergence, estimate_divergence, kl_divergence
from tests import reference

CORRECTIONS = [None, "adaptive", "common", "gaussian", "mixture", "auto"]


def samples(seed=0, n=150, m=120, d=2):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(0.7, 1, (n, d)), rng.normal(size=(m, d))
    return X, Y, rng.exponential(size=n) + 0.1, rng.exponential(size=m) + 0.1


def importance(seed, n=1000, m=500, d=2, wide=1.3):
    """Samples drawn wider than the laws they stand for, and the true divergence."""
    rng = np.random.default_rng(seed)
    mean = np.zeros(d)
    mean[:2] = 0.8
    X, Y = rng.normal(0, wide, (n, d)), rng.normal(0, wide, (m, d))
    logs = [
        -0.5 * ((rows - centre) ** 2).sum(axis=1)
        + 0.5 * (rows**2).sum(axis=1) / wide**2
        for rows, centre in ((X, mean), (Y, 0 * mean))
    ]
    return X, Y, *np.exp(logs[0])[None], *np.exp(logs[1])[None], 0.5 * mean @ mean


def weigh(X, Y, wx, wy, **options):
    return kl_divergence(X, Y, sample_weight=wx, reference_weight=wy, **options)


def test_the_published_estimator_counts_weight_in_the_ball():
    X, Y, wx, wy = samples()
    found = weigh(X, Y, wx, wy, correction=None)
    assert found == pytest.approx(reference.kl_weighted(X, Y, wx, wy, 5), abs=1e-12)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_weights_that_are_equal_change_nothing(correction):
    X, Y, *_ = samples()
    plain = estimate_divergence(X, Y, correction=correction)
    options = {"sample_weight": np.full(len(X), 0.3), "reference_weight": [7] * len(Y)}
    same = estimate_divergence(X, Y, correction=correction, **options)
    assert same.value == plain.value
    assert same.confidence_interval == plain.confidence_interval
    assert same.n_effective is None


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    size=st.floats(1e-200, 1e200),
    correction=st.sampled_from([None, "adaptive", "common"]),
)
def test_neither_unit_of_weights_nor_order_of_rows_matter(seed, size, correction):
    X, Y, wx, wy = samples(seed, 60, 50)
    found = weigh(X, Y, wx, wy, correction=correction)
    assert weigh(X, Y, size * wx, wy / size, correction=correction) == pytest.approx(
        found, abs=1e-12
    )
    rng = np.random.default_rng(seed)
    x, y = rng.permutation(len(X)), rng.permutation(len(Y))
    moved = weigh(X[x], Y[y], wx[x], wy[y], correction=correction)
    assert moved == pytest.approx(found, abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), correction=st.sampled_from([None, "common"]))
def test_a_row_of_weight_zero_is_no_row(seed, correction):
    X, Y, wx, wy = samples(seed, 60, 50)
    wx[:9], wy[-4:] = 0, 0
    found = weigh(X, Y, wx, wy, correction=correction)
    without = weigh(X[9:], Y[:-4], wx[9:], wy[:-4], correction=correction)
    assert found == pytest.approx(without, abs=1e-12)


def test_order_and_zeros_with_every_candidate():
    X, Y, wx, wy = samples()
    wx[::7] = 0
    options = {"sample_weight": wx, "reference_weight": wy}
    found = estimate_divergence(X, Y, **options)
    kept, y = np.flatnonzero(wx)[::-1], np.arange(len(Y))[::-1]
    options = {"sample_weight": 3 * wx[kept], "reference_weight": wy[y]}
    without = estimate_divergence(X[kept], Y[y], **options)
    assert without.value == pytest.approx(found.value, abs=1e-9)
    assert without.standard_error == pytest.approx(found.standard_error, abs=1e-9)
    assert (found.n, without.n) == (len(kept), len(kept))
    assert np.isnan(found.log_ratio).tolist() == (wx == 0).tolist()
    mean = np.average(found.log_ratio[kept], weights=wx[kept])
    assert found.value == pytest.approx(mean, abs=1e-12)
    assert found.n_effective == pytest.approx(wx.sum() ** 2 / (wx @ wx))


@pytest.mark.parametrize("correction", [None, "auto"])
def test_whole_weights_are_rows_nearby(correction):
    """A row of weight three stands for three rows where it is."""
    rng = np.random.default_rng(3)
    X, Y = rng.normal(1, 1, (900, 1)), rng.normal(0, 1, (900, 1))
    times = rng.integers(1, 4, len(X))
    repeated = np.repeat(X, times, axis=0) + rng.normal(0, 0.1, (times.sum(), 1))
    weighted = kl_divergence(X, Y, sample_weight=times, correction=correction)
    plain = kl_divergence(repeated, Y, correction=correction)
    assert weighted == pytest.approx(plain, abs=0.08)


@pytest.mark.parametrize("d", [1, 2, 6])
@pytest.mark.parametrize("correction", ["auto", "gaussian", "classifier", "marginal"])
def test_importance_weights_give_the_divergence_they_stand_for(d, correction):
    X, Y, wx, wy, truth = importance(0, d=max(d, 2))
    options = {"sample_weight": wx, "reference_weight": wy, "correction": correction}
    both = estimate_divergence(X, Y, **options)
    assert abs(both.value - truth) < 3 * both.standard_error
    assert both.standard_error < 0.2
    unweighted = kl_divergence(X, Y, correction=correction)
    assert abs(unweighted - truth) > 4 * both.standard_error


@pytest.mark.parametrize("name", ["jeffreys", "renyi", "hellinger", "bhattacharyya"])
def test_other_divergences_of_importance_samples(name):
    X, Y, wx, wy, truth = importance(1, 2000, 2000)
    closed = {
        "jeffreys": 2 * truth,
        "renyi": truth / 2,
        "hellinger": 1 - np.exp(-truth / 4),
        "bhattacharyya": truth / 4,
    }[name]
    result = estimate_divergence(
        X, Y, divergence=name, sample_weight=wx, reference_weight=wy
    )
    assert abs(result.value - closed) < max(3 * result.standard_error, 0.1 * closed)


@pytest.mark.statistical
@pytest.mark.parametrize("sides", [(True, False), (False, True), (True, True)])
def test_intervals_of_importance_samples_hold_the_truth(sides):
    inside = 0
    for seed in range(40):
        X, Y, wx, wy, truth = importance(seed, 600, 400)
        if not sides[0]:
            X = np.random.default_rng(seed).normal(size=X.shape)
            X[:, :2] += 0.8
        if not sides[1]:
            Y = np.random.default_rng([1, seed]).normal(size=Y.shape)
        result = estimate_divergence(
            X,
            Y,
            sample_weight=wx if sides[0] else None,
            reference_weight=wy if sides[1] else None,
        )
        low, high = result.confidence_interval
        inside += low < truth < high
    assert inside >= 35


def test_few_effective_rows_are_told():
    X, Y, *_ = samples(0, 400, 400)
    weights = np.r_[np.full(12, 200), np.ones(388)]
    options = {"sample_weight": weights, "confidence_level": None}
    result = estimate_divergence(X, Y, **options)
    assert result.trust == "do not use"
    assert "leave 16 effective rows of X and 400 of Y" in " ".join(result.notes)
    weights[:12] = 50
    assert estimate_divergence(X, Y, **options).trust == "caution"
    weights[:12] = 5
    assert estimate_divergence(X, Y, **options).trust == "good"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: np.where(np.arange(w.size) == 7, -1, w), r"negative.*row 7 \(-1\)"),
        (lambda w: np.where(np.arange(w.size) == 3, np.nan, w), r"row 3 \(nan\)"),
        (lambda w: np.where(np.arange(w.size) == 3, np.inf, w), r"row 3 \(inf\)"),
        (lambda w: 0 * w, "zero for all 150 rows"),
        (lambda w: w[1:], r"each of 150 rows.*\(149,\)"),
        (lambda w: np.c_[w, w], r"shape \(150,\); got shape \(150, 2\)"),
    ],
)
def test_weights_that_are_none(change, message):
    X, Y, wx, _ = samples()
    with pytest.raises(ValueError, match=f"(?s)sample_weight.*{message}"):
        kl_divergence(X, Y, sample_weight=change(wx))
    with pytest.raises(ValueError, match=f"(?s)reference_weight.*{message}"):
        kl_divergence(Y, X, reference_weight=change(wx))


def test_weights_that_are_no_numbers():
    X, Y, *_ = samples()
    with pytest.raises(TypeError, match="sample_weight has dtype"):
        kl_divergence(X, Y, sample_weight=["heavy"] * len(X))
    with pytest.raises(TypeError, match="sample_weight has dtype complex128"):
        kl_divergence(X, Y, sample_weight=np.full(len(X), 1j))


def test_a_handful_of_weighted_rows_has_no_interval():
    X, Y, wx, _ = samples()
    options = {"sample_weight": wx[:12], "correction": None}
    result = estimate_divergence(X[:12], Y, **options)
    assert result.standard_error is None
    assert result.trust == "do not use"


def test_what_takes_no_weights_says_why():
    X, Y, wx, _ = samples()
    with pytest.raises(ValueError, match="'energy' averages distances"):
        divergence(X, Y, divergence="energy", sample_weight=wx)
    with pytest.raises(ValueError, match="n_permutations=99.*cannot be exchanged"):
        estimate_divergence(X, Y, sample_weight=wx, n_permutations=99)
    with pytest.raises(ValueError, match="same 150 rows with different weights"):
        kl_divergence(X, X, sample_weight=wx)


def test_too_few_rows_that_count():
    X, Y, wx, _ = samples()
    wx[4:] = 0
    with pytest.raises(ValueError, match="X has n_samples=4"):
        kl_divergence(X, Y, sample_weight=wx)


def test_dropped_rows_take_their_weight_along():
    X, Y, wx, wy = samples()
    repeated = np.r_[X, X[:5]]
    found = weigh(repeated, Y, np.r_[wx, 9 * wx[:5]], wy, duplicates="drop")
    assert found == pytest.approx(weigh(X, Y, wx, wy), abs=1e-9)


def test_the_estimator_takes_weights_as_others_do():
    X, Y, wx, wy = samples()
    expected = weigh(X, Y, wx, wy, correction=None)
    estimator = KNNDivergence(correction=None).fit(Y, sample_weight=wy)
    assert estimator.score(X, sample_weight=wx) == expected
    assert estimator.estimate(X, sample_weight=wx).m_effective < len(Y)
    assert estimator.fit(Y).reference_weight_ is None
    chain = make_pipeline(StandardScaler(), KNNDivergence(correction=None))
    chain.fit(Y, knndivergence__sample_weight=wy)
    scaled = [StandardScaler().fit(Y).transform(rows) for rows in (X, Y)]
    expected = weigh(*scaled, wx, wy, correction=None)
    assert chain.score(X, sample_weight=wx) == expected
    with pytest.raises(ValueError, match="each of 120 rows"):
        KNNDivergence().fit(Y, sample_weight=wx)
