"""What an estimate, and how it was obtained, says against itself."""

from __future__ import annotations

import numpy as np

from kldiv._trust._outcome import Outcome

_LOW_COVERAGE = 0.5
_APART, _RELATIVELY_APART, _CLAIMS_MORE = 0.1, 0.2, 1.0
_NO_DIFFERENCE = 0.1
_MISFIT, _RELATIVE_MISFIT = 0.25, 0.5
# Times what the rows can prove; nats below zero that are no chance.
_FAR_BEYOND, _FAR_BELOW = 10.0, -1.0
# Nats, and times what unseen rows prove, that an estimate may claim.
_CLAIMS, _TIMES_PROVEN = 1.0, 4.0
# Nats that means of neighbouring weights miss.
_RESTLESS = 0.05
_WIDE, _RELATIVELY_WIDE, _VERY_WIDE = 0.5, 0.5, 5.0


def low_coverage(outcome: Outcome) -> tuple[str, str] | None:
    coverage = outcome.facts["coverage"]
    if coverage >= _LOW_COVERAGE:
        return None
    return "caution", (
        f"only {coverage:.0%} of the rows of X have a row of Y among their own "
        "neighbours: where the samples do not overlap the value is an extrapolation."
    )


def candidates_apart(outcome: Outcome) -> tuple[str, str] | None:
    """Candidates that evidence cannot tell apart, and that differ."""
    claimed, value = outcome.doubts.get("claimed", -np.inf), outcome.facts["value"]
    if claimed > value + max(_CLAIMS_MORE, abs(value)):
        return "caution", (
            f"another estimate, which rows unseen do not refute, says {claimed:.1f} "
            "nats: distributions that far apart can look like these samples."
        )
    if not outcome.candidates:
        return None
    names, weights, values = zip(*outcome.candidates, strict=True)
    centre = float(np.dot(weights, values))
    spread = float(np.sqrt(np.dot(weights, (np.array(values) - centre) ** 2)))
    if spread <= max(_APART, _RELATIVELY_APART * abs(centre)):
        return None
    each = ", ".join(f"{n} {value:.2f}" for n, value in zip(names, values, strict=True))
    return "caution", (
        f"the data do not say which of several estimates is right ({each} nats); the "
        "value is their mean, and the standard error holds their spread."
    )


def single_rows(outcome: Outcome) -> tuple[str, str] | None:
    if not outcome.doubts.get("held"):
        return None
    return "caution", (
        "single rows of X lie so far out that each would decide the value, and were "
        "held back: in tails as heavy as these may be more of the divergence than the "
        "sample shows."
    )


def restless_weights(outcome: Outcome) -> tuple[str, str] | None:
    missed = outcome.doubts.get("restless", 0.0)
    if missed <= _RESTLESS:
        return None
    return "caution", (
        "weights rise and fall between neighbouring rows: means over neighbours miss "
        f"about {missed:.2f} nats of what they say. Bring more rows, or weights that "
        "vary less."
    )


def misfit(outcome: Outcome) -> tuple[str, str] | None:
    """References that the rows in balls contradict (mean log masses about zero)."""
    misfit, value = outcome.doubts.get("misfit", 0.0), outcome.facts["value"]
    if misfit <= max(_MISFIT, _RELATIVE_MISFIT * abs(value)):
        return None
    return "caution", (
        f"the fitted references are off by {misfit:.2f} nats in the balls around the "
        "rows, which correct only part of it where columns are many."
    )


def more_proven(outcome: Outcome) -> tuple[str, str] | None:
    interval = outcome.facts.get("confidence_interval")
    proven = outcome.doubts.get("proven", -np.inf)
    if interval is None or proven <= interval[1]:
        return None
    return "do not use", (
        f"rows that no fit has seen prove at least {proven:.2f} nats, and the interval "
        f"ends at {interval[1]:.2f}: the estimate is too small."
    )


def less_proven(outcome: Outcome) -> tuple[str, str] | None:
    interval = outcome.facts.get("confidence_interval")
    proven = outcome.doubts.get("proven", -np.inf)
    if interval is None or proven == -np.inf or beyond_evidence(outcome):
        return None
    if interval[0] <= max(_CLAIMS, _TIMES_PROVEN * proven):
        return None
    severity = "do not use" if proven <= 0 else "caution"
    return severity, (
        f"the interval begins at {interval[0]:.2f} nats, and rows that no fit has seen "
        f"prove no more than {max(proven, 0):.2f}: the estimate may claim too much."
    )


def beyond_evidence(outcome: Outcome) -> tuple[str, str] | None:
    most = float(np.log(len(outcome.Y)))
    value = outcome.facts["value"]
    fitted = outcome.in_nats and outcome.facts.get("correction") is not None
    if not (fitted and most < value < np.inf):
        return None
    said = (
        f"{value:.4g} nats are more than {len(outcome.Y)} rows of Y can prove "
        f"(about {most:.1f}): beyond, the value is what a fitted model says"
    )
    if value <= _FAR_BEYOND * most:
        return "caution", f"{said}."
    return "do not use", f"{said} of places where it has seen no row."


def below_zero(outcome: Outcome) -> tuple[str, str] | None:
    interval = outcome.facts.get("confidence_interval")
    if interval is not None and interval[1] < 0:
        return "do not use", (
            f"the whole interval ({interval[0]:.2f}, {interval[1]:.2f}) lies below "
            "zero, which no divergence does: the estimate is biased here."
        )
    value = outcome.facts["value"]
    if value >= _FAR_BELOW:
        return None
    return "do not use", (
        f"the value is {value:.4g}, and no divergence is below zero: it is off by at "
        "least as much."
    )


def wide_interval(outcome: Outcome) -> tuple[str, str] | None:
    error, value = outcome.facts.get("standard_error"), outcome.facts["value"]
    if error is None or error <= max(_WIDE, _RELATIVELY_WIDE * abs(value)):
        return None
    severity = "do not use" if error > _VERY_WIDE else "caution"
    return severity, (
        f"the standard error is {error:.4g}, and the value {value:.4g}: the samples "
        "hardly say how large the divergence is."
    )


def contradicted(outcome: Outcome) -> tuple[str, str] | None:
    pvalue, interval = (
        outcome.facts.get(name) for name in ("pvalue", "confidence_interval")
    )
    if pvalue is None or interval is None:
        return None
    if pvalue <= _NO_DIFFERENCE or interval[0] <= _NO_DIFFERENCE:
        return None
    return "caution", (
        f"the interval begins at {interval[0]:.2f} nats, but a permutation test sees "
        f"no difference (p = {pvalue:.2f})."
    )


def no_interval(outcome: Outcome) -> tuple[str, str] | None:
    known = outcome.facts.get("standard_error") is not None
    if not known or outcome.facts.get("confidence_interval") is not None:
        return None
    return "caution", (
        "there is no interval: the formula takes noise in the density ratios for "
        "divergence, and the value is off by an amount that is not known. Compare "
        "values of equal sizes, or measure where nothing differs."
    )


def no_standard_error(outcome: Outcome) -> tuple[str, str] | None:
    if not outcome.level_asked or outcome.facts.get("standard_error") is not None:
        return None
    return "caution", (
        "there is no standard error: a sample has fewer than five groups of "
        "n_neighbors + 1 rows, or the divergence has none."
    )
