"""Command line ``kldiv``: the commands of kldiv_attack, loaded by name only."""

import sys
from collections.abc import Sequence
from importlib import import_module


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the program's name; those of the process by default.

    Returns
    -------
    int
        0, 1 where a gate fails, 2 after an error that is explained in one line, 130
        after Ctrl-C.
    """
    commands = import_module("kldiv_attack.__main__")
    code: int = commands.main(arguments, program="kldiv")
    return code


if __name__ == "__main__":
    sys.exit(main())
