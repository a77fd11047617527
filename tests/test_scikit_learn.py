"""At home in scikit-learn: searches, pipelines, frames, tensors, routing, repr."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    KSDistance,
    kl_divergence,
    ks_test,
)
from tests.tolerances import ITERATED, OTHER_ORDER

NAMES = ["width", "height", "depth"]


@pytest.fixture
def pair(rng):
    return rng.normal(0.5, 1, (90, 3)), rng.normal(0, 1, (80, 3))


def frame(library, values):
    columns = dict(zip(NAMES, np.asarray(values).T, strict=True))
    return pytest.importorskip(library).DataFrame(columns)


# --- model selection ------------------------------------------------------------------


def distance_from_zero(estimator, X, y=None):
    """Parts of one sample do not diverge: the best estimate of that is nearest zero."""
    del y
    return -abs(estimator.score(X))


def test_grid_search_over_neighbours_and_correction(rng):
    X = rng.normal(size=(400, 4))
    grid = {"n_neighbors": [1, 5, 20], "correction": [None, "adaptive", "gaussian"]}
    search = GridSearchCV(KNNDivergence(), grid, scoring=distance_from_zero, cv=4)
    search.fit(X)
    # One Gaussian is the truth here, and the more neighbours, the less noise.
    assert search.best_params_ == {"n_neighbors": 20, "correction": "gaussian"}
    reference, rest = X[100:], X[:100]
    expected = -abs(kl_divergence(rest, reference, n_neighbors=1, correction=None))
    first = search.cv_results_["split0_test_score"][0]
    assert first == pytest.approx(expected, rel=OTHER_ORDER)
    best = search.best_estimator_
    assert best.score(rng.normal(1, 1, (400, 4))) == pytest.approx(2, abs=0.4)


def test_grid_search_through_a_pipeline(rng):
    X = rng.normal(size=(120, 4))
    pipeline = make_pipeline(StandardScaler(), KNNDivergence(correction=None))
    grid = {"knndivergence__n_neighbors": [1, 3]}
    search = GridSearchCV(pipeline, grid, scoring=distance_from_zero, cv=3).fit(X)
    assert search.best_params_["knndivergence__n_neighbors"] in (1, 3)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# --- parameters -----------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [KNNDivergence(), KSDistance()])
def test_clones_are_equal_and_unfitted(estimator, pair):
    X, Y = pair
    fitted = clone(estimator).fit(Y)
    copy = clone(fitted)
    assert copy.get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        copy.score(X)
    assert copy.fit(Y).score(X) == fitted.score(X)


def test_nested_parameters_of_the_scorer(rng):
    y = np.repeat([0, 1], 40)
    train, aux = (rng.normal(size=(80, 2)), y), (rng.normal(size=(80, 2)), y)
    scorer = ConditionalKLScorer(KNNDivergence(correction=None))
    scorer.set_params(estimator__n_neighbors=2, transformer=None, n_jobs=1)
    assert scorer.get_params()["estimator__n_neighbors"] == 2
    expected = kl_divergence(train[0][:40], aux[0][:40], n_neighbors=2, correction=None)
    assert clone(scorer).fit(train, aux).score_per_class()[0] == expected


def test_html_repr_names_the_parts():
    pipeline = make_pipeline(StandardScaler(), KNNDivergence(n_neighbors=7))
    scorer = ConditionalKLScorer(pipeline, transformer=PCA(2))
    html = scorer._repr_html_()
    for part in ("ConditionalKLScorer", "StandardScaler", "KNNDivergence", "PCA"):
        assert part in html
    assert "n_neighbors=7" in repr(scorer)


# --- frames ---------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("estimator", [KNNDivergence(), KSDistance()])
def test_frames_in_names_kept(estimator, library, pair):
    X, Y = pair
    expected = clone(estimator).fit(Y).score(X)
    fitted = clone(estimator).fit(frame(library, Y))
    assert fitted.feature_names_in_.tolist() == NAMES
    assert fitted.n_features_in_ == 3
    assert fitted.score(frame(library, X)) == expected
    with pytest.raises(ValueError, match="feature names"):
        fitted.score(frame(library, X)[NAMES[::-1]])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_functions_compare_columns_by_name(library, pair):
    U, V = (frame(library, sample) for sample in pair)
    assert kl_divergence(U, V) == kl_divergence(*pair)
    assert ks_test(U, V).global_statistic == ks_test(*pair).global_statistic
    for function in (kl_divergence, ks_test):
        with pytest.raises(ValueError, match="same columns in another order"):
            function(U, V[NAMES[::-1]])
        with pytest.raises(ValueError, match="only X has depth"):
            function(U, V[NAMES[:2]])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_scorer_takes_frames(library, rng):
    y = np.repeat([0, 1], 40)
    X, A = rng.normal(size=(80, 3)), rng.normal(size=(80, 3))
    expected = ConditionalKLScorer().fit((X, y), (A, y)).score_per_class()
    U, V = frame(library, X), frame(library, A)
    victim = LogisticRegression().fit(U, y) if library == "pandas" else None
    scorer = ConditionalKLScorer().fit((U, y), (V, y))
    np.testing.assert_array_equal(scorer.score_per_class(), expected)
    assert scorer.feature_names_in_.tolist() == NAMES
    assert not hasattr(scorer.fit((X, y), (A, y)), "feature_names_in_")
    with pytest.raises(ValueError, match="train and aux hold the same columns"):
        scorer.fit((U, y), (V[NAMES[::-1]], y))
    if victim is not None:  # it is asked with the frame and does not miss its names
        asked = ConditionalKLScorer(victim=victim).fit((U, y), V)
        assert asked.report()["n_aux"].sum() == 80


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_set_output_of_a_pipeline(output, pair):
    pytest.importorskip(output)
    X, Y = pair
    pipeline = make_pipeline(StandardScaler(), PCA(2), KNNDivergence())
    expected = clone(pipeline).fit(Y).score(X)
    pipeline.set_output(transform=output).fit(Y)
    assert pipeline.score(X) == pytest.approx(expected, rel=OTHER_ORDER)
    assert pipeline[-1].feature_names_in_.tolist() == ["pca0", "pca1"]
    scorer = ConditionalKLScorer(transformer=PCA(2).set_output(transform=output))
    y = np.arange(80) % 2
    features = PCA(2).fit(Y)
    scorer.fit((Y, y), (X[:80], y))
    expected = kl_divergence(
        features.transform(Y)[y == 0], features.transform(X[:80])[y == 0]
    )
    assert scorer.score_per_class()[0] == pytest.approx(expected, rel=ITERATED)


# --- tensors, sparse matrices ---------------------------------------------------------


def test_tensors_in_numbers_out(pair):
    torch = pytest.importorskip("torch")
    X, Y = (torch.tensor(sample, requires_grad=True) for sample in pair)
    for estimator in (KNNDivergence(), KSDistance()):
        found = estimator.fit(Y).score(X)
        assert type(found) is float
        assert found == clone(estimator).fit(pair[1]).score(pair[0])
    assert kl_divergence(X, Y) == kl_divergence(*pair)
    half = [sample.detach().to(torch.bfloat16) for sample in (X, Y)]
    rounded = [sample.float().numpy() for sample in half]
    kwargs = {"duplicates": "drop", "correction": None}
    assert kl_divergence(*half, **kwargs) == kl_divergence(*rounded, **kwargs)


ARRAY_API = """
import numpy as np, torch
from sklearn import config_context
from kldiv import KNNDivergence, KSDistance, kl_divergence
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(60, 2)), rng.normal(size=(50, 2))
with config_context(array_api_dispatch=True):
    for estimator in (KNNDivergence(), KSDistance()):
        found = estimator.fit(torch.tensor(Y)).score(torch.tensor(X))
        assert found == estimator.fit(Y).score(X)
        assert isinstance(estimator.fit(torch.tensor(Y)).reference_, np.ndarray)
    assert kl_divergence(torch.tensor(X), torch.tensor(Y)) == kl_divergence(X, Y)
print("equal")
"""


def test_tensors_under_array_api_dispatch():
    """SCIPY_ARRAY_API counts when scipy is imported, hence another process."""
    pytest.importorskip("torch")
    found = subprocess.run(
        [sys.executable, "-c", ARRAY_API],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.strip() == "equal", found.stderr


@pytest.mark.parametrize("estimator", [KNNDivergence(), KSDistance()])
def test_sparse_input_is_refused_with_advice(estimator, pair):
    X, Y = pair
    advice = r"sparse.*X\.toarray\(\).*TruncatedSVD"
    with pytest.raises(TypeError, match=advice):
        estimator.fit(csr_array(Y))
    with pytest.raises(TypeError, match=advice):
        estimator.fit(Y).score(csr_array(X))
    y = np.arange(80) % 2
    with pytest.raises(TypeError, match=r"train is a sparse matrix"):
        ConditionalKLScorer().fit((csr_array(Y), y), (X[:80], y))


# --- routing and victims --------------------------------------------------------------


def test_metadata_routing_changes_nothing(rng):
    """But Pipeline.score, which fails for every final step without sample weights
    (scikit-learn 1.9: KernelDensity as well)."""
    y = np.repeat([0, 1], 40)
    train, aux = (rng.normal(size=(80, 2)), y), (rng.normal(size=(80, 2)), y)
    pipeline = make_pipeline(StandardScaler(), KNNDivergence(correction=None))
    victim = LogisticRegression().fit(*train)
    scorer = ConditionalKLScorer(pipeline, victim=victim)
    expected = scorer.fit(train, aux[0]).score_per_class()
    grid = {"n_neighbors": [2]}
    search = GridSearchCV(KNNDivergence(), grid, scoring=distance_from_zero, cv=2)
    with config_context(enable_metadata_routing=True):
        found = scorer.fit(train, aux[0]).score_per_class()
        routed = clone(search).fit(train[0]).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(found, expected)
    plain = search.fit(train[0]).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(routed, plain)


def test_a_frozen_victim_survives_a_clone(rng):
    y = np.repeat([0, 1], 40)
    X, A = rng.normal(size=(80, 2)) + y[:, None], rng.normal(size=(80, 2))
    victim = LogisticRegression().fit(X, y)
    with pytest.raises(NotFittedError):
        clone(ConditionalKLScorer(victim=victim)).fit((X, y), A)
    frozen = clone(ConditionalKLScorer(victim=FrozenEstimator(victim)))
    np.testing.assert_array_equal(
        frozen.fit((X, y), A).score_per_class(),
        ConditionalKLScorer(victim=victim).fit((X, y), A).score_per_class(),
    )


# --- what a sample may be -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vector", "list", "series", "images"])
def test_estimators_take_what_functions_take(kind, pair):
    X, Y = pair
    convert = {
        "vector": lambda sample: sample[:, 0],
        "list": lambda sample: sample[:, 0].tolist(),
        "series": lambda sample: pytest.importorskip("pandas").Series(sample[:, 0]),
        "images": lambda sample: sample.reshape(-1, 1, 3),
    }[kind]
    X, Y = convert(X), convert(Y)
    assert KNNDivergence().fit(Y).score(X) == kl_divergence(X, Y)
    assert KSDistance().fit(Y).score(X) == ks_test(X, Y).global_statistic


@pytest.mark.parametrize("estimator", [KNNDivergence(), KSDistance()])
def test_two_vectors_are_two_samples(estimator, pair):
    X, Y = (sample[:, 0] for sample in pair)
    with pytest.raises(ValueError, match=r"call fit\(y\)\.score\(x\)"):
        estimator.fit(X, Y)
