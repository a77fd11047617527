"""Files that are whole or not there, and what to say when they are not."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any


class RunError(RuntimeError):
    """A run folder that cannot be used; the message says what to do about it."""


def checked_path(value: Any, name: str) -> Path:
    """A path, or an error for what no file can be called.

    Parameters
    ----------
    value : str or path
        What was given.
    name : str
        What messages call it.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    TypeError, ValueError
        For other types, an empty text, or characters that no name of a file has.
    """
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"{name}={value!r}: expected a path as text or a Path.")
    text = os.fspath(value)
    if text == "~" or text.startswith(("~/", "~\\")):
        raise ValueError(
            f"{name}={text!r}: only shells know what ~ is. Give the whole path, for "
            "instance Path(...).expanduser()."
        )
    try:
        if text and b"\0" not in os.fsencode(text):
            return Path(text)
    except UnicodeEncodeError:  # half of a pair of code units
        pass
    raise ValueError(
        f"{name}={text!r}: expected a path; it must not be empty and must hold no "
        "null character."
    )


def check_name(name: str) -> str:
    """A name that becomes a folder inside another, and cannot lead out of it."""
    wrong = not name or name in (".", "..") or any(c in name for c in "/\\\0:")
    if wrong or name != name.strip():
        raise ValueError(
            f"{name!r} names a folder: expected no /, \\, :, null character or space "
            "around it."
        )
    return name


def check_home(
    folder: Path, ours: Collection[str] = (), marker: str = "*", what: str = "run"
) -> None:
    """Refuse a folder that cannot be written, or that holds what is not ours.

    Nothing is changed.

    Parameters
    ----------
    folder : Path
        Where results are to go.
    ours : collection of str
        Names that may be there before the first result is.
    marker : str, default="*"
        Pattern of a file that makes the folder ours, whatever else is in it; by default
        any file does.
    what : str, default="run"
        What messages call the results.

    Raises
    ------
    RunError
        With what is in the way.
    """
    found = folder
    try:
        while not _there(found) and found != found.parent:
            found = found.parent
        with tempfile.TemporaryFile(dir=found):  # leaves no name behind
            pass
        names = os.listdir(folder) if found == folder else []
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written: {error.strerror or error} ({found}). Choose "
            "another folder."
        ) from error
    strangers = sorted(
        n for n in names if n not in ours and not n.endswith((".tmp", ".lock"))
    )
    if strangers and not any(folder.glob(marker)):
        raise RunError(
            f"{folder} holds {', '.join(strangers[:3])} but no {what} ({marker}). "
            "Choose an empty or a new folder."
        )


def _there(path: Path) -> bool:
    """Whether something has this name; OSError if nothing can have it."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


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
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{path} is not readable JSON ({error}). Restore the file, or start over "
            "with restart=True (--restart)."
        ) from error


def damaged(path: Path, why: Any) -> RunError:
    return RunError(
        f"{path} is damaged or no file of a run ({type(why).__name__}: {why}). Restore "
        "it, or start over with restart=True (--restart)."
        if isinstance(why, Exception)
        else f"{path} is damaged: {why}. Restore it, or start over with restart=True "
        "(--restart)."
    )


def refused(path: Path, error: OSError) -> RunError:
    return RunError(
        f"{path} could not be written: {error.strerror or error}. What was saved "
        "before is intact; make room and give the same command again to go on from "
        "there."
    )
