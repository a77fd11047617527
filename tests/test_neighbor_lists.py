"""Lists of neighbours that survive leaving rows out."""

import numpy as np

from kldiv._errors._neighbor_lists import NeighborList, NeighborLists
from kldiv._errors._subsets import subsets
from tests.ratios import log_ratio


def test_lists_grow_until_every_subset_finds_its_neighbours(rng):
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(50, 2))
    ratio = log_ratio(X, Y, 2)
    usual, short = NeighborList(ratio, "x"), NeighborList(ratio, "x")
    short._search(3)
    mask = subsets(60, 0)[1]
    for one, two in zip(
        usual.changes(mask, mask)[:1], short.changes(mask, mask)[:1], strict=True
    ):
        np.testing.assert_array_equal(one, two)
    assert short.listed > 3


def test_densities_in_the_table_are_those_of_the_reference(rng):
    X, Y = rng.normal(size=(300, 6)), rng.normal(0.4, 1.5, size=(250, 6))
    ratio = log_ratio(X, Y, 4, "gaussian")
    lists = NeighborLists.of(ratio).y
    picked = rng.integers(3, lists.listed, size=300)
    radii = lists.distances[np.arange(300), picked]
    exact = ratio.references.of_y.log_ratio_to_ball(ratio.X, radii, 1)
    np.testing.assert_allclose(
        lists.log_density(radii, np.arange(300)), exact, atol=5e-3
    )
