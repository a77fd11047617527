"""How a report answers section C11.2 of OWASP's AI Security Verification Standard."""

from __future__ import annotations

from typing import Any


def answers_to_owasp(report: Any) -> list[tuple[str, str, str]]:
    """Number, what is asked, and what the report says about it.

    Parameters
    ----------
    report : AuditReport
        What was found.

    Returns
    -------
    list of tuple of str
        Requirements 11.2.1 to 11.2.5 of version 1.0, in our own words.
    """
    return [
        (
            "11.2.1",
            "Does the model give away sensitive attributes that it has inferred?",
            "Not measured here: the audit looks at what answers say about training "
            "rows, not at what they say about the person who is asked about.",
        ),
        ("11.2.2", "Are rate limits sized by what an attack needs?", _limits(report)),
        ("11.2.3", "Are answers calibrated, not overconfident?", _calibration(report)),
        (
            "11.2.4",
            "Was sensitive data trained on with differential privacy?",
            "Not visible from outside. Audit the model beside one trained with it "
            "(--victim plain=... --victim dp=...) to see what it changed.",
        ),
        (
            "11.2.5",
            "Does a membership attack do no better than guessing?",
            _guess(report),
        ),
    ]


def _limits(report: Any) -> str:
    full = [c for c in report.curves if c.measure == "agreement"]
    if not full:
        return "Not measured."
    found = [f"{c.enough:,} queries with {c.told}" for c in full]
    return (
        "Nine tenths of what all auxiliary rows teach a copy of the model are reached "
        f"with {', '.join(found)}. A limit per principal that is to matter must lie "
        "below."
    )


def _calibration(report: Any) -> str:
    found = [
        f"{v.name} {v.calibration:.3f}"
        for v in report.victims
        if v.calibration is not None
    ]
    if not found:
        return "Not measured: the answers hold no probabilities for labelled rows."
    return f"Expected calibration error: {', '.join(found)}."


def _guess(report: Any) -> str:
    if not report.membership:
        return "Not measured: it needs --held-out."
    parts = []
    for m in report.membership:
        word = "better than guessing" if m.auc_low > 0.5 else "no better than guessing"
        parts.append(
            f"{m.victim}, {m.attack}: area {m.auc:.3f} ({m.auc_low:.3f} to "
            f"{m.auc_high:.3f}), {word}"
        )
    return "; ".join(parts) + ". Both attacks are baselines: stronger ones exist."
