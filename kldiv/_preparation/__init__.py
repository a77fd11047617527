"""From two checked samples to what estimators take."""

from kldiv._preparation._pair import DUPLICATE_POLICIES, PreparedPair, prepare
from kldiv._preparation._stored import PreparedStore, prepare_stored

__all__ = [
    "DUPLICATE_POLICIES",
    "PreparedPair",
    "PreparedStore",
    "prepare",
    "prepare_stored",
]
