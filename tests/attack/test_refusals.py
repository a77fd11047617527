"""What means nothing is refused before anything is trained or touched."""

import inspect
import json
import subprocess
import sys
import threading

import numpy as np
import pytest

from kldiv_attack import _models, run_study, study_config
from kldiv_attack.__main__ import main
from kldiv_attack._files import RunError
from kldiv_attack._locks import LOCK, locked
from kldiv_attack._rules import Whole
from kldiv_attack._run import load_run
from kldiv_attack._run_folder import RunRecorder, open_run
from kldiv_attack._settings import DEFAULTS, complete_settings
from kldiv_attack.attackers import ATTACKERS, make_attacker
from kldiv_attack.experiment import run_experiment

PARAMETERS = [
    (attacker, name)
    for attacker, kind in sorted(ATTACKERS.items())
    for name in inspect.signature(kind).parameters
]
#: One of every kind that comes from a command line, a file or a program.
VALUES = (
    "abc", "", "True", "1", -1, 0, 1, 2**63, 1.5, -0.0, float("nan"), float("inf"),
    1e300, None, True, False, [], [1], [0.1, 0.2], {}, {"a": 1}, np.float64(0.5),
    np.int64(3), np.zeros(3), b"x", 1j,
)  # fmt: skip


@pytest.mark.parametrize(("attacker", "name"), PARAMETERS)
def test_every_parameter_of_every_attacker_has_a_rule(attacker, name):
    """An attacker that joins the registry without rules fails here."""
    with pytest.raises(ValueError, match=rf"{name}=<object.*: expected "):
        make_attacker(attacker, **{name: object()}).check((1, 8, 8))
    make_attacker(attacker).check((1, 8, 8))


@pytest.mark.parametrize(("attacker", "name"), PARAMETERS)
def test_every_value_is_accepted_or_refused_by_name(attacker, name):
    refused = []
    for value in VALUES:
        made = make_attacker(attacker, **{name: value})
        try:
            made.check((1, 8, 8))
        except ValueError as error:
            refused.append((value, str(error)))
    for value, message in refused:
        assert name in message, value
        assert any(word in message for word in ("expected", "accepts", "choose"))


def test_a_rule_says_what_it_expects():
    assert str(Whole(2)) == "a whole number >= 2"
    with pytest.raises(
        ValueError,
        match=r"^CGANAttacker: steps='abc': expected a whole number >= 1\. The default",
    ):
        make_attacker("cgan", steps="abc").check()


# Runs and the command line


@pytest.fixture
def untrained(monkeypatch):
    """Nothing may be trained, drawn or scored in a test."""

    def fail(*_, **__):
        raise AssertionError("work began before the refusal")

    monkeypatch.setattr("kldiv_attack._models.train_victim", fail)
    monkeypatch.setattr(
        "kldiv_attack._models._MODELS",
        {kind: (fail, home) for kind, (_, home) in _models._MODELS.items()},
    )
    monkeypatch.setattr("kldiv_attack.audit.attacks.Arena.__init__", fail)
    monkeypatch.setattr("kldiv_attack._studies.table_1.Parallel", fail)


COMMON = ["attack", "demo", "study"]


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("command", COMMON)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "steps=abc"], "steps='abc': expected a whole number >= 1"),
        (["--set", "steps=1e400"], "steps=inf"),
        (["--set", "width=0"], "width=0: expected a whole number >= 1"),
        (["--set", "loss=foo"], "loss='foo': expected one of ['hinge'"),
        (["--set", "balanced=no"], "balanced='no': expected True or False"),
        (["--set", "learning_rate=[NaN,1]"], "learning_rate=[nan, 1]"),
        (["--set", "=3"], "--set =3: expected NAME=VALUE"),
        (["--set", "steps=1", "--set", "steps=2"], "steps was set before"),
        (["--set", "name=gmi"], "expected a parameter of the attacker, got its name"),
        (["--seed", "-1"], "seed=-1: expected a whole number >= 0"),
        (["--out", "a\0b"], "'a\\x00b': expected a path"),
        (["--out", ""], "folder='': expected a path"),
        (["--out", "\udcff\ud800"], "expected a path"),
        (["--out", "taken/below"], "cannot be written: Not a directory"),
        (["--out", "strange"], "holds thesis.tex but no run"),
    ],
)
def test_the_command_line_refuses_before_work(
    tmp_path, monkeypatch, capsys, command, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "thesis.tex").write_text("do not lose this")
    before = sorted(tmp_path.rglob("*"))
    more = ["--attackers", "cgan", "--demo"] if command == "study" else []
    assert main([command, *more, *words, "--quiet"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attack", "--data", "x\0y", "--aux", "emnist:letters"], "expected a path"),
        (["attack", "--aux", "arrays"], "needs images and labels"),
        (["attack", "--aux", "folder"], "expected root="),
        (["attack", "--aux", "digits::x"], "part='x': expected one of"),
        (["attack", "--set", "random_state=3"], "random_state is set by the seed"),
        (["attack", "--attacker", "GMI"], "attacker 'GMI': expected one of"),
        (["study", "--attackers", "cgan,gans"], "attacker 'gans': expected one of"),
        (["study", "--seeds", "0"], "seeds: expected at least one"),
        (["study", "--set", "gmi.name=cgan"], "has a parameter name"),
        (["paper", "--data", "a\0b"], "expected a path"),
        (["paper", "--table", "1", "--seed", "-2"], "seed=-2"),
        (["paper", "--table", "1", "--out", "file"], "cannot be written"),
    ],
)
def test_what_only_some_commands_take(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main([*words, "--quiet"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert message in last
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "file"]


SECTIONS = {
    **{k: {k: object()} for k in ("seed", "checkpoint_every", "device")},
    **{k: {k: 3} for k in ("victim", "judge", "evaluate", "indicator", "attacker")},
    **{
        f"{kind} {name}": {kind: {name: object()}}
        for kind in ("victim", "judge")
        for name in complete_settings({})[kind]
    },
    **{
        f"evaluate {name}": {"evaluate": {name: object()}}
        for name in DEFAULTS["evaluate"]
    },
    **{
        f"indicator {name}": {"indicator": [{name: object()}]}
        for name in complete_settings({})["indicator"][0]
    },
}


@pytest.mark.parametrize("changes", SECTIONS.values(), ids=SECTIONS)
def test_every_setting_of_a_run_is_checked(changes):
    """A setting that joins the defaults without a rule fails here."""
    (name,) = changes
    inner = next(iter(changes[name]), "") if isinstance(changes[name], dict) else name
    if isinstance(changes[name], list):
        inner = next(iter(changes[name][0]))
    with pytest.raises((ValueError, TypeError), match=inner):
        complete_settings(changes)


def test_numbers_of_numpy_are_numbers():
    settings = complete_settings(
        {"seed": np.int64(3), "attacker": {"name": "cgan", "steps": np.int32(5)}}
    )
    assert json.loads(json.dumps(settings))["attacker"]["steps"] == 5
    assert make_attacker("gmi", identity=np.float32(2)).check() is None


# Run folders


def everything(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in (folder, *sorted(folder.rglob("*")))
    }


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        {"thesis.tex": "text"},
        {"report.md": "my own report", "results.json": "{}"},
        {"config.json": '{"name": "app"}', "report.html": "mine"},
        {"config.json": "not JSON", "notes.txt": "mine"},
        {"config.json": "[1, 2]"},
        {"config.json": '{"format_version": 1}', "indicator.json": "{}"},
    ],
)
def test_a_foreign_folder_is_refused_before_it_is_touched(tmp_path, names, restart):
    folder = tmp_path / "run"
    folder.mkdir()
    for name, text in names.items():
        (folder / name).write_text(text)
    before = everything(tmp_path)
    if restart and "format_version" in names.get("config.json", ""):
        return  # ours, if damaged: restart is the way out
    with pytest.raises(RunError, match=r"run|folder"):
        open_run(folder, {"seed": 1}, restart=restart)
    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{"),
        ("config.json", b"\xff\xfe"),
        ("config.json", b"[" * 100_000),
        ("config.json", b'{"format_version": 1}'),
        ("indicator.json", b"[]"),
        ("indicator.json", b'{"a": "b"}'),
        ("checkpoint.safetensors", b"\0" * 100),
        ("checkpoint.safetensors", b""),
    ],
)
def test_a_damaged_run_is_refused_before_it_is_touched(tmp_path, name, content):
    folder = tmp_path / "run"
    assert not open_run(folder, {"seed": 1})
    (folder / name).write_bytes(content)
    before = everything(tmp_path)
    with pytest.raises(RunError, match=rf"{name}.*restart"):
        open_run(folder, {"seed": 1})
    assert everything(tmp_path) == before
    assert not open_run(folder, {"seed": 1}, restart=True)


def test_lost_numbers_are_noticed(tmp_path):
    recorder = RunRecorder(tmp_path, 1)
    recorder.log(1, loss=1.0)
    recorder.save(1, {}, {})
    recorder.metrics.unlink()
    with pytest.raises(RunError, match=r"metrics\.jsonl is damaged: \d+ bytes were"):
        recorder.load()


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"facts": 3}', b"\0", b"null"])
def test_damaged_results_are_named(tmp_path, content):
    open_run(tmp_path / "run", {"seed": 1})
    (tmp_path / "run" / "results.json").write_bytes(content)
    with pytest.raises(RunError, match=r"results\.json"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize("path", ["", "a\0b", b"bytes", 3, None])
def test_what_is_no_path_is_refused(path):
    with pytest.raises((ValueError, TypeError), match="expected a path"):
        run_experiment({}, path)
    with pytest.raises((ValueError, TypeError), match="expected a path"):
        load_run(path)


@pytest.mark.parametrize("name", ["..", "a/b", "a\\b", "", " a", "a\0", "/etc", "C:x"])
def test_names_of_a_study_lead_nowhere_else(tmp_path, name):
    config = study_config(["mi_face"], demo=True)
    with pytest.raises(ValueError, match="names a folder"):
        run_study(config | {"auxiliary": {name: {"name": "digits"}}}, tmp_path / "s")
    with pytest.raises(ValueError, match="names a folder"):
        run_study(config | {"attackers": {name: {"name": "mi_face"}}}, tmp_path / "s")
    assert not (tmp_path / "s").exists()


# Locks

HOLD = """
import sys, time
from pathlib import Path
from kldiv_attack._locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_processes_in_one_folder_and_a_lock_that_dies(tmp_path):
    folder = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=r"in use by .*process.*nothing was changed"):
            run_experiment({}, folder, verbose=0)
        assert [p.name for p in folder.iterdir()] == [LOCK]
    finally:
        holder.kill()
        holder.communicate()
    with locked(folder):
        pass
    assert list(folder.iterdir()) == []


def test_a_lock_holds_among_threads_and_is_free_after_an_error(tmp_path):
    with locked(tmp_path), pytest.raises(RunError, match="in use"), locked(tmp_path):
        raise AssertionError
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        raise KeyboardInterrupt
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_eight_threads_take_turns(tmp_path):
    inside, most, told = [], [], []

    def work():
        for _ in range(30):
            try:
                with locked(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except RunError:
                told.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) + len(told) == 240
