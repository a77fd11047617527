"""All checks of a result by name, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from kldiv._trust._estimates import (
    below_zero,
    beyond_evidence,
    candidates_apart,
    contradicted,
    less_proven,
    low_coverage,
    misfit,
    more_proven,
    no_interval,
    no_standard_error,
    restless_weights,
    single_rows,
    wide_interval,
)
from kldiv._trust._outcome import Check, Outcome
from kldiv._trust._samples import (
    beyond_support,
    dependent_rows,
    few_effective_rows,
    few_rows,
    other_scale,
)
from kldiv._warnings import TRUST, Note, TrustWarning


def notes_of(outcome: Outcome, names: Sequence[str] | None = None) -> tuple[Note, ...]:
    """What stands against a result, in the order of ``NOTES``, or of some `names`."""
    notes = []
    told = any(note.category is not None for note in outcome.facts["notes"])
    for name in NOTES if names is None else names:
        check = NOTES[name]
        said = check.look(outcome)
        if said is not None:
            severity, text = said
            loud = check.warns and severity == TRUST[-1] and not told
            category = TrustWarning if loud else None
            notes.append(Note(text, category, severity, name))
    return tuple(notes)


def verdict(notes: tuple[Note, ...]) -> str:
    """The worst that the notes say."""
    return max((note.severity for note in notes), key=TRUST.index, default=TRUST[0])


#: What is checked of every result. The verdict is the worst of what they say.
NOTES: dict[str, Check] = {
    "few rows": Check(
        "rows of the smaller sample",
        "below 50: caution; below 20, or not two more than columns: do not use",
        few_rows,
    ),
    "uneven weights": Check(
        "effective rows (Kish) of the smaller weighted sample",
        "below 50: caution; below 20, or not two more than columns: do not use",
        few_effective_rows,
    ),
    "restless weights": Check(
        "variance of log weights that means over neighbours do not see, halved",
        "above 0.05 nat, where the nearest row surely says more: caution",
        restless_weights,
    ),
    "low coverage": Check("coverage", "below 0.5: caution", low_coverage),
    "another scale": Check(
        "distance and ratio of the interquartile ranges of a column",
        "above 100: do not use",
        other_scale,
        warns=True,
    ),
    "beyond the support": Check(
        "rows of X beyond an edge at which the rows of Y lie densely",
        "2 % of those of X, at least 10: do not use; 1 % in gaps of Y: caution",
        beyond_support,
    ),
    "dependent rows": Check(
        "rank correlation of rows with the next row beyond the exclusion window",
        "above 0.2 and five standard errors: caution; above 0.5: do not use",
        dependent_rows,
    ),
    "candidates apart": Check(
        "estimates that evidence leaves: spread, and largest at rows unseen",
        "above 0.1 nat and 20 % of the value; 1 nat and 100 % above it: caution",
        candidates_apart,
    ),
    "single rows": Check(
        "log ratio of a row against those of the others",
        "20 interquartile ranges away, and the mean by 0.05 nat and 5 %: caution",
        single_rows,
    ),
    "misfit": Check(
        "log masses of references against rows in balls, both samples added up",
        "above 0.25 nat and half of the value: caution",
        misfit,
    ),
    "more is proven": Check(
        "lower confidence limit from rows unseen against the interval",
        "above its upper end: do not use",
        more_proven,
    ),
    "less is proven": Check(
        "lower end of the interval against the limit from rows unseen",
        "above 1 nat and four times that: caution; if nothing is proven: do not use",
        less_proven,
    ),
    "beyond the evidence": Check(
        "value in nats against the log of the rows of Y",
        "above: caution; above ten times that: do not use",
        beyond_evidence,
        warns=True,
    ),
    "below zero": Check(
        "upper end of the interval; value",
        "below 0; below -1: do not use",
        below_zero,
        warns=True,
    ),
    "wide interval": Check(
        "standard error",
        "above 0.5 and half of the value: caution; above 5 as well: do not use",
        wide_interval,
    ),
    "contradicted": Check(
        "interval against the permutation p-value",
        "interval above 0.1 nat although p is above 0.1: caution",
        contradicted,
    ),
    "no interval": Check(
        "whether noise in the density ratios moves the value",
        "where it does, a standard error but no interval is given: caution",
        no_interval,
    ),
    "no standard error": Check(
        "whether the standard error that was asked for could be had",
        "if not: caution",
        no_standard_error,
    ),
}
