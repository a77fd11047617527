"""One run is one folder: what is in it, and how it is written and read back."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from kldiv import PerClassReport, __version__
from kldiv_attack._figures import grid_png
from kldiv_attack._files import (
    RunError,
    check_home,
    damaged,
    read_json,
    refused,
    write_atomic,
    write_json,
)

#: Raised when the layout of a run folder changes.
FORMAT_VERSION = 1


# Files of a run, in the order in which they appear.
_FILES = (
    "config.json",
    "indicator.json",
    "metrics.jsonl",
    "checkpoint.safetensors",
    "images.safetensors",
    "results.json",
    "report.md",
    "report.html",
)


# Settings that may differ between two calls that mean the same run.
_FREE = ("root", "verbose", "device")


def look_into(
    folder: Path, config: Mapping[str, Any], *, restart: bool = False
) -> bool | None:
    """Whether a folder holds this run, finished or not; nothing is changed.

    Parameters
    ----------
    folder : Path
        The run folder.
    config : mapping
        Every setting of the run, as JSON values.
    restart : bool, default=False
        Whether what the folder holds of an earlier run is to be thrown away.

    Returns
    -------
    bool or None
        Whether the run is finished already; None where none was begun.

    Raises
    ------
    RunError
        If the folder holds something else: files of another kind, a run of another
        format or code version, other settings, or files that cannot be read.
    """
    check_home(folder, ("models",), "config.json")
    if not (folder / "config.json").exists():
        return None
    if restart:
        _check_ours(folder)
        return None
    stored = check_format(folder)
    differences = _differences(stored["config"], config)
    if differences:
        raise RunError(
            f"{folder} holds a run with other settings: {'; '.join(differences[:5])}. "
            "Choose another folder, or start over with restart=True (--restart)."
        )
    finished = (folder / "results.json").exists()
    if not finished and stored["code_version"] != __version__:
        raise RunError(
            f"{folder} holds an unfinished run of kldiv {stored['code_version']}, this "
            f"is {__version__}: one run is not continued by two versions. Go on with "
            "the old version, or start over with restart=True (--restart)."
        )
    if not finished:
        _check_readable(folder)
    return finished


def open_run(folder: Path, config: Mapping[str, Any], *, restart: bool = False) -> bool:
    """Create a run folder, or make sure that it holds the same run.

    Parameters
    ----------
    folder : Path
        The run folder.
    config : mapping
        Every setting of the run, as JSON values.
    restart : bool, default=False
        Throw away what the folder holds of an earlier run.

    Returns
    -------
    bool
        Whether the run is finished already.

    Raises
    ------
    RunError
        As :func:`look_into`, before anything is changed.
    """
    finished = look_into(folder, config, restart=restart)
    if finished is not None:
        return finished
    if restart:
        _discard(folder)
    write_json(
        folder / "config.json",
        {
            "format_version": FORMAT_VERSION,
            "code_version": __version__,
            "config": config,
        },
    )
    return False


def _check_ours(folder: Path) -> None:
    """Refuse to throw away what no run has written."""
    try:
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        ours = isinstance(stored, dict) and "format_version" in stored
    except (OSError, ValueError, RecursionError):
        # Damaged: ours if nothing else is there.
        names = {*_FILES, "models", "samples", "figures", ".lock"}
        ours = not {n for n in os.listdir(folder) if not n.endswith(".tmp")} - names
    if not ours:
        raise RunError(
            f"{folder / 'config.json'} was not written by a run, so nothing here is "
            "thrown away. Choose an empty or a new folder."
        )


def _check_readable(folder: Path) -> None:
    """Find damaged files of an unfinished run before hours are spent on it."""
    if (folder / "indicator.json").exists():
        reports_of(folder / "indicator.json", read_json(folder / "indicator.json"))
    RunRecorder(folder, 1).stored()


def reports_of(path: Path, stored: Any) -> dict[str, PerClassReport]:
    """Reports by name, from the JSON values of a file."""
    try:
        return {k: PerClassReport.from_json(dict(v)) for k, v in stored.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error


def check_format(folder: Path) -> dict[str, Any]:
    """Read config.json of a run and refuse a folder of another format."""
    path = folder / "config.json"
    stored = read_json(path)
    version = stored.get("format_version") if isinstance(stored, dict) else None
    if version != FORMAT_VERSION:
        raise RunError(
            f"{folder} was written in run format {version}, this version reads "
            f"{FORMAT_VERSION}. Read it with the kldiv that wrote it, choose another "
            "folder, or start over with restart=True (--restart)."
        )
    if not isinstance(stored.get("config"), dict) or "code_version" not in stored:
        raise damaged(path, "it lacks config or code_version")
    return dict(stored)


def _discard(folder: Path) -> None:
    """Remove the files of a run and nothing else."""
    for pattern in ("samples/step_*.png", "figures/*.png"):
        for path in folder.glob(pattern):
            path.unlink()
        with contextlib.suppress(OSError):  # not there, or something else is in it
            (folder / pattern).parent.rmdir()
    for name in reversed(_FILES):  # config.json, which makes the folder ours, last
        (folder / name).unlink(missing_ok=True)


def _differences(stored: Any, asked: Any, prefix: str = "") -> list[str]:
    if isinstance(stored, Mapping) and isinstance(asked, Mapping):
        found = []
        for key in sorted({*stored, *asked} - set(_FREE)):
            name = f"{prefix}.{key}" if prefix else key
            found += _differences(
                stored.get(key, "nothing"), asked.get(key, "nothing"), name
            )
        return found
    if stored == asked:
        return []
    return [f"{prefix} is {stored!r} in the folder and {asked!r} in this call"]


def report_to_dict(report: PerClassReport) -> dict[str, Any]:
    """A report as JSON values."""
    return dict(json.loads(report.to_json()))


class RunRecorder:
    """What an attacker writes while it learns; the run folder behind ``recorder``.

    Parameters
    ----------
    folder : Path
        The run folder.
    every : int
        Steps between two checkpoints.
    """

    def __init__(self, folder: Path, every: int) -> None:
        self.folder = folder
        self.every = every
        self.checkpoint = folder / "checkpoint.safetensors"
        self.metrics = folder / "metrics.jsonl"

    def log(self, step: int, **values: float) -> None:
        """Append one line of numbers to metrics.jsonl."""
        line = json.dumps({"step": step, **{k: float(v) for k, v in values.items()}})
        try:
            with open(self.metrics, "a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise refused(self.metrics, error) from error

    def sample(self, step: int, images: NDArray[Any]) -> None:
        """Write reconstructions of shape (classes, n, C, H, W) as one picture."""
        write_atomic(self.folder / f"samples/step_{step:06d}.png", grid_png(images))

    def save(
        self, step: int, tensors: Mapping[str, torch.Tensor], extra: Mapping[str, Any]
    ) -> None:
        """Replace the checkpoint; the old one stays until the new one is complete."""
        from safetensors.torch import save

        data = save(
            {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()},
            metadata={
                "format_version": str(FORMAT_VERSION),
                "step": str(step),
                "metrics_bytes": str(self._metrics_size()),
                "extra": json.dumps(extra),
            },
        )
        write_atomic(self.checkpoint, data)

    def load(self) -> tuple[int, dict[str, torch.Tensor], dict[str, Any]] | None:
        """The last checkpoint, or None before the first.

        Lines that were logged after it are removed: those steps come again.
        """
        found = self.stored()
        self._forget_after(0 if found is None else found[3])
        return None if found is None else found[:3]

    def stored(
        self,
    ) -> tuple[int, dict[str, torch.Tensor], dict[str, Any], int] | None:
        """The last checkpoint and the size of metrics.jsonl then, as they lie."""
        if not self.checkpoint.exists():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.checkpoint, framework="pt") as file:
                metadata = file.metadata() or {}
                names = list(file.keys())
                tensors = {name: file.get_tensor(name).clone() for name in names}
            step, extra = int(metadata["step"]), json.loads(metadata["extra"])
            size = int(metadata["metrics_bytes"])
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise RunError(
                f"{self.checkpoint} cannot be read, it is truncated or damaged "
                f"({error}). Put a copy back, or start over with restart=True "
                "(--restart)."
            ) from error
        if self._metrics_size() < size:
            raise damaged(self.metrics, f"{size} bytes were written")
        return step, tensors, extra, size

    def _metrics_size(self) -> int:
        return self.metrics.stat().st_size if self.metrics.exists() else 0

    def _forget_after(self, size: int) -> None:
        if self._metrics_size() > size:
            os.truncate(self.metrics, size)
