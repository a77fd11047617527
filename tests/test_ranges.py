"""The plane that the rows span: linear coordinates do not count."""

import numpy as np
import pytest

from kldiv import _ranges, datasets, estimate_divergence
from tests.tolerances import MAPPED


@pytest.mark.parametrize("kind", ["shift", "narrow"])
@pytest.mark.parametrize(
    "change",
    ["constant column", "linear image", "scaled column", "collinear column", "moved"],
)
def test_the_value_does_not_depend_on_linear_coordinates(kind, change, rng):
    """Some candidates of "auto" look at columns, and a plane has none of its own."""
    turned = change in ("linear image", "collinear column")
    X, Y, _ = datasets.make_gaussian_pair(kind, random_state=0)
    options = {"confidence_level": None}
    auto = estimate_divergence(X, Y, **options).value
    expected = estimate_divergence(X, Y, correction="mixture", **options).value
    pooled = np.concatenate([X, Y])
    if change == "constant column":
        pooled = np.column_stack([pooled, np.full(len(pooled), 7.0)])
    elif change == "linear image":
        pooled = pooled @ rng.normal(size=(2, 50))
    elif change == "scaled column":
        pooled = pooled * [1.0, 1e6]
    elif change == "collinear column":
        pooled = np.column_stack([pooled, pooled @ [2.0, -1.0] + 3])
    else:
        pooled = pooled + 1e4
    changed = pooled[: len(X)], pooled[len(X) :]
    found = estimate_divergence(*changed, correction="mixture", **options)
    assert found.n_features == 2
    assert found.value == pytest.approx(expected, rel=MAPPED)
    again = estimate_divergence(*changed, **options).value
    assert again == pytest.approx(auto, abs=0.05 if turned else 1e-6 * auto)


def test_scaled_column_in_ten_dimensions():
    X, Y, _ = datasets.make_gaussian_pair("corr", n_features=10, random_state=0)
    scale = np.ones(10)
    scale[3] = 1e6
    found = estimate_divergence(X * scale, Y * scale).value
    assert found == pytest.approx(estimate_divergence(X, Y).value, rel=MAPPED)


def test_few_rows_on_a_plane_of_many_columns_are_not_projected(rng):
    X, Y = rng.normal(size=(10, 40)), rng.normal(size=(8, 40))
    assert _ranges.in_range(X, Y)[0] is X
