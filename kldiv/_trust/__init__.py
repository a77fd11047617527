"""How far a result can be trusted: what is checked, and the verdict.

Every check is an entry of ``NOTES``: what it measures, its threshold, what it says, and
how bad that is. The verdict of a result is the worst of its notes.
"""

from kldiv._trust._notes import NOTES, notes_of, verdict
from kldiv._trust._outcome import Check, Outcome
from kldiv._warnings import TRUST

__all__ = ["NOTES", "TRUST", "Check", "Outcome", "notes_of", "verdict"]
