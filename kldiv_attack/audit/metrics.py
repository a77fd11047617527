"""What a gate can be set on, read off a report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import norm

from kldiv_attack._shares import wilson
from kldiv_attack.audit.held_out import ALL

#: Victim, sample, class, point, lower end, upper end, and why
#: there is no such number where it is None.
Row = tuple[str, str, str, float | None, float | None, float | None, str]


def _indicator(report: Any, baseline: Any) -> list[Row]:
    """Divergence of a class, in nats; small is exposed."""
    del baseline
    rows: list[Row] = []
    for table in report.tables:
        for c, label in enumerate(table.classes):
            value = table.value("kl", c)
            low, high = table.value("kl_low", c), table.value("kl_high", c)
            why = ""
            if not table.evaluable(c):
                against = " ".join(table.notes.get(label, {}).values())
                why = table.reasons.get(label) or against or "no score"
                value = low = high = None
            rows.append((table.name, table.aux, label, value, low, high, why))
    return rows


def _change(report: Any, baseline: Any) -> list[Row]:
    """Change of the divergence against a stored report, in nats."""
    if baseline is None:
        raise ValueError("metric 'change' needs a stored report: --baseline FILE.")
    stored = {(t.name, t.aux): t for t in baseline.tables}
    rows: list[Row] = []
    for table in report.tables:
        before = stored.get((table.name, table.aux))
        for c, label in enumerate(table.classes):
            value = low = high = None
            why = "the stored report holds no such victim, auxiliary sample and class"
            if before is not None and label in before.classes:
                value, low, high, why = _difference(table, c, before, label)
            rows.append((table.name, table.aux, label, value, low, high, why))
    return rows


def _difference(table: Any, c: int, before: Any, label: str) -> tuple[Any, ...]:
    b = before.classes.index(label)
    if not (table.evaluable(c) and before.evaluable(b)):
        return None, None, None, "one of the two reports has no score for it"
    value = table.value("kl", c) - before.value("kl", b)
    if table.digests and table.digests[c] == (before.digests or [None] * (b + 1))[b]:
        return value, value, value, ""  # the same rows: nothing is drawn anew
    errors = [t.value("standard_error", i) for t, i in ((table, c), (before, b))]
    if None in errors:
        return value, None, None, "one of the two reports has no standard error for it"
    reach = float(norm.ppf(0.975) * np.hypot(*errors))
    return value, value - reach, value + reach, ""


def _coverage(report: Any, baseline: Any) -> list[Row]:
    """Share of training rows with an auxiliary row as near as their own neighbours."""
    del baseline
    rows: list[Row] = []
    for table in report.tables:
        for c, label in enumerate(table.classes):
            share, n = table.value("coverage", c), table.value("n_train", c)
            if share is None or not n:
                why = table.reasons.get(label, "no coverage")
                rows.append((table.name, table.aux, label, None, None, None, why))
            else:
                ends = wilson(share, int(n))
                rows.append((table.name, table.aux, label, share, *ends, ""))
    return rows


def _leaked(report: Any, baseline: Any) -> list[Row]:
    """Training rows that are in an auxiliary sample."""
    del baseline
    return [
        ("", leak.aux, label, count, count, count, "")
        for leak in report.leaks
        for label, count in zip(
            report.classes, [0 if leak.chance else n for n in leak.counts], strict=True
        )
    ]


def _held_out(report: Any, baseline: Any) -> list[Row]:
    """Coverage of training rows minus that of held-out rows."""
    del baseline
    rows: list[Row] = []
    for table in report.held_out:
        columns = zip(
            table.classes, table.difference, table.low, table.high, strict=True
        )
        for label, value, low, high in columns:
            why = "" if value is not None else "too few held-out rows"
            rows.append((table.victim, table.aux, label, value, low, high, why))
    return rows


def _membership(report: Any, baseline: Any) -> list[Row]:
    """Area under the curve of the membership baselines; 0.5 is guessing."""
    del baseline
    return [
        (m.victim, m.attack, ALL, m.auc, m.auc_low, m.auc_high, "")
        for m in report.membership
    ]


def _attack(report: Any, baseline: Any) -> list[Row]:
    """Share of reconstructions that the judge puts into the class."""
    del baseline
    rows: list[Row] = []
    for outcome in report.attacks:
        table = outcome.tables["attack"]
        for c, label in enumerate(table.classes):
            ends = [table.value(f"accuracy{end}", c) for end in ("", "_low", "_high")]
            why = "" if ends[0] is not None else table.reasons.get(label, "no images")
            where = f"{outcome.attack}, {outcome.aux}"
            rows.append((outcome.name, where, label, ends[0], ends[1], ends[2], why))
    return rows


#: Metric to the function that reads it off a report. Nothing else can be gated on.
METRICS: dict[str, Callable[[Any, Any], list[Row]]] = {
    "attack_accuracy": _attack,
    "change": _change,
    "coverage": _coverage,
    "held_out_difference": _held_out,
    "kl": _indicator,
    "leaked_rows": _leaked,
    "membership_auc": _membership,
}
