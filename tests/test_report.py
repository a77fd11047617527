"""PerClassReport: text, HTML, JSON, frame and plot."""

import json

import numpy as np
import pytest

from kldiv import ConditionalKLScorer


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
