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
from kldiv_attack._files import RunError, read_json, refused, write_atomic, write_json

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
        If the folder holds something else: files of another kind, a run of another
        format or code version, or other settings.
    """
    if restart:
        _discard(folder)
    if not (folder / "config.json").exists():
        strangers = [p.name for p in folder.glob("*") if p.suffix != ".tmp"]
        if set(strangers) - {"models"}:
            raise RunError(
                f"{folder} holds {', '.join(sorted(strangers)[:3])} but no run "
                "(config.json). Choose an empty or a new folder."
            )
        write_json(
            folder / "config.json",
            {
                "format_version": FORMAT_VERSION,
                "code_version": __version__,
                "config": config,
            },
        )
        return False
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
    return finished


def check_format(folder: Path) -> dict[str, Any]:
    """Read config.json of a run and refuse a folder of another format."""
    stored = read_json(folder / "config.json")
    version = stored.get("format_version") if isinstance(stored, dict) else None
    if version != FORMAT_VERSION:
        raise RunError(
            f"{folder} was written in run format {version}, this version reads "
            f"{FORMAT_VERSION}. Read it with the kldiv that wrote it, choose another "
            "folder, or start over with restart=True (--restart)."
        )
    return dict(stored)


def _discard(folder: Path) -> None:
    """Remove the files of a run and nothing else."""
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    for pattern in ("samples/step_*.png", "figures/*.png"):
        for path in folder.glob(pattern):
            path.unlink()
        with contextlib.suppress(OSError):  # not there, or something else is in it
            (folder / pattern).parent.rmdir()


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
        if not self.checkpoint.exists():
            self._forget_after(0)
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
        self._forget_after(size)
        return step, tensors, extra

    def _metrics_size(self) -> int:
        return self.metrics.stat().st_size if self.metrics.exists() else 0

    def _forget_after(self, size: int) -> None:
        if self._metrics_size() > size:
            os.truncate(self.metrics, size)
