"""PerClassReport: text, HTML, JSON, frame and plot."""

import json

import numpy as np
import pytest

from kldiv import ConditionalKLScorer, PerClassReport
from tests.tolerances import ONE_ROUNDING


@pytest.fixture
def samples(rng):
    """Three classes in the plane: the auxiliary data miss class 2 most."""
    y = np.repeat([0, 1, 2], 60)
    centres = np.array([[0, 0], [4, 0], [0, 4.0]])
    train = rng.normal(size=(180, 2)) + centres[y], y
    moved = centres + np.array([[0.0, 0], [0.5, 0], [0, 2]])
    return train, (rng.normal(size=(180, 2)) + moved[y], y)


def error_bars(ax):
    """Lower and upper end of each error bar that was drawn."""
    (bars,) = [c for c in ax.containers if hasattr(c, "has_yerr") and c.has_yerr]
    (lines,) = bars.lines[2]
    return np.array([segment[:, 1] for segment in lines.get_segments()])


@pytest.mark.parametrize("scored", [(0, 1, 2), (0, 2)])
def test_intervals_are_drawn(samples, scored):
    pytest.importorskip("matplotlib").use("Agg")
    train, (A, a) = samples
    keep = np.isin(a, scored)
    scorer = ConditionalKLScorer(confidence_level=0.9).fit(train, (A[keep], a[keep]))
    report = scorer.report()
    ends = [scorer.results_[c].confidence_interval for c in scored]
    np.testing.assert_allclose(error_bars(report.plot()), ends)
    difference = report.compare(scorer.fit(train, (A[keep] + 1, a[keep])).report())
    low_high = np.stack([difference["difference_low"], difference["difference_high"]])
    np.testing.assert_allclose(
        error_bars(difference.plot()), low_high.T[np.isfinite(low_high[0])]
    )


def test_report(samples):
    report = ConditionalKLScorer().fit(*samples).report()
    frame = report.to_frame()
    assert frame.index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(frame["kl"], report["kl"])
    markdown = report.to_markdown()
    assert markdown.startswith("| class |")
    assert f"{report['kl'][1]:.3f}" in markdown
    parsed = json.loads(report.to_json())
    assert parsed["columns"]["n_aux"] == [60, 60, 60]
    assert "<caption>Kullback-Leibler" in report._repr_html_()
    assert report.title in str(report)


def test_report_with_gaps_stays_valid_json_and_plots(samples):
    pytest.importorskip("matplotlib").use("Agg")
    (X, y), (A, a) = samples
    report = ConditionalKLScorer().fit((X, y), (A[a != 1], a[a != 1])).report()
    assert json.loads(report.to_json())["columns"]["kl"][1] is None
    assert "no auxiliary row" in report.to_frame()["reason"][1]
    ax = report.plot()
    assert [text.get_text() for text in ax.texts] == ["no score"]
    assert len(ax.patches) == 2
    with pytest.raises(ValueError, match="column must be one of"):
        report.plot("nothing")


@pytest.fixture
def report():
    """A table with a gap, a count, an infinity, words, a reason and a note."""
    return PerClassReport(
        classes=np.array([3, 5, 8]),
        columns={
            "kl": np.array([1.23456, np.nan, np.inf]),
            "n_aux": np.array([60.0, np.nan, 1200.0]),
            "trust": np.array(["high", "", "low|poor"]),
            "paired": np.array([True, False, True]),
            "standard_error": np.array([0.321, np.nan, np.inf]),
        },
        reasons={5: "no auxiliary row"},
        settings={"transformer": "none", "level": 0.95},
        title="A < B",
        notes={8: "infinite"},
    )


def test_json_and_back(report, tmp_path):
    text = report.to_json(tmp_path / "report.json")
    parsed = json.loads(text, parse_constant=pytest.fail)
    for source in (text, tmp_path / "report.json", parsed):
        again = PerClassReport.from_json(source)
        assert list(again.columns) == list(report.columns)
        for name, column in report.columns.items():
            np.testing.assert_array_equal(again[name], column, err_msg=name)
        np.testing.assert_array_equal(again.classes, report.classes)
        assert again.reasons == report.reasons
        assert again.notes == report.notes
        assert again.settings == report.settings
        assert again.title == report.title
        assert str(again) == str(report)
        assert again.to_json() == text
    with pytest.raises(ValueError, match="the JSON lacks .*'columns'"):
        PerClassReport.from_json('{"classes": [1]}')


def test_length_and_rows(report):
    assert len(report) == 3
    labels, rows = zip(*report, strict=True)
    assert labels == (3, 5, 8)
    assert rows[0]["kl"] == 1.23456
    assert rows[2]["trust"] == "low|poor"
    assert repr(report).startswith("PerClassReport('A < B', 3 classes: kl, n_aux")


def test_digits_and_counts(report):
    header, rows = report.cells()
    assert header == ["class", *report.columns]
    assert rows[0] == ["3", "1.23", "60", "high", "True", "0.32"]
    assert rows[2][1:3] == ["inf", "1200"]
    assert "low\\|poor" in report.to_markdown()


def test_html(report, tmp_path):
    page = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page
    assert report._repr_html_() in page
    assert "A &lt; B" in page
    assert "A < B" not in page


def test_csv_and_frame(report, tmp_path):
    pandas = pytest.importorskip("pandas")
    report.to_csv(tmp_path / "report.csv")
    read = pandas.read_csv(tmp_path / "report.csv", index_col="class")
    frame = report.to_frame()
    assert list(read.columns) == list(frame.columns)
    np.testing.assert_allclose(read["kl"], frame["kl"], rtol=ONE_ROUNDING)
    assert "60,high" in report.to_csv()
    assert frame["n_aux"].dtype == "Int64"
    assert frame["reason"].tolist() == ["", "no auxiliary row", ""]
    assert frame["note"].tolist() == ["", "", "infinite"]


def test_plot_sorted(report):
    pytest.importorskip("matplotlib").use("Agg")
    columns = {"kl": np.array([2.0, np.nan, 1.0]), "kl_low": np.array([1.5, np.nan, 0])}
    columns["kl_high"] = np.array([2.25, np.nan, 4.0])
    some = PerClassReport(classes=report.classes, columns=columns)
    ax = some.plot(sort=True)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["8", "3", "5"]
    assert [bar.get_height() for bar in ax.patches] == [1, 2]
    np.testing.assert_allclose(error_bars(ax), [[0, 4], [1.5, 2.25]])
    infinite = report.plot()
    assert [text.get_text() for text in infinite.texts] == ["no score", "infinite"]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("no such file.json", ValueError, "neither JSON text nor a file that holds it"),
        ("a\0b", ValueError, "neither JSON text nor a file that holds it"),
        ("{broken", ValueError, "the text is no JSON"),
        (None, TypeError, "from_json takes JSON text, a file that holds it, or"),
        (
            [1, 2],
            TypeError,
            "from_json takes JSON text, a file that holds it, or a map",
        ),
    ],
)
def test_what_is_no_stored_report(source, error, message, tmp_path):
    with pytest.raises(error, match=message):
        PerClassReport.from_json(source)
    (tmp_path / "report.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match="neither JSON text nor a file that holds it"):
        PerClassReport.from_json(tmp_path / "report.json")


def test_what_cannot_be_compared(samples):
    report = ConditionalKLScorer(confidence_level=0.9).fit(*samples).report()
    with pytest.raises(TypeError, match="two classes, or another report .* 3 alone"):
        report.compare(3)
    with pytest.raises(TypeError, match="compare_means takes another report; got int"):
        report.compare_means(3)
    with pytest.raises(TypeError, match="level must be between 0 and 1"):
        report.compare(report, level=None)
    with pytest.raises(TypeError, match="confidence_level must be between 0 and 1"):
        report.compare(report, level="0.9")
