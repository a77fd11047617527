"""How many components a mixture has."""

import numpy as np

from kldiv._ratio import _selection
from tests.clusters import four_clusters


def test_number_of_components_is_found(rng):
    X, Y = four_clusters(rng, 200), four_clusters(rng, 100)
    plan = _selection.choose_components(X, Y)
    # a few more than four cost less than the rule allows, fewer cost much
    assert 4 <= plan.n_components <= 6
    for labels, n_rows in zip(plan.labels, (200, 100), strict=True):
        # a component takes its rows from one cluster
        source = np.repeat(np.arange(4), n_rows)
        counts = np.zeros((plan.n_components, 4))
        np.add.at(counts, (labels, source), 1)
        assert counts.max(axis=1).sum() > 0.99 * len(labels)
    single = rng.normal(size=(800, 2)), rng.normal(size=(400, 2))
    plan = _selection.choose_components(*single)
    assert (plan.n_components, plan.labels) == (1, None)
