"""Notes of results, sorted."""

from __future__ import annotations


def warned(result):
    """Notes that were warnings as well: what is said besides the checks of trust."""
    return [note for note in result.notes if note.category is not None]
