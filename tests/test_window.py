"""Streams: a reference that grows, and a window that moves along."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from kldiv import KNNDivergence, KSDistance

pytestmark = pytest.mark.filterwarnings("ignore::kldiv.DivergenceWarning")
ESTIMATORS = [
    KNNDivergence(correction=None),
    KSDistance(),
    KSDistance("sliced", random_state=0),
]


@pytest.fixture(params=ESTIMATORS, ids=repr)
def estimator(request):
    return request.param


@pytest.fixture
def reference(rng):
    return rng.normal(size=(80, 2))


def test_a_reference_in_parts_is_the_whole(estimator, reference, rng):
    X = rng.normal(0.5, 1, (60, 2))
    parts = type(estimator)(**estimator.get_params())
    for rows in np.split(reference, [10, 11, 50]):
        assert parts.partial_fit(rows) is parts
    np.testing.assert_array_equal(parts.reference_, reference)
    whole = type(estimator)(**estimator.get_params()).fit(reference)
    assert parts.score(X) == whole.score(X)
    with pytest.raises(ValueError, match="3 features"):
        parts.partial_fit(np.ones((4, 3)))


def test_weights_of_parts(reference, rng):
    X, weights = rng.normal(0.5, 1, (60, 2)), rng.uniform(0.5, 2, 80)
    whole = KNNDivergence(correction=None).fit(reference, sample_weight=weights)
    parts = KNNDivergence(correction=None)
    for rows in (slice(30), slice(30, 80)):
        parts.partial_fit(reference[rows], sample_weight=weights[rows])
    assert parts.score(X) == whole.score(X)
    weights[:30] = 1
    whole.fit(reference, sample_weight=weights)
    parts = KNNDivergence(correction=None).fit(reference[:30])
    parts.partial_fit(reference[30:], sample_weight=weights[30:])
    assert parts.score(X) == whole.score(X)


def test_a_window_scores_the_latest_rows(estimator, reference, rng):
    estimator.fit(reference)
    window = estimator.window(30)
    stream = rng.normal(0.5, 1, (100, 2))
    for start in range(0, 100, 7):
        window.update(stream[start : start + 7])
        latest = stream[: start + 7][-30:]
        assert len(window) == len(latest)
        assert window.score() == estimator.score(latest)
    assert window.full
    assert window.n_seen == 100
    assert repr(window) == "RollingWindow(size=30, rows=30, seen=100)"


def test_more_rows_than_the_window_holds(estimator, reference, rng):
    estimator.fit(reference)
    stream = rng.normal(size=(100, 2))
    window = estimator.window(30).update(stream)
    assert window.score() == estimator.score(stream[-30:])


def test_a_window_keeps_its_reference(estimator, reference, rng):
    stream = rng.normal(size=(30, 2))
    window = estimator.fit(reference).window(30).update(stream)
    expected = window.score()
    estimator.fit(reference + 5)
    assert window.score() == expected


def test_results_with_options(reference, rng):
    stream = rng.normal(size=(30, 2))
    window = KNNDivergence(correction=None).fit(reference).window(30).update(stream)
    result = window.result(confidence_level=0.9, n_permutations=9)
    assert result.n == 30
    assert result.confidence_interval is not None
    assert result.pvalue is not None
    tested = KSDistance().fit(reference).window(30).update(stream)
    assert tested.result(n_permutations=9).pvalue_method == "permutation"


def test_categories_keep_their_numbers(rng):
    """A batch may lack categories, or bring new ones."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": rng.normal(size=300), "c": rng.choice(["a", "b"], 300)})
    stream = pd.DataFrame(
        {"x": rng.normal(size=90), "c": ["b"] * 30 + ["z"] * 30 + ["a"] * 30}
    )
    estimator = KNNDivergence().fit(frame)
    window = estimator.window(90)
    for start in range(0, 90, 30):
        window.update(stream[start : start + 30])
    assert window.score() == estimator.score(stream)
    assert estimator.categories_ == {1: ("a", "b")}
    parts = KNNDivergence()
    for start in range(0, 90, 30):
        parts.partial_fit(stream[start : start + 30])
    assert parts.categories_ == {1: ("b", "z", "a")}
    assert parts.score(frame) == pytest.approx(KNNDivergence().fit(stream).score(frame))


def test_an_empty_window_says_so(estimator, reference):
    with pytest.raises(NotFittedError):
        type(estimator)().window(5)
    with pytest.raises(ValueError, match="no rows yet"):
        estimator.fit(reference).window(5).score()
    with pytest.raises(ValueError, match="size must be at least 1"):
        estimator.window(0)
    with pytest.raises(TypeError, match="size must be an integer"):
        estimator.window(2.5)
