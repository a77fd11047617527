"""What the process says, and standard streams that lead nowhere."""

import io
import os
import sys
from unicodedata import bidirectional, category

EXPLAINED = (ValueError, TypeError, RuntimeError, OSError, ImportError, MemoryError)
# Classes of characters that change the direction of those behind them.
_TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
INSTALL = 'python -m pip install "kldiv[attack,plot]"'


def open_streams() -> None:
    """Let streams that the caller has closed lead nowhere; they are no error."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w")))


def write_out(text: str) -> None:
    """Write to standard output, unless whoever reads it has seen enough.

    Parameters
    ----------
    text : str
        A line without its end.
    """
    try:
        sys.stdout.write(_visible(text) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _forget()
    except OSError as error:
        _forget()
        raise RuntimeError(
            f"standard output could not be written: {error.strerror}."
        ) from error


def _forget() -> None:
    """Drop what was not written, which Python would try again when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str, code: int) -> int:
    """Write a line to standard error and return the exit code."""
    sys.stderr.write(_visible(text) + "\n")
    return code


def _visible(text: str) -> str:
    """The text without what would steer a terminal: names come from anybody's data."""
    return "".join("?" if _steers(c) else c for c in text)


def _steers(c: str) -> bool:
    """Whether a character is none that is seen, or turns the others around."""
    hidden = category(c) in ("Cc", "Cs") and c not in "\n\t"
    return hidden or bidirectional(c) in _TURNS


def explanation(error: BaseException) -> str:
    """One line that says what to do."""
    text = " ".join(str(error).split())
    if not isinstance(error, EXPLAINED):
        return (
            f"{type(error).__name__}: {text}. This should not happen; --traceback "
            "shows where it did."
        )
    if isinstance(error, MemoryError):
        return text or "not enough memory for data of this size"
    if isinstance(error, ImportError) and "pip install" not in text:
        return f"{text}. Install it with {INSTALL}."
    return text or type(error).__name__
