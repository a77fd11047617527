"""Command line: python -m kldiv_attack {demo, paper, attack, study, curves}."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Threads that wait sleep: beside other work those that spin until all have arrived take
# minutes for seconds. OpenMP reads this once, when what follows loads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from kldiv import __version__
from kldiv_attack._parser import Formatter, Parser, examples, lists, parse
from kldiv_attack._set_options import parameters_of
from kldiv_attack._streams import explanation, open_streams, say, write_out
from kldiv_attack.audit.arguments import add_audit, add_completion, add_score
from kldiv_attack.audit.command import attack_victim


def main(
    arguments: Sequence[str] | None = None, *, program: str = "kldiv-attack"
) -> int:
    """Run a command and return the exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the program's name; those of the process by default.
    program : str, default="kldiv-attack"
        What help texts call the program.

    Returns
    -------
    int
        0, 1 where a gate fails, 2 after an error that is explained in one sentence, 130
        after Ctrl-C.
    """
    open_streams()
    options = parse(_parser(program), arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return options.command(options) or 0
    except KeyboardInterrupt:
        return say(f"Interrupted. {options.interrupted}", 130)
    except Exception as error:  # exit code 1 says that a gate fails, and nothing else
        if options.traceback:
            traceback.print_exc()
        return say(f"Error: {explanation(error)}", 2)


def _parser(program: str) -> Parser:
    parser = Parser(
        prog=program,
        description="How far can a model inversion attack reconstruct each class of a "
        "classifier's training images?",
    )
    parser.add_argument("--version", action="version", version=f"kldiv {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_audit(commands)
    add_score(commands)
    add_completion(parser)
    demo = _command(
        commands, "demo", _demo, "the whole path on embedded images, a few minutes"
    )
    _common(demo, out="runs/demo")
    paper = _command(
        commands, "paper", _paper, "Tables 1 and 3 and Figure 2 of the paper"
    )
    _common(paper, out="runs/paper")
    paper.add_argument(
        "--table",
        type=int,
        choices=(1, 3),
        default=3,
        help="1: the simulation, which needs no data; 3: EMNIST, with Figure 2",
    )
    paper.add_argument("--data", metavar="FOLDER", help="folder that holds EMNIST/raw")
    paper.add_argument(
        "--download", action="store_true", help="fetch missing EMNIST files"
    )
    paper.add_argument(
        "--from",
        dest="source",
        metavar="FOLDER",
        help="only rebuild the report from the run folders in FOLDER",
    )
    attack = _command(commands, "attack", _attack, "one attack on one victim")
    _common(attack, out="runs/attack")
    _data_options(attack)
    attack.add_argument("--attacker", default="cgan", help="name of the attacker")
    attack.add_argument(
        "--victim",
        metavar="SPEC",
        help="attack this model, as audit does, instead of one that is trained here",
    )
    _study_options(commands)
    _curves_options(commands)
    return parser


def _study_options(commands: Any) -> None:
    study = _command(
        commands,
        "study",
        _study,
        "which divergence predicts which attack: attackers on auxiliary sets",
    )
    _common(study, out="runs/study")
    study.add_argument(
        "--data",
        metavar="FOLDER",
        help="folder that holds EMNIST/raw; embedded images by default",
    )
    study.add_argument(
        "--attackers",
        metavar="NAMES",
        help="attackers, separated by commas; all by default",
    )
    study.add_argument(
        "--seeds", type=int, default=1, help="repetitions, from --seed on (default 1)"
    )
    study.add_argument(
        "--demo", action="store_true", help="a minute: small attackers, few images"
    )
    study.add_argument(
        "--from",
        dest="source",
        metavar="FOLDER",
        help="only rebuild the tables from the study in FOLDER",
    )


def _curves_options(commands: Any) -> None:
    curves = _command(
        commands, "curves", _curves, "success of attacks against the number of queries"
    )
    _common(curves, out="runs/curves")
    _data_options(curves)
    curves.add_argument(
        "--attackers",
        metavar="NAMES",
        help="attackers that query, separated by commas; all of them by default",
    )
    curves.add_argument(
        "--granularities",
        metavar="NAMES",
        help="what the victim tells: some of labels, top-k, rounded, full; all of "
        "them by default",
    )
    curves.add_argument(
        "--seeds", type=int, default=1, help="repetitions, from --seed on (default 1)"
    )
    curves.add_argument(
        "--points", type=int, default=3, help="numbers of queries per factor of ten"
    )
    curves.add_argument(
        "--images", type=int, default=200, help="reconstructions per class"
    )


def _data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--train",
        default="digits",
        metavar="DATA",
        help="private images, NAME[:SPLIT[:PART]], for instance emnist:mnist:train",
    )
    parser.add_argument(
        "--aux",
        default="glyphs:letters",
        metavar="DATA",
        help="the attacker's images, for instance emnist:letters:test",
    )
    parser.add_argument("--data", metavar="FOLDER", help="folder of files of the data")


def _command(commands: Any, name: str, function: Any, text: str) -> Any:
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=lambda: examples(name) + lists(),
        formatter_class=Formatter,
    )
    parser.set_defaults(command=function)
    return parser


def _common(parser: argparse.ArgumentParser, *, out: str) -> None:
    parser.set_defaults(
        interrupted="What is done is kept; the same command goes on from there."
    )
    parser.add_argument(
        "--out", default=out, metavar="FOLDER", help=f"where to write (default {out})"
    )
    parser.add_argument("--seed", type=int, default=0, help="the one seed (default 0)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the attacker, for instance --set loss=hinge; repeatable",
    )
    parser.add_argument(
        "--restart", action="store_true", help="discard what the folder holds"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.add_argument(
        "--traceback", action="store_true", help="show where an error comes from"
    )


def _shared(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "restart": options.restart,
        "verbose": 0 if options.quiet else 1,
    }


def _demo(options: argparse.Namespace) -> None:
    import torch

    from kldiv_attack._studies.demo import demo_table, run_demo
    from kldiv_attack._summary import SUCCESS_TERMS

    torch.set_num_threads(1)  # images this small do not fill a second core
    runs = run_demo(
        options.out,
        seed=options.seed,
        attacker=parameters_of(options.set),
        **_shared(options),
    )
    write_out(str(demo_table(runs)))
    write_out("\n".join(map(_wrap, SUCCESS_TERMS)))
    write_out(f"Report: {Path(options.out) / 'report.html'}")


def _table_1(options: argparse.Namespace) -> None:
    from kldiv_attack._studies.table_1 import run_table_1, table_1

    folder = options.out if options.source is None else options.source
    if options.source is None:
        run_table_1(
            folder, seed=options.seed, n_jobs=-1, verbose=0 if options.quiet else 1
        )
    write_out(table_1(folder).removesuffix("\n"))


def _paper(options: argparse.Namespace) -> None:
    if options.table == 1:
        _table_1(options)
        return
    from kldiv_attack._studies.paper import run_paper, write_paper
    from kldiv_attack.paper import table_3

    folder = options.out
    if options.source is not None:
        folder = options.source
        write_paper(folder)
    elif options.data is None:
        raise ValueError(
            "paper needs --data <folder that holds EMNIST/raw>, or --from <folder of "
            "finished runs> to rebuild the report."
        )
    else:
        run_paper(
            options.data,
            folder,
            seed=options.seed,
            attacker=parameters_of(options.set),
            download=options.download,
            **_shared(options),
        )
    write_out(str(table_3(folder)))
    write_out(f"Report: {Path(folder) / 'report.html'}")


def _study(options: argparse.Namespace) -> None:
    from kldiv_attack._studies.pages import write_study
    from kldiv_attack._studies.result import load_study
    from kldiv_attack._studies.settings import study_config
    from kldiv_attack._studies.study import run_study

    if options.source is not None:
        study = load_study(options.source)
        write_study(study)
    else:
        config = study_config(
            _names(options.attackers),
            seeds=range(options.seed, options.seed + options.seeds),
            data=options.data,
            demo=options.demo,
            parameters=parameters_of(options.set),
        )
        study = run_study(config, options.out, **_shared(options))
    write_out(_text(study.folder / "study.txt"))
    write_out(f"Report: {study.folder / 'report.html'}")


def _attack(options: argparse.Namespace) -> int | None:
    if options.victim is not None:
        return attack_victim(options, parameters_of(options.set))
    from kldiv_attack._studies.demo import demo_table
    from kldiv_attack.datasets import load_dataset
    from kldiv_attack.experiment import run_experiment

    train = _data(options.train, options.data)
    size = load_dataset(**train).image_shape[1]
    run = run_experiment(
        {
            "seed": options.seed,
            "train": train,
            "aux": _data(options.aux, options.data, size),
            "attacker": {"name": options.attacker, **parameters_of(options.set)},
        },
        options.out,
        **_shared(options),
    )
    write_out(str(demo_table({run.facts["aux"]: run})))
    write_out(f"Report: {Path(options.out) / 'report.html'}")
    return None


def _curves(options: argparse.Namespace) -> None:
    from kldiv_attack._studies.curves import curves_config, run_curves
    from kldiv_attack.datasets import load_dataset

    train = _data(options.train, options.data)
    size = load_dataset(**train).image_shape[1]
    config = curves_config(
        train,
        _data(options.aux, options.data, size),
        attackers=_names(options.attackers),
        granularities=_names(options.granularities),
        seeds=range(options.seed, options.seed + options.seeds),
        parameters=parameters_of(options.set),
    )
    config |= {"points_per_decade": options.points, "n_reconstructions": options.images}
    curves = run_curves(config, options.out, **_shared(options))
    write_out(_text(curves.folder / "curves.txt"))
    write_out(f"Report: {curves.folder / 'report.html'}")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").removesuffix("\n")


def _names(given: str | None) -> list[str] | None:
    return None if given is None else given.split(",")


def _data(text: str, root: str | None, size: int | None = None) -> dict[str, Any]:
    """NAME[:SPLIT[:PART]] as options of ``load_dataset``."""
    name, *rest = text.split(":")
    if len(rest) > 2 or not name:
        raise ValueError(f"{text!r}: expected NAME[:SPLIT[:PART]].")
    parts = zip(("split", "part"), rest, strict=False)
    found: dict[str, Any] = {"name": name, **{k: v for k, v in parts if v}}
    if root is not None and name not in ("digits", "glyphs"):
        found["root"] = root
    if size is not None and name == "glyphs":
        found["size"] = size
    return found


def _wrap(text: str) -> str:
    import textwrap

    return textwrap.fill(text, 79, subsequent_indent="  ")


if __name__ == "__main__":
    sys.exit(main())
