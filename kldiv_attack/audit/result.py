"""The report of an audit: what was found, and the files it is written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Self

from kldiv_attack._files import checked_path, write_atomic
from kldiv_attack.audit import schema
from kldiv_attack.audit.attack_content import AttackChange, AttackOutcome
from kldiv_attack.audit.content import (
    RANK,
    ClassTable,
    Curve,
    Difference,
    Gate,
    HeldOut,
    Leak,
    Membership,
    Picture,
    Source,
    TextTable,
    VictimFacts,
)


@dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    Attributes
    ----------
    created : str
        When, in ISO format.
    seconds : float
        How long it took.
    versions : dict of str to str
        Programs that took part.
    settings : dict of str to str
        Every setting.
    classes : list of str
        Classes of the training rows.
    sources : list of Source
        Samples.
    victims : list of VictimFacts
        Victims; the first one is the reference.
    tables : list of ClassTable
        Indicator per class, for each victim, defence and auxiliary sample.
    leaks : list of Leak
        Training rows that are in an auxiliary sample.
    differences : list of Difference
        Defences and victims compared.
    held_out : list of HeldOut
        Known class against leaked individuals.
    membership : list of Membership
        Baseline on the same rows.
    curves : list of Curve
        Leakage against queries.
    attacks : list of AttackOutcome
        Attacks that were run.
    attack_changes : list of AttackChange
        Their success under defences and on other victims compared.
    pictures : list of Picture
        Reconstructions, and private rows if they were asked for.
    extras : list of TextTable
        Nearest rows of tables if they were asked for.
    remarks : list of str
        What a reader must know.
    gate : Gate or None
        The decision, if one was asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from kldiv_attack import AuditReport, audit
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 100)
    >>> train, aux = rng.normal(size=(2, 200, 2)) + 3 * y[:, None]
    >>> with TemporaryDirectory() as folder:
    ...     report = audit(
    ...         lambda rows: (rows[:, 0] > 1.5).astype(int), (train, y), aux, folder,
    ...         fail_below=0.5,
    ...     )
    ...     again = AuditReport.from_json(folder + "/report.json")
    >>> report.verdicts, report.exit_code, again == report
    ({'0': 'exposed', '1': 'exposed'}, 1, True)
    """

    created: str
    seconds: float
    versions: dict[str, str]
    settings: dict[str, str]
    classes: list[str]
    sources: list[Source]
    victims: list[VictimFacts]
    tables: list[ClassTable]
    leaks: list[Leak] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    held_out: list[HeldOut] = field(default_factory=list)
    membership: list[Membership] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    attacks: list[AttackOutcome] = field(default_factory=list)
    attack_changes: list[AttackChange] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    extras: list[TextTable] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    gate: Gate | None = None

    @property
    def exit_code(self) -> int:
        """That of the gate; 0 without one."""
        return 0 if self.gate is None else self.gate.exit_code

    @property
    def verdicts(self) -> dict[str, str]:
        """Class to the worst verdict on the first victim as it is."""
        found: dict[str, str] = {}
        for table in self._plain_tables():
            for label, word in zip(table.classes, table.verdicts, strict=True):
                worst = min(RANK.index(word), RANK.index(found.get(label, word)))
                found[label] = RANK[worst]
        return found

    def _plain_tables(self) -> list[ClassTable]:
        first = self.victims[0].name
        return [t for t in self.tables if t.victim == first and not t.defence]

    @property
    def sentence(self) -> str:
        """What a reviewer reads first."""
        verdicts = self.verdicts
        groups = {w: [c for c, v in verdicts.items() if v == w] for w in RANK}
        parts = []
        for word, says in (
            ("leaked", "{has} training rows in the auxiliary data"),
            ("exposed", "{is} exposed"),
            ("partly exposed", "{is} partly exposed"),
        ):
            if groups[word]:
                one = len(groups[word]) == 1
                verb = {"has": "has" if one else "have", "is": "is" if one else "are"}
                text = f"{len(groups[word])} {says.format(**verb)}"
                parts.append(f"{text} ({_some(groups[word])})")
        text = f"Of {len(verdicts)} classes of {self.victims[0].name}, "
        text += ", ".join(parts) if parts else "none is shown to be exposed"
        text += "."
        if groups["not evaluable"]:
            text += (
                f" {len(groups['not evaluable'])} cannot be evaluated "
                f"({_some(groups['not evaluable'])})."
            )
        if self.gate is not None:
            text += f" The gate says: {self.gate.outcome.upper()}."
        return text

    def to_json(self) -> str:
        """The report as JSON text; :meth:`from_json` reads it."""
        return schema.to_json(self)

    @classmethod
    def from_json(cls, source: str | PathLike[str]) -> Self:
        """Read a report.

        Parameters
        ----------
        source : path or str
            A ``report.json``, or its text.

        Returns
        -------
        AuditReport
            Equal to the one that was written.

        Raises
        ------
        ValueError
            If it is no report, or one of another version of the schema.
        """
        text = str(source) if isinstance(source, str) else ""
        if text.lstrip().startswith("{"):
            return schema.read(cls, text, "the text")  # type: ignore[no-any-return]
        path = checked_path(source, "source")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{str(path)[:80]!r} is neither a report as text nor a file that "
                "holds one."
            ) from error
        return schema.read(cls, text, str(path))  # type: ignore[no-any-return]

    def to_markdown(self) -> str:
        """The report as Markdown."""
        from kldiv_attack.audit.pages import to_markdown

        return to_markdown(self)

    def to_html(self) -> str:
        """The report as one HTML page that needs no other file."""
        from kldiv_attack.audit.pages import to_html

        return to_html(self)

    def write(self, folder: str | PathLike[str]) -> Mapping[str, Path]:
        """Write report.html, report.md and report.json.

        Parameters
        ----------
        folder : path
            Where.

        Returns
        -------
        mapping of str to Path
            The files.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        texts = {
            "report.json": self.to_json() + "\n",
            "report.md": self.to_markdown(),
            "report.html": self.to_html(),
        }
        for name, text in texts.items():
            write_text(place / name, text)
        return {name: place / name for name in texts}

    def _repr_html_(self) -> str:
        from kldiv_attack.audit.pages import body

        return body(self)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def write_text(path: Path, text: str) -> None:
    """Write a file so that a crash leaves the previous one as it was.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        Its content.
    """
    write_atomic(path, text.encode())


def as_plain(value: Any) -> str:
    """A setting as text."""
    if isinstance(value, list | tuple):
        return ", ".join(map(as_plain, value)) or "none"
    return "none" if value is None else str(value)
