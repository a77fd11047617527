"""A parser of command lines that explains an error in one line."""

from __future__ import annotations

import argparse
import re
import textwrap
from typing import Any, NoReturn

EXAMPLES = {
    "audit": (
        "kldiv audit --victim mymodels:classifier --train train.csv --aux public.csv "
        "--held-out test.csv --out report",
        "kldiv audit --victim model.onnx --train images/train --aux images/public "
        "--defence label_only --defence rounding:1 --out report --fail-below 0.5",
    ),
    "score": ("kldiv score train.csv answered.csv --label species",),
    "demo": ("kldiv demo --out runs/demo",),
    "paper": (
        "kldiv paper --table 1 --out runs/table_1",
        "kldiv paper --data emnist --download --out runs/paper",
    ),
    "attack": (
        "kldiv attack --train digits --aux glyphs:digits --out runs/attack",
        "kldiv attack --victim mymodels:network --train images/private "
        "--aux images/public --attacker label_only --out runs/attack",
    ),
    "study": (
        "kldiv study --demo --out runs/study",
        "kldiv study --data emnist --attackers cgan,mi_face --seeds 3",
    ),
    "curves": ("kldiv curves --attackers label_only,cgan --granularities labels,full",),
}


class Parser(argparse.ArgumentParser):
    """Errors without the list of options, which hides what is wrong in a build's log.

    Parsers of commands are of the same class. Each puts itself into the options as
    ``parser``.

    Parameters
    ----------
    **settings : dict
        Those of ``ArgumentParser``.
    """

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.register("action", None, StoreOnce)
        self.set_defaults(parser=self)

    def error(self, message: str) -> NoReturn:
        """End the process with exit code 2.

        Parameters
        ----------
        message : str
            What is wrong.
        """
        text = " ".join(message.split())
        self.exit(2, f"Error: {text}. {self.prog} --help lists what is accepted.\n")


class StoreOnce(argparse.Action):
    """The value of an option; one that is given twice would be dropped in silence."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Keep the value.

        Parameters
        ----------
        parser : ArgumentParser
            Explains a second value.
        namespace : Namespace
            Gets the value.
        values : object
            The value.
        option_string : str, optional
            How the option was written; None for an argument without a name.
        """
        given = namespace.__dict__.setdefault("given", set())
        if option_string is not None and self.dest in given:
            parser.error(f"argument {'/'.join(self.option_strings)}: given twice")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def parse(parser: Parser, arguments: Any) -> argparse.Namespace:
    """Read a command line; words that no option takes are an error of the command.

    Parameters
    ----------
    parser : Parser
        Of the program.
    arguments : sequence of str or None
        Words after the program's name; those of the process if None.

    Returns
    -------
    Namespace
        The options.
    """
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Texts may be functions: the list of attacks loads torch, for help alone."""

    def add_text(self, text: Any) -> None:
        """Add a text.

        Parameters
        ----------
        text : str, callable or None
            The text, or a function that returns it.
        """
        super().add_text(text() if callable(text) else text)


def examples(command: str) -> str:
    """Command lines for the end of a help text.

    Parameters
    ----------
    command : str
        Key of ``EXAMPLES``.

    Returns
    -------
    str
        Its examples under a heading; long ones are folded before an option.
    """
    found = []
    for line in EXAMPLES[command]:
        whole = re.sub(" (?!--)", "\0", line)
        folded = textwrap.wrap(whole, 74, break_on_hyphens=False)
        found.append(" \\\n      ".join(folded).replace("\0", " "))
    return "examples:\n  " + "\n  ".join(found) + "\n"


def lists() -> str:
    """The data sets and, where torch is installed, the attackers.

    Returns
    -------
    str
        A line for each.
    """
    from kldiv_attack.audit.paths import NAMED

    text = f"data sets: {', '.join(NAMED)} (as name:split)\n"
    try:
        from kldiv_attack.attackers import ATTACKERS
    except ImportError:
        return text
    return f"{text}attackers: {', '.join(ATTACKERS)}\n"
