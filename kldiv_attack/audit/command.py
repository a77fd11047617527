"""The commands ``audit`` and ``score``."""

import argparse
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from kldiv_attack.audit.result import AuditReport, write_text


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Texts may be functions: the list of attacks loads torch, for help alone."""

    def add_text(self, text: Any) -> None:
        super().add_text(text() if callable(text) else text)


def add_audit(commands: Any) -> None:
    """Register ``audit``.

    Parameters
    ----------
    commands : object
        What ``ArgumentParser.add_subparsers`` returned.
    """
    parser = commands.add_parser(
        "audit",
        help="is my model at risk, which class, and which defence helps?",
        description="Write a report on how exposed each class of a model is to model "
        "inversion, and decide on a release.",
        epilog=_audit_epilog,
        formatter_class=_Formatter,
    )
    parser.set_defaults(
        command=_audit, interrupted="The answers are kept; --resume goes on from there."
    )
    _what(parser)
    _how(parser)
    _gate(parser)
    _common(parser)


def _what(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is audited")
    group.add_argument(
        "--victim",
        action="append",
        required=True,
        metavar="[NAME=]SPEC",
        help="package.module:name, file.py:name, an .onnx, .pt2, .pt, .skops or "
        ".safetensors file (weights.safetensors@package.module:Class), or a table of "
        "answers to the auxiliary rows; repeatable, the first one is the reference",
    )
    group.add_argument("--train", required=True, metavar="PATH", help="training rows")
    group.add_argument(
        "--aux",
        required=True,
        action="append",
        metavar="PATH",
        help="rows that an attacker may own; repeatable",
    )
    group.add_argument(
        "--held-out",
        metavar="PATH",
        help="rows of the classes that were not trained on",
    )
    _data(group)
    group.add_argument(
        "--any-scale",
        action="store_true",
        help="auxiliary rows may be in other units than the training rows",
    )


def _data(group: Any) -> None:
    group.add_argument("--label", metavar="COLUMN", help="label column of tables")
    group.add_argument(
        "--data", metavar="FOLDER", help="folder of the files of named data sets"
    )


def _how(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how")
    group.add_argument(
        "--defence",
        action="append",
        default=[],
        metavar="NAME[:VALUE]",
        help="wrapper of the answers to compare; repeatable",
    )
    group.add_argument("--attack", metavar="NAME", help="attack to run; images only")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the attack; repeatable",
    )
    group.add_argument(
        "--budget",
        type=int,
        metavar="N",
        help="most auxiliary rows that are asked about, and queries of an attack",
    )
    group.add_argument(
        "--show-private",
        action="store_true",
        help="show private rows beside the nearest auxiliary rows",
    )


def _gate(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "gate", "exit code 0: pass, 1: fail, 2: not evaluable, or an error"
    )
    group.add_argument(
        "--fail-below",
        action="append",
        metavar="[METRIC=]NUMBER",
        help="fail where the lower end of an interval is below; a bare number is on "
        "the indicator, in nats",
    )
    group.add_argument(
        "--fail-above",
        action="append",
        metavar="METRIC=NUMBER",
        help="fail where the upper end of an interval is above",
    )
    group.add_argument(
        "--fail-below-change",
        type=float,
        metavar="NATS",
        help="fail where the indicator may have changed by less than this against "
        "--baseline; -0.5 allows it to fall by half a nat",
    )
    group.add_argument("--baseline", metavar="FILE", help="stored report.json")
    group.add_argument(
        "--overall", action="store_true", help="the mean over classes, not each class"
    )
    group.add_argument(
        "--release",
        metavar="NAME",
        help="victim, or 'victim + defence', to decide on (default: the first victim)",
    )
    group.add_argument("--waivers", metavar="FILE", help="TOML file of exceptions")
    group.add_argument(
        "--junit", metavar="FILE", help="write the decision as JUnit XML"
    )
    group.add_argument("--json", metavar="FILE", help="write the decision as JSON")


def _common(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--out", required=True, metavar="FOLDER", help="where to write")
    group.add_argument("--seed", type=int, default=0, help="the one seed (default 0)")
    group.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    group.add_argument("--n-jobs", type=int, help="classes scored at a time")
    group.add_argument(
        "--resume", action="store_true", help="go on with an interrupted audit"
    )
    group.add_argument(
        "--restart", action="store_true", help="throw an interrupted audit away"
    )
    group.add_argument("--quiet", action="store_true", help="no progress bars")
    group.add_argument(
        "--traceback", action="store_true", help="show where an error comes from"
    )


def _audit_epilog() -> str:
    from kldiv_attack.audit.defences import DEFENCES
    from kldiv_attack.audit.metrics import METRICS

    examples = _examples(
        "kldiv audit --victim mymodels:classifier --train train.csv --aux public.csv "
        "--held-out test.csv --out report",
        "kldiv audit --victim model.onnx --train images/train --aux images/public "
        "--defence label_only --defence rounding:1 --out report --fail-below 0.5",
    )
    return (
        f"{examples}\ndefences: {', '.join(DEFENCES)}\nmetrics: {', '.join(METRICS)}\n"
        f"{_lists()}"
    )


def _score_epilog() -> str:
    return _examples("kldiv score train.csv answered.csv --label species") + _lists()


def _lists() -> str:
    from kldiv_attack.audit.paths import NAMED

    text = f"data sets: {', '.join(NAMED)} (as name:split)\n"
    try:
        from kldiv_attack.attackers import ATTACKERS
    except ImportError:
        return text
    return f"{text}attacks: {', '.join(ATTACKERS)}\n"


def _examples(*lines: str) -> str:
    found = []
    for line in lines:
        wrapped = textwrap.wrap(
            line, 74, break_on_hyphens=False, break_long_words=False
        )
        found.append(" \\\n      ".join(wrapped))
    return "examples:\n  " + "\n  ".join(found) + "\n"


def _audit(options: argparse.Namespace) -> int:
    from kldiv_attack.audit.gate import junit
    from kldiv_attack.audit.run import audit

    report = audit(
        _victims(options.victim),
        options.train,
        options.aux,
        options.out,
        held_out=options.held_out,
        defences=options.defence,
        attack=options.attack,
        attack_parameters=_parameters(options.set),
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
        random_state=options.seed,
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
    _print(_summary(report, Path(options.out)))
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
    from kldiv_attack.audit.run import audit

    report = audit(
        _victims([options.victim]),
        options.train,
        options.aux,
        options.out,
        attack=options.attacker,
        attack_parameters=parameters,
        data=options.data,
        restart=options.restart,
        random_state=options.seed,
        verbose=0 if options.quiet else 1,
    )
    _print(_summary(report, Path(options.out)))
    return report.exit_code


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Let a shell complete commands, options and files, where shtab is installed.

    Parameters
    ----------
    parser : ArgumentParser
        Gets ``--print-completion SHELL``.
    """
    try:
        import shtab
    except ImportError:
        return
    shtab.add_argument_to(parser, "--print-completion")


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


def _parameters(given: list[str]) -> dict[str, Any]:
    found = {}
    for item in given:
        name, sign, text = item.partition("=")
        if not sign:
            raise ValueError(f"--set {item}: expected NAME=VALUE.")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
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


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


# -- score -----------------------------------------------------------------------------


def add_score(commands: Any) -> None:
    """Register ``score``.

    Parameters
    ----------
    commands : object
        What ``ArgumentParser.add_subparsers`` returned.
    """
    parser = commands.add_parser(
        "score",
        help="only the numbers: divergence per class of two labelled samples",
        description="Print the divergence of the training rows of each class from the "
        "auxiliary rows that carry its label: the victim's answers.",
        epilog=_score_epilog,
        formatter_class=_Formatter,
    )
    parser.set_defaults(command=_score, interrupted="Nothing was written.")
    parser.add_argument("train", metavar="TRAIN", help="training rows with labels")
    parser.add_argument(
        "aux", metavar="AUX", help="auxiliary rows, labelled by the victim"
    )
    _data(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    parser.add_argument("--seed", type=int, default=0, help="the one seed (default 0)")
    parser.add_argument("--n-jobs", type=int, help="classes scored at a time")
    parser.add_argument(
        "--any-scale", action="store_true", help="units of the samples may differ"
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show where an error comes from"
    )


def _score(options: argparse.Namespace) -> int:
    from kldiv_attack.audit.answers import Answers
    from kldiv_attack.audit.blocks import Grid, markdown
    from kldiv_attack.audit.features import check_scale, make_space
    from kldiv_attack.audit.paths import read_sample
    from kldiv_attack.audit.scoring import score, table_of

    common = {"label": options.label, "root": options.data}
    train = read_sample(options.train, role="train", **common)
    aux = read_sample(options.aux, role="held-out", like=train, **common)
    if not options.any_scale:
        check_scale(train, aux, "aux")
    if train.labels is None or aux.labels is None:
        raise ValueError("score: both samples need labels.")
    space = make_space(train, [aux], options.seed)
    names = train.class_names
    reports = score(
        space.train,
        train.labels,
        space.others[0],
        Answers(aux.labels),
        names,
        n_jobs=options.n_jobs,
    )
    table = table_of(reports, names, victim="", defence="", aux=aux.name)
    if options.json:
        content = {
            "classes": table.classes,
            "columns": table.columns,
            "reasons": table.reasons,
            "notes": table.notes,
            "features": space.description,
        }
        _print(json.dumps(content, indent=2, ensure_ascii=False))
        return 0
    rows = [
        [label, *(column[c] for column in table.columns.values())]
        for c, label in enumerate(table.classes)
    ]
    caption = (
        f"Divergence of {train.name} from {aux.name} in nats, {space.description}."
    )
    _print(markdown(Grid(caption, ["class", *table.columns], rows)))
    for label, reason in {**table.reasons, **table.notes}.items():
        _print(f"* {label}: {reason}")
    return 0
