"""The worked examples of the pages run as they stand and show what they say."""

import runpy
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

FOLDER = Path(__file__).parents[3] / "docs" / "examples"


@pytest.fixture
def example():
    mpl.use("Agg")

    def run(name):
        found = runpy.run_path(str(FOLDER / f"plot_audit_{name}.py"))
        assert len(plt.get_fignums()) == 1
        plt.close("all")
        return found

    return run


def test_digits(example, capsys):
    report = example("digits")["report"]
    assert report.sentence in capsys.readouterr().out
    assert list(report.verdicts) == [str(digit) for digit in range(10)]
    assert set(report.tables[0].reasons) <= {
        c for c, word in report.verdicts.items() if word == "not evaluable"
    }


def test_medical_table(example):
    report = example("medical_table")["report"]
    assert report.verdicts == {"benign": "exposed", "malignant": "exposed"}
    low, high = report.held_out[0].low[-1], report.held_out[0].high[-1]
    assert low < 0 < high  # the class is known, no patient is shown to leak


@pytest.mark.statistical
def test_defences(example):
    report = example("defences")["report"]
    changes = {d.defence: d for d in report.differences}
    assert changes["label_only"].changed == 0
    assert set(changes["label_only"].difference) <= {0.0, None}
    assert changes["noise:0.3"].changed > 0.1
    assert changes["rejection:0.9"].refused > 0


def test_the_gate_fails_on_purpose(example, capsys):
    found = example("gate")
    assert found["code"] == 1
    assert "exit code 1" in capsys.readouterr().out
    outcomes = {
        c.label: c.outcome for c in found["report"].gate.checks if c.metric == "kl"
    }
    assert outcomes["1"] == "waived"
    assert "fail" in outcomes.values()
