"""Files that are whole or not there, and what to say when they are not."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


class RunError(RuntimeError):
    """A run folder that cannot be used; the message says what to do about it."""


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a full disk or a crash leaves the previous one intact.

    Parameters
    ----------
    path : Path
        Target.
    data : bytes
        Whole content.

    Raises
    ------
    RunError
        If the system refuses, for instance because the disk is full.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise refused(path, error) from error
        raise


def write_json(path: Path, content: Any) -> None:
    """Write JSON without NaN, atomically."""
    text = json.dumps(content, indent=2, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON, or say which file is broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{path} not found: {path.parent} holds no finished run."
        ) from None
    except ValueError as error:
        raise RunError(
            f"{path} is not readable JSON ({error}). Restore the file, or start over "
            "with restart=True (--restart)."
        ) from error


def refused(path: Path, error: OSError) -> RunError:
    return RunError(
        f"{path} could not be written: {error.strerror or error}. What was saved "
        "before is intact; make room and give the same command again to go on from "
        "there."
    )
