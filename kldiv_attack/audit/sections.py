"""What the report says, section by section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kldiv_attack.audit import charts
from kldiv_attack.audit.attack_sections import attacks_section
from kldiv_attack.audit.blocks import (
    Block,
    Cell,
    Drawing,
    Grid,
    Heading,
    Points,
    Text,
    decimals,
    interval_text,
)
from kldiv_attack.audit.content import RANK, Check, ClassTable
from kldiv_attack.audit.evidence import (
    curves_section,
    defences_section,
    held_out_section,
    membership_section,
    nearest_section,
)
from kldiv_attack.audit.owasp import answers_to_owasp

_NAMES = {
    "kl": "divergence (nats)",
    "interval": "interval (95\N{NO-BREAK SPACE}%)",
    "n_train": "training rows",
    "n_aux": "auxiliary rows",
    "n_duplicates": "repeated rows",
    "pvalue": "p-value",
}
_ORDER = ("kl", "interval", "floor", "pvalue", "coverage", "trust", "n_train", "n_aux",
          "n_duplicates")  # fmt: skip
# Ends of the interval stand in one column; report.json has them all.
_UNSHOWN = ("kl_low", "kl_high", "standard_error")
_GROUPS = {"leaked": "bad", "exposed": "bad", "partly exposed": "mild", "apart": "fine"}
_MOST_DRAWN = 40

VERDICTS = (
    "leaked: training rows of the class are in the auxiliary data.",
    "exposed: at least half of the training rows have an auxiliary row as near as "
    "their own neighbours (coverage); or a tenth have, and nothing tells both apart: "
    "the interval reaches down to the floor, which is what rows of one distribution "
    "give, and the p-value is above 0.05. Whoever owns the auxiliary rows can imitate "
    "the class.",
    "partly exposed: a tenth have, but the samples differ; or nothing tells both "
    "apart, but hardly any training row has an auxiliary row near.",
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
        _verdicts, _leaks, _gate, held_out_section, defences_section, curves_section,
        membership_section, attacks_section, nearest_section, _owasp, _method,
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
            table.value("kl_low", c),
            table.value("kl_high", c),
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
                [
                    f"Class {c} cannot be scored, because {why}."
                    for c, why in table.reasons.items()
                ]
            )
        )
    if table.notes:
        parts.append(Text("What stands against the scores:"))
        parts.append(Points(_by_check(table)))
        each = [f"{c}: {' '.join(notes.values())}" for c, notes in table.notes.items()]
        parts.append(Points(each, folded="The same class by class"))
    return parts


def _by_check(table: ClassTable) -> list[str]:
    """Each check once, with the classes that it speaks of."""
    found: dict[str, dict[str, str]] = {}
    for c, notes in table.notes.items():
        for name, text in notes.items():
            found.setdefault(name, {})[c] = text
    lines = []
    for name, texts in found.items():
        classes, first = list(texts), next(iter(texts.values()))
        who = "all classes" if len(texts) == len(table.classes) else _listed(classes)
        same = len(set(texts.values())) == 1
        example = "" if same else f"For instance class {classes[0]}: "
        lines.append(f"{name[0].upper()}{name[1:]} ({who}). {example}{first}")
    return lines


def _listed(classes: Sequence[str]) -> str:
    more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
    return ("class " if len(classes) == 1 else "classes ") + (
        ", ".join(classes[:12]) + more
    )


def _alt(table: ClassTable, order: Sequence[int]) -> str:
    known = [c for c in order if table.value("kl", c) is not None]
    if not known:
        return f"No class of {table.name} could be scored."
    first, last = known[0], known[-1]
    return (
        f"Divergence per class of {table.name}: from {table.value('kl', first):.2f} "
        f"nats ({table.classes[first]}) to {table.value('kl', last):.2f} nats "
        f"({table.classes[last]})."
    )


def _ranked(table: ClassTable) -> list[int]:
    """Classes by exposure: by verdict, leaked first, then by divergence."""

    def key(c: int) -> tuple[int, bool, float]:
        value, word = table.value("kl", c), table.verdicts[c]
        return RANK.index(word), value is None, 0.0 if value is None else value

    return sorted(range(len(table.classes)), key=key)


def _class_grid(table: ClassTable, *, folded: bool = False) -> Grid:
    columns = {**table.columns, "interval": _ends_of(table)}
    if not any(columns.get("n_duplicates", [])):
        columns.pop("n_duplicates", None)
    known = [c for c in _ORDER if c in columns]
    known += [c for c in columns if c not in (*known, *_UNSHOWN)]
    header = ["class", "verdict", *(_NAMES.get(c, c.replace("_", " ")) for c in known)]
    rows: list[list[Cell]] = [
        [table.classes[c], table.verdicts[c], *(columns[k][c] for k in known)]
        for c in _ranked(table)
    ]
    return Grid(f"{table.name}, auxiliary rows {table.aux}", header, rows, folded)


def _ends_of(table: ClassTable) -> list[Cell]:
    """Both ends of every interval as one text."""
    classes = range(len(table.classes))
    ends = [(table.value("kl_low", c), table.value("kl_high", c)) for c in classes]
    places = decimals(end for pair in ends for end in pair)
    return [interval_text(low, high, places) for low, high in ends]


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
    parts: list[Block] = [
        Heading("Gate"),
        Text(f"{gate.outcome.upper()} (exit code {gate.exit_code}). {decided}"),
        Points([*gate.rules, *gate.remarks]),
    ]
    other = [k for o in ("fail", "not evaluable", "waived") for k in gate.of(o)]
    if other:
        parts.append(_checks("Checks that did not pass", other))
    if gate.of("pass"):
        parts.append(_checks("Checks that passed", gate.of("pass"), folded=True))
    broken = [k for k in gate.checks if k.outcome == "not evaluable"]
    if broken:
        parts.append(Points([f"{k.label}: {k.message}" for k in broken]))
    return parts


def _checks(caption: str, checks: Sequence[Check], *, folded: bool = False) -> Grid:
    header = ["class", "outcome", "metric", "victim", "against", "value",
              "deciding bound", "limit"]  # fmt: skip
    rows: list[list[Cell]] = [
        [k.label, k.outcome, k.metric, k.victim, k.aux, k.value, k.bound, k.limit]
        for k in checks
    ]
    return Grid(caption, header, rows, folded)


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
        roles = {
            k: f"{a:.3f} ({b:.3f} to {c:.3f})" for k, (a, b, c) in v.accuracy.items()
        }
        ours = roles.get("train"), roles.get("held-out"), v.calibration
        victims.append([v.name, v.kind, v.spec, v.answers, v.queries, *ours])
    parts: list[Block] = [
        Heading("Method and settings"),
        Text(
            "The indicator is that of Tanaka et al., Evaluation Indicator for Model "
            "Inversion Attack (2020): a nearest-neighbour estimate of the divergence "
            "of the training rows of a class from the auxiliary rows that the victim "
            "puts into it. Estimates may be negative in small samples. Verdicts rest "
            "on the auxiliary rows that were given: an attacker who owns better ones "
            "sees more."
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
