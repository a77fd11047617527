"""Divergences within a limit of memory: the same numbers, however rows are read."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kldiv import (
    DiscreteDataWarning,
    KNNDivergence,
    SingularSampleWarning,
    TrustWarning,
    divergence,
    estimate_divergence,
    kl_divergence,
)
from kldiv._estimation._estimate import estimate
from kldiv._estimation._options import Options
from kldiv._estimation._stored import stored_samples
from tests.test_chunked import Store
from tests.tolerances import OTHER_ORDER

LIMIT = 1 << 20


def published(X, Y, **options):
    return divergence(X, Y, correction=None, **options)


def within(X, Y, limit, *, level=None, **options):
    """An estimate within a limit that may be below the least one that users have."""
    x, y, asked = stored_samples(
        X, Y, options.get("discrete", "auto"), memory_limit=limit
    )
    options = Options(correction=None, memory_limit=limit, **options)
    return estimate(x, y, options, asked, confidence_level=level)


def same_results(found, expected):
    """All that two results say, but how neighbours were searched."""
    for name in ("value", "standard_error", "confidence_interval"):
        numbers, known = getattr(found, name), getattr(expected, name)
        assert (numbers is None) == (known is None), name
        if known is not None:
            assert numbers == pytest.approx(known, rel=OTHER_ORDER, abs=1e-12)
    np.testing.assert_allclose(
        found.log_ratio, expected.log_ratio, rtol=OTHER_ORDER, atol=1e-11
    )
    for name in ("notes", "trust", "coverage", "n", "m", "n_features", "correction"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.algorithm == "chunks"


@settings(max_examples=15)
@given(
    n=st.integers(12, 50),
    m=st.integers(12, 50),
    d=st.integers(1, 5),
    limit=st.integers(2000, 20_000),
    kind=st.sampled_from(["full", "plane", "flat column"]),
    dtypes=st.tuples(*[st.sampled_from(["float32", "float64"])] * 2),
    name=st.sampled_from(["kl", "jeffreys", "renyi", "hellinger"]),
    level=st.sampled_from([None, 0.9]),
    seed=st.integers(0, 1000),
)
def test_parts_of_any_size_give_the_result_of_arrays(
    n, m, d, limit, kind, dtypes, name, level, seed
):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(0.5, 1, (n, d)), rng.normal(size=(m, d))
    if kind == "plane":
        turn = rng.normal(size=(d, d + 2))
        X, Y, dtypes = X @ turn + 3, Y @ turn + 3, ("float64", "float64")
    elif kind == "flat column":
        X, Y = np.c_[X, np.full(n, 2.5)], np.c_[Y, np.full(m, 2.5)]
    X, Y = X.astype(dtypes[0]), Y.astype(dtypes[1])
    options = {"divergence": name, "n_neighbors": 3}
    found = within(Store(X), Store(Y), limit, level=level, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrustWarning)  # of few rows
        expected = estimate_divergence(
            X, Y, correction=None, confidence_level=level, **options
        )
    same_results(found, expected)


def test_memory_maps_base_and_threads(tmp_path, rng):
    X, Y = rng.normal(0.5, 1, (700, 30)), rng.normal(size=(600, 30))
    maps = []
    for name, rows in (("X", X), ("Y", Y)):
        np.save(tmp_path / f"{name}.npy", rows)
        maps.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    found = kl_divergence(*maps, correction=None, memory_limit=LIMIT, base=2, n_jobs=2)
    expected = kl_divergence(X, Y, correction=None, base=2)
    assert found == pytest.approx(expected, rel=OTHER_ORDER)


def test_arrays_of_zarr(tmp_path, rng):
    zarr = pytest.importorskip("zarr")
    X, Y = rng.normal(0.5, 1, (300, 4)), rng.normal(size=(200, 4))
    stored = []
    for name, rows in (("X", X), ("Y", Y)):
        stored.append(
            zarr.create_array(
                store=str(tmp_path / name), data=rows, chunks=(64, 4), overwrite=True
            )
        )
    found = published(*stored, memory_limit=LIMIT)
    assert found == pytest.approx(published(X, Y), rel=OTHER_ORDER)


def test_dask_and_parquet(tmp_path, rng):
    dask = pytest.importorskip("dask.array")
    pytest.importorskip("pyarrow")
    frames = pytest.importorskip("dask.dataframe")
    pandas = pytest.importorskip("pandas")
    X, Y = rng.normal(0.5, 1, (300, 3)), rng.normal(size=(200, 3))
    pandas.DataFrame(X, columns=list("abc")).to_parquet(tmp_path / "X.parquet")
    stored = frames.read_parquet(tmp_path / "X.parquet"), dask.from_array(Y, chunks=70)
    found = published(*stored, memory_limit=LIMIT)
    assert found == pytest.approx(published(X, Y), rel=OTHER_ORDER)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("correction", "auto"),
        ("correction", "adaptive"),
        ("metric", "manhattan"),
        ("duplicates", "drop"),
        ("scale", "whiten"),
        ("algorithm", "tree"),
        ("exclusion_window", 2),
        ("divergence", "energy"),
    ],
)
def test_what_needs_all_rows_is_refused(option, wrong, rng):
    X = rng.normal(size=(40, 2))
    options = {"correction": None, option: wrong}
    with pytest.raises(ValueError, match=rf"memory_limit=.*{option}=") as caught:
        divergence(X, X + 1, memory_limit=LIMIT, **options)
    assert "leave out memory_limit" in str(caught.value)


def test_weights_permutations_and_small_limits_are_refused(rng):
    X = rng.normal(size=(40, 2))
    with pytest.raises(ValueError, match="Use n_permutations=0"):
        estimate_divergence(
            X, X + 1, correction=None, memory_limit=LIMIT, n_permutations=9
        )
    with pytest.raises(ValueError, match="rows that count alike"):
        published(X, X + 1, memory_limit=LIMIT, sample_weight=np.ones(40))
    with pytest.raises(ValueError, match="memory_limit"):
        published(X, X + 1, memory_limit=1000)


AWKWARD = {
    "another scale": lambda x, y: (x * 300 + 1e4, y),
    "beyond the support": lambda x, y: (x / 8 + 0.9, np.abs(np.sin(9 * y))),
    "dependent rows": lambda x, y: (np.sort(x, axis=0), y),
    "apart": lambda x, y: (x + 90, y),
    "low coverage": lambda x, y: (x + 6, y),
    "coarse": lambda x, y: (np.c_[x, np.round(x[:, 0])], np.c_[y, np.round(y[:, 0])]),
    "same ranks": lambda x, y: (np.r_[x, x[:, ::-1]], y),
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_notes_are_those_of_arrays(kind, rng):
    X, Y = AWKWARD[kind](rng.normal(size=(250, 3)), rng.normal(size=(220, 3)))
    options = {"discrete": None, "correction": None, "confidence_level": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = estimate_divergence(X, Y, **options)
    assert expected.notes or kind == "same ranks"
    found = within(Store(X), Store(Y), 15_000, discrete=None)
    same_results(found, expected)
    told = [note.category for note in expected.notes]
    assert [note.category for note in found.notes] == told


def test_codes_are_found_wherever_they_are(rng):
    codes = np.r_[rng.normal(size=9), np.arange(391) % 3], np.arange(300) % 3
    X, Y = (np.c_[rng.normal(size=(one.size, 2)), one] for one in codes)
    with pytest.raises(ValueError, match=r"column 2: .* Choose discrete=None"):
        within(Store(X), Store(Y), 2000)  # parts of 13 rows
    named = np.c_[rng.normal(size=(50, 2))], np.c_[rng.normal(size=(60, 2))]
    with pytest.raises(ValueError, match="column 1: "):
        within(*map(Store, named), 2000, discrete=[1])


def test_whole_numbers_of_images_stay_continuous(rng):
    X, Y = (rng.integers(0, 4, (one, 30)).astype(float) for one in (90, 80))
    found = within(Store(X), Store(Y), 20_000, level=0.95)
    with pytest.warns(DiscreteDataWarning):
        same_results(found, estimate_divergence(X, Y, correction=None))


def test_the_estimator_leaves_rows_where_they_are(tmp_path, rng):
    X, Y = rng.normal(0.5, 1, (300, 6)), rng.normal(size=(200, 6))
    np.save(tmp_path / "Y.npy", Y.reshape(200, 2, 3))
    mapped, stored = np.load(tmp_path / "Y.npy", mmap_mode="r"), Store(X)
    expected = KNNDivergence(correction=None).fit(Y)
    estimator = KNNDivergence(correction=None, memory_limit=LIMIT).fit(mapped)
    assert estimator.reference_ is mapped
    assert estimator.n_features_in_ == 6
    found = estimator.estimate(stored, confidence_level=0.9)
    same_results(found, expected.estimate(X, confidence_level=0.9))
    assert estimator.score(X) == pytest.approx(expected.score(X), rel=OTHER_ORDER)
    in_window = estimator.window(90).update(X[:90]).score()
    assert in_window == pytest.approx(expected.score(X[:90]), rel=OTHER_ORDER)
    with pytest.raises(ValueError, match="Give fit all of them"):
        estimator.partial_fit(Y)
    with pytest.raises(ValueError, match="rows that count alike"):
        estimator.score(X, sample_weight=np.ones(300))
    with pytest.raises(ValueError, match="rows that count alike"):
        estimator.fit(mapped, sample_weight=np.ones(200))
    with pytest.raises(ValueError, match="Choose correction=None"):
        KNNDivergence(memory_limit=LIMIT).fit(mapped)
    again = estimator.fit(Y).partial_fit(Y + 0.1)
    assert len(again.reference_) == 400


def test_stores_without_rows_of_numbers_are_refused_by_fit():
    estimator = KNNDivergence(correction=None, memory_limit=LIMIT)
    with pytest.raises(ValueError, match="no rows"):
        estimator.fit(Store(np.ones((0, 3))))
    with pytest.raises(TypeError, match="complex"):
        estimator.fit(Store(np.ones((9, 3)) * 1j))
    dask = pytest.importorskip("dask")
    with pytest.raises(TypeError, match="X is a delayed object"):
        estimator.fit(dask.delayed(np.ones)((30, 4)))
    chunked = pytest.importorskip("dask.array").from_array(np.ones((8, 4)), chunks=2)
    with pytest.raises(ValueError, match="chunks along columns"):
        estimator.fit(chunked)


def test_vectors_and_other_numbers(rng):
    for make in (np.ravel, lambda rows: np.rint(rows * 1e6).astype(int)):
        X, Y = make(rng.normal(size=(90, 1))), make(rng.normal(size=(80, 1)))
        found = published(Store(X), Store(Y), memory_limit=LIMIT)
        assert found == pytest.approx(published(X, Y), rel=OTHER_ORDER)


def test_what_is_wrong_with_stored_rows_is_told(rng):
    X, Y = rng.normal(size=(90, 2)), rng.normal(size=(80, 2))
    leaked = Y.copy()
    leaked[70] = X[3]
    with pytest.raises(ValueError, match="1 rows of Y also occur in X"):
        within(Store(X), Store(leaked), 1000)
    missing = Y.copy()
    missing[77, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        within(Store(X), Store(missing), 1000)
    with pytest.raises(ValueError, match="no finite numbers"):
        within(Store(X * 1e200), Store(Y), 1000)
    coded = np.c_[X, np.arange(90) % 3], np.c_[Y, np.arange(80) % 2]
    with pytest.raises(ValueError, match="Choose discrete=None"):
        published(*coded, memory_limit=LIMIT)
    result = within(Store(X), Store(X[::-1].copy()), 1000)
    assert result.value == 0
    assert "the same 90 rows" in result.notes[0]


def test_a_sample_on_a_plane_without_the_other_is_told(rng):
    X, Y = rng.normal(size=(90, 3)), rng.normal(size=(80, 3))
    X[:, 2] = X[:, 0] - X[:, 1]
    with pytest.warns(SingularSampleWarning) as expected:
        value = published(X, Y)
    with pytest.warns(SingularSampleWarning) as found:
        stored = published(Store(X), Store(Y), memory_limit=LIMIT)
    assert stored == pytest.approx(value, rel=OTHER_ORDER)
    assert str(found[0].message) == str(expected[0].message)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_bounded(tmp_path, rng):
    code = """
import sys, threading, time
import numpy as np
from kldiv import kl_divergence
def used():
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024
rng = np.random.default_rng(0)
few = rng.normal(size=(2, 300, 400))
kl_divergence(*few, correction=None, memory_limit=2**20)  # what libraries hold
X, Y = (np.load(path, mmap_mode="r") for path in sys.argv[1:])
before = peak = used()
done = threading.Event()
def watch():
    global peak
    while not done.is_set():
        peak = max(peak, used())
        time.sleep(0.002)
watcher = threading.Thread(target=watch)
watcher.start()
kl_divergence(X, Y, correction=None, discrete=None, memory_limit=4 * 2**20)
done.set()
watcher.join()
print(peak - before)
"""
    paths = [str(tmp_path / f"{name}.npy") for name in "XY"]
    for path in paths:
        np.save(path, rng.normal(size=(6000, 400)) @ rng.normal(size=(400, 400)))
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
    )
    # a sample has 19 MB; products of 400 columns and the answer come on top of 4 MB
    assert float(done.stdout) < 20
