"""The decision: on bounds, with waivers, and never at odds with the report."""

import datetime
import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from kldiv_attack import AuditReport
from kldiv_attack.audit.content import ClassTable, Leak, VictimFacts
from kldiv_attack.audit.gate import decide, junit, parse_rule, read_waivers

TODAY = datetime.date(2026, 6, 1)


def report_of(kl, low, high, *, error=0.1, trust=None, digests=("a", "b", "c"), **more):
    names = ["x", "y", "z"][: len(kl)]
    columns = {
        "kl": kl,
        "kl_low": low,
        "kl_high": high,
        "standard_error": [error] * len(kl),
        "coverage": [0.3] * len(kl),
        "n_train": [100] * len(kl),
    }
    if trust:
        columns["trust"] = trust
    table = ClassTable("m", "", "public", names, columns, {}, {},
                       ["apart"] * len(kl), list(digests[: len(kl)]))  # fmt: skip
    facts = VictimFacts("m", "m", "function", "", "labels", 0, {}, None)
    report = AuditReport("2026", 1.0, {}, {}, names, [], [facts], [table])
    return replace(report, **more)


def outcomes(gate):
    return {check.label: check.outcome for check in gate.checks}


def below(limit, metric="kl"):
    return [parse_rule(str(limit), below=True, metric=metric)]


def test_the_lower_end_decides_and_not_the_point():
    report = report_of([2.0, 2.0, 0.5], [1.5, 0.9, 0.2], [2.5, 3.1, 0.8])
    gate = decide(report, below(1.0))
    assert outcomes(gate) == {"x": "pass", "y": "fail", "z": "fail"}
    assert gate.exit_code == 1
    assert "lower end of its interval 0.9" in gate.checks[1].message


def test_the_upper_end_decides_on_what_must_not_be_large():
    report = report_of([1.0], [1.0], [1.0])
    share = 0.3  # of 100 rows: its interval reaches 0.396
    for limit, outcome in ((share + 0.08, "fail"), (share + 0.1, "pass")):
        rule = parse_rule(f"coverage={limit}", below=False)
        assert outcomes(decide(report, [rule])) == {"x": outcome}


@pytest.mark.parametrize(
    ("kl", "low", "trust"),
    [
        (None, None, None),
        (2.0, None, None),
        (2.0, 1.5, ["do not use"]),
    ],
)
def test_what_is_not_evaluable_is_no_pass(kl, low, trust):
    gate = decide(report_of([kl], [low], [low], trust=trust), below(1.0))
    assert outcomes(gate) == {"x": "not evaluable"}
    assert gate.exit_code == 2


def test_trust_with_caution_counts():
    report = report_of([2.0], [1.5], [2.5], trust=["caution"])
    assert decide(report, below(1.0)).exit_code == 0


def test_a_failure_comes_before_what_is_not_evaluable():
    gate = decide(report_of([None, 0.1], [None, 0.0], [None, 0.2]), below(1.0))
    assert (gate.outcome, gate.exit_code) == ("fail", 1)


def test_overall_takes_the_mean_and_refuses_gaps():
    report = report_of([2.0, 0.5], [1.8, 0.3], [2.2, 0.7])
    (check,) = decide(report, below(1.0), overall=True).checks
    assert check.label == "all classes"
    assert check.value == pytest.approx(1.25)
    assert check.bound == pytest.approx(1.25 - 0.2 / 2**0.5)
    assert check.outcome == "pass"
    gap = report_of([2.0, None], [1.8, None], [2.2, None])
    (check,) = decide(gap, below(1.0), overall=True).checks
    assert check.outcome == "not evaluable"
    assert "no score for y" in check.message


def test_only_the_release_is_decided_on():
    report = report_of([2.0], [1.5], [2.5])
    worse = replace(
        report.tables[0], defence="noise:1",
        columns=report.tables[0].columns | {"kl_low": [0.0]},
    )  # fmt: skip
    report = replace(report, tables=[report.tables[0], worse])
    assert decide(report, below(1.0)).exit_code == 0
    assert decide(report, below(1.0), release="m + noise:1").exit_code == 1


def test_a_metric_that_was_not_measured_is_not_evaluable():
    report = report_of([2.0], [1.5], [2.5])
    rule = parse_rule("membership_auc=0.6", below=False)
    gate = decide(report, [rule])
    assert gate.exit_code == 2
    assert "did not measure" in gate.checks[0].message


def test_leaked_rows():
    rule = parse_rule("leaked_rows=0", below=False)
    for chance, code in ((False, 1), (True, 0)):
        leaks = [Leak("public", [3], [], chance)]
        report = report_of([2.0], [1.5], [2.5], leaks=leaks)
        assert decide(report, [rule]).exit_code == code


def test_change_against_a_stored_report():
    before = report_of([2.0, 2.0, 2.0], [1.8] * 3, [2.2] * 3)
    after = report_of([2.0, 1.0, 1.9], [1.8] * 3, [2.2] * 3, digests=("a", "n", "n"))
    gate = decide(after, below(-0.5, "change"), baseline=before)
    same, worse, close = gate.checks
    assert (same.value, same.bound) == (0, 0)  # same rows: no error of the draw
    assert worse.outcome == "fail"
    assert close.value == pytest.approx(-0.1)
    assert close.bound == pytest.approx(-0.1 - 1.96 * 0.1 * 2**0.5, abs=1e-3)
    assert close.outcome == "pass"


def test_change_of_a_class_that_the_stored_report_lacks():
    before = report_of([2.0], [1.8], [2.2])
    after = report_of([2.0, 2.0], [1.8] * 2, [2.2] * 2)
    gate = decide(after, below(-0.5, "change"), baseline=before)
    assert outcomes(gate) == {"x": "pass", "y": "not evaluable"}


@pytest.fixture
def waiver(tmp_path):
    def write(text="", **changes):
        entry = {"class": "y", "until": TODAY, "reason": "known"} | changes
        lines = [
            f"{k} = {v if isinstance(v, datetime.date) else json.dumps(v)}"
            for k, v in entry.items()
            if v is not None
        ]
        path = tmp_path / "waivers.toml"
        path.write_text("[[waiver]]\n" + "\n".join(lines) + text, encoding="utf-8")
        return path

    return write


def test_a_waiver_holds_until_its_last_day(waiver):
    report = report_of([2.0, 0.1], [1.8, 0.0], [2.2, 0.2])
    waivers = read_waivers(waiver(), ["x", "y"])
    held = decide(report, below(1.0), waivers=waivers, today=TODAY)
    assert outcomes(held) == {"x": "pass", "y": "waived"}
    assert held.exit_code == 0
    assert "waived until 2026-06-01: known" in held.remarks[0]
    late = decide(
        report, below(1.0), waivers=waivers, today=TODAY + datetime.timedelta(1)
    )
    assert outcomes(late)["y"] == "fail"
    assert late.exit_code == 1
    assert "expired" in late.remarks[0]


def test_a_waiver_of_another_metric_does_not_count(waiver):
    report = report_of([2.0, 0.1], [1.8, 0.0], [2.2, 0.2])
    waivers = read_waivers(waiver(metric="coverage"), ["x", "y"])
    assert decide(report, below(1.0), waivers=waivers, today=TODAY).exit_code == 1


@pytest.mark.parametrize(
    ("changes", "text", "message"),
    [
        ({"class": "nobody"}, "", "names the class 'nobody', which does not exist"),
        ({"metric": "speed"}, "", "metric 'speed': expected one of"),
        ({"until": None}, "", "needs until = YYYY-MM-DD and a reason"),
        ({"until": "soon"}, "", "needs until"),
        ({"reason": " "}, "", "and a reason"),
        ({"owner": "me"}, "", "unknown key 'owner'"),
        ({}, "\n[other]\n", "holds other; expected"),
        ({}, "\n[[", "is no TOML"),
    ],
)
def test_waivers_that_are_wrong(waiver, changes, text, message):
    with pytest.raises(ValueError, match=message):
        read_waivers(waiver(text, **changes), ["x", "y"])


def test_entries_that_are_no_tables(tmp_path):
    path = tmp_path / "waivers.toml"
    for text, message in (
        ("waiver = [1]", "entry 1 is 1; expected"),
        ('waiver = ["x"]', "entry 1 is 'x'; expected"),
        ('[[waiver]]\nclass = "x"\nmetric = ["kl"]', r"metric \['kl'\]: expected one"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_waivers(path, ["x"])


def test_a_waiver_that_meets_no_check_says_so(waiver):
    report = report_of([2.0, 0.1], [1.8, 0.0], [2.2, 0.2])
    waivers = read_waivers(waiver(metric="coverage"), ["x", "y"])
    (remark,) = decide(report, below(1.0), waivers=waivers, today=TODAY).remarks
    assert "meets no check of this gate" in remark
    waivers = read_waivers(waiver(), ["x", "y"])
    (remark,) = decide(report, below(1.0), waivers=waivers, today=TODAY).remarks
    assert "meets no check" not in remark


def test_junit_holds_any_class_name():
    report = report_of([0.1], [0.0], [0.2])
    report.tables[0].classes[0] = "a\x00\ud800\uffff<b>"
    root = ET.fromstring(junit(decide(report, below(1.0))).encode())
    assert root[0].get("name") == "a???<b>"


def test_junit_counts_what_the_gate_says():
    report = report_of([2.0, 0.1, None], [1.8, 0.0, None], [2.2, 0.2, None])
    report.tables[0].classes[1] = "<y>\x00"
    suite = ET.fromstring(junit(decide(report, below(1.0))).encode())
    counts = {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    assert [case.get("name") for case in suite] == ["x", "<y>?", "z"]
    assert suite[1].find("failure") is not None
    assert suite[2].find("error") is not None


@pytest.mark.parametrize("text", ["speed=1", "kl=", "=1", "nan", "kl=inf"])
def test_rules_that_make_no_sense(text):
    with pytest.raises(ValueError, match="gate: "):
        parse_rule(text, below=True)
