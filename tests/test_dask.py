"""Samples in dask arrays and data frames: the numbers of arrays in memory."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kldiv import (
    ConditionalKLScorer,
    KNNDivergence,
    estimate_divergence,
    kl_divergence,
    ks_test,
    neighbor_distances,
)
from kldiv._blocks._collections import threads_here
from kldiv._blocks._rows import block_rows
from tests.labelled_samples import three_classes

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

BLOCKS = ("xx", "xy", "yy", "yx")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Chunks are searched as they are, however small."""
    monkeypatch.setattr("kldiv._blocks._rows._LEAST_BYTES", 1)
    monkeypatch.setattr("kldiv._blocks._rows._LEAST_BYTES_HERE", 1)


def chunks_of(draw, n):
    """Sizes of chunks, some of them empty or of one row."""
    cuts = draw(st.lists(st.integers(0, n), max_size=6))
    return tuple(np.diff([0, *sorted(cuts), n]).tolist())


@given(st.data())
@settings(max_examples=25)
def test_neighbours_in_any_chunks(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    X, Y = rng.normal(size=(41, 3)), rng.normal(size=(30, 3))
    chunked = [
        da.from_array(rows, chunks=(chunks_of(data.draw, len(rows)), -1))
        for rows in (X, Y)
    ]
    found = neighbor_distances(*chunked, blocks=BLOCKS, return_indices=True)
    expected = neighbor_distances(X, Y, blocks=BLOCKS, return_indices=True)
    assert (found.n, found.m, found.algorithm) == (41, 30, "dask")
    for block in BLOCKS:
        near = expected.block(block)
        np.testing.assert_allclose(found.block(block), near, rtol=1e-12)
        rows = f"{block}_indices"
        np.testing.assert_array_equal(getattr(found, rows), getattr(expected, rows))


@pytest.mark.parametrize("most", [1 << 8, 1 << 26])
def test_large_chunks_are_split(most, monkeypatch, rng):
    monkeypatch.setattr("kldiv._blocks._rows._MOST_BYTES", most)
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(50, 2)).astype(np.float32)
    found = neighbor_distances(da.from_array(X, chunks=-1), Y)
    np.testing.assert_allclose(found.xy, neighbor_distances(X, Y).xy, rtol=1e-12)


@pytest.mark.parametrize(
    ("setting", "threads"),
    [
        ({"scheduler": "sync"}, 1),
        ({"num_workers": 3}, 3),
        ({"scheduler": "threads", "num_workers": 2}, 2),
        ({"scheduler": "processes"}, None),
        ({"pool": ThreadPoolExecutor(1)}, None),
    ],
)
def test_who_computes(setting, threads):
    with dask.config.set(setting):
        assert threads_here() == threads


def test_chunks_in_one_memory_are_searched_as_one(monkeypatch, rng):
    monkeypatch.setattr("kldiv._blocks._rows._LEAST_BYTES_HERE", 1 << 20)
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(50, 2)).astype(np.float32)
    chunked = [da.from_array(rows, chunks=(7, -1)) for rows in (X, Y)]
    assert [len(block_rows(rows, "X").blocks) for rows in chunked] == [1, 1]
    found = neighbor_distances(*chunked, blocks=BLOCKS)
    expected = neighbor_distances(X, Y, blocks=BLOCKS)
    assert found.xy_indices is None
    for block in BLOCKS:
        near = expected.block(block)
        np.testing.assert_allclose(found.block(block), near, rtol=1e-12)


@pytest.mark.parametrize("correction", [None, "adaptive", "auto"])
def test_divergences_of_collections(correction, rng):
    X, Y = rng.normal(1, 1, (120, 3)), rng.normal(size=(100, 3))
    expected = estimate_divergence(X, Y, correction=correction)
    chunked = da.from_array(X, chunks=(17, -1)), da.from_array(Y, chunks=(50, -1))
    found = estimate_divergence(*chunked, correction=correction)
    assert found.algorithm == "dask"
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.confidence_interval == pytest.approx(expected.confidence_interval)
    estimator = KNNDivergence(correction=correction).fit(chunked[1])
    assert isinstance(estimator.reference_, np.ndarray)
    assert estimator.score(chunked[0]) == pytest.approx(expected.value, rel=1e-12)


def test_data_frames_keep_their_names(rng):
    pandas = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    X, Y = (
        pandas.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"]) for n in (60, 50)
    )
    chunked = dd.from_pandas(X, npartitions=3), dd.from_pandas(Y, npartitions=2)
    found = neighbor_distances(*chunked)
    np.testing.assert_allclose(found.xy, neighbor_distances(X, Y).xy, rtol=1e-12)
    expected = kl_divergence(X, Y)
    assert kl_divergence(*chunked) == pytest.approx(expected, rel=1e-12)
    assert KNNDivergence().fit(chunked[0]).feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="columns in another order"):
        neighbor_distances(chunked[0], chunked[1][["b", "a"]])


def test_a_limit_of_memory_counts_for_collections(rng):
    X, Y = rng.normal(size=(120, 2)), rng.normal(size=(100, 2))
    chunked = da.from_array(X, chunks=(50, -1)), da.from_array(Y, chunks=(40, -1))
    found = neighbor_distances(*chunked, memory_limit=1 << 20)
    assert found.algorithm == "chunks"
    np.testing.assert_allclose(found.xy, neighbor_distances(X, Y).xy, rtol=1e-12)


def test_scorers_and_tests_take_collections(rng):
    X, Y = rng.normal(size=(120, 2)), rng.normal(size=(100, 2))
    labels = np.arange(120) % 2, np.arange(100) % 2
    chunked = da.from_array(X, chunks=(50, -1)), da.from_array(Y, chunks=(40, -1))
    of_classes = [da.from_array(one, chunks=30) for one in labels]
    found = ConditionalKLScorer().fit(
        (chunked[0], of_classes[0]), (chunked[1], of_classes[1])
    )
    expected = ConditionalKLScorer().fit((X, labels[0]), (Y, labels[1]))
    np.testing.assert_allclose(
        found.score_per_class(), expected.score_per_class(), rtol=1e-12
    )
    np.testing.assert_array_equal(ks_test(*chunked).statistic, ks_test(X, Y).statistic)


@pytest.mark.parametrize("call", [neighbor_distances, kl_divergence])
def test_what_is_refused_says_what_to_do(call, rng):
    X = da.from_array(rng.normal(size=(40, 4)), chunks=(10, 2))
    Y = rng.normal(size=(30, 4))
    with pytest.raises(ValueError, match=r"along columns .*X.rechunk\(\{1: -1\}\)"):
        call(X, Y)
    unknown = X.rechunk({1: -1})
    unknown = unknown[unknown[:, 0] > 0]
    with pytest.raises(ValueError, match=r"unknown size.*X.compute_chunk_sizes\(\)"):
        call(unknown, Y)
    holed = np.where(np.arange(160) == 7, np.nan, 1.0).reshape(40, 4)
    with pytest.raises(ValueError, match="X holds 1 NaN|from row 0, holds 1 NaN"):
        call(da.from_array(holed), Y)
    bag = pytest.importorskip("dask.bag").from_sequence([1.0, 2.0])
    with pytest.raises(TypeError, match="collection of type Bag"):
        call(bag, Y)
    with pytest.raises(TypeError, match=r"Y is a delayed object.*Y.compute\(\)"):
        call(Y, dask.delayed(np.ones)((30, 4)))


def test_settings_of_dask_stay_as_they_are():
    """Also where the search is the first to import what computes the tasks."""
    code = (
        "import dask.array as da, numpy as np\n"
        "from kldiv import neighbor_distances\n"
        "X = da.from_array(np.arange(12.0).reshape(12, 1), chunks=(4, 1))\n"
        "for _ in range(2): neighbor_distances(X, X + 0.5)\n"
        "import dask, distributed\n"
        "print(dask.config.get('distributed.comm.timeouts.connect'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    untouched = {}  # by the cluster of other tests
    dask.config.refresh(config=untouched)
    expected = dask.config.get("distributed.comm.timeouts.connect", config=untouched)
    assert done.stdout.strip() == expected


@pytest.fixture(scope="module")
def cluster():
    patience = {  # with which busy machines are met
        "distributed.comm.timeouts.connect": "120s",
        "distributed.comm.timeouts.tcp": "120s",
        "distributed.worker.multiprocessing-method": "spawn",
    }
    with (
        dask.config.set(patience),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as started,
    ):
        yield started


@pytest.mark.slow
def test_processes_give_the_same_numbers(cluster, rng):
    X, Y = rng.normal(1, 1, (200, 3)), rng.normal(size=(150, 3))
    chunked = da.from_array(X, chunks=(60, -1)), da.from_array(Y, chunks=(50, -1))
    expected = kl_divergence(X, Y)
    with distributed.Client(cluster):
        assert kl_divergence(*chunked) == pytest.approx(expected, rel=1e-12)
        near = neighbor_distances(*chunked).xy
    np.testing.assert_allclose(near, neighbor_distances(X, Y).xy, rtol=1e-12)


@pytest.mark.slow
def test_classes_are_scored_by_the_workers(cluster, rng):
    samples = three_classes(rng)
    alone = ConditionalKLScorer().fit(*samples)
    with distributed.Client(cluster), joblib.parallel_config("dask"):
        shared = ConditionalKLScorer(n_jobs=-1).fit(*samples)
    np.testing.assert_array_equal(shared.score_per_class(), alone.score_per_class())


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.05, 0.3, 0.8])
def test_a_killed_worker_changes_nothing(cluster, after, rng):
    X, Y = rng.normal(size=(12000, 10)), rng.normal(size=(12000, 10))
    chunked = [da.from_array(rows, chunks=(1500, -1)) for rows in (X, Y)]
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=120)
        victim = next(iter(client.run(os.getpid).values()))

        def kill():
            time.sleep(after)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        found = neighbor_distances(*chunked)
        killer.join()
    expected = neighbor_distances(X, Y)
    np.testing.assert_allclose(found.xx, expected.xx, rtol=1e-12)
    np.testing.assert_allclose(found.xy, expected.xy, rtol=1e-12)


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_an_error(rng, monkeypatch):
    """One that is stopped keeps its connection, but says nothing."""
    monkeypatch.setattr("kldiv._blocks._collections._PATIENCE", 2)
    X, Y = da.from_array(rng.normal(size=(40, 2))), rng.normal(size=(30, 2))
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    scheduler = context.Process(target=serve, args=(there,), daemon=True)
    scheduler.start()
    assert here.poll(120)
    address = here.recv()
    with distributed.Client(address, timeout=120):
        os.kill(scheduler.pid, signal.SIGSTOP)
        os.waitpid(scheduler.pid, os.WUNTRACED)  # until then it may still answer
        try:
            for call in (neighbor_distances, kl_divergence):
                with pytest.raises(ConnectionError, match=f"{address} was asked.* 2 s"):
                    call(X, Y)
        finally:
            os.kill(scheduler.pid, signal.SIGCONT)
    here.send("done")
    scheduler.join(120)
    assert scheduler.exitcode == 0


def serve(pipe):
    """A scheduler without workers, until something is sent."""
    with distributed.LocalCluster(
        n_workers=0, dashboard_address=":0", silence_logs=50
    ) as cluster:
        pipe.send(cluster.scheduler_address)
        pipe.recv()
