"""Success against queries: what is asked, kept, refused and concluded."""

import csv
import shutil

import numpy as np
import pytest

from kldiv_attack.__main__ import main
from kldiv_attack._files import RunError
from kldiv_attack._studies import curves as module
from kldiv_attack._studies.curve_pages import curves_text, enough, finding, limit_rows
from kldiv_attack._studies.curve_result import Curves, over_seeds
from kldiv_attack._studies.curves import (
    BLACK_BOXES,
    CoarseVictim,
    budgets,
    run_curves,
)
from kldiv_attack.attackers import ATTACKERS
from kldiv_attack.victim import QueryBudgetExceeded

LETTERS = {"name": "glyphs", "split": "letters", "size": 8, "n_per_class": 12}
QUICK = {"epochs": 3, "batch_size": 64}


@pytest.fixture(scope="module")
def config():
    """Two attackers, two granularities, two seeds; seconds."""
    return {
        "train": {"name": "digits", "part": "train"},
        "aux": LETTERS,
        "attackers": {
            "retrieval": {"steps": 1, "variants": 5},
            "brep_mi": {
                "steps": 3,
                "width": 8,
                "searches": 2,
                "points": 4,
                "iterations": 2,
            },
        },
        "granularities": ["labels", "full"],
        "seeds": [0, 1],
        "victim": QUICK,
        "judge": QUICK,
        "points_per_decade": 2,
        "n_reconstructions": 12,
    }


@pytest.fixture(scope="module")
def finished(config, tmp_path_factory):
    return run_curves(config, tmp_path_factory.mktemp("curves"), verbose=0)


@pytest.fixture
def done(finished, tmp_path):
    return shutil.copytree(finished.folder, tmp_path / "curves")


def test_budgets_are_even_on_a_log_scale():
    assert budgets(10_000, 3) == [100, 215, 464, 1000, 2154, 4642]
    assert budgets(101, 1) == [100]
    assert budgets(100, 5) == []


def test_every_line_ends_where_nothing_is_limited(finished):
    lines = {(r["seed"], r["attacker"], r["granularity"]) for r in finished.rows}
    told = [("brep_mi", "labels"), ("retrieval", "full"), ("retrieval", "labels")]
    assert lines == {(seed, *line) for seed in (0, 1) for line in told}
    for line in lines:
        rows = [
            r
            for r in finished.rows
            if (r["seed"], r["attacker"], r["granularity"]) == line
        ]
        assert [r["budget"] for r in rows[:-1]] == budgets(rows[-1]["queries"], 2)
        assert all(r["queries"] <= r["budget"] for r in rows[:-1])
        assert rows[-1]["budget"] is None
        assert rows[-1]["queries"] >= 312  # the public images


def test_an_interrupted_call_goes_on(config, finished, done, monkeypatch):
    gone = sorted(done.glob("seed_1/retrieval_full_*.json"))[:2]
    for path in gone:
        path.unlink()
    asked = []
    measure = module._measure
    monkeypatch.setattr(
        module, "_measure", lambda s, point, *a: asked.append(point) or measure(
            s, point, *a
        )
    )  # fmt: skip
    again = run_curves(config, done, verbose=0)
    assert sorted(point.path(done) for point in asked) == gone
    assert again.rows == finished.rows


def test_what_is_written(finished):
    with open(finished.folder / "curves.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(finished.rows)
    text = (finished.folder / "curves.txt").read_text(encoding="utf-8")
    assert text == curves_text(finished)
    assert "2 seeds" in text
    assert (finished.folder / "figures" / "curves.png").stat().st_size > 10_000
    assert "Queries that suffice" in (finished.folder / "report.md").read_text()


def test_other_settings_and_other_files_are_refused(config, done, tmp_path):
    with pytest.raises(RunError, match="other settings"):
        run_curves(config | {"n_reconstructions": 13}, done, verbose=0)
    point = next(done.glob("seed_0/retrieval*.json"))
    point.write_text("{}")
    with pytest.raises(RunError, match="no point of a curve"):
        run_curves(config, done, verbose=0)
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "thesis.tex").write_text("do not lose this")
    with pytest.raises(RunError, match=r"thesis\.tex but no curves"):
        run_curves(config, strange, verbose=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attackers": {"gmi": {}}}, "'gmi' follows gradients.*expected some of brep"),
        ({"attackers": {"retrieval": {"steps": 0}}}, "steps=0"),
        ({"granularities": ["none"]}, r"granularities=\['none'\]: expected some of la"),
        ({"granularities": []}, "expected some of"),
        ({"seeds": []}, "seeds: expected at least one"),
        ({"seeds": [-1]}, "seed=-1"),
        ({"points_per_decade": 0}, "points_per_decade=0"),
        ({"n_reconstructions": 1.5}, r"n_reconstructions=1\.5"),
        ({"judges": {}}, "curves has no setting judges"),
        ({"aux": {"name": "glyphs", "size": 12}}, "shape"),
    ],
)
def test_what_means_nothing_is_refused_first(config, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run_curves(config | changes, tmp_path / "new", verbose=0)
    assert not (tmp_path / "new").exists()


def test_attackers_that_query_are_the_black_boxes():
    assert set(BLACK_BOXES) == {k for k, v in ATTACKERS.items() if v.access[0] != "g"}


def test_a_coarse_victim_tells_less_and_counts(victim, public):
    exact = victim.query(public.images[:50])
    told = {
        name: CoarseVictim(victim, name, 50).query(public.images[:50])
        for name in module.GRANULARITIES
    }
    np.testing.assert_array_equal(told["full"], exact)
    np.testing.assert_array_equal(told["labels"], np.eye(10)[exact.argmax(1)])
    assert (told["top-k"] > 0).sum(axis=1).max() <= 3
    assert np.abs(told["rounded"] - exact).max() < 0.2
    coarse = CoarseVictim(victim, "rounded", 60)
    coarse.query(public.images[:50])
    with pytest.raises(QueryBudgetExceeded):
        coarse.query(public.images[:11])
    assert coarse.n_queries == 50


def made_up(coverage, queries=(100, 1000, 5000)):
    rows = [
        {
            "seed": seed,
            "attacker": "retrieval",
            "granularity": "full",
            "budget": None if q == queries[-1] else q,
            "queries": q,
            "accuracy": 1.0,
            "coverage": value,
            "missing": 0,
        }
        for seed, values in enumerate(coverage)
        for q, value in zip(queries, values, strict=True)
    ]
    config = {"seeds": list(range(len(coverage))), "points_per_decade": 1}
    return Curves(None, config, rows)


def test_how_many_queries_suffice():
    assert enough(np.array([0.5, 0.2, 0.6, 1.0]), 0.5) == 2
    assert enough(np.array([0.9, 1.0]), 0.5) == 0
    two = made_up([[0.1, 0.5, 0.6], [0.4, 0.7, 0.8]])
    assert over_seeds(two, "retrieval", "full", "coverage")[0] == [100, 1000, 5000]
    (row,) = limit_rows(two)[1]
    assert row == ["retrieval", "full", "0.70", "100 to 1,000", "5,000"]
    assert "100 to 1,000 queries are needed (2 seeds)" in finding(two)
    none = made_up([[0.0, 0.0, 0.0]])
    assert limit_rows(none)[1][0][-2:] == ["-", "-"]
    assert "one seed, so nothing is known" in finding(made_up([[0.4, 0.5, 0.5]]))


def test_the_command(tmp_path, capsys):
    words = [
        "curves", "--attackers", "retrieval", "--granularities", "full", "--points",
        "1", "--images", "5", "--set", "steps=1", "--set", "variants=2", "--quiet",
        "--aux", "digits::test", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert main(words) == 0
    assert "Queries for shares" in capsys.readouterr().out
    assert main(words) == 0  # from the folder
    assert main(["curves", "--attackers", "mi_face", *words[-2:]]) == 2
    assert "follows gradients" in capsys.readouterr().err
