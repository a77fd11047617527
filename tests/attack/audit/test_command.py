"""The command line: exit codes, one-line errors, and what they leave behind."""

import json
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest

import kldiv.__main__
from kldiv_attack import AuditReport
from kldiv_attack.__main__ import main
from tests.attack.audit.conftest import cloud

pytestmark = pytest.mark.usefixtures("plain_scores")
MODULE = """
import numpy as np
def near(rows):
    return np.argmax(np.asarray(rows)[:, :3], axis=1)
def confused(rows):
    raise KeyError("no such column")
asked = []
def tires(rows):
    if sum(asked) + len(rows) > 7000:
        raise TimeoutError("row 7,000")
    asked.append(len(rows))
    return near(rows)
def square(rows):
    return np.asarray(rows) @ np.zeros((7, 3))
def many(rows):
    return np.abs(np.asarray(rows)[:, 0] * 10).astype(int) % 200
def make():
    return near
def never(rows):
    assert len(rows) <= 2, "asked before the check"
    return near(rows)
"""


@pytest.fixture
def files(tmp_path, module):
    """Tables and victims in a folder with a space in its name."""
    folder = tmp_path / "my data"
    folder.mkdir()
    for name, seed, shift in (("train", 1, 0), ("near", 2, 0), ("far", 3, 2.5)):
        rows, labels = cloud(np.random.default_rng(seed), 300, shift)
        frame = pd.DataFrame(rows, columns=["p", "q", "r"]).assign(label=labels)
        frame.to_csv(folder / f"{name}.csv", index=False)
    return {"victims": module(MODULE), "folder": folder, "out": tmp_path / "the out"}


@pytest.fixture
def words(files):
    def make(victim="near", aux="near", train="train", *more):
        folder = files["folder"]
        return [
            "audit", "--victim", f"{files['victims']}:{victim}",
            "--train", str(folder / f"{train}.csv"),
            "--aux", str(folder / f"{aux}.csv"),
            "--out", str(files["out"]), "--quiet", *map(str, more),
        ]  # fmt: skip

    return make


def stderr_line(capsys):
    text = capsys.readouterr().err
    assert text.startswith("Error: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    ("aux", "limit", "code"), [("near", 0.5, 1), ("far", 0.5, 0), ("far", 500, 1)]
)
def test_exit_code_report_and_files_agree(words, files, capsys, aux, limit, code):
    junit, decision = files["folder"] / "j.xml", files["folder"] / "d.json"
    more = ("--fail-below", limit, "--junit", junit, "--json", decision)
    victim = "near"
    assert main(words(victim, aux, "train", *more)) == code
    printed = capsys.readouterr().out
    report = AuditReport.from_json(files["out"] / "report.json")
    outcome = {0: "pass", 1: "fail"}[code]
    assert report.exit_code == code
    assert json.loads(decision.read_text())["exit_code"] == code
    assert json.loads(decision.read_text())["outcome"] == outcome
    assert (int(ET.parse(junit).getroot().get("failures")) > 0) == (code == 1)
    for text in (printed, (files["out"] / "report.md").read_text()):
        assert f"The gate says: {outcome.upper()}" in " ".join(text.split())
    assert f"(exit code {code})" in (files["out"] / "report.html").read_text()


def test_without_a_gate_the_report_is_all(words, files, capsys):
    assert main(words()) == 0
    assert "report.html" in capsys.readouterr().out
    assert sorted(p.name for p in files["out"].iterdir()) == [
        "answers", "audit.json", "report.html", "report.json", "report.md",
    ]  # fmt: skip


def test_not_evaluable_is_exit_code_2(words, module, capsys):
    lazy = module("import numpy as np\ndef f(x):\n    return np.zeros(len(x), int)\n")
    arguments = words("near", "near", "train", "--fail-below", -5)
    arguments[2] = f"{lazy}:f"
    assert main(arguments) == 2
    text = capsys.readouterr().out
    assert "NOT EVALUABLE: class 1" in text
    assert "NOT EVALUABLE: class 2" in text


def test_both_programs_say_the_same(words, capsys):
    texts = []
    for run in (main, kldiv.__main__.main):
        assert run(words()) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", ["kldiv", "kldiv_attack"])
def test_the_version_is_told_without_loading_torch(name):
    words = [sys.executable, "-X", "importtime", "-m", name, "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["kldiv", kldiv.__version__]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "kldiv_attack.audit.command" in loaded
    assert "torch" not in loaded


def test_help_has_examples_and_lists(capsys):
    with pytest.raises(SystemExit) as done:
        main(["audit", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for word in ("examples:", "digits", "label_only", "cgan", "leaked_rows"):
        assert word in text


def test_score_prints_numbers(files, capsys):
    pair = [str(files["folder"] / f"{name}.csv") for name in ("train", "near")]
    assert main(["score", *pair]) == 0
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if line.startswith("|"))
    assert [cell.strip() for cell in header.split("|")][1:3] == ["class", "kl"]
    assert main(["score", *pair, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["classes"] == ["0", "1", "2"]
    for column in ("kl", "floor"):
        assert all(isinstance(value, float) for value in found["columns"][column])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--train": "no where/at all.csv"}, "is no file, no folder"),
        ({"--label": "species"}, "has no column 'species'; its columns are p, q, r"),
        ({"--victim": "no_module:f"}, "could not be loaded"),
        ({"--victim": "model.pkl"}, "model.pkl not found"),
        ({"--victim": "=x"}, "expected [NAME=]SPEC"),
        ({"--defence": "magic"}, "expected one of"),
        ({"--attack": "magic"}, "magic"),
        ({"--fail-below": "speed=1"}, "metric 'speed'"),
        ({"--baseline": "none.json", "--fail-below": "0"}, "none.json not found"),
        ({"--waivers": "none.toml", "--fail-below": "0"}, "none.toml not found"),
        ({"--junit": "gate.xml"}, "--junit gate.xml: expected a limit to decide on"),
        ({"--json": "gate.json"}, "--json gate.json: expected a limit to decide on"),
        ({"--set": "steps"}, "expected NAME=VALUE"),
        ({"--budget": "0"}, "expected a whole number >= 1 or None"),
        ({"--n-jobs": "0"}, "n_jobs=0"),
        ({"--junit": "no folder/gate.xml"}, "gate.xml cannot be written"),
        ({"--json": "."}, "cannot be written"),
        ({"--release": "somebody"}, "release 'somebody': expected one of"),
        ({"--label": "p"}, "numbers with decimals, so it holds no classes"),
        ({"--device": "toaster"}, "device='toaster': expected auto, cpu or a device"),
        ({"--seed": "-1"}, "seed=-1: expected a whole number >= 0"),
        ({"--held-out": "no where.csv"}, "held-out: no where.csv is no file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, files, capsys, change, message):
    arguments = words("never")
    for option, value in change.items():
        if option in arguments:
            arguments[arguments.index(option) + 1] = value
        else:
            arguments += [option, value]
    assert main(arguments) == 2
    assert message in stderr_line(capsys)
    assert not files["out"].exists()


def test_a_victim_that_raises_is_one_line_with_a_traceback_on_request(words, capsys):
    assert main(words("confused")) == 2
    assert "raised KeyError" in stderr_line(capsys)
    assert main([*words("confused"), "--traceback"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("Traceback")
    assert 'raise KeyError("no such column")' in text


def test_a_fault_of_the_program_is_no_gate_that_fails(words, monkeypatch, capsys):
    def broken(*_, **__):
        raise AttributeError("of nothing")

    monkeypatch.setattr("kldiv_attack.audit.run.read_inputs", broken)
    assert main(words("near", "near", "train", "--fail-below", 0)) == 2
    text = stderr_line(capsys)
    assert "AttributeError: of nothing. This should not happen; --traceback" in text


@pytest.mark.skipif(sys.platform == "win32", reason="streams are closed by a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "| head -c 1"])
def test_closed_streams_change_no_exit_code(words, files, closed):
    for name in ("train", "near"):
        path = files["folder"] / f"{name}.csv"
        pd.read_csv(path).head(90).to_csv(path, index=False)
    code = {}
    for limit in (-100, 500):
        line = [sys.executable, "-m", "kldiv", *words("near", "near", "train")]
        line += ["--fail-below", str(limit), "--restart"]
        shell = f"set -o pipefail; {shlex.join(line)} {closed}"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, check=False)
        code[limit] = done.returncode
        assert b"Traceback" not in done.stderr
    assert code == {-100: 0, 500: 1}


def test_a_victim_that_tires_is_taken_up_again(words, files, capsys):
    rows, labels = cloud(np.random.default_rng(4), 8000)
    frame = pd.DataFrame(rows, columns=["p", "q", "r"]).assign(label=labels)
    frame.to_csv(files["folder"] / "long.csv", index=False)
    arguments = words("tires", "long")
    assert main(arguments) == 2
    assert "answers to 6000 rows are kept, and --resume goes on" in stderr_line(capsys)
    kept = sorted(p.name for p in (files["out"] / "answers" / "0-aux-0").iterdir())
    assert len(kept) == 6
    sys.modules[files["victims"]].asked.clear()
    assert main([*arguments, "--resume"]) == 0
    assert sum(sys.modules[files["victims"]].asked) == 2 + 2000 + 300


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        ("square", "raised ValueError for rows of shape (2, 3)"),
        ("make", ":make()"),
        ("missing", "has no attribute 'missing'"),
    ],
)
def test_a_model_that_does_not_fit(words, files, capsys, victim, message):
    assert main(words(victim)) == 2
    assert message in stderr_line(capsys)
    assert not files["out"].exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.assign(label=0), "300 rows of 1 class"),
        (lambda frame: frame[:1], "1 rows of 1 class"),
        (lambda frame: frame[:0], "holds no row"),
        (lambda frame: frame.assign(label=range(300)), "300 classes for 300 rows"),
        (lambda frame: frame.replace(frame.iloc[7, 0], np.nan), "NaN or infinity"),
    ],
)
def test_training_rows_that_cannot_be_audited(words, files, capsys, change, message):
    frame = change(pd.read_csv(files["folder"] / "train.csv"))
    frame.to_csv(files["folder"] / "changed.csv", index=False)
    assert main(words("never", "near", "changed")) == 2
    assert message in stderr_line(capsys)
    assert not files["out"].exists()


def test_one_auxiliary_row_is_no_all_clear(words, files, capsys):
    frame = pd.read_csv(files["folder"] / "near.csv")
    frame[:1].to_csv(files["folder"] / "row.csv", index=False)
    assert main(words("near", "row", "train", "--fail-below", "0.1")) == 2
    assert "NOT EVALUABLE" in capsys.readouterr().out
    report = AuditReport.from_json(files["out"] / "report.json")
    assert set(report.verdicts.values()) == {"not evaluable"}


def test_two_hundred_classes(words, files):
    for name, seed in (("train", 1), ("near", 2)):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(rng.normal(0, 10, (2000, 3)), columns=["p", "q", "r"])
        frame.assign(label=np.arange(2000) % 200).to_csv(
            files["folder"] / f"{name}.csv", index=False
        )
    assert main(words("many")) == 0
    report = AuditReport.from_json(files["out"] / "report.json")
    assert len(report.verdicts) == 200
    assert " more)" in report.sentence


def test_columns_that_the_training_rows_lack_are_told(words, files):
    frame = pd.read_csv(files["folder"] / "near.csv").assign(id=range(300))
    frame.to_csv(files["folder"] / "wider.csv", index=False)
    assert main(words("near", "wider")) == 0
    report = AuditReport.from_json(files["out"] / "report.json")
    assert report.remarks == [
        "wider.csv has columns that the training rows lack, which were left out: id."
    ]


def test_another_scale_is_noticed_first(words, files, capsys):
    frame = pd.read_csv(files["folder"] / "near.csv")
    frame[["p", "q", "r"]] *= 1000
    frame.to_csv(files["folder"] / "big.csv", index=False)
    assert main(words("never", "big")) == 2
    assert "on another scale" in stderr_line(capsys)
    assert not files["out"].exists()


def test_a_folder_that_cannot_be_written(words, files, capsys):
    files["out"].write_text("a file stands in the way")
    assert main(words("never")) == 2
    assert "cannot be written" in stderr_line(capsys)


def test_a_waiver_of_a_class_that_does_not_exist(words, files, capsys):
    path = files["folder"] / "w.toml"
    path.write_text('[[waiver]]\nclass="nobody"\nuntil=2030-01-01\nreason="x"\n')
    assert main(words("never", "near", "train", "--waivers", path)) == 2
    assert "names the class 'nobody', which does not exist" in stderr_line(capsys)


def test_names_of_classes_from_anywhere(words, files, module):
    names = ["Zürich/東京", "<script>alert(1)</script>", 'a|b & "c"']
    for name in ("train", "near"):
        frame = pd.read_csv(files["folder"] / f"{name}.csv")
        frame["label"] = [names[c] for c in frame["label"]]
        frame.to_csv(files["folder"] / f"{name}.csv", index=False)
    ordered = sorted(names)
    places = [ordered.index(name) for name in names]
    lines = f"import numpy as np\nplaces = np.array({places})\n"
    victim = module(lines + "def f(x):\n    return places[np.argmax(x, axis=1)]\n")
    arguments = words("near", "near", "train", "--fail-below", "-9")
    arguments[2] = f"{victim}:f"
    arguments += ["--junit", str(files["folder"] / "j.xml")]
    assert main(arguments) == 0
    page = (files["out"] / "report.html").read_text(encoding="utf-8")
    assert "Zürich/東京" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    text = (files["out"] / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert 'a\\|b &amp; "c"' in text
    assert AuditReport.from_json(files["out"] / "report.json").classes == ordered
    assert ET.parse(files["folder"] / "j.xml").getroot().get("failures") == "0"


def test_victims_with_names(words, files):
    arguments = words()
    spec = arguments[2]
    arguments[2:3] = [f"plain={spec}", "--victim", f"same={spec}"]
    assert main(arguments) == 0
    report = AuditReport.from_json(files["out"] / "report.json")
    assert [v.name for v in report.victims] == ["plain", "same"]
    assert set(report.differences[0].difference) == {0.0}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_complete_commands_and_options(shell, capsys):
    pytest.importorskip("shtab")
    with pytest.raises(SystemExit) as done:
        main(["--print-completion", shell], program="kldiv")
    assert done.value.code == 0
    text = capsys.readouterr().out
    for word in ("audit", "score", "fail-below"):
        assert word in text


def test_interrupts_say_how_to_go_on(words, files, module, capsys):
    arguments = words()
    name = module("def f(rows):\n    raise KeyboardInterrupt\n")
    arguments[2] = f"{name}:f"
    assert main(arguments) == 130
    assert "--resume goes on" in capsys.readouterr().err


ANSWERS = """
import numpy as np
def nothing(x): return None
def ragged(x): return np.zeros(len(x), int), 3
def imaginary(x): return np.full((len(x), 3), 1 / 3 + 0j)
def leaves(x): raise SystemExit(0)
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "got None. Does the function return its answer?"),
        ("ragged", "got a tuple of parts that do not make one array"),
        ("imaginary", "got values of type complex128"),
        ("leaves", "raised SystemExit"),  # a build must not take it for a pass
    ],
)
def test_answers_that_are_none(words, module, capsys, name, message):
    arguments = words()
    arguments[arguments.index("--victim") + 1] = f"{module(ANSWERS)}:{name}"
    assert main(arguments) == 2
    assert message in stderr_line(capsys)


def test_a_module_that_leaves_is_no_pass(words, module, capsys):
    arguments = words()
    arguments[arguments.index("--victim") + 1] = f"{module('raise SystemExit(0)')}:f"
    assert main(arguments) == 2
    assert "could not be loaded: SystemExit" in stderr_line(capsys)


def test_options_that_contradict_each_other(words, capsys):
    assert main([*words(), "--resume", "--restart"]) == 2
    assert "expected one of them" in stderr_line(capsys)
    assert main([*words(), "--overall"]) == 2
    assert "Error: overall: expected a limit to decide on" in stderr_line(capsys)
    release = words()[2]
    assert main([*words(), "--release", release]) == 2
    assert "Error: release: expected a limit to decide on" in stderr_line(capsys)
    assert main([*words(), "--set", "steps=3"]) == 2
    assert "expected an attack that has them, got none" in stderr_line(capsys)


def test_files_that_hold_something_else(words, files, capsys):
    names = files["folder"] / "names.npy"
    np.save(names, np.array([["a", "b"]] * 10))
    arguments = words()
    arguments[arguments.index("--train") + 1] = str(names)
    assert main(arguments) == 2
    assert "expected numbers in" in stderr_line(capsys)
    bad = files["folder"] / "bad.toml"
    bad.write_bytes(b"\xff\xfe")
    assert main([*words(), "--fail-below", "0", "--waivers", str(bad)]) == 2
    assert "bad.toml is no TOML" in stderr_line(capsys)
    baseline = ["--fail-below-change", "0", "--baseline", str(files["folder"])]
    assert main([*words(), *baseline]) == 2
    assert "not found; expected a report.json" in stderr_line(capsys)


def test_score_names_the_rows_that_lack_labels(files, capsys):
    paths = [str(files["folder"] / f"{name}.csv") for name in ("train", "near")]
    frame = pd.read_csv(paths[1]).drop(columns="label")
    frame.to_csv(paths[1], index=False)
    assert main(["score", *paths]) == 2
    assert "AUX: near.csv has no label column" in stderr_line(capsys)


@pytest.mark.parametrize("option", ["--held-out", "--seed", "--label", "--out"])
def test_an_option_that_is_given_twice_is_not_dropped(words, option, capsys):
    with pytest.raises(SystemExit) as left:
        main(words("near", "near", "train", option, "1", option, "2"))
    assert left.value.code == 2
    assert f"argument {option}: given twice" in stderr_line(capsys)


@pytest.mark.parametrize(
    ("target", "why"),
    [("no folder/d.json", "No such file"), (".", "it is a folder"), ("", "empty")],
)
def test_a_decision_that_cannot_be_written(words, target, why, capsys, files):
    arguments = words("never", "near", "train", "--fail-below", 0, "--json", target)
    assert main(arguments) == 2
    assert why in stderr_line(capsys)
    assert not files["out"].exists()


def test_a_folder_that_no_file_system_can_hold(words, capsys):
    arguments = words("never")
    arguments[arguments.index("--out") + 1] = "a" * 300
    assert main(arguments) == 2
    assert "cannot be written: File name too long" in stderr_line(capsys)


@pytest.mark.parametrize(
    ("option", "value"), [("--seed", "-1"), ("--n-jobs", "0"), ("--seed", str(2**70))]
)
def test_score_refuses_what_audit_refuses(files, option, value, capsys):
    pair = [str(files["folder"] / f"{name}.csv") for name in ("train", "near")]
    assert main(["score", *pair, option, value]) == 2
    assert "expected" in stderr_line(capsys)


def test_names_do_not_steer_a_terminal(words, files, capsys):
    path = files["folder"] / "train.csv"
    frame = pd.read_csv(path)
    names = np.array(["\x1b[31mred", "\u202eevil", "Ren\u00e9e"])
    frame.assign(label=names[frame.label]).to_csv(path, index=False)
    assert main(words("near", "near", "train", "--fail-below", 500)) == 1
    printed = capsys.readouterr().out
    for name in ("?[31mred", "?evil", "Ren\u00e9e"):
        assert name in printed
    assert "\x1b" not in printed
