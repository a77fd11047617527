"""What the commands ``audit``, ``score`` and ``attack --victim`` do."""

from __future__ import annotations

import argparse
import json
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kldiv_attack._files import checked_path
from kldiv_attack._rules import SEED, check_value
from kldiv_attack._set_options import parameters_of
from kldiv_attack._streams import write_out
from kldiv_attack.audit.result import AuditReport, write_text

if TYPE_CHECKING:
    from kldiv_attack.audit.content import ClassTable


def run_audit(options: argparse.Namespace) -> int:
    """Audit, write what was asked for, and print a summary.

    Parameters
    ----------
    options : Namespace
        Of the command ``audit``.

    Returns
    -------
    int
        Exit code of the gate.
    """
    from kldiv_attack.audit.gate import junit
    from kldiv_attack.audit.run import audit

    _check_targets(options)
    report = audit(
        _victims(options.victim),
        options.train,
        options.aux,
        options.out,
        held_out=options.held_out,
        defences=options.defence,
        attack=options.attack,
        attack_parameters=parameters_of(options.set),
        budget=options.budget,
        label=options.label,
        data=options.data,
        fail_below=options.fail_below,
        fail_above=options.fail_above,
        fail_below_change=options.fail_below_change,
        baseline=options.baseline,
        waivers=options.waivers,
        overall=options.overall,
        release=options.release,
        show_private=options.show_private,
        any_scale=options.any_scale,
        resume=options.resume,
        restart=options.restart,
        random_state=check_value("seed", options.seed, SEED),
        device=options.device,
        n_jobs=options.n_jobs,
        verbose=0 if options.quiet else 1,
    )
    if report.gate is not None:
        if options.junit:
            write_text(Path(options.junit), junit(report.gate))
        if options.json:
            gate = json.loads(report.to_json())["gate"]
            text = json.dumps(gate, indent=2, ensure_ascii=False)
            write_text(Path(options.json), text + "\n")
    write_out(_summary(report, Path(options.out)))
    return report.exit_code


def attack_victim(options: argparse.Namespace, parameters: dict[str, Any]) -> int:
    """Attack a model of the user's: an audit with an attack.

    Parameters
    ----------
    options : Namespace
        Of the command ``attack``.
    parameters : dict
        Of the attacker.

    Returns
    -------
    int
        Exit code.
    """
    from kldiv_attack.audit.folder import is_interrupted
    from kldiv_attack.audit.run import audit

    report = audit(
        _victims([options.victim]),
        options.train,
        options.aux,
        options.out,
        attack=options.attacker,
        attack_parameters=parameters,
        data=options.data,
        resume=not options.restart and is_interrupted(Path(options.out)),
        restart=options.restart,
        random_state=check_value("seed", options.seed, SEED),
        verbose=0 if options.quiet else 1,
    )
    write_out(_summary(report, Path(options.out)))
    return report.exit_code


def _check_targets(options: argparse.Namespace) -> None:
    """A decision that could not be written would leave an exit code without it."""
    from kldiv_attack.audit.demands import NO_LIMIT

    limits = options.fail_below, options.fail_above, options.fail_below_change
    for option in ("junit", "json"):
        target = getattr(options, option)
        if target is None:
            continue
        path = checked_path(target, f"--{option}")
        _check_writable(path)
        if limits == (None, None, None):
            raise ValueError(f"--{option} {path}: {NO_LIMIT}")


def _check_writable(path: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=path.parent):  # leaves no name behind
            pass
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
    except OSError as error:
        raise ValueError(
            f"{path} cannot be written: {error.strerror}. Choose another file."
        ) from error


def _victims(given: list[str]) -> dict[str | None, str]:
    """``NAME=SPEC`` or ``SPEC``, in order."""
    found: dict[str | None, str] = {}
    for text in given:
        name, sign, spec = text.partition("=")
        plain = not sign or any(c in name for c in "/\\:@")
        key = text if plain else name
        if key in found:
            raise ValueError(f"--victim: two are called {key!r}; give NAME=SPEC.")
        if not plain and not (name and spec):
            raise ValueError(f"--victim {text}: expected [NAME=]SPEC.")
        found[key] = text if plain else spec
    return found


def _summary(report: AuditReport, folder: Path) -> str:
    lines = textwrap.wrap(report.sentence, 79)
    if report.gate is not None:
        for check in (*report.gate.of("fail"), *report.gate.of("not evaluable")):
            where = ", ".join(filter(None, [check.victim, check.aux]))
            lines.append(
                f"{check.outcome.upper()}: class {check.label} ({where}): "
                f"{check.message}"
            )
        lines += report.gate.remarks
    return "\n".join([*lines, f"Report: {folder / 'report.html'}"])


def run_score(options: argparse.Namespace) -> int:
    """Print the divergence of each class.

    Parameters
    ----------
    options : Namespace
        Of the command ``score``.

    Returns
    -------
    int
        0.
    """
    from kldiv_attack.audit.answers import Answers
    from kldiv_attack.audit.features import check_scale, make_space
    from kldiv_attack.audit.inputs import check_jobs
    from kldiv_attack.audit.one_law import floors, with_columns
    from kldiv_attack.audit.paths import read_sample
    from kldiv_attack.audit.scoring import score, table_of

    seed = check_value("seed", options.seed, SEED)
    check_jobs(options.n_jobs)
    common = {"label": options.label, "root": options.data}
    train = read_sample(options.train, role="train", **common)
    aux = read_sample(options.aux, role="AUX", like=train, **common)
    if not options.any_scale:
        check_scale(train, aux, "aux")
    if train.labels is None or aux.labels is None:
        raise ValueError("score: both samples need labels.")
    space = make_space(train, [aux], seed)
    names = train.class_names
    floor = floors(space.train, train.labels, names, n_jobs=options.n_jobs)
    scores = score(
        space.train,
        train.labels,
        space.others[0],
        Answers(aux.labels),
        names,
        floor=floor,
        n_jobs=options.n_jobs,
    )
    table = table_of(scores, names, victim="", defence="", aux=aux.name)
    table = with_columns(table, floor=floor)
    caption = (
        f"Divergence of {train.name} from {aux.name} in nats, {space.description}."
    )
    write_out(
        _score_as_json(table, space.description)
        if options.json
        else _score_as_text(table, caption)
    )
    return 0


def _score_as_json(table: ClassTable, features: str) -> str:
    content = {
        "classes": table.classes,
        "columns": table.columns,
        "reasons": table.reasons,
        "notes": table.notes,
        "features": features,
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _score_as_text(table: ClassTable, caption: str) -> str:
    from kldiv_attack.audit.blocks import Grid, markdown

    rows = [
        [label, *(column[c] for column in table.columns.values())]
        for c, label in enumerate(table.classes)
    ]
    remarks = [f"* {label}: {text}" for label, text in table.reasons.items()]
    remarks += [
        f"* {c}: {' '.join(notes.values())}" for c, notes in table.notes.items()
    ]
    grid = Grid(caption, ["class", *table.columns], rows)
    return "\n".join([markdown(grid), *remarks])
