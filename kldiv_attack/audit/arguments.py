"""Words of the commands ``audit`` and ``score``."""

from __future__ import annotations

import argparse
from typing import Any

from kldiv_attack._parser import Formatter, examples, lists
from kldiv_attack.audit.command import run_audit, run_score


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
        formatter_class=Formatter,
    )
    parser.set_defaults(
        command=run_audit,
        interrupted="The answers are kept; --resume goes on from there.",
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

    return (
        f"{examples('audit')}\ndefences: {', '.join(DEFENCES)}\n"
        f"metrics: {', '.join(METRICS)}\n"
        f"{lists()}"
    )


def _score_epilog() -> str:
    return examples("score") + lists()


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
        formatter_class=Formatter,
    )
    parser.set_defaults(command=run_score, interrupted="Nothing was written.")
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
