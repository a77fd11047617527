"""Is my model at risk, which class, and which defence helps?"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kldiv_attack.audit import run
from kldiv_attack.audit.defences import DEFENCES
from kldiv_attack.audit.metrics import METRICS
from kldiv_attack.audit.result import AuditReport

if TYPE_CHECKING:
    from kldiv_attack.audit.run import audit

__all__ = ["DEFENCES", "METRICS", "AuditReport", "audit"]


class _Callable(ModuleType):
    """The folder and its function share a name, and importing anything from the folder
    binds that name to the folder; so the folder is called and described like the
    function."""

    def __call__(self, *args: Any, **kwargs: Any) -> AuditReport:
        return run.audit(*args, **kwargs)


__doc__ = str(run.audit.__doc__)
__signature__ = inspect.signature(run.audit)
sys.modules[__name__].__class__ = _Callable
if not TYPE_CHECKING:
    audit = sys.modules[__name__]
