"""What is installed, for bug reports."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import kldiv._kernels._isa as _isa

DEPENDENCIES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "numba")


def versions() -> dict[str, str]:
    """Versions of Python, kldiv and what it uses; "not installed" where absent.

    "kernels" names the instruction set that all compiled kernels use; the environment
    variable KLDIV_ISA forces a lower one.
    """
    installed = {"python": sys.version.split()[0], "machine": platform.platform()}
    for name in ("kldiv", *DEPENDENCIES):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            installed[name] = "not installed"
    installed["kernels"] = (
        f"{_isa.current_level()} (available: {', '.join(_isa.available_levels())})"
    )
    installed["openmp"] = "yes" if _isa.has_openmp() else "no, kernels are serial"
    return installed


def show_versions() -> None:
    """Print the versions of Python, kldiv and its dependencies.

    Examples
    --------
    >>> import kldiv
    >>> kldiv.show_versions()
            python: ...
    """
    for name, text in versions().items():
        sys.stdout.write(f"{name:>14}: {text}\n")
