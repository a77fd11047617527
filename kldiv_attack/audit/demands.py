"""What the gate of an audit asks for: limits, exceptions, and what is released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

from kldiv_attack._files import checked_path
from kldiv_attack.audit.gate import Rule, Waiver, decide, parse_rule, read_waivers
from kldiv_attack.audit.inputs import Inputs
from kldiv_attack.audit.result import AuditReport

NO_LIMIT = (
    "expected a limit to decide on, got none. Give --fail-below, --fail-above or "
    "--fail-below-change."
)


@dataclass(frozen=True)
class Demands:
    """What the gate asks for.

    Attributes
    ----------
    rules : list of Rule
        Limits.
    waivers : list of Waiver
        Exceptions.
    baseline : AuditReport or None
        Stored report.
    overall : bool
        Whether the mean over classes counts.
    release : str or None
        What is to be released.
    """

    rules: list[Rule]
    waivers: list[Waiver] = field(default_factory=list)
    baseline: AuditReport | None = None
    overall: bool = False
    release: str | None = None

    def on(
        self,
        inputs: Inputs,
        *,
        waivers: str | PathLike[str] | None,
        release: str | None,
    ) -> Demands:
        """The same with the exceptions in a file, on what was read."""
        names = inputs.train.class_names
        excused = []
        if waivers is not None:
            excused = read_waivers(checked_path(waivers, "waivers"), names)
        found = replace(self, waivers=excused, release=_release(release, inputs))
        idle = {
            "waivers": waivers is not None,
            "release": release is not None,
            "baseline": self.baseline is not None,
            "overall": self.overall,
        }
        if not self.rules and any(idle.values()):
            raise ValueError(
                f"{', '.join(name for name in idle if idle[name])}: {NO_LIMIT}"
            )
        return found

    def decided(self, report: AuditReport) -> AuditReport:
        """The report with the decision of the gate, if there is one."""
        if not self.rules:
            return report
        gate = decide(
            report,
            self.rules,
            release=self.release,
            waivers=self.waivers,
            baseline=self.baseline,
            overall=self.overall,
        )
        return replace(report, gate=gate)


def read_demands(
    below: Any,
    above: Any,
    change: float | None,
    baseline: str | PathLike[str] | None,
    *,
    overall: bool,
) -> Demands:
    """Limits as the caller wrote them, and the stored report that some look at."""
    rules = _rules(below, above, change, baseline)
    return Demands(rules, baseline=_stored(baseline), overall=overall)


def _stored(baseline: str | PathLike[str] | None) -> AuditReport | None:
    if baseline is None:
        return None
    path = checked_path(baseline, "baseline")
    if not path.is_file():
        raise ValueError(f"baseline: {path} not found; expected a report.json.")
    return AuditReport.from_json(path)


def _rules(below: Any, above: Any, change: Any, baseline: Any) -> list[Rule]:
    rules = [parse_rule(text, below=True) for text in _listed(below)]
    rules += [parse_rule(text, below=False) for text in _listed(above)]
    if change is not None:
        rules.append(parse_rule(str(change), below=True, metric="change"))
    metrics = [rule.metric for rule in rules]
    if "change" in metrics and baseline is None:
        raise ValueError("gate: a limit on the change needs --baseline REPORT.json.")
    if "kl" in metrics and "leaked_rows" not in metrics:
        # The indicator is measured without shared rows, and would not see them.
        rules.append(Rule("leaked_rows", 0, below=False))
    return rules


def _release(name: str | None, inputs: Inputs) -> str:
    """The victim, or victim and defence, that is to be released."""
    known = [
        f"{model.name} + {defence.name}" if defence else model.name
        for model in inputs.models
        for defence in (None, *inputs.defences)
    ]
    if name is not None and name not in known:
        raise ValueError(f"release {name!r}: expected one of {known}.")
    return known[0] if name is None else name


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    many = isinstance(value, Sequence) and not isinstance(value, str)
    return [str(item) for item in (value if many else [value])]
