"""The folder of an audit: what it keeps, and when it may be used again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kldiv_attack._files import RunError, check_home
from kldiv_attack.audit.attack_folder import forget
from kldiv_attack.audit.result import write_text

CONFIG = "audit.json"


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
        Use the answers that the folder keeps, and go on with its attacks.
    restart : bool
        Throw away what it keeps of an unfinished audit.

    Raises
    ------
    RunError
        As :func:`check_folder`, before anything is changed.
    """
    check_folder(folder, settings, resume=resume, restart=restart)
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        shutil.rmtree(folder / "answers", ignore_errors=True)
        forget(folder)
    for name in ("report.json", "report.md", "report.html"):
        (folder / name).unlink(missing_ok=True)
    write_text(
        folder / CONFIG, json.dumps(dict(settings), indent=2, ensure_ascii=False) + "\n"
    )


def check_folder(
    folder: Path, settings: Mapping[str, Any], *, resume: bool, restart: bool
) -> None:
    """Refuse a folder that :func:`open_folder` cannot use; nothing is changed.

    Raises
    ------
    RunError
        If it cannot be written, holds other files, an unfinished audit without
        `resume` or `restart`, or one of other settings with `resume`.
    """
    check_home(folder, marker=CONFIG, what="audit")
    if (folder / CONFIG).exists():
        _check(folder, settings, resume=resume, restart=restart)


def is_interrupted(folder: Path) -> bool:
    """Whether a folder keeps answers of an audit that did not end.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    bool
        False also where there is no audit.
    """
    begun = (folder / CONFIG).exists() and (folder / "answers").is_dir()
    return begun and not (folder / "report.json").exists()


def _check(
    folder: Path, settings: Mapping[str, Any], *, resume: bool, restart: bool
) -> None:
    if not resume:
        if restart or not is_interrupted(folder):
            return
        raise RunError(
            f"{folder} holds an audit that was interrupted: --resume goes on, "
            "--restart throws its answers away."
        )
    try:
        stored = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{folder / CONFIG} is damaged; give --restart.") from error
    changed = sorted(
        k for k in {*stored, *settings} if stored.get(k) != settings.get(k)
    )
    if changed:
        raise RunError(
            f"{folder} holds an audit with another {', '.join(changed)}; choose "
            "another folder, or give --restart."
        )
