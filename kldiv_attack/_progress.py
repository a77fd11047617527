"""Progress of long work: one line that refreshes, or in logs one line a minute."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm as _plain
from tqdm.auto import tqdm as _auto

#: Seconds between two lines of a log.
LOG_SECONDS = 60.0


_FORMAT = "{desc}: {n_fmt} of {total_fmt}, {elapsed} passed, {remaining} left{postfix}"


class _Lines(_plain):  # type: ignore[misc]
    """A bar for files: a whole line, with what is done and left, a minute apart.

    Nothing is written of work that takes less.
    """

    disable: bool

    def __init__(self, *args: Any, **options: Any) -> None:
        self._begun = self._written = time.monotonic()
        super().__init__(*args, **options, bar_format=_FORMAT)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Write a line if the last one is a minute old."""
        del pos
        now = time.monotonic()
        if now - self._written >= LOG_SECONDS:
            self._write(str(self) if msg is None else msg)
        return True

    def close(self) -> None:
        """Write a last line, if there was another before it."""
        if not self.disable:
            self.disable = True
            self._decr_instances(self)
            if self._written > self._begun:
                self._write(str(self))

    def _write(self, line: str) -> None:
        self._written = time.monotonic()
        self.fp.write(line.strip() + "\n")
        self.fp.flush()

    def moveto(self, n: int) -> None:
        """Bars below each other would need a terminal."""
        del n

    def clear(self, nolock: bool = False) -> None:
        """What is in a file stays there."""
        del nolock


def progress(iterable: Any = None, **options: Any) -> Any:
    """A bar of tqdm: in a terminal or notebook as always, else a line a minute.

    Parameters
    ----------
    iterable : iterable, optional
        What is gone through.
    **options
        As for :class:`tqdm.tqdm`.

    Returns
    -------
    tqdm
        The bar.
    """
    in_notebook = any(one.__module__ == "tqdm.notebook" for one in _auto.__mro__)
    if options.get("disable") or in_notebook or sys.stderr.isatty():
        return _auto(iterable, **options)
    return _Lines(iterable, **options)
