"""The README runs as pasted and prints what it says."""

import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parent.parent / "README.md"


def blocks(language):
    """Code blocks of the README in `language`."""
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def numbers(text):
    return np.array([float(x) for x in re.findall(r"-?\d+\.\d*", text)])


def test_the_first_snippet_prints_what_stands_below_it(capsys):
    exec(compile(blocks("python")[0], "README.md", "exec"), {})
    printed = numbers(capsys.readouterr().out)
    # Shown with one decimal: another processor may round the last one otherwise.
    np.testing.assert_allclose(printed, numbers(blocks("text")[0]), atol=0.11)


@pytest.mark.skipif(
    not (README.parent / "setup.py").exists(), reason="needs the whole checkout"
)
@pytest.mark.parametrize(
    "link", re.findall(r"\]\((\w[\w./]+)\)", README.read_text("utf-8"))
)
def test_links_lead_somewhere(link):
    assert (README.parent / link).exists()


def test_it_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) < 120
