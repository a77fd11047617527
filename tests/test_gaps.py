"""Rows of X in gaps of Y: edges that run along no column, and laws without edges."""

import numpy as np
import pytest

from kldiv import datasets, estimate_divergence, kl_divergence
from kldiv._estimation._gaps import rows_in_gaps
from kldiv._preparation import PreparedPair


def in_disc(rng, n, inner=0.0, outer=1.0):
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = np.sqrt(rng.uniform(inner**2, outer**2, n))
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def in_square(rng, n):
    return rng.random((n, 2))


def beside_a_corner(rng, n):
    rows = rng.random((3 * n, 2))
    return rows[(rows < 0.5).any(axis=1)][:n]


def on_a_board(rng, n):
    places = rng.integers(0, 4, n), 2 * rng.integers(0, 2, n)
    return np.column_stack([places[0], places[1] + places[0] % 2]) + rng.random((n, 2))


def on_the_board(rng, n):
    return 4 * rng.random((n, 2))


def turned(rng, n):
    return in_square(rng, n) @ np.array([[1.0, -1.0], [1.0, 1.0]])


SUPPORTS = {
    "hole": (in_disc, lambda rng, n: in_disc(rng, n, inner=0.5)),
    "rim": (in_disc, lambda rng, n: in_disc(rng, n, outer=0.8)),
    "corner": (in_square, beside_a_corner),
    "board": (on_the_board, on_a_board),
    "turned": (lambda rng, n: 1.2 * turned(rng, n), turned),
    "between": (
        lambda rng, n: rng.uniform(0, 3, (n, 1)),
        lambda rng, n: rng.random((n, 1)) + 2 * rng.integers(0, 2, (n, 1)),
    ),
}


def found(X, Y):
    notes = estimate_divergence(X, Y).notes
    return [note for note in notes if note.name == "beyond the support"]


@pytest.mark.parametrize("name", SUPPORTS)
def test_an_edge_need_not_run_along_a_column(name, rng):
    of_p, of_q = SUPPORTS[name]
    X, Y = of_p(rng, 1000), of_q(rng, 500)
    (note,) = found(X, Y)
    assert (note.severity, "rows of X" in note) == ("do not use", True)
    assert not found(Y, of_p(rng, 1000))


@pytest.mark.parametrize("kind", datasets.GAUSSIAN_KINDS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_tails_are_no_edges(kind, d):
    X, Y, _ = datasets.make_gaussian_pair(
        kind, n_features=d, n_samples=(1000, 500), random_state=0
    )
    assert not found(X, Y)


def test_gaps_are_the_same_in_other_units_and_places(rng):
    X, Y = in_disc(rng, 800), in_disc(rng, 400, inner=0.5)
    pairs = [(X, Y), (X * [1e-6, 1e6] + [3, 0], Y * [1e-6, 1e6] + [3, 0])]
    counts = [rows_in_gaps(PreparedPair(*pair, 2, 0)) for pair in pairs]
    assert counts[0] == counts[1] >= 50


def test_few_rows_and_many_columns_show_no_gaps(rng):
    X, Y = in_disc(rng, 800), in_disc(rng, 150, inner=0.5)
    assert rows_in_gaps(PreparedPair(X, Y, 2, 0)) == 0
    wide = [np.column_stack([one, rng.normal(size=(len(one), 2))]) for one in (X, X)]
    assert rows_in_gaps(PreparedPair(*wide, 4, 0)) == 0


def test_a_search_of_neighbours_alone_looks_for_no_gaps(rng, monkeypatch):
    def looked(*_):
        raise AssertionError

    monkeypatch.setattr("kldiv._estimation._continuous.rows_in_gaps", looked)
    X, Y = in_disc(rng, 300), in_disc(rng, 300)
    kl_divergence(X, Y, correction=None)
    with pytest.raises(AssertionError):
        kl_divergence(X, Y)
