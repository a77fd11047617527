"""Numbers of any size: the same answer in any unit, or a refusal that names them."""

from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    KSDistance,
    divergence,
    estimate_divergence,
    kl_divergence,
    ks_test,
    neighbor_distances,
)
from kldiv._divergences import DIVERGENCES
from kldiv._ks._methods import METHODS
from kldiv._ratio._corrections import CORRECTIONS
from tests.available import AVAILABLE

LARGEST = np.finfo(np.float64).max


def samples(d=2):
    rng = np.random.default_rng(5)
    return rng.normal(0.5, 1, (60, d)), rng.normal(size=(50, d))


def of_scorer(X, Y):
    labels = np.arange(len(X)) % 2, np.arange(len(Y)) % 2
    scorer = ConditionalKLScorer(KNNDivergence(correction="adaptive"))
    return scorer.fit((X, labels[0]), (Y, labels[1])).score_per_class()


def of_neighbors(X, Y, **options):
    return neighbor_distances(X, Y, **options).xy.ravel()


def of_ks(X, Y, **options):
    result = ks_test(X, Y, random_state=0, n_permutations=19, **options)
    return np.r_[np.ravel(result.statistic), np.ravel(result.pvalue)]


# Name, call, and the power of the unit with which its result grows.
CALLS = {
    "kl_divergence": (kl_divergence, 0),
    "generator": (partial(divergence, divergence=lambda ratio: ratio**2 - 1), 0),
    "KNNDivergence": (lambda X, Y: KNNDivergence().fit(Y).score(X), 0),
    "KSDistance": (lambda X, Y: KSDistance().fit(Y).score(X), 0),
    "scorer": (of_scorer, 0),
    "permutations": (
        lambda X, Y: (
            estimate_divergence(
                X, Y, correction=None, n_permutations=19, random_state=0
            ).pvalue
        ),
        0,
    ),
}
CALLS |= {
    f"correction {name}": (partial(kl_divergence, correction=name), 0)
    for name in CORRECTIONS
}
CALLS |= {
    f"divergence {name}": (
        partial(divergence, divergence=name, correction=None, n_neighbors=8),
        entry.degree,
    )
    for name, entry in DIVERGENCES.items()
}
CALLS |= {
    f"neighbors {name}": (partial(of_neighbors, algorithm=name), 1)
    for name in ("auto", *AVAILABLE)
    if name != "sorted"
}
CALLS |= {
    f"neighbors {metric}": (partial(of_neighbors, metric=metric), 1)
    for metric in ("manhattan", "chebyshev")
}
CALLS |= {f"ks {name}": (partial(of_ks, method=name), 0) for name in METHODS}


@cache
def plain(name):
    """What a call returns in the unit of the samples."""
    return CALLS[name][0](*samples())


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=6, deadline=None)
@given(exponent=st.integers(-1000, 1000))
def test_the_unit_changes_nothing(name, exponent):
    """A power of two, so that the samples themselves lose nothing."""
    call, degree = CALLS[name]
    X, Y = samples()
    unit = 2.0**exponent
    found = call(X * unit, Y * unit)
    # two roundings of a result near the smallest number
    np.testing.assert_allclose(found / unit**degree, plain(name), rtol=1e-9)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("unit", [1e-300, 1e-160, 1e160, 1e300])
def test_decimal_units(name, unit):
    call, degree = CALLS[name]
    X, Y = samples()
    # where samples are relabelled, a tie in rounding can move one label
    np.testing.assert_allclose(
        call(X * unit, Y * unit) / unit**degree, plain(name), rtol=1e-6
    )


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=8, deadline=None)
@given(exponents=st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000)))
def test_mixed_units_are_exact_or_refused(name, exponents):
    """No warning (they are errors), no NaN, no other exception."""
    call, _ = CALLS[name]
    X, Y = samples()
    units = 2.0 ** np.array(exponents)
    try:
        found = call(X * units, Y * units)
    except ValueError as error:
        assert "magnitude" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(found).all()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("value", [LARGEST, -LARGEST, 1.7e308, 5e-324])
def test_one_extreme_number(name, value):
    """A fill value such as nan_to_num leaves, once and in both signs."""
    call, _ = CALLS[name]
    X, Y = samples()
    X[3, 1] = value
    Y[4, 0] = -value
    try:
        found = call(X, Y)
    except ValueError as error:
        assert "magnitude" in str(error) or "passes" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(found).all()


@pytest.mark.parametrize("algorithm", [*AVAILABLE, "auto"])
def test_neighbours_beside_the_largest_number_keep_their_order(algorithm, rng):
    d = 1 if algorithm == "sorted" else 3
    X, Y = rng.uniform(-1, 1, (40, d)), rng.uniform(-1, 1, (30, d))
    unit = 2.0**1021
    near = neighbor_distances(X, Y, algorithm="brute", return_indices=True)
    far = neighbor_distances(
        X * unit, Y * unit, algorithm=algorithm, return_indices=True
    )
    np.testing.assert_array_equal(far.xy_indices, near.xy_indices)
    np.testing.assert_allclose(far.xy / unit, near.xy, rtol=1e-14)


@pytest.mark.filterwarnings("ignore::kldiv.DivergenceWarning")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("share", [0.5, 1.0])
def test_nothing_but_the_largest_numbers(name, share):
    call, _ = CALLS[name]
    rng = np.random.default_rng(0)
    X, Y = (np.where(rng.random((n, 2)) < share, LARGEST, -LARGEST) for n in (24, 20))
    try:
        found = call(X, Y)
    except ValueError:
        return
    assert np.isfinite(found).all()


def test_a_distance_that_float64_cannot_hold_is_refused():
    X = np.array([[LARGEST], [-LARGEST], [0.0]])
    with pytest.raises(ValueError, match=r"pass 1\.8e\+308.*from 1 to 1\.8e\+308"):
        neighbor_distances(X, [[-LARGEST], [1.0]], n_neighbors=2)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_float32_has_less_room(unit):
    X, Y = (rows.astype(np.float32) for rows in samples())
    unit = np.float32(unit)
    for correction in (None, "adaptive", "mixture"):
        estimate = partial(kl_divergence, correction=correction)
        found = estimate(X * unit, Y * unit)
        assert found == pytest.approx(estimate(X, Y), rel=1e-4)


def test_constant_columns_of_any_size_do_not_count():
    X, Y = samples()
    wide = [np.c_[rows, np.full(len(rows), 1e300)] for rows in (X, Y)]
    assert kl_divergence(*wide) == pytest.approx(kl_divergence(X, Y), rel=1e-12)


def test_a_direction_is_in_the_units_given():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(200, 2)), rng.normal([0, 1], 1, (200, 2))
    unit = np.array([1.0, 2.0**-700])
    plain = ks_test(X, Y, method="max-sliced", random_state=0)
    found = ks_test(X * unit, Y * unit, method="max-sliced", random_state=0)
    assert found.statistic == plain.statistic
    assert np.abs(found.direction) == pytest.approx([0, 1])


def test_generators_are_not_asked_beyond_float64(rng):
    X, Y = rng.normal(size=(60, 40)), rng.normal(1000, 1, (60, 40))
    with pytest.raises(ValueError, match="logs reach from .* beyond 700"):
        divergence(X, Y, divergence=lambda r: r * np.log(r), correction="gaussian")
    with pytest.raises(ValueError, match=r"not a number.*NaN"):
        divergence(X[:, :1], Y[:, :1] - 1000, divergence=lambda r: np.log(r - 1))
