"""Inputs that other packages answer with inf, 0 or 1412: what a statistician expects.

The base case is a shift by one in two columns, n = 1000, m = 500, divergence 1.
"""

import numpy as np
import pytest

from kldiv import ConditionalKLScorer, datasets, estimate_divergence, kl_divergence
from tests.notes import warned
from tests.tolerances import ITERATED, MAPPED

CLOSE = 0.15  # nats; three standard errors of the base case


@pytest.fixture
def pair(rng):
    return rng.normal(-1, 1, (1000, 2)), rng.normal(0, 1, (500, 2))


def kl(X, Y, **options):
    return estimate_divergence(X, Y, confidence_level=None, **options)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_any_number_of_neighbours(pair, k):
    assert kl_divergence(*pair, n_neighbors=k) == pytest.approx(1, abs=CLOSE)


def test_one_repeated_row_with_one_neighbour(pair):
    X, Y = pair
    X = np.concatenate([X, X[:1]])
    with pytest.raises(ValueError, match="1 rows of X repeat an earlier row"):
        kl(X, Y, n_neighbors=1)
    for policy in ("drop", "expand"):
        found = kl(X, Y, n_neighbors=1, duplicates=policy)
        assert found.value == pytest.approx(1, abs=CLOSE)
        assert (found.n_duplicates, warned(found)) == (1, [])


@pytest.mark.parametrize("copies", [2, 10])
def test_every_row_copied(pair, copies):
    X, Y = np.repeat(pair[0], copies, axis=0), pair[1]
    with pytest.raises(ValueError, match=f"{1000 * (copies - 1)} rows of X repeat"):
        kl(X, Y)
    assert kl(X, Y, duplicates="drop").value == kl_divergence(*pair)
    with pytest.warns(UserWarning, match="estimate is rough.*duplicates='drop'"):
        assert np.isfinite(kl(X, Y, duplicates="expand").value)
    with pytest.raises(ValueError, match="no column lies on one.*duplicates='drop'"):
        kl(X, Y, duplicates="dither")


@pytest.mark.parametrize("k", [1, 5])
def test_members_of_p_in_q(pair, k):
    X, Y = pair[0], np.concatenate([pair[1], pair[0][:250]])
    with pytest.raises(ValueError, match="250 rows of Y also occur in X.*leaked"):
        kl(X, Y, n_neighbors=k)
    dropped = kl(X, Y, n_neighbors=k, duplicates="drop")
    assert dropped.value == kl_divergence(*pair, n_neighbors=k)
    with pytest.warns(UserWarning, match="250 rows of Y also occur in X.*rough"):
        assert np.isfinite(kl(X, Y, n_neighbors=k, duplicates="expand").value)


@pytest.mark.parametrize("policy", ["raise", "drop", "expand", "dither"])
def test_p_is_q(pair, policy):
    with pytest.warns(UserWarning, match="exactly 0; nothing was estimated"):
        found = kl(pair[0], pair[0], duplicates=policy)
    assert found.value == 0
    assert "exactly 0" in found.notes[0]


def test_all_of_q_is_in_p(pair):
    X, Y = np.concatenate(pair), pair[1]
    with pytest.raises(ValueError, match="leaves 1500 rows of X and 0 of Y"):
        kl(X, Y, duplicates="drop")


@pytest.mark.parametrize("policy", ["raise", "drop", "expand", "dither"])
def test_point_mass(pair, policy):
    point = np.ones((1000, 2))
    with pytest.raises(ValueError, match="all 1000 rows of X are equal.*infinite"):
        kl(point, pair[1], duplicates=policy)
    with pytest.raises(ValueError, match="all 1000 rows of Y are equal.*infinite"):
        kl(pair[1], point, duplicates=policy)


def test_few_atoms(pair):
    atoms = np.repeat([[0.0, 0.0], [1.0, 1.0]], 500, axis=0)
    with pytest.raises(ValueError, match="998 rows of X repeat"):
        kl(atoms, pair[1])
    with pytest.raises(ValueError, match="leaves 2 rows of X"):
        kl(atoms, pair[1], duplicates="drop")
    with (
        pytest.warns(UserWarning, match="weight of the distributions at single points"),
        pytest.warns(UserWarning, match="the divergence is infinite"),
    ):
        kl(atoms, pair[1], duplicates="expand")


def test_constant_column_in_both(pair):
    wide = [np.column_stack([sample, np.full(len(sample), 7.0)]) for sample in pair]
    assert kl(*wide).value == pytest.approx(kl_divergence(*pair), rel=MAPPED)


@pytest.mark.parametrize("correction", [None, "auto"])
@pytest.mark.parametrize("kind", ["constants differ", "only in X", "only in Y", "sum"])
def test_a_sample_on_a_plane_is_infinitely_far(pair, kind, correction, rng):
    X, Y = pair
    third = {
        "constants differ": (np.ones(1000), np.zeros(500)),
        "only in X": (np.ones(1000), rng.normal(size=500)),
        "only in Y": (rng.normal(size=1000), np.ones(500)),
        "sum": (X.sum(axis=1), rng.normal(size=500)),
    }[kind]
    flat = "Y" if kind == "only in Y" else "X"
    pair = np.column_stack([X, third[0]]), np.column_stack([Y, third[1]])
    with pytest.warns(UserWarning, match=f"rows of {flat} vary in 2 of 3 .*infinite"):
        kl(*pair, correction=correction)


def test_embedded_data():
    X, Y, truth = datasets.make_embedded_pair(random_state=0)
    assert kl_divergence(X, Y) == pytest.approx(truth, abs=CLOSE)
    plain = datasets.make_gaussian_pair(random_state=np.random.default_rng(0))
    found, expected = (
        kl_divergence(*pair, correction="mixture") for pair in ((X, Y), plain[:2])
    )
    assert found == pytest.approx(expected, rel=MAPPED)


def test_a_column_times_a_million(pair):
    scaled = [sample * [1, 1e6] for sample in pair]
    assert kl_divergence(*scaled) == pytest.approx(kl_divergence(*pair), rel=MAPPED)


@pytest.mark.parametrize(("n", "m"), [(4, 500), (5, 500), (1000, 3), (1, 1)])
def test_fewer_rows_than_neighbours(pair, n, m):
    with pytest.raises(ValueError, match=f"n_samples={n}, Y has n_samples={m}"):
        kl(pair[0][:n], pair[1][:m])


def test_empty(pair):
    for X, Y, name in ((pair[0][:0], pair[1], "X"), (pair[0], pair[1][:0], "Y")):
        with pytest.raises(ValueError, match=f"{name} has no rows"):
            kl(X, Y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(pair, value):
    for which, name in ((0, "X"), (1, "Y")):
        samples = [sample.copy() for sample in pair]
        samples[which][3, 1] = value
        with pytest.raises(ValueError, match=f"{name} holds .* row 3, column 1"):
            kl(*samples)


def test_containers_and_layouts(pair):
    pandas = pytest.importorskip("pandas")
    X, Y = pair
    expected = kl_divergence(X, Y)
    for convert in (
        np.ndarray.tolist,
        pandas.DataFrame,
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a.reshape(-1, 1, 2),
    ):
        assert kl_divergence(convert(X), convert(Y)) == pytest.approx(
            expected, rel=ITERATED
        )
    one = kl_divergence(X[:, 0], Y[:, 0])
    assert one == kl_divergence(X[:, :1], Y[:, :1])
    assert one == pytest.approx(0.5, abs=CLOSE)
    for dtype, digits in ((np.float32, 1e-3), (np.float16, 0.02)):
        # half precision may round two rows together
        found = kl_divergence(X.astype(dtype), Y.astype(dtype), duplicates="drop")
        assert found == pytest.approx(expected, rel=digits)


def test_whole_numbers_of_eight_bits():
    rng = np.random.default_rng(0)
    X = rng.normal(100, 20, (500, 4)).round().astype(np.uint8)
    Y = rng.normal(120, 20, (400, 4)).round().astype(np.uint8)
    assert kl_divergence(X, Y) == kl_divergence(X.astype(float), Y.astype(float))
    assert kl_divergence(X, Y) == pytest.approx(2, abs=0.4)


@pytest.mark.parametrize(("dtype", "offset"), [(np.float32, 1e4), (np.float64, 1e8)])
def test_far_from_the_origin_in_fifty_columns(rng, dtype, offset):
    X, Y = rng.normal(-0.2, 1, (400, 50)), rng.normal(0, 1, (300, 50))
    moved = (X + offset).astype(dtype), (Y + offset).astype(dtype)
    for correction in (None, "auto"):
        near = kl_divergence(X, Y, correction=correction)
        assert kl_divergence(*moved, correction=correction) == pytest.approx(
            near, abs=0.02
        )


DISCRETE = {
    "Poisson": (datasets.make_poisson_pair, {}, 0.06),
    "Poisson in one column": (datasets.make_poisson_pair, {"n_features": 1}, 0.1),
    "rare events": (datasets.make_poisson_pair, {"rates": (0.5, 1.0)}, 0.15),
    "rounded": (datasets.make_rounded_pair, {}, 0.15),
    "rounded in two columns": (datasets.make_rounded_pair, {"n_features": 2}, 0.3),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_data(name):
    maker, options, close = DISCRETE[name]
    X, Y, truth = maker(random_state=0, **options)
    with pytest.raises(ValueError, match="discrete or rounded.*duplicates='dither'"):
        kl(X, Y)
    with pytest.warns(UserWarning, match="discrete or rounded.*'dither'"):
        kl(X, Y, duplicates="expand")
    found = kl(X, Y, duplicates="dither", random_state=0)
    assert found.value == pytest.approx(truth, abs=close)
    assert (found.n, found.m, warned(found)) == (1000, 500, [])
    again = kl(X, Y, duplicates="dither", random_state=0)
    assert again.value == found.value


def test_dropping_what_discrete_data_repeat():
    X, Y, _ = datasets.make_poisson_pair(random_state=0)
    with pytest.warns(UserWarning, match="leaves 96 rows of X and 21 of Y.*'dither'"):
        kl(X, Y, duplicates="drop")
    X, Y, _ = datasets.make_poisson_pair(n_features=1, random_state=0)
    with pytest.raises(ValueError, match="leaves 12 rows of X and 1 of Y.*'dither'"):
        kl(X, Y, duplicates="drop")


def test_coarse_data_without_repeated_rows():
    X, Y, truth = datasets.make_poisson_pair(n_features=10, random_state=0)
    with pytest.warns(UserWarning, match="10 of 10 columns hold only a few"):
        found = kl(X, Y)
    assert found.n_duplicates == 0
    assert "few different values" in found.notes[0]
    spread = kl(X, Y, duplicates="dither", random_state=0)
    assert spread.value == pytest.approx(truth, abs=0.25)


def test_coin_flips_are_refused_and_spread(rng):
    X, Y = rng.integers(0, 2, (1000, 15)), rng.integers(0, 2, (500, 15))
    with pytest.raises(ValueError, match="15 of 15 columns.*'dither'"):
        kl(X, Y)
    found = kl(X, Y, duplicates="dither", random_state=0)
    assert abs(found.value) < 0.15


def test_fine_rounding_does_not_matter():
    X, Y, truth = datasets.make_rounded_pair(n_features=5, random_state=0)
    assert kl_divergence(X, Y) == pytest.approx(truth, abs=0.35)


def test_the_scorer_tells_once_and_keeps_the_notes(rng):
    y = np.repeat([0, 1, 2], 100)
    X, A = rng.normal(size=(300, 3)), rng.normal(size=(300, 3))
    X[y == 1, 2] = 0.0
    X[y == 2, 0] = X[y == 2, 1]
    with pytest.warns(UserWarning, match="2 of 3 scores need care.*Class 1: ") as told:
        report = ConditionalKLScorer().fit((X, y), (A, y)).report()
    assert len(told) == 1
    assert told[0].filename == __file__
    assert list(report.notes) == [1, 2]
    assert "infinite" in report.notes[2]
    for text in (report.to_markdown(), report.to_json(), report._repr_html_()):
        assert "vary in 2 of 3 dimensions" in text


@pytest.mark.parametrize("k", [0, -1])
def test_no_neighbours(pair, k):
    with pytest.raises(ValueError, match=f"at least 1; got {k}"):
        kl(*pair, n_neighbors=k)


@pytest.mark.parametrize("k", [2.5, "5", None, True])
def test_neighbours_that_are_no_integer(pair, k):
    with pytest.raises(TypeError, match="must be an integer"):
        kl(*pair, n_neighbors=k)
