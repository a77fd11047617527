"""Scores per class within a limit of memory: the same report, however rows are read."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from kldiv import ConditionalKLScorer, KNNDivergence
from kldiv._backends import check_chunked
from kldiv._conditional._in_parts import fit_in_parts
from tests.test_chunked import Store
from tests.tolerances import OTHER_ORDER

LIMIT = 1 << 20
PUBLISHED = KNNDivergence(correction=None)


def labelled(rng, n, d, classes=2, shift=0.0):
    y = rng.permutation(np.arange(n) % classes)
    return rng.normal(size=(n, d)) * np.linspace(1, 3, d) + shift * y[:, None], y


def fitted(train, aux, limit=None, estimator=PUBLISHED, **options):
    scorer = ConditionalKLScorer(estimator, memory_limit=limit, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few rows, in both ways
        return scorer.fit(train, aux)


def same_reports(found, expected):
    assert found.report_.columns.keys() == expected.report_.columns.keys()
    for name, column in expected.report_.columns.items():
        if column.dtype.kind == "f":
            np.testing.assert_allclose(
                found.report_[name], column, rtol=OTHER_ORDER, atol=1e-11, err_msg=name
            )
        else:
            np.testing.assert_array_equal(found.report_[name], column, err_msg=name)
    assert found.report_.notes == expected.report_.notes
    assert found.report_.reasons == expected.report_.reasons
    np.testing.assert_allclose(
        found.log_ratio_, expected.log_ratio_, rtol=OTHER_ORDER, atol=1e-10
    )


@settings(max_examples=12)
@given(
    n=st.integers(40, 70),
    m=st.integers(40, 70),
    d=st.sampled_from([1, 3, 12, 18]),
    images=st.booleans(),
    limit=st.integers(5_000, 60_000),
    dtype=st.sampled_from(["float32", "float64"]),
    level=st.sampled_from([None, 0.9]),
    seed=st.integers(0, 1000),
)
def test_parts_of_any_size_give_the_report_of_arrays(
    n, m, d, images, limit, dtype, level, seed
):
    rng = np.random.default_rng(seed)
    (X, y), (A, z) = labelled(rng, n, d, shift=0.5), labelled(rng, m, d)
    X, A = X.astype(dtype), A.astype(dtype)
    if images and d > 1:
        X, A = X.reshape(n, -1, d // 2 if d % 2 == 0 else d), A.reshape(m, -1)
        A = A.reshape(m, *X.shape[1:])
    options = {"confidence_level": level}
    expected = fitted((X, y), (A, z), **options)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kldiv._validation._parameters.LEAST_MEMORY", 1)
        found = fitted((Store(X), y), (Store(A), z), limit, **options)
    same_reports(found, expected)


TRANSFORMERS = [
    None,
    "auto",
    StandardScaler(),
    PCA(3),
    PCA(),
    make_pipeline(StandardScaler(), PCA(4, whiten=True)),
]


@pytest.mark.parametrize("transformer", TRANSFORMERS)
def test_features_are_those_of_arrays(transformer, rng):
    train, aux = labelled(rng, 300, 20, 3, 0.4), labelled(rng, 250, 20, 3)
    train[0][:, 5] *= 50  # another unit
    stored = [(Store(X), y) for X, y in (train, aux)]
    expected = fitted(train, aux, transformer=transformer)
    same_reports(fitted(*stored, LIMIT, transformer=transformer), expected)


def test_a_frozen_transformer_is_not_fitted(rng):
    train, aux = labelled(rng, 200, 20), labelled(rng, 180, 20)
    frozen = FrozenEstimator(PCA(5).fit(rng.normal(0, 2, (90, 20))))
    stored = [(Store(X), y) for X, y in (train, aux)]
    found = fitted(*stored, LIMIT, transformer=frozen)
    same_reports(found, fitted(train, aux, transformer=frozen))


def test_components_know_what_fitted_ones_know(rng):
    X = labelled(rng, 90, 12)[0]
    rows, _ = check_chunked(Store(X), Store(X), 3000)
    found, expected = PCA(4), PCA(4).fit(X)
    fit_in_parts(found, rows)
    for name in (
        "mean_",
        "explained_variance_",
        "explained_variance_ratio_",
        "singular_values_",
        "noise_variance_",
    ):
        known = getattr(expected, name)
        np.testing.assert_allclose(getattr(found, name), known, atol=1e-12)
    turned = np.sign((found.components_ * expected.components_).sum(axis=1))
    np.testing.assert_allclose(
        found.components_ * turned[:, np.newaxis], expected.components_, atol=1e-12
    )
    assert (found.n_components_, found.n_samples_) == (4, 90)


@pytest.mark.parametrize("kind", ["map", "zarr", "dask", "parquet"])
def test_stores(kind, tmp_path, rng):
    train, aux = labelled(rng, 300, 6, 3, 0.4), labelled(rng, 250, 6, 3)
    stored = []
    for name, (rows, labels) in (("train", train), ("aux", aux)):
        path = tmp_path / name
        if kind == "map":
            np.save(f"{path}.npy", rows)
            stored.append((np.load(f"{path}.npy", mmap_mode="r"), labels))
        elif kind == "zarr":
            zarr = pytest.importorskip("zarr")
            array = zarr.create_array(store=str(path), data=rows, chunks=(64, 3))
            stored.append((array, zarr.array(labels)))
        elif kind == "dask":
            dask = pytest.importorskip("dask.array")
            chunked = dask.from_array(rows, chunks=(71, 6))
            stored.append((chunked, dask.from_array(labels, chunks=50)))
        else:
            pytest.importorskip("pyarrow")
            frames = pytest.importorskip("dask.dataframe")
            frame = pytest.importorskip("pandas").DataFrame(
                rows, columns=list("abcdef")
            )
            frame.assign(label=labels).to_parquet(path)
            read = frames.read_parquet(path)
            stored.append((read[list("abcdef")], read["label"]))
    found = fitted(*stored, LIMIT)
    same_reports(found, fitted(train, aux))
    if kind == "parquet":
        assert found.feature_names_in_.tolist() == list("abcdef")


def test_a_victim_is_asked_in_parts(rng):
    train, (A, _) = labelled(rng, 300, 500, shift=0.4), labelled(rng, 260, 500)
    victim, sizes = LogisticRegression(max_iter=2000).fit(*train), []

    def asked(rows):
        sizes.append(len(rows))
        return victim.predict_proba(rows)

    found = fitted((Store(train[0]), train[1]), Store(A), LIMIT, victim=asked)
    assert sum(sizes) == 260
    assert max(sizes) < 100
    same_reports(found, fitted(train, A, victim=victim))


def test_halves_and_classes_beside_each_other(rng):
    train, aux = labelled(rng, 300, 18, 3, 0.4), labelled(rng, 250, 18, 3)
    stored = [(Store(X), y) for X, y in (train, aux)]
    expected = fitted(train, aux)
    same_reports(fitted(*stored, 2 * LIMIT, n_jobs=2), expected)
    with pytest.raises(ValueError, match=r"shared by 2 jobs.*lower n_jobs"):
        fitted(*stored, LIMIT, n_jobs=2)
    scorer = ConditionalKLScorer(PUBLISHED, memory_limit=LIMIT)
    floors = scorer.score_halves(stored[0])
    known = ConditionalKLScorer(PUBLISHED).score_halves(train)
    assert floors == pytest.approx(known, rel=1e-10)
    paper = ConditionalKLScorer.from_paper(memory_limit=LIMIT, floors=floors)
    assert np.isfinite(paper.fit(*stored).score_per_class()).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"estimator": None}, "Choose correction=None"),
        ({"estimator": KNNDivergence(correction=None, scale="whiten")}, "scale="),
        ({"conditioning": "soft"}, "Choose conditioning='hard'"),
        ({"estimator": make_pipeline(StandardScaler(), PUBLISHED)}, "a KNNDivergence"),
        ({"transformer": QuantileTransformer()}, "sklearn.frozen.FrozenEstimator"),
        ({"transformer": PCA(0.9)}, "an integer of at most 18"),
        ({"estimator": KNNDivergence(correction=None, discrete=[1])}, "discrete=None"),
    ],
)
def test_what_needs_all_rows_is_refused(options, told, rng):
    train, aux = labelled(rng, 60, 18), labelled(rng, 60, 18)
    stored = [(Store(X), y) for X, y in (train, aux)]
    with pytest.raises(ValueError, match=told) as caught:
        fitted(*stored, LIMIT, **options)
    assert "memory_limit" in str(caught.value)


@pytest.mark.parametrize("transformer", [None, "auto"])
def test_repeated_rows_and_weights_are_refused(transformer, rng):
    train, (A, z) = labelled(rng, 90, 18), labelled(rng, 80, 18)
    A[np.flatnonzero(z == 1)[0]] = train[0][np.flatnonzero(train[1] == 1)[2]]
    stored = (Store(train[0]), train[1]), (Store(A), z)
    with pytest.raises(ValueError, match=r"class 1: 1 rows of Y also.*memory_limit"):
        fitted(*stored, LIMIT, transformer=transformer)
    scorer = ConditionalKLScorer(PUBLISHED, memory_limit=LIMIT)
    with pytest.raises(ValueError, match="rows that count alike"):
        scorer.fit(*stored, sample_weight=np.ones(90))
    same = fitted(stored[0], stored[0], LIMIT, transformer=transformer)
    assert same.score_per_class().tolist() == [0, 0]
    assert same.report_.settings["shared rows"] == 90


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_bounded(tmp_path, rng):
    code = """
import sys, threading, time
import numpy as np
from kldiv import ConditionalKLScorer, KNNDivergence
def used():
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024
def score(X, A):
    labels = [np.arange(len(one)) % 4 for one in (X, A)]
    estimator = KNNDivergence(correction=None)
    scorer = ConditionalKLScorer(estimator, memory_limit=4 * 2**20)
    scorer.fit((X, labels[0]), (A, labels[1]))
rng = np.random.default_rng(0)
score(*rng.normal(size=(2, 300, 200)))  # what libraries hold
X, A = (np.load(path, mmap_mode="r") for path in sys.argv[1:])
before = peak = used()
done = threading.Event()
def watch():
    global peak
    while not done.is_set():
        peak = max(peak, used())
        time.sleep(0.002)
watcher = threading.Thread(target=watch)
watcher.start()
score(X, A)
done.set()
watcher.join()
print(peak - before)
"""
    paths = [str(tmp_path / f"{name}.npy") for name in "XA"]
    for path in paths:
        np.save(path, rng.normal(size=(16000, 200)) @ rng.normal(size=(200, 200)))
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
    )
    # a sample has 26 MB; products of 200 columns and the answer come on top of 4 MB
    assert float(done.stdout) < 14
