"""Print what extras of pyproject.toml require, one requirement a line.

    python .ci/requirements.py lint docs              for an environment that has kldiv
    python .ci/requirements.py --oldest plot test     the oldest versions admitted

``--oldest`` adds what kldiv itself requires and pins every lower bound.
"""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def requirements(extras, oldest):
    """Requirements of `extras`, without kldiv itself."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"]) if oldest else []
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    lines = [line for line in lines if not line.startswith("kldiv")]
    if oldest:
        lines = [line.replace(">=", "==") for line in lines]
        lines.append("pyparsing<3.3")  # later ones warn about matplotlib 3.9
    return lines


if __name__ == "__main__":
    arguments = sys.argv[1:]
    names = [name for name in arguments if name != "--oldest"]
    print("\n".join(requirements(names, "--oldest" in arguments)))
