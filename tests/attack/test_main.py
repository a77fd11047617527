"""The command line: what it prints, how it ends, how it goes on."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import kldiv.__main__
from kldiv_attack.__main__ import _parser, main
from kldiv_attack._parser import EXAMPLES, parse
from kldiv_attack._studies.demo import AUXILIARY
from kldiv_attack._summary import SUCCESS_HEADER
from tests.attack.conftest import STEPS

DIGITS = list("0123456789")
SMALL = ["--set", "width=8", "--set", "batch_size=16"]
QUICK = ["--quiet", "--set", f"steps={STEPS}", *SMALL]


def words(folder, *more):
    return ["attack", "--out", str(folder), "--quiet", *more]


def test_demo_prints_one_table_and_writes_the_report(tmp_path, capsys, monkeypatch):
    for name in ("glyph letters", "glyph letters and digits"):
        monkeypatch.setitem(AUXILIARY, name, {**AUXILIARY[name], "n_per_class": 20})
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), *QUICK]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert lines[0].split() == list(SUCCESS_HEADER)
    rows = [line.split() for line in lines if line.split()[:1] in [[c] for c in DIGITS]]
    assert [row[0] for row in rows] == DIGITS * 3
    for name in ("held-out digits", "glyph letters", "glyph letters and digits"):
        assert sum(line.startswith(f"{name} (") for line in lines) == 1
    page = (out / "report.html").read_text()
    assert page.count("<img") >= 10
    assert "<h2>Glyph letters and digits</h2>" in page


def test_attack_runs_on_named_data_and_is_not_repeated(tmp_path, capsys):
    out = tmp_path / "run"
    more = ["--train", "digits", "--aux", "glyphs:digits", *QUICK]
    assert main(words(out, *more)) == 0
    first = capsys.readouterr().out
    assert "glyphs/digits/train" in first
    stamp = (out / "results.json").stat().st_mtime_ns
    assert main(words(out, *more)) == 0
    assert capsys.readouterr().out == first
    assert (out / "results.json").stat().st_mtime_ns == stamp
    config = json.loads((out / "config.json").read_text())["config"]
    assert config["attacker"]["steps"] == STEPS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attack", "--aux", "nist"], "dataset 'nist': expected one of"),
        (["attack", "--aux", "glyphs:greek"], "split='greek': expected one of"),
        (["attack", "--attacker", "magic"], "magic"),
        (["attack", "--set", "steps"], "--set steps: expected NAME=VALUE"),
        (["attack", "--set", "pace=3"], "pace"),
        (["attack", "--aux", "emnist:letters:test"], "--data"),
        (["paper"], "paper needs --data"),
        (["paper", "--data", "nowhere"], "nowhere"),
        (["paper", "--from", "nowhere"], "holds no finished run"),
    ],
)
def test_an_error_is_one_sentence_with_exit_code_2(
    tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--quiet"]) == 2
    text = capsys.readouterr().err.strip()
    last = text.splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert "Traceback" not in text
    assert main([*arguments, "--quiet", "--traceback"]) == 2  # 1 is a gate that fails
    text = capsys.readouterr().err.strip()
    assert text.startswith("Traceback")
    assert text.splitlines()[-1] == last


COMMANDS = ("audit", "score", "demo", "paper", "attack", "study", "curves")
WRONG = [
    ([], "required: COMMAND"),
    (["dem"], "'demo'"),
    *([[name, "--seed", "x"], "--seed: invalid int value: 'x'"] for name in COMMANDS),
    *([[name, "--quite"], "--quite"] for name in COMMANDS[2:]),
    (["audit", "--victim", "v"], "required: --train, --aux, --out"),
    (["score", "a.csv", "b.csv", "c.csv"], "unrecognized arguments: c.csv"),
    (["score", "a", "b", "two\nlines"], "two lines"),
    (["audit", "--fail-below"], "--fail-below: expected one argument"),
    (["paper", "--table", "2"], "invalid choice: 2"),
]


@pytest.mark.parametrize("program", ["kldiv", "kldiv-attack"])
@pytest.mark.parametrize(("words", "message"), WRONG)
def test_wrong_words_are_one_line_that_points_to_help(capsys, program, words, message):
    run = {"kldiv": kldiv.__main__.main, "kldiv-attack": main}[program]
    with pytest.raises(SystemExit) as end:
        run(words)
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("Error: ")
    assert message in printed.err
    command = [program, *(word for word in words[:1] if word in COMMANDS)]
    assert f". {' '.join(command)} --help " in printed.err


@pytest.mark.parametrize(
    "error", [ImportError("no x"), MemoryError(), OSError("x"), KeyError("x")]
)
def test_traceback_shows_every_error(monkeypatch, capsys, error):
    def fail(_):
        raise error

    monkeypatch.setattr("kldiv_attack.__main__._demo", fail)
    assert main(["demo"]) == 2
    text = capsys.readouterr().err
    assert (text[:7], text.count("\n")) == ("Error: ", 1)
    assert main(["demo", "--traceback"]) == 2
    text = capsys.readouterr().err
    assert f"in fail\n    raise error\n{type(error).__name__}" in text


def test_help_names_the_three_commands(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("demo", "paper", "attack"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_ends_with_examples_that_are_accepted(capsys, name):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    _, _, text = capsys.readouterr().out.partition("examples:\n")
    shown, _, lists = text.replace("\\\n", " ").partition("data sets:")
    assert "glyphs" in lists
    assert "mi_face" in lists
    lines = [line for line in shown.splitlines() if line.startswith("  kldiv ")]
    assert len(lines) == len(EXAMPLES[name])
    for line in lines:
        program, *words = shlex.split(line)
        assert parse(_parser(program), words).parser.prog == f"kldiv {name}"


def launch(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "kldiv_attack", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_sigint if os.name == "posix" else None,  # noqa: PLW1509
    )


def hear_sigint():
    """Undo what a shell does to the jobs that it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def results(folder):
    """What a run found, less what it took, and the numbers of its indicators apart.

    Where numbers lie in memory decides the last digit of a sum of them.
    """
    found = json.loads((folder / "results.json").read_text())
    del found["seconds"]
    numbers = []
    for report in found["indicators"].values():
        report["settings"].pop("seconds", None)
        numbers += report.pop("columns").values()
    return found, np.array(numbers, dtype=np.float64)


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(tmp_path):
    more = ["--aux", "digits::test", "--set", "steps=250", *SMALL]
    assert main(words(tmp_path / "whole", *more)) == 0
    folder = tmp_path / "broken"
    # The same victim and judge, so that only the attack is interrupted.
    shutil.copytree(tmp_path / "whole" / "models", folder / "models")
    process = launch(words(folder, *more))
    deadline = time.monotonic() + 600
    while not (folder / "checkpoint.safetensors").exists():
        assert process.poll() is None, "ended before the first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "the same command goes on from there" in text
    assert "Traceback" not in text
    assert not (folder / "results.json").exists()

    assert main(words(folder, *more)) == 0
    (found, numbers), (whole, expected) = map(results, (folder, tmp_path / "whole"))
    assert found == whole
    np.testing.assert_allclose(numbers, expected, rtol=1e-12, atol=1e-12)
    assert (folder / "metrics.jsonl").read_bytes() == (
        tmp_path / "whole" / "metrics.jsonl"
    ).read_bytes()


@pytest.mark.parametrize(("given", "kept"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_told_otherwise(given, kept):
    environment = {**os.environ, "OMP_DISPLAY_ENV": "true"}
    environment.pop("OMP_WAIT_POLICY", None)
    if given:
        environment["OMP_WAIT_POLICY"] = given
    done = subprocess.run(
        [sys.executable, "-c", "import kldiv_attack.__main__, torch"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(rf"OMP_WAIT_POLICY\s*=\s*'{kept}'", done.stderr), done.stderr
