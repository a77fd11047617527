"""A study is its run folders and what follows from them."""

import csv
import json
import shutil

import numpy as np
import pytest

from kldiv import kl_divergence
from kldiv_attack.__main__ import main
from kldiv_attack._files import RunError
from kldiv_attack._studies import settings
from kldiv_attack._studies import study as module
from kldiv_attack._studies.judges import ranking_rows, rate_rows
from kldiv_attack._studies.measures import OUTCOMES, PREDICTORS
from kldiv_attack._studies.pages import summary_rows, write_study
from kldiv_attack._studies.result import load_study
from kldiv_attack._studies.settings import study_config
from kldiv_attack._studies.study import run_study
from tests.attack.conftest import three_digits

LETTERS = {"name": "glyphs", "split": "letters", "size": 8, "n_per_class": 40}


@pytest.fixture(scope="module")
def config():
    """Two attackers, two auxiliary sets, two seeds; seconds."""
    quick = {"epochs": 2, "batch_size": 64}
    return {
        "train": three_digits("train"),
        "held_out": three_digits("test"),
        "auxiliary": {"digits": three_digits("test"), "letters": LETTERS},
        "attackers": {
            "cgan": {"steps": 6, "width": 8, "candidates": 1, "consistency": None},
            "mi_face": {"steps": 30},
        },
        "seeds": [0, 1],
        "victim": quick,
        "judge": quick,
        "max_rows": 60,
        "n_reconstructions": 12,
        "n_permutations": 60,
    }


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return run_study(config, folder, verbose=0)


@pytest.fixture
def done(finished, tmp_path):
    """A copy of the finished study."""
    return shutil.copytree(finished.folder, tmp_path / "study")


def test_every_combination_is_observed_once(finished):
    keys = [
        (row["seed"], row["auxiliary"], row["attacker"], row["class"])
        for row in finished.rows
    ]
    assert len(set(keys)) == len(keys) == 2 * 2 * 4 * 3
    assert finished.attackers == [
        "cgan",
        "mi_face",
        "control: random",
        "control: confident",
    ]


def test_attacks_are_judged_by_a_panel_that_knows_neither_side(finished):
    keys = [
        (row["seed"], row["auxiliary"], row["attacker"], row["judge"])
        for row in finished.judged
    ]
    # the set "digits" holds all that the judges could learn from
    assert {key[1] for key in keys} == {"letters"}
    assert len(set(keys)) == len(keys) == 2 * 4 * 3
    for row in finished.judged:
        for name in ("accuracy", "recognised", "false: noise"):
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    text = (finished.folder / "study.txt").read_text(encoding="utf-8")
    assert "convolution  perceptron  neighbours" in text
    header, rows = ranking_rows(finished.judged)
    assert [row[0] for row in rows] == finished.attackers
    for place in range(1, len(header)):
        places = sorted(int(row[place].split("(")[1][:-1]) for row in rows)
        assert places[0] == 1
        assert places[-1] <= len(rows)
    assert [row[0] for row in rate_rows(finished.judged)[1]] == list(header[1:])


def test_places_follow_the_means():
    made = {"a": (0.5, 0.2), "b": (0.7, 0.9), "c": (0.7, 0.1)}
    rows = [
        {"attacker": name, "judge": judge, "accuracy": value}
        for name, values in made.items()
        for judge, value in zip("xy", values, strict=True)
    ]
    assert ranking_rows(rows) == (
        ("attacker", "x", "y"),
        [["a", "0.50 (3)", "0.20 (2)"], ["b", "0.70 (1)", "0.90 (1)"],
         ["c", "0.70 (1)", "0.10 (3)"]],
    )  # fmt: skip


def test_observations_are_what_the_runs_hold(finished):
    from kldiv_attack._run import load_run

    run = load_run(finished.folder / "seed_1" / "letters" / "cgan")
    rows = [
        row
        for row in finished.rows
        if (row["seed"], row["auxiliary"], row["attacker"]) == (1, "letters", "cgan")
    ]
    np.testing.assert_array_equal(
        [row["accuracy"] for row in rows], run.success["accuracy"]
    )
    np.testing.assert_array_equal(
        [row["coverage"] for row in rows], run.success["coverage"]
    )
    np.testing.assert_allclose(
        [row["distance"] for row in rows],
        run.success["nearest_distance"] / run.success["private_distance"],
    )
    assert {row["queries"] for row in rows} == {26 * 40}
    assert {row["access"] for row in rows} == {"probabilities"}
    white = [row for row in finished.rows if row["attacker"] == "mi_face"]
    assert {row["queries"] for row in white} == {0}
    assert {row["access"] for row in white} == {"gradients"}


def test_divergences_are_those_of_the_library(finished):
    """Held-out digits are nearer to the private ones than letters are."""
    means = {
        name: [
            np.nanmean(
                [row[name] for row in finished.rows if row["auxiliary"] == auxiliary]
            )
            for auxiliary in ("digits", "letters")
        ]
        for name in PREDICTORS
    }
    for name, (near, far) in means.items():
        assert near < far, name
    for row in finished.rows:
        if row["rows"] < 7:
            assert np.isnan(row["KL"])


@pytest.mark.parametrize("name", sorted(PREDICTORS))
def test_every_predictor_is_zero_for_equal_laws_and_grows(name, rng):
    X, Y = rng.normal(size=(2, 400, 3))
    measure = PREDICTORS[name]
    same, near, far = (measure(X, Y + shift) for shift in (0, 0.7, 1.5))
    assert abs(same) < 0.15
    assert same < near < far


def test_both_directions_of_kl(rng):
    X, Y = rng.normal(size=(200, 2)), 3 * rng.normal(size=(300, 2))
    options = {"n_neighbors": 5, "correction": None}
    assert PREDICTORS["KL"](X, Y) == kl_divergence(X, Y, **options)
    assert PREDICTORS["reverse KL"](X, Y) == kl_divergence(Y, X, **options)
    assert PREDICTORS["KL"](X, Y) != PREDICTORS["reverse KL"](X, Y)


def test_the_folder_holds_tables_and_a_report(done):
    for name in ("observations.csv", "correlations.csv", "study.txt", "report.html"):
        assert (done / name).stat().st_size > 0
    with open(done / "correlations.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * len(OUTCOMES) * 2 * len(PREDICTORS)
    known = [row for row in rows if row["rho"]]
    assert known
    for row in known:
        assert -1 <= float(row["lowest"]) <= float(row["highest"]) <= 1
        assert 0 < float(row["pvalue"]) <= float(row["pvalue_any"]) <= 1
    text = (done / "study.txt").read_text()
    page = (done / "report.html").read_text()
    for shown in (text, page):
        assert "control: confident" in shown
        assert "queries" in shown
        assert "never the" in shown
    assert page.count("data:image/png;base64,") == 2


def test_the_summary_shows_the_mean_and_the_range_of_the_seeds(finished):
    header, rows = summary_rows(finished)
    row = next(row for row in rows if row[:2] == ["digits", "cgan"])
    means = [
        np.nanmean(
            [
                r["distance"]
                for r in finished.rows
                if (r["auxiliary"], r["attacker"], r["seed"])
                == ("digits", "cgan", seed)
            ]
        )
        for seed in (0, 1)
    ]
    expected = f"{np.mean(means):.2f} ({min(means):.2f} to {max(means):.2f})"
    assert row[header.index("distance")] == expected


def test_tables_are_rebuilt_from_the_observations_alone(done):
    before = {
        name: (done / name).read_bytes()
        for name in ("observations.csv", "correlations.csv", "study.txt", "report.md")
    }
    for name in before:
        (done / name).unlink()
    shutil.rmtree(done / "seed_0")
    write_study(load_study(done))
    for name, content in before.items():
        assert (done / name).read_bytes() == content, name


def test_a_finished_study_is_read_and_one_more_seed_is_added(
    done, config, monkeypatch, finished
):
    trained = []
    original = module.run_experiment

    def watch(settings, folder, **options):
        if not (folder / "results.json").exists():
            trained.append((settings["seed"], folder.name))
        return original(settings, folder, **options)

    monkeypatch.setattr(module, "run_experiment", watch)
    again = run_study(config, done, verbose=0)
    assert trained == []
    assert json.dumps(again.rows) == json.dumps(finished.rows)
    shutil.rmtree(done / "seed_1" / "letters" / "mi_face")
    (done / "seed_1" / "letters" / "divergences.json").unlink()
    again = run_study(config, done, verbose=0)
    assert trained == [(1, "mi_face")]
    assert json.dumps(again.rows) == json.dumps(finished.rows)


def test_other_settings_in_the_same_folder_are_refused(done, config):
    with pytest.raises(RunError, match=r"divergences\.json|indicator"):
        run_study({**config, "features": "pca4"}, done, verbose=0)
    stored = json.loads((done / "study.json").read_text())
    (done / "study.json").write_text(json.dumps({**stored, "format_version": 99}))
    with pytest.raises(RunError, match="format 99"):
        load_study(done)
    with pytest.raises(RunError, match="no finished run"):
        load_study(done / "seed_0")


def test_unknown_settings_are_named(config, tmp_path):
    with pytest.raises(ValueError, match=r"no setting steps; it accepts train"):
        run_study({**config, "steps": 3}, tmp_path)
    for name in ("auxiliary", "attackers", "seeds"):
        with pytest.raises(ValueError, match=f"{name}: expected at least one"):
            run_study({**config, name: {}}, tmp_path)


def test_parameters_go_to_the_attackers_that_have_them():
    found = study_config(
        ["cgan", "mi_face"],
        parameters={"steps": 7, "loss": "hinge", "mi_face.patience": 9},
    )["attackers"]
    assert found == {
        "cgan": {"steps": 7, "loss": "hinge"},
        "mi_face": {"steps": 7, "patience": 9},
    }
    with pytest.raises(ValueError, match="none of cgan has a parameter patience"):
        study_config(["cgan"], parameters={"patience": 3})
    with pytest.raises(ValueError, match="label_only takes no part"):
        study_config(["cgan"], parameters={"label_only.steps": 3})
    with pytest.raises(ValueError, match="expected one of"):
        study_config(["gans"])


def test_emnist_is_an_option():
    config = study_config(["cgan"], data="somewhere", seeds=[3, 4])
    assert list(config["auxiliary"]) == ["mnist", "balanced", "letters"]
    assert config["train"]["root"] == "somewhere"
    assert config["seeds"] == [3, 4]


def test_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(settings, "AUXILIARY", {"glyph letters": LETTERS})
    out = tmp_path / "out"
    command = ["study", "--demo", "--attackers", "mi_face", "--quiet"]
    small = ["--set", "steps=5", "--out", str(out)]
    assert main([*command, *small]) == 0
    first = capsys.readouterr().out
    assert "Correlation with coverage, all" in first
    assert str(out / "report.html") in first
    assert main(["study", "--from", str(out)]) == 0
    assert capsys.readouterr().out == first
    assert main(["study", "--attackers", "gans", "--out", str(out)]) == 2
    assert "expected one of" in capsys.readouterr().err
