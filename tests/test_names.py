"""Names of columns, in every result, whatever library the frames come from."""

import numpy as np
import pytest

from kldiv import (
    ConditionalKLScorer,
    DivergenceResult,
    KNNDivergence,
    KSDistance,
    KSResult,
    estimate_divergence,
    ks_test,
)

NAMES = ("width", "height", "depth")


def frame_of(library, values):
    columns = dict(zip(NAMES, np.asarray(values).T, strict=True))
    if library == "lazy":
        return pytest.importorskip("polars").LazyFrame(columns)
    if library == "pyarrow":
        return pytest.importorskip("pyarrow").table(columns)
    return pytest.importorskip(library).DataFrame(columns)


@pytest.fixture(params=["pandas", "polars", "lazy", "pyarrow"])
def frames(request, rng):
    X, Y = rng.normal(size=(120, 3)), rng.normal([0, 1, 2], 1, (150, 3))
    return frame_of(request.param, X), frame_of(request.param, Y), X, Y


def test_divergences(frames):
    X, Y, x, y = frames
    expected = estimate_divergence(x, y)
    assert expected.feature_names is None
    for result in (estimate_divergence(X, Y), KNNDivergence().fit(Y).estimate(X)):
        assert result.value == expected.value
        assert result.feature_names == NAMES
        assert DivergenceResult.from_json(result.to_json()).feature_names == NAMES


def test_columns_that_differ(frames):
    X, Y, x, y = frames
    assert ks_test(x, y).differing_columns() == [2, 1]
    for result in (ks_test(X, Y), KSDistance().fit(Y).test(X)):
        assert result.feature_names == NAMES
        assert result.differing_columns() == ["depth", "height"]
        assert KSResult.from_json(result.to_json()).feature_names == NAMES
        assert result.to_csv().splitlines()[2].startswith("height,")


def test_scorer(frames, rng):
    X, Y, *_ = frames
    scorer = ConditionalKLScorer()
    scorer.fit((X, rng.integers(0, 2, 120)), (Y, rng.integers(0, 2, 150)))
    assert scorer.feature_names_in_.tolist() == list(NAMES)
    assert scorer.report().settings["features"] == list(NAMES)


def test_level_of_differing_columns(rng):
    result = ks_test(rng.normal(size=(50, 2)), rng.normal(0.1, 1, (50, 2)))
    assert result.differing_columns() == []
    assert len(result.differing_columns(0.999)) == (result.pvalue_holm <= 0.999).sum()
    with pytest.raises(ValueError, match="between 0 and 1"):
        result.differing_columns(5)


def test_vectors_have_a_column(rng):
    result = ks_test(rng.normal(size=50), rng.normal(2, 1, 50))
    assert result.differing_columns() == [0]


def test_rows_as_a_whole_name_no_column(rng):
    X = rng.normal(size=(20, 2))
    with pytest.raises(ValueError, match="use method='columns'"):
        ks_test(X, X + 1, method="sliced").differing_columns()
