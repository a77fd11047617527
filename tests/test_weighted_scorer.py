"""Weights of training and auxiliary rows in scores per class."""

import numpy as np
import pytest

from kldiv import ConditionalKLScorer, KNNDivergence, estimate_divergence
from tests.labelled_samples import three_classes
from tests.soft_samples import soft_simulation


def weighted_classes():
    rng = np.random.default_rng(0)
    train, aux = three_classes(rng)
    return train, aux, rng.exponential(size=180) + 0.1, rng.exponential(size=180) + 0.1


def test_a_class_is_scored_with_the_weights_of_its_rows():
    (X, y), (Z, t), wx, wz = weighted_classes()
    scorer = ConditionalKLScorer(confidence_level=0.9).fit((X, y), (Z, t), wx, wz)
    alone = estimate_divergence(
        X[y == 1],
        Z[t == 1],
        sample_weight=wx[y == 1],
        reference_weight=wz[t == 1],
        confidence_level=0.9,
    )
    assert scorer.score_per_class()[1] == pytest.approx(alone.value, abs=1e-12)
    report = scorer.report()
    error = report["standard_error"][1]
    assert error == pytest.approx(alone.standard_error, abs=1e-12)
    assert report["n_train_effective"][1] == pytest.approx(alone.n_effective)
    assert report["n_aux_effective"][1] == pytest.approx(alone.m_effective)
    assert "n_train_effective" not in ConditionalKLScorer().fit((X, y), (Z, t)).report()


@pytest.mark.parametrize("conditioning", ["hard", "soft"])
def test_rows_of_weight_zero_are_left_out(conditioning):
    X, y, Z, victim = soft_simulation(2, np.random.default_rng(0), 100)
    rng = np.random.default_rng(1)
    wx, wz = rng.integers(0, 3, len(X)), rng.integers(0, 3, len(Z))
    options = {"conditioning": conditioning, "confidence_level": 0.95}
    found = ConditionalKLScorer(victim=victim, **options).fit((X, y), Z, wx, wz)
    x, z = wx > 0, wz > 0
    without = ConditionalKLScorer(victim=victim, **options)
    without.fit((X[x], y[x]), Z[z], 5 * wx[x], wz[z] / 7)
    for name in ("kl", "kl_low", "n_train", "n_aux"):
        assert found.report()[name] == pytest.approx(without.report()[name], abs=1e-9)
    assert np.isnan(found.log_ratio_).tolist() == (~x).tolist()
    assert found.log_ratio_[x] == pytest.approx(without.log_ratio_, abs=1e-9)


@pytest.mark.parametrize("conditioning", ["hard", "soft"])
def test_equal_weights_change_nothing(conditioning):
    X, y, Z, victim = soft_simulation(2, np.random.default_rng(0), 100)
    options = {"conditioning": conditioning, "victim": victim, "confidence_level": 0.95}
    plain = ConditionalKLScorer(**options).fit((X, y), Z)
    same = ConditionalKLScorer(**options)
    same.fit((X, y), Z, sample_weight=np.full(len(X), 3), reference_weight=[2] * len(Z))
    for name in ("kl", "standard_error", "coverage"):
        assert same.report()[name] == pytest.approx(plain.report()[name], abs=1e-12)


def test_soft_scores_of_importance_samples():
    """Auxiliary rows drawn wider than the law that their weights make them."""
    rng = np.random.default_rng(0)
    X, y, Z, victim = soft_simulation(2, rng, 1000)
    wide = 1.3 * Z
    weights = np.exp(-0.5 * (wide**2 - Z**2).sum(axis=1))
    options = {"conditioning": "soft", "victim": victim, "confidence_level": 0.95}
    plain = ConditionalKLScorer(**options).fit((X, y), Z).report()
    scorer = ConditionalKLScorer(**options)
    found = scorer.fit((X, y), wide, reference_weight=weights).report()
    error = np.hypot(found["standard_error"], plain["standard_error"])
    assert (np.abs(found["kl"] - plain["kl"]) < 3 * error).all()
    wrong = ConditionalKLScorer(**options).fit((X, y), wide).report()
    assert (np.abs(wrong["kl"] - plain["kl"]) > 3 * error).all()


def test_a_class_without_rows_that_count_is_not_scored():
    train, aux, wx, wz = weighted_classes()
    wx[train[1] == 2] = 0
    scorer = ConditionalKLScorer().fit(train, aux, wx, wz)
    assert np.isnan(scorer.score_per_class()).tolist() == [False, False, True]
    assert "the class has 0" in scorer.report().reasons[2]


def test_weights_are_checked():
    train, aux, wx, _ = weighted_classes()
    with pytest.raises(ValueError, match="reference_weight needs one weight for each"):
        ConditionalKLScorer().fit(train, aux, wx, wx[1:])
    with pytest.raises(ValueError, match="sample_weight holds 180 weights"):
        ConditionalKLScorer(KNNDivergence()).fit(train, aux, -wx)
