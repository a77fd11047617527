"""A sample on a plane that does not hold the other: chance, or an infinite truth."""

import warnings

import numpy as np
import pytest

from kldiv import DivergenceWarning, SingularSampleWarning, estimate_divergence
from kldiv._preparation._leaving import rows_off_plane


def with_column(rng, n, rows):
    """Two columns, and one that varies in so many rows."""
    rare = np.zeros(n)
    rare[:rows] = rng.random(rows) + 1
    return np.column_stack([rng.normal(size=(n, 2)), rare])


def notes_of(X, Y, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        result = estimate_divergence(X, Y, discrete=None, **options)
    return [note for note in result.notes if note.name == "flat sample"]


@pytest.mark.parametrize("of_x", [0, 2])
def test_a_column_that_varies_in_few_rows_is_chance(of_x, rng):
    X, Y = with_column(rng, 200, of_x), with_column(rng, 150, 2 - of_x)
    assert not notes_of(X, Y)


def test_more_rows_off_the_plane_are_told(rng):
    X, Y = with_column(rng, 200, 20), with_column(rng, 150, 0)
    (note,) = notes_of(X, Y)
    assert (note.severity, note.category) == ("caution", None)
    assert "20 of 200 rows of X" in note
    assert "if no row of Y ever does, the divergence is infinite" in note


@pytest.mark.parametrize("rows", [60, 200])
def test_so_many_that_the_divergence_is_infinite(rows, rng):
    X, Y = with_column(rng, 200, rows), with_column(rng, 150, 0)
    (note,) = notes_of(X, Y)
    assert (note.severity, note.category) == ("do not use", SingularSampleWarning)
    bounded = notes_of(X, Y, divergence="hellinger", correction=None)
    assert bounded[0].severity == ("do not use" if rows == 200 else "caution")


def test_a_plane_that_rows_of_y_share_makes_nothing_infinite(rng):
    X, Y = with_column(rng, 200, 0), with_column(rng, 150, 100)
    (note,) = notes_of(X, Y)
    assert note.severity == "caution"
    assert "infinite" not in note
    X[:, 2] = -1.0
    (note,) = notes_of(X, Y)
    assert "the divergence is infinite" in note


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_rows_off_a_plane_are_counted_in_any_unit(far, rng):
    basis = rng.normal(size=(3, 5))
    flat = rng.normal(size=(80, 3)) @ basis + far
    other = rng.normal(size=(60, 3)) @ basis + far
    other[:7] += rng.normal(size=(7, 5))
    unit = 10.0 ** np.arange(-4, 6, 2)
    assert rows_off_plane(flat * unit, other * unit, 3) == 7
