"""The audit from end to end: what it must see, keep and refuse."""

import errno
import json
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import kldiv_attack
from kldiv import PerClassReport
from kldiv_attack import AuditReport, audit, load_dataset, train_victim
from kldiv_attack._files import RunError
from kldiv_attack.audit.asking import BATCH
from kldiv_attack.audit.scoring import ClassScore, table_of, verdict
from kldiv_attack.audit.sections import _class_grid
from kldiv_attack.audit.specs import VictimError
from tests.attack.audit.conftest import cloud
from tests.attack.conftest import three_digits


def test_rows_of_the_same_law_are_exposed_and_far_ones_are_not(run):
    near = run()
    assert set(near.verdicts.values()) == {"exposed"}
    assert near.sentence.startswith("Of 3 classes of LogisticRegression, 3 are exposed")
    far = run(aux=cloud(np.random.default_rng(5), 240, shift=3.0)[0], restart=True)
    near_kl, far_kl = (np.array(r.tables[0].columns["kl"], float) for r in (near, far))
    known = np.isfinite(far_kl)
    assert known.any()
    assert (far_kl[known] > near_kl[known]).all()
    assert "exposed" not in far.verdicts.values()


def test_a_leaky_model_is_called_so(run, train, public):
    aux = np.concatenate([public, train[0][train[1] == 1][:5]])
    report = run(aux=aux, fail_below=-100)
    assert report.verdicts["1"] == "leaked"
    assert report.leaks[0].counts == [0, 5, 0]
    assert report.exit_code == 1  # the limit on the indicator alone would pass
    pairs = report.leaks[0].rows
    for i, j in pairs:
        np.testing.assert_array_equal(train[0][i], aux[j])
    assert "1 has training rows in the auxiliary data (1)" in report.sentence


@pytest.mark.usefixtures("plain_scores")
def test_images_that_were_trained_on_are_found_among_public_ones(tmp_path):
    train = load_dataset("digits", part="train")
    public = load_dataset("glyphs", split="digits", n_per_class=20).images
    fours = np.flatnonzero(train.labels == 4)[:2]

    def victim(images):
        return images.reshape(len(images), -1)[:, :10].argmax(1)

    aux = np.concatenate([public, train.images[fours]])
    report = audit(victim, train, aux, tmp_path / "out")
    leaked = [c for c, word in report.verdicts.items() if word == "leaked"]
    assert leaked == ["4"]
    assert report.leaks[0].counts == [0, 0, 0, 0, 2, 0, 0, 0, 0, 0]


def test_repeats_of_discrete_rows_are_no_leak(run, rng):
    rows = rng.integers(0, 3, (600, 3)).astype(float)
    labels = np.arange(600) % 2
    victim = LogisticRegression().fit(rows[:300], labels[:300])
    report = run(victim, rows[300:], train=(rows[:300], labels[:300]))
    assert sum(report.leaks[0].counts) > 100
    assert report.leaks[0].chance
    assert "leaked" not in report.verdicts.values()


@pytest.mark.usefixtures("plain_scores")
def test_images_and_a_torch_victim(tmp_path):
    train, aux = three_digits("train", 300), three_digits("test", 200)
    victim = train_victim(train, epochs=8, batch_size=32)
    report = kldiv_attack.audit(victim, train, aux, tmp_path / "o", device="cpu")
    assert list(report.verdicts) == list(train.class_names)
    assert report.victims[0].accuracy["train"][0] > 0.8
    network = kldiv_attack.audit(
        victim.network, train, aux, tmp_path / "p", device="cpu"
    )
    assert network.tables[0].columns == report.tables[0].columns


def test_mixed_columns(run, rng):
    y = np.arange(300) % 2
    frame = pd.DataFrame(
        {
            "age": rng.normal(size=300) + 2 * y,
            "town": np.array(list("abc"))[y + (rng.random(300) < 0.3)],
        }
    )
    victim = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["town"]), remainder="passthrough"),
        LogisticRegression(),
    ).fit(frame[:150], y[:150])
    report = run(victim, frame[150:], train=(frame[:150], y[:150]), show_private=True)
    assert "indicators" in report.settings["features"]
    assert all(v is not None for v in report.tables[0].columns["kl"])
    assert report.extras[0].header[2:] == ["age", "town"]


@pytest.mark.usefixtures("plain_scores")
def test_answers_alone_give_the_scores_of_the_model(run, model, public, tmp_path):
    full = run()
    np.save(tmp_path / "answers.npy", model.predict_proba(public))
    alone = run(str(tmp_path / "answers.npy"), folder=tmp_path / "alone")
    assert alone.tables[0].columns == full.tables[0].columns
    assert alone.victims[0].queries == 0
    assert alone.victims[0].accuracy == {}
    np.save(tmp_path / "answers.npy", model.predict(public)[:-1])
    with pytest.raises(ValueError, match="239 answers, the auxiliary samples 240 rows"):
        run(str(tmp_path / "answers.npy"), folder=tmp_path / "short")


@pytest.mark.usefixtures("plain_scores")
def test_several_auxiliary_samples_are_scored_apart(run, public):
    far = cloud(np.random.default_rng(5), 240, shift=3.0)[0]
    report = run(aux=[far, public])
    assert [table.aux for table in report.tables] == ["aux (1)", "aux (2)"]
    assert set(report.verdicts.values()) == {"exposed"}  # the worst of both


@pytest.mark.usefixtures("plain_scores")
def test_a_class_without_answers_is_not_evaluable_with_a_reason(run):
    def never_two(rows):
        return np.where(rows[:, 0] > rows[:, 1], 0, 1)

    report = run(never_two, fail_below=-100)
    assert report.verdicts["2"] == "not evaluable"
    assert "no auxiliary row" in report.tables[0].reasons["2"]
    assert report.exit_code == 2
    assert [check.label for check in report.gate.of("not evaluable")] == ["2"]
    assert "1 cannot be evaluated (2)" in report.sentence


def test_a_floor_far_from_zero_is_told_in_every_form(run, monkeypatch):
    plain = run().tables[0]
    monkeypatch.setattr(
        "kldiv_attack.audit.stages.floors", lambda *_, **__: [None, 0.9, 0.1]
    )
    report = run(defences=["label_only"])
    for table in report.tables:
        assert table.columns["floor"] == [None, 0.9, 0.1]
        assert table.columns["kl"] == plain.columns["kl"]
        assert [c for c, said in table.notes.items() if "floor" in said] == ["1"]
        assert table.columns["trust"][1] == "caution"
        assert table.evaluable(1)
    says = "two halves of the training rows, which differ in nothing, seem 0.90 nats"
    again = AuditReport.from_json(report.to_json())
    assert again.tables[0].notes["1"]["floor"].lower().startswith(says)
    for text in (report.to_html(), report.to_markdown()):
        assert f"Floor (class 1). {says[0].upper()}{says[1:]}" in " ".join(text.split())


@pytest.mark.usefixtures("plain_scores")
def test_a_class_that_cannot_be_scored_does_not_take_the_others_along(run, train):
    X, y = train[0].copy(), train[1]
    X[y == 2] = 1.0  # all rows of a class are one row

    def nearest(rows):
        return np.where((rows == 1).all(1), 2, (rows[:, 0] < rows[:, 1]).astype(int))

    aux = np.concatenate([cloud(np.random.default_rng(3), 200)[0], np.ones((20, 3))])
    table = run(nearest, aux, train=(X, y)).tables[0]
    assert table.columns["kl"][2] is None
    assert table.reasons["2"]
    assert None not in table.columns["kl"][:2]


@pytest.mark.usefixtures("plain_scores")
def test_two_hundred_classes(run, rng):
    y = np.arange(2400) % 200
    rows = rng.normal(size=(2400, 2)) * 0.3 + np.stack([y % 20, y // 20], 1)

    def grid(batch):
        near = np.clip(np.round(batch), 0, [19, 9])
        return (near[:, 1] * 20 + near[:, 0]).astype(int)

    report = run(grid, rows[1200:], train=(rows[:1200], y[:1200]))
    assert len(report.verdicts) == 200
    assert " more)" in report.sentence
    assert report.to_html().count('<th scope="row"') >= 200


# -- defences and several victims ------------------------------------------------------


def test_wrappers_that_keep_every_label_change_nothing(run, unseen):
    report = run(defences=["label_only", "temperature:3", "top_k:2"], held_out=unseen)
    for change in report.differences:
        assert change.changed == 0
        assert set(change.difference + change.low + change.high) == {0.0}
        assert change.accuracy == change.accuracy_before
        assert change.measured_on == "held-out rows"


def test_a_wrapper_that_changes_labels_has_an_interval(run):
    report = run(defences=["noise:2"])
    (change,) = report.differences
    assert change.changed > 0.2
    assert change.low[-1] < change.difference[-1] < change.high[-1]
    assert change.accuracy < change.accuracy_before


@pytest.mark.usefixtures("plain_scores")
def test_classes_called_by_numbers_and_answered_by_positions(run, train):
    def positions(rows):
        return rows.argmax(1)

    def names(rows):
        return rows.argmax(1) + 1

    rows, labels = train
    aux = cloud(np.random.default_rng(4), 900)
    order = np.argsort(aux[1] == 0, kind="stable")  # the first class comes last
    aux = np.repeat(aux[0][order], 2, axis=0) + np.tile([0.0, 1e-3], 900)[:, None]
    found = [
        run({"m": victim}, aux, train=(rows, labels + 1), restart=True)
        for victim in (positions, names)
    ]
    assert found[0].tables == found[1].tables
    assert found[0].victims == found[1].victims


@pytest.mark.usefixtures("plain_scores")
def test_noise_of_any_strength(run, recwarn):
    (change,) = run(defences=["noise:1e308"]).differences
    assert change.changed > 0.5
    assert not recwarn


@pytest.mark.usefixtures("plain_scores")
def test_defences_are_a_list(run):
    with pytest.raises(TypeError, match=r"expected a list; give \['label_only'\]"):
        run(defences="label_only")


@pytest.mark.usefixtures("plain_scores")
def test_rejection_counts_refusals(run):
    (change,) = run(defences=["rejection:0.99"]).differences
    assert 0 < change.refused < 1
    assert change.accuracy < change.accuracy_before


@pytest.mark.usefixtures("plain_scores")
def test_several_victims_are_compared_with_the_first(run, model, train):
    other = LogisticRegression(C=1e-4).fit(*train)
    report = run({"plain": model, "flat": other}, defences=["label_only"])
    pairs = [(d.name, d.against) for d in report.differences]
    assert pairs == [
        ("plain + label_only", "plain"),
        ("flat", "plain"),
        ("flat + label_only", "flat"),
    ]
    assert [v.name for v in report.victims] == ["plain", "flat"]
    same = run({"plain": model, "again": model}, restart=True)
    assert set(same.differences[0].difference) == {0.0}


# -- folder, resume, report ------------------------------------------------------------


class Unsteady:
    """Answers until a row, then raises; counts what it was asked."""

    def __init__(self, model, after):
        self.model, self.after, self.asked = model, after, 0

    def __call__(self, rows):
        if self.asked + len(rows) > self.after:
            raise OSError("connection lost")
        self.asked += len(rows)
        return self.model.predict_proba(rows)


@pytest.mark.usefixtures("plain_scores")
def test_an_interrupted_audit_goes_on_where_it_stopped(run, model, train, tmp_path):
    aux = cloud(np.random.default_rng(9), 3 * BATCH)[0]
    whole = run(aux=aux, folder=tmp_path / "whole")
    victim = Unsteady(model, 2 * BATCH + 500)
    with pytest.raises(VictimError, match=r"rows 2000 to 2999 .* 2000 rows are kept"):
        run({"m": victim}, aux)
    with pytest.raises(RunError, match="interrupted: --resume goes on"):
        run({"m": victim}, aux)
    kept = victim.asked
    victim.after = 10**9
    report = run({"m": victim}, aux, resume=True)
    assert victim.asked == kept + 2 + BATCH + len(train[0])  # 2 rows probe its shape
    assert report.tables[0].columns == whole.tables[0].columns


@pytest.mark.usefixtures("plain_scores")
def test_resume_refuses_another_audit(run, public):
    run()
    with pytest.raises(RunError, match="another samples"):
        run(aux=public[:200], resume=True)
    with pytest.raises(RunError, match="another seed"):
        run(random_state=4, resume=True)
    assert run(aux=public[:200]).tables  # a finished audit may be replaced


@pytest.mark.usefixtures("plain_scores")
def test_resume_refuses_another_file_of_the_same_name(run, model, public, tmp_path):
    table = tmp_path / "answers.npy"
    np.save(table, model.predict_proba(public))
    run({"m": str(table)})
    run({"m": str(table)}, resume=True)
    np.save(table, model.predict_proba(public[::-1]))
    with pytest.raises(RunError, match="another victims"):
        run({"m": str(table)}, resume=True)


@pytest.mark.usefixtures("plain_scores")
def test_a_folder_in_use_is_called_so(run, tmp_path, model):
    def victim(rows):
        if len(rows) > 2:  # asked once the folder is ours
            for again in ({}, {"resume": True}, {"restart": True}):
                with pytest.raises(RunError, match="is in use by process"):
                    run(model, **again)
        return model.predict(rows)

    assert run(victim).tables
    assert run(model).tables


@pytest.mark.usefixtures("plain_scores")
def test_a_full_disk_names_the_file(run, tmp_path, monkeypatch):
    whole = run()
    real = os.replace

    def full(source, target):
        if str(target).endswith("report.md"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=r"report.md could not be written: No space"):
        run()
    assert not list((tmp_path / "out").glob("*.tmp"))
    monkeypatch.setattr(os, "replace", real)
    assert run(resume=True).tables == whole.tables


@pytest.mark.usefixtures("plain_scores")
def test_strange_folders_are_left_alone(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="holds thesis.txt but no audit"):
        run()
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        run(folder=tmp_path / "file" / "out")


@pytest.mark.usefixtures("plain_scores")
def test_the_report_survives_its_file(run, unseen, tmp_path):
    report = run(
        defences=["noise:0.5", "rejection:0.9"],
        held_out=unseen,
        fail_below=[0.1, "coverage=0.1"],
        show_private=True,
    )
    for source in (tmp_path / "out" / "report.json", report.to_json()):
        again = AuditReport.from_json(source)
        assert again == report
        assert again.to_html() == report.to_html()
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored["schema"] == "kldiv.audit"
    assert stored["gate"]["exit_code"] == report.exit_code == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "other"}, "no report of kldiv audit"),
        ({"schema_version": 99}, "has version 99 of the schema"),
        ({"tables": [{}]}, "damaged"),
    ],
)
@pytest.mark.usefixtures("plain_scores")
def test_reports_of_other_kinds_are_refused(run, change, message):
    content = json.loads(run().to_json()) | change
    with pytest.raises(ValueError, match=message):
        AuditReport.from_json(json.dumps(content))


@pytest.mark.usefixtures("plain_scores")
def test_no_private_row_is_shown_unless_asked_for(run, train):
    text = run().to_html() + run().to_markdown() + run().to_json()
    for value in train[0][:, 0]:
        assert f"{value:.4g}" not in text.replace("data-order", "") or abs(value) < 1
    assert "shows private data" not in text
    assert "shows private data" in run(show_private=True).to_html()


@pytest.mark.usefixtures("plain_scores")
def test_a_budget_limits_the_rows_that_are_asked_about(run, model, train):
    victim = Unsteady(model, 10**9)
    report = run({"m": victim}, budget=100)
    assert victim.asked == 100 + 2 + len(train[0])
    assert report.sources[1].rows == 100


@pytest.mark.parametrize("seed", [0, 1])
def test_one_seed_gives_one_report(run, unseen, seed):
    options = {"held_out": unseen, "defences": ["noise:1"], "random_state": seed}
    first, second = run(**options), run(**options)
    assert first.tables == second.tables
    assert first.curves == second.curves
    assert first.membership == second.membership
    assert first.differences == second.differences


# -- cheap refusals --------------------------------------------------------------------


class Untouched:
    """A victim that must not be asked for more than two rows."""

    def __call__(self, rows):
        assert len(rows) <= 2
        return np.zeros(len(rows), dtype=int)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"defences": ["magic"]}, "defence 'magic': expected one of"),
        ({"fail_below": "speed=1"}, "metric 'speed': expected one of"),
        ({"fail_below": "fast"}, "expected a number"),
        ({"fail_below_change": -1.0}, "needs --baseline"),
        ({"attack": "cgan"}, "attacks reconstruct images, but train is a table"),
        ({"attack": "magic"}, "magic"),
        ({"attack": "cgan", "attack_parameters": {"tricks": 1}}, "no parameter tricks"),
        ({"budget": 0}, "budget=0: expected a whole number >= 1"),
        ({"budget": "3"}, "budget='3': expected a whole number >= 1"),
        ({"budget": 10.5}, "budget=10.5: expected a whole number >= 1"),
        ({"verbose": "loud"}, "verbose='loud': expected"),
        ({"overall": "no"}, "overall='no': expected True or False"),
        ({"resume": "yes"}, "resume='yes': expected True or False"),
        ({"attack": "cgan", "attack_parameters": [1]}, "expected a mapping"),
        ({"defences": ["rounding:1"]}, "victim m: .* answers labels only"),
        ({"release": "other"}, "release 'other': expected one of"),
        ({"aux": []}, "at least one auxiliary sample"),
        ({"defences": ["label_only", "label_only"]}, "label_only is given twice"),
        ({"n_jobs": 0}, "n_jobs=0: expected a number of classes"),
        ({"n_jobs": "2"}, "n_jobs='2': expected a number of classes"),
        ({"random_state": 2**70}, "expected a whole number >= 0 and <= 4294967295"),
        ({"folder": "~/report"}, "only shells know what ~ is"),
    ],
)
def test_cheap_refusals_come_before_anything_is_asked(run, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run({"m": Untouched()}, **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"defences": None}, "defences=None: expected a list of texts"),
        ({"defences": [3]}, r"defences=\[3\]: expected a list of texts"),
        ({"waivers": 3, "fail_below": 0}, "waivers=3: expected a path"),
        ({"baseline": 3, "fail_below_change": 0}, "baseline=3: expected a path"),
    ],
)
def test_types_that_are_refused(run, options, message):
    with pytest.raises(TypeError, match=message):
        run({"m": Untouched()}, **options)


@pytest.mark.parametrize(
    ("victims", "message"),
    [
        ({}, "expected at least one model"),
        ({1: Untouched()}, "1 is no name"),
        ({" ": Untouched()}, "' ' is no name"),
    ],
)
@pytest.mark.usefixtures("plain_scores")
def test_victims_without_a_name(run, victims, message):
    with pytest.raises(ValueError, match=message):
        run(victims)


@pytest.mark.usefixtures("plain_scores")
def test_a_label_that_no_file_can_hold(run, train):
    names = np.array(["a", "\ud800", "b"], dtype=object)[train[1]]
    with pytest.raises(ValueError, match="is no text that a file can hold"):
        run({"m": Untouched()}, train=(train[0], names))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (None, TypeError, "expected a path"),
        ("no such report.json", ValueError, "neither a report as text nor a file"),
        ("{", ValueError, "the text is no JSON"),
    ],
)
def test_what_is_no_stored_report(source, error, message):
    with pytest.raises(error, match=message):
        AuditReport.from_json(source)


@pytest.mark.usefixtures("plain_scores")
def test_another_scale_is_noticed_before_anything_is_asked(run, public):
    for aux in (public * 255, public / 40, public + 500):
        with pytest.raises(ValueError, match="on another scale"):
            run({"m": Untouched()}, aux)
    assert run(aux=public * 255, any_scale=True).tables


def test_images_of_another_scale(tmp_path):
    train = load_dataset("digits", part="train")
    with pytest.raises(ValueError, match="on another scale"):
        kldiv_attack.audit(Untouched(), train, train.images * 255, tmp_path / "o")


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (np.zeros((5, 2)), [0] * 5, "5 rows of 1 class"),
        (np.zeros((1, 2)), [0], "1 rows of 1 class"),
    ],
)
def test_too_little_to_audit(run, rows, labels, message):
    with pytest.raises(ValueError, match=message):
        run(Untouched(), np.ones((3, 2)), train=(rows, labels))


@pytest.mark.usefixtures("plain_scores")
def test_a_victim_of_another_shape_is_refused_at_once(run, model):
    wide = np.random.default_rng(0).normal(size=(20, 5)), np.arange(20) % 3
    with pytest.raises(VictimError, match=r"ValueError for rows of shape \(2, 5\)"):
        run(model, wide[0], train=wide)


def test_victims_of_one_name_are_refused(run, model):
    class Named(dict):
        def items(self):
            return [("m", model), ("m", model)]

    with pytest.raises(ValueError, match="two are called 'm'"):
        run(Named())


@pytest.mark.usefixtures("plain_scores")
def test_a_class_of_one_row_is_not_evaluable(run, train):
    keep = np.flatnonzero((train[1] != 2) | (np.arange(300) == 2))
    table = run(train=(train[0][keep], train[1][keep])).tables[0]
    assert table.verdicts[2] == "not evaluable"
    assert "1" in table.reasons["2"]
    assert None not in table.columns["kl"][:2]


def test_held_out_rows_that_were_trained_on_are_told(run, train, unseen):
    mixed = tuple(
        np.concatenate([a[:7], b]) for a, b in zip(train, unseen, strict=True)
    )
    report = run(held_out=mixed)
    assert "7 of 247 held-out rows are training rows" in report.remarks[0]


@pytest.mark.usefixtures("plain_scores")
def test_columns_of_later_versions_are_shown(train):
    names = ["0", "1", "2"]
    report = PerClassReport(
        np.array(names),
        {
            "kl": np.array([1.0, 2.0, 3.0]),
            "kl_low": np.array([0.5, 1.5, 2.5]),
            "floor": np.array([0.1, 0.2, 0.3]),
            "trust": np.array(["good", "caution", "do not use"]),
            "novelty": np.array([7.0, 8.0, 9.0]),
        },
    )
    table = table_of([ClassScore(report)], names, victim="v", defence="", aux="a")
    assert [table.evaluable(c) for c in range(3)] == [True, True, False]
    assert [verdict(table, c, 0) for c in range(3)] == [
        "apart",
        "apart",
        "not evaluable",
    ]
    header = _class_grid(replace(table, verdicts=["apart"] * 3)).header
    for word in ("floor", "trust", "novelty"):
        assert word in header


def test_a_victim_that_knows_nothing_is_remarked_on(run):
    report = run(lambda rows: np.zeros(len(rows), dtype=int))
    assert "check the units" in report.remarks[0]


def test_a_victim_of_two_classes_may_err(run, train):
    two = train[1] < 2
    rows, labels = train[0][two], train[1][two]

    def victim(share):
        wrong = np.arange(len(rows)) < share * len(rows)

        def answer(asked):
            known = len(asked) == len(rows)
            return (
                np.where(wrong, 1 - labels, labels)
                if known
                else np.arange(len(asked)) % 2
            )

        return answer

    for share, remarks in ((0.06, 0), (0.35, 0), (0.45, 1), (1, 1)):
        report = run({"m": victim(share)}, train=(rows, labels), restart=True)
        assert len([r for r in report.remarks if "m puts only" in r]) == remarks


@pytest.mark.parametrize("unit", [2.0**1000, 2.0**-1000])
@pytest.mark.usefixtures("plain_scores")
def test_the_unit_of_a_table_does_not_matter(run, train, public, unit):
    def victim(rows):
        return rows.argmax(1)

    plain = run({"m": victim})
    scaled = run({"m": victim}, public * unit, train=(train[0] * unit, train[1]))
    assert scaled.tables[0].columns == plain.tables[0].columns
    with pytest.raises(ValueError, match="on another scale"):
        run({"m": victim}, public, train=(train[0] * unit, train[1]))
    if unit < 1:
        with pytest.raises(ValueError, match="numbers so much larger than those of"):
            run({"m": victim}, public * 2.0**1000, any_scale=True,
                train=(train[0] * unit, train[1]))  # fmt: skip


def test_the_folder_and_its_function_share_a_name():
    import subprocess
    import sys

    code = (
        "import kldiv_attack.audit.defences, kldiv_attack\n"
        "try:\n    kldiv_attack.audit(None, 'nowhere', [], 'x')\n"
        "except FileNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "nowhere is no file" in done.stdout
