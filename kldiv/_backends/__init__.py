"""Ways to search for nearest neighbours, and the rule that chooses one."""

from kldiv._backends._auto import Choice, choose_algorithm
from kldiv._backends._compiled import COMPILED, backend

BACKENDS = {name: backend(name) for name in COMPILED}

__all__ = ["BACKENDS", "COMPILED", "Choice", "choose_algorithm"]
