"""Sections of the report on attacks that were run."""

from __future__ import annotations

from typing import Any

from kldiv_attack.audit.blocks import (
    Block,
    Cell,
    Grid,
    Heading,
    Photo,
    Text,
    interval_text,
)
from kldiv_attack.audit.trade_off import trade_off

_ENDS = ("low", "high")


def attacks_section(report: Any) -> list[Block]:
    """Attacks beside their controls."""
    if not report.attacks:
        return []
    parts: list[Block] = [
        Heading("Attack"),
        Text(
            "Share of reconstructions that another classifier than the victim puts "
            "into the class, beside two controls that need no attack: random auxiliary "
            "rows that the victim puts into the class, and those of which it is surest."
        ),
    ]
    parts += _changes(report)
    for i, outcome in enumerate(report.attacks):
        rows: list[list[Cell]] = []
        for c, label in enumerate(outcome.tables["attack"].classes):
            row: list[Cell] = [label]
            attack = outcome.tables["attack"]
            row += [
                attack.value("accuracy", c),
                interval_text(*(attack.value(f"accuracy_{e}", c) for e in _ENDS)),
                attack.value("coverage", c),
            ]
            row += [
                outcome.tables[k].value("accuracy", c) for k in ("random", "confident")
            ]
            rows.append(row)
        header = ["class", "accuracy", "interval", "coverage", "random rows",
                  "surest rows"]  # fmt: skip
        caption = (
            f"{outcome.attack} ({outcome.access}) on {outcome.name}, {outcome.aux}, "
            f"{outcome.queries:,} queries"
        )
        folded = bool(i and report.attack_changes)
        parts.append(Grid(caption, header, rows, folded))
    parts += [Photo(p.png, p.alt, p.caption) for p in report.pictures if not p.private]
    return parts


def _changes(report: Any) -> list[Block]:
    """Success under each defence minus success without it."""
    if not report.attack_changes:
        return []
    overall: list[list[Cell]] = []
    grids: list[Block] = []
    for change in report.attack_changes:
        columns = (change.accuracy, change.accuracy_before, change.difference,
                   change.low, change.high)  # fmt: skip
        overall.append(
            [
                change.title,
                *(column[-1] for column in columns[:3]),
                interval_text(change.low[-1], change.high[-1]),
            ]
        )
        caption = f"{change.title}: change of accuracy per class"
        header = ["class", "with it", "without", "change", "from", "to"]
        rows = [
            [label, *values]
            for label, *values in zip(change.classes, *columns, strict=True)
        ]
        grids.append(Grid(caption, header, rows, folded=True))
    header = ["attack", "success with it", "without", "change", "interval"]
    return [
        Text(
            "Change of attack success against the victim without the defence; below 0 "
            "is a weaker attack. Intervals are paired: both attacks reconstruct from "
            "the same noise. They tell what other noise would give, not what another "
            "training of the attack would."
        ),
        Grid("Change of attack success, mean over classes", header, overall),
        *_figures(report),
        *grids,
    ]


def _figures(report: Any) -> list[Block]:
    """Attack success against accuracy, for each attack and auxiliary sample."""
    first = report.victims[0].name
    accuracies = {(d.name, d.aux): d.accuracy for d in report.differences}
    before = {
        d.aux: d.accuracy_before for d in report.differences if d.against == first
    }
    found: list[Block] = []
    for attack, aux in dict.fromkeys((c.attack, c.aux) for c in report.attack_changes):
        own = {
            c.name: (c.difference[-1], c.low[-1], c.high[-1])
            for c in report.attack_changes
            if (c.attack, c.aux, c.against) == (attack, aux, first)
            and accuracies.get((c.name, aux)) is not None
        }
        if own and before.get(aux) is not None:
            found.append(
                trade_off(
                    f"Success of {attack} against accuracy, {aux}; further down is a "
                    "weaker attack, further right more accurate",
                    "change of attack success",
                    (first, before[aux]),
                    {name: accuracies[name, aux] for name in own},
                    own,
                )
            )
    return found
