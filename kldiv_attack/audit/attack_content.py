"""What attacks achieved, as plain values that a JSON file can hold and give back."""

from dataclasses import dataclass

from kldiv_attack.audit.content import ClassTable


@dataclass(frozen=True)
class AttackOutcome:
    """Success of one attack on one victim.

    Attributes
    ----------
    victim, defence, aux, attack, access : str
        Which.
    queries : int
        Queries that it made.
    table : dict of str to ClassTable
        The attack, and both controls.
    """

    victim: str
    defence: str
    aux: str
    attack: str
    access: str
    queries: int
    tables: dict[str, ClassTable]

    @property
    def name(self) -> str:
        """Victim and defence."""
        return f"{self.victim} + {self.defence}" if self.defence else self.victim


@dataclass(frozen=True)
class AttackChange:
    """Success of an attack under a defence, or on another victim, minus that before.

    Attributes
    ----------
    victim, defence, aux, attack, against : str
        What is compared with what.
    classes : list of str
        Classes that both attacks reconstruct; the last one is "all classes".
    accuracy, accuracy_before, difference, low, high : list of float
        Shares of reconstructions that the judge puts into the class, and their
        difference with its interval, paired by the noise of the reconstructions.
    """

    victim: str
    defence: str
    aux: str
    attack: str
    against: str
    classes: list[str]
    accuracy: list[float]
    accuracy_before: list[float]
    difference: list[float]
    low: list[float]
    high: list[float]

    @property
    def name(self) -> str:
        """Victim and defence."""
        return f"{self.victim} + {self.defence}" if self.defence else self.victim

    @property
    def title(self) -> str:
        """Attack, victim and defence, and auxiliary rows."""
        return f"{self.attack} on {self.name}, {self.aux}"
