"""The transformer of a scorer, and what "auto" means."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from kldiv._conditional._units import share_a_unit
from kldiv._typing import FloatArray, UserMetric
from kldiv._validation import check_choice, generator_of, metric_name

# "auto" keeps this many principal components of wider data: with fewer, classes are put
# in the wrong order because too much is lost, with more because estimates from some
# hundred rows fall short (benchmarks/transformer.py; user guide, "Conditional
# scoring").
AUTO_COMPONENTS = 15
# Up to so many features, or rows, components are exact; beyond, they are found by
# random projections, whose seed is fixed.
_EXACT = 2000


def make_transformer(
    transformer: Any,
    rows: FloatArray,
    metric: str | UserMetric,
    random_state: Any,
    *,
    images: bool,
) -> tuple[Any, str]:
    """The transformer for training rows, not yet fitted, and what it is called."""
    if transformer is None:
        return None, "none"
    if not isinstance(transformer, str):
        return clone(transformer), repr(transformer)
    check_choice(transformer, ("auto",), "transformer, unless an object,")
    n_rows, n_features = rows.shape
    if n_features <= AUTO_COMPONENTS:
        return None, f"auto: none, {n_features} features"
    if metric != "euclidean":
        name = metric_name(metric)
        return None, f"auto: none, metric={name!r} on {n_features} features"
    n_components = min(AUTO_COMPONENTS, n_rows)
    described = f"PCA({n_components}) of {n_features} features, fitted on train"
    one_unit = images or share_a_unit(rows)
    if not one_unit:
        described = f"columns of different units standardised, {described}"
    components = PCA(
        n_components,
        svd_solver=_solver(n_rows, n_features),
        random_state=_legacy_seed(random_state),
    )
    # moments lose their digits far from the origin
    scaler = StandardScaler(with_std=not one_unit)
    return make_pipeline(scaler, components), f"auto: {described}"


def takes_any_unit(transformer: Any) -> bool:
    """Whether another unit of all columns changes nothing but that of the features."""
    if isinstance(transformer, Pipeline):
        steps = [step for _, step in transformer.steps]
        return all(isinstance(step, StandardScaler | PCA) for step in steps)
    return isinstance(transformer, PCA)


def _solver(n_rows: int, n_features: int) -> str:
    """One that gives the same components whatever the order of rows and columns is."""
    if n_features <= _EXACT:
        return "covariance_eigh"
    return "full" if n_rows <= _EXACT else "randomized"


def _legacy_seed(random_state: Any) -> Any:
    """A seed for scikit-learn, which takes small integers only; 0 for None."""
    if random_state is None:
        return 0
    if isinstance(random_state, Integral) and random_state < 2**32:
        return int(random_state)
    return int(generator_of(random_state).integers(2**31))
