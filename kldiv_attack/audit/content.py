"""What an audit found, as plain values that a JSON file can hold and give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Verdicts, the worst first.
RANK = ("leaked", "exposed", "partly exposed", "apart", "not evaluable")


@dataclass(frozen=True)
class ClassTable:
    """One row per class, for one victim, one defence and one auxiliary sample.

    Attributes
    ----------
    victim, defence, aux : str
        Which; `defence` is empty for the victim as it is.
    classes : list of str
        The rows.
    columns : dict of str to list
        Column name to one value per class; None where there is none.
    reasons : dict of str to str
        Why a class has no score.
    notes : dict of str to dict
        What stands against a score: class to name of a check to what it says.
    """

    victim: str
    defence: str
    aux: str
    classes: list[str]
    columns: dict[str, list[Any]]
    reasons: dict[str, str]
    notes: dict[str, dict[str, str]]
    verdicts: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Victim and defence."""
        return f"{self.victim} + {self.defence}" if self.defence else self.victim

    def value(self, column: str, c: int) -> float | None:
        """One cell, None if there is no such column."""
        found = self.columns.get(column)
        return None if found is None else found[c]

    def evaluable(self, c: int) -> bool:
        """Whether the score of a class may be used."""
        trust = self.columns.get("trust", [None] * len(self.classes))[c]
        return self.value("kl", c) is not None and trust != "do not use"


@dataclass(frozen=True)
class Leak:
    """Training rows that are in an auxiliary sample.

    Attributes
    ----------
    aux : str
        The sample.
    counts : list of int
        Shared training rows per class.
    rows : list of list of int
        Numbers of the first pairs: training row, auxiliary row.
    chance : bool
        Whether rows repeat as often among the training rows themselves, so that
        sharing some may be chance.
    """

    aux: str
    counts: list[int]
    rows: list[list[int]]
    chance: bool


@dataclass(frozen=True)
class Difference:
    """Change of the indicator per class between two tables.

    Attributes
    ----------
    victim, defence, aux, against : str
        What is compared with what.
    classes : list of str
        Classes that both hold; the last one is "all classes".
    difference, low, high : list
        In nats, with the interval.
    changed : float
        Share of auxiliary rows whose label the defence changed.
    accuracy, accuracy_before : float or None
        Of the two, on the held-out rows, else on the training rows.
    measured_on : str
        Rows that the accuracies are measured on.
    refused : float
        Share of these rows that get no answer.
    """

    victim: str
    defence: str
    aux: str
    against: str
    classes: list[str]
    difference: list[float | None]
    low: list[float | None]
    high: list[float | None]
    changed: float
    accuracy: float | None
    accuracy_before: float | None
    measured_on: str
    refused: float

    @property
    def name(self) -> str:
        """Victim and defence."""
        return f"{self.victim} + {self.defence}" if self.defence else self.victim


@dataclass(frozen=True)
class HeldOut:
    """Coverage of training rows minus that of held-out rows, labels paired off.

    Attributes
    ----------
    victim, aux : str
        Which.
    classes : list of str
        The rows; the last one is "all classes".
    rows : list of int
        Rows of either kind that were compared.
    train, held_out : list
        Coverages: shares of rows that an auxiliary row called so is near.
    near_train, near_held_out : list
        Shares of rows that any auxiliary row is near, whatever it is called.
    difference, low, high : list
        Coverage minus nearness of training rows, minus the same of held-out rows,
        with its interval.
    """

    victim: str
    aux: str
    classes: list[str]
    rows: list[int]
    train: list[float | None]
    held_out: list[float | None]
    near_train: list[float | None]
    near_held_out: list[float | None]
    difference: list[float | None]
    low: list[float | None]
    high: list[float | None]


@dataclass(frozen=True)
class Membership:
    """A membership attack on the same rows.

    Attributes
    ----------
    victim, attack : str
        Which.
    members, non_members : int
        Rows that were compared.
    auc, auc_low, auc_high : float
        Area under the curve with its interval.
    rates : list of float
        False positive rates that were aimed at.
    true_rate, true_low, true_high, false_rate, false_low, false_high : list
        What was reached, with exact intervals; None where the rows do not suffice.
    """

    victim: str
    attack: str
    members: int
    non_members: int
    auc: float
    auc_low: float
    auc_high: float
    rates: list[float]
    true_rate: list[float | None]
    true_low: list[float | None]
    true_high: list[float | None]
    false_rate: list[float | None]
    false_low: list[float | None]
    false_high: list[float | None]


@dataclass(frozen=True)
class Curve:
    """Leakage against the number of queries, at one granularity of the answers.

    Attributes
    ----------
    victim, aux, measure, granularity : str
        Which.
    queries : list of int
        Budgets.
    value, low, high : list of float
        The measure with its interval.
    enough : int
        Smallest budget that reaches nine tenths of what all queries reach.
    """

    victim: str
    aux: str
    measure: str
    granularity: str
    queries: list[int]
    value: list[float]
    low: list[float]
    high: list[float]
    enough: int

    @property
    def told(self) -> str:
        """What the victim tells at this granularity."""
        words = {
            "labels": "labels alone",
            "top-k": "the three most probable classes",
            "rounded": "probabilities of one decimal",
            "full": "whole probabilities",
        }
        return words.get(self.granularity, self.granularity)


@dataclass(frozen=True)
class Picture:
    """Images of a report.

    Attributes
    ----------
    title, alt, caption : str
        Texts; `alt` is for those who do not see it.
    png : str
        The picture in base64.
    private : bool
        Whether it shows private rows.
    """

    title: str
    alt: str
    caption: str
    png: str
    private: bool = False


@dataclass(frozen=True)
class TextTable:
    """A table of text.

    Attributes
    ----------
    title : str
        What it shows.
    header : list of str
        Its columns.
    rows : list of list of str
        Its cells.
    """

    title: str
    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Check:
    """What the gate says about one class under one metric.

    Attributes
    ----------
    metric, victim, aux, label : str
        What was checked.
    value, bound, limit : float or None
        Point, the bound that decides, and the limit.
    outcome : {"pass", "fail", "not evaluable", "waived"}
        The decision.
    message : str
        Why.
    """

    metric: str
    victim: str
    aux: str
    label: str
    value: float | None
    bound: float | None
    limit: float
    outcome: str
    message: str


@dataclass(frozen=True)
class Gate:
    """The decision on a release.

    Attributes
    ----------
    rules : list of str
        What was demanded.
    checks : list of Check
        One for each class, victim and rule.
    remarks : list of str
        On waivers.
    """

    rules: list[str]
    checks: list[Check]
    remarks: list[str]

    def of(self, outcome: str) -> list[Check]:
        """Checks with this outcome."""
        return [check for check in self.checks if check.outcome == outcome]

    @property
    def outcome(self) -> str:
        """``"fail"`` before ``"not evaluable"`` before ``"pass"``."""
        for outcome in ("fail", "not evaluable"):
            if self.of(outcome):
                return outcome
        return "pass"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 2 not evaluable."""
        return {"pass": 0, "fail": 1, "not evaluable": 2}[self.outcome]


@dataclass(frozen=True)
class Source:
    """A sample of the audit: role, name, rows, shape and content digest."""

    role: str
    name: str
    rows: int
    shape: list[int]
    digest: str


@dataclass(frozen=True)
class VictimFacts:
    """A victim of the audit.

    Attributes
    ----------
    name, spec, kind, caution : str
        Who it is.
    answers : str
        "probabilities" or "labels".
    queries : int
        Rows that the audit asked about.
    accuracy : dict of str to list of float
        Role of the sample to share, lower and upper end.
    calibration : float or None
        Expected calibration error on the held-out rows.
    """

    name: str
    spec: str
    kind: str
    caution: str
    answers: str
    queries: int
    accuracy: dict[str, list[float]]
    calibration: float | None
