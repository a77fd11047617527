"""Divergences within a limit of memory: the same numbers, however rows are read."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kldiv import (
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
    x, y, asked = stored_samples(X, Y, options.get("discrete", "auto"), limit)
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


def test_weights_and_small_limits_are_refused(rng):
    X = rng.normal(size=(40, 2))
    with pytest.raises(ValueError, match="rows that count alike"):
        published(X, X + 1, memory_limit=LIMIT, sample_weight=np.ones(40))
    with pytest.raises(ValueError, match="memory_limit"):
        published(X, X + 1, memory_limit=1000)


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
