"""From two checked samples to what estimators take."""

from kldiv._preparation._pair import DUPLICATE_POLICIES, PreparedPair, prepare
from kldiv._preparation._stored import prepare_stored

__all__ = [
    "DUPLICATE_POLICIES",
    "PreparedPair",
    "prepare",
    "prepare_stored",
]
