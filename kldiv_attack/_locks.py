"""One process in a folder at a time; a lock dies with the process that holds it."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from kldiv_attack._files import RunError, refused

#: Name of the lock; a file of this name says nothing once its process is gone.
LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if it is missing.

    Parameters
    ----------
    folder : Path
        The folder.

    Raises
    ------
    RunError
        If another process, or another thread of this one, works in the folder, or if
        the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _taken(folder / LOCK)
    except OSError as error:
        raise refused(folder, error) from error
    if handle is None:
        raise _in_use(folder)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK).unlink()  # while it is held, so that nobody else has it
        os.close(handle)


def refuse_if_locked(folder: Path) -> None:
    """Raise RunError if another process works in a folder; nothing is changed."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR)
    except OSError:  # no lock, or none that can be held here
        return
    held = not _lock(handle)
    os.close(handle)
    if held:
        raise _in_use(folder)


def _in_use(folder: Path) -> RunError:
    return RunError(
        f"{folder} is in use by {_holder(folder / LOCK)}. Wait until it has ended, "
        "or choose another folder; nothing was changed."
    )


def _taken(path: Path) -> int | None:
    """An open file that is locked and still has this name; None if it is held."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _lock(handle):
            os.close(handle)
            return None
        try:
            if os.path.samestat(os.stat(path), os.fstat(handle)):
                os.ftruncate(handle, 0)
                os.write(handle, f"process {os.getpid()}".encode())
                return handle
        except FileNotFoundError:  # its last holder removed it
            pass
        os.close(handle)


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except (OSError, ValueError):  # Windows does not read what is locked
        return "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
