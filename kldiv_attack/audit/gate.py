"""A decision on the report, for a build to fail on."""

from __future__ import annotations

import datetime
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kldiv_attack.audit.content import Check, Gate
from kldiv_attack.audit.held_out import ALL
from kldiv_attack.audit.metrics import METRICS, Row


@dataclass(frozen=True)
class Rule:
    """One demand on a release.

    Attributes
    ----------
    metric : str
        Key of ``METRICS``.
    limit : float
        Limit of the metric.
    below : bool
        Whether values below the limit fail, or those above.
    """

    metric: str
    limit: float
    below: bool

    def __str__(self) -> str:
        return f"{self.metric} {'<' if self.below else '>'} {self.limit:g} fails"


@dataclass(frozen=True)
class Waiver:
    """An exception for one class until a day.

    Attributes
    ----------
    label : str
        The class.
    metric : str
        Metric that is waived.
    until : date
        Last day.
    reason : str
        Why.
    """

    label: str
    metric: str
    until: datetime.date
    reason: str


def parse_rule(text: str, *, below: bool, metric: str = "kl") -> Rule:
    """``NUMBER`` or ``METRIC=NUMBER`` as a rule.

    Parameters
    ----------
    text : str
        For instance ``"1.5"`` or ``"coverage=0.2"``.
    below : bool
        Whether values below the limit fail.
    metric : str, default="kl"
        Metric of a bare number.

    Returns
    -------
    Rule
        The rule.

    Raises
    ------
    ValueError
        For an unknown metric, or no number.

    Examples
    --------
    >>> str(parse_rule("coverage=0.2", below=False))
    'coverage > 0.2 fails'
    """
    name, sign, number = str(text).rpartition("=")
    name = name if sign else metric
    if name not in METRICS:
        raise ValueError(f"gate: metric {name!r}: expected one of {sorted(METRICS)}.")
    try:
        limit = float(number)
    except ValueError:
        limit = np.nan
    if not np.isfinite(limit):
        raise ValueError(f"gate: {text!r}: expected a number, or METRIC=NUMBER.")
    return Rule(name, limit, below)


def read_waivers(path: Path, class_names: Sequence[str]) -> list[Waiver]:
    """Exceptions from a TOML file with one ``[[waiver]]`` each.

    Parameters
    ----------
    path : Path
        File with ``class``, ``metric`` (default "kl"), ``until`` and ``reason``.
    class_names : sequence of str
        Classes that exist.

    Raises
    ------
    ValueError
        For a class or metric that does not exist, or a missing date or reason.
    """
    if not path.is_file():
        raise ValueError(f"waivers: {path} not found; expected a TOML file.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"waivers: {path} is no TOML: {error}.") from error
    found = []
    entries = content.get("waiver", [])
    strange = sorted(set(content) - {"waiver"})
    if strange or not isinstance(entries, list):
        raise ValueError(
            f"waivers: {path} holds {', '.join(strange) or 'no list'}; expected "
            "[[waiver]] entries only."
        )
    for number, entry in enumerate(entries, 1):
        where = f"waivers: {path}, entry {number}"
        if not isinstance(entry, dict):
            raise ValueError(f"{where} is {entry!r}; expected [[waiver]] and its keys.")
        strange = sorted(set(entry) - {"class", "metric", "until", "reason"})
        if strange:
            raise ValueError(f"{where} has the unknown key {strange[0]!r}.")
        label, metric = str(entry.get("class", "")), entry.get("metric", "kl")
        if label not in (*class_names, ALL):
            raise ValueError(
                f"{where} names the class {label!r}, which does not exist; classes are "
                f"{', '.join(class_names[:10])}."
            )
        if not isinstance(metric, str) or metric not in METRICS:
            raise ValueError(
                f"{where}: metric {metric!r}: expected one of {sorted(METRICS)}."
            )
        until, reason = entry.get("until"), str(entry.get("reason", "")).strip()
        if isinstance(until, datetime.datetime):
            until = until.date()
        if not isinstance(until, datetime.date) or not reason:
            raise ValueError(f"{where} needs until = YYYY-MM-DD and a reason.")
        found.append(Waiver(label, metric, until, reason))
    return found


def decide(
    report: Any,
    rules: Sequence[Rule],
    *,
    release: str | None = None,
    waivers: Sequence[Waiver] = (),
    baseline: Any = None,
    overall: bool = False,
    today: datetime.date | None = None,
) -> Gate:
    """Check every rule on every class.

    Parameters
    ----------
    report : AuditReport
        What was found.
    rules : sequence of Rule
        What is demanded.
    release : str, optional
        Victim, or ``"victim + defence"``, that is to be released; by default the first
        victim as it is. The others are there to be compared with.
    waivers : sequence of Waiver
        Exceptions.
    baseline : AuditReport, optional
        Stored report for the metric "change".
    overall : bool, default=False
        Whether the mean over classes is checked instead of every class.
    today : date, optional
        For waivers; today by default.

    Returns
    -------
    Gate
        The decision. A rule on "below" looks at the lower end of the interval, a rule
        on "above" at the upper end: a release passes only where its numbers are
        certain to keep the limit.
    """
    today = today or datetime.datetime.now(tz=datetime.UTC).date()
    checks: list[Check] = []
    release = report.victims[0].name if release is None else release
    for rule in rules:
        rows = METRICS[rule.metric](report, baseline)
        rows = [row for row in rows if row[0] in ("", release)]
        if overall:
            rows = _means(rows)
        if not rows:
            rows = [("", "", ALL, None, None, None, "the audit did not measure it")]
        checks += [_check(rule, row) for row in rows]
    remarks = []
    for waiver in waivers:
        if waiver.until < today:
            remarks.append(
                f"The waiver of {waiver.metric} for class {waiver.label} expired on "
                f"{waiver.until}; it no longer counts."
            )
            continue
        idle = (
            ""
            if any(_meets(waiver, check) for check in checks)
            else (" It meets no check of this gate.")
        )
        remarks.append(
            f"{waiver.metric} of class {waiver.label} is waived until {waiver.until}: "
            f"{waiver.reason}{idle}"
        )
        checks = [_waive(check, waiver) for check in checks]
    return Gate([str(rule) for rule in rules], checks, remarks)


def _means(rows: list[Row]) -> list[Row]:
    """The mean over the classes of each victim and sample; ends add up in squares."""
    found: list[Row] = []
    for where in dict.fromkeys(row[:2] for row in rows):
        own = [row for row in rows if row[:2] == where and row[2] != ALL]
        ready = [row for row in rows if row[:2] == where and row[2] == ALL]
        if ready:
            found += ready
            continue
        missing = [row[2] for row in own if None in row[3:6]]
        if missing:
            why = f"no score for {', '.join(missing)}"
            found.append((*where, ALL, None, None, None, why))
            continue
        table = np.array([row[3:6] for row in own], dtype=np.float64)
        mean = float(table[:, 0].mean())
        below = float(np.linalg.norm(table[:, 0] - table[:, 1]) / len(own))
        above = float(np.linalg.norm(table[:, 2] - table[:, 0]) / len(own))
        found.append((*where, ALL, mean, mean - below, mean + above, ""))
    return found


def _check(rule: Rule, row: Row) -> Check:
    victim, aux, label, value, low, high, why = row
    bound = low if rule.below else high
    common = {"metric": rule.metric, "victim": victim, "aux": aux, "label": label}
    if bound is None or not np.isfinite(bound):
        message = f"{rule.metric} cannot be evaluated: {why or 'it has no interval'}"
        return Check(**common, value=value, bound=None, limit=rule.limit,
                     outcome="not evaluable", message=message)  # fmt: skip
    failed = bound < rule.limit if rule.below else bound > rule.limit
    end = "lower" if rule.below else "upper"
    message = (
        f"{rule.metric} {value:.3g}, {end} end of its interval {bound:.3g}, limit "
        f"{rule.limit:g}"
    )
    return Check(
        **common,
        value=value,
        bound=bound,
        limit=rule.limit,
        outcome="fail" if failed else "pass",
        message=message,
    )


def _meets(waiver: Waiver, check: Check) -> bool:
    return check.label == waiver.label and check.metric == waiver.metric


def _waive(check: Check, waiver: Waiver) -> Check:
    if not _meets(waiver, check) or check.outcome not in ("fail", "not evaluable"):
        return check
    message = f"waived until {waiver.until} ({waiver.reason}): {check.message}"
    return Check(**{**vars(check), "outcome": "waived", "message": message})


def junit(gate: Gate) -> str:
    """The decision as JUnit XML: one test case for each check."""
    suite = ET.Element(
        "testsuite",
        name="kldiv audit",
        tests=str(len(gate.checks)),
        failures=str(len(gate.of("fail"))),
        errors=str(len(gate.of("not evaluable"))),
        skipped=str(len(gate.of("waived"))),
    )
    tags = {"fail": "failure", "not evaluable": "error", "waived": "skipped"}
    for check in gate.checks:
        where = ".".join(filter(None, ["kldiv", check.metric, check.victim, check.aux]))
        case = ET.SubElement(
            suite, "testcase", classname=_legal(where), name=_legal(check.label)
        )
        if check.outcome in tags:
            ET.SubElement(case, tags[check.outcome], message=_legal(check.message))
    ET.indent(suite)
    text = ET.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _legal(text: str) -> str:
    """Without characters that XML cannot hold."""
    return "".join(c if c in "\t\n" or _is_legal(ord(c)) else "?" for c in text)


def _is_legal(code: int) -> bool:
    """Whether XML 1.0 has this character (section 2.2 of its definition)."""
    return 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or code > 0xFFFF
