"""What a report of the scorer shows: columns with one number per class, and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv._conditional._labelled_pair import LabelledPair
from kldiv._conditional._soft import SoftTerms
from kldiv._results._export import unit_of
from kldiv._results._results import DivergenceResult
from kldiv._typing import Floats
from kldiv._warnings import TRUST, DivergenceWarning, Note, warn_of

# Halves of a class that seem so many nats apart, and so large a share of the score,
# are worth a note.
_FLOOR, _RELATIVE_FLOOR = 0.25, 0.25
# By class label, scored classes only.
Results = Mapping[Any, DivergenceResult]


def columns_of(
    pair: LabelledPair,
    results: Results,
    terms: Mapping[Any, SoftTerms] | None,
    floors: Mapping[Any, float] | None,
    *,
    intervals: bool,
) -> dict[str, NDArray[Any]]:
    """The columns of the report; NaN where a class was not scored.

    `terms` are those of soft scores, None for hard ones; `floors` None if not wanted.
    """
    classes = pair.classes.tolist()
    n_train, n_aux = pair.sizes()
    columns: dict[str, NDArray[Any]] = {
        "kl": _field(classes, results, "value"),
        **({} if floors is None else {"floor": _gather(classes, floors)}),
        "n_train": n_train,
        "n_aux": n_aux,
        "coverage": _field(classes, results, "coverage"),
        "n_duplicates": _field(classes, results, "n_duplicates"),
    }
    if pair.weights is not None:
        for name, size in (("n_train", "n"), ("n_aux", "m")):
            effective = {c: _effective(one, size) for c, one in results.items()}
            columns[f"{name}_effective"] = _gather(classes, effective)
    if intervals:
        columns |= _intervals(classes, results)
    trust = {c: result.trust for c, result in results.items()}
    columns["trust"] = np.array([trust.get(c, "not scored") for c in classes])
    if terms is not None:
        columns |= _of_terms(classes, terms)
    return columns


def _effective(result: DivergenceResult, size: str) -> float:
    """Effective rows of a sample; all of them where they count alike."""
    effective = getattr(result, f"{size}_effective")
    return float(getattr(result, size) if effective is None else effective)


def _intervals(classes: list[Any], results: Results) -> dict[str, NDArray[Any]]:
    none = (np.nan, np.nan)
    ends = {c: r.confidence_interval or none for c, r in results.items()}
    return {
        "standard_error": _field(classes, results, "standard_error"),
        "kl_low": _gather(classes, {c: low for c, (low, _) in ends.items()}),
        "kl_high": _gather(classes, {c: high for c, (_, high) in ends.items()}),
    }


def _of_terms(
    classes: list[Any], terms: Mapping[Any, SoftTerms]
) -> dict[str, NDArray[Any]]:
    """The three terms of soft scores, and the errors of two of them."""
    marginals = {c: one.marginal for c, one in terms.items()}
    columns = {"kl_marginal": _field(classes, marginals, "value")}
    for term in ("log_answer", "log_share"):
        for name in (term, f"{term}_error"):
            columns[name] = _field(classes, terms, name)
    return columns


def _field(classes: list[Any], records: Mapping[Any, Any], name: str) -> Floats:
    return _gather(classes, {c: getattr(one, name) for c, one in records.items()})


def _gather(classes: list[Any], values: Mapping[Any, float | None]) -> Floats:
    """One number per class, NaN where there is none."""
    numbers = [values.get(c) for c in classes]
    return np.array([np.nan if v is None else v for v in numbers], dtype=np.float64)


def noted(
    result: DivergenceResult, of_all: tuple[Note, ...], floor: float, base: float | None
) -> DivergenceResult:
    """A result with notes on all classes, which were told, and one on its floor.

    `floor` is in the unit of `base`, NaN where halves could not be compared.
    """
    said = {note.name for note in of_all}
    own = [note for note in result.notes if note.name not in said]
    told = [Note(str(note), None, note.severity, note.name) for note in of_all]
    nats = abs(floor) * (1.0 if base is None else float(np.log(base)))
    if nats > max(_FLOOR, _RELATIVE_FLOOR * abs(result.value)):
        own.append(_floor_note(floor, base))
    severities = {result.trust, *(note.severity for note in (*told, *own))}
    return replace(result, notes=(*told, *own), trust=max(severities, key=TRUST.index))


def _floor_note(floor: float, base: float | None) -> Note:
    return Note(
        f"two halves of the training rows, which differ in nothing, seem {floor:.2f} "
        f"{unit_of(base)} apart: so much of the value may be noise. Bring more rows, "
        "or use fewer columns.",
        None,
        "caution",
        "floor",
    )


def notes_of_classes(results: Results) -> dict[Any, str]:
    """What stands against the scores; warns once of each kind."""
    by_kind: dict[type[DivergenceWarning], dict[Any, Note]] = {}
    for c, result in results.items():
        for note in result.notes:
            if note.category is not None:
                by_kind.setdefault(note.category, {}).setdefault(c, note)
    warn_of(
        Note(
            f"{len(notes)} of {len(results)} scores need care; report().notes has them "
            f"all. Class {next(iter(notes))}: {next(iter(notes.values()))}",
            category,
        )
        for category, notes in by_kind.items()
    )
    return {c: " ".join(r.notes) for c, r in results.items() if r.notes}
