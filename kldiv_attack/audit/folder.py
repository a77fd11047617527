"""The folder of an audit: what it keeps, and when it may be used again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kldiv_attack.audit.result import write_text

CONFIG = "audit.json"
_OURS = (CONFIG, "answers", "report.json", "report.md", "report.html")


class FolderError(RuntimeError):
    """A folder that cannot be used; the message says what to do about it."""


def open_folder(
    folder: Path, settings: Mapping[str, Any], *, resume: bool, restart: bool
) -> None:
    """Create the folder, or make sure that going on in it is meant.

    Parameters
    ----------
    folder : Path
        The folder.
    settings : mapping
        What the answers depend on; an audit goes on only where it is the same.
    resume : bool
        Use the answers that the folder keeps.
    restart : bool
        Throw away what it keeps of an unfinished audit.

    Raises
    ------
    FolderError
        If it cannot be written, holds other files, an unfinished audit without
        `resume` or `restart`, or one of other settings with `resume`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe.tmp"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise FolderError(
            f"{folder} cannot be written: {error.strerror or error}."
        ) from error
    config = folder / CONFIG
    strangers = sorted(
        p.name for p in folder.iterdir() if p.name not in _OURS and p.suffix != ".tmp"
    )
    if not config.exists() and strangers:
        raise FolderError(
            f"{folder} holds {', '.join(strangers[:3])} but no audit; choose an empty "
            "or a new folder."
        )
    if config.exists():
        _check(folder, settings, resume=resume, restart=restart)
    if not resume:
        shutil.rmtree(folder / "answers", ignore_errors=True)
    for name in ("report.json", "report.md", "report.html"):
        (folder / name).unlink(missing_ok=True)
    write_text(config, json.dumps(dict(settings), indent=2, ensure_ascii=False) + "\n")


def _check(
    folder: Path, settings: Mapping[str, Any], *, resume: bool, restart: bool
) -> None:
    finished = (folder / "report.json").exists()
    if not resume:
        if finished or restart or not (folder / "answers").is_dir():
            return
        raise FolderError(
            f"{folder} holds an audit that was interrupted: --resume goes on, "
            "--restart throws its answers away."
        )
    try:
        stored = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise FolderError(f"{folder / CONFIG} is damaged; give --restart.") from error
    changed = sorted(
        k for k in {*stored, *settings} if stored.get(k) != settings.get(k)
    )
    if changed:
        raise FolderError(
            f"{folder} holds an audit with another {', '.join(changed)}; choose "
            "another folder, or give --restart."
        )
