"""The transformer of a scorer, and what "auto" means."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.decomposition import PCA

from kldiv._typing import UserMetric
from kldiv._validation import check_choice, metric_name

# "auto" keeps this many principal components of wider data: with fewer, classes are put
# in the wrong order because too much is lost, with more because estimates from some
# hundred rows fall short (benchmarks/transformer.py; user guide, "Conditional
# scoring").
AUTO_COMPONENTS = 15


def make_transformer(
    transformer: Any,
    shape: tuple[int, ...],
    metric: str | UserMetric,
    random_state: Any,
) -> tuple[Any, str]:
    """The transformer for rows of that shape, not yet fitted, and what it is called."""
    if transformer is None:
        return None, "none"
    if not isinstance(transformer, str):
        return clone(transformer), repr(transformer)
    check_choice(transformer, ("auto",), "transformer, unless an object,")
    n_rows, n_features = shape
    if n_features <= AUTO_COMPONENTS:
        return None, f"auto: none, {n_features} features"
    if metric != "euclidean":
        name = metric_name(metric)
        return None, f"auto: none, metric={name!r} on {n_features} features"
    n_components = min(AUTO_COMPONENTS, n_rows)
    return (
        PCA(n_components, random_state=_legacy_seed(random_state)),
        f"auto: PCA({n_components}) of {n_features} features, fitted on train",
    )


def _legacy_seed(random_state: Any) -> Any:
    """A seed for scikit-learn, which does not take NumPy generators."""
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return random_state
