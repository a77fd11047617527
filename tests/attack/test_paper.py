"""Table 3 and Figure 2: rebuilt from folders, and true on EMNIST."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer

from kldiv import ConditionalKLScorer, KNNDivergence
from kldiv_attack._classifier_training import train_judge, train_victim
from kldiv_attack._files import RunError
from kldiv_attack._indicator import INDICATOR, score_indicators
from kldiv_attack._run import load_run
from kldiv_attack._studies import paper
from kldiv_attack._studies.paper import write_paper
from kldiv_attack.datasets import load_dataset
from kldiv_attack.experiment import run_experiment
from kldiv_attack.paper import (
    PUBLISHED_TABLE_3,
    correlations,
    figure_2,
    success_table,
    table_3,
)

SPLITS = {
    "mnist": {"name": "digits", "part": "test"},
    "letters": {"name": "glyphs", "split": "letters", "size": 8, "n_per_class": 40},
    "balanced": {"name": "glyphs", "split": "balanced", "size": 8, "n_per_class": 30},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run folders as `run_paper` leaves them, on small images."""
    return tmp_path_factory.mktemp("paper")


@pytest.fixture
def runs(folder, quick, quick_models):
    entries = [{"features": "pca6", "n_neighbors": 5}, {"features": "pca3"}]
    for name, aux in SPLITS.items():
        run_experiment(
            {**quick, "aux": aux, "indicator": entries},
            folder / name,
            models=quick_models,
            verbose=0,
        )
    return folder


def test_table_3_holds_our_numbers_beside_the_published_ones(runs):
    table = table_3(runs)
    for name, published in PUBLISHED_TABLE_3.items():
        run = load_run(runs / name)
        np.testing.assert_array_equal(table[name], run.indicator["kl"])
        np.testing.assert_array_equal(table[f"{name} soft"], run.indicator["soft"])
        np.testing.assert_array_equal(table[f"{name} (paper)"], published)
        assert not np.array_equal(table[name], table[f"{name} soft"])
    assert list(table.columns)[:3] == ["mnist", "mnist soft", "mnist (paper)"]
    assert len(table.classes) == 10
    assert table.settings["features"] == "pca6"
    other = table_3(runs, "PCA 3, k=1")
    assert not np.array_equal(other["letters"], table["letters"], equal_nan=True)
    with pytest.raises(ValueError, match=r"expected one of \['PCA 6, k=5'"):
        table_3(runs, "PCA 4, k=1")


def test_table_3_of_runs_without_soft_scores(runs):
    """Runs against a victim that answers with labels hold hard scores only."""
    stored = json.loads((runs / "letters" / "results.json").read_text())
    for report in stored["indicators"].values():
        del report["columns"]["soft"]
    (runs / "letters" / "results.json").write_text(json.dumps(stored))
    assert "letters soft" not in table_3(runs).columns
    assert "mnist soft" in table_3(runs).columns
    (runs / "letters" / "results.json").unlink()  # the next use runs it again


def test_soft_scores_are_those_of_the_scorer(tmp_path):
    train = load_dataset("digits", part="train")
    aux = load_dataset("digits", part="test")
    victim = train_victim(train, epochs=2, random_state=0, verbose=0)
    answers, responses = (
        victim.query(data.images).astype(float) for data in (train, aux)
    )
    entry = {**INDICATOR, "features": "pca4", "n_neighbors": 5}
    for max_rows in (None, 30):
        report = next(
            iter(
                score_indicators(
                    [{**entry, "max_rows": max_rows}],
                    train,
                    aux,
                    responses,
                    None,
                    tmp_path / f"{max_rows}.json",
                    random_state=0,
                    verbose=0,
                    train_responses=answers,
                ).values()
            )
        )
        assert list(report.columns)[:2] == ["kl", "soft"]
        if max_rows is None:
            rows, others = (d.images.reshape(len(d), -1) for d in (train, aux))
            pca = PCA(50, random_state=0).fit(rows.astype(float))
            scorer = ConditionalKLScorer(
                KNNDivergence(n_neighbors=5, correction=None),
                FunctionTransformer(lambda X, pca=pca: pca.transform(X)[:, :4]),
                conditioning="soft",
            )
            scorer.fit(
                (rows.astype(float), train.labels, answers),
                (others.astype(float), responses),
            )
            np.testing.assert_allclose(
                report["soft"], scorer.score_per_class(), atol=1e-6
            )
        assert np.isfinite(report["soft"]).all()


def test_figure_2_has_a_panel_per_auxiliary_set(runs):
    figure = figure_2(runs, n_columns=5)
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["private images", *(f"attack with {n}" for n in SPLITS)]
    for panel in figure.axes:
        picture = panel.get_images()[0].get_array()
        # Ten rows of five images of 8 pixels, two pixels around each.
        assert picture.shape[:2] == (102, 52)
        assert picture.min() < 0.1
        assert picture.max() > 0.9


def test_the_success_table_means_over_classes_with_both_controls(runs):
    table = success_table(runs)
    assert table.classes.tolist() == list(SPLITS)
    letters = load_run(runs / "letters")
    expected = np.nanmean(letters.success["accuracy"])
    np.testing.assert_allclose(table["success"][1], expected, rtol=1e-12)
    expected = np.nanmean(letters.controls["random"]["coverage"])
    np.testing.assert_allclose(table["random coverage"][1], expected, rtol=1e-12)
    assert table["queries"].tolist() == [
        load_run(runs / n).facts["n_queries"] for n in SPLITS
    ]


def test_correlations_are_over_all_pairs(runs):
    found = correlations(runs)
    assert list(found) == ["PCA 6, k=5", "PCA 3, k=1"]
    kl, coverage = [], []
    for name in SPLITS:
        run = load_run(runs / name)
        kl += run.indicator["kl"].tolist()
        coverage += run.success["coverage"].tolist()
    known = np.isfinite(kl) & np.isfinite(coverage)
    expected = spearmanr(np.array(kl)[known], np.array(coverage)[known]).statistic
    value, low, high = found["PCA 6, k=5"][0]
    assert value == pytest.approx(expected)
    # The sign: more divergence, less coverage.
    assert value < 0
    assert low <= value <= high


def test_the_report_is_rebuilt_from_folders_alone(runs, monkeypatch):
    write_paper(runs)
    first = (runs / "report.md").read_text()
    page = (runs / "report.html").read_text()

    def refuse(*_, **__):
        raise AssertionError("a rebuild must not load data or train")

    monkeypatch.setattr(paper, "run_experiment", refuse)
    (runs / "report.md").unlink()
    write_paper(runs)

    assert (runs / "report.md").read_text() == first
    assert "| class | mnist | mnist soft | mnist (paper) | letters |" in first
    assert "Spearman correlation of hard and soft conditioning" in first
    assert "9.59" in first, "published numbers"
    assert "pixels" in first, "the choice of features is explained"
    assert "PCA 3, k=1" in first, "alternatives are printed"
    assert page.count("<img") == page.count('alt="') >= 5
    assert (runs / "figure_2.png").read_bytes().startswith(b"\x89PNG")
    stored = json.loads((runs / "table_3.json").read_text())
    assert len(stored["columns"]) == 9


def test_no_soft_scores_where_the_training_rows_lack_a_class(tmp_path):
    """Probabilities of ten classes say nothing about scores of nine."""
    train = load_dataset("digits", part="train")
    aux = load_dataset("digits", part="test")
    responses = np.eye(10)[aux.labels % 9] * 0.9 + 0.01  # never class 9
    for labels in (range(10), range(9)):
        kept = train.subset(np.flatnonzero(np.isin(train.labels, labels)))
        report = next(
            iter(
                score_indicators(
                    [{**INDICATOR, "features": "pca4", "n_neighbors": 5}],
                    kept,
                    aux,
                    responses,
                    None,
                    tmp_path / f"{len(labels)}.json",
                    random_state=0,
                    verbose=0,
                    train_responses=np.eye(10)[kept.labels] * 0.9 + 0.01,
                ).values()
            )
        )
        np.testing.assert_array_equal(np.isfinite(report["kl"]), np.arange(10) < 9)
        finite = np.isfinite(report["soft"])
        np.testing.assert_array_equal(finite, np.full(10, len(labels) == 10))


def test_a_missing_or_unfinished_run_is_named(tmp_path):
    (tmp_path / "mnist").mkdir()
    for build in (table_3, figure_2, success_table, write_paper):
        with pytest.raises(RunError, match=r"mnist holds no finished run.*--data"):
            build(tmp_path)


@pytest.fixture(scope="module")
def emnist_tables(emnist_root, tmp_path_factory):
    """KL per class for each auxiliary split, with a victim of two epochs."""
    train = load_dataset("emnist", emnist_root, "mnist", part="train")
    victim = train_victim(train, epochs=2, random_state=0, verbose=0)
    judge = train_judge(train.subset(slice(2000)), epochs=1, random_state=0, verbose=0)
    folder = tmp_path_factory.mktemp("indicator")
    tables = {}
    for name in PUBLISHED_TABLE_3:
        aux = load_dataset("emnist", emnist_root, name, part="test")
        reports = score_indicators(
            [{**INDICATOR, **paper.INDICATORS[0]}],
            train,
            aux,
            victim.query(aux.images).astype(float),
            judge,
            folder / f"{name}.json",
            random_state=0,
            verbose=0,
        )
        tables[name] = next(iter(reports.values()))
    return tables


@pytest.mark.emnist
def test_emnist_divergences_are_ordered_as_in_the_paper(emnist_tables):
    kl = {name: table["kl"] for name, table in emnist_tables.items()}
    assert (kl["mnist"] < kl["balanced"]).all()
    assert (kl["mnist"] < kl["letters"]).all()
    means = [kl[name].mean() for name in ("mnist", "balanced", "letters")]
    assert means == sorted(means)
    assert kl["mnist"].min() >= 0
    assert kl["mnist"].max() <= 0.6


@pytest.mark.emnist
def test_emnist_features_are_the_finest_that_tell_equal_laws(emnist_tables):
    floor = emnist_tables["mnist"]["floor"]
    assert floor.max() < 0.3
    assert np.abs(emnist_tables["mnist"]["kl"] - floor).max() < 0.3
