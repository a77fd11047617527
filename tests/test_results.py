"""DivergenceResult and KSResult: numbers, text, HTML, CSV, JSON and back, frames."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from kldiv import DivergenceResult, KSResult, estimate_divergence, ks_test
from kldiv._ks._methods import METHODS
from kldiv._results._export import decimals_of, number_text
from tests.tolerances import ONE_ROUNDING


@pytest.fixture
def samples(rng):
    return rng.normal(size=(60, 2)), rng.normal(1, 1, size=(70, 2))


def results(samples):
    yield estimate_divergence(*samples, n_permutations=20, random_state=0)
    yield estimate_divergence(*samples, confidence_level=None, correction=None)
    yield ks_test(samples[0][:, 0], samples[1][:, 0])
    for method in METHODS:
        for n_permutations in (0, 20):
            yield ks_test(
                *samples, method=method, n_permutations=n_permutations, random_state=0
            )


def test_json_and_back(samples, tmp_path):
    for result in results(samples):
        text = result.to_json(tmp_path / "result.json")
        for source in (text, tmp_path / "result.json", json.loads(text)):
            again = type(result).from_json(source)
            for field in fields(result):
                if field.name != "effects":
                    new, old = getattr(again, field.name), getattr(result, field.name)
                    np.testing.assert_equal(new, old, err_msg=field.name)
                    assert isinstance(new, np.ndarray) == isinstance(old, np.ndarray)
        assert again.to_json() == text


def test_json_keeps_what_is_infinite_or_unknown(samples):
    result = replace(
        estimate_divergence(*samples), value=np.inf, coverage=np.nan, notes=("a", "b")
    )
    stored = json.loads(result.to_json(), parse_constant=pytest.fail)
    assert stored["value"] == "Infinity"
    assert stored["coverage"] is None
    again = DivergenceResult.from_json(stored)
    assert again.value == np.inf
    assert np.isnan(again.coverage)
    assert again.notes == ("a", "b")


@pytest.mark.parametrize("kind", [DivergenceResult, KSResult])
def test_json_of_something_else(kind):
    with pytest.raises(ValueError, match="the JSON lacks .*'n'"):
        kind.from_json('{"value": 3, "statistic": 3}')


def test_float_is_the_number(samples):
    result = estimate_divergence(*samples)
    assert float(result) == result.value
    test = ks_test(*samples)
    assert float(test) == test.global_statistic == max(test.statistic)


def test_short_text(samples):
    result = replace(
        estimate_divergence(*samples),
        value=1.23456,
        standard_error=0.0321,
        confidence_interval=(1.1712, 1.2979),
        notes=("rough",),
    )
    assert repr(result) == (
        "DivergenceResult(kl=1.235, standard_error=0.032, "
        "confidence_interval=(1.171, 1.298), n=60, m=70, trust='good', notes=1)"
    )
    for each in results(samples):
        assert "\n" not in repr(each)
        assert len(repr(each)) < 160


def test_html(samples, tmp_path):
    result = replace(estimate_divergence(*samples), notes=("a < b",))
    page = result.to_html(tmp_path / "result.html")
    assert (tmp_path / "result.html").read_text(encoding="utf-8") == page
    assert result._repr_html_() in page
    assert "a &lt; b" in page
    assert "<td>60</td>" in page
    wide = ks_test(np.zeros((5, 300)), np.ones((5, 300)))
    assert "... (300)" in wide._repr_html_()
    assert len(wide._repr_html_()) < 4000


def test_csv_and_frame(samples, tmp_path):
    pandas = pytest.importorskip("pandas")
    for result in results(samples):
        frame = result.to_frame()
        result.to_csv(tmp_path / "result.csv")
        read = pandas.read_csv(tmp_path / "result.csv", dtype=str)
        assert list(read.columns) == list(frame.columns)
        for name in ("value", "statistic", "pvalue_holm"):
            if name in frame:
                # Python reads a number as it was written; old pandas rounds it
                numbers = [float(text) for text in read[name]]
                np.testing.assert_allclose(numbers, frame[name], rtol=ONE_ROUNDING)
    frame = ks_test(*samples).to_frame()
    assert frame["column"].tolist() == [0, 1]
    assert frame["n"].tolist() == [60, 60]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.23456, 0.0321, "1.235"),
        (1.23456, 0.321, "1.23"),
        (123.456, 32.1, "123"),
        (0.00123456, 0.0000321, "0.001235"),
        (0.5, None, "0.500"),
        (12345.6, None, "12346"),
        (0.001234, None, "0.00123"),
        (1e-12, None, "1e-12"),
        (0.0, None, "0.000"),
        (np.nan, None, "nan"),
        (-np.inf, 1.0, "-inf"),
    ],
)
def test_digits(value, error, text):
    decimals = decimals_of([value], None if error is None else [error])
    assert number_text(value, decimals) == text
