"""Nearest-neighbour divergences and Kolmogorov-Smirnov statistics.

``ConditionalKLScorer().fit(train, aux).score_per_class()`` gives one divergence per
class; :func:`kl_divergence` and :class:`KNNDivergence` compare two samples.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers see of the names that are loaded on first use
    from kldiv import datasets as datasets
    from kldiv import plots as plots
    from kldiv._conditional._scorer import ConditionalKLScorer
    from kldiv._estimation._expected import expected_seconds
    from kldiv._estimators import (
        KNNDivergence,
        divergence,
        estimate_divergence,
        kl_divergence,
    )
    from kldiv._ks._distance import KSDistance
    from kldiv._ks._methods import ks_test
    from kldiv._neighbors import NeighborDistances, neighbor_distances
    from kldiv._results._ks_result import KSResult
    from kldiv._results._report import PerClassReport
    from kldiv._results._results import DivergenceResult
    from kldiv._versions import show_versions
    from kldiv._warnings import (
        DiscreteDataWarning,
        DivergenceWarning,
        SameSampleWarning,
        SamplesApartWarning,
        SingularSampleWarning,
        TrustWarning,
        ZeroProbabilityWarning,
    )
    from kldiv._window import RollingWindow

__version__ = "0.2.0"

# Public name -> module that defines it; loaded on first use.
_HOMES = {
    "ConditionalKLScorer": "kldiv._conditional._scorer",
    "DiscreteDataWarning": "kldiv._warnings",
    "DivergenceResult": "kldiv._results._results",
    "DivergenceWarning": "kldiv._warnings",
    "KNNDivergence": "kldiv._estimators",
    "KSDistance": "kldiv._ks._distance",
    "KSResult": "kldiv._results._ks_result",
    "NeighborDistances": "kldiv._neighbors",
    "PerClassReport": "kldiv._results._report",
    "RollingWindow": "kldiv._window",
    "SameSampleWarning": "kldiv._warnings",
    "SamplesApartWarning": "kldiv._warnings",
    "SingularSampleWarning": "kldiv._warnings",
    "TrustWarning": "kldiv._warnings",
    "ZeroProbabilityWarning": "kldiv._warnings",
    "divergence": "kldiv._estimators",
    "estimate_divergence": "kldiv._estimators",
    "kl_divergence": "kldiv._estimators",
    "expected_seconds": "kldiv._estimation._expected",
    "ks_test": "kldiv._ks._methods",
    "neighbor_distances": "kldiv._neighbors",
    "show_versions": "kldiv._versions",
}
_MODULES = ["datasets", "plots"]

__all__ = [
    "ConditionalKLScorer",
    "DiscreteDataWarning",
    "DivergenceResult",
    "DivergenceWarning",
    "KNNDivergence",
    "KSDistance",
    "KSResult",
    "NeighborDistances",
    "PerClassReport",
    "RollingWindow",
    "SameSampleWarning",
    "SamplesApartWarning",
    "SingularSampleWarning",
    "TrustWarning",
    "ZeroProbabilityWarning",
    "divergence",
    "estimate_divergence",
    "expected_seconds",
    "kl_divergence",
    "ks_test",
    "neighbor_distances",
    "show_versions",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = import_module(f"kldiv.{name}")
    else:
        raise AttributeError(f"module 'kldiv' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES, "__version__"])
