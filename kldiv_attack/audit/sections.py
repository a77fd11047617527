"""What the report says, section by section."""

from collections.abc import Sequence
from typing import Any

from kldiv_attack.audit import charts
from kldiv_attack.audit.blocks import (
    Block,
    Cell,
    Drawing,
    Grid,
    Heading,
    Photo,
    Points,
    Text,
)
from kldiv_attack.audit.content import ClassTable
from kldiv_attack.audit.held_out import ALL
from kldiv_attack.audit.owasp import answers_to_owasp

_NAMES = {
    "kl": "divergence (nats)",
    "low": "from",
    "high": "to",
    "standard_error": "standard error",
    "n_train": "training rows",
    "n_aux": "auxiliary rows",
    "n_duplicates": "repeated rows",
    "pvalue": "p-value",
}
_ORDER = ("kl", "low", "high", "standard_error", "floor", "trust", "pvalue",
          "coverage", "n_train", "n_aux", "n_duplicates")  # fmt: skip
_GROUPS = {"leaked": "bad", "exposed": "bad", "partly exposed": "mild", "apart": "fine"}
_MOST_DRAWN = 40

VERDICTS = (
    "leaked: training rows of the class are in the auxiliary data.",
    "exposed: the interval reaches down to the floor, the divergence of rows that have "
    "one law, or at least half of the training rows have an auxiliary row as near as "
    "their own neighbours. Whoever owns the auxiliary rows can imitate the class.",
    "partly exposed: at least a tenth of the training rows have such an auxiliary row.",
    "apart: hardly any has. The victim's answers pick rows that are unlike its "
    "training rows.",
    "not evaluable: no score, or one that is not to be used. This is no all-clear.",
)


def all_blocks(report: Any) -> list[Block]:
    """The whole report."""
    parts: list[Block] = [Text(report.sentence, strong=True)]
    if report.remarks:
        parts.append(Points(report.remarks))
    for section in (
        _verdicts, _leaks, _gate, _held_out, _defences, _curves, _membership,
        _attacks, _nearest, _owasp, _method,
    ):  # fmt: skip
        parts += section(report)
    return parts


def _verdicts(report: Any) -> list[Block]:
    parts: list[Block] = [
        Heading("Verdict per class"),
        Text(
            "For each class, the Kullback-Leibler divergence of its training rows from "
            "the auxiliary rows that the victim puts into it. Small means exposed. "
            "Most exposed class first; the headings of a table sort it."
        ),
    ]
    first = report.victims[0].name
    for table in report.tables:
        if table.victim == first and not table.defence:
            parts += _table_blocks(table)
    parts += [Text("What the words mean:"), Points(VERDICTS)]
    folded = [t for t in report.tables if t.victim != first or t.defence]
    if folded:
        parts.append(Heading("Other victims and defences", 3))
        parts += [_class_grid(table, folded=True) for table in folded]
    return parts


def _table_blocks(table: ClassTable) -> list[Block]:
    order = _ranked(table)
    points = [
        charts.Point(
            table.classes[c],
            table.value("kl", c),
            table.value("low", c),
            table.value("high", c),
            _GROUPS.get(table.verdicts[c], "mild"),
        )
        for c in order[:_MOST_DRAWN]
    ]
    alt = _alt(table, order)
    shown = "" if len(order) <= _MOST_DRAWN else f"The {_MOST_DRAWN} most exposed. "
    parts: list[Block] = [
        Drawing(
            charts.intervals(points, "divergence in nats (left: exposed)", alt, [0.0]),
            alt,
            f"{shown}Divergence per class against {table.aux}, with intervals of 95 %.",
        ),
        _class_grid(table),
    ]
    return parts + _notes(table)


def _notes(table: ClassTable) -> list[Block]:
    parts: list[Block] = []
    if table.reasons:
        parts.append(
            Points(
                [f"{c} cannot be scored, because {why}" for c, why in table.reasons.items()]
            )
        )
    if table.notes:
        # Long notes are the same for many classes.
        same: dict[str, list[str]] = {}
        for c, note in table.notes.items():
            same.setdefault(note, []).append(c)
        parts.append(
            Points([f"{', '.join(cs)}: {note}" for note, cs in same.items()])
        )
    return parts


def _alt(table: ClassTable, order: Sequence[int]) -> str:
    known = [c for c in order if table.value("kl", c) is not None]
    if not known:
        return f"No class of {table.name} could be scored."
    first, last = known[0], known[-1]
    return (
        f"Divergence per class of {table.name}: from {table.value('kl', first):.2f} nats "
        f"({table.classes[first]}) to {table.value('kl', last):.2f} nats "
        f"({table.classes[last]})."
    )


def _ranked(table: ClassTable) -> list[int]:
    """Classes by exposure: leaked first, those without a score last."""

    def key(c: int) -> tuple[bool, bool, float]:
        value = table.value("kl", c)
        leaked = table.verdicts[c] == "leaked"
        return not leaked, value is None, 0.0 if value is None else value

    return sorted(range(len(table.classes)), key=key)


def _class_grid(table: ClassTable, *, folded: bool = False) -> Grid:
    known = [c for c in _ORDER if c in table.columns]
    known += [c for c in table.columns if c not in (*known, "notes")]
    header = ["class", "verdict", *(_NAMES.get(c, c.replace("_", " ")) for c in known)]
    rows: list[list[Cell]] = [
        [table.classes[c], table.verdicts[c], *(table.columns[k][c] for k in known)]
        for c in _ranked(table)
    ]
    return Grid(f"{table.name}, auxiliary rows {table.aux}", header, rows, folded)


def _leaks(report: Any) -> list[Block]:
    parts: list[Block] = [Heading("Leaked rows")]
    for leak in report.leaks:
        total = sum(leak.counts)
        if not total:
            parts.append(Text(f"No training row is in {leak.aux}."))
            continue
        which = ", ".join(
            f"{c}: {n}" for c, n in zip(report.classes, leak.counts, strict=True) if n
        )
        if leak.chance:
            parts.append(
                Text(
                    f"{total} training rows are also in {leak.aux}, but rows repeat as "
                    "often among the training rows themselves: with columns of few "
                    f"values this is chance, and no leak is called ({which})."
                )
            )
            continue
        parts.append(
            Text(
                f"{total} training rows are in {leak.aux}, word for word ({which}). "
                "Their owners need no attack to be found. The indicator is measured "
                "without these rows."
            )
        )
        rows = [[f"{i}", f"{j}"] for i, j in leak.rows]
        caption = f"First {len(rows)} shared rows, numbered from 0"
        parts.append(Grid(caption, ["training row", "auxiliary row"], rows))
    return parts


def _gate(report: Any) -> list[Block]:
    gate = report.gate
    if gate is None:
        return []
    decided = {
        "pass": "Every number keeps its limit with the whole of its interval.",
        "fail": "At least one number does not keep its limit with certainty.",
        "not evaluable": "No number fails, but at least one could not be evaluated.",
    }[gate.outcome]
    rows: list[list[Cell]] = [
        [k.label, k.outcome, k.metric, k.victim, k.aux, k.value, k.bound, k.limit]
        for outcome in ("fail", "not evaluable", "waived", "pass")
        for k in gate.of(outcome)
    ]
    header = ["class", "outcome", "metric", "victim", "against", "value",
              "deciding bound", "limit"]  # fmt: skip
    parts: list[Block] = [
        Heading("Gate"),
        Text(f"{gate.outcome.upper()} (exit code {gate.exit_code}). {decided}"),
        Points([*gate.rules, *gate.remarks]),
        Grid("Every check, failures first", header, rows),
    ]
    broken = [k for k in gate.checks if k.outcome == "not evaluable"]
    if broken:
        parts.append(Points([f"{k.label}: {k.message}" for k in broken]))
    return parts


def _held_out(report: Any) -> list[Block]:
    if not report.held_out:
        return []
    parts: list[Block] = [
        Heading("Known class or leaked individuals?"),
        Text(
            "Coverage: share of rows that have an auxiliary row, put into their class "
            "by the victim, as near as their fifth neighbour. A class that anybody "
            "knows is covered alike whether a row was trained on or not. An interval "
            "above 0 says that the victim's answers point at the very rows it was "
            "trained on."
        ),
    ]
    for found in report.held_out:
        columns = (found.rows, found.train, found.held_out, found.difference,
                   found.low, found.high)  # fmt: skip
        rows = [
            [c, *values]
            for c, *values in zip(found.classes, *columns, strict=True)
        ]
        header = ["class", "rows of each kind", "coverage, trained on",
                  "coverage, held out", "difference", "from", "to"]  # fmt: skip
        parts.append(Grid(f"{found.victim}, {found.aux}", header, rows))
        low, high = found.low[-1], found.high[-1]
        if low is not None and high is not None:
            parts.append(Text(_individuals(found.difference[-1], low, high)))
    return parts


def _individuals(value: float | None, low: float, high: float) -> str:
    ends = f"{value:+.3f}, interval {low:+.3f} to {high:+.3f}"
    if low > 0:
        return f"Over all classes, training rows are covered more often ({ends}): individual rows leak."
    if high < 0:
        return f"Over all classes, held-out rows are covered more often ({ends}): no sign that individual rows leak."
    return f"Over all classes, no difference is shown ({ends}): what is known is the class."


def _defences(report: Any) -> list[Block]:
    if not report.differences:
        return []
    parts: list[Block] = [
        Heading("Defences compared"),
        Text(
            "Change of the indicator against the undefended victim, in nats: above 0 is "
            "less exposed. Intervals are paired: both sides are measured on the same "
            "training rows."
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
    rows: list[list[Cell]] = []
    for d in report.differences:
        rows.append([
            d.name, d.against, d.aux, d.difference[-1], d.low[-1], d.high[-1],
            d.changed, d.accuracy,
            None if d.accuracy is None or d.accuracy_before is None
            else d.accuracy - d.accuracy_before,
            d.refused,
        ])  # fmt: skip
    role = report.differences[0].measured_on or "no rows"
    header = ["victim", "against", "auxiliary rows", "mean change (nats)", "from", "to",
              "labels changed", f"accuracy ({role})", "change of accuracy",
              "refused"]  # fmt: skip
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


def _trade_off(report: Any) -> list[Block]:
    parts: list[Block] = []
    for aux in dict.fromkeys(d.aux for d in report.differences):
        own = [
            d for d in report.differences
            if d.aux == aux and d.accuracy is not None and d.low[-1] is not None
            and d.against == report.victims[0].name
        ]  # fmt: skip
        if not own:
            continue
        points = [(own[0].against, own[0].accuracy_before, 0.0, 0.0, 0.0)]
        points += [
            (d.name, d.accuracy, d.difference[-1], d.low[-1], d.high[-1]) for d in own
        ]
        alt = "; ".join(
            f"{i}: {label}, accuracy {x:.3f}, change {y:+.2f} nats"
            for i, (label, x, y, *_) in enumerate(points)
        )
        svg = charts.scatter(
            points, "accuracy", "change of the divergence (nats)", alt
        )
        caption = (
            f"Privacy against accuracy, {aux}; further up is less exposed, further "
            f"right more accurate. {alt}."
        )
        parts.append(Drawing(svg, alt, caption))
    return parts


def _curves(report: Any) -> list[Block]:
    if not report.curves:
        return []
    parts: list[Block] = [
        Heading("Leakage against queries"),
        Text(
            "How much an attacker learns with a number of queries, to size a rate limit "
            "by. Random auxiliary rows are asked about, five times anew; bands are two "
            "standard deviations between draws."
        ),
    ]
    texts = {
        "agreement": (
            "Copying the victim",
            "share of training rows called alike",
            "A copy that answers like the nearest rows that were asked about, built "
            "from labels, the three most probable classes, one decimal, or everything.",
        ),
        "coverage": (
            "Reaching the training rows",
            "share of training rows covered",
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
                f"{c.granularity}: {c.enough:,} of {c.queries[-1]:,} queries reach nine "
                f"tenths of {c.value[-1]:.2f}"
                for c in own
            )
            parts += [
                Heading(f"{title}, {aux}", 3),
                Drawing(
                    charts.curves(lines, "queries", axis, enough),
                    enough,
                    f"{says} {enough}.",
                ),
            ]
    return parts


def _membership(report: Any) -> list[Block]:
    if not report.membership:
        return []
    rows: list[list[Cell]] = []
    for m in report.membership:
        row: list[Cell] = [f"{m.victim}, {m.attack}", m.auc, _ends(m.auc_low, m.auc_high)]
        for i in range(len(m.rates)):
            row += [
                m.tpr[i],
                _ends(m.tpr_low[i], m.tpr_high[i]),
                _ends(m.fpr_low[i], m.fpr_high[i]),
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
            "without shadow models, on the same rows: a threshold on the victim's loss, "
            "and on the loss minus the usual loss around the row. An area of 0.5 is "
            "guessing. One half of the held-out rows sets the thresholds, the other "
            "half measures them; a dash means that there are too few for that rate."
        ),
        Grid(
            f"{facts.members} training rows, {facts.non_members} held-out rows",
            header,
            rows,
        ),
    ]


def _ends(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _attacks(report: Any) -> list[Block]:
    if not report.attacks:
        return []
    parts: list[Block] = [
        Heading("Attack"),
        Text(
            "Share of reconstructions that another classifier than the victim puts into "
            "the class, beside two controls that need no attack: random auxiliary rows "
            "that the victim puts into the class, and those of which it is surest."
        ),
    ]
    for outcome in report.attacks:
        columns = ("accuracy", "accuracy_low", "accuracy_high", "coverage")
        rows: list[list[Cell]] = []
        for c, label in enumerate(outcome.tables["attack"].classes):
            row: list[Cell] = [label]
            row += [outcome.tables["attack"].value(k, c) for k in columns]
            row += [outcome.tables[k].value("accuracy", c) for k in ("random", "confident")]
            rows.append(row)
        header = ["class", "accuracy", "from", "to", "coverage", "random rows",
                  "surest rows"]  # fmt: skip
        caption = (
            f"{outcome.attack} ({outcome.access}) on {outcome.name}, {outcome.aux}, "
            f"{outcome.queries:,} queries"
        )
        parts.append(Grid(caption, header, rows))
    parts += [Photo(p.png, p.alt, p.caption) for p in report.pictures if "Nearest" not in p.title]
    return parts


def _nearest(report: Any) -> list[Block]:
    pictures = [p for p in report.pictures if "Nearest" in p.title]
    if not pictures and not report.extras:
        return []
    parts: list[Block] = [Heading("Nearest auxiliary rows")]
    parts += [Photo(p.png, p.alt, p.caption) for p in pictures]
    parts += [Grid(t.title, t.header, t.rows) for t in report.extras]
    return parts


def _owasp(report: Any) -> list[Block]:
    rows = [list(row) for row in answers_to_owasp(report)]
    return [
        Heading("OWASP AISVS 1.0, section C11.2"),
        Text(
            "What this report has to say about the five requirements on membership "
            "inference and model inversion. It is evidence for a review, not a verdict "
            "on compliance."
        ),
        Points([f"{number} {asks} {says}" for number, asks, says in rows]),
    ]


def _method(report: Any) -> list[Block]:
    sources: list[list[Cell]] = [
        [s.role, s.name, s.rows, " x ".join(map(str, s.shape)), s.digest[:16]]
        for s in report.sources
    ]
    victims: list[list[Cell]] = []
    for v in report.victims:
        roles = {k: f"{a:.3f} ({b:.3f} to {c:.3f})" for k, (a, b, c) in v.accuracy.items()}
        victims.append([v.name, v.kind, v.spec, v.answers, v.queries,
                        roles.get("train"), roles.get("held-out"), v.calibration])  # fmt: skip
    parts: list[Block] = [
        Heading("Method and settings"),
        Text(
            "The indicator is that of Tanaka et al., Evaluation Indicator for Model "
            "Inversion Attack (2020): a nearest-neighbour estimate of the divergence of "
            "the training rows of a class from the auxiliary rows that the victim puts "
            "into it. Estimates may be negative in small samples. Verdicts rest on the "
            "auxiliary rows that were given: an attacker who owns better ones sees more."
        ),
        Grid("Samples", ["role", "name", "rows", "shape", "SHA-256"], sources),
        Grid(
            "Victims",
            ["victim", "kind", "given as", "answers", "rows asked about",
             "accuracy, training rows", "accuracy, held-out rows",
             "calibration error"],
            victims,
        ),
    ]  # fmt: skip
    cautions = [f"{v.name}: {v.caution}." for v in report.victims if v.caution]
    facts = [f"{k}: {v}" for k, v in report.settings.items()]
    facts += [f"{k} {v}" for k, v in report.versions.items()]
    facts += [f"made {report.created}, in {report.seconds} seconds"]
    return [*parts, Points([*cautions, *facts])]


__all__ = ["ALL", "all_blocks"]
