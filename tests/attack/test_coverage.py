"""Clipped coverage and density: their definition, and that 0.5 means half."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kldiv_attack import clipped_coverage, clipped_density
from kldiv_attack._coverage import Balls, expected_filling

MEASURES = {"coverage": clipped_coverage, "density": clipped_density}


@pytest.fixture(params=sorted(MEASURES))
def measure(request):
    return MEASURES[request.param]


def two_clusters(rng, n):
    return rng.normal(size=(n, 4)) + 8 * (rng.random(n) < 0.3)[:, None]


def curve(rng, n):
    turn = 5 * rng.random(n)
    return np.stack([np.cos(turn), np.sin(turn), turn], axis=1)


LAWS = {
    "normal": lambda rng, n: rng.normal(size=(n, 4)),
    "heavy tails": lambda rng, n: rng.standard_t(2, size=(n, 4)),
    "two clusters": two_clusters,
    "a curve": curve,
}


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_half_good_is_one_half(law, share, measure):
    found = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        private = LAWS[law](rng, 500)
        made = LAWS[law](rng, 400)
        made[round(share * 400) :] += 1e4
        found.append(measure(private, made))
    assert np.mean(found) == pytest.approx(share, abs=0.05)


def test_half_of_the_images_of_a_digit_is_one_half(private, public, measure):
    """Pixels of real images: the digit itself mixed with other digits."""
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        found = []
        for c in range(10):
            own = private.images[private.labels == c].reshape(-1, 64)
            good = public.images[public.labels == c].reshape(-1, 64)
            other = public.images[public.labels == (c + 3) % 10].reshape(-1, 64)
            n = round(share * 80)
            made = np.concatenate([good[:n], other[: 80 - n]])
            found.append(measure(own, made))
        assert np.mean(found) == pytest.approx(share, abs=0.07)


def slow_coverage(private, made, k):
    """By the words of the definition, with a simulated scale."""
    filled = []
    for x in private:
        radius = sorted(np.linalg.norm(private - x, axis=1))[k]  # 0 is the row itself
        filled.append(min(k, (np.linalg.norm(made - x, axis=1) <= radius).sum()) / k)
    rng = np.random.default_rng(0)
    masses = rng.beta(k, len(private) - k, 40_000)
    scale = [
        np.minimum(rng.binomial(good, masses), k).mean() / k
        for good in range(len(made) + 1)
    ]
    return np.interp(np.mean(filled), scale, np.arange(len(made) + 1) / len(made))


def slow_density(private, made, k):
    def radius(x):
        return sorted(np.linalg.norm(private - x, axis=1))[k]

    radii = np.array([radius(x) for x in private])
    radii = np.minimum(radii, np.median(radii))

    def depth(row, skip=None):
        inside = np.linalg.norm(private - row, axis=1) <= radii
        if skip is not None:
            inside[skip] = False
        return min(inside.sum() / k, 1)

    own = np.mean([depth(row, i) for i, row in enumerate(private)])
    return min(np.mean([depth(row) for row in made]) / own, 1)


@pytest.mark.parametrize("k", [1, 5])
def test_they_follow_their_definition(rng, k):
    private, made = rng.normal(size=(60, 3)), rng.normal(0.6, 1, size=(25, 3))
    found = clipped_coverage(private, made, n_neighbors=k)
    assert found == pytest.approx(slow_coverage(private, made, k), abs=0.01)
    found = clipped_density(private, made, n_neighbors=k)
    assert found == pytest.approx(slow_density(private, made, k))


def test_the_scale_begins_at_nothing_and_rises():
    scale = expected_filling(np.arange(50), 30, 5)
    assert scale[0] == 0
    assert (np.diff(scale) > 0).all()
    assert scale[-1] < 1
    # One row falls into a ball with the mean mass k / n, and fills a k-th of it.
    assert scale[1] == pytest.approx(1 / 30)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), scale=st.floats(1e-3, 1e3))
def test_moving_and_scaling_all_rows_changes_nothing(seed, scale):
    rng = np.random.default_rng(seed)
    private, made = rng.normal(size=(30, 3)), rng.normal(size=(20, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for measure in MEASURES.values():
        moved = measure(scale * (private @ turn) + 1, scale * (made @ turn) + 1)
        assert moved == pytest.approx(measure(private, made))


def test_rows_far_away_count_nothing_and_do_not_raise_either(rng, measure):
    private = rng.normal(size=(100, 3))
    assert measure(private, private[:20] + 1e3) == 0
    outlier = np.concatenate([private, np.full((1, 3), 1e3)])
    assert measure(outlier, np.full((20, 3), 5e2)) < 0.05


def test_repeating_one_good_row_covers_little(rng):
    private = rng.normal(size=(200, 3))
    assert clipped_coverage(private, np.zeros((200, 3))) < 0.2
    assert clipped_density(private, np.zeros((200, 3))) > 0.9


@pytest.mark.parametrize(
    ("private", "made", "k", "message"),
    [
        (np.zeros((5, 2)), np.zeros((3, 2)), 5, "at least 6 private rows"),
        (np.zeros((9, 2)), np.zeros((0, 2)), 5, "one other row, got 9 and 0"),
        (np.zeros((9, 2)), np.zeros((3, 4)), 5, "expected 2 features"),
        (np.zeros(9), np.zeros((3, 2)), 5, r"private: expected shape \(rows"),
        (np.zeros((9, 2)), np.full((3, 2), np.nan), 5, "made: found NaN"),
        (np.zeros((9, 2)), np.zeros((3, 2)), 0, "n_neighbors=0: expected a whole"),
    ],
)
def test_bad_rows_are_refused(private, made, k, message, measure):
    with pytest.raises(ValueError, match=message):
        measure(private, made, n_neighbors=k)


def test_far_rows_do_not_widen_the_balls(rng):
    private, made = rng.normal(size=(50, 3)) / 1e4, rng.normal(size=(20, 3)) / 1e3
    far = np.concatenate([made, np.full((5, 3), 1e6)])
    inside = Balls.around(private, made, 5).covered
    np.testing.assert_array_equal(inside, Balls.around(private, far, 5).covered)


def test_rows_on_the_edge_count_as_inside():
    private = np.zeros((10, 2))  # every ball is a point
    assert Balls.around(private, np.zeros((3, 2)), 5).covered.all()
