"""Ask a victim about many rows; what was answered is kept, batch by batch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kldiv_attack._files import write_atomic
from kldiv_attack._progress import progress
from kldiv_attack.audit.answers import Answers, join, read_alike, read_answers
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
    return join(read_alike(parts, model.class_names, f"victim {model.name}"))


def ask_about(
    model: Model,
    samples: Mapping[str, Sample],
    folder: Path,
    *,
    verbose: int = 0,
) -> dict[str, Answers]:
    """The victim's answers to several samples, all read in one way.

    Parameters
    ----------
    model : Model
        The victim.
    samples : mapping of str to Sample
        Name of a subfolder to the rows whose answers it keeps.
    folder : Path
        Where the subfolders are.
    verbose : int, default=0
        1 shows progress bars.

    Returns
    -------
    dict of str to Answers
        By the same names. Of a table of answers, those to what it holds: the samples,
        one after the other.
    """
    found = {}
    start = 0
    for name, sample in samples.items():
        if model.table is None:
            found[name] = ask(model, sample, folder / name, verbose=verbose)
        else:
            rows = slice(start, start + len(sample))
            found[name] = answers_of_table(model, rows, len(sample))
        start += len(sample)
    alike = read_alike(list(found.values()), model.class_names, f"victim {model.name}")
    return dict(zip(found, alike, strict=True))


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
        by_position = bool(stored.get("by_position", False))
        return Answers(stored["labels"], stored.get("probabilities"), by_position)
    except (ValueError, KeyError, IndexError) as error:
        raise VictimError(
            f"{file} is damaged; delete it, and its rows are asked about again."
        ) from error


def _write(file: Path, answers: Answers) -> None:
    kept: dict[str, Any] = {
        "labels": answers.labels,
        "by_position": answers.by_position,
    }
    if answers.probabilities is not None:
        kept["probabilities"] = answers.probabilities
    stream = io.BytesIO()
    np.savez(stream, **kept)
    write_atomic(file, stream.getvalue())
