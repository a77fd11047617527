"""What an audit keeps of an attack, so that an interrupted one goes on."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._files import damaged, write_atomic
from kldiv_attack.audit.paths import load_array

#: Folder below that of the audit.
HOME = "attacks"
_STEPS_BETWEEN = 100


class AttackFolder:
    """Folder of one attack on one victim: its checkpoint, then what it made.

    Parameters
    ----------
    folder : Path
        Folder of the audit.
    settings : mapping
        All that the outcome depends on; another attack has another folder.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        text = json.dumps(settings, sort_keys=True, default=str)
        mark = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.folder = folder / HOME / f"{settings['attack']}-{mark}"
        self.made = self.folder / "reconstructions.npz"

    def recorder(self) -> Any:
        """Where the attack keeps its checkpoints."""
        from kldiv_attack._run_folder import RunRecorder

        self.folder.mkdir(parents=True, exist_ok=True)
        return RunRecorder(self.folder, _STEPS_BETWEEN)

    def finished(self) -> tuple[NDArray[np.float32], int] | None:
        """Reconstructions and queries, if the attack came to its end."""
        if not self.made.exists():
            return None
        try:
            stored = load_array(self.made)
            return stored["images"], int(stored["queries"])
        except (ValueError, KeyError, IndexError) as error:
            raise damaged(self.made, error) from error

    def finish(self, images: NDArray[np.float32], queries: int) -> None:
        """Keep what the attack made; its checkpoint is not needed any more."""
        stream = io.BytesIO()
        np.savez(stream, images=images, queries=np.int64(queries))
        write_atomic(self.made, stream.getvalue())
        (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)


def forget(folder: Path) -> None:
    """Delete what an audit keeps of its attacks."""
    shutil.rmtree(folder / HOME, ignore_errors=True)
