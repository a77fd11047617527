"""Sections of the report that compare: controls, defences, queries, attacks."""

from __future__ import annotations

from typing import Any

from kldiv_attack.audit import charts
from kldiv_attack.audit.blocks import (
    Block,
    Cell,
    Drawing,
    Grid,
    Heading,
    Photo,
    Text,
    interval_text,
)
from kldiv_attack.audit.trade_off import trade_off


def held_out_section(report: Any) -> list[Block]:
    """Known class or leaked individuals."""
    if not report.held_out:
        return []
    parts: list[Block] = [
        Heading("Known class or leaked individuals?"),
        Text(
            "Coverage: share of rows that have an auxiliary row, put into their class "
            "by the victim, as near as their fifth neighbour. A class that anybody "
            "knows is covered alike whether a row was trained on or not."
        ),
        Text(
            "Which rows have an auxiliary row near at all, whatever the victim calls "
            "it, is chance. The difference is therefore that of coverage minus "
            "nearness: what the victim's labels add for rows that it was trained on, "
            "minus what they add for rows that it never saw. An interval above 0 says "
            "that they point at the very rows it was trained on. What a row's own "
            "answer gives away is another question: see the membership baseline."
        ),
    ]
    for found in report.held_out:
        columns = (found.rows, found.train, found.held_out, found.near_train,
                   found.near_held_out, found.difference, found.low,
                   found.high)  # fmt: skip
        rows = [
            [c, *values] for c, *values in zip(found.classes, *columns, strict=True)
        ]
        header = ["class", "rows of each kind", "coverage, trained on",
                  "coverage, held out", "near, trained on", "near, held out",
                  "difference", "from", "to"]  # fmt: skip
        parts.append(Grid(f"{found.victim}, {found.aux}", header, rows))
        low, high = found.low[-1], found.high[-1]
        if low is not None and high is not None:
            parts.append(Text(_individuals(found.difference[-1], low, high)))
    return parts


def _individuals(value: float | None, low: float, high: float) -> str:
    ends = f"{value:+.3f}, interval {low:+.3f} to {high:+.3f}"
    if low > 0:
        return (
            f"Over all classes, labels reach training rows more often ({ends}): "
            "individual rows leak."
        )
    if high < 0:
        return (
            f"Over all classes, labels reach held-out rows more often ({ends}): no "
            "sign that individual rows leak."
        )
    return (
        f"Over all classes, no difference is shown ({ends}): what is known is the "
        "class."
    )


def defences_section(report: Any) -> list[Block]:
    """Defences and victims compared."""
    if not report.differences:
        return []
    parts: list[Block] = [
        Heading("Defences compared"),
        Text(
            "Change of the indicator against the undefended victim, in nats: above 0 "
            "is less exposed. Intervals are paired row by row: both sides are measured "
            "on the same training and auxiliary rows, and where answers are random, "
            "an interval holds what other draws of them would give."
        ),
        Text(
            "What this can show: whether a defence moves auxiliary rows to other "
            "classes, which is all that an attacker who sorts rows by label uses. What "
            "it cannot show: a defence that keeps every label leaves the indicator "
            "exactly as it was, whatever it hides of the probabilities. Look at the "
            "curve below and at an attack for that; an attack that follows no gradient "
            "is always among them, because hiding gradients is no protection."
        ),
    ]
    rows: list[list[Cell]] = [
        [d.name, d.difference[-1], interval_text(d.low[-1], d.high[-1]), d.changed,
         d.accuracy, _less(d.accuracy, d.accuracy_before), d.refused, d.against, d.aux]
        for d in report.differences
    ]  # fmt: skip
    role = report.differences[0].measured_on or "no rows"
    header = ["victim", "mean change (nats)", "interval", "labels changed",
              f"accuracy ({role})", "change of accuracy", "refused", "against",
              "auxiliary rows"]  # fmt: skip
    parts.append(Grid("Mean over classes", header, rows))
    parts += _trade_off(report)
    for d in report.differences:
        columns = zip(d.classes, d.difference, d.low, d.high, strict=True)
        parts.append(
            Grid(
                f"{d.name} against {d.against}, {d.aux}: change per class",
                ["class", "change (nats)", "from", "to"],
                [list(row) for row in columns],
                folded=True,
            )
        )
    return parts


def _less(value: float | None, before: float | None) -> float | None:
    return None if value is None or before is None else value - before


def _trade_off(report: Any) -> list[Block]:
    parts: list[Block] = []
    for aux in dict.fromkeys(d.aux for d in report.differences):
        own = [
            d for d in report.differences
            if d.aux == aux and d.accuracy is not None and d.low[-1] is not None
            and d.against == report.victims[0].name
        ]  # fmt: skip
        moves = [d for d in own if d.changed or d.accuracy != d.accuracy_before]
        if moves:
            changes = {d.name: (d.difference[-1], d.low[-1], d.high[-1]) for d in own}
            parts.append(
                trade_off(
                    f"Privacy against accuracy, {aux}; further up is less exposed, "
                    "further right more accurate",
                    "change (nats)",
                    (own[0].against, own[0].accuracy_before),
                    {d.name: d.accuracy for d in own},
                    changes,
                )
            )
    return parts


def curves_section(report: Any) -> list[Block]:
    """Leakage against queries."""
    if not report.curves:
        return []
    parts: list[Block] = [
        Heading("Leakage against queries"),
        Text(
            "How much an attacker learns with a number of queries, to size a rate "
            "limit by. Random auxiliary rows are asked about, five times anew; bands "
            "are two standard deviations between draws."
        ),
    ]
    texts = {
        "agreement": (
            "Copying the victim",
            "share of rows called alike",
            "A copy that answers like the nearest rows that were asked about, built "
            "from what the victim tells.",
        ),
        "coverage": (
            "Reaching the training rows",
            "share of rows covered",
            "Share of training rows that have a row that was asked about, put into "
            "their class, as near as their own fifth neighbour.",
        ),
    }
    for aux in dict.fromkeys(c.aux for c in report.curves):
        for measure, (title, axis, says) in texts.items():
            own = [c for c in report.curves if (c.aux, c.measure) == (aux, measure)]
            lines = [
                charts.Line(c.granularity, c.queries, c.value, c.low, c.high)
                for c in own
            ]
            if not lines:
                continue
            enough = "; ".join(
                f"with {c.told}, {c.enough:,} of {c.queries[-1]:,} queries reach nine "
                f"tenths of {c.value[-1]:.2f}"
                for c in own
            )
            parts += [
                Heading(f"{title}, {aux}", 3),
                Drawing(
                    charts.curves(lines, "queries", axis, enough),
                    enough,
                    f"{says} {enough[0].upper()}{enough[1:]}.",
                ),
            ]
    return parts


def membership_section(report: Any) -> list[Block]:
    """The membership baseline."""
    if not report.membership:
        return []
    rows: list[list[Cell]] = []
    for m in report.membership:
        row: list[Cell] = [
            f"{m.victim}, {m.attack}",
            m.auc,
            interval_text(m.auc_low, m.auc_high),
        ]
        for i in range(len(m.rates)):
            row += [
                m.true_rate[i],
                interval_text(m.true_low[i], m.true_high[i]),
                interval_text(m.false_low[i], m.false_high[i]),
            ]
        rows.append(row)
    header = ["attack", "area under the curve", "interval"]
    for rate in report.membership[0].rates:
        header += [
            f"true positives at {100 * rate:g} %",
            "exact interval",
            "false positives, exact interval",
        ]
    facts = report.membership[0]
    return [
        Heading("Membership baseline"),
        Text(
            "Can a row that was trained on be told from one that was not? Two attacks "
            "without shadow models, on the same rows: a threshold on the victim's "
            "loss, and on the loss minus the usual loss around the row. An area of 0.5 "
            "is guessing. One half of the held-out rows sets the thresholds, the other "
            "half measures them; a dash means that there are too few for that rate."
        ),
        Grid(
            f"{facts.members:,} training rows, {facts.non_members:,} held-out rows",
            header,
            rows,
        ),
    ]


def nearest_section(report: Any) -> list[Block]:
    """Nearest auxiliary rows, if they were asked for."""
    pictures = [p for p in report.pictures if p.private]
    if not pictures and not report.extras:
        return []
    parts: list[Block] = [Heading("Nearest auxiliary rows")]
    parts += [Photo(p.png, p.alt, p.caption) for p in pictures]
    parts += [Grid(t.title, t.header, t.rows) for t in report.extras]
    return parts
