"""What is installed, for bug reports."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

DEPENDENCIES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "numba")


def versions() -> dict[str, str]:
    """Versions of Python, kldiv and what it uses; "not installed" where absent."""
    found = {"python": sys.version.split()[0], "machine": platform.platform()}
    for name in ("kldiv", *DEPENDENCIES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def show_versions() -> None:
    """Print the versions of Python, kldiv and its dependencies."""
    for name, text in versions().items():
        sys.stdout.write(f"{name:>14}: {text}\n")
