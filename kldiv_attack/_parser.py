"""A parser of command lines that explains an error in one line."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn


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
