"""Is my model at risk, which class, and which defence helps?"""

import inspect
import sys
from types import ModuleType
from typing import Any

from kldiv_attack.audit.defences import DEFENCES
from kldiv_attack.audit.metrics import METRICS
from kldiv_attack.audit.result import AuditReport
from kldiv_attack.audit.run import audit

__all__ = ["DEFENCES", "METRICS", "AuditReport", "audit"]


class _Callable(ModuleType):
    """The folder and its function share a name: ``kldiv_attack.audit`` is the folder as
    soon as anything imports it, so that the folder is called and described like the
    function."""

    def __call__(self, *args: Any, **kwargs: Any) -> AuditReport:
        return audit(*args, **kwargs)


__doc__ = str(audit.__doc__)
__signature__ = inspect.signature(audit)
sys.modules[__name__].__class__ = _Callable
