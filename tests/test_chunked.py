"""Searches within a limit of memory: the same neighbours, whatever the chunks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kldiv import neighbor_distances
from kldiv._backends import BACKENDS, check_chunked
from tests.tolerances import OTHER_ORDER

BLOCKS = ("xx", "xy", "yy", "yx")
LEAST = 1 << 20


class Store:
    """Rows that can only be read in slices, as those of a file of zarr or HDF5."""

    def __init__(self, rows):
        self.rows, self.shape, self.dtype, self.reads = rows, rows.shape, rows.dtype, []

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.reads.append((rows.start, rows.stop))
        return self.rows[rows]

    def __array__(self, *args, **kwargs):
        raise AssertionError("everything was read at once")


def same(found, expected):
    for block in BLOCKS:
        np.testing.assert_allclose(
            found.block(block), expected.block(block), rtol=OTHER_ORDER
        )


@settings(max_examples=40)
@given(
    n=st.integers(4, 60),
    m=st.integers(4, 60),
    d=st.integers(1, 6),
    step=st.integers(1, 70),
    dtypes=st.tuples(*[st.sampled_from(["float32", "float64", "int16"])] * 2),
    seed=st.integers(0, 1000),
)
def test_any_chunks_give_the_neighbours_of_brute_force(n, m, d, step, dtypes, seed):
    rng = np.random.default_rng(seed)
    X, Y = (
        (3 * rng.normal(size=(rows, d))).astype(dtype)
        for rows, dtype in zip((n, m), dtypes, strict=True)
    )
    k = 3
    limit = step * (49 * d + 80 * k + 128)
    found = BACKENDS["chunks"].knn_distances(
        *check_chunked(Store(X), Store(Y)), k, BLOCKS,
        return_indices=True, memory_limit=limit,
    )  # fmt: skip
    expected = neighbor_distances(X, Y, n_neighbors=k, blocks=BLOCKS, algorithm="brute")
    samples = {"x": X.astype(float), "y": Y.astype(float)}
    for block in BLOCKS:
        distances, rows = found[block]
        np.testing.assert_allclose(distances, expected.block(block), rtol=OTHER_ORDER)
        queries, data = samples[block[0]], samples[block[1]]
        far = np.linalg.norm(queries[:, None] - data[rows], axis=2)
        np.testing.assert_allclose(far, distances, rtol=1e-6, atol=1e-12)
        if block[0] == block[1]:
            assert not (rows == np.arange(len(rows))[:, None]).any()


def test_memory_maps_and_stores_are_read_in_slices(tmp_path, rng):
    X, Y = rng.normal(size=(1400, 40)), rng.normal(size=(1300, 40))
    np.save(tmp_path / "X.npy", X)
    mapped, stored = np.load(tmp_path / "X.npy", mmap_mode="r"), Store(Y)
    found = neighbor_distances(mapped, stored, blocks=BLOCKS, memory_limit=LEAST)
    assert found.algorithm == "chunks"
    same(found, neighbor_distances(X, Y, blocks=BLOCKS))
    assert max(stop - start for start, stop in stored.reads) < 700


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev"])
def test_other_metrics(metric, rng):
    X, Y = rng.normal(size=(900, 90)), rng.normal(size=(800, 90))
    options = {"blocks": BLOCKS, "metric": metric}
    found = neighbor_distances(X, Y, memory_limit=LEAST, n_jobs=2, **options)
    same(found, neighbor_distances(X, Y, **options))


def test_series_and_lists(rng):
    pd = pytest.importorskip("pandas")
    values = rng.normal(size=50)
    series = pd.Series(values, index=np.arange(50)[::-1] / 2)
    found = neighbor_distances(
        series, values.tolist(), blocks=BLOCKS, algorithm="chunks"
    )
    same(found, neighbor_distances(values, values, blocks=BLOCKS))


def test_what_is_refused_says_what_to_do(rng):
    X = rng.normal(size=(50, 3))
    with pytest.raises(ValueError, match="'auto', 'torch', 'chunks'"):
        neighbor_distances(X, X, algorithm="tree", memory_limit=LEAST)
    with pytest.raises(
        ValueError, match="Y has 2 features, but the other sample has 3"
    ):
        neighbor_distances(X, X[:, :2], algorithm="chunks")
    with pytest.raises(ValueError, match="X has no rows"):
        neighbor_distances(X[:0], X, algorithm="chunks")
    X[30, 1] = np.nan
    with pytest.raises(ValueError, match=r"X, counted from row 0, holds 1 NaN"):
        neighbor_distances(X, X, algorithm="chunks")
