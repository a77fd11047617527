"""Ask a victim about many rows; what was answered is kept, batch by batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kldiv_attack._progress import progress
from kldiv_attack.audit.answers import Answers, join, read_answers
from kldiv_attack.audit.paths import load_array
from kldiv_attack.audit.samples import Sample
from kldiv_attack.audit.specs import Model, VictimError

BATCH = 1000


def ask(model: Model, sample: Sample, folder: Path, *, verbose: int = 0) -> Answers:
    """The victim's answers to all rows of a sample.

    Parameters
    ----------
    model : Model
        The victim.
    sample : Sample
        Rows to ask about.
    folder : Path
        Keeps one file for each batch; batches that it holds are not asked again.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Answers
        One for each row.

    Raises
    ------
    VictimError
        If the victim raises; what it answered until then is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(sample), BATCH)
    parts = []
    title = f"{model.name}: {sample.name}"
    for start in progress(starts, desc=title, unit="batch", disable=not verbose):
        file = folder / f"{start:09d}.npz"
        rows = np.arange(start, min(start + BATCH, len(sample)))
        part = _read(file)
        if part is None:
            try:
                part = model.answer(sample.take(rows))
            except (VictimError, ValueError) as error:
                raise VictimError(
                    f"{error} (rows {start} to {rows[-1]} of {sample.name}; the "
                    f"answers to {start} rows are kept, and --resume goes on)"
                ) from error
            _write(file, part)
        parts.append(part)
    return join(parts)


def answers_of_table(model: Model, rows: slice, n: int) -> Answers:
    """Answers of a victim of which only the answers are known."""
    table = model.table
    if table is None:
        raise VictimError(f"{model.name} is no table of answers.")
    name = f"answers {model.name}"
    return read_answers(table[rows], n, model.class_names, model.columns, name)


def _read(file: Path) -> Answers | None:
    if not file.exists():
        return None
    try:
        stored = load_array(file)
        return Answers(stored["labels"], stored.get("probabilities"))
    except (ValueError, KeyError, IndexError) as error:
        raise VictimError(
            f"{file} is damaged; delete it, and its rows are asked about again."
        ) from error


def _write(file: Path, answers: Answers) -> None:
    kept: dict[str, Any] = {"labels": answers.labels}
    if answers.probabilities is not None:
        kept["probabilities"] = answers.probabilities
    temporary = file.with_suffix(".tmp")
    with open(temporary, "wb") as stream:
        np.savez(stream, **kept)
    temporary.replace(file)
