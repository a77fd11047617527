"""Ways to search for nearest neighbours, and the rule that chooses one."""

from kldiv._backends._auto import Choice, choose_algorithm
from kldiv._backends._compiled import COMPILED, backend
from kldiv._backends._user_metric import UserMetric

BACKENDS = {name: backend(name) for name in COMPILED}

__all__ = ["BACKENDS", "COMPILED", "Choice", "UserMetric", "choose_algorithm"]
